/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Documentation/kbuild/kconfig-language.rst, "Menu dependencies": '!' binds first, then the
   comparisons, '&&', '||'. */
#include "kconfig/expr.h"

#include <errno.h>
#include <string.h>

#include "base/macros.h"

enum { DEPTH_MOST = 64 }; /* parentheses and '!' inside each other */

static const char *const op_names[] = {[KCONFIG_EQUAL] = "=",
	[KCONFIG_UNEQUAL] = "!=",
	[KCONFIG_LESS] = "<",
	[KCONFIG_LESS_EQUAL] = "<=",
	[KCONFIG_GREATER] = ">",
	[KCONFIG_GREATER_EQUAL] = ">="};

const char *kconfig_op_name(enum kconfig_op op)
{
	return op >= KCONFIG_EQUAL ? op_names[op] : "";
}

static int make(struct kconfig *tree, enum kconfig_op op, const struct kconfig_expr *left,
	const struct kconfig_expr *right, const struct kconfig_expr **ret_expr)
{
	struct kconfig_expr *expr = pool_take(&tree->pool, sizeof(*expr));

	if (expr == NULL)
		return -ENOMEM;
	expr->op = op;
	expr->left = left;
	expr->right = right;
	*ret_expr = expr;
	return 0;
}

int kconfig_expr_and(struct kconfig *tree, const struct kconfig_expr *a,
	const struct kconfig_expr *b, const struct kconfig_expr **ret_expr)
{
	if (a != NULL && b != NULL)
		return make(tree, KCONFIG_AND, a, b, ret_expr);
	*ret_expr = a != NULL ? a : b;
	return 0;
}

static bool is_tristate_word(const struct kconfig_token *token)
{
	return token->size == 1 && strchr("ymn", token->text[0]) != NULL && token->text[0] != '\0';
}

int kconfig_operand_parse(struct kconfig_words *words, const struct kconfig_expr **ret_expr)
{
	const struct kconfig_token *token = words->at;
	struct kconfig *tree = words->tree;
	struct kconfig_expr *expr;

	if (token->kind != KCONFIG_WORD && token->kind != KCONFIG_QUOTED &&
		token->kind != KCONFIG_OPAQUE)
		return -EINVAL;
	expr = pool_take(&tree->pool, sizeof(*expr));
	if (expr == NULL)
		return -ENOMEM;
	if (token->kind == KCONFIG_WORD && !is_tristate_word(token)) {
		expr->op = KCONFIG_SYMBOL;
		expr->symbol = kconfig_intern(tree, token->text, token->size);
		if (expr->symbol == NULL)
			return -ENOMEM;
	} else {
		expr->op = token->kind == KCONFIG_OPAQUE ? KCONFIG_MACRO : KCONFIG_CONSTANT;
		expr->text = pool_copy(&tree->pool, token->text, token->size);
		if (expr->text == NULL)
			return -ENOMEM;
	}
	words->at++;
	*ret_expr = expr;
	return 0;
}

static bool take_operator(struct kconfig_words *words, const char *text)
{
	if (words->at->kind != KCONFIG_OPERATOR || !kconfig_token_is(words->at, text))
		return false;
	words->at++;
	return true;
}

static int parse_comparison(struct kconfig_words *words, const struct kconfig_expr **ret_expr)
{
	const struct kconfig_expr *left, *right;
	int r = kconfig_operand_parse(words, &left);

	if (r < 0)
		return r;
	for (enum kconfig_op op = KCONFIG_EQUAL; op < ARRAY_SIZE(op_names); op++) {
		if (!take_operator(words, op_names[op]))
			continue;
		r = kconfig_operand_parse(words, &right);
		return r < 0 ? r : make(words->tree, op, left, right, ret_expr);
	}
	*ret_expr = left;
	return 0;
}

static int parse_factor(struct kconfig_words *words, const struct kconfig_expr **ret_expr)
{
	const struct kconfig_expr *inner;
	int r;

	if (words->depth == DEPTH_MOST)
		return -EINVAL;
	words->depth++;
	if (take_operator(words, "!")) {
		r = parse_factor(words, &inner);
		if (r == 0)
			r = make(words->tree, KCONFIG_NOT, inner, NULL, &inner);
	} else if (take_operator(words, "(")) {
		r = kconfig_expr_parse(words, &inner);
		if (r == 0 && !take_operator(words, ")"))
			r = -EINVAL;
	} else {
		r = parse_comparison(words, &inner);
	}
	words->depth--;
	if (r == 0)
		*ret_expr = inner;
	return r;
}

static int parse_term(struct kconfig_words *words, const struct kconfig_expr **ret_expr)
{
	const struct kconfig_expr *left, *right;
	int r = parse_factor(words, &left);

	while (r == 0 && take_operator(words, "&&")) {
		r = parse_factor(words, &right);
		if (r == 0)
			r = make(words->tree, KCONFIG_AND, left, right, &left);
	}
	if (r == 0)
		*ret_expr = left;
	return r;
}

int kconfig_expr_parse(struct kconfig_words *words, const struct kconfig_expr **ret_expr)
{
	const struct kconfig_expr *left, *right;
	int r = parse_term(words, &left);

	while (r == 0 && take_operator(words, "||")) {
		r = parse_term(words, &right);
		if (r == 0)
			r = make(words->tree, KCONFIG_OR, left, right, &left);
	}
	if (r == 0)
		*ret_expr = left;
	return r;
}

static void print_in(const struct kconfig_expr *expr, enum kconfig_op around, struct strbuf *text)
{
	bool brackets = (expr->op == KCONFIG_OR && around != KCONFIG_OR) ||
			(expr->op == KCONFIG_AND && around == KCONFIG_NOT);

	if (brackets)
		strbuf_add_char(text, '(');
	kconfig_expr_print(expr, text);
	if (brackets)
		strbuf_add_char(text, ')');
}

void kconfig_expr_print(const struct kconfig_expr *expr, struct strbuf *text)
{
	switch (expr->op) {
	case KCONFIG_SYMBOL:
		strbuf_add_string(text, expr->symbol->name);
		break;
	case KCONFIG_MACRO:
		strbuf_add_string(text, expr->text);
		break;
	case KCONFIG_CONSTANT:
		if (strlen(expr->text) == 1 && strchr("ymn", expr->text[0]) != NULL)
			strbuf_add_string(text, expr->text);
		else
			strbuf_add_format(text, "\"%s\"", expr->text);
		break;
	case KCONFIG_NOT:
		strbuf_add_char(text, '!');
		print_in(expr->left, KCONFIG_NOT, text);
		break;
	case KCONFIG_AND:
	case KCONFIG_OR:
		print_in(expr->left, expr->op, text);
		strbuf_add_string(text, expr->op == KCONFIG_AND ? " && " : " || ");
		print_in(expr->right, expr->op, text);
		break;
	default:
		kconfig_expr_print(expr->left, text);
		strbuf_add_format(text, " %s ", op_names[expr->op]);
		kconfig_expr_print(expr->right, text);
		break;
	}
}
