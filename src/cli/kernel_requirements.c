/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/kernel.h"
#include "cli/kernel_tables.h"

enum { PROFILE, FOR, MARKDOWN, JSON };

static const struct cli_option options[] = {
	[PROFILE] = {"profile", '\0', CLI_VALUE, "PROFILE",
		"all that a profile of caisson's own kernels has, with its kernel arguments",
		KERNEL_PROFILE_WORDS},
	[FOR] = {"for", '\0', CLI_LIST, "WHAT",
		"of these features and machines, between commas (default: of all)",
		"microvm q35 firecracker cloud-hypervisor " KERNEL_FEATURE_WORDS},
	[MARKDOWN] = {"markdown", '\0', CLI_FLAG, NULL, "print the tables of docs/kernel.md", NULL},
	[JSON] = {"json", '\0', CLI_FLAG, NULL, "print JSON", NULL},
	{.name = NULL},
};

static void print_value(const struct kernel_requirement *one)
{
	if (strcmp(one->value, "n") == 0)
		printf("# %s is not set\n", one->option);
	else
		printf("%s=%s\n", one->option, one->value);
}

static void print_one(const struct kernel_requirement *one)
{
	print_value(one);
	printf("    %s%s: %s\n", kernel_feature_name(one->feature), one->optional ? ", a wish" : "",
		one->reason);
	if (one->module != NULL)
		printf("    or the module %s\n", one->module);
	if (one->alternatives != NULL)
		printf("    or %s\n", one->alternatives);
	if (one->since != 0)
		printf("    from %u.%u on\n", KERNEL_VERSION_MAJOR(one->since),
			KERNEL_VERSION_MINOR(one->since));
	if (one->until != 0)
		printf("    before %u.%u\n", KERNEL_VERSION_MAJOR(one->until),
			KERNEL_VERSION_MINOR(one->until));
}

static void print_arguments(const struct kernel_profile *profile)
{
	printf("\nOn the kernel command line:\n");
	for (size_t i = 0; i < profile->argument_count; i++) {
		const struct kernel_argument *one = &profile->arguments[i];

		printf("%s\n    %s%s%s\n", one->argument,
			(one->feature & ~(unsigned int)KERNEL_BASE) != 0
				? kernel_feature_name(one->feature)
				: "",
			(one->feature & ~(unsigned int)KERNEL_BASE) != 0 ? ": " : "", one->reason);
	}
}

static int append_arguments(struct json_object *object, const struct kernel_profile *profile)
{
	_cleanup_json_ struct json_object *array = json_object_new_array();

	for (size_t i = 0; array != NULL && i < profile->argument_count; i++) {
		_cleanup_json_ struct json_object *one = json_object_new_object();
		const struct kernel_argument *argument = &profile->arguments[i];

		if (one == NULL || !json_set_string(one, "argument", argument->argument) ||
			!json_set_string(one, "feature", kernel_feature_name(argument->feature)) ||
			!json_set_string(one, "reason", argument->reason) ||
			!json_append(array, take_ptr(one)))
			return -ENOMEM;
	}
	return json_set(object, "arguments", take_ptr(array)) ? 0 : -ENOMEM;
}

static int print_object(const struct cli_kernel_choice *choice, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	_cleanup_json_ struct json_object *array = json_object_new_array();
	size_t count;
	const struct kernel_requirement *table = kernel_requirements(&count);
	int r = object == NULL || array == NULL ? -ENOMEM : 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		if (cli_kernel_chosen(choice, &table[i], 0) &&
			!json_append(array, cli_requirement_json(&table[i])))
			r = -ENOMEM;
	}
	if (r == 0 && choice->profile != NULL)
		r = json_set_string(object, "profile", choice->profile->name)
			    ? append_arguments(object, choice->profile)
			    : -ENOMEM;
	if (r < 0 || !json_set(object, "requirements", take_ptr(array)))
		return caisson_fail(err, ENOMEM, "print JSON");
	return cli_print_json(object, err);
}

static int run(struct cli_context *context, struct caisson_error *err)
{
	struct cli_kernel_choice choice;
	size_t count;
	const struct kernel_requirement *table = kernel_requirements(&count);
	int r = cli_kernel_choose(
		&context->given[FOR].values, cli_value(context, PROFILE), &choice, err);

	if (r < 0)
		return r;
	if (choice.either_way)
		choice.features = ~0u;
	if (cli_has(context, MARKDOWN)) {
		cli_print_kernel_tables(stdout);
		return 0;
	}
	if (cli_has(context, JSON))
		return print_object(&choice, err);
	for (size_t i = 0; i < count; i++) {
		if (cli_kernel_chosen(&choice, &table[i], 0))
			print_one(&table[i]);
	}
	if (choice.profile != NULL)
		print_arguments(choice.profile);
	return 0;
}

const struct cli_command command_kernel_requirements = {
	.name = "kernel requirements",
	.summary = "list what caisson's features need of a kernel, and why",
	.details =
		"Each option with the feature that wants it and what does not work without it. With\n"
		"--profile, all options of that profile, and its kernel command line.\n",
	.options = options,
	.run = run,
};
