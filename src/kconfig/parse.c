/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Statements of Kconfig files. What newer kernels may add to an entry's lines is passed over; what
   opens or closes a block has to be right. */
#include <errno.h>
#include <string.h>

#include "base/macros.h"
#include "kconfig/expr.h"
#include "kconfig/lexer.h"
#include "kconfig/tree.h"

enum {
	FILES_MOST = 16384,   /* files read, each as often as it is sourced; 6.1 has 1460 */
	SOURCES_MOST = 32,    /* files inside each other */
	BLOCKS_MOST = 64,     /* menus, ifs and choices inside each other, all files together */
	TEXT_MOST = 64 << 20, /* bytes, all files together */
	DEPENDS_MOST = 256,   /* "depends on" lines of one entry */
	MEMBERS_MOST = 1024,  /* of one choice */
	NODES_MOST = 1 << 20,
};

struct parser {
	struct kconfig *tree;
	const struct kconfig_reader *reader;
	struct kconfig_lexer *lexer; /* of the file that is being read */
	struct kconfig_words words;
	struct kconfig_node *block; /* menu, if, choice, or the root */
	struct kconfig_node *entry; /* what attributes go to; NULL: nothing */
	unsigned int files, sources, blocks;
	size_t text;
};

static int refuse(const struct parser *parser, const char *what, struct caisson_error *err)
{
	return caisson_refuse(
		err, EINVAL, "%s:%u: %s", parser->lexer->file, parser->lexer->statement_line, what);
}

static int out_of_memory(const struct parser *parser, struct caisson_error *err)
{
	return caisson_fail(err, ENOMEM, "read %s", parser->lexer->file);
}

/* What the parts of expressions fail with has no sentence yet. */
static int explain(const struct parser *parser, int r, const char *what, struct caisson_error *err)
{
	if (r == -ENOMEM)
		return out_of_memory(parser, err);
	return r < 0 ? refuse(parser, what, err) : 0;
}

static struct kconfig_node *add_node(struct parser *parser, enum kconfig_kind kind)
{
	struct kconfig_node *node = NULL;

	if (parser->tree->nodes < NODES_MOST)
		node = pool_take(&parser->tree->pool, sizeof(*node));
	if (node == NULL)
		return NULL;
	node->kind = kind;
	node->parent = parser->block;
	node->file = parser->lexer->file;
	node->line = parser->lexer->statement_line;
	node->index = (unsigned int)parser->tree->nodes++;
	node->properties_end = &node->properties;
	node->members_end = &node->members;
	return node;
}

static int open_block(struct parser *parser, enum kconfig_kind kind, struct caisson_error *err)
{
	struct kconfig_node *node = add_node(parser, kind);

	if (node == NULL)
		return out_of_memory(parser, err);
	if (++parser->blocks > BLOCKS_MOST)
		return refuse(parser, "too many menus inside each other", err);
	parser->block = node;
	parser->entry = node;
	return 0;
}

static int close_block(struct parser *parser, enum kconfig_kind kind, struct caisson_error *err)
{
	if (parser->block->kind != kind || parser->block->file != parser->lexer->file)
		return refuse(parser, "closes what is not open", err);
	parser->block = parser->block->parent;
	parser->entry = NULL;
	parser->blocks--;
	return 0;
}

/* "if EXPR" behind an attribute; NULL when nothing is there. */
static int parse_condition(
	struct parser *parser, const struct kconfig_expr **ret_expr, struct caisson_error *err)
{
	struct kconfig_words *words = &parser->words;
	int r = 0;

	*ret_expr = NULL;
	if (words->at->kind == KCONFIG_WORD && kconfig_token_is(words->at, "if")) {
		words->at++;
		r = kconfig_expr_parse(words, ret_expr);
	}
	if (r == 0 && words->at->kind != KCONFIG_END)
		r = -EINVAL;
	return explain(parser, r, "not an expression", err);
}

/* A lone expression. */
static int parse_whole(
	struct parser *parser, const struct kconfig_expr **ret_expr, struct caisson_error *err)
{
	int r = kconfig_expr_parse(&parser->words, ret_expr);

	if (r == 0 && parser->words.at->kind != KCONFIG_END)
		r = -EINVAL;
	return explain(parser, r, "not an expression", err);
}

