/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Why an option is not what was wanted. */
#include <errno.h>
#include <string.h>

#include "kconfig/expr.h"
#include "kconfig/need.h"

enum { SELECTORS_MOST = 3, CHAIN_MOST = 6 };

/* The member of the symbol's choice that is set in its place; NULL. */
static const struct kconfig_symbol *rival_of(
	const struct kconfig_values *values, const struct kconfig_node *node)
{
	const struct kconfig_node *choice = kconfig_choice_of(node);

	for (const struct kconfig_node *member = choice != NULL ? choice->members : NULL;
		member != NULL; member = member->member_next) {
		if (member->symbol != node->symbol &&
			values->of[member->symbol->index].tri == KCONFIG_Y)
			return member->symbol;
	}
	return NULL;
}

const struct kconfig_symbol *kconfig_rival(
	const struct kconfig_values *values, const struct kconfig_symbol *symbol)
{
	const struct kconfig_symbol *rival = NULL;

	for (const struct kconfig_node *node = symbol->definitions; node != NULL && rival == NULL;
		node = node->next)
		rival = rival_of(values, node);
	return rival;
}

static bool explain_rival(const struct kconfig_values *values, const struct kconfig_symbol *symbol,
	struct strbuf *text)
{
	const struct kconfig_symbol *rival = kconfig_rival(values, symbol);

	if (rival != NULL)
		strbuf_add_format(
			text, "another member of the choice is set: CONFIG_%s", rival->name);
	return rival != NULL;
}

/* What a prompt that is not shown waits for, beyond the dependencies. */
static bool explain_prompt(struct kconfig_values *values, const struct kconfig_symbol *symbol,
	uint8_t level, const char *verb, struct strbuf *text)
{
	for (const struct kconfig_node *node = symbol->definitions; node != NULL;
		node = node->next) {
		struct kconfig_needs needs = {.count = 0};

		if (node->prompt == NULL || kconfig_node_range(values, node).high < level)
			continue;
		kconfig_needs_add(values, node->prompt_if, false, level, &needs);
		for (const struct kconfig_node *at = node->parent; at != NULL; at = at->parent)
			kconfig_needs_add(values, at->visible_if, false, level, &needs);
		if (needs.count == 0)
			continue;
		kconfig_needs_print(values, &needs, verb, level, text);
		return true;
	}
	return false;
}

static bool has_prompt(const struct kconfig_symbol *symbol)
{
	for (const struct kconfig_node *node = symbol->definitions; node != NULL;
		node = node->next) {
		if (node->prompt != NULL)
			return true;
	}
	return false;
}

/* The first default that asks for something which is not there; "comes by itself with ...". */
static bool explain_default(struct kconfig_values *values, const struct kconfig_symbol *symbol,
	uint8_t level, struct strbuf *text)
{
	for (const struct kconfig_node *node = symbol->definitions; node != NULL;
		node = node->next) {
		for (const struct kconfig_property *property = node->properties; property != NULL;
			property = property->next) {
			struct kconfig_needs needs = {.count = 0};

			if (property->kind != KCONFIG_DEFAULT)
				continue;
			if (property->value->op == KCONFIG_MACRO) {
				strbuf_add_format(text,
					"has no prompt: it says what the compiler or a tool can do "
					"(%s)",
					property->value->text);
				return true;
			}
			kconfig_needs_add(values, property->condition, false, level, &needs);
			kconfig_needs_add(values, property->value, false, level, &needs);
			if (needs.count == 0 || needs.items[0].expr->op == KCONFIG_CONSTANT)
				continue;
			kconfig_needs_print(
				values, &needs, "has no prompt: it comes with", level, text);
			return true;
		}
	}
	return false;
}

/* Of an option that has no prompt, and whose dependencies are met. */
static void explain_promptless(struct kconfig_values *values, const struct kconfig_symbol *symbol,
	uint8_t level, struct strbuf *text)
{
	size_t before = text->size;

	strbuf_add_string(text, "has no prompt: set by ");
	if (kconfig_selectors_print(values, symbol, text)) {
		strbuf_add_string(text, "'s select");
		return;
	}
	text->size = before;
	if (!explain_default(values, symbol, level, text))
		strbuf_add_string(text, "has no prompt, and nothing selects it");
}

