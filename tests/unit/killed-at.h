/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Work that is killed before one of its system calls: the moments at which a power cut finds what
   it finds. Include it after test.h. */
#pragma once

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

/* What @work returns is the exit status of the process that it is done in. */
struct killed_at {
	int (*work)(void *userdata);
	void *userdata;
};

/* False, all on its own, where nobody may be traced. */
static inline bool may_trace(void)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0)
		_exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 0 : 1);
	return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 0;
}

/*
 * Does the work in a child of its own, which is killed as it enters system call number @call
 * (counted from 0). -1 when it was killed; else what it returned.
 */
static inline int run_killed_at(const struct killed_at *killed, unsigned int call)
{
	pid_t child = fork();
	unsigned int stops = 0;
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		(void)raise(SIGSTOP);
		_exit(killed->work(killed->userdata));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSTOPPED(status));
	(void)ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD);
	for (;;) {
		int number = 0;

		/* Other signals than our own stops are its own. */
		if (WIFSTOPPED(status) && WSTOPSIG(status) != SIGSTOP &&
			WSTOPSIG(status) != (SIGTRAP | 0x80))
			number = WSTOPSIG(status);
		(void)ptrace(PTRACE_SYSCALL, child, NULL, (void *)(intptr_t)number);
		assert_int_equal(waitpid(child, &status, 0), child);
		if (WIFEXITED(status))
			return WEXITSTATUS(status);
		assert_true(WIFSTOPPED(status));
		/* Entry and exit of each. */
		if (WSTOPSIG(status) == (SIGTRAP | 0x80) && stops++ == 2 * call) {
			(void)kill(child, SIGKILL);
			assert_int_equal(waitpid(child, &status, 0), child);
			return -1;
		}
	}
}
