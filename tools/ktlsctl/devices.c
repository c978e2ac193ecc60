// SPDX-License-Identifier: GPL-2.0-or-later
/* TLS offload of network devices, as ethtool -k has it. */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host.h"

/* Far more than any kernel has. */
#define FEATURES_MAX 1024

static int ethtool(int fd, const char *name, void *command)
{
	struct ifreq ifr = { .ifr_data = command };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	return ioctl(fd, SIOCETHTOOL, &ifr) ? errno : 0;
}

static int count_features(int fd, const char *name, unsigned int *count)
{
	struct {
		struct ethtool_sset_info info;
		__u32 lengths[1];
	} set = {
		.info = {
			.cmd = ETHTOOL_GSSET_INFO,
			.sset_mask = 1ull << ETH_SS_FEATURES,
		},
	};
	int err = ethtool(fd, name, &set);

	if (err)
		return err;
	if (!set.info.sset_mask || set.lengths[0] > FEATURES_MAX)
		return EOPNOTSUPP;
	*count = set.lengths[0];
	return 0;
}

static enum feature feature_at(const struct ethtool_gfeatures *features,
			       unsigned int i)
{
	const struct ethtool_get_features_block *block =
		&features->features[i / 32];
	__u32 bit = 1u << i % 32;

	if (block->active & bit)
		return FEATURE_ON;
	if (block->available & bit && !(block->never_changed & bit))
		return FEATURE_OFF;
	return FEATURE_ABSENT;
}

static int read_features(int fd, struct device *device)
{
	struct ethtool_gfeatures *features = NULL;
	struct ethtool_gstrings *names = NULL;
	unsigned int count, blocks, i;
	int err;

	err = count_features(fd, device->name, &count);
	if (err)
		return err;
	blocks = (count + 31) / 32;
	names = calloc(1, sizeof(*names) + count * ETH_GSTRING_LEN);
	features = calloc(1, sizeof(*features) +
			  blocks * sizeof(features->features[0]));
	if (!names || !features) {
		err = ENOMEM;
		goto out;
	}
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = count;
	features->cmd = ETHTOOL_GFEATURES;
	features->size = blocks;
	err = ethtool(fd, device->name, names);
	if (!err)
		err = ethtool(fd, device->name, features);
	for (i = 0; !err && i < count && i < names->len; i++) {
		const char *name = (const char *)names->data +
				   i * ETH_GSTRING_LEN;

		if (!strncmp(name, "tls-hw-tx-offload", ETH_GSTRING_LEN))
			device->tx = feature_at(features, i);
		if (!strncmp(name, "tls-hw-rx-offload", ETH_GSTRING_LEN))
			device->rx = feature_at(features, i);
	}
out:
	free(names);
	free(features);
	return err;
}

struct device *read_devices(size_t *count)
{
	struct if_nameindex *list = if_nameindex(), *i;
	struct device *devices;
	int fd, err;

	*count = 0;
	if (!list)
		return NULL;
	for (i = list; i->if_index; i++)
		(*count)++;
	devices = calloc(*count + 1, sizeof(*devices));
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	err = errno;
	for (i = list; devices && i->if_index; i++) {
		struct device *device = &devices[i - list];

		snprintf(device->name, sizeof(device->name), "%s", i->if_name);
		device->error = fd < 0 ? err : read_features(fd, device);
	}
	if (fd >= 0)
		close(fd);
	if_freenameindex(list);
	return devices;
}
