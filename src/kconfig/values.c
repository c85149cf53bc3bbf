/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* As scripts/kconfig/expr.c, symbol.c and menu.c of the kernel compute them. */
#include "kconfig/values.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/macros.h"

static const struct kconfig_range always = {KCONFIG_Y, KCONFIG_Y};
static const struct kconfig_range never = {KCONFIG_N, KCONFIG_N};
static const struct kconfig_range unknown = {KCONFIG_N, KCONFIG_Y};

static uint8_t lesser(uint8_t a, uint8_t b)
{
	return a < b ? a : b;
}

static uint8_t greater(uint8_t a, uint8_t b)
{
	return a > b ? a : b;
}

static struct kconfig_range least(struct kconfig_range a, struct kconfig_range b)
{
	return (struct kconfig_range){lesser(a.low, b.low), lesser(a.high, b.high)};
}

static struct kconfig_range most(struct kconfig_range a, struct kconfig_range b)
{
	return (struct kconfig_range){greater(a.low, b.low), greater(a.high, b.high)};
}

static struct kconfig_range without_m(struct kconfig_range range)
{
	return (struct kconfig_range){range.low == KCONFIG_M ? KCONFIG_Y : range.low,
		range.high == KCONFIG_M ? KCONFIG_Y : range.high};
}

static uint8_t tristate_of(const char *text)
{
	if (strcmp(text, "y") == 0)
		return KCONFIG_Y;
	return strcmp(text, "m") == 0 ? KCONFIG_M : KCONFIG_N;
}

bool kconfig_is_tristate(const struct kconfig_values *values, const struct kconfig_symbol *symbol)
{
	return symbol->type == KCONFIG_TRISTATE && values->modules;
}

const char *kconfig_symbol_text(
	const struct kconfig_values *values, const struct kconfig_symbol *symbol)
{
	static const char *const words[] = {"n", "m", "y"};
	const struct kconfig_value *value = &values->of[symbol->index];

	if (symbol->definitions == NULL || symbol->type == KCONFIG_UNKNOWN)
		return symbol->name;
	if (symbol->type == KCONFIG_BOOL || symbol->type == KCONFIG_TRISTATE)
		return words[value->tri];
	return value->text != NULL ? value->text : "";
}

enum number_kind { NO_NUMBER, SIGNED, UNSIGNED };

/* expr.c: expr_parse_string(). */
static enum number_kind read_number(const char *text, enum kconfig_type type, uint64_t *ret_number)
{
	enum number_kind kind = type == KCONFIG_HEX ? UNSIGNED : SIGNED;
	char *end;

	if (type == KCONFIG_BOOL || type == KCONFIG_TRISTATE) {
		*ret_number = tristate_of(text);
		return SIGNED;
	}
	errno = 0;
	if (type == KCONFIG_HEX)
		*ret_number = strtoull(text, &end, 16);
	else
		*ret_number = (uint64_t)strtoll(text, &end, type == KCONFIG_INT ? 10 : 0);
	if (errno != 0 || *end != '\0' || end == text || !isxdigit((unsigned char)end[-1]))
		return NO_NUMBER;
	return kind;
}

static enum kconfig_type operand_type(const struct kconfig_expr *operand)
{
	if (operand->op == KCONFIG_SYMBOL)
		return operand->symbol->type;
	return strlen(operand->text) == 1 && strchr("ymn", operand->text[0]) != NULL
		       ? KCONFIG_TRISTATE
		       : KCONFIG_UNKNOWN;
}

static const char *operand_text(
	const struct kconfig_values *values, const struct kconfig_expr *operand)
{
	return operand->op == KCONFIG_SYMBOL ? kconfig_symbol_text(values, operand->symbol)
					     : operand->text;
}

static int compare(const struct kconfig_values *values, const struct kconfig_expr *expr)
{
	enum kconfig_type types[2] = {operand_type(expr->left), operand_type(expr->right)};
	const char *texts[2] = {
		operand_text(values, expr->left), operand_text(values, expr->right)};
	enum number_kind kinds[2] = {NO_NUMBER, NO_NUMBER};
	uint64_t numbers[2] = {0, 0};

	if (types[0] != KCONFIG_STRING || types[1] != KCONFIG_STRING) {
		for (int i = 0; i < 2; i++)
			kinds[i] = read_number(texts[i], types[i], &numbers[i]);
	}
	if (kinds[0] == NO_NUMBER || kinds[1] == NO_NUMBER)
		return strcmp(texts[0], texts[1]);
	if (kinds[0] == UNSIGNED || kinds[1] == UNSIGNED)
		return (numbers[0] > numbers[1]) - (numbers[0] < numbers[1]);
	return ((int64_t)numbers[0] > (int64_t)numbers[1]) -
	       ((int64_t)numbers[0] < (int64_t)numbers[1]);
}

