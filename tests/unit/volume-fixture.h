/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What tests of volumes share: a state directory of their own, with its key service. */
#pragma once

#include "test.h"

#include <dirent.h>

#include "base/io.h"
#include "volume/volume.h"

/* A state directory of the test's own, and its key service. */
struct house {
	struct state state;
	struct key_service *keys;
};

static inline void house_done(struct house *house)
{
	key_service_closep(&house->keys);
	state_done(&house->state);
}

#define _cleanup_house_ _cleanup_(house_done)

static inline int open_house(
	struct house *house, const char *folder, const char *name, struct caisson_error *err)
{
	_cleanup_free_ char *dir = format_string("%s/%s", folder, name);
	_cleanup_free_ char *config = format_string("%s/%s-config", folder, name);
	int r = state_open(&house->state, dir, config, err);

	return r < 0 ? r : key_service_open(&house->state, &house->keys, err);
}

static inline void make_house(struct house *house, void **state, const char *name)
{
	struct caisson_error err = {0};

	*house = (struct house){.keys = NULL};
	assert_ok(open_house(house, *state, name, &err), &err);
}

static inline char *container_path(const struct house *house, const char *name)
{
	return format_string("%s/volumes/%s/container", house->state.dir, name);
}

/* Entries of the folder of all volumes, hidden ones too. */
static inline size_t count_entries(const struct house *house)
{
	_cleanup_free_ char *path = path_join(house->state.dir, "volumes");
	_cleanup_closedir_ DIR *directory = opendir(path);
	struct dirent *entry;
	size_t count = 0;

	assert_non_null(directory);
	while ((entry = readdir(directory)) != NULL)
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	return count;
}

static inline size_t count_keys(const struct house *house)
{
	_cleanup_strv_ struct strv names = STRV_INIT;
	struct caisson_error err = {0};

	assert_ok(key_service_list(house->keys, &names, &err), &err);
	return names.count;
}
