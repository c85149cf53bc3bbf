/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bundle/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/process.h"

enum {
	NOBODY = 65534,
	SECONDS = 30, /* also for an emulator on a busy machine */
	OUTPUT_MOST = 1 << 20,
};

/* Between fork and exec: what could not be done, and why. */
struct report {
	char step[48];
	int code;
};

static _Noreturn void give_up(int fd, const char *step)
{
	struct report report = {.code = errno};

	memcpy(report.step, step, strlen(step));
	(void)!write(fd, &report, sizeof(report));
	_exit(127);
}

static void limit(int resource, rlim_t most)
{
	const struct rlimit limit = {most, most};

	(void)setrlimit((__rlimit_resource_t)resource, &limit);
}

static void set_limits(bool emulated)
{
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_CPU, SECONDS);
	limit(RLIMIT_FSIZE, 0);
	limit(RLIMIT_NOFILE, 64);
	/* As the user that it is by now. An emulator has threads, and reserves the whole of its
	   guest's addresses. */
	limit(RLIMIT_NPROC, emulated ? 512 : 0);
	if (!emulated)
		limit(RLIMIT_AS, (rlim_t)4 << 30);
}

/* The folder as nobody can change it, in our own mount namespace, or -1: good to have, and not what
   keeps anybody in. The path is looked up again, as @trial->folder is of the namespace outside. */
