/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kconfig/need.h"

#include <string.h>

#include "kconfig/expr.h"

enum {
	DEPTH_MOST = 8,     /* links of a chain of needs */
	NAMES_MOST = 4,     /* options in one list */
	BRANCHES_MOST = 16, /* of an "||" that are looked at */
	SELECTORS_MOST = 128,
	TEXT_MOST = 600, /* bytes of a sentence, about */
};

/* A thing that is not met, and that is one of: a symbol, a constant, a macro, a comparison, or an
   alternative of several. */
static void add_need(struct kconfig_needs *needs, const struct kconfig_expr *expr, bool negated)
{
	for (size_t i = 0; i < needs->count; i++) {
		const struct kconfig_need *other = &needs->items[i];

		if (other->expr == expr ||
			(other->negated == negated && expr->op == KCONFIG_SYMBOL &&
				other->expr->op == KCONFIG_SYMBOL &&
				other->expr->symbol == expr->symbol))
			return;
	}
	if (needs->count == ARRAY_SIZE(needs->items)) {
		needs->more = true;
		return;
	}
	needs->items[needs->count++] = (struct kconfig_need){expr, negated};
}

/* Certainly worth @level. */
static bool is_met(
	struct kconfig_values *values, const struct kconfig_expr *expr, bool negated, uint8_t level)
{
	struct kconfig_range range = kconfig_expr_range(values, expr);

	/* What a macro is decides itself: where it may be met, something else is to blame first. */
	return negated ? KCONFIG_Y - range.low >= level : range.high >= level;
}

static bool is_symbol_compare(const struct kconfig_expr *expr)
{
	return (expr->op == KCONFIG_EQUAL || expr->op == KCONFIG_UNEQUAL) &&
	       expr->left->op == KCONFIG_SYMBOL && expr->right->op == KCONFIG_CONSTANT &&
	       strlen(expr->right->text) == 1 && strchr("yn", expr->right->text[0]) != NULL;
}

void kconfig_needs_add(struct kconfig_values *values, const struct kconfig_expr *expr, bool negated,
	uint8_t level, struct kconfig_needs *needs)
{
	if (expr == NULL || is_met(values, expr, negated, level))
		return;
	if (expr->op == KCONFIG_NOT) {
		kconfig_needs_add(values, expr->left, !negated, level, needs);
	} else if (expr->op == (negated ? KCONFIG_OR : KCONFIG_AND)) {
		kconfig_needs_add(values, expr->left, negated, level, needs);
		kconfig_needs_add(values, expr->right, negated, level, needs);
	} else if (is_symbol_compare(expr)) {
		/* "X = y" is X, "X = n" is !X, "X != n" is X. */
		bool off = (expr->right->text[0] == 'n') == (expr->op == KCONFIG_EQUAL);

		add_need(needs, expr->left, off != negated);
	} else {
		add_need(needs, expr, negated);
	}
}

void kconfig_needs_add_node(struct kconfig_values *values, const struct kconfig_node *node,
	uint8_t level, struct kconfig_needs *needs)
{
	/* From the outside in: what is missing first is what has to be set first. */
	if (node->parent != NULL) {
		if (node->parent->kind == KCONFIG_CHOICE && !values->modules)
			level = MIN(level, KCONFIG_M);
		kconfig_needs_add_node(values, node->parent, level, needs);
	}
	if (node->kind == KCONFIG_CHOICE)
		kconfig_needs_add(values, node->prompt_if, false, level, needs);
	kconfig_needs_add(values, node->depends, false, level, needs);
}

const struct kconfig_node *kconfig_nearest_node(struct kconfig_values *values,
	const struct kconfig_symbol *symbol, uint8_t level, struct kconfig_needs *ret_needs)
{
	const struct kconfig_node *nearest = NULL;
	unsigned int looked = 0;

	*ret_needs = (struct kconfig_needs){.count = 0};
	for (const struct kconfig_node *node = symbol->definitions;
		node != NULL && looked < BRANCHES_MOST; node = node->next, looked++) {
		struct kconfig_needs needs = {.count = 0};

		kconfig_needs_add_node(values, node, level, &needs);
		if (nearest == NULL || needs.count < ret_needs->count) {
			nearest = node;
			*ret_needs = needs;
		}
	}
	return nearest;
}

