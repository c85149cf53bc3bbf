/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/flatten.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "image/output.h"

/*
 * Names are bytes. In a UTF-8 locale libarchive composes what pax headers hold (NFC), which makes
 * two names of one; in the C locale it cannot convert anything and hands the bytes over.
 */
static locale_t enter_bytes(locale_t *ret_bytes)
{
	*ret_bytes = newlocale(LC_CTYPE_MASK, "C", (locale_t)0);
	return *ret_bytes != (locale_t)0 ? uselocale(*ret_bytes) : (locale_t)0;
}

static void leave_bytes(locale_t bytes, locale_t before)
{
	if (bytes == (locale_t)0)
		return;
	uselocale(before);
	freelocale(bytes);
}

/* What the image has used of its bounds. */
struct budget {
	uint64_t stream_bytes; /* tar streams */
	uint64_t file_bytes;   /* sparse files take few of the former */
	uint64_t entries;
};

static int spend(struct budget *budget, struct archive_entry *entry, struct caisson_error *err)
{
	uint64_t size = (uint64_t)MAX(archive_entry_size(entry), (la_int64_t)0);

	if (++budget->entries > TREE_ENTRIES_MOST)
		return caisson_refuse(err, EFBIG,
			"the image's layers have more than the %u entries that are allowed",
			TREE_ENTRIES_MOST);
	if (size > STREAM_BYTES_MOST - budget->file_bytes)
		return caisson_refuse(err, EFBIG,
			"its files become larger than the %llu GiB that an image may have "
			"uncompressed",
			STREAM_BYTES_MOST >> 30);
	budget->file_bytes += size;
	return 0;
}

static int learn_layer(struct tree *tree, const struct layer *layer, uint32_t index,
	struct budget *budget, struct caisson_error *err)
{
	_cleanup_(layer_closep) struct layer_reader *reader = NULL;
	struct archive_entry *entry;
	uint64_t size;
	int r = layer_open(&reader, layer, STREAM_BYTES_MOST - budget->stream_bytes, err);

	if (r < 0)
		return r;
	for (uint32_t ordinal = 0; (r = layer_next(reader, &entry, err)) > 0; ordinal++) {
		r = spend(budget, entry, err);
		if (r == 0)
			r = apply_entry(tree, entry, index, ordinal, err);
		if (r < 0)
			return r;
	}
	if (r == 0)
		r = layer_finish(reader, &size, err);
	if (r == 0)
		budget->stream_bytes += size;
	return r;
}

/* The files whose data has to be copied, in the order in which the layers give it. */
struct copies {
	struct inode **items;
	size_t count, next;
};

static void free_copies(struct copies *copies)
{
	free(copies->items);
}

static int compare_copies(const void *a, const void *b)
{
	const struct inode *const *left = a, *const *right = b;

	if ((*left)->layer != (*right)->layer)
		return (*left)->layer < (*right)->layer ? -1 : 1;
	return ((*left)->ordinal > (*right)->ordinal) - ((*left)->ordinal < (*right)->ordinal);
}

/* Each file goes out under the first of its names. */
static int collect_copies(struct tree *tree, struct copies *copies, struct caisson_error *err)
{
	copies->items = calloc(tree->node_count, sizeof(struct inode *));
	if (copies->items == NULL)
		return caisson_fail(err, ENOMEM, "list an image's files");
	for (struct node *node = tree->root; node != NULL; node = tree_next(tree, node)) {
		if (!S_ISREG(node->inode->mode) || node->inode->written != NULL)
			continue;
		node->inode->written = node;
		copies->items[copies->count++] = node->inode;
	}
	if (copies->count > 1)
		qsort(copies->items, copies->count, sizeof(struct inode *), compare_copies);
	return 0;
}

static int copy_data(struct output *output, struct layer_reader *reader, const struct inode *inode,
	struct caisson_error *err)
{
	const void *data;
	uint64_t at = 0, offset;
	size_t size;
	int r = output_node(output, inode->written, err);

	while (r == 0 && (r = layer_data(reader, &data, &size, &offset, err)) > 0) {
		/* The digest was right once; should the file change now, it is noticed later. */
		if (offset < at || offset > inode->size || size > inode->size - offset)
			return caisson_refuse(err, EBADMSG, "a layer changed while it was read");
		r = output_zeros(output, offset - at, err);
		if (r == 0)
			r = output_data(output, data, size, err);
		at = offset + size;
	}
	return r == 0 ? output_zeros(output, inode->size - at, err) : r;
}

