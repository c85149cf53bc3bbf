/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What expressions are worth, with the values of a .config.
 *
 * What a macro is nobody here knows, so that every worth is a range: what it is at least, and what
 * it may be at most.
 */
#pragma once

#include "kconfig/tree.h"

struct kconfig_range {
	uint8_t low, high;
};

struct kconfig_value {
	uint8_t tri;
	bool mentioned;   /* "# ... is not set" counts */
	const char *text; /* of a value that is none of y, m, n; NULL */
};

struct kconfig_values {
	const struct kconfig *tree;
	struct pool pool;
	struct kconfig_value *of;    /* by the symbol's index */
	struct kconfig_range *nodes; /* by the node's index: what it depends on, all in all */
	bool *node_known;
	bool modules;
};

struct kconfig_range kconfig_expr_range(
	struct kconfig_values *values, const struct kconfig_expr *expr);
/* A default's: "m" is not "m && MODULES" there. */
struct kconfig_range kconfig_default_expr_range(
	struct kconfig_values *values, const struct kconfig_expr *expr);
/* What a node depends on, all in all. */
struct kconfig_range kconfig_node_range(
	struct kconfig_values *values, const struct kconfig_node *node);
struct kconfig_range kconfig_prompt_range(
	struct kconfig_values *values, const struct kconfig_node *node);
/* How far a default, a select or an imply counts: its node's dependencies and its own "if". */
struct kconfig_range kconfig_property_range(
	struct kconfig_values *values, const struct kconfig_property *property);

/* All definitions together. For types that modules cannot have, m is y. */
struct kconfig_range kconfig_depends_range(
	struct kconfig_values *values, const struct kconfig_symbol *symbol);
struct kconfig_range kconfig_visible_range(
	struct kconfig_values *values, const struct kconfig_symbol *symbol);
struct kconfig_range kconfig_selected_range(
	struct kconfig_values *values, const struct kconfig_symbol *symbol);
/* What it would be if nobody were asked: its defaults and implies. */
struct kconfig_range kconfig_default_range(
	struct kconfig_values *values, const struct kconfig_symbol *symbol);

/* What it is as text: a quoted text, a number, "y"; a name that nothing defines is its own. */
const char *kconfig_symbol_text(
	const struct kconfig_values *values, const struct kconfig_symbol *symbol);
bool kconfig_is_tristate(const struct kconfig_values *values, const struct kconfig_symbol *symbol);
