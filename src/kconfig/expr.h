/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Expressions of Kconfig files: from words to trees, and back. */
#pragma once

#include <caisson/error.h>

#include "base/strbuf.h"
#include "kconfig/lexer.h"
#include "kconfig/tree.h"

/* A cursor over a statement's words. */
struct kconfig_words {
	struct kconfig *tree;
	const struct kconfig_token *at; /* KCONFIG_END ends them */
	unsigned int depth;
};

/* -EINVAL without a sentence when the words are no expression, -ENOMEM. What is behind the
   expression is left for the caller. */
int kconfig_expr_parse(struct kconfig_words *words, const struct kconfig_expr **ret_expr);
/* One symbol or constant. */
int kconfig_operand_parse(struct kconfig_words *words, const struct kconfig_expr **ret_expr);
/* Both of them; either may be NULL for "y". */
int kconfig_expr_and(struct kconfig *tree, const struct kconfig_expr *a,
	const struct kconfig_expr *b, const struct kconfig_expr **ret_expr);
/* As Kconfig writes it, without "CONFIG_". */
void kconfig_expr_print(const struct kconfig_expr *expr, struct strbuf *text);
/* "=" for a comparison's. */
const char *kconfig_op_name(enum kconfig_op op);
