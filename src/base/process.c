/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/macros.h"
#include "base/path.h"

#define PROGRAM_PATH     "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define OUTPUT_MOST      (1 << 20)
#define ENVIRONMENT_MOST 16
#define ACCOUNT_MOST     (64 << 10) /* bytes of an account's record */

int process_unprivileged_user(uid_t *ret_uid, gid_t *ret_gid, struct caisson_error *err)
{
	static const char *const names[] = {"caisson", "nobody"};
	_cleanup_free_ char *memory = malloc(ACCOUNT_MOST);
	struct passwd account, *found = NULL;

	if (memory == NULL)
		return caisson_fail(err, ENOMEM, "find a user without privileges");
	for (size_t i = 0; i < ARRAY_SIZE(names) && found == NULL; i++)
		(void)getpwnam_r(names[i], &account, memory, ACCOUNT_MOST, &found);
	if (found == NULL || found->pw_uid == 0)
		return caisson_refuse(err, ENOENT, "there is no user 'nobody' to run programs as");
	*ret_uid = found->pw_uid;
	*ret_gid = found->pw_gid;
	return 0;
}

int process_confine(struct process_options *options, const struct confinement *confinement,
	struct caisson_error *err)
{
	options->confined = true;
	options->confinement = *confinement;
	options->drop_privileges = geteuid() == 0;
	if (!options->drop_privileges)
		return 0;
	return process_unprivileged_user(&options->uid, &options->gid, err);
}

int program_find(const char *program, char **ret_path, struct caisson_error *err)
{
	const char *folder = PROGRAM_PATH;

	if (strchr(program, '/') != NULL) {
		if (access(program, X_OK) < 0)
			return caisson_fail(err, errno, "run %s", program);
		*ret_path = strdup(program);
		return *ret_path != NULL ? 0 : caisson_fail(err, ENOMEM, "run %s", program);
	}
	while (*folder != '\0') {
		size_t length = strcspn(folder, ":");
		_cleanup_free_ char *path = format_string("%.*s/%s", (int)length, folder, program);

		if (path == NULL)
			return caisson_fail(err, ENOMEM, "find %s", program);
		if (access(path, X_OK) == 0) {
			*ret_path = take_ptr(path);
			return 0;
		}
		folder += length + (folder[length] == ':');
	}
	return caisson_refuse(err, ENOENT, "the program %s is not installed (looked in %s)",
		program, PROGRAM_PATH);
}

/* Between fork and exec only async-signal-safe calls are allowed; a failure goes to @report. */
static void child_fail(int report)
{
	int code = errno;

	(void)!write(report, &code, sizeof(code));
	_exit(127);
}

static void child_redirect(int report, int from, int to)
{
	if (dup2(from, to) < 0)
		child_fail(report);
}

/* The end of the process that started it is the end of this one. */
static void child_die_with(pid_t parent, int report)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		child_fail(report);
	if (getppid() != parent)
		_exit(127);
}

/* Its parent from here on is init. Whoever starts it is told its number, which cannot be another's
   until @hold is closed: for so long there is a process in between that did not wait for it. */
static void child_detach(int report, const int hold[2])
{
	int number;
	pid_t pid;
	char none;

	if (setsid() < 0)
		child_fail(report);
	pid = fork();
	if (pid < 0)
		child_fail(report);
	if (pid == 0)
		return;
	number = -pid;
	(void)!write(report, &number, sizeof(number));
	close(report);
	close(hold[1]);
	(void)!read(hold[0], &none, 1);
	_exit(0);
}

/* A user namespace may lack the user, and not let its root change groups. Whoever is confined has
   nothing of root's there in any case. */
static int child_drop_privileges(const struct process_options *options)
{
	if (setgroups(options->extra_group != (gid_t)-1, &options->extra_group) < 0 &&
		!(options->confined && errno == EPERM))
		return -1;
	if (setresgid(options->gid, options->gid, options->gid) < 0 &&
		!(options->confined && errno == EINVAL))
		return -1;
	if (setresuid(options->uid, options->uid, options->uid) < 0 &&
		!(options->confined && errno == EINVAL))
		return -1;
	return 0;
}

