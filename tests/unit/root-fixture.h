/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Private roots with files that were made by hand, of another machine. */
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "elf-fixture.h"
#include "test.h"

#define AARCH64_LOADER "/lib/ld-linux-aarch64.so.1"

static inline void put(const char *root, const char *path, const void *data, size_t size)
{
	_cleanup_free_ char *full = path_join(root, path), *folder = strdup(full);
	struct caisson_error err = {0};

	*strrchr(folder, '/') = '\0';
	assert_ok(make_directories(folder, 0755, &err), &err);
	assert_ok(write_file_atomic(full, data, size, 0755, &err), &err);
}

static inline void put_elf(const char *root, const char *path, const struct elf_fixture *fixture)
{
	_cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT;

	elf_fixture(fixture, &bytes);
	put(root, path, bytes.data, bytes.size);
}

static inline void put_link(const char *root, const char *path, const char *target)
{
	_cleanup_free_ char *full = path_join(root, path), *folder = strdup(full);
	struct caisson_error err = {0};

	*strrchr(folder, '/') = '\0';
	assert_ok(make_directories(folder, 0755, &err), &err);
	assert_int_equal(symlink(target, full), 0);
}

static inline char *make_root(const char *parent, const char *name)
{
	char *root = path_join(parent, name);

	assert_non_null(root);
	put_link(root, "lib", "usr/lib");
	put_elf(root, "usr/lib/ld-linux-aarch64.so.1",
		&(struct elf_fixture){.soname = "ld-linux-aarch64.so.1"});
	put_elf(root, "usr/lib/libc.so.6",
		&(struct elf_fixture){.soname = "libc.so.6", .needed = {"ld-linux-aarch64.so.1"}});
	return root;
}
