/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filesystem/extents.h"

#include <errno.h>
#include <string.h>

#include "filesystem/ext.h"

#define ROUND 4096u /* the largest sector that dm-crypt has */

int filesystem_extents(const struct filesystem_image *image,
	char ret_kind[static FILESYSTEM_KIND_SIZE], struct extents *ret_extents,
	struct caisson_error *err)
{
	_cleanup_extents_ struct extents extents = EXTENTS_NONE, written = EXTENTS_NONE;
	struct caisson_error doubt = {0};
	uint64_t size;
	int r = filesystem_kind(image->blocks, ret_kind, err);

	if (r < 0)
		return r;
	if (strncmp(ret_kind, "ext", 3) == 0)
		r = ext_extents(image->blocks, &extents, &doubt);
	else
		r = -EBADMSG;
	if (r == -EBADMSG)
		r = extents_add(&extents, 0, image->blocks->size, &doubt);
	if (r == 0 && image->encrypted && image->fd >= 0) {
		r = extents_of_data(image->fd, image->base, image->blocks->size, &written, &doubt);
		if (r == 0)
			r = extents_intersect(&extents, &written, &doubt);
	}
	if (r < 0) {
		if (err != NULL)
			*err = doubt;
		return r;
	}
	size = image->blocks->size;
	extents_round(
		&extents, ROUND, image->encrypted ? size : (size + ROUND - 1) / ROUND * ROUND);
	*ret_extents = extents;
	extents = EXTENTS_NONE;
	return 0;
}