static int open_read_only(const struct trial *trial)
{
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
	int fd = open_tree(
		AT_FDCWD, trial->path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	struct stat wanted, found;

	if (fd >= 0 && fstat(fd, &found) == 0 && fstat(trial->folder, &wanted) == 0 &&
		found.st_dev == wanted.st_dev && found.st_ino == wanted.st_ino &&
		mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static void enter(const struct trial *trial, int report)
{
	int fd = open_read_only(trial);

	if (fchdir(fd >= 0 ? fd : trial->folder) < 0 || chroot(".") < 0 || chdir("/") < 0)
		give_up(report, "enter the bundle");
}

/* It is killed with us; but we may have been killed before it asked for that, and nobody reads
 * then. */
static void die_with_parent(int report)
{
	struct pollfd polled = {.fd = report};

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		give_up(report, "be killed with caisson");
	if (poll(&polled, 1, 0) > 0 && (polled.revents & POLLERR) != 0)
		_exit(127);
}

static void drop_privileges(bool is_root, int report)
{
	if (is_root && (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
			       setresuid(NOBODY, NOBODY, NOBODY) < 0))
		give_up(report, "become nobody");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		give_up(report, "give up privileges");
}

static _Noreturn void run_child(
	const struct trial *trial, bool is_root, int null, int output, int report)
{
	static char *const environment[] = {NULL};
	sigset_t none;

	(void)setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	if (dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
		dup2(output, STDERR_FILENO) < 0)
		give_up(report, "redirect its output");
	enter(trial, report);
	drop_privileges(is_root, report);
	set_limits(trial->emulator >= 0);
	/* A change of user would clear it. */
	die_with_parent(report);
	(void)close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
	if (trial->emulator >= 0)
		(void)execveat(trial->emulator, "", (char *const *)trial->argv, environment,
			AT_EMPTY_PATH);
	else
		(void)execve(trial->argv[0], (char *const *)trial->argv, environment);
	give_up(report, "start the bundle's loader");
}

/* A fork() into namespaces of its own. That of processes lets nothing outlive the first one. They
   are good to have, and not what keeps it in; without root, that of users is. */
static pid_t fork_apart(bool is_root)
{
	const int wanted[] = {CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC,
		CLONE_NEWNS | CLONE_NEWPID, 0};
	pid_t pid = -1;

	for (size_t i = 0; i < ARRAY_SIZE(wanted) && pid < 0; i++)
		pid = (pid_t)syscall(SYS_clone, SIGCHLD | wanted[i] | (is_root ? 0 : CLONE_NEWUSER),
			NULL, NULL, NULL, NULL);
	return pid;
}

/* Milliseconds that are left; 0: none. */
static int time_left(uint64_t end)
{
	uint64_t now = now_usec();

	return now < end ? (int)((end - now) / 1000) + 1 : 0;
}

static int too_long(struct caisson_error *err)
{
	return caisson_refuse(
		err, EPROTO, "the bundle's loader did not end in %d seconds", SECONDS);
}

/* To the end of what it says, or of its time. */
static int collect(int fd, uint64_t end, struct strbuf *output, struct caisson_error *err)
{
	for (;;) {
		struct pollfd polled = {.fd = fd, .events = POLLIN};
		int left = time_left(end);
		char chunk[4096];
		ssize_t n;

		if (left == 0)
			return too_long(err);
		if (poll(&polled, 1, left) <= 0)
			continue;
		n = read(fd, chunk, sizeof(chunk));
		if (n == 0)
			break;
		if (n < 0 && errno != EINTR)
			return caisson_fail(err, errno, "read from the bundle's loader");
		if (n > 0)
			strbuf_add(output, chunk, (size_t)n);
		if (output->size > OUTPUT_MOST)
			return caisson_refuse(err, EPROTO, "the bundle's loader says too much");
	}
	return strbuf_ok(output) ? 0 : caisson_fail(err, ENOMEM, "read from the bundle's loader");
}

/* It may have closed its output and gone on. */
static int wait_end(pid_t pid, uint64_t end, struct caisson_error *err)
{
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd polled = {.fd = fd, .events = POLLIN};

	if (fd < 0)
		return caisson_fail(err, errno, "wait for the bundle's loader");
	for (;;) {
		int left = time_left(end);

		if (left == 0)
			return too_long(err);
		if (poll(&polled, 1, left) > 0)
			return 0;
	}
}

/* The child either says what it could not do, or the exec closes the pipe. */
static int began(int fd, char *ret_reason, size_t reason_size)
{
	struct report report;
	ssize_t n;

	do
		n = read(fd, &report, sizeof(report));
	while (n < 0 && errno == EINTR);
	if (n != sizeof(report))
		return 1;
	report.step[sizeof(report.step) - 1] = '\0';
	snprintf(ret_reason, reason_size, "cannot %s: %s", report.step, strerror(report.code));
	return 0;
}

static int make_pipe(int *ret_read, int *ret_write, struct caisson_error *err)
{
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return caisson_fail(err, errno, "start the bundle's loader");
	*ret_read = pipes[0];
	*ret_write = pipes[1];
	return 0;
}

int trial_run(const struct trial *trial, struct strbuf *output, int *ret_status, char *ret_reason,
	size_t reason_size, struct caisson_error *err)
{
	_cleanup_close_ int null = open_file("/dev/null", O_RDONLY, 0, err);
	_cleanup_close_ int out_read = -1, out_write = -1, report_read = -1, report_write = -1;
	bool is_root = geteuid() == 0;
	pid_t pid;
	uint64_t end;
	int r = null;

	if (r >= 0)
		r = make_pipe(&out_read, &out_write, err);
	if (r >= 0)
		r = make_pipe(&report_read, &report_write, err);
	if (r < 0)
		return r;
	pid = fork_apart(is_root);
	if (pid < 0) {
		snprintf(ret_reason, reason_size, "cannot make namespaces for its loader: %s",
			strerror(errno));
		return 0;
	}
	if (pid == 0)
		run_child(trial, is_root, null, out_write, report_write);
	close(take_fd(&out_write));
	close(take_fd(&report_write));
	if (began(report_read, ret_reason, reason_size) == 0) {
		(void)waitpid(pid, NULL, 0);
		return 0;
	}
	end = now_usec() + (uint64_t)SECONDS * 1000000;
	r = collect(out_read, end, output, err);
	if (r >= 0)
		r = wait_end(pid, end, err);
	if (r < 0) {
		process_kill(pid);
		return r;
	}
	r = process_wait(pid, ret_status, err);
	return r < 0 ? r : 1;
}
