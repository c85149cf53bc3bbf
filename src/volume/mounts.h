/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is mounted where (/proc/self/mountinfo). */
#pragma once

#include <caisson/error.h>
#include <sys/types.h>

#include "base/strbuf.h"

/* Mount points of the block device @device (a path, links are followed), the newest last. None when
   there is no such device. */
int mounts_of_device(const char *device, struct strv *points, struct caisson_error *err);
/* Mount points whose source is called so. */
int mounts_of_source(const char *source, struct strv *points, struct caisson_error *err);
