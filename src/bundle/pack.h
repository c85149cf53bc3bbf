/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A bundle as an archive: cpio as the kernel's initramfs unpacker takes it, or tar. Whole or not at
 * all, and the same bytes for the same plan.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stdint.h>

#include "bundle/place.h"

/* How an archive is written, by its name; NULL: that is a folder's name. */
struct pack_format;
const struct pack_format *pack_format(const char *name);

/* @manifest is a file at the top of it, or NULL. */
int pack_write(const struct pack_format *format, const char *path, const struct place *place,
	const struct strbuf *manifest, bool strip, int64_t time, uint64_t *ret_size,
	bool *ret_unchanged, struct caisson_error *err);

/* A hidden file or folder beside an archive while that is made: locked by its maker, so that the
   next one knows what a killed one left, and removes it. */
struct beside {
	char *path;
	int fd;
};

#define BESIDE_NONE ((struct beside){NULL, -1})

int beside_new(
	struct beside *ret_beside, const char *archive, bool folder, struct caisson_error *err);
/* Removes it, unless @path was taken away from here. */
void beside_done(struct beside *beside);

#define _cleanup_beside_ _cleanup_(beside_done)
