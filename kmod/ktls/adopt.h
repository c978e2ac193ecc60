/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KTLS_ADOPT_H
#define _KTLS_ADOPT_H

void ktls_adopt_all(void);

#endif /* _KTLS_ADOPT_H */
