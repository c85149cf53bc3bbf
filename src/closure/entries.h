/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a closure lists: files and links, each once, and the names that lead to them. */
#pragma once

#include "closure/library.h"

struct entries {
	struct library_set *set; /* borrowed */
	struct closure_entry *items;
	size_t count, capacity;
	bool sorted;
	struct closure_name *names;
	size_t name_count, name_capacity;
};

/* Lists the file at @location, and the links that lead to it. */
int entries_keep(struct entries *entries, struct location *location, enum closure_role role,
	const struct location *wanted_by, const char *rule, struct caisson_error *err);
/* Lists, or replaces, a file of @size bytes that is made here; takes @data, also when it fails. */
int entries_put_data(struct entries *entries, const char *path, char *data, size_t size,
	const struct location *wanted_by, const char *rule, struct caisson_error *err);
void entries_sort(struct entries *entries);
void entries_done(struct entries *entries);
