/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs of e2fsprogs with e2io.c preloaded: a thread of ours serves them the blocks. What they
 * open, stat and lock by name beside that is an empty memory file of the same size, sealed against
 * writing: data that went around e2io.c would be an error.
 */
#include "attach/e2fs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "attach/nbd_server.h"
#include "attach/programs.h"
#include "base/io.h"
#include "base/process.h"

#define OUTPUT_MOST     (1u << 20)
#define SECONDS_DEFAULT 3600
#define CPU_DEFAULT     86400
#ifdef __SANITIZE_ADDRESS__
#define MEMORY_DEFAULT 0 /* what it preloads reserves more than there is */
#else
#define MEMORY_DEFAULT (UINT64_C(4) << 30)
#endif
#define VOLUME_PER_BYTE 256
#define OWN_FDS         3 /* that the program inherits */

struct e2fs_run {
	struct blocks *blocks;
	struct nbd_options nbd;
	uint64_t requests;
	int device; /* the memory file */
	int library;
	int socket; /* ours */
	int their_socket;
	int output;
	int their_output;
	char name[32];
	pid_t pid;
	pthread_t thread;
};

static void run_done(struct e2fs_run *run)
{
	closep(&run->device);
	closep(&run->library);
	closep(&run->socket);
	closep(&run->their_socket);
	closep(&run->output);
	closep(&run->their_output);
}

#define _cleanup_run_ _cleanup_(run_done)

static int make_descriptors(struct e2fs_run *run, struct caisson_error *err)
{
	int pair[2];

	run->device = memfd_create("caisson-volume", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	/* The program opens it anew, and may be another user's. */
	if (run->device < 0 || fchmod(run->device, 0666) < 0 ||
		ftruncate(run->device, (off_t)run->blocks->size) < 0 ||
		fcntl(run->device, F_ADD_SEALS, F_SEAL_WRITE) < 0)
		return caisson_fail(err, errno, "make a memory file");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return caisson_fail(err, errno, "make a pair of sockets");
	run->socket = pair[0];
	run->their_socket = pair[1];
	if (pipe2(pair, O_CLOEXEC) < 0)
		return caisson_fail(err, errno, "make a pipe");
	run->output = pair[0];
	run->their_output = pair[1];
	snprintf(run->name, sizeof(run->name), "/proc/self/fd/%d", run->device);
	return set_nonblocking(run->output, true);
}

static void *serve_blocks(void *argument)
{
	struct e2fs_run *run = argument;

	nbd_serve(run->blocks, &run->nbd, run->socket);
	/* Whoever still waits for an answer shall not. */
	(void)shutdown(run->socket, SHUT_RDWR);
	return NULL;
}

/* Signals are for the caller's threads. */
static int start_thread(struct e2fs_run *run, struct caisson_error *err)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&run->thread, NULL, serve_blocks, run);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r == 0 ? 0 : caisson_fail(err, r, "start a thread");
}

/* By a descriptor: the folder that it is in may be closed to the program's user. */
static int open_library(
	struct e2fs_run *run, const struct attach_e2fs_options *options, struct caisson_error *err)
{
	_cleanup_free_ char *path = NULL;
	int r = attach_program(options->programs, ATTACH_E2IO, &path, err);

	if (r < 0)
		return r;
	run->library = open_file(path, O_RDONLY, 0, err);
	return run->library < 0 ? run->library : 0;
}

static int confine_program(const struct e2fs_run *run, const struct attach_e2fs_options *options,
	struct process_options *process, struct caisson_error *err)
{
	struct confinement confinement = {
		.memory_most = options->memory_most, .cpu_seconds = options->cpu_seconds};

	if (options->trusted)
		return 0;
	if (confinement.memory_most == 0 && MEMORY_DEFAULT != 0)
		confinement.memory_most = MEMORY_DEFAULT + run->blocks->size / VOLUME_PER_BYTE;
	if (confinement.cpu_seconds == 0)
		confinement.cpu_seconds = options->seconds != 0 ? options->seconds : CPU_DEFAULT;
	return process_confine(process, &confinement, err);
}

