/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/kernel.h"
#include "kernel/installed.h"
#include "kernel/survey.h"

enum { RUNNING, MODULES, FOR, PROFILE, PROBLEMS, JSON };

static const struct cli_option options[] = {
	[RUNNING] = {"running", '\0', CLI_FLAG, NULL, "the kernel that runs now", NULL},
	[MODULES] = {"modules", '\0', CLI_VALUE, "DIR",
		"its modules (default: those of its release in /lib/modules)", "@directory"},
	[FOR] = {"for", '\0', CLI_LIST, "WHAT",
		"for these features and machines, between commas (default: what 'caisson run' "
		"asks for with a volume and a network)",
		"microvm q35 firecracker cloud-hypervisor " KERNEL_FEATURE_WORDS},
	[PROFILE] = {"profile", '\0', CLI_VALUE, "PROFILE",
		"for everything that this profile of caisson's own kernels has",
		KERNEL_PROFILE_WORDS},
	[PROBLEMS] = {"problems", '\0', CLI_FLAG, NULL, "print only what is missing or not known",
		NULL},
	[JSON] = {"json", '\0', CLI_FLAG, NULL, "print JSON", NULL},
	{.name = NULL},
};

/* What is counted of a feature. */
struct tally {
	unsigned int asked, missing, unknown, wished;
};

struct check {
	const struct cli_context *context;
	const struct kernel_survey *survey;
	struct cli_kernel_choice choice;
	struct tally tallies[32];
	struct json_object *array;
};

static const char *const states[] = {
	[KERNEL_NOT_KNOWN] = "not known",
	[KERNEL_BUILT_IN] = "built in",
	[KERNEL_AS_MODULE] = "module",
	[KERNEL_MODULE_ABSENT] = "module absent",
	[KERNEL_MISSING] = "missing",
	[KERNEL_NOT_THERE_YET] = "not needed",
};

static bool is_problem(enum kernel_state state)
{
	return state == KERNEL_MISSING || state == KERNEL_MODULE_ABSENT;
}

/* Nobody can say that all is there. */
static bool is_unknown(const struct kernel_requirement *one, enum kernel_state state)
{
	return state == KERNEL_NOT_KNOWN && !one->optional;
}

static struct tally *tally_of(struct check *check, unsigned int feature)
{
	return &check->tallies[feature == 0 ? 31 : (unsigned int)__builtin_ctz(feature)];
}

static void print_one(
	const struct check *check, const struct kernel_requirement *one, enum kernel_state state)
{
	bool off = strcmp(one->value, "n") == 0;

	if (cli_has(check->context, PROBLEMS) && !is_problem(state) && !is_unknown(one, state))
		return;
	printf("%-12s %-34s %s", kernel_feature_name(one->feature), one->option,
		!off                       ? states[state]
		: state == KERNEL_BUILT_IN ? "off"
		: is_problem(state)        ? "set"
					   : states[state]);
	if (is_problem(state))
		printf("%s: %s", one->optional ? " (a wish)" : "", one->reason);
	else if (state == KERNEL_AS_MODULE)
		printf(" %s", one->module);
	putchar('\n');
}

static int append_one(
	struct check *check, const struct kernel_requirement *one, enum kernel_state state)
{
	_cleanup_json_ struct json_object *object = cli_requirement_json(one);

	if (object == NULL || !json_set_string(object, "state", states[state]) ||
		!json_append(check->array, take_ptr(object)))
		return -ENOMEM;
	return 0;
}

static int check_one(struct check *check, const struct kernel_requirement *one)
{
	enum kernel_state state =
		kernel_examine(&check->survey->papers, check->survey->version, one);
	struct tally *tally = tally_of(check, one->feature);

	tally->asked++;
	if (is_problem(state) && one->optional)
		tally->wished++;
	else if (is_problem(state))
		tally->missing++;
	tally->unknown += is_unknown(one, state);
	if (check->array != NULL)
		return append_one(check, one, state);
	print_one(check, one, state);
	return 0;
}

/* Of the two ways to reach devices one is enough, where no machine was named: whether this one need
   not be looked at. */
static bool is_spare(struct check *check, unsigned int feature)
{
	unsigned int other = feature == KERNEL_MMIO ? KERNEL_PCI : KERNEL_MMIO;
	const struct tally *tally = tally_of(check, other);

	return check->choice.either_way && (feature == KERNEL_MMIO || feature == KERNEL_PCI) &&
	       tally->missing == 0 && tally->unknown == 0;
}

/* The exit status: 0 when all is there that has to be, 1 when something is missing, 2 when nothing
   is, as far as is known, and not all is known. */
static int verdict(struct check *check)
{
	int status = 0;

	for (unsigned int bit = 0; bit < ARRAY_SIZE(check->tallies); bit++) {
		if (is_spare(check, 1u << bit))
			continue;
		if (check->tallies[bit].missing > 0)
			return 1;
		if (check->tallies[bit].unknown > 0)
			status = 2;
	}
	return status;
}

