// SPDX-License-Identifier: GPL-2.0-or-later
/* Configurations of servers; none is known yet. */
#include "server_conf.h"

bool read_server_conf(const struct process *process, uint16_t family,
		      const uint8_t *local_addr, uint16_t local_port,
		      struct server_conf *conf)
{
	(void)process;
	(void)family;
	(void)local_addr;
	(void)local_port;
	(void)conf;
	return false;
}
