/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "base/io.h"
#include "machine/start.h"
#include "volume/volume.h"

/* A start that takes longer than this has failed in another way already. */
#define SECRET_LIFETIME_S 600

static int add_disk(struct start *start, int fd, bool read_only, const char *serial)
{
	start->machine.disks[start->machine.disk_count++] =
		(struct qemu_disk){.fd = fd, .read_only = read_only, .serial = serial};
	return 0;
}

/* QEMU wants a descriptor that is itself read-only; the lock stays with the other one. */
static int add_volume_disk(struct start *start, size_t i, struct caisson_error *err)
{
	const struct guest_volume *volume = &start->config.volumes[i];
	char path[32];

	if (!volume->read_only)
		return add_disk(start, start->volume_fds[i], false, volume->serial);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", start->volume_fds[i]);
	start->read_only_fds[i] = open_file(path, O_RDONLY, 0, err);
	if (start->read_only_fds[i] < 0)
		return start->read_only_fds[i];
	return add_disk(start, start->read_only_fds[i], true, volume->serial);
}

static int lock_volumes(struct start *start, struct caisson_error *err)
{
	const struct caisson_machine_options *options = start->options;
	struct guest_config *config = &start->config;

	config->volumes = calloc(MAX(options->volume_count, (size_t)1), sizeof(*config->volumes));
	if (config->volumes == NULL)
		return caisson_fail(err, ENOMEM, "describe the volumes");
	for (size_t i = 0; i < options->volume_count; i++) {
		const struct caisson_machine_volume *from = &options->volumes[i];
		struct guest_volume *volume = &config->volumes[i];
		int r = volume_lock(start->state, start->keys, from->name, start->folder.name,
			&start->volume_fds[i], err);

		if (r < 0)
			return r;
		config->volume_count++;
		volume->name = strdup(from->name);
		volume->mount = strdup(start_is_root(from->path) ? "/" : from->path);
		volume->serial = format_string("caisson-volume-%zu", i);
		volume->read_only = from->read_only;
		if (volume->name == NULL || volume->mount == NULL || volume->serial == NULL)
			return caisson_fail(err, ENOMEM, "describe the volumes");
		r = add_volume_disk(start, i, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int mint_secret(struct start *start, struct caisson_error *err)
{
	_cleanup_secret_ struct secret secret = SECRET_NONE;
	_cleanup_strv_ struct strv names = STRV_INIT;
	int r;

	for (size_t i = 0; i < start->config.volume_count; i++)
		strv_add(&names, start->config.volumes[i].name);
	if (!strv_ok(&names))
		return caisson_fail(err, ENOMEM, "mint a secret");
	r = key_service_mint(
		start->keys, start->folder.name, &names, SECRET_LIFETIME_S, &secret, err);
	if (r < 0)
		return r;
	start->config.secret = malloc(2 * secret.size + 1);
	if (start->config.secret == NULL)
		return caisson_fail(err, ENOMEM, "mint a secret");
	hex_encode(secret.data, secret.size, start->config.secret);
	return 0;
}

int start_open_volumes(struct start *start, struct caisson_error *err)
{
	int r;

	if (start->options->volume_count == 0)
		return 0;
	r = key_service_open(start->state, &start->keys, err);
	if (r == 0)
		r = lock_volumes(start, err);
	if (r == 0)
		r = mint_secret(start, err);
	return r;
}

int start_open_image(struct start *start, struct caisson_error *err)
{
	int r = image_open(start->state, start->options->image, start->log, &start->image, err);

	if (r < 0)
		return r;
	start->image_fd = open_file(start->image.root, O_RDONLY, 0, err);
	if (start->image_fd < 0)
		return start->image_fd;
	return add_disk(start, start->image_fd, true, IMAGE_SERIAL);
}
