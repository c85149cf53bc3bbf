/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* STATE/kernel-sources: unpacked archives by their SHA-256, and what tells which archive has which
   without reading it. Folders get their names when they are complete and on the disk. */
#pragma once

#include "kbuild/source.h"

/* The digest of the archive at @path, in @fd: from the index, or by reading it. */
int source_cache_digest(const char *cache, int fd, const char *path,
	char ret_hex[static DIGEST_HEX_SIZE], struct caisson_error *err);
/* The folder of the archive @hex, unpacked from @fd when it is not there yet. One at a time. */
int source_cache_unpack(const char *cache, const char *hex, int fd, const char *what,
	const struct kbuild_watch *watch, char **ret_folder, struct caisson_error *err);
/* The folder of @hex when it is there: 1, else 0. */
int source_cache_find(
	const char *cache, const char *hex, char **ret_folder, struct caisson_error *err);
/* What is known under @key (any text): a digest. 1, or 0. */
int source_cache_look_up(const char *cache, const char *key, char ret_hex[static DIGEST_HEX_SIZE]);
int source_cache_note(
	const char *cache, const char *key, const char *hex, struct caisson_error *err);
