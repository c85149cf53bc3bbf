/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "boot/spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ITEMS_MOST = 64 << 10 };

static const char *const profiles[] = {
	[SPEC_MACHINE] = "machine",
	[SPEC_FIRSTBOOT] = "firstboot",
	[SPEC_RESCUE] = "rescue",
	[SPEC_CUSTOM] = "custom",
};

int spec_profile_parse(const char *text, enum spec_profile *ret_profile, struct caisson_error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(profiles); i++) {
		if (strcmp(text, profiles[i]) == 0) {
			*ret_profile = (enum spec_profile)i;
			return 0;
		}
	}
	return caisson_refuse(
		err, EINVAL, "'%s' is no profile: it is one of: %s", text, SPEC_PROFILES);
}

const char *spec_profile_word(enum spec_profile profile)
{
	return profiles[profile];
}

static void item_done(struct spec_item *item)
{
	free(item->source);
	free(item->path);
	free(item->why);
}

static int make_room(struct spec_items *items)
{
	size_t capacity = 2 * items->capacity + 8;
	struct spec_item *bigger;

	if (items->count < items->capacity)
		return 0;
	bigger = reallocarray(items->items, capacity, sizeof(*bigger));
	if (bigger == NULL)
		return -ENOMEM;
	items->items = bigger;
	items->capacity = capacity;
	return 0;
}

int spec_add(struct spec_items *items, const char *source, const char *path, const char *why,
	mode_t mode, bool optional, struct caisson_error *err)
{
	_cleanup_(item_done) struct spec_item item = {.mode = mode, .optional = optional};

	if (items->count == ITEMS_MOST)
		return caisson_refuse(err, E2BIG, "a recipe names more than %d things", ITEMS_MOST);
	if (path != NULL && path[0] != '/')
		return caisson_refuse(
			err, EINVAL, "'%s' is no place in the archive: it starts with '/'", path);
	item.source = strdup(source);
	item.path = path != NULL ? strdup(path) : NULL;
	item.why = why != NULL ? strdup(why) : NULL;
	if (item.source == NULL || (path != NULL && item.path == NULL) ||
		(why != NULL && item.why == NULL) || make_room(items) < 0)
		return caisson_fail(err, ENOMEM, "read a recipe");
	items->items[items->count++] = item;
	item = (struct spec_item){0};
	return 0;
}

/* The last colon parts them, as a source may hold one. */
int spec_add_pair(
	struct spec_items *items, const char *text, const char *option, struct caisson_error *err)
{
	const char *colon = strrchr(text, ':');
	_cleanup_free_ char *source = NULL;

	if (colon == NULL || colon[1] != '/')
		return spec_add(items, text, NULL, option, 0, false, err);
	source = strndup(text, (size_t)(colon - text));
	if (source == NULL)
		return caisson_fail(err, ENOMEM, "read the options");
	return spec_add(items, source, colon + 1, option, 0, false, err);
}

static void items_done(struct spec_items *items)
{
	for (size_t i = 0; i < items->count; i++)
		item_done(&items->items[i]);
	free(items->items);
}

void spec_done(struct spec *spec)
{
	items_done(&spec->programs);
	items_done(&spec->files);
	items_done(&spec->texts);
	items_done(&spec->links);
	items_done(&spec->modules);
	*spec = (struct spec){0};
}
