/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changes of a header that are all there or not at all; inside volume/ only. */
#pragma once

#include "volume/access.h"

/* Lets @change work on a copy of the header at a path, and makes what came out the header. */
int volume_change_header(struct volume_access *access,
	int (*change)(const char *path, void *userdata, struct caisson_error *err), void *userdata,
	struct caisson_error *err);
