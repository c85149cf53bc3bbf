/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * e2fsck asks for the name of the user who runs it, for a log file that nobody configured. glibc
 * would load a module for the answer, which a static executable must not: its getpwuid_r() is
 * renamed to this one. There are no accounts.
 */
#include <errno.h>
#include <pwd.h>
#include <stddef.h>

int no_getpwuid_r(uid_t uid, struct passwd *account, char *text, size_t room, struct passwd **ret)
{
	(void)uid;
	(void)account;
	(void)text;
	(void)room;
	*ret = NULL;
	return ENOENT;
}