static int start_program(struct e2fs_run *run, const char *const argv[],
	const struct attach_e2fs_options *options, struct caisson_error *err)
{
	_cleanup_free_ int *keep = NULL;
	_cleanup_strv_ struct strv arguments = STRV_INIT, environment = STRV_INIT;
	struct process_options process = PROCESS_OPTIONS_INIT;
	int r = open_library(run, options, err);

	if (r == 0)
		r = confine_program(run, options, &process, err);
	if (r < 0)
		return r;
	for (size_t i = 0; argv[i] != NULL; i++)
		strv_add(&arguments, strcmp(argv[i], "@") == 0 ? run->name : argv[i]);
	strv_add_format(&environment, "LD_PRELOAD=/proc/self/fd/%d", run->library);
	strv_add_format(&environment, "CAISSON_NBD_FD=%d", run->their_socket);
	strv_add_format(&environment, "CAISSON_NBD_NAME=%s", run->name);
	keep = calloc(options->keep_count + OWN_FDS, sizeof(*keep));
	if (!strv_ok(&arguments) || !strv_ok(&environment) || keep == NULL)
		return caisson_fail(err, ENOMEM, "start %s", argv[0]);
	keep[0] = run->device;
	keep[1] = run->their_socket;
	keep[2] = run->library;
	for (size_t i = 0; i < options->keep_count; i++)
		keep[OWN_FDS + i] = options->keep_fds[i];
	process.stdout_fd = process.stderr_fd = run->their_output;
	process.keep_fds = keep;
	process.keep_count = options->keep_count + OWN_FDS;
	process.environment = (const char *const *)environment.items;
	run->pid = process_start((const char *const *)arguments.items, &process, err);
	if (run->pid < 0)
		return (int)run->pid;
	closep(&run->their_socket);
	closep(&run->their_output);
	run->their_socket = run->their_output = -1;
	return 0;
}

/* False: it has ended. */
static bool read_output(int fd, struct strbuf *output)
{
	char chunk[4096];
	ssize_t n;

	for (;;) {
		n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 && errno == EAGAIN;
		if (output->size < OUTPUT_MOST)
			strbuf_add(output, chunk, (size_t)n);
	}
}

/* Until the program has ended, which its pidfd tells; a child of its own may hold the pipe. */
static int follow(struct e2fs_run *run, const char *program, unsigned int seconds,
	struct strbuf *output, struct caisson_error *err)
{
	uint64_t deadline = now_usec() + seconds * 1000000ull;
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, run->pid, 0);
	struct pollfd polled[2] = {
		{.fd = pidfd, .events = POLLIN}, {.fd = run->output, .events = POLLIN}};

	if (pidfd < 0)
		return caisson_fail(err, errno, "wait for %s", program);
	for (;;) {
		uint64_t now = now_usec();

		if (seconds != 0 && now >= deadline)
			return caisson_refuse(
				err, ETIMEDOUT, "%s did not end in %u seconds", program, seconds);
		if (poll(polled, 2, seconds != 0 ? (int)((deadline - now) / 1000) + 1 : -1) < 0 &&
			errno != EINTR)
			return caisson_fail(err, errno, "wait for %s", program);
		if (polled[1].revents != 0 && !read_output(run->output, output))
			polled[1].fd = -1;
		if (polled[0].revents != 0) {
			(void)read_output(run->output, output);
			return 0;
		}
	}
}

/* What it printed last, for a sentence. */
static const char *last_words(struct strbuf *output)
{
	char *end;

	if (!strbuf_ok(output) || output->size == 0)
		return "it said nothing";
	end = output->data + output->size;
	while (end > output->data && end[-1] == '\n')
		*--end = '\0';
	end = strrchr(output->data, '\n');
	text_flatten(end != NULL ? end + 1 : output->data);
	return end != NULL ? end + 1 : output->data;
}

static int run_program(struct e2fs_run *run, const char *const argv[],
	const struct attach_e2fs_options *options, struct strbuf *output, int *ret_status,
	struct caisson_error *err)
{
	int r = start_program(run, argv, options, err);

	if (r < 0)
		return r;
	r = start_thread(run, err);
	if (r < 0) {
		process_kill(run->pid);
		return r;
	}
	r = follow(run, argv[0], options->seconds, output, err);
	if (r < 0)
		process_kill(run->pid);
	else
		r = process_wait(run->pid, ret_status, err);
	(void)shutdown(run->socket, SHUT_RDWR);
	(void)pthread_join(run->thread, NULL);
	return r;
}

int attach_e2fs(const char *const argv[], struct blocks *blocks,
	const struct attach_e2fs_options *options, struct strbuf *output, int *ret_status,
	struct caisson_error *err)
{
	static const struct attach_e2fs_options none = {.seconds = SECONDS_DEFAULT};
	_cleanup_strbuf_ struct strbuf own = STRBUF_INIT;
	_cleanup_run_ struct e2fs_run run = {.blocks = blocks,
		.device = -1,
		.library = -1,
		.socket = -1,
		.their_socket = -1,
		.output = -1,
		.their_output = -1};
	struct strbuf *printed = output != NULL ? output : &own;
	int status = 0, r;

	if (options == NULL)
		options = &none;
	run.nbd = (struct nbd_options){
		.started = true, .discard = options->discard, .ret_requests = &run.requests};
	r = make_descriptors(&run, err);
	if (r == 0)
		r = run_program(&run, argv, options, printed, &status, err);
	if (r < 0)
		return r;
	if (run.requests == 0)
		return caisson_refuse(err, ENOTSUP, "%s did not look at the volume: %s", argv[0],
			last_words(printed));
	*ret_status = status;
	return 0;
}
