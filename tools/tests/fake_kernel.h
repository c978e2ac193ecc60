/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A kernel to talk to where there is none; see fake_kernel.c. */
#ifndef FAKE_KERNEL_H
#define FAKE_KERNEL_H

/*
 * What the kernel is like, in words separated by commas:
 *
 *	empty		no socket
 *	many		1000 sockets, more than one datagram holds
 *	wide		IPv6 addresses and numbers as long as they get
 *	strange		values and attributes of a later module
 *	noisy		command names that are not text
 *	busy		sockets that their owners keep locked
 *	container	processes that the reader's PID namespace does not have
 *	absent		no module
 *	version2	a module of another interface
 *	old		a module that knows no request
 *	reloaded	the module was loaded anew after the family was asked for
 *	unloaded	or not
 *	denied		dumps and groups take a privilege
 *	explained	each request is refused, with an explanation
 *	interrupted	dumps are
 *	truncated, short, zero, noend
 *			answers such as no kernel gives
 *	unfinished	the last of a dump is an error
 *	stray		answers to other requests come in between
 *	incomplete-hooks	a kernel on which hooks could not be armed
 *	lost		events get lost
 *	stale		the policy is changed by others before each change
 *	stale-once	or before the first
 *	unprivileged	the policy is not to be read
 *	inherited	the policy is that of the initial namespace
 *	later-rule	the policy has a rule with a condition of a later module
 *	unenforceable	the policy cannot be enforced
 *	dry-attempts	attempts were judged by a dry run, and by inheritance
 *	no-attempts	nothing was attempted
 *	huge-policy	the policy takes 100 KB
 *	diag-denied, diag-missing, destroy-unknown, destroy-denied, diag-gone
 *			what sock_diag may answer
 *	farewell	the module goes while events are read
 *	idle		nothing happens
 *	refusing	a key is refused, and nothing else happens
 *	refuse-netns	no way into other namespaces
 *
 * From the environment, or from here if it is not %NULL.
 */
extern const char *fake_kernel;

/*
 * The policy is kept by the process, or in the file that $KTLS_FAKE_STATE names,
 * where the next process finds it.  This forgets that of the process, and that
 * events were lost.
 */
void fake_kernel_reset(void);

#endif /* FAKE_KERNEL_H */
