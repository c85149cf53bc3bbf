/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kconfig/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "kconfig/expr.h"
#include "kernel/release.h"

enum {
	FILE_MOST = 4 << 20,
	POOL_MOST = 512 << 20,
	SYMBOLS_MOST = 1 << 20,
	MAKEFILE_MOST = 1 << 20,
};

static uint32_t hash(const char *name, size_t size)
{
	uint32_t value = 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < size; i++)
		value = (value ^ (uint8_t)name[i]) * 16777619u;
	return value;
}

/* Where the name is, or would go. */
static uint32_t *find_bucket(const struct kconfig *tree, const char *name, size_t size)
{
	size_t at = hash(name, size) & (tree->bucket_count - 1);

	while (tree->buckets[at] != 0) {
		const char *other = tree->symbols[tree->buckets[at] - 1]->name;

		if (strncmp(other, name, size) == 0 && other[size] == '\0')
			break;
		at = (at + 1) & (tree->bucket_count - 1);
	}
	return &tree->buckets[at];
}

static bool grow(struct kconfig *tree)
{
	size_t capacity = tree->capacity > 0 ? tree->capacity * 2 : 4096;
	struct kconfig_symbol **symbols;
	uint32_t *buckets;

	if (capacity > SYMBOLS_MOST)
		return false;
	symbols = reallocarray(tree->symbols, capacity, sizeof(struct kconfig_symbol *));
	if (symbols == NULL)
		return false;
	tree->symbols = symbols;
	buckets = calloc(capacity * 2, sizeof(*buckets));
	if (buckets == NULL)
		return false;
	free(tree->buckets);
	tree->buckets = buckets;
	tree->bucket_count = capacity * 2;
	tree->capacity = capacity;
	for (size_t i = 0; i < tree->count; i++) {
		const char *name = tree->symbols[i]->name;

		*find_bucket(tree, name, strlen(name)) = (uint32_t)i + 1;
	}
	return true;
}

struct kconfig_symbol *kconfig_intern(struct kconfig *tree, const char *name, size_t size)
{
	struct kconfig_symbol *symbol;
	uint32_t *bucket;

	if (tree->count == tree->capacity && !grow(tree))
		return NULL;
	bucket = find_bucket(tree, name, size);
	if (*bucket != 0)
		return tree->symbols[*bucket - 1];
	symbol = pool_take(&tree->pool, sizeof(*symbol));
	if (symbol == NULL)
		return NULL;
	symbol->name = pool_copy(&tree->pool, name, size);
	if (symbol->name == NULL)
		return NULL;
	symbol->definitions_end = &symbol->definitions;
	symbol->index = (unsigned int)tree->count;
	tree->symbols[tree->count++] = symbol;
	*bucket = (uint32_t)tree->count;
	return symbol;
}

const struct kconfig_symbol *kconfig_find(const struct kconfig *tree, const char *option)
{
	const struct kconfig_symbol *symbol;
	uint32_t bucket;

	if (strncmp(option, "CONFIG_", 7) == 0)
		option += 7;
	bucket = *find_bucket(tree, option, strlen(option));
	symbol = bucket != 0 ? tree->symbols[bucket - 1] : NULL;
	return symbol != NULL && symbol->definitions != NULL ? symbol : NULL;
}

const char *kconfig_version(const struct kconfig *tree)
{
	return tree->version;
}

size_t kconfig_count(const struct kconfig *tree)
{
	return tree->count;
}

const struct kconfig_symbol *kconfig_at(const struct kconfig *tree, size_t index)
{
	return tree->symbols[index];
}

const char *kconfig_name(const struct kconfig_symbol *symbol)
{
	return symbol->name;
}

enum kconfig_type kconfig_type(const struct kconfig_symbol *symbol)
{
	return symbol->type;
}

const struct kconfig_node *kconfig_choice_of(const struct kconfig_node *node)
{
	const struct kconfig_node *at = node->parent;

	if (!node->in_choice)
		return NULL;
	while (at->kind == KCONFIG_IF)
		at = at->parent;
	return at;
}

/* Whether @expr is never met without @symbol. */
static bool demands(const struct kconfig_expr *expr, const struct kconfig_symbol *symbol)
{
	if (expr == NULL)
		return false;
	if (expr->op == KCONFIG_AND)
		return demands(expr->left, symbol) || demands(expr->right, symbol);
	return expr->op == KCONFIG_SYMBOL && expr->symbol == symbol;
}

/* What depends on a member of the same choice is shown below that, and is none itself: menu.c's
   automatic submenus. */
