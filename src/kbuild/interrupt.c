/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kbuild/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/io.h"
#include "base/process.h"

/* For what make removes of files that are half written. */
enum { ENDING_SECONDS = 20 };

int interrupt_begin(struct interrupt *ret_interrupt, struct caisson_error *err)
{
	struct interrupt interrupt = INTERRUPT_NONE;
	struct sigaction hangup;
	sigset_t ending;

	sigemptyset(&ending);
	sigaddset(&ending, SIGINT);
	sigaddset(&ending, SIGTERM);
	/* nohup(1): it goes on when the terminal has gone. */
	if (sigaction(SIGHUP, NULL, &hangup) < 0 || hangup.sa_handler != SIG_IGN)
		sigaddset(&ending, SIGHUP);
	interrupt.fd = signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK);
	if (interrupt.fd < 0)
		return caisson_fail(err, errno, "wait for signals");
	(void)sigprocmask(SIG_BLOCK, &ending, &interrupt.before);
	*ret_interrupt = interrupt;
	return 0;
}

void interrupt_done(struct interrupt *interrupt)
{
	if (interrupt->fd < 0)
		return;
	closep(&interrupt->fd);
	interrupt->fd = -1;
	(void)sigprocmask(SIG_SETMASK, &interrupt->before, NULL);
}

static void end_group(pid_t pid, int signal)
{
	(void)kill(-pid, signal);
	(void)kill(pid, signal);
}

/* 1: it has ended; 0: not yet; -EINTR: a signal came. */
static int look(const struct interrupt *interrupt, int pidfd, uint64_t deadline)
{
	struct pollfd polled[2] = {{.fd = pidfd, .events = POLLIN},
		{.fd = interrupt != NULL ? interrupt->fd : -1, .events = POLLIN}};
	struct signalfd_siginfo info;

	for (uint64_t now = now_usec(); now < deadline; now = now_usec()) {
		if (poll(polled, 2, (int)MIN((deadline - now) / 1000 + 1, UINT64_C(1000000))) <= 0)
			continue;
		if (polled[0].revents != 0)
			return 1;
		if (read(polled[1].fd, &info, sizeof(info)) == sizeof(info))
			return -EINTR;
	}
	return 0;
}

static uint64_t in_seconds(unsigned int seconds)
{
	return now_usec() + seconds * UINT64_C(1000000);
}

int interrupt_wait(const struct interrupt *interrupt, pid_t pid, const char *program,
	unsigned int seconds, int *ret_status, struct caisson_error *err)
{
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int r;

	if (pidfd < 0) {
		r = caisson_fail(err, errno, "wait for %s", program);
		end_group(pid, SIGKILL);
		process_kill(pid);
		return r;
	}
	r = look(interrupt, pidfd, in_seconds(seconds));
	if (r == 1)
		return process_wait(pid, ret_status, err);
	end_group(pid, SIGTERM);
	(void)look(NULL, pidfd, in_seconds(ENDING_SECONDS));
	end_group(pid, SIGKILL);
	process_kill(pid);
	if (r == -EINTR)
		return caisson_refuse(err, EINTR, "%s was interrupted", program);
	return caisson_refuse(err, ETIMEDOUT, "%s did not end in %u seconds", program, seconds);
}
