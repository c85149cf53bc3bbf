/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <caisson/initramfs.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/path.h"
#include "cli/commands.h"

enum { INTO, SAME_PERMISSIONS };

static const struct cli_option options[] = {
	[INTO] = {"into", '\0', CLI_VALUE, "DIR",
		"a folder that is new or empty (FILE's name and .d)", "@directory"},
	[SAME_PERMISSIONS] = {"same-permissions", '\0', CLI_FLAG, NULL,
		"as root: owners, setuid bits and device nodes, too", NULL},
	{.name = NULL},
};

static int extract(struct cli_context *context, struct caisson_error *err)
{
	const char *path = context->operands.items[0];
	const char *given = cli_value(context, INTO);
	_cleanup_free_ char *into =
		given != NULL ? strdup(given) : format_string("%s.d", path_base(path));
	const struct caisson_initramfs_extract_options extract_options = {.into = into,
		.paths = context->operands.count > 1
				 ? (const char *const *)&context->operands.items[1]
				 : NULL,
		.same_permissions = cli_has(context, SAME_PERMISSIONS)};
	_cleanup_close_ int fd = -1;
	int r;

	if (given != NULL && given[0] == '\0')
		return caisson_refuse(err, EINVAL, "--into names no folder");
	if (into == NULL)
		return caisson_fail(err, ENOMEM, "unpack %s", path);
	if (extract_options.same_permissions && geteuid() != 0)
		return caisson_refuse(err, EPERM, "--same-permissions needs root");
	fd = open_file(path, O_RDONLY, 0, err);
	if (fd < 0)
		return fd;
	r = caisson_initramfs_extract(fd, path, &extract_options, &context->log, err);
	if (r == 0)
		puts(into);
	return r;
}

const struct cli_command command_initramfs_extract = {
	.name = "initramfs extract",
	.summary = "unpack a boot archive into a folder, as the kernel would",
	.operands = "FILE [PATH...]",
	.complete = "@file",
	.details =
		"Nothing is written outside of the folder, whatever stands in the archive. With PATHs,\n"
		"only these and what is below them.\n",
	.options = options,
	.least = 1,
	.run = extract,
};
