// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What ktlsd makes of records after the handshake, and of secrets: RFC 8448 has
 * examples of these.
 */
#include <openssl/hmac.h>
#include <stdlib.h>

#include "../ktlsd/connection.h"
#include "../ktlsd/secrets.c"
#include "fuzz_records.h"
#include "tap.h"

#define SEEDS 20000

/* Secrets */

static void read_bytes(const char *hex, uint8_t *to, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		to[i] = strtoul((char[]){ hex[2 * i], hex[2 * i + 1], 0 }, NULL, 16);
}

static bool is_hex(const uint8_t *bytes, size_t len, const char *hex)
{
	uint8_t want[64];

	read_bytes(hex, want, len);
	return strlen(hex) == 2 * len && !memcmp(bytes, want, len);
}

/* RFC 8448, 3: "Simple 1-RTT Handshake". */
static const char client_secret[] =
	"9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
static const char server_secret[] =
	"a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643";

static void set_secrets(struct secrets *s, uint16_t cipher)
{
	memset(s, 0, sizeof(*s));
	s->version = TLS1_3_VERSION;
	s->cipher = cipher;
	s->len = 32;
	read_bytes(client_secret, s->traffic[SECRET_CLIENT], 32);
	read_bytes(server_secret, s->traffic[SECRET_SERVER], 32);
}

static bool is_key(const struct kernel_key *k, const char *key, const char *iv,
		   const char *sequence)
{
	uint8_t nonce[IV_LEN];

	memcpy(nonce, k->aes_gcm_128.salt, SALT_LEN);
	memcpy(nonce + SALT_LEN, k->aes_gcm_128.iv, IV_LEN - SALT_LEN);
	return is_hex(k->aes_gcm_128.key, 16, key) &&
	       /* The kernel has the nonce in two. */
	       is_hex(nonce, IV_LEN, iv) &&
	       is_hex(k->aes_gcm_128.rec_seq, 8, sequence) &&
	       k->len == sizeof(k->aes_gcm_128) &&
	       k->info.version == TLS_1_3_VERSION;
}

static void test_keys(void)
{
	struct kernel_key k;
	struct secrets s;

	set_secrets(&s, TLS_CIPHER_AES_GCM_128);
	ok(!derive_side(&s, SECRET_SERVER, 0, &k) &&
	   is_key(&k, "9f02283b6c9c07efc26bb9f2ac92e356",
		  "cf782b88dd83549aadf1e984", "0000000000000000"),
	   "RFC 8448: the key of the server");
	ok(!derive_side(&s, SECRET_CLIENT, 0x0102030405060708, &k) &&
	   is_key(&k, "17422dda596ed5d9acd890e3c63f5051",
		  "5b78923dee08579033e523d9", "0102030405060708"),
	   "RFC 8448: the key of the client, and a number");
	set_secrets(&s, TLS_CIPHER_CHACHA20_POLY1305);
	ok(!derive_side(&s, SECRET_SERVER, 1, &k) &&
	   k.len == sizeof(k.chacha20_poly1305) &&
	   is_hex(k.chacha20_poly1305.iv, 12, "cf782b88dd83549aadf1e984"),
	   "ChaCha20: the nonce is whole");
}

/* By hand: HMAC(secret, length, "tls13 traffic upd", no context, 1). */
static void test_renewal(void)
{
	static const uint8_t info[] = "\0\x20\x11tls13 traffic upd\0\x01";
	uint8_t first[32], want[32];
	struct secrets s, again;
	struct kernel_key k;
	unsigned int len, i;
	bool good = true;

	set_secrets(&s, TLS_CIPHER_AES_GCM_128);
	for (i = 0; i < 3; i++) {
		memcpy(first, s.traffic[SECRET_CLIENT], 32);
		HMAC(EVP_sha256(), first, 32, info, sizeof(info) - 1, want, &len);
		good &= !secrets_renew(&s, SECRET_CLIENT, &k) &&
			!memcmp(s.traffic[SECRET_CLIENT], want, 32) &&
			is_hex(k.aes_gcm_128.rec_seq, 8, "0000000000000000");
	}
	ok(good, "a KeyUpdate, three times: the secret that follows");
	again = s;
	ok(!derive_side(&again, SECRET_CLIENT, 0, &k) &&
	   is_hex(s.traffic[SECRET_SERVER], 32, server_secret),
	   "the other side's secret stays");
	secrets_forget(&s);
	memset(&again, 0, sizeof(again));
	ok(!memcmp(&s, &again, sizeof(s)), "they are forgotten");
}

static void test_log(void)
{
	uint8_t bytes[4];

	ok(read_hex("00ffA5b1", bytes, 4) && is_hex(bytes, 4, "00ffa5b1"),
	   "hexadecimal");
	ok(!read_hex("00f", bytes, 2) && !read_hex("0g", bytes, 1) &&
	   !read_hex("0000", bytes, 1), "what is none is refused");
}

