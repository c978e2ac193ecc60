/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KTLS_HOOKS_H
#define _KTLS_HOOKS_H

#include <linux/types.h>

int ktls_hooks_arm(void);
void ktls_hooks_disarm_adders(void);
void ktls_hooks_disarm_removers(void);

u32 ktls_hooks_armed(void);
u32 ktls_hooks_missing(void);

#endif /* _KTLS_HOOKS_H */
