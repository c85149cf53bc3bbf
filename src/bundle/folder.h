/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A bundle in a folder: a new one, or a tree that others made. */
#pragma once

#include <caisson/error.h>

#include "bundle/bundle.h"
#include "bundle/manifest.h"
#include "bundle/place.h"

/* Everything of one folder while it is worked on; one at a time holds its lock. */
struct folder {
	int fd;
	bool made;
	struct view view;
	struct manifest old, next;
	bool has_old, has_next;
	struct strbuf old_text;
	struct place place;
};

#define FOLDER_NONE ((struct folder){.fd = -1})

/* Opens @path and reads what was recorded there; a manifest that cannot be read is a failure, as it
   would be overwritten. With @writes, the folder is made when it is missing, and locked. */
int folder_open(
	struct folder *ret_folder, const char *path, bool writes, struct caisson_error *err);
/* Writes @plan, which is measured. Told of each removal. */
int folder_write(struct folder *folder, struct plan *plan, const struct bundle_options *options,
	int (*removed)(const struct manifest_file *file, void *userdata), void *userdata,
	struct caisson_error *err);
void folder_done(struct folder *folder);

#define _cleanup_folder_ _cleanup_(folder_done)
