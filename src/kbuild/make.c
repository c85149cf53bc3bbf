/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kbuild/make.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/process.h"
#include "kbuild/interrupt.h"
#include "kbuild/make_command.h"
#include "kbuild/make_log.h"

/* For what an ordinary end of make needs: the compilers that run finish or remove what they write.
 */
#define ENDING_USEC 20000000u
/* And then for what cannot be killed by its group, having left it. */
#define LEAVING_USEC 5000000u

struct running {
	pid_t pid; /* of make, and of its process group */
	int output, signals;
	bool interrupted;
	uint64_t killed; /* when it was asked to end; 0: it was not */
	struct make_log log;
};

static void end_group(struct running *running, int signal)
{
	(void)kill(-running->pid, signal);
	(void)kill(running->pid, signal);
}

static void take_signal(struct running *running)
{
	struct signalfd_siginfo info;

	if (read(running->signals, &info, sizeof(info)) != sizeof(info))
		return;
	/* The second one is impatient. */
	end_group(running, running->interrupted ? SIGKILL : SIGTERM);
	running->interrupted = true;
	if (running->killed == 0)
		running->killed = now_usec();
}

/* Until everybody who writes there has ended, or has had the time to. */
static int read_output(struct running *running, struct caisson_error *err)
{
	struct pollfd polled[2] = {{.fd = running->output, .events = POLLIN},
		{.fd = running->signals, .events = POLLIN}};
	char chunk[16384];

	for (;;) {
		uint64_t since = running->killed != 0 ? now_usec() - running->killed : 0;
		ssize_t n;

		if (since > ENDING_USEC)
			end_group(running, SIGKILL);
		if (since > ENDING_USEC + LEAVING_USEC)
			return 0;
		if (poll(polled, 2, running->interrupted ? 1000 : -1) < 0) {
			if (errno == EINTR)
				continue;
			return caisson_fail(err, errno, "read from make");
		}
		if ((polled[1].revents & POLLIN) != 0)
			take_signal(running);
		if (polled[0].revents == 0)
			continue;
		n = read(running->output, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return 0;
		make_log_add(&running->log, chunk, (size_t)n);
	}
}

static int refuse_interrupted(struct caisson_error *err)
{
	caisson_refuse(err, EINTR, "the build was interrupted");
	return caisson_hint(err, "the same command goes on where this one stopped");
}

static int tell_failure(const struct make *make, const struct running *running, int status,
	struct caisson_error *err)
{
	const char *last = make_log_last(&running->log, 0);
	const char *first = running->log.first_error;

	for (unsigned int back = MAKE_LAST_LINES; back-- > 0;) {
		const char *line = make_log_last(&running->log, back);

		if (line != NULL)
			log_note(make->messages, "make: %s", line);
	}
	if (running->log.full) {
		caisson_refuse(
			err, ENOSPC, "the disk of %s is full: the kernel is not built", make->tree);
		return caisson_hint(
			err, "make room; the same command goes on where this one stopped");
	}
	if (first[0] != '\0')
		caisson_refuse(err, EIO, "the kernel could not be built: %s", first);
	else
		caisson_refuse(err, EIO,
			"the kernel could not be built: make ended with status %d%s%s", status,
			last != NULL ? ": " : "", last != NULL ? last : "");
	return caisson_hint(err, "all that make said is in %s; --clean starts anew", make->log);
}

static int start(const struct make *make, const struct make_command *command,
	struct running *running, struct caisson_error *err)
{
	struct process_options process = PROCESS_OPTIONS_INIT;
	_cleanup_close_ int write_end = -1;
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return caisson_fail(err, errno, "start make");
	running->output = pipes[0];
	write_end = pipes[1];
	process.stdout_fd = process.stderr_fd = write_end;
	process.environment = (const char *const *)command->environment.items;
	/* Ctrl-C of the terminal comes to us, and from us to the whole group. */
	process.new_session = true;
	process.keep_fds = &make->lock;
	process.keep_count = make->lock >= 0 ? 1 : 0;
	running->pid = process_start((const char *const *)command->words.items, &process, err);
	return running->pid < 0 ? (int)running->pid : 0;
}

static int run_blocked(const struct make *make, const struct make_command *command,
	struct running *running, struct caisson_error *err)
{
	int status = 0, r = start(make, command, running, err);

	if (r < 0)
		return r;
	r = read_output(running, err);
	if (r < 0) {
		end_group(running, SIGKILL);
		process_kill(running->pid);
		return r;
	}
	r = process_wait(running->pid, &status, err);
	if (r < 0)
		return r;
	if (running->interrupted)
		return refuse_interrupted(err);
	return status == 0 ? 0 : tell_failure(make, running, status, err);
}

static int open_log(const struct make *make, struct running *running, struct caisson_error *err)
{
	running->log.fd = open_file(make->log, O_WRONLY | O_CREAT | O_TRUNC, 0600, err);
	return running->log.fd < 0 ? running->log.fd : 0;
}

int make_run(const struct make *make, const char *const targets[], unsigned int *ret_steps,
	struct caisson_error *err)
{
	struct running running = {.output = -1,
		.signals = -1,
		.log = {.fd = -1,
			.line = STRBUF_INIT,
			.steps_before = make->steps_before,
			.watch = make->watch}};
	_cleanup_make_command_ struct make_command command;
	_cleanup_interrupt_ struct interrupt interrupt = INTERRUPT_NONE;
	int r = make_command_init(&command, make, targets, err);

	if (r == 0)
		r = open_log(make, &running, err);
	if (r == 0)
		r = interrupt_begin(&interrupt, err);
	running.signals = interrupt.fd;
	if (r == 0)
		r = run_blocked(make, &command, &running, err);
	closep(&running.output);
	if (r == 0 && ret_steps != NULL)
		*ret_steps = running.log.steps;
	make_log_done(&running.log);
	return r;
}

int make_on_terminal(const struct make *make, const char *target, struct caisson_error *err)
{
	const char *const targets[] = {target, NULL};
	struct process_options process = PROCESS_OPTIONS_INIT;
	_cleanup_make_command_ struct make_command command;
	_cleanup_interrupt_ struct interrupt interrupt = INTERRUPT_NONE;
	struct signalfd_siginfo info;
	int status = 0, r = make_command_init(&command, make, targets, err);
	pid_t pid;

	if (r == 0)
		r = interrupt_begin(&interrupt, err);
	if (r < 0)
		return r;
	process.stdin_fd = STDIN_FILENO;
	process.stdout_fd = STDOUT_FILENO;
	process.stderr_fd = STDERR_FILENO;
	process.environment = (const char *const *)command.environment.items;
	process.keep_fds = &make->lock;
	process.keep_count = make->lock >= 0 ? 1 : 0;
	pid = process_start((const char *const *)command.words.items, &process, err);
	r = pid < 0 ? (int)pid : process_wait(pid, &status, err);
	if (r < 0)
		return r;
	/* Ctrl-C came to the menu as well, which has set the terminal right and has ended. */
	if (read(interrupt.fd, &info, sizeof(info)) == sizeof(info))
		return refuse_interrupted(err);
	if (status != 0)
		return caisson_refuse(err, EIO, "make %s ended with status %d", target, status);
	return 0;
}
