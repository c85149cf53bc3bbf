/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where blobs come from: an OCI image layout (image-spec 1.1, image-layout.md) that is a folder, or
 * a tar archive of one. Nothing is trusted but what a descriptor's size and digest vouch for.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>

#include "base/staging.h"
#include "base/strbuf.h"
#include "image/oci.h"
#include "image/stream.h"

struct layout_member; /* one file of an archive */

struct layout {
	char *path;
	int fd; /* the folder, or the archive, uncompressed */
	bool is_archive;
	struct layout_member *members;
	size_t member_count;
	struct staging unpacked; /* the archive, when the user's is compressed */
};

#define LAYOUT_NONE ((struct layout){.fd = -1, .unpacked = STAGING_NONE})

/* Takes "oci:PATH[:TAG]", "oci-archive:PATH[:TAG]" or "PATH[:TAG]" apart. *ret_tag may become NULL.
 */
int reference_split(const char *reference, char **ret_path, char **ret_tag, bool *ret_is_archive,
	struct caisson_error *err);
/* A name for people, which name_valid() accepts, from a tag or a path. */
char *reference_name(const char *path, const char *tag);

/* A compressed archive is unpacked into a file in @scratch that goes with the layout. */
int layout_open(struct layout *ret_layout, const char *path, bool is_archive, const char *scratch,
	struct caisson_error *err);
void layout_done(struct layout *layout);
/* The layout's index.json. */
int layout_read_index(const struct layout *layout, struct strbuf *text, struct caisson_error *err);
/* A small blob, whole, with its size and digest checked. */
int layout_read(const struct layout *layout, const struct oci_descriptor *descriptor,
	struct strbuf *text, struct caisson_error *err);
/* A large blob: its size is checked, its digest is for the reader to check. The layout must live as
   long as the blob. */
int layout_blob(const struct layout *layout, const struct oci_descriptor *descriptor,
	struct blob *ret_blob, struct caisson_error *err);

#define _cleanup_layout_ _cleanup_(layout_done)
