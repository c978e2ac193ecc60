/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KTLS_MAIN_H
#define _KTLS_MAIN_H

#include <linux/types.h>

#ifndef KTLS_VERSION
#define KTLS_VERSION	"0.1.0"
#endif

/* When the module was loaded, in ns since the epoch. */
extern u64 ktls_load_time;

#endif /* _KTLS_MAIN_H */
