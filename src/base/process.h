/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Running other programs: found by name in fixed folders, without a shell, killed when we die. */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/confine.h"
#include "base/strbuf.h"

struct process_options {
	const char *called; /* what it finds in argv[0]; NULL: argv[0] as it was given */
	int stdin_fd;       /* -1: /dev/null */
	int stdout_fd;      /* -1: /dev/null */
	int stderr_fd;      /* -1: /dev/null */
	/* Descriptors that the program inherits under their own numbers. */
	const int *keep_fds;
	size_t keep_count;
	/* Of its own, so that a Ctrl-C of the terminal does not reach it. */
	bool new_session;
	/* process_run(): it is killed after so many; 0: never. */
	unsigned int seconds;
	/* It outlives this process, in a session of its own, and nobody here waits for it: 0 is
	   returned in place of its process ID. */
	bool detached;
	/* With detached: gets a pidfd(2) of it, -1 where there are none; may be NULL. */
	int *ret_pidfd;
	/* "NAME=value" that it gets beside LC_ALL and PATH, NULL-terminated; NULL: none. */
	const char *const *environment;
	/* Drop to this user and group before the program starts (only as root). */
	bool drop_privileges;
	uid_t uid;
	gid_t gid;
	gid_t extra_group; /* one supplementary group, or (gid_t)-1 */
	/* For what reads a stranger's data; see process_confine(). */
	bool confined;
	struct confinement confinement;
};

#define PROCESS_OPTIONS_INIT \
	((struct process_options){ \
		.stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1, .extra_group = (gid_t)-1})

/* Whom root's programs run as that need nothing of root's: the user caisson where there is one,
   else nobody. */
int process_unprivileged_user(uid_t *ret_uid, gid_t *ret_gid, struct caisson_error *err);
/* What @options start is confined, and when this process is root's, it runs as that user (in a user
   namespace that has no such user: as the same one, without capabilities). What it is to read has
   to be there for that user, or inherited. */
int process_confine(struct process_options *options, const struct confinement *confinement,
	struct caisson_error *err);
/* Finds @program in /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin, or takes a path
   as it is. -ENOENT with a sentence when it is not there. */
int program_find(const char *program, char **ret_path, struct caisson_error *err);
/* Starts @argv (argv[0] is the program); it gets SIGKILL when this process dies (unless detached).
   Its environment is LC_ALL=C and PATH, and what the options add. Returns the process ID. */
pid_t process_start(
	const char *const argv[], const struct process_options *options, struct caisson_error *err);
/* Waits; the exit status (128 + N when signal N ended it) in *ret_status. */
int process_wait(pid_t pid, int *ret_status, struct caisson_error *err);
/* The same, but kills @pid after @seconds (0: never): -ETIMEDOUT, with a sentence of @program. */
int process_wait_for(pid_t pid, const char *program, unsigned int seconds, int *ret_status,
	struct caisson_error *err);
/* Runs @argv to its end; its standard output and error are collected, at most @most bytes each
   (either buffer may be NULL). A status other than 0 is a failure that quotes the last line of
   standard error. -ETIMEDOUT when it, or who has its output, did not end in time. */
int process_run(const char *const argv[], const struct process_options *options,
	struct strbuf *output, struct caisson_error *err);
/* process_run() without output or options, for at most @seconds. */
int process_run_for(const char *const argv[], unsigned int seconds, struct caisson_error *err);
/* Kills with SIGKILL and reaps. */
void process_kill(pid_t pid);
