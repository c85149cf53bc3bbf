/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kbuild/space.h"

#include <errno.h>
#include <fts.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/macros.h"

#define MEBIBYTE (UINT64_C(1) << 20)

int space_check(const char *folder, uint64_t need, const char *what, struct caisson_error *err)
{
	struct statvfs fs;
	uint64_t room;

	if (statvfs(folder, &fs) < 0)
		return caisson_fail(err, errno, "look for room in %s", folder);
	room = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (room >= need)
		return 0;
	caisson_refuse(err, ENOSPC, "%s takes about %llu MiB in %s, and %llu are free", what,
		(unsigned long long)((need + MEBIBYTE - 1) / MEBIBYTE), folder,
		(unsigned long long)(room / MEBIBYTE));
	return caisson_hint(err, "make room, or name a state directory elsewhere with --state");
}

uint64_t space_used(const char *folder)
{
	char *const paths[] = {(char *)folder, NULL};
	FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	uint64_t blocks = 0;

	if (tree == NULL)
		return 0;
	for (FTSENT *entry = fts_read(tree); entry != NULL; entry = fts_read(tree)) {
		if (entry->fts_info == FTS_F || entry->fts_info == FTS_D)
			blocks += (uint64_t)entry->fts_statp->st_blocks;
	}
	(void)fts_close(tree);
	return blocks * 512;
}
