/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <caisson/initramfs.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/io.h"
#include "base/json.h"
#include "cli/commands.h"

enum { JSON };

static const struct cli_option options[] = {
	[JSON] = {"json", '\0', CLI_FLAG, NULL, "print JSON", NULL},
	{.name = NULL},
};

static void print_member(const struct caisson_initramfs_member *member, size_t number)
{
	printf("%3zu %10llu %10llu  %-6s %10llu %8llu", number, (unsigned long long)member->offset,
		(unsigned long long)member->size, member->compression,
		(unsigned long long)member->content, (unsigned long long)member->entries);
	if (member->check != NULL)
		printf("  check %s", member->check);
	if (member->window > 0) {
		char window[32];

		cli_format_size(member->window, window, sizeof(window));
		printf(", window %s", window);
	}
	putchar('\n');
	if (member->refused != NULL)
		printf("      no kernel takes it: %s\n", member->refused);
	if (member->damage != NULL)
		printf("      %s\n", member->damage);
}

static void print_microcode(const struct caisson_initramfs_info *info)
{
	for (size_t i = 0; i < info->microcode_count; i++) {
		const struct caisson_initramfs_microcode *update = &info->microcode[i];

		printf("microcode  %s signature 0x%08x revision 0x%08x of %04x-%02x-%02x",
			update->vendor, update->signature, update->revision, update->date & 0xffff,
			update->date >> 24, update->date >> 16 & 0xff);
		if (update->platforms != 0)
			printf(" platforms 0x%x", update->platforms);
		if (update->problem != NULL)
			printf(": %s", update->problem);
		putchar('\n');
	}
	if (info->equivalences > 0)
		printf("microcode  AMD's table names %llu processors\n",
			(unsigned long long)info->equivalences);
}

static void print_text(const struct caisson_initramfs_info *info)
{
	printf("  #     offset       size  packed     content  entries\n");
	for (size_t i = 0; i < info->member_count; i++)
		print_member(&info->members[i], i + 1);
	print_microcode(info);
	for (size_t i = 0; info->releases[i] != NULL; i++)
		printf("modules    %s\n", info->releases[i]);
	if (info->init == NULL)
		printf("init       none\n");
	else
		printf("init       %s, %s\n", info->init, info->init_kind);
	printf("made by    %s\n", info->maker != NULL ? info->maker : "does not show");
}

static bool set_optional(struct json_object *object, const char *field, const char *text)
{
	return text == NULL || json_set_string(object, field, text);
}

static struct json_object *member_json(const struct caisson_initramfs_member *member)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	if (object != NULL && json_set_uint(object, "offset", member->offset) &&
		json_set_uint(object, "size", member->size) &&
		json_set_string(object, "compression", member->compression) &&
		json_set_uint(object, "content", member->content) &&
		json_set_uint(object, "entries", member->entries) &&
		set_optional(object, "check", member->check) &&
		(member->window == 0 || json_set_uint(object, "window", member->window)) &&
		set_optional(object, "refused", member->refused) &&
		set_optional(object, "damage", member->damage))
		return take_ptr(object);
	return NULL;
}

static struct json_object *microcode_json(const struct caisson_initramfs_microcode *update)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	char signature[16], revision[16], date[16];

	snprintf(signature, sizeof(signature), "0x%08x", update->signature);
	snprintf(revision, sizeof(revision), "0x%08x", update->revision);
	snprintf(date, sizeof(date), "%04x-%02x-%02x", update->date & 0xffff, update->date >> 24,
		update->date >> 16 & 0xff);
	if (object != NULL && json_set_string(object, "vendor", update->vendor) &&
		json_set_string(object, "signature", signature) &&
		json_set_string(object, "revision", revision) &&
		json_set_string(object, "date", date) &&
		json_set_uint(object, "platforms", update->platforms) &&
		json_set_uint(object, "member", update->member) &&
		set_optional(object, "problem", update->problem))
		return take_ptr(object);
	return NULL;
}

static struct json_object *list_json(const struct caisson_initramfs_info *info, bool microcode)
{
	_cleanup_json_ struct json_object *array = json_object_new_array();
	size_t count = microcode ? info->microcode_count : info->member_count;

	for (size_t i = 0; array != NULL && i < count; i++) {
		if (!json_append(array, microcode ? microcode_json(&info->microcode[i])
						  : member_json(&info->members[i])))
			return NULL;
	}
	return take_ptr(array);
}

static int print_json(const struct caisson_initramfs_info *info, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	_cleanup_strv_ struct strv releases = STRV_INIT;

	for (size_t i = 0; info->releases[i] != NULL; i++)
		strv_add(&releases, info->releases[i]);
	if (object == NULL || !strv_ok(&releases) || !json_set_uint(object, "size", info->size) ||
		!json_set(object, "members", list_json(info, false)) ||
		!json_set(object, "microcode", list_json(info, true)) ||
		!json_set_uint(object, "amd_equivalences", info->equivalences) ||
		!json_set_strings(object, "releases", &releases) ||
		!set_optional(object, "init", info->init) ||
		!set_optional(object, "init_kind", info->init_kind) ||
		!set_optional(object, "maker", info->maker) ||
		!set_optional(object, "damage", info->damage))
		return caisson_fail(err, ENOMEM, "print JSON");
	return cli_print_json(object, err);
}

static int inspect(struct cli_context *context, struct caisson_error *err)
{
	const char *path = context->operands.items[0];
	_cleanup_close_ int fd = open_file(path, O_RDONLY, 0, err);
	struct caisson_initramfs_info *info = NULL;
	bool damaged;
	int r;

	if (fd < 0)
		return fd;
	r = caisson_initramfs_inspect(fd, path, &info, err);
	if (r < 0)
		return r;
	if (cli_has(context, JSON))
		r = print_json(info, err);
	else
		print_text(info);
	damaged = info->damage != NULL;
	if (damaged)
		fprintf(stderr, "caisson initramfs inspect: %s\n", info->damage);
	for (size_t i = 0; i < info->member_count; i++)
		damaged = damaged || info->members[i].damage != NULL;
	caisson_initramfs_info_free(info);
	return r < 0 ? r : damaged;
}

const struct cli_command command_initramfs_inspect = {
	.name = "initramfs inspect",
	.summary = "show the parts of a boot archive, and what it says about itself",
	.operands = "FILE",
	.complete = "@file",
	.details = "The exit status is 1 when some of it cannot be read.\n",
	.options = options,
	.least = 1,
	.most = 1,
	.run = inspect,
};