static void child_run(const char *path, const char *const argv[],
	const struct process_options *options, pid_t parent, int null, int report,
	const int hold[2])
{
	static const char *environment[ENVIRONMENT_MOST + 3] = {"LC_ALL=C", "PATH=" PROGRAM_PATH};
	sigset_t none;

	for (size_t i = 0; options->environment != NULL && options->environment[i] != NULL; i++) {
		if (i == ENVIRONMENT_MOST) {
			errno = E2BIG;
			child_fail(report);
		}
		environment[i + 2] = options->environment[i];
	}
	if (options->detached)
		child_detach(report, hold);
	else
		child_die_with(parent, report);
	if (options->new_session && !options->detached && setsid() < 0)
		child_fail(report);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);

	child_redirect(report, options->stdin_fd >= 0 ? options->stdin_fd : null, STDIN_FILENO);
	child_redirect(report, options->stdout_fd >= 0 ? options->stdout_fd : null, STDOUT_FILENO);
	child_redirect(report, options->stderr_fd >= 0 ? options->stderr_fd : null, STDERR_FILENO);
	/* Ours are closed on exec already; these are what our own caller left open. */
	(void)close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
	for (size_t i = 0; i < options->keep_count; i++) {
		if (fcntl(options->keep_fds[i], F_SETFD, 0) < 0)
			child_fail(report);
	}
	if (options->drop_privileges) {
		if (child_drop_privileges(options) < 0)
			child_fail(report);
		/* A change of user clears it, and the parent may have died meanwhile. */
		if (!options->detached)
			child_die_with(parent, report);
	}
	if (options->confined && confine(&options->confinement) < 0)
		child_fail(report);
	execve(path, (char *const *)argv, (char *const *)environment);
	child_fail(report);
}

/* @argv with another name in front. */
static const char **call_it(const char *const argv[], const char *name)
{
	const char **called;
	size_t count = 0;

	while (argv[count] != NULL)
		count++;
	called = calloc(count + 1, sizeof(*called));
	if (called == NULL)
		return NULL;
	for (size_t i = 0; i < count; i++)
		called[i] = i == 0 && name != NULL ? name : argv[i];
	return called;
}

/* Until the program runs, or cannot: 0 or why not. Numbers below 0 are of a process that is
   detached. */
static int hear_report(int report, int *hold, int *ret_pidfd)
{
	int word, code = 0;
	ssize_t n;

	*ret_pidfd = -1;
	for (;;) {
		n = read(report, &word, sizeof(word));
		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof(word))
			return code;
		if (word > 0) {
			code = word;
			continue;
		}
		*ret_pidfd = (int)syscall(SYS_pidfd_open, -word, 0);
		closep(hold);
		*hold = -1;
	}
}

pid_t process_start(
	const char *const argv[], const struct process_options *options, struct caisson_error *err)
{
	_cleanup_free_ const char **called = call_it(argv, options->called);
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int null = -1, report_read = -1, report_write = -1;
	_cleanup_close_ int hold_read = -1, hold_write = -1, pidfd = -1;
	pid_t pid, parent = getpid();
	int pipes[2], code, r;

	if (called == NULL)
		return caisson_fail(err, ENOMEM, "start %s", argv[0]);
	r = program_find(argv[0], &path, err);
	if (r < 0)
		return r;
	null = open_file("/dev/null", O_RDWR, 0, err);
	if (null < 0)
		return null;
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return caisson_fail(err, errno, "start %s", argv[0]);
	report_read = pipes[0];
	report_write = pipes[1];
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return caisson_fail(err, errno, "start %s", argv[0]);
	hold_read = pipes[0];
	hold_write = pipes[1];

	pid = fork();
	if (pid < 0)
		return caisson_fail(err, errno, "start %s", argv[0]);
	if (pid == 0)
		child_run(path, called, options, parent, null, report_write, pipes);

	closep(&report_write);
	report_write = -1;
	code = hear_report(report_read, &hold_write, &pidfd);
	if (code == 0 && !options->detached)
		return pid;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (code != 0)
		return caisson_fail(err, code, "start %s", path);
	if (options->ret_pidfd != NULL)
		*options->ret_pidfd = take_fd(&pidfd);
	return 0;
}

int process_wait(pid_t pid, int *ret_status, struct caisson_error *err)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return caisson_fail(err, errno, "wait for process %d", (int)pid);
	}
	*ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return 0;
}

#define FOREVER 0 /* a deadline that never comes */

static uint64_t deadline_of(unsigned int seconds)
{
	return seconds != 0 ? now_usec() + seconds * UINT64_C(1000000) : FOREVER;
}

/* For poll(2); 0: it is over. */
static int milliseconds_to(uint64_t deadline)
{
	uint64_t now = now_usec();

	if (deadline == FOREVER)
		return -1;
	return now < deadline ? (int)MIN((deadline - now) / 1000 + 1, UINT64_C(1000000)) : 0;
}

static int refuse_late(const char *program, unsigned int seconds, struct caisson_error *err)
{
	return caisson_refuse(err, ETIMEDOUT, "%s did not end in %u seconds", program, seconds);
}

