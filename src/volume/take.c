/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A volume for a machine. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/path.h"
#include "base/staging.h"
#include "volume/access.h"

static int need_key(struct key_service *keys, const char *name, struct key_record *record,
	struct caisson_error *err)
{
	int r = key_service_find(keys, name, record, err);

	if (r != -ENOENT)
		return r;
	caisson_refuse(err, ENOKEY, "the key service has no key for the volume %s", name);
	return caisson_hint(err,
		"nothing opens it without its key: restore the key service's database from a "
		"backup, or give the volume up: caisson volume destroy %s",
		name);
}

static int refuse_empty(struct key_service *keys, const char *name, struct caisson_error *err)
{
	struct key_record record;
	int r = need_key(keys, name, &record, err);

	if (r < 0)
		return r;
	if (strchr(record.facts.cipher, ';') != NULL)
		return caisson_refuse(err, ENOTSUP,
			"the volume %s has integrity tags, which machines cannot read", name);
	if (strcmp(record.filesystem, "ext4") == 0)
		return 0;
	return caisson_refuse(err, ENOTSUP, "the volume %s holds %s%s, and machines mount ext4",
		name, strcmp(record.filesystem, "none") == 0 ? "no filesystem" : "",
		strcmp(record.filesystem, "none") == 0 ? "" : record.filesystem);
}

/* Whatever a killed command left is finished first: a machine sees a whole volume. */
int volume_lock(const struct state *state, struct key_service *keys, const char *name,
	const char *holder, int *ret_fd, struct caisson_error *err)
{
	_cleanup_volume_access_ struct volume_access access = VOLUME_ACCESS_NONE;
	_cleanup_close_ int lock = -1;
	int r = name_check("machine", holder, err);

	if (r == 0)
		r = volume_access_lock(state, keys, name, "run", false, &access, err);
	if (r == 0)
		r = refuse_empty(keys, name, err);
	if (r == 0)
		r = volumes_lock(&access.layout, &lock, err);
	if (r == 0)
		r = volume_write_holder(&access.layout, holder, err);
	if (r == 0)
		*ret_fd = take_fd(&access.container);
	return r;
}
