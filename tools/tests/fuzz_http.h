/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FUZZ_HTTP_H
#define FUZZ_HTTP_H

#include <stddef.h>
#include <stdint.h>

/* The name is libFuzzer's. Aborts if something does not hold. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#endif /* FUZZ_HTTP_H */
