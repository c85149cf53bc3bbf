/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Layers laid over each other (image-spec 1.1, layer.md) and written as one squashfs. Two passes:
 * the first learns which file of which layer is left in the end, the second copies those.
 */
#pragma once

#include <caisson/error.h>
#include <caisson/log.h>

#include "image/layers.h"
#include "image/tree.h"

/* Takes one entry of layer @layer, its @ordinal-th (both from 0), into the tree. */
int apply_entry(struct tree *tree, struct archive_entry *entry, uint32_t layer, uint32_t ordinal,
	struct caisson_error *err);

/* @program is SQUASH_PROGRAM, or another that stands in for it. */
int flatten(const struct layer *layers, size_t count, const char *program, const char *output,
	const struct caisson_log *log, struct caisson_error *err);