/* Whether something in it does not exist here at all, so that it cannot be met. */
static bool is_impossible(
	struct kconfig_values *values, const struct kconfig_expr *expr, bool negated, uint8_t level)
{
	struct kconfig_needs needs = {.count = 0};

	kconfig_needs_add(values, expr, negated, level, &needs);
	for (size_t i = 0; i < needs.count; i++) {
		const struct kconfig_need *need = &needs.items[i];

		if (!need->negated && need->expr->op == KCONFIG_SYMBOL &&
			need->expr->symbol->definitions == NULL)
			return true;
	}
	return false;
}

/* The alternatives of an "||" that can be had; all when none can. */
struct branches {
	struct kconfig_need items[BRANCHES_MOST];
	size_t count;
	bool more;
};

static void collect(const struct kconfig_expr *expr, bool negated, struct branches *branches)
{
	if (expr->op == KCONFIG_NOT) {
		collect(expr->left, !negated, branches);
	} else if (expr->op == (negated ? KCONFIG_AND : KCONFIG_OR)) {
		collect(expr->left, negated, branches);
		collect(expr->right, negated, branches);
	} else if (branches->count < BRANCHES_MOST) {
		branches->items[branches->count++] = (struct kconfig_need){expr, negated};
	} else {
		branches->more = true;
	}
}

static struct branches possible_branches(
	struct kconfig_values *values, const struct kconfig_need *need, uint8_t level)
{
	struct branches all = {.count = 0}, possible = {.count = 0};

	collect(need->expr, need->negated, &all);
	for (size_t i = 0; i < all.count; i++) {
		if (!is_impossible(values, all.items[i].expr, all.items[i].negated, level))
			possible.items[possible.count++] = all.items[i];
	}
	possible.more = all.more;
	return possible.count > 0 ? possible : all;
}

static void print_symbol(const struct kconfig_symbol *symbol, struct strbuf *text)
{
	strbuf_add_format(text, "CONFIG_%s", symbol->name);
}

/* With CONFIG_ in front of what is an option's name. */
static void print_operand(const struct kconfig_expr *operand, struct strbuf *text)
{
	if (operand->op == KCONFIG_SYMBOL && operand->symbol->definitions != NULL)
		print_symbol(operand->symbol, text);
	else
		kconfig_expr_print(operand, text);
}

static void print_compare(
	struct kconfig_values *values, const struct kconfig_need *need, struct strbuf *text)
{
	const struct kconfig_expr *expr = need->expr;

	strbuf_add_string(text, need->negated ? "not " : "");
	print_operand(expr->left, text);
	strbuf_add_format(text, " %s ", kconfig_op_name(expr->op));
	print_operand(expr->right, text);
	if (expr->left->op == KCONFIG_SYMBOL && expr->left->symbol->definitions != NULL)
		strbuf_add_format(
			text, " (it is %s)", kconfig_symbol_text(values, expr->left->symbol));
}

static void print_plainly(
	struct kconfig_values *values, const struct kconfig_need *need, struct strbuf *text)
{
	if (need->expr->op == KCONFIG_SYMBOL) {
		print_symbol(need->expr->symbol, text);
		strbuf_add_string(text, need->negated ? "=n" : "");
	} else if (need->expr->op >= KCONFIG_EQUAL) {
		print_compare(values, need, text);
	} else {
		strbuf_add_string(text, need->negated ? "not " : "");
		kconfig_expr_print(need->expr, text);
	}
}

/* One way of several, and what of it is missing. */
static void print_branch(struct kconfig_values *values, const struct kconfig_need *branch,
	uint8_t level, struct strbuf *text)
{
	struct kconfig_needs needs = {.count = 0};

	kconfig_needs_add(values, branch->expr, branch->negated, level, &needs);
	for (size_t i = 0; i < needs.count; i++) {
		strbuf_add_string(text, i > 0 ? " with " : "");
		print_plainly(values, &needs.items[i], text);
	}
}

static void print_need(struct kconfig_values *values, const struct kconfig_need *need,
	uint8_t level, unsigned int depth, struct strbuf *text);