static void explain_absent(struct kconfig_values *values, const struct kconfig_symbol *symbol,
	uint8_t level, struct strbuf *text)
{
	struct kconfig_needs needs;

	if (symbol->type == KCONFIG_BOOL || !values->modules)
		level = KCONFIG_M;
	kconfig_nearest_node(values, symbol, level, &needs);
	if (needs.count > 0) {
		kconfig_needs_print(values, &needs, "needs", level, text);
		return;
	}
	if (explain_rival(values, symbol, text) ||
		explain_prompt(values, symbol, level, "can be set only with", text))
		return;
	if (!has_prompt(symbol))
		explain_promptless(values, symbol, level, text);
	else if (kconfig_depends_range(values, symbol).low < level)
		strbuf_add_string(text, "needs something that the compiler or a tool cannot do");
	else
		strbuf_add_string(text, "nothing stands against it: it was not asked for");
}

/* Those that have selected it. */
struct culprits {
	const struct kconfig_symbol *shown[SELECTORS_MOST];
	unsigned int count;
};

static void find_culprits(struct kconfig_values *values, const struct kconfig_symbol *symbol,
	struct culprits *culprits)
{
	for (const struct kconfig_property *by = symbol->selected_by; by != NULL;
		by = by->reverse) {
		const struct kconfig_symbol *from = by->node->symbol;

		if (values->of[from->index].tri == KCONFIG_N ||
			kconfig_property_range(values, by).high == KCONFIG_N ||
			(culprits->count > 0 && culprits->shown[0] == from))
			continue;
		if (culprits->count < SELECTORS_MOST)
			culprits->shown[culprits->count] = from;
		culprits->count++;
	}
}

/* "CONFIG_BAR's select", or several; of one that nobody is asked about, who selected that. */
static bool print_culprits(struct kconfig_values *values, const struct kconfig_symbol *symbol,
	unsigned int depth, struct strbuf *text)
{
	struct culprits culprits = {.count = 0};
	unsigned int shown;
	size_t before;

	find_culprits(values, symbol, &culprits);
	shown = MIN(culprits.count, (unsigned int)SELECTORS_MOST);
	if (shown == 0)
		return false;
	for (unsigned int i = 0; i < shown; i++)
		strbuf_add_format(text, "%sCONFIG_%s",
			i == 0                    ? ""
			: i + 1 == culprits.count ? " and "
						  : ", ",
			culprits.shown[i]->name);
	if (shown < culprits.count)
		strbuf_add_format(text, " and %u others' select", culprits.count - shown);
	else
		strbuf_add_string(text, "'s select");
	if (culprits.count > 1 || depth == CHAIN_MOST || has_prompt(culprits.shown[0]))
		return true;
	before = text->size;
	strbuf_add_string(text, ", and that by ");
	if (!print_culprits(values, culprits.shown[0], depth + 1, text))
		text->size = before;
	return true;
}

static void explain_present(
	struct kconfig_values *values, const struct kconfig_symbol *symbol, struct strbuf *text)
{
	size_t before = text->size;
	const struct kconfig_node *choice = NULL;

	strbuf_add_string(text, "was set by ");
	if (print_culprits(values, symbol, 0, text)) {
		strbuf_add_format(
			text, " although \"# CONFIG_%s is not set\" was asked", symbol->name);
		return;
	}
	text->size = before;
	for (const struct kconfig_node *node = symbol->definitions; node != NULL && choice == NULL;
		node = node->next)
		choice = kconfig_choice_of(node);
	if (choice != NULL) {
		strbuf_add_format(text,
			"one member of its choice%s%s%s has to be set: ask for another",
			choice->prompt != NULL ? " \"" : "",
			choice->prompt != NULL ? choice->prompt : "",
			choice->prompt != NULL ? "\"" : "");
	} else if (!explain_prompt(values, symbol, KCONFIG_M,
			   "is on by default, and can be turned off only with", text)) {
		strbuf_add_string(
			text, has_prompt(symbol)
				      ? "is on, although it can be turned off: it was not asked for"
				      : "has no prompt: it is on by itself");
	}
}

static const struct kconfig_property *range_of(
	struct kconfig_values *values, const struct kconfig_symbol *symbol)
{
	for (const struct kconfig_node *node = symbol->definitions; node != NULL;
		node = node->next) {
		for (const struct kconfig_property *property = node->properties; property != NULL;
			property = property->next) {
			if (property->kind == KCONFIG_RANGE &&
				kconfig_property_range(values, property).low > KCONFIG_N)
				return property;
		}
	}
	return NULL;
}

