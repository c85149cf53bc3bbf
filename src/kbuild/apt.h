/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kbuild/source.h"

/* Downloads the Debian package @package, which apt checks by its signatures, and unpacks the
   archive /usr/src/PACKAGE.tar.* in it into @cache. Needs no root, and installs nothing. */
int apt_source(const char *cache, const char *package, const struct source_options *options,
	char ret_hex[static DIGEST_HEX_SIZE], char **ret_folder, struct caisson_error *err);