/* 0: it has ended, and is still to be waited for. */
static int await_end(pid_t pid, const char *program, unsigned int seconds, uint64_t deadline,
	struct caisson_error *err)
{
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd polled = {.fd = pidfd, .events = POLLIN};

	if (pidfd < 0)
		return caisson_fail(err, errno, "wait for %s", program);
	for (;;) {
		int left = milliseconds_to(deadline), r;

		if (left == 0)
			return refuse_late(program, seconds, err);
		r = poll(&polled, 1, left);
		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return caisson_fail(err, errno, "wait for %s", program);
	}
}

static int wait_until(pid_t pid, const char *program, unsigned int seconds, uint64_t deadline,
	int *ret_status, struct caisson_error *err)
{
	int r = deadline != FOREVER ? await_end(pid, program, seconds, deadline, err) : 0;

	if (r < 0) {
		process_kill(pid);
		return r;
	}
	return process_wait(pid, ret_status, err);
}

int process_wait_for(pid_t pid, const char *program, unsigned int seconds, int *ret_status,
	struct caisson_error *err)
{
	return wait_until(pid, program, seconds, deadline_of(seconds), ret_status, err);
}

int process_run_for(const char *const argv[], unsigned int seconds, struct caisson_error *err)
{
	struct process_options options = PROCESS_OPTIONS_INIT;

	options.seconds = seconds;
	return process_run(argv, &options, NULL, err);
}

void process_kill(pid_t pid)
{
	int status;

	if (pid <= 0)
		return;
	(void)kill(pid, SIGKILL);
	(void)process_wait(pid, &status, NULL);
}

/* Reads both pipes until they end. */
static int collect(int out, int error, struct strbuf *output, struct strbuf *errors,
	const char *program, unsigned int seconds, uint64_t deadline, struct caisson_error *err)
{
	struct pollfd polled[2] = {{.fd = out, .events = POLLIN}, {.fd = error, .events = POLLIN}};
	struct strbuf *buffers[2] = {output, errors};

	while (polled[0].fd >= 0 || polled[1].fd >= 0) {
		int left = milliseconds_to(deadline);

		if (left == 0)
			return refuse_late(program, seconds, err);
		if (poll(polled, 2, left) < 0) {
			if (errno != EINTR)
				return caisson_fail(err, errno, "read from %s", program);
			continue;
		}
		for (int i = 0; i < 2; i++) {
			char chunk[4096];
			ssize_t n;

			if (polled[i].fd < 0 || polled[i].revents == 0)
				continue;
			n = read(polled[i].fd, chunk, sizeof(chunk));
			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				polled[i].fd = -1;
			else if (buffers[i] != NULL && buffers[i]->size < OUTPUT_MOST)
				strbuf_add(buffers[i], chunk, (size_t)n);
		}
	}
	return 0;
}

static const char *last_line(struct strbuf *text)
{
	char *line;

	while (text->size > 0 && text->data[text->size - 1] == '\n')
		text->data[--text->size] = '\0';
	if (text->size == 0)
		return "it said nothing";
	line = strrchr(text->data, '\n');
	return line != NULL ? line + 1 : text->data;
}

int process_run(const char *const argv[], const struct process_options *options,
	struct strbuf *output, struct caisson_error *err)
{
	struct process_options piped = options ? *options : PROCESS_OPTIONS_INIT;
	_cleanup_close_ int out_read = -1, out_write = -1, err_read = -1, err_write = -1;
	_cleanup_strbuf_ struct strbuf errors = STRBUF_INIT;
	uint64_t deadline = deadline_of(piped.seconds);
	int pipes[2], status = 0, r;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return caisson_fail(err, errno, "start %s", argv[0]);
	out_read = pipes[0];
	out_write = pipes[1];
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return caisson_fail(err, errno, "start %s", argv[0]);
	err_read = pipes[0];
	err_write = pipes[1];

	if (piped.stdout_fd < 0)
		piped.stdout_fd = out_write;
	piped.stderr_fd = err_write;
	pid = process_start(argv, &piped, err);
	if (pid < 0)
		return pid;
	closep(&out_write);
	out_write = -1;
	closep(&err_write);
	err_write = -1;

	r = collect(out_read, err_read, output, &errors, argv[0], piped.seconds, deadline, err);
	if (r < 0) {
		process_kill(pid);
		return r;
	}
	r = wait_until(pid, argv[0], piped.seconds, deadline, &status, err);
	if (r < 0)
		return r;
	if (status != 0)
		return caisson_refuse(err, EIO, "%s ended with status %d: %s", argv[0], status,
			last_line(&errors));
	return 0;
}
