/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/passphrase.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define PASSPHRASE_MOST 512 /* bytes, as cryptsetup's */

/* What the signal handler needs to give the terminal its echo back. */
static struct termios saved;
static volatile sig_atomic_t terminal = -1;

static void interrupted(int number)
{
	if (terminal >= 0)
		(void)tcsetattr(terminal, TCSAFLUSH, &saved);
	signal(number, SIG_DFL);
	raise(number);
}

/* One line, a byte at a time: what is behind it is somebody else's. */
static int read_line(int fd, struct secret *ret_line, struct caisson_error *err)
{
	_cleanup_secret_ struct secret line = SECRET_NONE;
	size_t have = 0;
	int r = secret_new(&line, PASSPHRASE_MOST + 1, err);

	while (r == 0) {
		ssize_t n = read(fd, line.data + have, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return caisson_fail(err, errno, "read a passphrase");
		if (n == 0 || line.data[have] == '\n')
			break;
		if (++have > PASSPHRASE_MOST)
			return caisson_refuse(err, EFBIG, "a passphrase is longer than %d bytes",
				PASSPHRASE_MOST);
	}
	if (r < 0)
		return r;
	if (have == 0)
		return caisson_refuse(err, EINVAL, "the passphrase is empty");
	line.size = have;
	*ret_line = take_secret(&line);
	return 0;
}

static int read_silently(
	int fd, const char *prompt, struct secret *ret_line, struct caisson_error *err)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	struct sigaction act = {.sa_handler = interrupted}, old[4];
	sigset_t stops, before;
	struct termios silent;
	int r;

	if (tcgetattr(fd, &saved) < 0)
		return caisson_fail(err, errno, "silence the terminal");
	silent = saved;
	silent.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK);
	silent.c_lflag |= ECHONL;
	terminal = fd;
	/* Whoever stops us would find the terminal with an echo when we go on: not now. */
	sigemptyset(&stops);
	sigaddset(&stops, SIGTSTP);
	(void)sigprocmask(SIG_BLOCK, &stops, &before);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		(void)sigaction(numbers[i], &act, &old[i]);
	if (tcsetattr(fd, TCSAFLUSH, &silent) < 0)
		r = caisson_fail(err, errno, "silence the terminal");
	else
		r = dprintf(fd, "%s: ", prompt) < 0
			    ? caisson_fail(err, errno, "ask for a passphrase")
			    : read_line(fd, ret_line, err);
	(void)tcsetattr(fd, TCSAFLUSH, &saved);
	terminal = -1;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		(void)sigaction(numbers[i], &old[i], NULL);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return r;
}

int cli_read_passphrase(
	const char *prompt, bool twice, struct secret *ret_passphrase, struct caisson_error *err)
{
	_cleanup_secret_ struct secret first = SECRET_NONE, second = SECRET_NONE;
	_cleanup_close_ int fd = -1;
	int r;

	if (!isatty(STDIN_FILENO))
		return read_line(STDIN_FILENO, ret_passphrase, err);
	fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return caisson_fail(err, errno, "open the terminal");
	r = read_silently(fd, prompt, &first, err);
	if (r == 0 && twice)
		r = read_silently(fd, "Again", &second, err);
	if (r < 0)
		return r;
	if (twice && !secret_equal(&first, &second))
		return caisson_refuse(err, EINVAL, "the two passphrases are not the same");
	*ret_passphrase = take_secret(&first);
	return 0;
}
