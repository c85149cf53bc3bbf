/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The programs of a machine's boot archive, where they are here and where they go there. */
#include <errno.h>

#include "base/path.h"
#include "base/process.h"
#include "machine/machine.h"

int guest_programs(const char *folder, bool volumes, struct strv *sources,
	struct initramfs_program programs[static GUEST_PROGRAMS_MOST], struct caisson_error *err)
{
	static const char *const paths[GUEST_PROGRAMS_MOST] = {
		"/init", "/sbin/caisson-unlock", "/sbin/e2fsck"};
	_cleanup_free_ char *e2fsck = NULL;

	strv_add_owned(sources, path_join(folder, "caisson-init"));
	if (volumes) {
		int r = program_find("e2fsck", &e2fsck, err);

		if (r < 0)
			return caisson_hint(err, "install e2fsprogs");
		strv_add_owned(sources, path_join(folder, "caisson-unlock"));
		strv_add_owned(sources, take_ptr(e2fsck));
	}
	if (!strv_ok(sources))
		return caisson_fail(err, ENOMEM, "find the guest's programs");
	for (size_t i = 0; i < sources->count; i++)
		programs[i] = (struct initramfs_program){sources->items[i], paths[i]};
	return 0;
}
