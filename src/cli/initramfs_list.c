/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <caisson/initramfs.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/json.h"
#include "cli/commands.h"

enum { JSON };

static const struct cli_option list_options[] = {
	[JSON] = {"json", '\0', CLI_FLAG, NULL, "print JSON", NULL},
	{.name = NULL},
};

static void format_mode(mode_t mode, char text[static 11])
{
	static const char letters[] = "rwxrwxrwx";

	text[0] = S_ISDIR(mode)   ? 'd'
		  : S_ISLNK(mode) ? 'l'
		  : S_ISCHR(mode) ? 'c'
		  : S_ISBLK(mode) ? 'b'
				  : '-';
	for (int i = 0; i < 9; i++)
		text[1 + i] = '-';
	for (int i = 0; i < 9; i++) {
		if (mode & (0400u >> i))
			text[1 + i] = letters[i];
	}
	text[10] = '\0';
}

/* A stranger's archive must not talk to the terminal: its names are made plain. */
static int print_entry(const struct caisson_initramfs_entry *entry, void *userdata _unused_)
{
	_cleanup_free_ char *name = format_string("%s%s%s", entry->path,
		entry->target != NULL ? " -> " : "", entry->target != NULL ? entry->target : "");
	char mode[11];

	if (name == NULL)
		return -ENOMEM;
	text_flatten(name);
	format_mode(entry->mode, mode);
	if (S_ISCHR(entry->mode) || S_ISBLK(entry->mode))
		printf("%s %4u, %4u %s\n", mode, entry->major, entry->minor, name);
	else
		printf("%s %10u %s\n", mode, entry->size, name);
	return 0;
}

static int append_entry(const struct caisson_initramfs_entry *entry, void *userdata)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	char mode[11];

	format_mode(entry->mode, mode);
	if (object == NULL || !json_set_string(object, "path", entry->path) ||
		!json_set_string(object, "mode", mode) ||
		!json_set_uint(object, "size", entry->size) ||
		(entry->target != NULL && !json_set_string(object, "target", entry->target)) ||
		!json_append(userdata, take_ptr(object)))
		return -ENOMEM;
	return 0;
}

static int list(struct cli_context *context, struct caisson_error *err)
{
	const char *path = context->operands.items[0];
	_cleanup_close_ int fd = open_file(path, O_RDONLY, 0, err);
	_cleanup_json_ struct json_object *array = NULL;
	int r;

	if (fd < 0)
		return fd;
	if (!cli_has(context, JSON))
		return caisson_initramfs_list(fd, path, print_entry, NULL, err);
	array = json_object_new_array();
	if (array == NULL)
		return caisson_fail(err, ENOMEM, "print JSON");
	r = caisson_initramfs_list(fd, path, append_entry, array, err);
	if (r < 0)
		return r;
	return cli_print_json(array, err);
}

const struct cli_command command_initramfs_list = {
	.name = "initramfs list",
	.summary = "list what is in a boot archive, compressed or not",
	.operands = "FILE",
	.complete = "@file",
	.options = list_options,
	.least = 1,
	.most = 1,
	.run = list,
};
