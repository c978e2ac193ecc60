// SPDX-License-Identifier: GPL-2.0-or-later
/* The doctor's items about the kernel, its modules and its cryptography. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "doctor.h"

static const char *const load_directories[] = {
	"/etc/modules-load.d", "/run/modules-load.d",
	"/usr/local/lib/modules-load.d", "/usr/lib/modules-load.d",
};

/* ktls.ko brings tls.ko along. */
static bool loads_tls(const char *text, void *arg)
{
	(void)arg;
	return loads_module(text, "tls") || loads_module(text, "ktls");
}

static bool is_loaded_at_boot(char *path, size_t size)
{
	char *text;
	bool found;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(load_directories); i++)
		if (in_directory(load_directories[i], loads_tls, NULL, path,
				 size))
			return true;
	snprintf(path, size, "/etc/modules");
	text = read_text(path);
	found = text && loads_tls(text, NULL);
	free(text);
	return found;
}

static void check_version(struct checklist *list, const char *release)
{
	struct ktls_kernel k;

	ktls_get_kernel(&k);
	if (!k.is_debian) {
		add_item(list, "kernel", "version", STATE_UNKNOWN,
			 "Linux %s is not Debian's (/proc/version); which fixes of kernel TLS it has is not known here",
			 release);
		return;
	}
	if (!k.fixed) {
		add_item(list, "kernel", "version", STATE_UNKNOWN,
			 "Debian %u.%u.%u (/proc/version); which version of this series fixed kernel TLS is not known here",
			 k.version[0], k.version[1], k.version[2]);
		return;
	}
	add_item(list, "kernel", "version",
		 k.version[2] < k.fixed ? STATE_PROBLEM : STATE_OK,
		 "Debian %u.%u.%u (/proc/version), and kernel TLS was fixed in %u.%u.%u%s",
		 k.version[0], k.version[1], k.version[2], k.version[0], k.version[1],
		 k.fixed, k.version[2] < k.fixed ?
		 ": data may be lost when a pipe is full, or receiving get out of step" :
		 "");
	if (k.version[2] < k.fixed)
		add_fix(list, "type: apt update && apt full-upgrade, then reboot");
}

static void check_config(struct checklist *list, const struct findings *f,
			 const char *release)
{
	char path[256], *text;
	char value;

	if (f->has_tls == ANSWER_YES) {
		add_item(list, "kernel", "tls", STATE_OK, "has TLS (%s)",
			 f->has_tls_from);
		return;
	}
	if (find_tls_module(release, "modules.dep", path, sizeof(path))) {
		add_item(list, "kernel", "tls", STATE_OK,
			 "has TLS as a module (%s)", path);
		return;
	}
	snprintf(path, sizeof(path), "/boot/config-%s", release);
	text = read_text(path);
	if (text) {
		value = parse_config(text, "CONFIG_TLS");
		free(text);
		if (!value) {
			add_item(list, "kernel", "tls", STATE_PROBLEM,
				 "was built without TLS (%s: no CONFIG_TLS)",
				 path);
			add_fix(list, "boot a kernel that has CONFIG_TLS=m or y, as those of the distributions have");
			return;
		}
		add_item(list, "kernel", "tls", STATE_PROBLEM,
			 "%s has CONFIG_TLS=%c, but there is no TLS now (%s), and none in modules.dep",
			 path, value, f->has_tls_from);
		add_fix(list, "install the modules of this kernel anew; after an upgrade of the kernel: reboot");
		return;
	}
	if (f->has_tls == ANSWER_NO) {
		/* Of a built-in TLS the list would tell. */
		add_item(list, "kernel", "tls", STATE_PROBLEM,
			 "has no TLS now (%s), and no module for it is in /lib/modules/%s",
			 f->has_tls_from, release);
		add_fix(list, "install the modules of this kernel, or boot one that has CONFIG_TLS; after an upgrade of the kernel: reboot; in a container, that is for its host to do");
		return;
	}
	add_item(list, "kernel", "tls", STATE_UNKNOWN,
		 "it could not be tried, and neither tcp_available_ulp, nor modules.dep, nor %s could be read",
		 path);
}

