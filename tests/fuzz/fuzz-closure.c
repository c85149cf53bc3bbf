/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A whole root of hostile files, and the closure of its program. The input is a list of files, each
 * a byte that says which, two with its size, and its bytes.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/path.h"
#include "closure/closure.h"
#include "fuzz.h"

static const char *const names[] = {
	"prog",
	"lib/ld-linux-aarch64.so.1",
	"lib/ld-linux-x86-64.so.2",
	"lib/ld-musl-x86_64.so.1",
	"lib/liba.so",
	"lib/libb.so",
	"lib/libc.so.6",
	"opt/liba.so",
	"opt/glibc-hwcaps/x86-64-v2/liba.so",
	"lib/security/pam_a.so",
	"etc/ld.so.cache",
	"etc/ld.so.conf",
	"etc/nsswitch.conf",
	"etc/pam.d/a",
	"etc/ld-musl-x86_64.path",
};

static char root[64];

static void remove_root(void)
{
	(void)remove_tree(root, NULL);
}

static void make_root(void)
{
	const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	snprintf(root, sizeof(root), "%s/caisson-fuzz-XXXXXX", parent);
	if (mkdtemp(root) == NULL)
		abort();
	atexit(remove_root);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char folder[256];

		snprintf(folder, sizeof(folder), "%s/%s", root, names[i]);
		*strrchr(folder, '/') = '\0';
		if (make_directories(folder, 0755, NULL) < 0)
			abort();
	}
}

static void put(const char *name, const uint8_t *data, size_t size)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
}

static void put_all(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char path[256];

		snprintf(path, sizeof(path), "%s/%s", root, names[i]);
		(void)unlink(path);
	}
	while (size >= 3) {
		size_t room = (size_t)data[1] | (size_t)data[2] << 8;

		room = MIN(room, size - 3);
		put(names[data[0] % ARRAY_SIZE(names)], data + 3, room);
		data += 3 + room;
		size -= 3 + room;
	}
}

/* Whatever the files say, paths are absolute and sorted, and nothing is listed that is not there.
 */
static void check(struct closure *closure)
{
	size_t count;
	const struct closure_entry *entries = closure_entries(closure, &count);

	for (size_t i = 0; i < count; i++) {
		if (entries[i].path[0] != '/' || strstr(entries[i].path, "/../") != NULL)
			abort();
		if (i > 0 && strcmp(entries[i - 1].path, entries[i].path) >= 0)
			abort();
		if (entries[i].kind == CLOSURE_FILE && access(entries[i].source, F_OK) < 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct closure_options options = {
		.root = root,
		.dlopen = CLOSURE_DLOPEN_ALL,
		.library_path = "/opt",
		.hwcaps = "all",
		.config = true,
		.tolerant = true,
		.report = true,
	};
	_cleanup_(closure_freep) struct closure *closure = NULL;
	struct caisson_error err = {0};
	int r;

	if (root[0] == '\0')
		make_root();
	put_all(data, size);
	if (closure_new(&closure, &options, &err) < 0)
		abort();
	r = closure_add_program(closure, "/prog", &err);
	/* A refusal says why. */
	if (r < 0 && err.message[0] == '\0')
		abort();
	check(closure);
	return 0;
}
