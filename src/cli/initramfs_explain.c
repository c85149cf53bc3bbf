/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Why each file of a boot archive is there: as a tree, or in JSON. */
#include <caisson/initramfs.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/strbuf.h"
#include "cli/commands.h"

struct reason {
	char *path, *by, *why;
	uint64_t size;
	bool shown;
};

struct reasons {
	struct reason *items;
	size_t count, capacity;
	uint64_t total;
};

static void reasons_done(struct reasons *reasons)
{
	for (size_t i = 0; i < reasons->count; i++) {
		free(reasons->items[i].path);
		free(reasons->items[i].by);
		free(reasons->items[i].why);
	}
	free(reasons->items);
}

static int take(const struct caisson_initramfs_reason *from, void *userdata)
{
	struct reasons *reasons = userdata;
	struct reason *reason;

	if (reasons->count == reasons->capacity) {
		size_t capacity = 2 * reasons->capacity + 64;
		void *bigger = reallocarray(reasons->items, capacity, sizeof(*reasons->items));

		if (bigger == NULL)
			return -ENOMEM;
		reasons->items = bigger;
		reasons->capacity = capacity;
	}
	reason = &reasons->items[reasons->count++];
	*reason = (struct reason){.path = strdup(from->path),
		.by = from->by != NULL ? strdup(from->by) : NULL,
		.why = strdup(from->why != NULL ? from->why : ""),
		.size = from->size};
	reasons->total += from->size;
	return reason->path != NULL && reason->why != NULL &&
			       (from->by == NULL || reason->by != NULL)
		       ? 0
		       : -ENOMEM;
}

static void say(const struct reason *reason, unsigned int depth)
{
	_cleanup_free_ char *line = NULL;
	char size[32];

	cli_format_size(reason->size, size, sizeof(size));
	line = format_string("%*s/%-*s %10s  %s", (int)(2 * depth), "", (int)(60 - 2 * depth),
		reason->path, size, reason->why);
	if (line == NULL)
		return;
	text_flatten(line);
	puts(line);
}

/* Each once: recursion ends. */
static void show(struct reasons *reasons, size_t index, unsigned int depth)
{
	enum { DEPTH_SHOWN = 16 };
	struct reason *reason = &reasons->items[index];

	reason->shown = true;
	say(reason, depth < DEPTH_SHOWN ? depth : DEPTH_SHOWN);
	for (size_t i = 0; i < reasons->count; i++) {
		if (!reasons->items[i].shown && reasons->items[i].by != NULL &&
			strcmp(reasons->items[i].by, reason->path) == 0)
			show(reasons, i, depth + 1);
	}
}

static void print_tree(struct reasons *reasons)
{
	char size[32];

	for (size_t i = 0; i < reasons->count; i++) {
		if (!reasons->items[i].shown && reasons->items[i].by == NULL)
			show(reasons, i, 0);
	}
	/* Wanted by something that goes by another name here. */
	for (size_t i = 0; i < reasons->count; i++) {
		if (!reasons->items[i].shown)
			show(reasons, i, 0);
	}
	cli_format_size(reasons->total, size, sizeof(size));
	printf("%zu files and links, %s uncompressed\n", reasons->count, size);
}

static int print_json(const struct reasons *reasons, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *array = json_object_new_array();

	for (size_t i = 0; array != NULL && i < reasons->count; i++) {
		const struct reason *reason = &reasons->items[i];
		_cleanup_json_ struct json_object *object = json_object_new_object();

		if (object == NULL || !json_set_string(object, "path", reason->path) ||
			!json_set_uint(object, "size", reason->size) ||
			(reason->by != NULL && !json_set_string(object, "by", reason->by)) ||
			!json_set_string(object, "why", reason->why) ||
			!json_append(array, take_ptr(object)))
			return caisson_fail(err, ENOMEM, "print JSON");
	}
	return cli_print_json(array, err);
}

int cli_explain(struct caisson *caisson, const struct caisson_initramfs_options *options, bool json,
	struct caisson_error *err)
{
	_cleanup_(reasons_done) struct reasons reasons = {NULL, 0, 0, 0};
	int r = caisson_initramfs_explain(caisson, options, take, &reasons, err);

	if (r == -ENOMEM)
		return caisson_fail(err, ENOMEM, "explain the boot archive");
	if (r < 0)
		return r;
	if (json)
		return print_json(&reasons, err);
	print_tree(&reasons);
	return 0;
}
