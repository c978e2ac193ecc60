/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KTLS_COMPAT_LINUX_FTRACE_H
#define _KTLS_COMPAT_LINUX_FTRACE_H

#include <linux/version.h>
#include_next <linux/ftrace.h>

/* Goes with 6.1: the accessors came in 6.2. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)

#ifndef ftrace_regs_get_argument
#define ftrace_regs_get_argument(fregs, n) \
	regs_get_kernel_argument(&(fregs)->regs, n)
#endif

#ifndef ftrace_regs_set_instruction_pointer
#define ftrace_regs_set_instruction_pointer(fregs, ip) \
	ftrace_instruction_pointer_set(fregs, ip)
#endif

#endif

#endif /* _KTLS_COMPAT_LINUX_FTRACE_H */
