/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The options that a kernel's source has: its Kconfig files, read without running anything, and
 * what a .config says of them: why an option did not get the value that was wanted.
 *
 * $(SRCARCH), $(ARCH), $(KERNELVERSION) and $(srctree) are known, for x86_64. All other macros ask
 * a compiler or a tool: they stay what they are, and may have any value.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"
#include "base/strbuf.h"

enum kconfig_type {
	KCONFIG_UNKNOWN,
	KCONFIG_BOOL,
	KCONFIG_TRISTATE,
	KCONFIG_STRING,
	KCONFIG_INT,
	KCONFIG_HEX,
};

struct kconfig;
struct kconfig_symbol;
struct kconfig_values;

/* Where the files come from. @read appends the text of @path, which is relative to the source's
   folder; of a file that is not there it says so (-ENOENT). */
struct kconfig_reader {
	int (*read)(
		void *userdata, const char *path, struct strbuf *text, struct caisson_error *err);
	void *userdata;
};

/* Reads all of a source folder's Kconfig files. */
int kconfig_open(const char *source, struct kconfig **ret_tree, struct caisson_error *err);
/* The same from elsewhere; it begins with the file "Kconfig". */
int kconfig_read(const struct kconfig_reader *reader, const char *version,
	struct kconfig **ret_tree, struct caisson_error *err);
void kconfig_free(struct kconfig *tree);
DEFINE_CLEANUP(struct kconfig *, kconfig_free);
#define _cleanup_kconfig_ _cleanup_(kconfig_freep)

const char *kconfig_version(const struct kconfig *tree);
/* How many names there are, defined or only spoken of, and each. */
size_t kconfig_count(const struct kconfig *tree);
const struct kconfig_symbol *kconfig_at(const struct kconfig *tree, size_t index);
/* The symbol that is defined under that name, with or without "CONFIG_"; or NULL. */
const struct kconfig_symbol *kconfig_find(const struct kconfig *tree, const char *option);
/* The one whose name is hardly another, in place of an @option that there is not; or NULL. */
const struct kconfig_symbol *kconfig_nearest(const struct kconfig *tree, const char *option);
/* Without "CONFIG_". */
const char *kconfig_name(const struct kconfig_symbol *symbol);
enum kconfig_type kconfig_type(const struct kconfig_symbol *symbol);

/* What a .config says of the symbols of @tree, which has to live as long. */
int kconfig_values_read(const struct kconfig *tree, const char *text, size_t size,
	struct kconfig_values **ret_values, struct caisson_error *err);
void kconfig_values_free(struct kconfig_values *values);
DEFINE_CLEANUP(struct kconfig_values *, kconfig_values_free);
#define _cleanup_kconfig_values_ _cleanup_(kconfig_values_freep)

/* "y", "m", "n" or the text (without quotes) that the .config gives; "n" of what it does not
   mention, NULL when that is no symbol with such a value. */
const char *kconfig_value(const struct kconfig_values *values, const struct kconfig_symbol *symbol);
/* Whether @option has the value @wanted ("y", "n", "m", a number, a text in quotes or without). A
   module that was wanted is there built in, too. */
bool kconfig_is(const struct kconfig_values *values, const char *option, const char *wanted);
/* Whether somebody can set it, as things stand: it has a prompt that is shown. */
bool kconfig_is_asked(const struct kconfig_values *values, const struct kconfig_symbol *symbol);
/* Whether another option selects it, as things stand. */
bool kconfig_is_selected(const struct kconfig_values *values, const struct kconfig_symbol *symbol);
/* The member of the option's choice that is set in its place; NULL when there is none. */
const struct kconfig_symbol *kconfig_rival(
	const struct kconfig_values *values, const struct kconfig_symbol *symbol);
/* Why @option does not have the value @wanted: "needs CONFIG_MD, which is not set". Nothing when it
   has. -ENOMEM, or 0. */
int kconfig_explain(const struct kconfig_values *values, const char *option, const char *wanted,
	struct strbuf *text);
