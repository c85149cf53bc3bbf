/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sinks for an archive: a file as it is, or one of the compressed forms that the kernel unpacks
 * (lib/decompress.c). The same archive gives the same bytes, whatever the number of threads and
 * the size of the pieces that it comes in.
 *
 * Of 53.4 MB (190 modules, programs and firmware of a distribution's boot archive), in seconds of
 * processor time; memory with two threads, of which 7 MB are the program itself:
 *
 *   zstd   1     3     6     9     15      gzip 6    lz4  1     9       xz 6   none
 *   MB     17.1  16.0  14.8  14.4  14.3    16.2      24.1 19.7          11.9   53.4
 *   s      0.18  0.33  1.0   1.9   15      1.8       0.12 1.8           21     0.03
 *   RSS    15    16    20    39    146     8         20   31            45     7    (MB)
 *
 * 3 is zstd's default: beyond it, a new build costs more than is saved.
 */
#pragma once

#include "base/macros.h"
#include "boot/cpio.h"
#include "kernel/kernel.h"

enum compression {
	COMPRESSION_AUTO, /* zstd where the kernel takes it, else none */
	COMPRESSION_ZSTD,
	COMPRESSION_GZIP,
	COMPRESSION_XZ,
	COMPRESSION_LZ4,
	COMPRESSION_NONE,
};

/* What a user may say, the default first. */
#define COMPRESSION_WORDS "zstd gzip xz lz4 none"

struct compression_choice {
	enum compression kind;
	int level; /* 0: the kind's own default; COMPRESSION_LEVEL_ZERO: level 0, which xz has */
};

#define COMPRESSION_LEVEL_ZERO (-1)

/* "KIND" or "KIND:LEVEL"; -EINVAL with the words, or the levels, that there are. */
int compression_parse(
	const char *text, struct compression_choice *ret_choice, struct caisson_error *err);
/* The kind's word; AUTO is called zstd. */
const char *compression_word(enum compression kind);
/* The level that is used, as the kind itself counts; -EINVAL for one that it does not have. */
int compression_level(enum compression kind, int level, int *ret_level, struct caisson_error *err);
/*
 * What is used for @kernel (NULL: not known, hence anything). A kind asked for by name that its
 * .config says it cannot unpack is refused with -ENOTSUP; AUTO becomes NONE then.
 */
int compression_settle(const struct kernel *kernel, enum compression wanted,
	enum compression *ret_kind, struct caisson_error *err);

/* A file: appended to at its position. */
struct file_sink {
	int fd;
	const char *what;
	uint64_t written;
};

struct sink file_sink(struct file_sink *file);

struct compressor_options {
	enum compression kind; /* not AUTO */
	int level;             /* as in a compression_choice */
	unsigned int threads;  /* 0: as many as there are processors, up to COMPRESS_THREADS_MOST */
};

/* Each thread costs memory. */
enum { COMPRESS_THREADS_MOST = 4 };

struct compressor;

/* One frame or stream into @to. */
int compressor_new(struct compressor **ret_compressor, const struct compressor_options *options,
	struct sink to, struct caisson_error *err);
struct sink compressor_sink(struct compressor *compressor);
/* Ends the frame. */
int compressor_finish(struct compressor *compressor, struct caisson_error *err);
void compressor_free(struct compressor *compressor);
DEFINE_CLEANUP(struct compressor *, compressor_free);
