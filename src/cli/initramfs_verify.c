/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <caisson/initramfs.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/json.h"
#include "cli/commands.h"

enum { KERNEL, JSON };

static const struct cli_option options[] = {
	[KERNEL] = {"kernel", '\0', CLI_VALUE, "KERNEL",
		"for this kernel: an image, or the release of one in /boot", "@file"},
	[JSON] = {"json", '\0', CLI_FLAG, NULL, "print JSON", NULL},
	{.name = NULL},
};

static int print_problem(const char *path, const char *problem, void *userdata _unused_)
{
	printf("%s%s%s\n", path != NULL ? path : "", path != NULL ? ": " : "", problem);
	return 0;
}

static int append_problem(const char *path, const char *problem, void *userdata)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	if (object == NULL || (path != NULL && !json_set_string(object, "path", path)) ||
		!json_set_string(object, "problem", problem) ||
		!json_append(userdata, take_ptr(object)))
		return -ENOMEM;
	return 0;
}

static int verify(struct cli_context *context, struct caisson_error *err)
{
	const char *path = context->operands.items[0], *kernel = cli_value(context, KERNEL);
	_cleanup_free_ char *image = kernel == NULL ? NULL
				     : strchr(kernel, '/') != NULL || access(kernel, F_OK) == 0
					     ? strdup(kernel)
					     : format_string("/boot/vmlinuz-%s", kernel);
	const struct caisson_initramfs_verify_options verify_options = {
		.kernel = image, .temporary = getenv("TMPDIR")};
	_cleanup_json_ struct json_object *array = json_object_new_array();
	_cleanup_close_ int fd = -1;
	bool json = cli_has(context, JSON);
	int r;

	if (array == NULL || (kernel != NULL && image == NULL))
		return caisson_fail(err, ENOMEM, "verify %s", path);
	fd = open_file(path, O_RDONLY, 0, err);
	if (fd < 0)
		return fd;
	r = caisson_initramfs_verify(
		fd, path, &verify_options, json ? append_problem : print_problem, array, err);
	if (r >= 0 && json && cli_print_json(array, err) < 0)
		return -ENOMEM;
	return r < 0 ? r : r > 0;
}

const struct cli_command command_initramfs_verify = {
	.name = "initramfs verify",
	.summary = "tell what in a boot archive would not work",
	.operands = "FILE",
	.complete = "@file",
	.details =
		"That the kernel takes it, that init and every program find their interpreters and\n"
		"libraries in it, and modules what they depend on. Nothing of it is run. The exit\n"
		"status is 0 when all is well, 1 when there are problems, 2 when that could not be\n"
		"found out.\n",
	.options = options,
	.least = 1,
	.most = 1,
	.failed = 2,
	.run = verify,
};
