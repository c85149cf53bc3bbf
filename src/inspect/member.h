/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A boot archive is one member behind the other: plain cpio archives and compressed streams of
 * them, with zero bytes between. The rules are those of unpack_to_rootfs() in the kernel's
 * init/initramfs.c.
 */
#pragma once

#include <caisson/error.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "kernel/packed.h"

enum {
	MEMBERS_MOST = 4096,
	MEMBER_CONTENT_MOST = 1 << 30, /* bytes that all members together may hold */
};

struct member {
	size_t offset, size; /* in the file; the zero bytes behind it do not count */
	struct packed_facts stream;
	struct strbuf buffer; /* of a compressed one: owns @data */
	const uint8_t *data;  /* cpio archives, one behind the other */
	size_t data_size;
};

/* Reads members one at a time. */
struct member_reader {
	const uint8_t *data;
	size_t size, at;
	uint64_t left; /* bytes that may still be uncompressed */
	const char *what;
};

/* 1 and the next member, 0 at the end. Of a plain member the archive is stepped through; what is in
   a compressed one is not looked at yet. */
int member_next(struct member_reader *reader, struct member *ret_member, struct caisson_error *err);
void member_done(struct member *member);

/* All of them, in memory, with the file. */
struct members {
	struct strbuf file;
	struct member *items;
	size_t count, capacity;
};

#define MEMBERS_NONE ((struct members){STRBUF_INIT, NULL, 0, 0})

/* Reads the file; no member yet. -EFBIG beyond 512 MiB, -EBADMSG when it is empty. */
int members_read_file(
	int fd, const char *what, struct members *ret_members, struct caisson_error *err);
/* Appends the members of the file, which hold at most @most bytes. What stands in front of a
   damaged one stays in @members. */
int members_read(
	struct members *members, uint64_t most, const char *what, struct caisson_error *err);
/* Both. */
int members_open(int fd, const char *what, struct members *ret_members, struct caisson_error *err);
void members_done(struct members *members);

#define _cleanup_members_ _cleanup_(members_done)
