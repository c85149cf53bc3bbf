/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a new volume shall hold: an empty filesystem, a folder, an archive, an image, another
 * volume. */
#pragma once

#include "filesystem/fill.h"
#include "filesystem/mkfs.h"
#include "luks/cipher.h"
#include "luks/transfer.h"
#include "volume/access.h"

enum content_kind {
	CONTENT_NONE,   /* whatever the blocks decrypt to */
	CONTENT_EMPTY,  /* an empty filesystem */
	CONTENT_TREE,   /* one that holds a folder or an archive */
	CONTENT_IMAGE,  /* a plain image, as it is */
	CONTENT_VOLUME, /* what another volume holds */
};

struct content {
	enum content_kind kind;
	char filesystem[16];
	const char *from, *label; /* borrowed */
	uint64_t least;           /* bytes of payload that it needs */
	uint64_t files, total;    /* of a tree, and its bytes; 0: unknown */
	int image;
	struct fill_source *tree;
	struct volume_access *source; /* borrowed */
	struct mkfs mkfs;
	const struct transfer_progress *progress;
};

#define CONTENT_INIT ((struct content){.image = -1, .mkfs = MKFS_NONE})

/* Looks at what @options name; @label is what the filesystem is called. */
int content_open(struct content *content, const struct volume_create_options *options,
	const char *label, struct caisson_error *err);
/* The content of @source, which is unlocked, and borrowed. */
int content_of_volume(struct content *content, struct volume_access *source,
	const struct transfer_progress *progress, struct caisson_error *err);
/* Begins what can be done beside other work, for a payload of @size bytes. */
int content_start(struct content *content, uint64_t size, struct caisson_error *err);
/* Writes it, encrypted, into @container. The caller syncs. */
int content_write(struct content *content, int container, const struct luks_facts *facts,
	uint64_t size, const struct secret *volume_key, struct caisson_error *err);
void content_done(struct content *content);

#define _cleanup_content_ _cleanup_(content_done)
