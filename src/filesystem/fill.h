/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Filling a new ext4 filesystem, which nobody has mounted, from a folder or from a tar archive, as
 * any user: owners, modes, times, extended attributes, ACLs, links, holes and device nodes come
 * along. Nothing is written but the filesystem.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/blocks.h"
#include "filesystem/ext4_xattr.h"
#include "luks/transfer.h"

/* One file, valid until the next one is asked for. */
struct fill_entry {
	const char *path;      /* in the filesystem; of a stranger's making */
	const char *target;    /* of a symbolic link */
	const char *hard_link; /* another name of the file at that path; NULL: a file of its own */
	mode_t mode;           /* with the type */
	uint32_t uid, gid;
	struct timespec mtime;
	uint64_t size;
	uint64_t data; /* bytes of it that are no hole, about, where @fd is -1 */
	unsigned int major, minor;
	const struct ext4_xattr *xattrs;
	size_t xattr_count;
	/* A regular file that is there to be read, and where it can be had with take_fd(); else -1:
	   what it holds comes piece by piece. */
	int fd, *own;
	struct stat stat; /* of @fd */
};

struct fill_source;

struct fill_source_ops {
	/* 1, or 0 at the end. */
	int (*next)(struct fill_source *source, struct fill_entry *ret_entry,
		struct caisson_error *err);
	/* The next piece of the last entry, valid until the next call: 1, or 0 at the end. */
	int (*data)(struct fill_source *source, const void **ret_data, size_t *ret_size,
		uint64_t *ret_offset, struct caisson_error *err);
	/* From the beginning again. */
	int (*rewind)(struct fill_source *source, struct caisson_error *err);
	void (*free)(struct fill_source *source);
};

/* Embedded at the front of each kind. */
struct fill_source {
	const struct fill_source_ops *ops;
	const char *what; /* as the user called it; the source's */
	/* What may be read of an archive, decompressed, at most; 0: any amount. Set before the
	   first entry is asked for. */
	uint64_t most;
};

struct fill_source_options {
	bool cross; /* go into filesystems that are mounted in the folder; else their folder is
		       empty */
};

/* A folder or a tar archive (any dialect, any of gzip, bzip2, compress, xz, lzma, lzip, zstd, lz4);
   a pipe, too. @options may be NULL. */
int fill_source_open(const char *path, const struct fill_source_options *options,
	struct fill_source **ret_source, struct caisson_error *err);
/* The makers of the two; @fd is the source's from here on, also when this fails. */
int fill_source_folder(int fd, const char *what, const struct fill_source_options *options,
	struct fill_source **ret_source, struct caisson_error *err);
int fill_source_tar(
	int fd, const char *what, struct fill_source **ret_source, struct caisson_error *err);
/* -ESPIPE, with a sentence and a hint, for what can be read once only. */
int fill_source_rewind(struct fill_source *source, struct caisson_error *err);
void fill_source_free(struct fill_source *source);
DEFINE_CLEANUP(struct fill_source *, fill_source_free);

#define _cleanup_fill_source_ _cleanup_(fill_source_freep)

/* What a source needs. */
struct fill_need {
	uint64_t files;   /* inodes */
	uint64_t content; /* blocks of files, folders and their maps, bytes */
	/* The least filesystem for it, a tenth of room included, and how many inodes mke2fs is to
	   make there (-N). */
	uint64_t size;
	uint64_t inodes;
};

/*
 * Reads all of @source, and begins anew. @most: stop (-EFBIG) when it needs a filesystem larger
 * than that; 0: none is too large.
 */
int fill_measure(struct fill_source *source, uint64_t most, struct fill_need *ret_need,
	struct caisson_error *err);
/* The size of a filesystem for @content bytes and @files inodes, with a tenth of room. */
uint64_t fill_size(uint64_t content, uint64_t files);
/* How many inodes a filesystem of @size bytes should have (mke2fs's -N) for @files of them: what
   mke2fs would make, or more. */
uint64_t fill_inodes(uint64_t size, uint64_t files);

struct fill_counts {
	uint64_t files, folders, links, others; /* names; @links: symbolic */
	uint64_t bytes;                         /* of files, holes included */
};

struct fill_options {
	struct fill_counts *ret_counts; /* may be NULL */
};

/*
 * Puts all of @source into the filesystem on @payload; contents go to the same place through @bulk,
 * whose target's byte 0 is @payload's. All is written when this returns (not: synced). When it
 * fails, the filesystem is of no use any more. -ENOSPC says how much is missing. @options may be
 * NULL.
 */
int fill_ext4(struct blocks *payload, struct transfer *bulk, struct fill_source *source,
	const struct fill_options *options, struct caisson_error *err);
