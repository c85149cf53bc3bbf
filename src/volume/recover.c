/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a create left that was killed between its key and its folder. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "luks/luks.h"
#include "volume/device.h"
#include "volume/layout.h"

#define PENDING_MOST 8192

/* Its header is on a device already: erased, if it is that one still. */
static int erase_device(const char *device, const char *uuid, struct caisson_error *err)
{
	_cleanup_close_ int fd = -1;
	struct luks_header header;
	char path[32];
	int r;

	/* A device that is not there, or holds something else by now, is none of ours. */
	if (device[0] != '/' || luks_inspect(device, &header, NULL) < 0 ||
		strcmp(header.facts.uuid, uuid) != 0)
		return 0;
	/* Locked while whoever makes it is alive. */
	r = volume_device_open(device, true, &fd, err);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return luks_erase(path, err);
}

static int undo(struct key_service *keys, const char *name, char *text, struct caisson_error *err)
{
	char *device = strchr(text, '\n');
	struct key_record record;
	int r = 0;

	if (device != NULL) {
		*device++ = '\0';
		device[strcspn(device, "\n")] = '\0';
		r = erase_device(device, text, err);
	}
	if (r < 0)
		return r;
	r = key_service_find(keys, name, &record, err);
	if (r == 0 && strcmp(record.facts.uuid, text) == 0)
		r = key_service_remove(keys, name, err);
	return r == -ENOENT || r > 0 ? 0 : r;
}

int volume_recover(const struct volume_layout *layout, struct key_service *keys, const char *name,
	struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	int r = read_file(layout->pending, PENDING_MOST, &text, err);

	if (r == -ENOENT)
		return 0;
	if (r == 0 && !volume_exists(layout) && text.data != NULL)
		r = undo(keys, name, text.data, err);
	if (r < 0)
		return r;
	if (unlink(layout->pending) < 0 && errno != ENOENT)
		return caisson_fail(err, errno, "remove %s", layout->pending);
	return 0;
}
