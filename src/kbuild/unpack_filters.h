/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <archive.h>
#include <caisson/error.h>
#include <errno.h>
#include <stdbool.h>

enum { UNPACK_CHUNK = 128 << 10 };

/* What tarballs and packages are compressed with. Not archive_read_support_filter_all(): that one
   also starts programs. */
static inline bool unpack_filters(struct archive *archive)
{
	return archive_read_support_filter_gzip(archive) == ARCHIVE_OK &&
	       archive_read_support_filter_bzip2(archive) == ARCHIVE_OK &&
	       archive_read_support_filter_xz(archive) == ARCHIVE_OK &&
	       archive_read_support_filter_zstd(archive) == ARCHIVE_OK;
}

static inline int unpack_damaged(
	struct archive *archive, const char *what, struct caisson_error *err)
{
	const char *why = archive_error_string(archive);

	if (archive_errno(archive) == ENOMEM)
		return caisson_fail(err, ENOMEM, "unpack %s", what);
	return caisson_refuse(err, EBADMSG, "%s cannot be unpacked: %s", what,
		why != NULL ? why : "it is damaged");
}