static void print_alternatives(struct kconfig_values *values, const struct kconfig_need *need,
	uint8_t level, unsigned int depth, struct strbuf *text)
{
	struct branches branches = possible_branches(values, need, level);
	size_t shown = MIN(branches.count, (size_t)NAMES_MOST);

	if (branches.count == 1) {
		struct kconfig_needs needs = {.count = 0};

		kconfig_needs_add(
			values, branches.items[0].expr, branches.items[0].negated, level, &needs);
		if (needs.count > 0 && needs.items[0].expr != need->expr && depth < DEPTH_MOST) {
			print_need(values, &needs.items[0], level, depth + 1, text);
			return;
		}
	}
	for (size_t i = 0; i < shown; i++) {
		bool last = i + 1 == branches.count;

		strbuf_add_string(text, i == 0 ? "" : last ? " or " : ", ");
		print_branch(values, &branches.items[i], level, text);
	}
	if (branches.more)
		strbuf_add_string(text, " or one of many others");
	else if (shown < branches.count)
		strbuf_add_format(text, " or one of %zu others", branches.count - shown);
	strbuf_add_string(text, branches.count == 2 ? ", and neither is so" : ", and none is so");
}

static void print_need(struct kconfig_values *values, const struct kconfig_need *need,
	uint8_t level, unsigned int depth, struct strbuf *text)
{
	switch (need->expr->op) {
	case KCONFIG_SYMBOL:
		print_symbol(need->expr->symbol, text);
		if (need->negated) {
			strbuf_add_format(text, " off, and it is %s",
				kconfig_symbol_text(values, need->expr->symbol));
			return;
		}
		strbuf_add_string(text, ", ");
		kconfig_lack_print(values, need->expr->symbol, level, depth + 1, text);
		return;
	case KCONFIG_MACRO:
		strbuf_add_format(text, "what the compiler or a tool cannot do: %s%s",
			need->negated ? "not " : "", need->expr->text);
		return;
	case KCONFIG_CONSTANT:
		strbuf_add_string(text, strcmp(need->expr->text, "m") == 0
						? values->modules
							  ? "to be a module"
							  : "modules, and CONFIG_MODULES is not set"
						: "what never is");
		return;
	case KCONFIG_AND:
	case KCONFIG_OR:
		print_alternatives(values, need, level, depth, text);
		return;
	default:
		if (need->expr->left->op == KCONFIG_CONSTANT)
			strbuf_add_string(text, "what is never so here: ");
		print_compare(values, need, text);
		return;
	}
}

/* Whether @need is among what another of the needs needs itself, so that this one says it all. */
static bool is_said(struct kconfig_values *values, const struct kconfig_needs *needs, size_t which,
	uint8_t level)
{
	const struct kconfig_need *need = &needs->items[which];

	if (need->expr->op != KCONFIG_SYMBOL || need->negated)
		return false;
	for (size_t i = 0; i < needs->count; i++) {
		const struct kconfig_need *other = &needs->items[i];
		struct kconfig_needs its;

		if (i == which || other->expr->op != KCONFIG_SYMBOL || other->negated)
			continue;
		kconfig_nearest_node(values, other->expr->symbol, level, &its);
		for (size_t k = 0; k < its.count; k++) {
			if (its.items[k].expr->op == KCONFIG_SYMBOL && !its.items[k].negated &&
				its.items[k].expr->symbol == need->expr->symbol)
				return true;
		}
	}
	return false;
}

static void print_needs(struct kconfig_values *values, const struct kconfig_needs *needs,
	const char *verb, uint8_t level, unsigned int depth, struct strbuf *text)
{
	/* Of what the needs need, the first is enough. */
	size_t most = depth == 0 ? 3 : 1, shown = 0, left = 0;

	for (size_t i = 0; i < needs->count; i++) {
		/* Two that need each other are both said. */
		if (i + 1 < needs->count && is_said(values, needs, i, level))
			continue;
		if (shown == most || (shown > 0 && text->size >= TEXT_MOST)) {
			left++;
			continue;
		}
		strbuf_add_format(text, shown++ == 0 ? "%s " : "; %s ", verb);
		print_need(values, &needs->items[i], level, depth, text);
	}
	if (depth == 0 && (left > 0 || needs->more))
		strbuf_add_format(
			text, "; and %zu more things%s", left, needs->more ? ", at least" : "");
}

void kconfig_needs_print(struct kconfig_values *values, const struct kconfig_needs *needs,
	const char *verb, uint8_t level, struct strbuf *text)
{
	print_needs(values, needs, verb, level, 0, text);
}

