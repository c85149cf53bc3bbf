/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an expression lacks, as a sentence. */
#pragma once

#include "base/strbuf.h"
#include "kconfig/values.h"

/* What is not met, the least of it: "&&" split up, what is met left out. */
struct kconfig_needs {
	struct kconfig_need {
		const struct kconfig_expr *expr;
		bool negated;
	} items[8];
	size_t count;
	bool more; /* than there is room for */
};

/* Adds what @expr (@negated: its opposite) lacks to be worth @level. */
void kconfig_needs_add(struct kconfig_values *values, const struct kconfig_expr *expr, bool negated,
	uint8_t level, struct kconfig_needs *needs);
/* The same for all that a node depends on. */
void kconfig_needs_add_node(struct kconfig_values *values, const struct kconfig_node *node,
	uint8_t level, struct kconfig_needs *needs);
/* "needs CONFIG_BLK_DEV_DM, which needs CONFIG_MD, which is not set", with @verb in front. */
void kconfig_needs_print(struct kconfig_values *values, const struct kconfig_needs *needs,
	const char *verb, uint8_t level, struct strbuf *text);

/* Of all definitions of a symbol, the one that lacks least; NULL when it has none. */
const struct kconfig_node *kconfig_nearest_node(struct kconfig_values *values,
	const struct kconfig_symbol *symbol, uint8_t level, struct kconfig_needs *ret_needs);
/* "CONFIG_A, CONFIG_B or CONFIG_C", of those that select @symbol; false when nothing does. */
bool kconfig_selectors_print(
	struct kconfig_values *values, const struct kconfig_symbol *symbol, struct strbuf *text);
/* Why @symbol is less than @level, to go on with after its name: "which is not set", "which needs
   CONFIG_MD, which is not set". */
void kconfig_lack_print(struct kconfig_values *values, const struct kconfig_symbol *symbol,
	uint8_t level, unsigned int depth, struct strbuf *text);
