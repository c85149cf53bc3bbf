/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What Kconfig files say, as the reader keeps it; for the files of this folder and the tests. */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kconfig/kconfig.h"
#include "kconfig/pool.h"
#include "kernel/release.h"

/* n, m and y as the kernel's documentation counts them (Documentation/kbuild/kconfig-language.rst,
   "Menu dependencies"): "and" is the least, "or" the most, "not" is 2 minus. */
enum { KCONFIG_N, KCONFIG_M, KCONFIG_Y };

enum kconfig_op {
	KCONFIG_SYMBOL,
	KCONFIG_CONSTANT, /* y, m, n, or a quoted text */
	KCONFIG_MACRO,    /* what only running something could tell: $(cc-option,-m64) */
	KCONFIG_NOT,
	KCONFIG_AND,
	KCONFIG_OR,
	KCONFIG_EQUAL, /* from here on both sides are one of the first three */
	KCONFIG_UNEQUAL,
	KCONFIG_LESS,
	KCONFIG_LESS_EQUAL,
	KCONFIG_GREATER,
	KCONFIG_GREATER_EQUAL,
};

struct kconfig_expr {
	enum kconfig_op op;
	union {
		const struct kconfig_expr *left;
		const struct kconfig_symbol *symbol;
		const char *text;
	};
	const struct kconfig_expr *right;
};

enum kconfig_kind {
	KCONFIG_ROOT,
	KCONFIG_CONFIG,
	KCONFIG_MENU,
	KCONFIG_IF,
	KCONFIG_CHOICE,
	KCONFIG_COMMENT,
};

enum kconfig_property_kind { KCONFIG_DEFAULT, KCONFIG_SELECT, KCONFIG_IMPLY, KCONFIG_RANGE };

struct kconfig_property {
	enum kconfig_property_kind kind;
	const struct kconfig_expr *value;     /* of a default; the least of a range */
	const struct kconfig_expr *most;      /* of a range */
	struct kconfig_symbol *target;        /* of select and imply */
	const struct kconfig_expr *condition; /* NULL: always */
	const struct kconfig_node *node;
	struct kconfig_property *next;    /* of the same node, in the file's order */
	struct kconfig_property *reverse; /* select and imply: the next one with the same target */
};

/* One entry of the menu's tree. A symbol may be defined by several. */
struct kconfig_node {
	enum kconfig_kind kind;
	enum kconfig_type type; /* of a choice */
	bool optional;          /* a choice of which none need be set */
	bool in_choice;         /* a config that is a member of the nearest choice above */
	struct kconfig_node *parent;
	struct kconfig_symbol *symbol;
	const char *prompt; /* NULL: nobody is asked */
	const struct kconfig_expr *prompt_if;
	const struct kconfig_expr *depends;    /* its own alone */
	const struct kconfig_expr *visible_if; /* of a menu, for the prompts below it */
	struct kconfig_property *properties, **properties_end;
	const char *file;
	unsigned int line;
	unsigned int index;
	unsigned int depends_count, members_count;
	struct kconfig_node *next; /* the next definition of the same symbol; the next choice */
	struct kconfig_node *members, **members_end; /* of a choice */
	struct kconfig_node *member_next;
};

struct kconfig_symbol {
	const char *name; /* without CONFIG_ */
	enum kconfig_type type;
	unsigned int index;
	struct kconfig_node *definitions, **definitions_end; /* none: it is only spoken of */
	struct kconfig_property *selected_by, *implied_by;
};

struct kconfig {
	struct pool pool;
	char version[KERNEL_RELEASE_SIZE];
	struct kconfig_symbol **symbols; /* by index */
	size_t count, capacity;
	uint32_t *buckets; /* index + 1; a power of two of them */
	size_t bucket_count;
	struct kconfig_node *root;
	struct kconfig_node *choices;
	size_t nodes;
	const struct kconfig_symbol *modules; /* what turns modules on; may be NULL */
};

/* The symbol of that name, made when it is new; NULL when memory runs out. */
struct kconfig_symbol *kconfig_intern(struct kconfig *tree, const char *name, size_t size);
/* Reads @path and what it sources into @tree. */
int kconfig_parse_file(struct kconfig *tree, const struct kconfig_reader *reader, const char *path,
	struct caisson_error *err);
/* The choice that a node is a member of, or NULL. */
const struct kconfig_node *kconfig_choice_of(const struct kconfig_node *node);
