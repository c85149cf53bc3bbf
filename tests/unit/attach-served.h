/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A box that the server process serves, and its clients. */
#pragma once

#include "attach-fixture.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "attach/control.h"
#include "attach/file_mount.h"
#include "attach/nbd.h"
#include "attach/nbd_server.h"
#include "attach/sockets.h"
#include "attach/start.h"

#define SIZE (64ull << 20)

static inline struct attach_options options_of(const struct box *box)
{
	return (struct attach_options){
		.container = box->fd,
		.volume_key = &box->key,
		.cipher = "aes-xts-plain64",
		.sector_size = box->sector_size,
		.data_offset = DATA_OFFSET,
		.size = box->size,
		.name = "data",
		.folder = box->folder,
		.programs = programs_folder(),
	};
}

/* Hands the container over: the process is the only one that has it open. */
static inline struct attach_started serve(struct box *box, const struct attach_options *options)
{
	struct attach_started started = {0};
	struct caisson_error err = {0};

	assert_ok(attach_start(options, &started, &err), &err);
	assert_true(started.pid > 1);
	closep(&box->fd);
	box->fd = -1;
	return started;
}

static inline void stop(struct box *box)
{
	_cleanup_free_ char *mount_point = path_join(box->folder, ATTACH_FILE_FOLDER);
	struct caisson_error err = {0};

	assert_ok(attach_file_unmount(mount_point, false, &err), &err);
	assert_ok(attach_control(box->folder, "close", 10, NULL, NULL, &err), &err);
	assert_true(lock_is_free(box->path));
	assert_ok(attach_sweep(box->folder, false, &err), &err);
}

static inline char *uri_of(const struct box *box)
{
	return format_string("nbd+unix:///data?socket=%s/" ATTACH_NBD_SOCKET, box->folder);
}

/* @format has one %s: the URI. By the shell, so that what is written here can be typed. */
static inline int shell(const struct box *box, const char *command, struct strbuf *output)
{
	_cleanup_free_ char *uri = uri_of(box);
	_cleanup_free_ char *line =
		format_string("set -e; uri='%s'; dir='%s'; %s", uri, box->folder, command);
	const char *const argv[] = {"sh", "-c", line, NULL};

	return run(argv, output);
}

static inline bool have(const char *program)
{
	_cleanup_free_ char *path = NULL;

	return program_find(program, &path, NULL) == 0;
}

#define NEED(condition, reason) \
	do { \
		if (!(condition)) \
			leave_out("%s", reason); \
	} while (0)

/* The end of a process that is no child of ours. */
/* With its file, or the test is left out: there is no FUSE here. */
static inline struct attach_started serve_file(struct box *box, struct attach_options *options)
{
	struct attach_started started;

	options->file = true;
	started = serve(box, options);
	if (!started.file) {
		stop(box);
		leave_out("%s", started.why_no_file);
	}
	return started;
}

/* What stands behind @field in /proc/PID/status, in a number system of @base. */
static inline uint64_t status_field(pid_t pid, const char *field, int base)
{
	_cleanup_free_ char *path = format_string("/proc/%d/status", (int)pid);
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	struct caisson_error err = {0};
	const char *at;

	assert_ok(read_file(path, 1 << 16, &text, &err), &err);
	at = strstr(text.data, field);
	assert_non_null(at);
	return strtoull(at + strlen(field), NULL, base);
}

static inline void wait_gone(pid_t pid)
{
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd polled = {.fd = fd, .events = POLLIN};

	assert_true(fd >= 0 || errno == ESRCH);
	assert_true(fd < 0 || poll(&polled, 1, 10000) == 1);
}

static inline int connect_nbd(const struct box *box)
{
	struct caisson_error err = {0};
	int fd = unix_connect(box->folder, ATTACH_NBD_SOCKET, now_usec() + 5000000, &err);
	uint8_t greeting[18];

	assert_ok(fd, &err);
	assert_int_equal(set_nonblocking(fd, false), 0);
	assert_int_equal(recv(fd, greeting, sizeof(greeting), MSG_WAITALL), 18);
	return fd;
}
