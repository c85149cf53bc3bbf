/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A container's payload in a file, without a header: what the server is told is all it knows. */
#pragma once

#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/blocks.h"
#include "base/io.h"
#include "base/process.h"
#include "base/strbuf.h"
#include "luks/payload.h"

#define DATA_OFFSET (1ull << 20)

struct box {
	char *folder; /* for the sockets */
	char *path;   /* of the container */
	int fd;       /* locked */
	uint64_t size;
	uint32_t sector_size;
	struct secret key;
	struct luks_cipher *cipher;
	struct blocks *container, *payload;
};

/* Payload and cipher are there for what needs no process. */
static inline void box_make(
	struct box *box, void **state, const char *name, uint64_t size, uint32_t sector_size)
{
	struct caisson_error err = {0};

	*box = (struct box){.size = size, .sector_size = sector_size};
	box->folder = format_string("%s/%s", (const char *)*state, name);
	assert_non_null(box->folder);
	assert_ok(make_directories(box->folder, 0700, &err), &err);
	box->path = path_join(box->folder, "container");
	box->fd = open_file(box->path, O_RDWR | O_CREAT, 0600, &err);
	assert_true(box->fd >= 0);
	assert_int_equal(flock(box->fd, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(ftruncate(box->fd, (off_t)(DATA_OFFSET + size)), 0);
	assert_ok(secret_random(&box->key, 64, &err), &err);
	assert_ok(luks_cipher_new("aes-xts-plain64", sector_size, &box->key, &box->cipher, &err),
		&err);
	assert_ok(blocks_of_file(box->fd, DATA_OFFSET + size, false, "the container",
			  &box->container, &err),
		&err);
	assert_ok(luks_payload_new(
			  box->container, DATA_OFFSET, size, box->cipher, &box->payload, &err),
		&err);
}

static inline void box_done(struct box *box)
{
	blocks_free(box->payload);
	blocks_free(box->container);
	luks_cipher_free(box->cipher);
	secret_done(&box->key);
	closep(&box->fd);
	free(box->path);
	free(box->folder);
}

#define _cleanup_box_ _cleanup_(box_done)

/* Runs a program; its status, what it printed is in @output (NULL: is not wanted). */
static inline int run(const char *const argv[], struct strbuf *output)
{
	struct process_options options = PROCESS_OPTIONS_INIT;
	struct caisson_error err = {0};
	int r = process_run(argv, &options, output, &err);

	if (r < 0)
		print_message("# %s\n", err.message);
	return r;
}

/* Whether nobody holds the lock of the file @path. */
static inline bool lock_is_free(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return flock(fd, LOCK_EX | LOCK_NB) == 0;
}

static inline const char *programs_folder(void)
{
	const char *folder = getenv("CAISSON_BUILD");

	assert_non_null(folder);
	return folder;
}
