/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "base/path.h"
#include "machine/start.h"

#define MEMORY_LEAST    (160ull << 20)
#define PROCESSORS_MOST 255

bool start_is_root(const char *path)
{
	return path[strspn(path, "/")] == '\0';
}

/* "." and ".." would lead elsewhere than it looks. */
static bool is_plain(const char *path)
{
	while (*path != '\0') {
		size_t length = strcspn(path, "/");

		if (length > 0 && length <= 2 && strspn(path, ".") >= length)
			return false;
		path += length + (path[length] == '/');
	}
	return true;
}

static int check_volume(
	const struct caisson_machine_options *options, size_t i, struct caisson_error *err)
{
	const struct caisson_machine_volume *volume = &options->volumes[i];
	int r = name_check("volume", volume->name, err);

	if (r < 0)
		return r;
	if (volume->path[0] != '/' || !is_plain(volume->path))
		return caisson_refuse(err, EINVAL,
			"the volume %s needs an absolute path in the machine, not '%s'",
			volume->name, volume->path);
	if (start_is_root(volume->path) && volume->read_only)
		return caisson_refuse(err, EINVAL,
			"the machine's root needs a writable volume: not %s read-only",
			volume->name);
	for (size_t j = 0; j < i; j++) {
		const struct caisson_machine_volume *other = &options->volumes[j];

		if (strcmp(other->name, volume->name) == 0)
			return caisson_refuse(
				err, EINVAL, "the volume %s is named twice", volume->name);
		if (strcmp(other->path, volume->path) == 0 ||
			(start_is_root(other->path) && start_is_root(volume->path)))
			return caisson_refuse(err, EINVAL,
				"the volumes %s and %s cannot both be at %s", other->name,
				volume->name, volume->path);
	}
	return 0;
}

int start_check_options(const struct caisson_machine_options *options, struct caisson_error *err)
{
	int r = 0;

	if (options->memory != 0 && options->memory < MEMORY_LEAST)
		return caisson_refuse(err, EINVAL, "a machine needs at least %llu MiB of memory",
			MEMORY_LEAST >> 20);
	if (options->processors > PROCESSORS_MOST)
		return caisson_refuse(
			err, EINVAL, "a machine has at most %d processors", PROCESSORS_MOST);
	if (options->volume_count > GUEST_VOLUMES_MOST)
		return caisson_refuse(
			err, EINVAL, "a machine has at most %d volumes", GUEST_VOLUMES_MOST);
	if (options->no_network && options->publish_count > 0)
		return caisson_refuse(err, EINVAL,
			"a machine without a network cannot publish the port %s",
			options->publish[0]);
	for (size_t i = 0; i < options->volume_count && r == 0; i++)
		r = check_volume(options, i, err);
	return r;
}
