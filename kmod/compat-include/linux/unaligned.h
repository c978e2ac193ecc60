/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KTLS_COMPAT_LINUX_UNALIGNED_H
#define _KTLS_COMPAT_LINUX_UNALIGNED_H

#include <linux/version.h>

/* Goes with 6.1: moved here from asm/ in 6.12. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#include <asm/unaligned.h>
#else
#include_next <linux/unaligned.h>
#endif

#endif /* _KTLS_COMPAT_LINUX_UNALIGNED_H */
