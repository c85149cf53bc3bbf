/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What kind of content something has. */
#pragma once

#include "base/blocks.h"

#define FILESYSTEM_KIND_SIZE 16

/* "ext4", "xfs", "btrfs" and what else libblkid calls it; "" when it is nothing known, or looks
   like two things at once. */
int filesystem_kind(struct blocks *blocks, char ret_kind[static FILESYSTEM_KIND_SIZE],
	struct caisson_error *err);
