/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Numbers of the NBD protocol (github.com/NetworkBlockDevice/nbd, doc/proto.md); all are big-endian
 * on the wire.
 */
#pragma once

#include <stdint.h>

#define NBD_MAGIC         0x4e42444d41474943ull /* "NBDMAGIC" */
#define NBD_OPTION_MAGIC  0x49484156454f5054ull /* "IHAVEOPT" */
#define NBD_REPLY_MAGIC   0x0003e889045565a9ull
#define NBD_REQUEST_MAGIC 0x25609513u
#define NBD_SIMPLE_MAGIC  0x67446698u

/* Handshake: the server's 16 bits, the client's 32. */
#define NBD_FIXED_NEWSTYLE 0x1
#define NBD_NO_ZEROES      0x2

enum nbd_option {
	NBD_OPT_EXPORT_NAME = 1,
	NBD_OPT_ABORT = 2,
	NBD_OPT_LIST = 3,
	NBD_OPT_STARTTLS = 5,
	NBD_OPT_INFO = 6,
	NBD_OPT_GO = 7,
	NBD_OPT_STRUCTURED_REPLY = 8,
};

#define NBD_REP_ACK         1u
#define NBD_REP_SERVER      2u
#define NBD_REP_INFO        3u
#define NBD_REP_ERR_UNSUP   (0x80000000u | 1)
#define NBD_REP_ERR_INVALID (0x80000000u | 3)
#define NBD_REP_ERR_UNKNOWN (0x80000000u | 6)

#define NBD_INFO_EXPORT     0
#define NBD_INFO_BLOCK_SIZE 3

/* What an export can do. */
#define NBD_HAS_FLAGS         (1 << 0)
#define NBD_READ_ONLY         (1 << 1)
#define NBD_SEND_FLUSH        (1 << 2)
#define NBD_SEND_FUA          (1 << 3)
#define NBD_SEND_TRIM         (1 << 5)
#define NBD_SEND_WRITE_ZEROES (1 << 6)
#define NBD_CAN_MULTI_CONN    (1 << 8)
#define NBD_SEND_FAST_ZERO    (1 << 11)

enum nbd_command {
	NBD_CMD_READ = 0,
	NBD_CMD_WRITE = 1,
	NBD_CMD_DISC = 2,
	NBD_CMD_FLUSH = 3,
	NBD_CMD_TRIM = 4,
	NBD_CMD_WRITE_ZEROES = 6,
};

#define NBD_CMD_FLAG_FUA       (1 << 0)
#define NBD_CMD_FLAG_NO_HOLE   (1 << 1)
#define NBD_CMD_FLAG_FAST_ZERO (1 << 4)

#define NBD_EPERM              1
#define NBD_EIO                5
#define NBD_ENOMEM             12
#define NBD_EINVAL             22
#define NBD_ENOSPC             28
#define NBD_EOVERFLOW          75
#define NBD_ENOTSUP            95

/* What one request reads or writes, at most. */
#define NBD_MOST_DATA (32u << 20)

struct nbd_request {
	uint32_t magic;
	uint16_t flags;
	uint16_t type;
	uint64_t cookie;
	uint64_t offset;
	uint32_t length;
} __attribute__((packed));

struct nbd_simple_reply {
	uint32_t magic;
	uint32_t error;
	uint64_t cookie;
} __attribute__((packed));

struct nbd_option_request {
	uint64_t magic;
	uint32_t option;
	uint32_t length;
} __attribute__((packed));

struct nbd_option_reply {
	uint64_t magic;
	uint32_t option;
	uint32_t type;
	uint32_t length;
} __attribute__((packed));

struct nbd_greeting {
	uint64_t magic;
	uint64_t option_magic;
	uint16_t flags;
} __attribute__((packed));

struct nbd_info_export {
	uint16_t type;
	uint64_t size;
	uint16_t flags;
} __attribute__((packed));

struct nbd_info_block_size {
	uint16_t type;
	uint32_t least;
	uint32_t preferred;
	uint32_t most;
} __attribute__((packed));
