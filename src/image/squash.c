/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/squash.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/process.h"
#include "base/strbuf.h"

/* A low level: reading costs the guest the same at any, and writing is what people wait for. The
   default, 15, takes twenty times as long for 14 % less. */
#define COMPRESSOR   "zstd"
#define LEVEL        "3"
#define MKFS_TIME    "0"
#define BUFFER_SIZE  (1 << 20)
#define ERRORS_SHOWN 65536

static int start(struct squash *squash, int input, struct caisson_error *err)
{
	struct process_options options = PROCESS_OPTIONS_INIT;
	/* -noI: the tables of inodes and folders stay as they are. They are small beside the data,
	   and a guest without hardware virtualisation feels each decompression. */
	const char *const argv[] = {squash->program, "-", squash->output, "-tar", "-quiet",
		"-no-progress", "-exit-on-error", "-noappend", "-reproducible", "-mkfs-time",
		MKFS_TIME, "-root-mode", "0755", "-noI", "-comp", COMPRESSOR, "-Xcompression-level",
		LEVEL, NULL};

	options.stdin_fd = input;
	options.stderr_fd = squash->errors;
	squash->pid = process_start(argv, &options, err);
	if (squash->pid == -ENOENT)
		return caisson_hint(err, "install squashfs-tools");
	return squash->pid < 0 ? (int)squash->pid : 0;
}

int squash_start(struct squash *ret_squash, const char *program, const char *output,
	struct caisson_error *err)
{
	_cleanup_squash_ struct squash squash = SQUASH_NONE;
	_cleanup_close_ int input = -1;
	int pair[2], size = BUFFER_SIZE, r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return caisson_fail(err, errno, "start %s", program);
	squash.input = pair[0];
	input = pair[1];
	(void)setsockopt(squash.input, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	/* A file and not a pipe: nobody has to read it while the tar stream is written. */
	squash.errors = memfd_create("errors", MFD_CLOEXEC);
	if (squash.errors < 0)
		return caisson_fail(err, errno, "start %s", program);
	squash.program = program;
	squash.output = output;
	r = start(&squash, input, err);
	if (r < 0)
		return r;
	*ret_squash = squash;
	squash = SQUASH_NONE;
	return 0;
}

int squash_write(struct squash *squash, const void *data, size_t size, struct caisson_error *err)
{
	const char *from = data;

	while (size > 0) {
		ssize_t n = send(squash->input, from, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return caisson_fail(err, errno, "write to %s", squash->program);
		from += n;
		size -= (size_t)n;
	}
	return 0;
}

/* The last line that says something. */
static int explain(struct squash *squash, int status, struct caisson_error *err)
{
	char text[ERRORS_SHOWN + 1], *line;
	off_t end = lseek(squash->errors, 0, SEEK_END);
	off_t from = end > ERRORS_SHOWN ? end - ERRORS_SHOWN : 0;
	ssize_t n = pread(squash->errors, text, ERRORS_SHOWN, from);

	n = MAX(n, (ssize_t)0);
	while (n > 0 && text[n - 1] == '\n')
		n--;
	text[n] = '\0';
	if (strstr(text, strerror(ENOSPC)) != NULL) {
		caisson_refuse(err, ENOSPC, "%s found no space left for the image's files",
			squash->program);
		return caisson_hint(err, "free some space in the state directory");
	}
	line = strrchr(text, '\n');
	if (status > 128)
		return caisson_refuse(
			err, EIO, "%s was killed by signal %d", squash->program, status - 128);
	return caisson_refuse(err, EIO, "%s ended with status %d: %s", squash->program, status,
		n == 0         ? "it said nothing"
		: line != NULL ? line + 1
			       : text);
}

int squash_finish(struct squash *squash, struct caisson_error *err)
{
	int status, r;

	closep(&squash->input);
	squash->input = -1;
	r = process_wait(squash->pid, &status, err);
	squash->pid = -1;
	if (r < 0)
		return r;
	return status != 0 ? explain(squash, status, err) : squash_reroot(squash->output, err);
}

void squash_done(struct squash *squash)
{
	process_kill(squash->pid);
	closep(&squash->input);
	closep(&squash->errors);
	*squash = SQUASH_NONE;
}