/* Records */

struct input {
	uint8_t bytes[65536];
	size_t len;
};

static struct input input;

static void begin(unsigned int how)
{
	input.len = 0;
	input.bytes[input.len++] = how;
}

static void record(uint8_t type, const void *content, size_t len)
{
	uint8_t *p = input.bytes + input.len;

	p[0] = type;
	p[1] = len >> 8;
	p[2] = len;
	memcpy(p + 3, content, len);
	input.len += 3 + len;
}

static void go(void)
{
	LLVMFuzzerTestOneInput(input.bytes, input.len);
}

#define HANDSHAKE 22
#define UPDATE "\x18\0\0\x01\0"
#define UPDATE_BOTH "\x18\0\0\x01\x01"
#define TICKET "\x04\0\0\x06ticket"

static void test_updates(void)
{
	int i;

	begin(0);
	record(HANDSHAKE, UPDATE, 5);
	record(HANDSHAKE, UPDATE_BOTH, 5);
	go();
	ok(fuzz_records.end < 0 && fuzz_records.rekeys_rx == 2 &&
	   fuzz_records.rekeys_tx == 1 && fuzz_records.updates == 1,
	   "KeyUpdates are followed, and answered where that is asked for");
	begin(RECORDS_CLIENT);
	record(HANDSHAKE, TICKET TICKET UPDATE, 25);
	go();
	ok(fuzz_records.end < 0 && fuzz_records.rekeys_rx == 1,
	   "behind tickets in one record, too");
	begin(RECORDS_NO_REKEY);
	record(HANDSHAKE, UPDATE, 5);
	go();
	ok(fuzz_records.end == END_REKEY_UNSUPPORTED && fuzz_records.alert == 0,
	   "where the kernel takes none it is the end, by close_notify");
	begin(0);
	for (i = 0; i < 65; i++)
		record(HANDSHAKE, UPDATE, 5);
	go();
	ok(fuzz_records.end == END_REKEY_STORM && fuzz_records.rekeys_rx == 64,
	   "after 64 in a minute, too");
	for (i = 1; i < 5; i++) {
		begin(0);
		record(HANDSHAKE, UPDATE, i);
		record(HANDSHAKE, UPDATE + i, 5 - i);
		go();
		ok(fuzz_records.end == END_BROKEN && fuzz_records.alert == 10,
		   "a KeyUpdate in pieces is refused: %d and %d bytes", i, 5 - i);
	}
}

static void test_tickets(void)
{
	size_t n, i;

	for (n = 1; n < 10; n++) {
		begin(RECORDS_CLIENT);
		for (i = 0; i < 20; i += n)
			record(HANDSHAKE, TICKET TICKET + i,
			       20 - i < n ? 20 - i : n);
		record(HANDSHAKE, UPDATE, 5);
		go();
		ok(fuzz_records.end < 0 && fuzz_records.rekeys_rx == 1,
		   "tickets in pieces of %zu", n);
	}
}

/* As libFuzzer does, where there is none. */
static void test_chance(void)
{
	static const char *const words[] = {
		UPDATE, UPDATE_BOTH, TICKET, "\x18", "\0\0\x01", "\x01\0\0\x02hi",
		"\0\0\0\0", "\x01\x5a", "\x01\0", "\x02\x28", "\xff\xff\xff\xff",
	};
	static const uint8_t lens[] = { 5, 5, 10, 1, 3, 6, 4, 2, 2, 2, 4 };
	uint8_t content[256];
	unsigned int seed = 1, i;
	size_t len;

	for (i = 0; i < SEEDS; i++) {
		int records = 1 + rand_r(&seed) % 100;

		begin(rand_r(&seed) % 16);
		while (records--) {
			int pieces = rand_r(&seed) % 4;

			for (len = 0; pieces-- && len < 200;) {
				int w = rand_r(&seed) % (int)ARRAY_SIZE(words);

				memcpy(content + len, words[w], lens[w]);
				len += lens[w];
				if (!(rand_r(&seed) % 8))
					content[rand_r(&seed) % len] ^=
						1 << rand_r(&seed) % 8;
			}
			record(rand_r(&seed) % 16 ? HANDSHAKE : 20 + rand_r(&seed) % 5,
			       content, len);
		}
		go();
	}
	ok(true, "records by chance, %u times", SEEDS);
}

int main(void)
{
	tap_begin();
	/* It has the first use of what is used here. */
	LLVMFuzzerTestOneInput(NULL, 0);
	test_keys();
	test_renewal();
	test_log();
	test_updates();
	test_tickets();
	test_chance();
	EVP_KDF_CTX_free(hkdf_sha256);
	EVP_KDF_CTX_free(hkdf_sha384);
	EVP_KDF_free(prf);
	return tap_end();
}