static struct kconfig_range compare_range(
	const struct kconfig_values *values, const struct kconfig_expr *expr)
{
	int order;
	bool met;

	if (expr->left->op == KCONFIG_MACRO || expr->right->op == KCONFIG_MACRO)
		return unknown;
	order = compare(values, expr);
	switch (expr->op) {
	case KCONFIG_EQUAL:
		met = order == 0;
		break;
	case KCONFIG_UNEQUAL:
		met = order != 0;
		break;
	case KCONFIG_LESS:
		met = order < 0;
		break;
	case KCONFIG_LESS_EQUAL:
		met = order <= 0;
		break;
	case KCONFIG_GREATER:
		met = order > 0;
		break;
	default:
		met = order >= 0;
		break;
	}
	return met ? always : never;
}

static struct kconfig_range leaf_range(
	const struct kconfig_values *values, const struct kconfig_expr *expr, bool is_default)
{
	uint8_t tri;

	if (expr->op == KCONFIG_MACRO)
		return unknown;
	if (expr->op == KCONFIG_CONSTANT) {
		tri = tristate_of(expr->text);
		/* menu.c: rewrite_m(). */
		if (tri == KCONFIG_M && !is_default && !values->modules)
			tri = KCONFIG_N;
	} else {
		tri = values->of[expr->symbol->index].tri;
	}
	return (struct kconfig_range){tri, tri};
}

static struct kconfig_range range_of(
	struct kconfig_values *values, const struct kconfig_expr *expr, bool is_default)
{
	struct kconfig_range a, b;

	if (expr == NULL)
		return always;
	if (expr->op >= KCONFIG_EQUAL)
		return compare_range(values, expr);
	if (expr->op < KCONFIG_NOT)
		return leaf_range(values, expr, is_default);
	a = range_of(values, expr->left, is_default);
	if (expr->op == KCONFIG_NOT)
		return (struct kconfig_range){
			(uint8_t)(KCONFIG_Y - a.high), (uint8_t)(KCONFIG_Y - a.low)};
	b = range_of(values, expr->right, is_default);
	return expr->op == KCONFIG_AND ? least(a, b) : most(a, b);
}

struct kconfig_range kconfig_expr_range(
	struct kconfig_values *values, const struct kconfig_expr *expr)
{
	return range_of(values, expr, false);
}

struct kconfig_range kconfig_default_expr_range(
	struct kconfig_values *values, const struct kconfig_expr *expr)
{
	return range_of(values, expr, true);
}

/* What a choice is worth to its members: y when one of them is, m when some are modules. */
static struct kconfig_range choice_range(
	struct kconfig_values *values, const struct kconfig_node *choice)
{
	struct kconfig_range range = kconfig_prompt_range(values, choice);
	uint8_t set = KCONFIG_N;

	for (const struct kconfig_node *member = choice->members; member != NULL;
		member = member->member_next)
		set = greater(set, values->of[member->symbol->index].tri);
	/* A choice of bools was y for m up to 6.10, and is m since. */
	if (choice->type != KCONFIG_TRISTATE || !values->modules)
		return (struct kconfig_range){
			choice->optional ? KCONFIG_N : range.low, without_m(range).high};
	if (set > KCONFIG_N)
		return (struct kconfig_range){lesser(set, range.high), lesser(set, range.high)};
	return (struct kconfig_range){
		choice->optional ? KCONFIG_N : lesser(range.low, KCONFIG_M), range.high};
}

struct kconfig_range kconfig_node_range(
	struct kconfig_values *values, const struct kconfig_node *node)
{
	struct kconfig_range range = always;

	if (values->node_known[node->index])
		return values->nodes[node->index];
	if (node->parent != NULL)
		range = node->parent->kind == KCONFIG_CHOICE
				? choice_range(values, node->parent)
				: kconfig_node_range(values, node->parent);
	range = least(range, kconfig_expr_range(values, node->depends));
	values->nodes[node->index] = range;
	values->node_known[node->index] = true;
	return range;
}

