/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Puts a placed plan on the disk: each file under a temporary name in its folder, then renamed, so
 * that no name ever shows half a file.
 */
#pragma once

#include <caisson/error.h>

#include "bundle/place.h"

/* Removes what a killed run left in the folders of the plan, and of what is recorded. */
int write_sweep(const struct place *place, struct caisson_error *err);
/* Writes what is new or replaces something. @time: seconds since the epoch. */
int write_plan(const struct place *place, bool strip, int64_t time, struct caisson_error *err);
/* Removes what earlier bundles wrote, is as they wrote it, and is not in @now; calls @each for it.
 */
int write_removals(const struct place *place, const struct manifest *now,
	int (*each)(const struct manifest_file *file, void *userdata), void *userdata,
	struct caisson_error *err);
/* Gives the folders of ours the time again that changes in them took away. */
void write_times(const struct place *place, const struct manifest *now, int64_t time);
/* @data as the file @name of the top folder; renamed from a temporary name. */
int write_top_file(const struct view *view, const char *name, const void *data, size_t size,
	int64_t time, struct caisson_error *err);