/* An end of a range, which may be a symbol's value. */
static const char *limit_text(struct kconfig_values *values, const struct kconfig_expr *end)
{
	return end->op == KCONFIG_SYMBOL ? kconfig_symbol_text(values, end->symbol) : end->text;
}

static bool is_outside(
	struct kconfig_values *values, const struct kconfig_property *range, const char *wanted)
{
	const struct kconfig_expr *ends[] = {range->value, range->most};
	long long number = strtoll(wanted, NULL, 0), limits[2];

	for (int i = 0; i < 2; i++) {
		if (ends[i]->op == KCONFIG_MACRO)
			return false;
		limits[i] = strtoll(limit_text(values, ends[i]), NULL, 0);
	}
	return number < limits[0] || number > limits[1];
}

/* Of texts and numbers. */
static void explain_text(struct kconfig_values *values, const struct kconfig_symbol *symbol,
	const char *wanted, struct strbuf *text)
{
	const struct kconfig_property *range = range_of(values, symbol);
	const char *is = values->of[symbol->index].text;
	struct kconfig_needs needs;

	kconfig_nearest_node(values, symbol, KCONFIG_M, &needs);
	if (needs.count > 0) {
		kconfig_needs_print(values, &needs, "needs", KCONFIG_M, text);
	} else if (explain_prompt(values, symbol, KCONFIG_M, "can be set only with", text)) {
		return;
	} else if (!has_prompt(symbol)) {
		strbuf_add_format(
			text, "has no prompt: it is %s by itself", is != NULL ? is : "empty");
	} else if (symbol->type != KCONFIG_STRING &&
		   strspn(wanted, "-0123456789abcdefABCDEFxX") != strlen(wanted)) {
		strbuf_add_format(text, "takes a number, and not %s", wanted);
	} else if (range != NULL && is_outside(values, range, wanted)) {
		strbuf_add_format(text, "%s is not in the range %s to %s", wanted,
			limit_text(values, range->value), limit_text(values, range->most));
	} else {
		const char *quote = symbol->type == KCONFIG_STRING && is != NULL ? "\"" : "";

		strbuf_add_format(text, "is %s%s%s, and not %s", quote, is != NULL ? is : "not set",
			quote, wanted);
	}
}

static void explain(
	struct kconfig_values *values, const char *option, const char *wanted, struct strbuf *text)
{
	const struct kconfig_symbol *symbol = kconfig_find(values->tree, option);
	bool is_letter = strcmp(wanted, "y") == 0 || strcmp(wanted, "m") == 0;
	uint8_t value;

	if (symbol == NULL) {
		strbuf_add_format(text, "does not exist in %s", values->tree->version);
		return;
	}
	value = values->of[symbol->index].tri;
	if (symbol->type != KCONFIG_BOOL && symbol->type != KCONFIG_TRISTATE)
		explain_text(values, symbol, wanted, text);
	else if (strcmp(wanted, "n") == 0)
		explain_present(values, symbol, text);
	else if (!is_letter)
		strbuf_add_format(text, "is y or not set, and cannot be %s", wanted);
	else if (wanted[0] == 'm' && symbol->type == KCONFIG_BOOL && value == KCONFIG_N &&
		 kconfig_depends_range(values, symbol).low > KCONFIG_N)
		strbuf_add_string(text, "cannot be a module");
	else
		explain_absent(values, symbol, wanted[0] == 'y' ? KCONFIG_Y : KCONFIG_M, text);
}

int kconfig_explain(const struct kconfig_values *values, const char *option, const char *wanted,
	struct strbuf *text)
{
	_cleanup_strbuf_ struct strbuf sentence = STRBUF_INIT;

	if (kconfig_is(values, option, wanted))
		return 0;
	/* What is worked out on the way is remembered in the values. */
	explain((struct kconfig_values *)values, option, wanted, &sentence);
	if (!strbuf_ok(&sentence))
		return -ENOMEM;
	text_flatten(sentence.data);
	strbuf_add(text, sentence.data, sentence.size);
	return strbuf_ok(text) ? 0 : -ENOMEM;
}