struct kconfig_range kconfig_prompt_range(
	struct kconfig_values *values, const struct kconfig_node *node)
{
	struct kconfig_range range;

	if (node->prompt == NULL)
		return never;
	range = least(
		kconfig_node_range(values, node), kconfig_expr_range(values, node->prompt_if));
	for (const struct kconfig_node *at = node->parent; at != NULL; at = at->parent)
		range = least(range, kconfig_expr_range(values, at->visible_if));
	return range;
}

struct kconfig_range kconfig_property_range(
	struct kconfig_values *values, const struct kconfig_property *property)
{
	return least(kconfig_node_range(values, property->node),
		kconfig_expr_range(values, property->condition));
}

static struct kconfig_range for_type(const struct kconfig_values *values,
	const struct kconfig_symbol *symbol, struct kconfig_range range)
{
	return kconfig_is_tristate(values, symbol) ? range : without_m(range);
}

struct kconfig_range kconfig_depends_range(
	struct kconfig_values *values, const struct kconfig_symbol *symbol)
{
	struct kconfig_range range = never;

	for (const struct kconfig_node *node = symbol->definitions; node != NULL; node = node->next)
		range = most(range, kconfig_node_range(values, node));
	return for_type(values, symbol, range);
}

struct kconfig_range kconfig_visible_range(
	struct kconfig_values *values, const struct kconfig_symbol *symbol)
{
	struct kconfig_range range = never;

	for (const struct kconfig_node *node = symbol->definitions; node != NULL; node = node->next)
		range = most(range, kconfig_prompt_range(values, node));
	return for_type(values, symbol, range);
}

static struct kconfig_range reverse_range(
	struct kconfig_values *values, const struct kconfig_property *by)
{
	struct kconfig_range range = never;

	for (; by != NULL; by = by->reverse) {
		uint8_t tri = values->of[by->node->symbol->index].tri;

		if (tri > KCONFIG_N)
			range = most(range, least((struct kconfig_range){tri, tri},
						    kconfig_property_range(values, by)));
	}
	return range;
}

struct kconfig_range kconfig_selected_range(
	struct kconfig_values *values, const struct kconfig_symbol *symbol)
{
	return for_type(values, symbol, reverse_range(values, symbol->selected_by));
}

/* The first default that counts is the one; of those before it that may count, any may be. */
struct kconfig_range kconfig_default_range(
	struct kconfig_values *values, const struct kconfig_symbol *symbol)
{
	struct kconfig_range range = never;
	bool found = false, certain = false;

	for (const struct kconfig_node *node = symbol->definitions; node != NULL;
		node = node->next) {
		for (const struct kconfig_property *property = node->properties;
			property != NULL && !certain; property = property->next) {
			struct kconfig_range counts, worth;

			if (property->kind != KCONFIG_DEFAULT)
				continue;
			counts = kconfig_property_range(values, property);
			if (counts.high == KCONFIG_N)
				continue;
			certain = counts.low > KCONFIG_N;
			worth = least(counts, kconfig_default_expr_range(values, property->value));
			range = found ? (struct kconfig_range){lesser(range.low, worth.low),
						greater(range.high, worth.high)}
				      : worth;
			found = true;
		}
	}
	if (!certain)
		range.low = KCONFIG_N;
	range = most(range, least(reverse_range(values, symbol->implied_by),
				    kconfig_depends_range(values, symbol)));
	return for_type(values, symbol, range);
}

const char *kconfig_value(const struct kconfig_values *values, const struct kconfig_symbol *symbol)
{
	if (symbol->type == KCONFIG_BOOL || symbol->type == KCONFIG_TRISTATE)
		return kconfig_symbol_text(values, symbol);
	return values->of[symbol->index].text;
}

bool kconfig_is_asked(const struct kconfig_values *values, const struct kconfig_symbol *symbol)
{
	/* What it remembers on the way is no change that anybody sees. */
	return kconfig_visible_range((struct kconfig_values *)values, symbol).high > KCONFIG_N;
}

bool kconfig_is_selected(const struct kconfig_values *values, const struct kconfig_symbol *symbol)
{
	return kconfig_selected_range((struct kconfig_values *)values, symbol).high > KCONFIG_N;
}
