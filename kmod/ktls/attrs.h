/* SPDX-License-Identifier: GPL-2.0 */
/* Attributes written one behind the other into room that was checked for all of
 * them at once. A dump of many sockets spends most of its time on attributes,
 * and most of that on asking each time whether the next one still fits.
 */
#ifndef _KTLS_ATTRS_H
#define _KTLS_ATTRS_H

#include <linux/string.h>
#include <net/netlink.h>

/**
 * struct ktls_attrs - where the next attribute goes
 * @pos: aligned, behind the last one
 */
struct ktls_attrs {
	void *pos;
};

static __always_inline void ktls_put(struct ktls_attrs *attrs, int type,
				     const void *data, int len)
{
	struct nlattr *nla = attrs->pos;
	void *padding;

	nla->nla_type = type;
	nla->nla_len = nla_attr_size(len);
	attrs->pos += nla_total_size(len);
	padding = attrs->pos - nla_padlen(len);
	memset(padding, 0, nla_padlen(len));
	memcpy(nla_data(nla), data, len);
}

static __always_inline void ktls_put_u8(struct ktls_attrs *attrs, int type,
					u8 value)
{
	ktls_put(attrs, type, &value, sizeof(value));
}

static __always_inline void ktls_put_u16(struct ktls_attrs *attrs, int type,
					 u16 value)
{
	ktls_put(attrs, type, &value, sizeof(value));
}

static __always_inline void ktls_put_be16(struct ktls_attrs *attrs, int type,
					  __be16 value)
{
	ktls_put(attrs, type, &value, sizeof(value));
}

static __always_inline void ktls_put_u32(struct ktls_attrs *attrs, int type,
					 u32 value)
{
	ktls_put(attrs, type, &value, sizeof(value));
}

/* As NLA_UINT: in 4 bytes if they suffice, else in 8. */
static __always_inline void ktls_put_uint(struct ktls_attrs *attrs, int type,
					  u64 value)
{
	if (value <= U32_MAX)
		ktls_put_u32(attrs, type, value);
	else
		ktls_put(attrs, type, &value, sizeof(value));
}

static inline struct nlattr *ktls_nest_start(struct ktls_attrs *attrs, int type)
{
	struct nlattr *nest = attrs->pos;

	nest->nla_type = type | NLA_F_NESTED;
	attrs->pos += NLA_HDRLEN;

	return nest;
}

static inline void ktls_nest_end(struct ktls_attrs *attrs, struct nlattr *nest)
{
	nest->nla_len = attrs->pos - (void *)nest;
}

#endif /* _KTLS_ATTRS_H */