static int copy_layer(struct output *output, const struct layer *layer, uint32_t index,
	struct copies *copies, struct caisson_error *err)
{
	_cleanup_(layer_closep) struct layer_reader *reader = NULL;
	struct archive_entry *entry;
	uint64_t size;
	int r;

	/* All of it was replaced by later layers: nothing to read. */
	if (copies->next == copies->count || copies->items[copies->next]->layer != index)
		return 0;
	r = layer_open(&reader, layer, STREAM_BYTES_MOST, err);
	if (r < 0)
		return r;
	for (uint32_t ordinal = 0; (r = layer_next(reader, &entry, err)) > 0; ordinal++) {
		const struct inode *inode;

		if (copies->next == copies->count)
			continue;
		inode = copies->items[copies->next];
		if (inode->layer != index || inode->ordinal != ordinal)
			continue;
		r = copy_data(output, reader, inode, err);
		if (r < 0)
			return r;
		copies->next++;
	}
	if (r == 0)
		r = layer_finish(reader, &size, err);
	if (r == 0 && copies->next < copies->count && copies->items[copies->next]->layer == index)
		return caisson_refuse(err, EBADMSG, "a layer changed while it was read");
	return r;
}

/* Folders before what is in them; what is neither folder nor data, and further names, at the end.
 */
static int write_nodes(
	struct tree *tree, struct output *output, bool folders, struct caisson_error *err)
{
	int r = 0;

	for (struct node *node = tree->root; r == 0 && node != NULL; node = tree_next(tree, node)) {
		if (S_ISDIR(node->inode->mode) != folders || node->inode->written == node)
			continue;
		r = output_node(output, node, err);
		if (r == 0 && node->inode->written == NULL)
			node->inode->written = node;
	}
	return r;
}

static int name_layer(const struct layer *layer, size_t index, int r, struct caisson_error *err)
{
	layer_blame(layer, r, err);
	caisson_wrap(err, "layer %zu (sha256:%.12s)", index + 1, layer->digest);
	return r;
}

static int write_tree(const struct layer *layers, size_t count, struct tree *tree,
	struct output *output, struct caisson_error *err)
{
	_cleanup_(free_copies) struct copies copies = {.items = NULL};
	int r = tree_sort(tree, err);

	if (r == 0)
		r = collect_copies(tree, &copies, err);
	if (r == 0)
		r = write_nodes(tree, output, true, err);
	for (size_t i = 0; r == 0 && i < count; i++) {
		r = copy_layer(output, &layers[i], (uint32_t)i, &copies, err);
		if (r == -EBADMSG)
			r = name_layer(&layers[i], i, r, err);
	}
	return r == 0 ? write_nodes(tree, output, false, err) : r;
}

static int flatten_layers(const struct layer *layers, size_t count, const char *program,
	const char *path, const struct caisson_log *log, struct caisson_error *err)
{
	_cleanup_tree_ struct tree tree = TREE_NONE;
	_cleanup_output_ struct output output = OUTPUT_NONE;
	struct budget budget = {0};
	int r = tree_new(&tree, err);

	for (size_t i = 0; r == 0 && i < count; i++) {
		r = learn_layer(&tree, &layers[i], (uint32_t)i, &budget, err);
		if (r < 0)
			return name_layer(&layers[i], i, r, err);
	}
	if (r < 0)
		return r;
	log_debug(log, "%zu layers, %llu entries, %llu bytes uncompressed, %zu files in the end",
		count, (unsigned long long)budget.entries, (unsigned long long)budget.stream_bytes,
		tree.node_count);
	r = output_open(&output, program, path, err);
	if (r == 0)
		r = write_tree(layers, count, &tree, &output, err);
	return r == 0 ? output_finish(&output, err) : r;
}

int flatten(const struct layer *layers, size_t count, const char *program, const char *output,
	const struct caisson_log *log, struct caisson_error *err)
{
	locale_t bytes, before = enter_bytes(&bytes);
	int r = flatten_layers(layers, count, program, output, log, err);

	leave_bytes(bytes, before);
	return r;
}