static void check_fips(struct checklist *list)
{
	char *text = read_text("/proc/sys/crypto/fips_enabled");

	if (!text && errno != ENOENT) {
		add_item(list, "kernel", "fips", STATE_UNKNOWN,
			 "/proc/sys/crypto/fips_enabled could not be read: %s",
			 strerror(errno));
	} else if (!text || *text == '0') {
		add_item(list, "kernel", "fips", STATE_OK,
			 "FIPS mode is off (%s/proc/sys/crypto/fips_enabled)",
			 text ? "" : "there is no ");
	} else {
		add_item(list, "kernel", "fips", STATE_PROBLEM,
			 "FIPS mode is on (/proc/sys/crypto/fips_enabled): the kernel lacks ChaCha20-Poly1305, and is outside of what OpenSSL's FIPS provider was validated with");
		add_fix(list, "ask those who care for the validation; until then, restrict servers to AES-GCM");
	}
	free(text);
}

void check_kernel(struct checklist *list, const struct findings *f)
{
	struct utsname uts;

	if (uname(&uts))
		return;
	check_version(list, uts.release);
	check_config(list, f, uts.release);
	check_fips(list);
}

/* Modules */

static void check_tls_module(struct checklist *list, const struct findings *f,
			     bool builtin, bool exists)
{
	enum forbidden forbidden;
	char path[512];

	forbidden = find_forbidden(path, sizeof(path));
	if (builtin) {
		add_item(list, "module", "tls.ko", STATE_OK,
			 "built into the kernel (modules.builtin)");
	} else if (f->has_tls == ANSWER_YES) {
		add_item(list, "module", "tls.ko", STATE_OK, "loaded (%s)",
			 f->has_tls_from);
	} else if (f->has_tls == ANSWER_UNKNOWN) {
		add_item(list, "module", "tls.ko", STATE_UNKNOWN,
			 "it could not be tried, nor could %s be read",
			 f->has_tls_from);
	} else if (forbidden != FORBIDDEN_NOT) {
		add_item(list, "module", "tls.ko", STATE_PROBLEM,
			 "not loaded, and %s forbids to load it (%s)", path,
			 forbidden == FORBIDDEN_INSTALL ? "install tls" :
							  "blacklist tls");
		add_fix(list, "somebody did not want it; to have it all the same, remove that line and type: modprobe tls");
	} else if (!exists) {
		add_item(list, "module", "tls.ko", STATE_PROBLEM,
			 "not loaded (%s), and there is none to load; see kernel: tls",
			 f->has_tls_from);
	} else {
		add_item(list, "module", "tls.ko", STATE_PROBLEM,
			 "not loaded (%s); servers cannot load it once they gave up CAP_NET_ADMIN, as their workers do",
			 f->has_tls_from);
		add_fix(list, "type: modprobe tls");
	}
}

static void check_boot(struct checklist *list)
{
	char path[512];

	if (is_loaded_at_boot(path, sizeof(path))) {
		add_item(list, "module", "at boot", STATE_OK,
			 "%s loads it when the host boots", path);
		return;
	}
	add_item(list, "module", "at boot", STATE_PROBLEM,
		 "no file of modules-load.d loads tls.ko; after a boot it is missing until a process with CAP_NET_ADMIN wants it");
	/* Without systemd, the directory may be missing. */
	add_fix(list, "type: %s", access(load_directories[0], F_OK) ?
		"echo tls >>/etc/modules" :
		"echo tls >/etc/modules-load.d/tls.conf");
}

