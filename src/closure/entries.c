/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "closure/entries.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void entry_done(struct closure_entry *entry)
{
	free(entry->path);
	free(entry->target);
	free(entry->source);
	free(entry->data);
	free(entry->wanted_by);
	*entry = (struct closure_entry){0};
}

static int make_room(struct entries *entries)
{
	size_t capacity = 2 * entries->capacity + 64;
	struct closure_entry *bigger;

	if (entries->count < entries->capacity)
		return 0;
	bigger = reallocarray(entries->items, capacity, sizeof(*bigger));
	if (bigger == NULL)
		return -ENOMEM;
	entries->items = bigger;
	entries->capacity = capacity;
	return 0;
}

static int add_node(struct entries *entries, struct node *node, enum closure_role role,
	const struct location *wanted_by, const char *rule)
{
	const struct root *root = &entries->set->root;
	_cleanup_free_ char *path = NULL, *asker = NULL, *text = NULL;
	bool link = node->kind == NODE_SYMLINK;

	if (node->listed)
		return 0;
	path = root_path(root, node);
	asker = wanted_by != NULL ? root_path(root, wanted_by->node) : NULL;
	text = link ? strdup(node->target) : root_source(root, node);
	if (path == NULL || text == NULL || (wanted_by != NULL && asker == NULL) ||
		make_room(entries) < 0)
		return -ENOMEM;
	entries->items[entries->count++] = (struct closure_entry){
		.path = take_ptr(path),
		.kind = link ? CLOSURE_SYMLINK : CLOSURE_FILE,
		.role = role,
		.target = link ? text : NULL,
		.source = link ? NULL : text,
		.mode = node->mode,
		.size = link ? 0 : node->size,
		.device = node->device,
		.inode = node->inode,
		.wanted_by = take_ptr(asker),
		.rule = rule,
	};
	text = NULL;
	entries->sorted = false;
	node->listed = true;
	return 0;
}

static int add_name(
	struct entries *entries, const char *path, const char *real, enum closure_role role)
{
	struct atom *from = atom_intern(&entries->set->atoms, path, strlen(path));
	struct atom *to = atom_intern(&entries->set->atoms, real, strlen(real));

	if (entries->name_count == entries->name_capacity) {
		size_t capacity = 2 * entries->name_capacity + 64;
		void *bigger = reallocarray(entries->names, capacity, sizeof(*entries->names));

		if (bigger == NULL)
			return -ENOMEM;
		entries->names = bigger;
		entries->name_capacity = capacity;
	}
	if (from == NULL || to == NULL)
		return -ENOMEM;
	entries->names[entries->name_count++] = (struct closure_name){from->text, to->text, role};
	return 0;
}

int entries_keep(struct entries *entries, struct location *location, enum closure_role role,
	const struct location *wanted_by, const char *rule, struct caisson_error *err)
{
	_cleanup_free_ char *real = NULL;
	int r = 0;

	if (location->kept)
		return 0;
	for (size_t i = 0; i < location->link_count && r >= 0; i++)
		r = add_node(entries, location->links[i], role, wanted_by, rule);
	if (r >= 0)
		r = add_node(entries, location->node, role, wanted_by, rule);
	if (r >= 0) {
		real = root_path(&entries->set->root, location->node);
		r = real != NULL ? add_name(entries, location->path->text, real, role) : -ENOMEM;
	}
	if (r < 0)
		return caisson_fail(err, r, "list %s", location->path->text);
	location->kept = true;
	return 0;
}

static struct closure_entry *find_data(struct entries *entries, const char *path)
{
	for (size_t i = 0; i < entries->count; i++) {
		if (entries->items[i].kind == CLOSURE_DATA &&
			strcmp(entries->items[i].path, path) == 0)
			return &entries->items[i];
	}
	return NULL;
}

int entries_put_data(struct entries *entries, const char *path, char *data, size_t size,
	const struct location *wanted_by, const char *rule, struct caisson_error *err)
{
	_cleanup_free_ char *owned = data, *copy = NULL, *asker = NULL;
	struct closure_entry *entry = find_data(entries, path);

	if (entry == NULL) {
		copy = strdup(path);
		asker = wanted_by != NULL ? root_path(&entries->set->root, wanted_by->node) : NULL;
		if (copy == NULL || (wanted_by != NULL && asker == NULL) ||
			make_room(entries) < 0 || add_name(entries, path, path, CLOSURE_CONFIG) < 0)
			return caisson_fail(err, ENOMEM, "list %s", path);
		entry = &entries->items[entries->count++];
		*entry = (struct closure_entry){
			.path = take_ptr(copy),
			.kind = CLOSURE_DATA,
			.role = CLOSURE_CONFIG,
			.mode = 0644,
			.wanted_by = take_ptr(asker),
			.rule = rule,
		};
		entries->sorted = false;
	}
	free(entry->data);
	entry->data = take_ptr(owned);
	entry->size = size;
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct closure_entry *left = a, *right = b;

	return strcmp(left->path, right->path);
}

void entries_sort(struct entries *entries)
{
	if (!entries->sorted && entries->count > 0)
		qsort(entries->items, entries->count, sizeof(*entries->items), compare);
	entries->sorted = true;
}

void entries_done(struct entries *entries)
{
	for (size_t i = 0; i < entries->count; i++)
		entry_done(&entries->items[i]);
	free(entries->items);
	free(entries->names);
}
