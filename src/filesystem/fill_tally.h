/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How much room files will take, before they are there; inside filesystem/ only. */
#pragma once

#include "filesystem/fill.h"

struct fill_tally {
	uint64_t files;  /* inodes */
	uint64_t blocks; /* of contents, maps and extended attributes */
	uint64_t names;  /* bytes that names take in folders */
	uint64_t folders;
};

int fill_tally_add(
	struct fill_tally *tally, const struct fill_entry *entry, struct caisson_error *err);
/* All but the inodes. */
uint64_t fill_tally_bytes(const struct fill_tally *tally);
/* The most blocks that so many folders take with names of so many bytes. */
uint64_t fill_folder_blocks(uint64_t names, uint64_t folders);
