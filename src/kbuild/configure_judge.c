/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kbuild/configure_judge.h"

#include <errno.h>
#include <string.h>

#include "kernel/config.h"
#include "kernel/config_text.h"

struct judge {
	const struct kconfig *tree;
	const struct kconfig_values *values;
	const struct wanted *wanted;
	struct configure_result *result;
};

/* What a file's name or text brings into a report is one line. */
static char *flat(const char *text)
{
	char *copy = strdup(text);

	if (copy != NULL)
		text_flatten(copy);
	return copy;
}

/* @why is taken, also when it fails. */
static int add_fault(struct configure_faults *faults, const struct wanted_option *one, char *why)
{
	const struct kernel_requirement *asked = one->requirement;
	_cleanup_free_ char *taken = why;
	struct configure_fault *grown =
		reallocarray(faults->items, faults->count + 1, sizeof(*grown));
	struct configure_fault *fault;

	if (grown == NULL)
		return -ENOMEM;
	faults->items = grown;
	fault = &grown[faults->count++];
	*fault = (struct configure_fault){.option = strdup(asked->option),
		.wanted = flat(asked->value),
		.from = flat(one->from),
		.reason = asked->reason != NULL ? flat(asked->reason) : NULL,
		.why = take_ptr(taken),
		.optional = asked->optional};
	return fault->option != NULL && fault->wanted != NULL && fault->from != NULL &&
			       fault->why != NULL
		       ? 0
		       : -ENOMEM;
}

/* The later request for another member of the same choice, which is what won; NULL. */
static const struct wanted_option *won_choice(
	const struct judge *judge, const struct wanted_option *one)
{
	const struct kconfig_symbol *symbol = kconfig_find(judge->tree, one->requirement->option);
	const struct kconfig_symbol *rival =
		symbol != NULL && strcmp(one->requirement->value, "y") == 0
			? kconfig_rival(judge->values, symbol)
			: NULL;

	for (size_t i = judge->wanted->count; rival != NULL && i-- > 0;) {
		const struct wanted_option *other = &judge->wanted->items[i];

		if (other <= one)
			return NULL;
		if (strcmp(other->requirement->option + strlen("CONFIG_"), kconfig_name(rival)) ==
				0 &&
			strcmp(other->requirement->value, "y") == 0)
			return other;
	}
	return NULL;
}

static int add_overridden(
	struct judge *judge, const struct wanted_option *one, const struct wanted_option *by)
{
	/* Inside a profile, the later fragment knows better. */
	if (!by->users)
		return 0;
	return add_fault(&judge->result->overridden, one,
		format_string("%s asks for %s=%s", by->from, by->requirement->option,
			by->requirement->value));
}

/* An option that a user has misspelt. Those of a profile are of other versions. */
static void add_nearest(
	const struct judge *judge, const struct wanted_option *one, struct strbuf *why)
{
	const char *option = one->requirement->option;
	const struct kconfig_symbol *nearest =
		one->users && kconfig_find(judge->tree, option) == NULL
			? kconfig_nearest(judge->tree, option)
			: NULL;

	if (nearest != NULL)
		strbuf_add_format(why, "; CONFIG_%s does", kconfig_name(nearest));
}

static int judge_one(struct judge *judge, const struct wanted_option *one)
{
	const struct kernel_requirement *asked = one->requirement;
	const struct strbuf *config = &judge->result->config;
	_cleanup_strbuf_ struct strbuf why = STRBUF_INIT;
	const struct wanted_option *by;

	if (one->overridden != NULL)
		return add_overridden(judge, one, one->overridden);
	if (one->again)
		return 0;
	judge->result->wanted++;
	if (kconfig_is(judge->values, asked->option, asked->value) ||
		(asked->alternatives != NULL &&
			kernel_config_meets(config->data, config->size, asked)))
		return 0;
	by = won_choice(judge, one);
	if (by != NULL)
		return add_overridden(judge, one, by);
	if (kconfig_explain(judge->values, asked->option, asked->value, &why) < 0)
		return -ENOMEM;
	add_nearest(judge, one, &why);
	return add_fault(&judge->result->lost, one, strbuf_take(&why));
}

