/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* New volumes that only the kernel can encrypt: other ciphers, and integrity tags. */
#pragma once

#include "volume/content.h"

/* Whether one with these options is such a one. */
bool create_needs_mapping(const struct volume_create_options *options);
/* Makes container and filesystem through dm-crypt, on @container (a file, or @device, locked).
 */
int create_mapped(const struct volume_layout *layout, const char *name, const char *device,
	int container, const struct luks_format_options *luks, const char *integrity,
	const struct content *content, struct luks_facts *ret_facts, struct caisson_error *err);
