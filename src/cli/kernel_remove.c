/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/commands.h"
#include "context.h"
#include "kernel/installed.h"

enum { JSON };

static const struct cli_option remove_options[] = {
	[JSON] = {"json", '\0', CLI_FLAG, NULL, "print JSON", NULL},
	{.name = NULL},
};

static int remove_kernel(struct cli_context *context, struct caisson_error *err)
{
	const char *name = context->operands.items[0];
	int r = kernel_installed_remove(caisson_state(context->caisson), name, err);

	return r < 0 ? r : cli_print_name(name, cli_has(context, JSON), err);
}

const struct cli_command command_kernel_remove = {
	.name = "kernel remove",
	.summary = "remove a kernel that was built here",
	.operands = "NAME",
	.complete = "@kernel",
	.details =
		"Machines that run from it have it open, and keep it until they end. When new\n"
		"machines would have started from it, they start from the newest that is left.\n",
	.options = remove_options,
	.needs_state = true,
	.least = 1,
	.most = 1,
	.run = remove_kernel,
};
