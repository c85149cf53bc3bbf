/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A bill of materials of a boot archive. */
#pragma once

#include <caisson/initramfs.h>

#include "base/json.h"
#include "inspect/dpkg.h"

int initramfs_bom(int fd, const char *what, const struct caisson_initramfs_bom_options *options,
	char **ret_text, struct caisson_error *err);

enum { BOM_SHA1_HEX = 41, BOM_SHA256_HEX = 65 };

struct bom_file {
	char *path; /* valid UTF-8, without a leading slash */
	char sha1[BOM_SHA1_HEX], sha256[BOM_SHA256_HEX];
	size_t package; /* index, or SIZE_MAX: unknown */
};

/* What both formats say. */
struct bom {
	const char *name; /* of the archive */
	char sha1[BOM_SHA1_HEX], sha256[BOM_SHA256_HEX];
	char created[32];       /* "1970-01-01T00:00:00Z" */
	struct bom_file *files; /* sorted by path */
	size_t count;
	struct bom_package {
		const struct dpkg_package *package;
		char *purl;
	} * packages; /* sorted by name */
	size_t package_count;
};

/* Owned by the caller; NULL when memory runs out. */
struct json_object *bom_spdx(const struct bom *bom);
struct json_object *bom_cyclonedx(const struct bom *bom);
