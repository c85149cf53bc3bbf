/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plugin/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/process.h"
#include "plugin/driver.h"

#define ANSWER_MOST (64u << 20)
#define REPORT_FD   (STDERR_FILENO + 1)

/* Of the service, only standard streams and the pipe are left to the child: connections that the
   service closes are to end. A session of its own: a Ctrl-C ends the service, which waits for it.
 */
static void become_worker(int report)
{
	sigset_t none;

	(void)setsid();
	if (report != REPORT_FD && dup2(report, REPORT_FD) < 0)
		_exit(127);
	(void)fcntl(REPORT_FD, F_SETFD, FD_CLOEXEC);
	(void)close_range(REPORT_FD + 1, ~0u, 0);
	sigemptyset(&none);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
}

static void run_child(worker_answer answer, void *userdata, const char *path, const char *body,
	size_t size, int report)
{
	struct strbuf text = STRBUF_INIT;
	uint32_t status = 500;

	become_worker(report);
	status = answer(userdata, path, body, size, &text);
	if (!strbuf_ok(&text) || write_all(REPORT_FD, &status, sizeof(status), "", NULL) < 0 ||
		write_all(REPORT_FD, text.data, text.size, "", NULL) < 0)
		_exit(1);
	strbuf_done(&text);
	_exit(0);
}

static int collect(int fd, pid_t pid, uint32_t *ret_status, struct strbuf *ret_answer,
	struct caisson_error *err)
{
	int r = read_to_end(fd, ANSWER_MOST, "the answer", ret_answer, err), ended;

	/* What it has begun it ends, also when nobody listens any more. */
	if (process_wait(pid, &ended, err) < 0)
		return -EIO;
	if (r < 0)
		return r;
	if (ended != 0 || ret_answer->size < sizeof(*ret_status))
		return caisson_refuse(err, EIO,
			ended > 128 ? "the request was ended by signal %d"
				    : "the request ended with status %d",
			ended > 128 ? ended - 128 : ended);
	memcpy(ret_status, ret_answer->data, sizeof(*ret_status));
	strbuf_consume(ret_answer, sizeof(*ret_status));
	return 0;
}

static int run(worker_answer answer, void *userdata, const char *path, const char *body,
	size_t size, uint32_t *ret_status, struct strbuf *ret_answer, struct caisson_error *err)
{
	_cleanup_close_ int receive = -1, report = -1;
	int pipes[2];
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return caisson_fail(err, errno, "begin a request");
	receive = pipes[0];
	report = pipes[1];
	pid = fork();
	if (pid < 0)
		return caisson_fail(err, errno, "begin a request");
	if (pid == 0)
		run_child(answer, userdata, path, body, size, report);
	/* The answer ends when its only writer does. */
	close(take_fd(&report));
	return collect(receive, pid, ret_status, ret_answer, err);
}

unsigned int worker_run(worker_answer answer, void *userdata, const char *path, const char *body,
	size_t size, struct strbuf *ret_answer)
{
	struct caisson_error err = {0};
	uint32_t status = 500;

	if (run(answer, userdata, path, body, size, &status, ret_answer, &err) == 0)
		return status;
	driver_refusal(err.message, ret_answer);
	return 500;
}