static struct kconfig_property *add_property(struct parser *parser, enum kconfig_property_kind kind)
{
	struct kconfig_property *property = pool_take(&parser->tree->pool, sizeof(*property));

	if (property == NULL)
		return NULL;
	property->kind = kind;
	property->node = parser->entry;
	*parser->entry->properties_end = property;
	parser->entry->properties_end = &property->next;
	return property;
}

/* The choice that a config stands in, ifs aside. */
static struct kconfig_node *choice_around(const struct kconfig_node *node)
{
	struct kconfig_node *at = node->parent;

	while (at->kind == KCONFIG_IF)
		at = at->parent;
	return at->kind == KCONFIG_CHOICE ? at : NULL;
}

static int on_config(struct parser *parser, int unused _unused_, struct caisson_error *err)
{
	const struct kconfig_token *name = parser->words.at;
	struct kconfig_symbol *symbol;
	struct kconfig_node *node, *choice;

	if (name->kind != KCONFIG_WORD || name[1].kind != KCONFIG_END)
		return refuse(parser, "an option without a name", err);
	symbol = kconfig_intern(parser->tree, name->text, name->size);
	node = add_node(parser, KCONFIG_CONFIG);
	if (symbol == NULL || node == NULL)
		return out_of_memory(parser, err);
	node->symbol = symbol;
	*symbol->definitions_end = node;
	symbol->definitions_end = &node->next;
	parser->entry = node;
	choice = choice_around(node);
	if (choice != NULL) {
		if (++choice->members_count > MEMBERS_MOST)
			return refuse(parser, "a choice of too many", err);
		*choice->members_end = node;
		choice->members_end = &node->member_next;
	}
	return 0;
}

static int on_block(struct parser *parser, int kind, struct caisson_error *err)
{
	int r = open_block(parser, (enum kconfig_kind)kind, err);

	if (r < 0)
		return r;
	if (kind == KCONFIG_IF) {
		parser->entry = NULL;
		return parse_whole(parser, &parser->block->depends, err);
	}
	if (kind == KCONFIG_CHOICE) {
		parser->block->next = parser->tree->choices;
		parser->tree->choices = parser->block;
	}
	return 0;
}

static int on_end(struct parser *parser, int kind, struct caisson_error *err)
{
	return close_block(parser, (enum kconfig_kind)kind, err);
}

static int on_comment(struct parser *parser, int unused _unused_, struct caisson_error *err)
{
	parser->entry = add_node(parser, KCONFIG_COMMENT);
	return parser->entry != NULL ? 0 : out_of_memory(parser, err);
}

static int parse_file(struct parser *parser, const char *path, struct caisson_error *err);

static int on_source(struct parser *parser, int unused _unused_, struct caisson_error *err)
{
	const struct kconfig_token *name = parser->words.at;
	const char *path;

	if ((name->kind != KCONFIG_QUOTED && name->kind != KCONFIG_WORD) ||
		name[1].kind != KCONFIG_END)
		return refuse(parser, "the name of a file is missing, or not known", err);
	path = pool_copy(&parser->tree->pool, name->text, name->size);
	if (path == NULL)
		return out_of_memory(parser, err);
	parser->entry = NULL;
	return parse_file(parser, path, err);
}

static int on_type(struct parser *parser, int type, struct caisson_error *err)
{
	struct kconfig_node *entry = parser->entry;
	const struct kconfig_token *text = parser->words.at;

	if (entry->symbol != NULL && entry->symbol->type == KCONFIG_UNKNOWN)
		entry->symbol->type = (enum kconfig_type)type;
	if (entry->kind == KCONFIG_CHOICE)
		entry->type = (enum kconfig_type)type;
	if (text->kind == KCONFIG_END)
		return 0;
	if (text->kind == KCONFIG_OPERATOR)
		return refuse(parser, "not a prompt", err);
	entry->prompt = pool_copy(&parser->tree->pool, text->text, text->size);
	if (entry->prompt == NULL)
		return out_of_memory(parser, err);
	parser->words.at++;
	return parse_condition(parser, &entry->prompt_if, err);
}

static int on_prompt(struct parser *parser, int unused _unused_, struct caisson_error *err)
{
	return on_type(parser, KCONFIG_UNKNOWN, err);
}

