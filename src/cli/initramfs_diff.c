/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <caisson/initramfs.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/json.h"
#include "cli/commands.h"

enum { JSON, SUMMARY };

static const struct cli_option options[] = {
	[JSON] = {"json", '\0', CLI_FLAG, NULL, "print JSON", NULL},
	[SUMMARY] = {"summary", '\0', CLI_FLAG, NULL, "print the number of differences alone",
		NULL},
	{.name = NULL},
};

static const struct {
	unsigned int what;
	const char *name;
} kinds[] = {
	{CAISSON_INITRAMFS_ADDED, "added"},
	{CAISSON_INITRAMFS_REMOVED, "removed"},
	{CAISSON_INITRAMFS_TYPE, "type"},
	{CAISSON_INITRAMFS_MODE, "mode"},
	{CAISSON_INITRAMFS_OWNER, "owner"},
	{CAISSON_INITRAMFS_CONTENT, "content"},
	{CAISSON_INITRAMFS_TARGET, "target"},
	{CAISSON_INITRAMFS_DEVICE, "device"},
};

struct counts {
	unsigned int added, removed, changed;
	int64_t size; /* bytes more of contents in the second one */
	bool summary;
	struct json_object *array;
};

static void count(struct counts *counts, const struct caisson_initramfs_difference *difference)
{
	if (difference->what == CAISSON_INITRAMFS_ADDED)
		counts->added++;
	else if (difference->what == CAISSON_INITRAMFS_REMOVED)
		counts->removed++;
	else
		counts->changed++;
	if (difference->a != NULL && S_ISREG(difference->a->mode))
		counts->size -= difference->a->size;
	if (difference->b != NULL && S_ISREG(difference->b->mode))
		counts->size += difference->b->size;
}

/* "mode 0644 -> 0755", with a comma in front of all but the first. */
static void describe(struct strbuf *text, const struct caisson_initramfs_difference *difference)
{
	const struct caisson_initramfs_entry *a = difference->a, *b = difference->b;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if ((difference->what & kinds[i].what) == 0)
			continue;
		if (text->size > 0)
			strbuf_add_string(text, ", ");
		strbuf_add_string(text, kinds[i].name);
		if (kinds[i].what == CAISSON_INITRAMFS_MODE)
			strbuf_add_format(text, " %04o -> %04o", a->mode & 07777, b->mode & 07777);
		else if (kinds[i].what == CAISSON_INITRAMFS_CONTENT && a->size != b->size)
			strbuf_add_format(text, " %u -> %u bytes", a->size, b->size);
		else if (kinds[i].what == CAISSON_INITRAMFS_TARGET)
			strbuf_add_format(text, " %s -> %s", a->target, b->target);
		else if (kinds[i].what == CAISSON_INITRAMFS_DEVICE)
			strbuf_add_format(
				text, " %u:%u -> %u:%u", a->major, a->minor, b->major, b->minor);
	}
}

static int print_difference(const struct caisson_initramfs_difference *difference, void *userdata)
{
	struct counts *counts = userdata;
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	_cleanup_free_ char *line = NULL;

	count(counts, difference);
	if (counts->summary)
		return 0;
	if (difference->a == NULL || difference->b == NULL) {
		line = format_string("%c %s", difference->a == NULL ? '+' : '-', difference->path);
	} else {
		describe(&text, difference);
		line = strbuf_ok(&text) ? format_string("~ %s: %s", difference->path, text.data)
					: NULL;
	}
	if (line == NULL)
		return -ENOMEM;
	text_flatten(line);
	puts(line);
	return 0;
}

static bool set_side(
	struct json_object *to, const char *field, const struct caisson_initramfs_entry *entry)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	char mode[16];

	if (entry == NULL)
		return true;
	snprintf(mode, sizeof(mode), "%06o", entry->mode);
	return object != NULL && json_set_string(object, "mode", mode) &&
	       json_set_uint(object, "size", entry->size) &&
	       (entry->target == NULL || json_set_string(object, "target", entry->target)) &&
	       json_set(to, field, take_ptr(object));
}

static int append_difference(const struct caisson_initramfs_difference *difference, void *userdata)
{
	struct counts *counts = userdata;
	_cleanup_json_ struct json_object *object = json_object_new_object();
	_cleanup_strv_ struct strv what = STRV_INIT;

	count(counts, difference);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if ((difference->what & kinds[i].what) != 0)
			strv_add(&what, kinds[i].name);
	}
	if (object == NULL || !strv_ok(&what) ||
		!json_set_string(object, "path", difference->path) ||
		!json_set_strings(object, "what", &what) || !set_side(object, "a", difference->a) ||
		!set_side(object, "b", difference->b) ||
		!json_append(counts->array, take_ptr(object)))
		return -ENOMEM;
	return 0;
}

static int print_json(struct counts *counts, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	if (object == NULL || !json_set_uint(object, "added", counts->added) ||
		!json_set_uint(object, "removed", counts->removed) ||
		!json_set_uint(object, "changed", counts->changed) ||
		!json_set(object, "size", json_object_new_int64(counts->size)) ||
		(!counts->summary &&
			!json_set(object, "differences", json_object_get(counts->array))))
		return caisson_fail(err, ENOMEM, "print JSON");
	return cli_print_json(object, err);
}

static int diff(struct cli_context *context, struct caisson_error *err)
{
	const char *a = context->operands.items[0], *b = context->operands.items[1];
	_cleanup_close_ int fd_a = open_file(a, O_RDONLY, 0, err);
	_cleanup_close_ int fd_b = fd_a >= 0 ? open_file(b, O_RDONLY, 0, err) : -1;
	_cleanup_json_ struct json_object *array = json_object_new_array();
	struct counts counts = {.summary = cli_has(context, SUMMARY), .array = array};
	bool json = cli_has(context, JSON);
	int r;

	if (fd_a < 0 || fd_b < 0)
		return fd_a < 0 ? fd_a : fd_b;
	if (array == NULL)
		return caisson_fail(err, ENOMEM, "print JSON");
	r = caisson_initramfs_diff(
		fd_a, a, fd_b, b, json ? append_difference : print_difference, &counts, err);
	if (r < 0)
		return r;
	if (json && print_json(&counts, err) < 0)
		return -ENOMEM;
	if (!json && (r > 0 || counts.summary))
		printf("%u added, %u removed, %u changed; %+lld bytes\n", counts.added,
			counts.removed, counts.changed, (long long)counts.size);
	return r > 0;
}

const struct cli_command command_initramfs_diff = {
	.name = "initramfs diff",
	.summary = "compare what two boot archives hold, whatever their compression",
	.operands = "A B",
	.complete = "@file",
	.details = "The exit status is 0 when they hold the same, 1 when they differ, 2 when that\n"
		   "could not be found out.\n",
	.options = options,
	.least = 2,
	.most = 2,
	.failed = 2,
	.run = diff,
};
