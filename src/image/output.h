/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The flattened image as a pax stream into mksquashfs. */
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <caisson/error.h>

#include "image/squash.h"
#include "image/tree.h"

struct output {
	struct squash squash;
	struct archive *archive;
	struct archive_entry *entry;
	struct output_failure *failure; /* what the callback could not say through libarchive */
};

#define OUTPUT_NONE ((struct output){.squash = SQUASH_NONE})

int output_open(struct output *ret_output, const char *program, const char *path,
	struct caisson_error *err);
/* A hard link when the node's inode went out under another name; else the file's header, behind
   which come exactly inode->size bytes of a regular file. */
int output_node(struct output *output, const struct node *node, struct caisson_error *err);
int output_data(struct output *output, const void *data, size_t size, struct caisson_error *err);
int output_zeros(struct output *output, uint64_t count, struct caisson_error *err);
int output_finish(struct output *output, struct caisson_error *err);
void output_done(struct output *output);

#define _cleanup_output_ _cleanup_(output_done)
