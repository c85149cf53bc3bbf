/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a recipe to what will stand in its archive, and to the files that decide about it. */
#pragma once

#include "base/strbuf.h"
#include "boot/archive.h"
#include "boot/initramfs.h"

/* Fills @archive (complete) and appends to @inputs (sorted, each once) the path of every file whose
   change would change the archive; some of them may be missing. */
int recipe_collect(const struct initramfs_recipe *recipe, struct archive *archive,
	struct strv *inputs, struct caisson_error *err);
/* The parts of it, each a file. */
int recipe_add_programs(const struct initramfs_recipe *recipe, struct archive *archive,
	struct strv *inputs, struct caisson_error *err);
int recipe_add_files(const struct spec *spec, struct archive *archive, struct strv *inputs,
	struct caisson_error *err);
int recipe_add_modules(const struct initramfs_recipe *recipe, struct archive *archive,
	struct strv *inputs, struct caisson_error *err);
/* The program as its path is meant: absolute, and without links when it will stand elsewhere. */
int recipe_program_source(
	const struct initramfs_program *program, char **ret_source, struct caisson_error *err);