static bool is_listed(const struct kconfig_symbol *const *listed, size_t count,
	const struct kconfig_symbol *symbol)
{
	for (size_t i = 0; i < count; i++) {
		if (listed[i] == symbol)
			return true;
	}
	return false;
}

/* 0: it could be set as things stand. 1: it could be, with others. 2: not here, or by nobody. */
static int selector_rank(struct kconfig_values *values, const struct kconfig_property *by)
{
	struct kconfig_needs needs = {.count = 0};

	if (by->node->prompt == NULL)
		return 2;
	kconfig_needs_add_node(values, by->node, KCONFIG_M, &needs);
	if (needs.count == 0)
		return 0;
	for (size_t i = 0; i < needs.count; i++) {
		if (is_impossible(values, needs.items[i].expr, needs.items[i].negated, KCONFIG_M))
			return 2;
	}
	return 1;
}

bool kconfig_selectors_print(
	struct kconfig_values *values, const struct kconfig_symbol *symbol, struct strbuf *text)
{
	const struct kconfig_symbol *listed[NAMES_MOST];
	size_t count = 0;
	bool more = false;

	for (int rank = 0; rank <= 2; rank++) {
		unsigned int looked = 0;

		for (const struct kconfig_property *by = symbol->selected_by;
			by != NULL && !more && looked < SELECTORS_MOST;
			by = by->reverse, looked++) {
			const struct kconfig_symbol *from = by->node->symbol;

			if (is_listed(listed, count, from) || selector_rank(values, by) != rank)
				continue;
			if (count == NAMES_MOST)
				more = true;
			else
				listed[count++] = from;
		}
	}
	for (size_t i = 0; i < count; i++) {
		strbuf_add_string(text, i == 0 ? "" : i + 1 == count && !more ? " or " : ", ");
		print_symbol(listed[i], text);
	}
	strbuf_add_string(text, more ? " or another one" : "");
	return count > 0;
}

/* Of a symbol that nobody is asked about: what would make it what it is not. */
static void print_source(struct kconfig_values *values, const struct kconfig_symbol *symbol,
	uint8_t level, unsigned int depth, struct strbuf *text)
{
	struct kconfig_needs needs = {.count = 0};
	size_t before = text->size;

	for (const struct kconfig_node *node = symbol->definitions; node != NULL;
		node = node->next) {
		for (const struct kconfig_property *property = node->properties; property != NULL;
			property = property->next) {
			if (property->kind != KCONFIG_DEFAULT || needs.count > 0)
				continue;
			if (property->value->op == KCONFIG_MACRO) {
				strbuf_add_format(text,
					"which says what the compiler or a tool can do (%s)",
					property->value->text);
				return;
			}
			kconfig_needs_add(values, property->condition, false, level, &needs);
			kconfig_needs_add(values, property->value, false, level, &needs);
		}
	}
	if (needs.count > 0 && depth < DEPTH_MOST &&
		(needs.items[0].expr->op != KCONFIG_CONSTANT || symbol->selected_by == NULL)) {
		print_needs(values, &needs, "which comes with", level, depth + 1, text);
		return;
	}
	strbuf_add_string(text, "which has no prompt: it is selected by ");
	if (!kconfig_selectors_print(values, symbol, text)) {
		text->size = before;
		strbuf_add_string(text, "which nothing sets");
	}
}

void kconfig_lack_print(struct kconfig_values *values, const struct kconfig_symbol *symbol,
	uint8_t level, unsigned int depth, struct strbuf *text)
{
	struct kconfig_needs needs;

	if (symbol->definitions == NULL) {
		strbuf_add_format(text, "which does not exist in %s", values->tree->version);
		return;
	}
	if (symbol->type == KCONFIG_BOOL || !values->modules)
		level = KCONFIG_M;
	kconfig_nearest_node(values, symbol, level, &needs);
	if (depth >= DEPTH_MOST || text->size > TEXT_MOST)
		strbuf_add_string(text, "which is not set");
	else if (needs.count > 0)
		print_needs(values, &needs, "which needs", level, depth, text);
	else if (values->of[symbol->index].tri == KCONFIG_M)
		strbuf_add_string(text, "which is a module");
	else if (kconfig_visible_range(values, symbol).high > KCONFIG_N)
		strbuf_add_string(text, "which is not set");
	else
		print_source(values, symbol, level, depth, text);
}
