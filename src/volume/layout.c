/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/path.h"
#include "base/staging.h"
#include "base/strbuf.h"

#define DEVICE_PATH_MOST 4096

/* A volume on a device names it in a file. */
static int find_device(struct volume_layout *layout, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	int r = read_file(layout->device_file, DEVICE_PATH_MOST, &text, err);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (text.data == NULL || text.data[0] != '/' || strlen(text.data) != text.size)
		return caisson_refuse(err, EBADMSG, "%s names no device", layout->device_file);
	text.data[strcspn(text.data, "\n")] = '\0';
	free(layout->container);
	layout->container = strdup(text.data);
	layout->on_device = true;
	return layout->container != NULL ? 0 : caisson_fail(err, ENOMEM, "find a volume");
}

static int fill_in(struct volume_layout *layout, const char *state, const char *name,
	struct caisson_error *err)
{
	layout->state = strdup(state);
	layout->folder = path_join(layout->volumes, name);
	layout->pending = format_string("%s/.pending-%s", layout->volumes, name);
	layout->open = format_string("%s/open/%s", state, name);
	layout->mounts = format_string("%s/mounts/%s", state, name);
	if (layout->folder != NULL) {
		layout->container = path_join(layout->folder, "container");
		layout->holder = path_join(layout->folder, "holder");
		layout->device_file = path_join(layout->folder, "device");
		layout->rekey = path_join(layout->folder, "rekey");
		layout->doomed = path_join(layout->folder, "destroy");
	}
	if (layout->state == NULL || layout->container == NULL || layout->holder == NULL ||
		layout->pending == NULL || layout->device_file == NULL || layout->rekey == NULL ||
		layout->doomed == NULL || layout->open == NULL || layout->mounts == NULL)
		return caisson_fail(err, ENOMEM, "find the volume %s", name);
	return find_device(layout, err);
}

int volume_layout(const struct state *state, const char *name, struct volume_layout *ret_layout,
	struct caisson_error *err)
{
	_cleanup_volume_layout_ struct volume_layout layout = VOLUME_LAYOUT_NONE;
	int r = name_check("volume", name, err);

	if (r == 0)
		r = state_folder(state, "volumes", &layout.volumes, err);
	if (r == 0)
		r = fill_in(&layout, state->dir, name, err);
	if (r < 0)
		return r;
	*ret_layout = layout;
	layout = VOLUME_LAYOUT_NONE;
	return 0;
}

void volume_layout_done(struct volume_layout *layout)
{
	free(layout->state);
	free(layout->volumes);
	free(layout->folder);
	free(layout->container);
	free(layout->holder);
	free(layout->pending);
	free(layout->device_file);
	free(layout->rekey);
	free(layout->doomed);
	free(layout->open);
	free(layout->mounts);
	*layout = VOLUME_LAYOUT_NONE;
}

int volume_write_marker(const struct volume_layout *layout, const char *name, const char *text,
	struct caisson_error *err)
{
	_cleanup_staging_ struct staging staging = STAGING_NONE;
	int r = staging_file(&staging, layout->folder, err);

	if (r == 0)
		r = write_all(staging.fd, text, strlen(text), name, err);
	return r < 0 ? r : staging_publish(&staging, name, err);
}

bool volume_exists(const struct volume_layout *layout)
{
	struct stat st;

	return lstat(layout->folder, &st) == 0;
}

int volume_missing(const char *name, struct caisson_error *err)
{
	caisson_refuse(err, ENOENT, "there is no volume called '%s'", name);
	return caisson_hint(err, "create it: caisson volume create %s --size 1G", name);
}
