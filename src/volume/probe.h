/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is in a payload, by its magic numbers. */
#pragma once

#include "base/blocks.h"

/* "ext4", "xfs", ...; "none" for nothing that is known. */
int volume_probe(struct blocks *payload, char ret_type[static 16], struct caisson_error *err);
