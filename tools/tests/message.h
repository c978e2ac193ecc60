/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Netlink messages by hand, also such as no kernel would send. */
#ifndef MESSAGE_H
#define MESSAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <linux/genetlink.h>
#include <linux/netlink.h>

/* What fits one; a policy of all its rules wants more. */
#ifndef MESSAGE_ROOM
#define MESSAGE_ROOM 16384
#endif

struct message {
	_Alignas(8) unsigned char data[MESSAGE_ROOM];
	size_t len;
	size_t last;	/* where the header of the latest message is */
	bool headed;	/* there is one, not attributes alone */
};

static inline struct nlmsghdr *message_header(struct message *m)
{
	return (struct nlmsghdr *)(m->data + m->last);
}

/* Begins a message; those before it in the same datagram stay. */
static inline void message_begin(struct message *m, uint16_t type,
				 uint16_t flags, uint32_t seq)
{
	m->last = m->len;
	m->headed = true;
	memset(m->data + m->len, 0, NLMSG_HDRLEN);
	m->len += NLMSG_HDRLEN;
	message_header(m)->nlmsg_type = type;
	message_header(m)->nlmsg_flags = flags;
	message_header(m)->nlmsg_seq = seq;
	message_header(m)->nlmsg_len = NLMSG_HDRLEN;
}

static inline void message_bytes(struct message *m, const void *data,
				 size_t len)
{
	memcpy(m->data + m->len, data, len);
	memset(m->data + m->len + len, 0, NLMSG_ALIGN(len) - len);
	m->len += NLMSG_ALIGN(len);
	if (m->headed)
		message_header(m)->nlmsg_len = m->len - m->last;
}

static inline void message_genl(struct message *m, uint16_t family,
				uint8_t cmd, uint16_t flags, uint32_t seq)
{
	const struct genlmsghdr genl = { .cmd = cmd, .version = 1 };

	message_begin(m, family, flags, seq);
	message_bytes(m, &genl, sizeof(genl));
}

static inline void put(struct message *m, uint16_t type, const void *data,
		       size_t len)
{
	const struct nlattr a = { .nla_type = type,
				  .nla_len = sizeof(a) + len };

	memcpy(m->data + m->len, &a, sizeof(a));
	m->len += sizeof(a);
	message_bytes(m, data, len);
}

static inline void put_u8(struct message *m, uint16_t type, uint8_t v)
{
	put(m, type, &v, sizeof(v));
}

static inline void put_u16(struct message *m, uint16_t type, uint16_t v)
{
	put(m, type, &v, sizeof(v));
}

static inline void put_port(struct message *m, uint16_t type, uint16_t v)
{
	const uint8_t bytes[] = { v >> 8, v & 0xff };

	put(m, type, bytes, sizeof(bytes));
}

static inline void put_u32(struct message *m, uint16_t type, uint32_t v)
{
	put(m, type, &v, sizeof(v));
}

static inline void put_u64(struct message *m, uint16_t type, uint64_t v)
{
	put(m, type, &v, sizeof(v));
}

/* As the kernel does it. */
static inline void put_uint(struct message *m, uint16_t type, uint64_t v)
{
	if (v > UINT32_MAX)
		put_u64(m, type, v);
	else
		put_u32(m, type, v);
}

static inline void put_string(struct message *m, uint16_t type, const char *s)
{
	put(m, type, s, strlen(s) + 1);
}

/* Where a nest begins, for nest_end(). */
static inline size_t nest_begin(struct message *m, uint16_t type)
{
	size_t at = m->len;

	put(m, type | NLA_F_NESTED, "", 0);
	return at;
}

static inline void nest_end(struct message *m, size_t at)
{
	uint16_t len = m->len - at;

	memcpy(m->data + at, &len, sizeof(len));
}

#endif /* MESSAGE_H */