static int on_default(struct parser *parser, int type, struct caisson_error *err)
{
	struct kconfig_node *entry = parser->entry;
	struct kconfig_property *property = add_property(parser, KCONFIG_DEFAULT);
	int r;

	if (property == NULL)
		return out_of_memory(parser, err);
	if (type != KCONFIG_UNKNOWN && entry->symbol != NULL &&
		entry->symbol->type == KCONFIG_UNKNOWN)
		entry->symbol->type = (enum kconfig_type)type;
	r = explain(parser, kconfig_expr_parse(&parser->words, &property->value),
		"not an expression", err);
	return r < 0 ? r : parse_condition(parser, &property->condition, err);
}

static int on_select(struct parser *parser, int kind, struct caisson_error *err)
{
	const struct kconfig_token *name = parser->words.at;
	struct kconfig_property *property, **list;

	if (name->kind != KCONFIG_WORD)
		return refuse(parser, "an option without a name", err);
	property = add_property(parser, (enum kconfig_property_kind)kind);
	if (property == NULL)
		return out_of_memory(parser, err);
	property->target = kconfig_intern(parser->tree, name->text, name->size);
	if (property->target == NULL)
		return out_of_memory(parser, err);
	if (parser->entry->symbol != NULL) {
		list = kind == KCONFIG_SELECT ? &property->target->selected_by
					      : &property->target->implied_by;
		property->reverse = *list;
		*list = property;
	}
	parser->words.at++;
	return parse_condition(parser, &property->condition, err);
}

static int on_range(struct parser *parser, int unused _unused_, struct caisson_error *err)
{
	struct kconfig_property *property = add_property(parser, KCONFIG_RANGE);
	int r;

	if (property == NULL)
		return out_of_memory(parser, err);
	r = kconfig_operand_parse(&parser->words, &property->value);
	if (r == 0)
		r = kconfig_operand_parse(&parser->words, &property->most);
	r = explain(parser, r, "not a range", err);
	return r < 0 ? r : parse_condition(parser, &property->condition, err);
}

static int on_depends(struct parser *parser, int unused _unused_, struct caisson_error *err)
{
	struct kconfig_node *entry = parser->entry;
	const struct kconfig_expr *expr;
	int r;

	if (!kconfig_token_is(parser->words.at, "on") || ++entry->depends_count > DEPENDS_MOST)
		return refuse(parser, "not a dependency", err);
	parser->words.at++;
	r = parse_whole(parser, &expr, err);
	if (r < 0)
		return r;
	return explain(parser,
		kconfig_expr_and(parser->tree, entry->depends, expr, &entry->depends), "", err);
}

static int on_visible(struct parser *parser, int unused _unused_, struct caisson_error *err)
{
	struct kconfig_node *entry = parser->entry;
	const struct kconfig_expr *expr;
	int r;

	if (++entry->depends_count > DEPENDS_MOST)
		return refuse(parser, "not a dependency", err);
	r = parse_condition(parser, &expr, err);
	if (r < 0)
		return r;
	return explain(parser,
		kconfig_expr_and(parser->tree, entry->visible_if, expr, &entry->visible_if), "",
		err);
}

static int on_modules(
	struct parser *parser, int unused _unused_, struct caisson_error *err _unused_)
{
	parser->tree->modules = parser->entry->symbol;
	return 0;
}

/* "option modules" up to 5.13. */
static int on_option(struct parser *parser, int unused, struct caisson_error *err)
{
	return kconfig_token_is(parser->words.at, "modules") ? on_modules(parser, unused, err) : 0;
}

static int on_optional(
	struct parser *parser, int unused _unused_, struct caisson_error *err _unused_)
{
	parser->entry->optional = true;
	return 0;
}

static int on_help(struct parser *parser, int unused _unused_, struct caisson_error *err _unused_)
{
	kconfig_lexer_skip_help(parser->lexer);
	return 0;
}

