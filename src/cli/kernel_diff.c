/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/kernel.h"
#include "kernel/config_read.h"
#include "kernel/difference.h"

enum { RUNNING, ALL, JSON };

static const struct cli_option options[] = {
	[RUNNING] = {"running", '\0', CLI_FLAG, NULL,
		"take the running kernel in the place of A, and compare it with the one operand",
		NULL},
	[ALL] = {"all", '\0', CLI_FLAG, NULL,
		"show every option that differs, and not only those that caisson has a use for",
		NULL},
	[JSON] = {"json", '\0', CLI_FLAG, NULL, "print JSON", NULL},
	{.name = NULL},
};

/* A or B. */
struct side {
	struct kernel_config config;
	const struct kernel_profile *profile; /* then @config is made of it */
};

static const char *const places[] = {
	[KERNEL_CONFIG_FILE] = "file",
	[KERNEL_CONFIG_EMBEDDED] = "embedded",
	[KERNEL_CONFIG_BESIDE] = "beside",
};

struct counts {
	unsigned int wanted, others;
	bool all;
	struct json_object *array;
};

/* Of our own kernels alone: nothing that another kernel has to have. */
static bool is_asked_of_all(const struct kernel_requirement *requirement)
{
	return requirement->feature != 0;
}

/* Counts it; whether it is to be shown. */
static bool count(struct counts *counts, const struct kernel_difference *difference)
{
	for (size_t i = 0; i < difference->wanted_count; i++) {
		if (is_asked_of_all(difference->wanted[i])) {
			counts->wanted++;
			return true;
		}
	}
	counts->others++;
	return counts->all;
}

static int print_difference(const struct kernel_difference *difference, void *userdata)
{
	struct counts *counts = userdata;
	_cleanup_free_ char *line = NULL;

	if (!count(counts, difference))
		return 0;
	if (difference->a != NULL && difference->b != NULL)
		line = format_string(
			"~ %s: %s -> %s", difference->option, difference->a, difference->b);
	else
		line = format_string("%c %s=%s", difference->a == NULL ? '+' : '-',
			difference->option, difference->a == NULL ? difference->b : difference->a);
	if (line == NULL)
		return -ENOMEM;
	cli_print_flat(line);
	putchar('\n');
	for (size_t i = 0; i < difference->wanted_count; i++) {
		const struct kernel_requirement *wanted = difference->wanted[i];
		bool another = strcmp(wanted->option, difference->option) != 0;

		printf("      %s%s: %s%s%s%s\n", kernel_feature_name(wanted->feature),
			wanted->optional ? ", a wish" : "", another ? "in the place of " : "",
			another ? wanted->option : "", another ? ": " : "", wanted->reason);
	}
	return 0;
}

static int append_difference(const struct kernel_difference *difference, void *userdata)
{
	struct counts *counts = userdata;
	_cleanup_json_ struct json_object *object = json_object_new_object();
	_cleanup_json_ struct json_object *wanted = json_object_new_array();
	bool ok = object != NULL && wanted != NULL;

	if (!count(counts, difference))
		return 0;
	for (size_t i = 0; ok && i < difference->wanted_count; i++)
		ok = json_append(wanted, cli_requirement_json(difference->wanted[i]));
	if (!ok || !cli_json_text(object, "option", difference->option) ||
		!cli_json_text(object, "a", difference->a) ||
		!cli_json_text(object, "b", difference->b) ||
		!json_set(object, "wanted", take_ptr(wanted)) ||
		!json_append(counts->array, take_ptr(object)))
		return -ENOMEM;
	return 0;
}

static bool set_side(struct json_object *to, const char *field, const struct side *side)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	const struct strbuf *text = &side->config.text;
	char release[KERNEL_RELEASE_SIZE];

	if (object == NULL)
		return false;
	if (side->profile != NULL)
		return json_set_string(object, "profile", side->profile->name) &&
		       json_set(to, field, take_ptr(object));
	if (!cli_json_text(object, "path", side->config.path) ||
		!json_set_string(object, "where", places[side->config.where]))
		return false;
	if (kernel_config_release(text->data, text->size, release) &&
		!json_set_string(object, "release", release))
		return false;
	return json_set(to, field, take_ptr(object));
}

static int print_json(const struct counts *counts, const struct side *a, const struct side *b,
	struct caisson_error *err)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	if (object == NULL || !set_side(object, "a", a) || !set_side(object, "b", b) ||
		!json_set_uint(object, "wanted", counts->wanted) ||
		!json_set_uint(object, "others", counts->others) ||
		!json_set(object, "differences", json_object_get(counts->array)))
		return caisson_fail(err, ENOMEM, "print JSON");
	return cli_print_json(object, err);
}

