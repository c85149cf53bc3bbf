/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An ELF file, or (by its magic) an ld.so.cache, and what is read out of either. */
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "closure/cache.h"
#include "closure/dlopen.h"
#include "closure/hwcaps.h"
#include "closure/loader.h"
#include "closure/token.h"
#include "elf/reader.h"
#include "fuzz.h"

static void try_cache(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"libc.so.6", "libfoo.so.9", "a", "libz.so.1", "~"};
	_cleanup_(cache_done) struct cache cache = CACHE_NONE;
	static const struct hwcaps plain = {.level_count = 0};
	static const struct hwcaps legacy = {.levels = {"x86-64-v3", "x86-64-v2"},
		.level_count = 2,
		.legacy = 7,
		.legacy_platform = UINT64_C(4) << 48};
	char *copy = malloc(size + 1);

	if (copy == NULL)
		abort();
	memcpy(copy, data, size);
	copy[size] = '\0';
	cache_take(&cache, copy, size);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *path = cache_lookup(&cache, names[i], 0x0303, i & 1 ? &plain : &legacy);

		if (path != NULL && strlen(path) > size)
			abort();
	}
}

static void try_tokens(const char *text)
{
	const struct tokens tokens = {"/opt/app", 8, "lib64", "x86_64"};
	_cleanup_strbuf_ struct strbuf path = STRBUF_INIT;

	if (text != NULL && token_expand(text, strlen(text), &tokens, &path) &&
		strlen(path.data) != path.size)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct elf_input input = {.data = data, .fd = -1, .size = size, .name = "input"};
	_cleanup_(elf_file_done) struct elf_file file = ELF_FILE_NONE;
	_cleanup_strv_ struct strv folders = STRV_INIT;
	struct caisson_error err = {0};

	if (size > 2 && (data[0] == 'g' || data[0] == 'l'))
		try_cache(data, size);
	if (elf_read(&input, &dlopen_watch, &file, &err) < 0) {
		/* A refusal says why, and leaves nothing behind. */
		if (err.message[0] == '\0' || file.requests != NULL)
			abort();
	}
	try_tokens(file.rpath);
	try_tokens(file.runpath);
	for (size_t i = 0; i < file.request_count; i++)
		try_tokens(file.requests[i].name);
	loader_scan_folders((const char *)data, size, &folders);
	return 0;
}
