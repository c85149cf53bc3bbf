/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* images/DIGEST/ in the state directory: root.squashfs, and image.json with what the image says. */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>

#include "base/staging.h"
#include "image/image.h"

#define STORE_ROOT    "root.squashfs"
#define STORE_CONFIG  "image.json"
#define STORE_VERSION 1 /* another way of flattening is another version: it is done again */

/* Is there a whole image of this version in @path? */
bool store_usable(const char *path);
/*
 * Adds image.json to the flattened root in @staging, makes all of it durable and gives it its name.
 * When another was faster, that one's is the image; what is damaged is replaced.
 */
int store_publish(struct staging *staging, const struct image *image, struct caisson_error *err);