static int add_removal(struct judge *judge, const char *option, const char *value)
{
	const struct wanted_option *one = wanted_find(judge->wanted, option);
	struct configure_result *result = judge->result;
	_cleanup_strbuf_ struct strbuf why = STRBUF_INIT;
	struct configure_removal *grown, *removal;
	bool asked = one != NULL && strcmp(one->requirement->value, "n") == 0;

	if (asked && one->requirement->reason != NULL)
		strbuf_add_string(&why, one->requirement->reason);
	else if (!asked && kconfig_explain(judge->values, option, value, &why) < 0)
		return -ENOMEM;
	grown = reallocarray(result->removed, result->removed_count + 1, sizeof(*grown));
	if (grown == NULL)
		return -ENOMEM;
	result->removed = grown;
	removal = &grown[result->removed_count++];
	*removal =
		(struct configure_removal){strdup(option), strdup(value), asked, strbuf_take(&why)};
	return removal->option != NULL && removal->value != NULL && removal->why != NULL ? 0
											 : -ENOMEM;
}

static int judge_base(struct judge *judge, const char *base, size_t size)
{
	struct config_reader reader = config_reader(base, size);
	struct config_line line;
	int r, failed = 0;

	while (failed == 0 && (r = config_line_next(&reader, &line)) != 0) {
		_cleanup_free_ char *option = NULL;
		char value[2] = "";

		if (r < 0 || line.option == NULL || line.value_size != 1 ||
			(*line.value != 'y' && *line.value != 'm'))
			continue;
		option = strndup(line.option, line.option_size);
		if (option == NULL)
			return -ENOMEM;
		value[0] = *line.value;
		if (!kconfig_is(judge->values, option, "y") &&
			!kconfig_is(judge->values, option, "m"))
			failed = add_removal(judge, option, value);
	}
	return failed;
}

static int find_unasked(struct judge *judge)
{
	for (size_t i = 0; i < kconfig_count(judge->tree); i++) {
		const struct kconfig_symbol *symbol = kconfig_at(judge->tree, i);
		enum kconfig_type type = kconfig_type(symbol);
		_cleanup_free_ char *option = NULL;

		if ((type != KCONFIG_BOOL && type != KCONFIG_TRISTATE) ||
			strcmp(kconfig_value(judge->values, symbol), "n") == 0 ||
			!kconfig_is_asked(judge->values, symbol) ||
			kconfig_is_selected(judge->values, symbol))
			continue;
		option = format_string("CONFIG_%s", kconfig_name(symbol));
		if (option == NULL)
			return -ENOMEM;
		if (wanted_find(judge->wanted, option) == NULL)
			strv_add(&judge->result->unasked, option);
	}
	strv_sort(&judge->result->unasked);
	return strv_ok(&judge->result->unasked) ? 0 : -ENOMEM;
}

int configure_judge(const struct configure_options *options, const struct kconfig *tree,
	const struct wanted *wanted, struct configure_result *result, struct caisson_error *err)
{
	_cleanup_kconfig_values_ struct kconfig_values *values = NULL;
	struct judge judge = {tree, NULL, wanted, result};
	int r = kconfig_values_read(tree, result->config.data, result->config.size, &values, err);

	if (r < 0)
		return r;
	judge.values = values;
	for (size_t i = 0; r == 0 && i < wanted->count; i++)
		r = judge_one(&judge, &wanted->items[i]);
	if (r == 0 && options->base != NULL)
		r = judge_base(&judge, options->base, options->base_size);
	else if (r == 0)
		r = find_unasked(&judge);
	return r < 0 ? caisson_fail(err, ENOMEM, "look at the configuration") : 0;
}
