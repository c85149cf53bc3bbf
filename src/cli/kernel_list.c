/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/kernel.h"
#include "context.h"
#include "kernel/installed.h"

enum { JSON };

static const struct cli_option list_options[] = {
	[JSON] = {"json", '\0', CLI_FLAG, NULL, "print JSON", NULL},
	{.name = NULL},
};

static void print_kernels(const struct kernel_installed_list *list)
{
	int width = (int)strlen("NAME");

	for (size_t i = 0; i < list->count; i++)
		width = MAX(width, (int)strlen(list->items[i].name));
	printf("  %-*s  %-12s  %-16s  %10s  %10s\n", width, "NAME", "PROFILE", "RELEASE",
		KERNEL_BZIMAGE, KERNEL_VMLINUX);
	for (size_t i = 0; i < list->count; i++) {
		const struct kernel_installed *kernel = &list->items[i];
		char bzimage[32], vmlinux[32];

		cli_format_size(kernel->bzimage_size, bzimage, sizeof(bzimage));
		cli_format_size(kernel->vmlinux_size, vmlinux, sizeof(vmlinux));
		printf("%c %-*s  %-12s  %-16s  %10s  %10s\n", kernel->is_default ? '*' : ' ', width,
			kernel->name, kernel->profile, kernel->release, bzimage, vmlinux);
	}
}

static struct json_object *kernel_json(const struct kernel_installed *kernel)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	if (object == NULL || !json_set_string(object, "name", kernel->name) ||
		!json_set_string(object, "profile", kernel->profile) ||
		!json_set_string(object, "release", kernel->release) ||
		!cli_json_text(object, "source", kernel->source) ||
		!json_set_strings(object, "arguments", &kernel->arguments) ||
		!json_set_uint(object, "bzImage", kernel->bzimage_size) ||
		!json_set_uint(object, "vmlinux", kernel->vmlinux_size) ||
		!json_set_string(object, "folder", kernel->folder) ||
		!json_set_bool(object, "default", kernel->is_default))
		return NULL;
	return take_ptr(object);
}

static int print_json(const struct kernel_installed_list *list, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *array = json_object_new_array();

	for (size_t i = 0; array != NULL && i < list->count; i++) {
		if (!json_append(array, kernel_json(&list->items[i])))
			return caisson_fail(err, ENOMEM, "print JSON");
	}
	return cli_print_json(array, err);
}

static int list(struct cli_context *context, struct caisson_error *err)
{
	_cleanup_kernel_installed_list_ struct kernel_installed_list kernels =
		KERNEL_INSTALLED_LIST_NONE;
	int r = kernel_installed_list(
		caisson_state(context->caisson), &context->log, &kernels, err);

	if (r < 0)
		return r;
	if (cli_has(context, JSON))
		return print_json(&kernels, err);
	if (kernels.count > 0)
		print_kernels(&kernels);
	return 0;
}

const struct cli_command command_kernel_list = {
	.name = "kernel list",
	.summary = "list the kernels that were built here",
	.details = "The newest comes first. New machines start from the one with the '*'; without\n"
		   "any, from the newest in /boot.\n",
	.options = list_options,
	.needs_state = true,
	.run = list,
};
