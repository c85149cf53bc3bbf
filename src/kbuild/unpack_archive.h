/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <archive.h>
#include <caisson/error.h>
#include <errno.h>

enum { UNPACK_CHUNK = 128 << 10 };

static inline int unpack_damaged(
	struct archive *archive, const char *what, struct caisson_error *err)
{
	const char *why = archive_error_string(archive);

	if (archive_errno(archive) == ENOMEM)
		return caisson_fail(err, ENOMEM, "unpack %s", what);
	return caisson_refuse(err, EBADMSG, "%s cannot be unpacked: %s", what,
		why != NULL ? why : "it is damaged");
}
