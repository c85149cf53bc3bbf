/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * OCI images (image-spec 1.1): read from a layout folder or an archive, checked, flattened once
 * into a read-only squashfs that all machines of the image share. Needs no root.
 */
#pragma once

#include <caisson/error.h>
#include <caisson/log.h>

#include "base/state.h"
#include "base/strbuf.h"

struct image {
	char digest[65]; /* of the manifest, SHA-256 in lower-case hexadecimal: the image's name in
			    the state directory */
	char *root;      /* path of root.squashfs */
	char *name;      /* a short name for people: tag or file name */
	struct strv entrypoint;
	struct strv command; /* Cmd */
	struct strv environment;
	char *working_directory; /* never NULL; "/" by default */
	char *user;              /* "", "UID[:GID]" or "NAME[:GROUP]" */
	char *stop_signal;       /* "SIGTERM" by default */
};

#define IMAGE_NONE ((struct image){.root = NULL})

/*
 * Finds @reference ("oci:PATH[:TAG]", "oci-archive:FILE[:TAG]", or a PATH that is one of these),
 * checks every digest and size on the way, and flattens it into the state directory unless that was
 * done before. Two at once are safe; one that is killed leaves nothing.
 */
int image_open(const struct state *state, const char *reference, const struct caisson_log *log,
	struct image *ret_image, struct caisson_error *err);
void image_done(struct image *image);

#define _cleanup_image_ _cleanup_(image_done)
