/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Configuration files of a root: finding them by pattern, and reading them. What is not there, or
   is no file, is none; nothing in them is trusted. */
#pragma once

#include <caisson/error.h>

#include "base/strbuf.h"
#include "closure/library.h"

/* Appends the paths that match @pattern, whose last part alone may hold wildcards (fnmatch(3)), in
   order. */
int config_find(struct library_set *set, const char *pattern, struct strv *paths,
	struct caisson_error *err);
/* Appends the lines of the file at @path, without comments, white space around them and empty
   ones. */
int config_lines(
	struct library_set *set, const char *path, struct strv *lines, struct caisson_error *err);
/*
 * The folders that ldconfig(8) would search by ld.so.conf(5), "include" followed. The loader itself
 * never reads it: this is for a root in which ldconfig has not run yet.
 */
int config_loader_folders(
	struct library_set *set, struct folders *folders, struct caisson_error *err);
