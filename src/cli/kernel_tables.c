/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/kernel_tables.h"

#include <string.h>

#include "kernel/requirements.h"

/* A cell: '|' would end it, and the rest of Markdown is left to the fragments' authors. */
static void print_cell(FILE *to, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '|')
			fputc('\\', to);
		fputc(*text, to);
	}
}

static void print_option(FILE *to, const struct kernel_requirement *one)
{
	const char *name = one->option + strlen("CONFIG_");

	if (strcmp(one->value, "y") == 0)
		fprintf(to, "| `%s`", name);
	else
		fprintf(to, "| `%s=%s`", name, one->value);
	if (one->alternatives != NULL) {
		fputs(" or `", to);
		print_cell(to, one->alternatives);
		fputc('`', to);
	}
	if (one->since != 0)
		fprintf(to, " from %u.%u", KERNEL_VERSION_MAJOR(one->since),
			KERNEL_VERSION_MINOR(one->since));
	if (one->until != 0)
		fprintf(to, " before %u.%u", KERNEL_VERSION_MAJOR(one->until),
			KERNEL_VERSION_MINOR(one->until));
	fprintf(to, " | %s%s | %s%s%s | ", kernel_feature_name(one->feature),
		one->optional ? " (wish)" : "", one->module != NULL ? "`" : "",
		one->module != NULL ? one->module : "", one->module != NULL ? "`" : "");
	print_cell(to, one->reason);
	fputs(" |\n", to);
}

static void print_profile(FILE *to, const struct kernel_profile *profile)
{
	fprintf(to, "\n### %s\n\n%s\n\nFragments:", profile->name, profile->summary);
	for (size_t i = 0; i < profile->fragment_count; i++)
		fprintf(to, "%s %s", i > 0 ? "," : "", profile->fragments[i]);
	fputs(".\n\n| argument | where | why |\n|---|---|---|\n", to);
	for (size_t i = 0; i < profile->argument_count; i++) {
		const struct kernel_argument *argument = &profile->arguments[i];

		fprintf(to, "| `%s` | %s | ", argument->argument,
			kernel_feature_name(argument->feature));
		print_cell(to, argument->reason);
		fputs(" |\n", to);
	}
}

void cli_print_kernel_tables(FILE *to)
{
	const char *fragment = "";
	size_t count;
	const struct kernel_requirement *table = kernel_requirements(&count);
	const struct kernel_profile *profiles;

	fputs("## Options\n", to);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(table[i].fragment, fragment) != 0) {
			fragment = table[i].fragment;
			fprintf(to,
				"\n### %s\n\n| option | for | module | without it |\n|---|---|---|---|\n",
				fragment);
		}
		print_option(to, &table[i]);
	}
	fputs("\n## Profiles\n", to);
	profiles = kernel_profiles(&count);
	for (size_t i = 0; i < count; i++)
		print_profile(to, &profiles[i]);
}