static const struct statement {
	const char *name;
	bool attribute; /* of the entry before it */
	int argument;
	int (*run)(struct parser *parser, int argument, struct caisson_error *err);
} statements[] = {
	{"config", false, 0, on_config},
	{"depends", true, 0, on_depends},
	{"help", true, 0, on_help},
	{"select", true, KCONFIG_SELECT, on_select},
	{"bool", true, KCONFIG_BOOL, on_type},
	{"tristate", true, KCONFIG_TRISTATE, on_type},
	{"default", true, KCONFIG_UNKNOWN, on_default},
	{"def_bool", true, KCONFIG_BOOL, on_default},
	{"source", false, 0, on_source},
	{"if", false, KCONFIG_IF, on_block},
	{"endif", false, KCONFIG_IF, on_end},
	{"menuconfig", false, 0, on_config},
	{"menu", false, KCONFIG_MENU, on_block},
	{"endmenu", false, KCONFIG_MENU, on_end},
	{"int", true, KCONFIG_INT, on_type},
	{"hex", true, KCONFIG_HEX, on_type},
	{"string", true, KCONFIG_STRING, on_type},
	{"imply", true, KCONFIG_IMPLY, on_select},
	{"prompt", true, 0, on_prompt},
	{"range", true, 0, on_range},
	{"def_tristate", true, KCONFIG_TRISTATE, on_default},
	{"comment", false, 0, on_comment},
	{"choice", false, KCONFIG_CHOICE, on_block},
	{"endchoice", false, KCONFIG_CHOICE, on_end},
	{"visible", true, 0, on_visible},
	{"modules", true, 0, on_modules},
	{"option", true, 0, on_option},
	{"optional", true, 0, on_optional},
};

static int parse_statement(struct parser *parser, struct caisson_error *err)
{
	const struct kconfig_token *first = &parser->lexer->tokens[0];

	parser->words = (struct kconfig_words){parser->tree, first + 1, 0};
	if (first->kind != KCONFIG_WORD)
		return refuse(parser, "not a statement", err);
	for (size_t i = 0; i < ARRAY_SIZE(statements); i++) {
		if (!kconfig_token_is(first, statements[i].name))
			continue;
		if (statements[i].attribute && parser->entry == NULL)
			return refuse(parser, "belongs to no entry", err);
		return statements[i].run(parser, statements[i].argument, err);
	}
	return 0;
}

static int parse_statements(struct parser *parser, struct caisson_error *err)
{
	const struct kconfig_node *block = parser->block;
	int r = 0;

	while (r >= 0) {
		r = kconfig_lexer_next(parser->lexer, err);
		if (r == 0)
			break;
		if (r > 0)
			r = parse_statement(parser, err);
	}
	if (r < 0)
		return r;
	if (parser->block != block)
		return caisson_refuse(err, EINVAL, "%s:%u: is not closed in this file",
			parser->block->file, parser->block->line);
	return 0;
}

static int parse_file(struct parser *parser, const char *path, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	_cleanup_free_ struct kconfig_lexer *lexer = NULL;
	struct kconfig_lexer *outer = parser->lexer;
	int r;

	if (++parser->files > FILES_MOST || parser->sources == SOURCES_MOST)
		return caisson_refuse(err, ELOOP, "%s: too many files source each other", path);
	r = parser->reader->read(parser->reader->userdata, path, &text, err);
	if (r < 0)
		return outer == NULL
			       ? r
			       : caisson_wrap(err, "%s:%u", outer->file, outer->statement_line);
	parser->text += text.size;
	lexer = malloc(sizeof(*lexer));
	if (lexer == NULL || !strbuf_ok(&text) || parser->text > TEXT_MOST)
		return caisson_fail(err, lexer == NULL ? ENOMEM : EFBIG, "read %s", path);
	lexer->at = text.data != NULL ? text.data : "";
	lexer->end = lexer->at + text.size;
	lexer->file = path;
	lexer->line = lexer->statement_line = 1;
	lexer->pool = &parser->tree->pool;
	lexer->version = parser->tree->version;
	lexer->count = 0;
	parser->lexer = lexer;
	parser->sources++;
	r = parse_statements(parser, err);
	parser->sources--;
	parser->lexer = outer;
	return r;
}

int kconfig_parse_file(struct kconfig *tree, const struct kconfig_reader *reader, const char *path,
	struct caisson_error *err)
{
	struct parser parser = {.tree = tree, .reader = reader, .block = tree->root};

	return parse_file(&parser, path, err);
}