static void check_ktls_module(struct checklist *list)
{
	const struct ktls_module *module;
	struct ktls *ktls;
	char missing[256] = "";
	size_t len = 0;
	uint32_t bit;
	int err;

	err = ktls_open(&ktls, -1);
	if (!err)
		err = ktls_get_module(ktls, &module);
	if (err == -ENOPKG) {
		add_item(list, "module", "ktls.ko", STATE_PROBLEM,
			 "not loaded (netlink has no family of it): nobody can say which connections are on kernel TLS");
		add_fix(list, "type: modprobe ktls; for every boot: echo ktls >/etc/modules-load.d/ktls.conf");
		goto out;
	}
	if (err) {
		add_item(list, "module", "ktls.ko", STATE_UNKNOWN, "%s",
			 ktls_strerror(ktls));
		goto out;
	}
	for (bit = 1; bit; bit <<= 1) {
		const char *name = ktls_hook_name(bit);

		if (module->missing & bit && len < sizeof(missing))
			len += snprintf(missing + len, sizeof(missing) - len,
					"%s%s", len ? ", " : "", name ?: "?");
	}
	if (module->missing) {
		add_item(list, "module", "ktls.ko", STATE_PROBLEM,
			 "version %s could not hook all of this kernel: %s (netlink)",
			 module->version, missing);
		add_fix(list, "to see what it does not know without them, type: ktlsctl module; dmesg says why");
	} else if (module->lost_sockets) {
		add_item(list, "module", "ktls.ko", STATE_PROBLEM,
			 "version %s has lost %llu sockets (netlink)",
			 module->version,
			 (unsigned long long)module->lost_sockets);
		add_fix(list, "for what that means, type: ktlsctl module; what is open is found again by: rmmod ktls && modprobe ktls");
	} else {
		add_item(list, "module", "ktls.ko", STATE_OK,
			 "version %s is loaded, and all its hooks are armed (netlink)",
			 module->version);
	}
out:
	ktls_close(ktls);
}

void check_modules(struct checklist *list, const struct findings *f)
{
	bool builtin, exists;
	struct utsname uts;
	char path[256];

	if (uname(&uts))
		return;
	builtin = f->has_tls == ANSWER_YES &&
		  find_tls_module(uts.release, "modules.builtin", path,
				  sizeof(path));
	exists = f->has_tls == ANSWER_YES ||
		 find_tls_module(uts.release, "modules.dep", path,
				 sizeof(path));
	check_tls_module(list, f, builtin, exists);
	if (exists && !builtin)
		check_boot(list);
	check_ktls_module(list);
}

/* Cryptography */

/* The suites of a cipher, under both versions; both directions. */
static void check_cipher(struct checklist *list, const struct findings *f,
			 uint16_t cipher)
{
	char why[WHY_LEN], first[WHY_LEN] = "";
	enum state state = STATE_OK;
	int i, d;

	for (i = 0; i < SUITES; i++) {
		if (suites[i].cipher != cipher)
			continue;
		for (d = 0; d < DIRECTIONS; d++) {
			enum answer a = kernel_does(&suites[i],
						    &f->capabilities[i].kernel[d],
						    d, why);

			if (a == ANSWER_YES)
				continue;
			if (!*first) {
				snprintf(first, sizeof(first), "%s", why);
				state = a == ANSWER_NO ? STATE_PROBLEM :
							 STATE_UNKNOWN;
			}
			/* Without a TLS in the kernel, nothing is known of it. */
			if (f->capabilities[i].kernel[d].step != STEP_KEY)
				state = STATE_UNKNOWN;
		}
	}
	if (state == STATE_OK)
		add_item(list, "crypto", ktls_cipher_name(cipher), state,
			 "the kernel took keys of TLS 1.2 and 1.3, to send and to receive (tried)");
	else
		add_item(list, "crypto", ktls_cipher_name(cipher), state, "%s",
			 first);
	if (state == STATE_PROBLEM)
		add_fix(list, "let servers prefer another cipher, or boot a kernel that has it");
}

void check_crypto(struct checklist *list, const struct findings *f)
{
	const struct kernel_trial *t = &f->capabilities[0].kernel[0];
	char why[WHY_LEN];
	int i;

	/* The same for all of them, and said above. */
	if (t->error && t->step != STEP_KEY) {
		kernel_does(&suites[0], t, 0, why);
		add_item(list, "crypto", "ciphers", STATE_UNKNOWN,
			 "not tried: %s", why);
		return;
	}
	/* Each comes twice. */
	for (i = 0; i < SUITES; i++)
		if (suites[i].version == KTLS_VERSION_TLS_1_2)
			check_cipher(list, f, suites[i].cipher);
}
