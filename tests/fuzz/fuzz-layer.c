/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A layer, whose entries are laid over themselves: the input is there twice. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "image/flatten.h"

#define BYTES_MOST (1u << 20) /* a bomb ends sooner here than in an image */

static int apply_layer(struct tree *tree, const struct layer *layer, uint32_t index)
{
	_cleanup_(layer_closep) struct layer_reader *reader = NULL;
	struct archive_entry *entry;
	struct caisson_error err = {0};
	const void *data;
	uint64_t offset, size_read;
	size_t size;
	int r = layer_open(&reader, layer, BYTES_MOST, &err);

	for (uint32_t ordinal = 0; r >= 0 && (r = layer_next(reader, &entry, &err)) > 0;
		ordinal++) {
		(void)apply_entry(tree, entry, index, ordinal, &err);
		while (ordinal % 2 != 0 && layer_data(reader, &data, &size, &offset, &err) > 0)
			;
	}
	return r < 0 ? r : layer_finish(reader, &size_read, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char digest[] =
		"0000000000000000000000000000000000000000000000000000000000000000";
	_cleanup_tree_ struct tree tree = TREE_NONE;
	_cleanup_blob_ struct blob blob = {.owned = true, .size = size};
	struct layer layer = {.digest = digest, .diff_id = digest};
	struct caisson_error err = {0};
	char path[TREE_PATH_MOST + 1];

	blob.fd = memfd_create("layer", MFD_CLOEXEC);
	if (blob.fd < 0 || write(blob.fd, data, size) != (ssize_t)size || tree_new(&tree, &err) < 0)
		abort();
	layer.blob = blob;
	layer.blob.owned = false;
	(void)apply_layer(&tree, &layer, 0);
	(void)apply_layer(&tree, &layer, 1);
	if (tree_sort(&tree, &err) < 0)
		abort();
	for (struct node *node = tree.root; node != NULL; node = tree_next(&tree, node))
		node_path(node, path);
	return 0;
}
