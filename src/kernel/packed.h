/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One compressed stream in a boot archive, taken and measured as the kernel's own decompressors
 * (lib/decompress_*.c) do, so that what stands behind it is found where the kernel finds it.
 */
#pragma once

#include <caisson/error.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"

enum packed_form {
	PACKED_NONE, /* not compressed */
	PACKED_GZIP,
	PACKED_BZIP2,
	PACKED_LZMA,
	PACKED_XZ,
	PACKED_LZO,
	PACKED_LZ4,
	PACKED_ZSTD,
	PACKED_FORMS,
};

struct packed_facts {
	enum packed_form form;
	const char *check; /* what guards the contents: "crc32"; "none"; NULL: the form says none */
	uint64_t window;   /* bytes that may be referred back to, when the header says; else 0 */
	const char *refused; /* why no kernel takes it; NULL: it does. Static text. */
};

/* By the first bytes, as the kernel tells them apart; PACKED_NONE for what it does not know. */
enum packed_form packed_form(const uint8_t *data, size_t size);
/* "zstd" */
const char *packed_name(enum packed_form form);
/* "CONFIG_RD_ZSTD"; NULL for PACKED_NONE. */
const char *packed_option(enum packed_form form);
/*
 * Uncompresses the one stream at the start of @data, appended to @buffer. -ENOTSUP for what is no
 * known form, -EBADMSG for one that is damaged, -EFBIG beyond @most bytes. @ret_used: how many
 * bytes the kernel would take for it.
 */
int packed_read(const uint8_t *data, size_t size, uint64_t most, const char *what,
	struct strbuf *buffer, struct packed_facts *ret_facts, size_t *ret_used,
	struct caisson_error *err);

/* A stream that is being read: for packed.c and its parts. */
struct packed {
	const uint8_t *data;
	size_t size, used;
	uint64_t most;
	const char *what;
	struct strbuf *buffer;
	size_t start; /* of what was appended */
	struct packed_facts facts;
};

/* Room for the next @size bytes of output; NULL with the reason. */
void *packed_room(struct packed *stream, size_t size, struct caisson_error *err);
/* Counts what was written there; -EFBIG when it is more than is allowed. */
int packed_commit(struct packed *stream, size_t size, struct caisson_error *err);
int packed_damaged(const struct packed *stream, const char *why, struct caisson_error *err);
/* lzop's container (the kernel's lib/decompress_unlzo.c). */
int packed_read_lzo(struct packed *stream, struct caisson_error *err);
/* xz and lzma. */
int packed_read_lzma(struct packed *stream, struct caisson_error *err);
/* LZ4's legacy frame, and, though no kernel takes it, the usual one. */
int packed_read_lz4(struct packed *stream, struct caisson_error *err);
