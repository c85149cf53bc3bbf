/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a create left that was killed between its key and its folder, and a destroy in its midst. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/io.h"
#include "luks/luks.h"
#include "volume/device.h"
#include "volume/kernel.h"
#include "volume/layout.h"

#define PENDING_MOST 8192

/* Its header is on a device already: erased, if it is that one still. 1 when it was. */
static int erase_device(const struct volume_layout *layout, const char *name, const char *device,
	const char *uuid, struct caisson_error *err)
{
	_cleanup_close_ int fd = -1;
	struct luks_header header;
	char path[32];
	int r;

	/* A device that is not there, or holds something else by now, is none of ours. */
	if (device[0] != '/' || luks_inspect(device, &header, NULL) < 0 ||
		strcmp(header.facts.uuid, uuid) != 0)
		return 0;
	/* One that was being made through the kernel is still mapped. */
	r = kernel_sweep(layout, name, device, err);
	if (r == 0)
		r = volume_device_open(device, true, &fd, err);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = luks_erase(path, err);
	return r < 0 ? r : 1;
}

/* 1 when there was a header on a device, or a key. */
static int undo(const struct volume_layout *layout, struct key_service *keys, const char *name,
	char *text, struct caisson_error *err)
{
	char *device = strchr(text, '\n');
	struct caisson_error none = {0};
	struct key_record record;
	int erased = 0, r;

	if (device != NULL) {
		*device++ = '\0';
		device[strcspn(device, "\n")] = '\0';
		erased = erase_device(layout, name, device, text, err);
	}
	if (erased < 0)
		return erased;
	r = key_service_find(keys, name, &record, &none);
	if (r == 0 && strcmp(record.facts.uuid, text) == 0)
		r = key_service_remove(keys, name, &none);
	if (r < 0 && r != -ENOENT) {
		if (err != NULL)
			*err = none;
		return r;
	}
	return erased > 0 || r > 0;
}

static int recover_create(const struct volume_layout *layout, struct key_service *keys,
	const char *name, struct caisson_error *err)
{
	_cleanup_close_ int fd =
		open(layout->pending, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0 : caisson_fail(err, errno, "open %s", layout->pending);
	/* Its maker holds a lock on it for as long as it is at work. */
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return caisson_refuse(
			err, EBUSY, "the volume %s is being made by another command", name);
	r = read_to_end(fd, PENDING_MOST, layout->pending, &text, err);
	if (r == 0 && !volume_exists(layout) && text.data != NULL)
		r = undo(layout, keys, name, text.data, err);
	if (r < 0)
		return r;
	if (unlink(layout->pending) < 0 && errno != ENOENT)
		return caisson_fail(err, errno, "remove %s", layout->pending);
	return r;
}

int volume_recover(const struct volume_layout *layout, struct key_service *keys, const char *name,
	struct caisson_error *err)
{
	int r = recover_create(layout, keys, name, err);

	if (r < 0 || access(layout->doomed, F_OK) < 0)
		return r;
	return volume_finish_destroy(layout, keys, name, err);
}

int volume_recover_quietly(const struct volume_layout *layout, struct key_service *keys,
	const char *name, struct caisson_error *err)
{
	struct caisson_error failure = {0};
	int r = volume_recover(layout, keys, name, &failure);

	if (r >= 0 || r == -EBUSY)
		return 0;
	if (err != NULL)
		*err = failure;
	return r;
}
