/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Running one command: its words, its log, its errors, its exit status. */
#include "cli/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/io.h"

static uint64_t began;

/* What the log callback has to know. */
struct verbosity {
	bool quiet, verbose;
};

static void print_line(enum caisson_log_level level, const char *text, void *userdata)
{
	const struct verbosity *verbosity = userdata;

	if (verbosity->quiet || (level == CAISSON_LOG_DEBUG && !verbosity->verbose))
		return;
	if (verbosity->verbose)
		fprintf(stderr, "caisson: [%8.1f ms] %s\n", (double)(now_usec() - began) / 1000,
			text);
	else
		fprintf(stderr, "caisson: %s%s\n", level == CAISSON_LOG_WARNING ? "warning: " : "",
			text);
}

static void print_error(const char *command, const struct caisson_error *err)
{
	fprintf(stderr, "caisson%s%s: %s\n", command[0] != '\0' ? " " : "", command, err->message);
	if (err->hint[0] != '\0')
		fprintf(stderr, "  hint: %s\n", err->hint);
}

/* What a full disk has not taken was not done. */
int cli_flush_output(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	fprintf(stderr, "caisson: write to standard output: %s\n", strerror(errno));
	return -1;
}

int cli_run(const struct cli_command *command, cli_open_state open_state, int argc, char **argv)
{
	struct cli_context context = {0};
	struct caisson_error err = {0};
	struct verbosity verbosity = {0};
	int failed = command->failed != 0 ? command->failed : STATUS_FAILED;
	int r;

	if (cli_parse(command, argc, argv, &context, &err) < 0) {
		print_error(command->name, &err);
		fprintf(stderr, "  'caisson %s --help' shows how it is used\n", command->name);
		cli_context_done(&context);
		return command->failed != 0 ? command->failed : STATUS_WRONG;
	}
	if (cli_common(command, &context, CLI_HELP)->count > 0) {
		cli_print_help(command, stdout);
		cli_context_done(&context);
		return cli_flush_output() < 0 ? failed : 0;
	}
	verbosity.quiet = cli_common(command, &context, CLI_QUIET)->count > 0;
	verbosity.verbose = cli_common(command, &context, CLI_VERBOSE)->count > 0;
	context.log = (struct caisson_log){print_line, &verbosity};
	r = command->needs_state ? open_state(command, &context, &err) : 0;
	if (r == 0)
		r = command->run(&context, &err);
	if (context.status != 0)
		failed = context.status;
	cli_context_done(&context);
	if (r < 0) {
		print_error(command->name, &err);
		return (r == -EINVAL || r == -ERANGE) && failed == STATUS_FAILED ? STATUS_WRONG
										 : failed;
	}
	return cli_flush_output() < 0 ? failed : r;
}

/* A stream that the caller closed must not be the next file that is opened: what is printed would
   go into a volume. What is printed is lost then, so writing it has to fail. */
static void open_closed_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			(void)open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_RDWR);
	}
}

void cli_begin(void)
{
	const struct rlimit none = {0, 0};

	began = now_usec();
	open_closed_streams();
	/* Keys pass through this process. The limit alone is none for a program that dumps are
	   piped to. The leak checker of a sanitizer could not look into what cannot be dumped. */
	(void)setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
	/* Instead, writing fails: with a sentence, and with all that is undone then. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}