static void print_tally(const char *name, const char *summary, const struct tally *tally)
{
	if (tally->asked == 0)
		return;
	printf("%-12s ", name);
	if (tally->missing > 0)
		printf("%u of %u missing: %s", tally->missing, tally->asked, summary);
	else if (tally->unknown > 0)
		printf("%u of %u not known: %s", tally->unknown, tally->asked, summary);
	else
		printf("complete: %s", summary);
	if (tally->wished > 0)
		printf(" (%u wish%s not met)", tally->wished, tally->wished == 1 ? "" : "es");
	putchar('\n');
}

static void print_paper(const char *what, const char *value, const char *otherwise)
{
	printf("%-14s ", what);
	cli_print_flat(value != NULL ? value : otherwise);
	putchar('\n');
}

static void print_papers(const struct kernel_survey *survey)
{
	print_paper("kernel", survey->kernel.path, "none, a configuration alone");
	print_paper("release", survey->kernel.release, "not known");
	print_paper("configuration", survey->origin, "none was found: only modules are known");
	print_paper("modules", survey->kernel.modules, "none");
	putchar('\n');
}

static void print_tallies(struct check *check)
{
	size_t count;
	const struct kernel_feature_name *features = kernel_features(&count);

	putchar('\n');
	for (size_t i = 0; i < count; i++)
		print_tally(features[i].name, features[i].summary,
			tally_of(check, features[i].feature));
	print_tally("build", "how caisson's own kernels are made", tally_of(check, 0));
}

static int print_object(struct check *check, struct caisson_error *err)
{
	const struct kernel_survey *survey = check->survey;
	_cleanup_json_ struct json_object *object = json_object_new_object();

	if (object == NULL || !json_set_bool(object, "complete", verdict(check) == 0) ||
		!cli_json_text(object, "kernel", survey->kernel.path) ||
		!cli_json_text(object, "release", survey->kernel.release) ||
		!cli_json_text(object, "configuration", survey->origin) ||
		!cli_json_text(object, "modules", survey->kernel.modules) ||
		!json_set(object, "requirements", take_ptr(check->array)))
		return caisson_fail(err, ENOMEM, "print JSON");
	return cli_print_json(object, err);
}

static int take_survey(
	struct cli_context *context, struct kernel_survey *ret_survey, struct caisson_error *err)
{
	const char *path = context->operands.count > 0 ? context->operands.items[0] : NULL;
	const char *modules = cli_value(context, MODULES);
	_cleanup_state_ struct state place = {
		.dir = cli_state_path(&command_kernel_check, context)};
	_cleanup_free_ char *folder = NULL;
	int r = 0;

	if (cli_has(context, RUNNING) && path != NULL) {
		context->status = 2;
		return caisson_refuse(
			err, EINVAL, "--running and a kernel to check are one too many");
	}
	if (cli_has(context, RUNNING))
		return kernel_survey_running(modules, ret_survey, err);
	/* As "caisson run" chooses: kernel_choose(). */
	if (place.dir != NULL && (path != NULL ? strchr(path, '/') == NULL : modules == NULL))
		r = kernel_installed_folder(&place, path, &folder, err);
	return r < 0 ? r : kernel_survey(folder != NULL ? folder : path, modules, ret_survey, err);
}

static int run(struct cli_context *context, struct caisson_error *err)
{
	_cleanup_kernel_survey_ struct kernel_survey survey = KERNEL_SURVEY_NONE;
	struct check check = {.context = context, .survey = &survey};
	bool json = cli_has(context, JSON);
	size_t count;
	const struct kernel_requirement *table = kernel_requirements(&count);
	int r = cli_kernel_choose(
		&context->given[FOR].values, cli_value(context, PROFILE), &check.choice, err);

	if (r == 0)
		r = take_survey(context, &survey, err);
	if (r < 0)
		return r;
	if (json) {
		check.array = json_object_new_array();
		if (check.array == NULL)
			return caisson_fail(err, ENOMEM, "check a kernel");
	} else if (!cli_has(context, PROBLEMS)) {
		print_papers(&survey);
	}
	for (size_t i = 0; r == 0 && i < count; i++) {
		if (cli_kernel_chosen(&check.choice, &table[i], survey.version))
			r = check_one(&check, &table[i]);
	}
	if (r == 0 && json)
		r = print_object(&check, err);
	else if (r == 0 && !cli_has(context, PROBLEMS))
		print_tallies(&check);
	json_putp(&check.array);
	if (r < 0)
		return err->code != 0 ? r : caisson_fail(err, ENOMEM, "check a kernel");
	return verdict(&check);
}

const struct cli_command command_kernel_check = {
	.name = "kernel check",
	.summary = "tell whether a kernel has what machines need",
	.operands = "[KERNEL|CONFIG]",
	.complete = "@file",
	.details =
		"Reads the configuration of a kernel (beside it, or inside it), or a configuration in\n"
		"any common compression, and its modules, and says of each requirement whether it is\n"
		"built in, a module, or missing, and what does not work without it. The exit status\n"
		"is 0 when all that has to be there is, 1 when something is missing, 2 when that\n"
		"could not be found out.\n",
	.options = options,
	.most = 1,
	.failed = 2,
	.run = run,
};