static bool is_below_member(const struct kconfig_node *node, const struct kconfig_node *choice)
{
	for (const struct kconfig_node *member = choice->members; member != node;
		member = member->member_next) {
		const struct kconfig_node *at = node;

		do {
			if (member->symbol != node->symbol && demands(at->depends, member->symbol))
				return true;
			at = at->parent;
		} while (at->kind == KCONFIG_IF);
	}
	return false;
}

static void settle_choice(struct kconfig_node *choice)
{
	struct kconfig_node **end = &choice->members;

	for (struct kconfig_node *node = choice->members; node != NULL; node = node->member_next) {
		if (choice->type == KCONFIG_UNKNOWN)
			choice->type = node->symbol->type;
		if (node->symbol->type == KCONFIG_UNKNOWN)
			node->symbol->type = choice->type;
		node->in_choice = !is_below_member(node, choice);
	}
	while (*end != NULL) {
		if ((*end)->in_choice)
			end = &(*end)->member_next;
		else
			*end = (*end)->member_next;
	}
	choice->members_end = end;
}

static int build(
	struct kconfig *tree, const struct kconfig_reader *reader, struct caisson_error *err)
{
	int r;

	tree->pool = POOL_INIT(POOL_MOST);
	tree->root = pool_take(&tree->pool, sizeof(*tree->root));
	if (tree->root == NULL || !grow(tree))
		return caisson_fail(err, ENOMEM, "read Kconfig");
	tree->root->kind = KCONFIG_ROOT;
	tree->nodes = 1;
	r = kconfig_parse_file(tree, reader, "Kconfig", err);
	if (r < 0)
		return r;
	for (struct kconfig_node *choice = tree->choices; choice != NULL; choice = choice->next)
		settle_choice(choice);
	if (tree->modules == NULL)
		tree->modules = kconfig_find(tree, "MODULES");
	return 0;
}

void kconfig_free(struct kconfig *tree)
{
	free(tree->symbols);
	free(tree->buckets);
	pool_done(&tree->pool);
	free(tree);
}

int kconfig_read(const struct kconfig_reader *reader, const char *version,
	struct kconfig **ret_tree, struct caisson_error *err)
{
	_cleanup_kconfig_ struct kconfig *tree = calloc(1, sizeof(*tree));
	int r;

	if (tree == NULL)
		return caisson_fail(err, ENOMEM, "read Kconfig");
	snprintf(tree->version, sizeof(tree->version), "%s", version);
	r = build(tree, reader, err);
	if (r < 0)
		return r;
	*ret_tree = take_ptr(tree);
	return 0;
}

/* A regular file below the folder, whatever links there are. */
static int open_below(int folder, const char *path, struct caisson_error *err)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	_cleanup_close_ int fd = (int)syscall(SYS_openat2, folder, path, &how, sizeof(how));
	struct stat status;

	if (fd < 0 && errno == EXDEV)
		return caisson_refuse(err, EXDEV, "%s is not inside the source's folder", path);
	if (fd < 0 || fstat(fd, &status) < 0)
		return caisson_fail(err, errno, "open %s", path);
	if (!S_ISREG(status.st_mode))
		return caisson_refuse(err, EINVAL, "%s is not a file", path);
	return take_fd(&fd);
}

static int read_below(
	void *userdata, const char *path, struct strbuf *text, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_below(*(int *)userdata, path, err);

	return fd < 0 ? fd : read_to_end(fd, FILE_MOST, path, text, err);
}

static int release_below(
	int folder, const char *source, char **ret_release, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	_cleanup_close_ int makefile = open_below(folder, "Makefile", err);
	int r;

	if (makefile == -ENOENT)
		return caisson_refuse(err, EINVAL,
			"%s is not the source of a Linux kernel: it has no Makefile", source);
	if (makefile < 0)
		return makefile;
	r = read_to_end(makefile, MAKEFILE_MOST, "Makefile", &text, err);
	if (r < 0)
		return r;
	r = kernel_makefile_release(text.data, text.size, ret_release, err);
	return r < 0 ? caisson_wrap(err, "%s is not the source of a Linux kernel", source) : 0;
}

int kconfig_open(const char *source, struct kconfig **ret_tree, struct caisson_error *err)
{
	_cleanup_close_ int folder = open_file(source, O_RDONLY | O_DIRECTORY, 0, err);
	_cleanup_free_ char *version = NULL;
	struct kconfig_reader reader = {read_below, &folder};
	int r;

	if (folder < 0)
		return folder;
	r = release_below(folder, source, &version, err);
	if (r < 0)
		return r;
	r = kconfig_read(&reader, version, ret_tree, err);
	return r < 0 ? caisson_wrap(err, "%s", source) : 0;
}