static void print_sum(const struct counts *counts)
{
	if (counts->wanted + counts->others == 0)
		return;
	printf("%u that caisson has a use for, %u others%s\n", counts->wanted, counts->others,
		counts->others > 0 && !counts->all ? " (--all shows them)" : "");
}

/* A file; else the name of a profile. */
static int read_side(const char *name, struct side *side, struct caisson_error *err)
{
	int r;

	if (strchr(name, '/') == NULL && access(name, F_OK) < 0)
		side->profile = kernel_profile(name);
	if (side->profile != NULL)
		return 0;
	r = kernel_config_read(name, &side->config, err);
	if (r == -ENOENT && strchr(name, '/') == NULL)
		return caisson_hint(err, "profiles are called " KERNEL_PROFILE_WORDS);
	return r;
}

static unsigned int version_of(const struct side *side)
{
	const struct strbuf *text = &side->config.text;
	char release[KERNEL_RELEASE_SIZE];

	return kernel_config_release(text->data, text->size, release)
		       ? kernel_release_version(release)
		       : 0;
}

/* Beside a profile, only its options count: of all others it says nothing. */
static int settle_profiles(struct side *a, struct side *b, struct caisson_error *err)
{
	struct side *one = a->profile != NULL ? a : b, *other = one == a ? b : a;
	struct strbuf narrowed = STRBUF_INIT;
	int r;

	if (one->profile == NULL)
		return 0;
	if (other->profile != NULL) {
		r = kernel_profile_config(one->profile, 0, NULL, &one->config.text, NULL, err);
		return r < 0 ? r
			     : kernel_profile_config(
				       other->profile, 0, NULL, &other->config.text, NULL, err);
	}
	r = kernel_profile_config(one->profile, version_of(other), &other->config.text,
		&one->config.text, &narrowed, err);
	if (r < 0)
		return r;
	strbuf_done(&other->config.text);
	other->config.text = narrowed;
	return 0;
}

static int read_both(
	struct cli_context *context, struct side *a, struct side *b, struct caisson_error *err)
{
	bool running = cli_has(context, RUNNING);
	char **names = context->operands.items;
	int r;

	if (context->operands.count != (running ? 1 : 2)) {
		caisson_refuse(err, EINVAL,
			running ? "--running takes the place of A: one operand is left"
				: "two configurations are compared: A and B");
		return caisson_hint(err, "caisson kernel diff --help");
	}
	r = running ? kernel_config_read_running(&a->config, err) : read_side(names[0], a, err);
	if (r == 0)
		r = read_side(names[running ? 0 : 1], b, err);
	return r == 0 ? settle_profiles(a, b, err) : r;
}

static void side_done(struct side *side)
{
	kernel_config_done(&side->config);
}

static int diff(struct cli_context *context, struct caisson_error *err)
{
	_cleanup_(side_done) struct side a = {KERNEL_CONFIG_NONE, NULL};
	_cleanup_(side_done) struct side b = {KERNEL_CONFIG_NONE, NULL};
	_cleanup_json_ struct json_object *array = json_object_new_array();
	struct counts counts = {.all = cli_has(context, ALL), .array = array};
	bool json = cli_has(context, JSON);
	int r = read_both(context, &a, &b, err);

	if (r < 0)
		return r;
	if (array == NULL)
		return caisson_fail(err, ENOMEM, "print JSON");
	r = kernel_config_diff(&a.config.text, &b.config.text,
		json ? append_difference : print_difference, &counts, err);
	if (r < 0)
		return r;
	if (json && print_json(&counts, &a, &b, err) < 0)
		return -ENOMEM;
	if (!json)
		print_sum(&counts);
	return r > 0;
}

const struct cli_command command_kernel_diff = {
	.name = "kernel diff",
	.summary = "compare the configurations of two kernels, with what their options are for",
	.operands = "[A] B",
	.complete = "@file",
	.details =
		"A and B are configurations, or what holds one: a .config, packed or not; a\n"
		"bzImage, a vmlinux or configs.ko with CONFIG_IKCONFIG; a kernel with its\n"
		"config-RELEASE beside it. Or the name of a profile, with which only the profile's\n"
		"options are compared. \"Not set\" and absent are the same.\n\n"
		"The exit status is 0 when nothing differs, 1 when any option does, 2 when that\n"
		"could not be found out.\n",
	.options = options,
	.least = 1,
	.most = 2,
	.failed = 2,
	.run = diff,
};
