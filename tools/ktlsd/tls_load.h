/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TLS_LOAD_H
#define TLS_LOAD_H

#include <stdbool.h>

/*
 * Has the kernel load its tls, as the first user of it without privileges cannot.
 * False if there is none; a line says so.
 */
bool tls_load(void);

#endif /* TLS_LOAD_H */
