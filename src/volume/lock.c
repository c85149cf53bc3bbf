/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/io.h"
#include "base/path.h"
#include "volume/layout.h"
#include "volume/volume.h"

static int need_key(struct key_service *keys, const char *name, struct caisson_error *err)
{
	struct key_record record;
	int r = key_service_find(keys, name, &record, err);

	if (r != -ENOENT)
		return r;
	caisson_refuse(err, ENOKEY, "the key service has no key for the volume %s", name);
	return caisson_hint(err,
		"nothing opens it without its key: restore the key service's database from a "
		"backup, or give the volume up: caisson volume destroy %s",
		name);
}

/* Whoever reads it holds the lock on the volumes as we do, so plain writing will do; nor need it
   survive the machine that it names. */
static int write_holder(
	const struct volume_layout *layout, const char *holder, struct caisson_error *err)
{
	_cleanup_close_ int fd =
		open_file(layout->holder, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600, err);

	return fd < 0 ? fd : write_all(fd, holder, strlen(holder), layout->holder, err);
}

int volume_lock(const struct state *state, struct key_service *keys, const char *name,
	const char *holder, int *ret_fd, struct caisson_error *err)
{
	_cleanup_volume_layout_ struct volume_layout layout = VOLUME_LAYOUT_NONE;
	/* In this order: the container's lock is there, or given back, when the volumes' is. */
	_cleanup_close_ int lock = -1, fd = -1;
	int r = volume_layout(state, name, &layout, err);

	if (r == 0)
		r = name_check("machine", holder, err);
	if (r == 0)
		r = volumes_lock(&layout, &lock, err);
	if (r < 0)
		return r;
	if (!volume_exists(&layout))
		return volume_missing(name, err);
	r = volume_lock_container(&layout, name, O_RDWR, &fd, err);
	if (r == 0)
		r = need_key(keys, name, err);
	if (r == 0)
		r = write_holder(&layout, holder, err);
	if (r < 0)
		return r;
	*ret_fd = take_fd(&fd);
	return 0;
}
