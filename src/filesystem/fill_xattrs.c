/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filesystem/fill_xattrs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct ext4_xattr *slot_for(struct fill_xattrs *xattrs, const char *name)
{
	for (size_t i = 0; i < xattrs->count; i++) {
		if (strcmp(xattrs->list[i].name, name) == 0)
			return &xattrs->list[i];
	}
	if (xattrs->count == xattrs->capacity) {
		size_t capacity = xattrs->capacity > 0 ? xattrs->capacity * 2 : 8;
		struct ext4_xattr *list =
			reallocarray(xattrs->list, capacity, sizeof(*xattrs->list));

		if (list == NULL)
			return NULL;
		xattrs->list = list;
		xattrs->capacity = capacity;
	}
	xattrs->list[xattrs->count] = (struct ext4_xattr){.name = NULL};
	return &xattrs->list[xattrs->count++];
}

int fill_xattrs_add(struct fill_xattrs *xattrs, const char *name, const void *value, size_t size,
	struct caisson_error *err)
{
	_cleanup_free_ char *name_copy = NULL, *value_copy = NULL;
	struct ext4_xattr *slot;

	if (!ext4_xattr_known(name))
		return 0;
	/* All of them must fit into a block; and looking for twins must not take long. */
	if (size > FILL_XATTR_MOST || xattrs->count > EXT4_BLOCK_SIZE / 20)
		return caisson_refuse(
			err, E2BIG, "its extended attributes are more than ext4 has room for");
	name_copy = strdup(name);
	value_copy = malloc(size > 0 ? size : 1);
	slot = name_copy != NULL && value_copy != NULL ? slot_for(xattrs, name) : NULL;
	if (slot == NULL)
		return caisson_fail(err, ENOMEM, "read extended attributes");
	if (size > 0)
		memcpy(value_copy, value, size);
	free((void *)slot->name);
	free((void *)slot->value);
	*slot = (struct ext4_xattr){
		.name = take_ptr(name_copy), .value = take_ptr(value_copy), .size = size};
	return 0;
}

void fill_xattrs_clear(struct fill_xattrs *xattrs)
{
	for (size_t i = 0; i < xattrs->count; i++) {
		free((void *)xattrs->list[i].name);
		free((void *)xattrs->list[i].value);
	}
	xattrs->count = 0;
}

void fill_xattrs_done(struct fill_xattrs *xattrs)
{
	fill_xattrs_clear(xattrs);
	free(xattrs->list);
	*xattrs = FILL_XATTRS_NONE;
}
