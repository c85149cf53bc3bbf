/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The poll loop of PID 1 while the workload runs: its streams, its signals, its orphans. */
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "guest/guest.h"
#include "wire/frame.h"
#include "wire/message.h"

/* The workload's pipes are not read while this much waits for the host. */
#define OUT_MOST (4 * FRAME_PAYLOAD_MOST)
#define CHUNK    32768

struct relay {
	struct guest *guest;
	struct workload *workload;
	int signals;
	int status;          /* of the workload; -1 while it runs */
	struct strbuf input; /* standard input that the workload has not taken yet */
	bool input_ended;
	bool host_gone;
};

static void close_input(struct relay *relay)
{
	closep(&relay->workload->input);
	relay->workload->input = -1;
	strbuf_clear(&relay->input);
}

static void reap(struct relay *relay)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	while (read(relay->signals, &info, sizeof(info)) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != relay->workload->pid)
			continue;
		relay->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		/* The machine is the workload's: what it left behind ends with it, which also ends
		   the pipes that it may have handed on. */
		(void)kill(-1, SIGKILL);
		close_input(relay);
	}
}

/* The next write to it fails as it would on any pipe without a reader (SIGPIPE, EPIPE); a terminal
 * hangs up. */
static void close_output(struct relay *relay, uint8_t type)
{
	struct workload *workload = relay->workload;
	int *fd = type == MESSAGE_STDOUT ? &workload->output : &workload->error;

	closep(fd);
	*fd = -1;
	if (workload->terminal)
		close_input(relay);
}

static int handle_frame(struct relay *relay, const struct frame *frame, struct caisson_error *err)
{
	uint16_t size[2];

	switch (frame->type) {
	case MESSAGE_STDIN:
		if (relay->input.size + frame->size > MESSAGE_CREDIT_MOST)
			return caisson_refuse(err, EPROTO, "the host sent more input than it may");
		if (relay->workload->input >= 0)
			strbuf_add(&relay->input, frame->payload, frame->size);
		return 0;
	case MESSAGE_STDIN_END:
		relay->input_ended = true;
		if (relay->input.size == 0 && !relay->workload->terminal)
			close_input(relay);
		return 0;
	case MESSAGE_SIGNAL:
		/* To the process alone, as container engines do; a terminal's own Ctrl-C goes to
		   the foreground group through its line discipline. */
		if (frame->size == 1 && relay->status < 0 && frame->payload[0] < _NSIG)
			(void)kill(relay->workload->pid, frame->payload[0]);
		return 0;
	case MESSAGE_WINDOW:
		if (frame->size == sizeof(size)) {
			memcpy(size, frame->payload, sizeof(size));
			workload_window(relay->workload, le16toh(size[0]), le16toh(size[1]));
		}
		return 0;
	case MESSAGE_CLOSED:
		if (frame->size == 1)
			close_output(relay, frame->payload[0]);
		return 0;
	default:
		return 0; /* of a newer host */
	}
}

static int read_host(struct relay *relay, struct caisson_error *err)
{
	struct guest *guest = relay->guest;
	struct frame frame;
	void *to = strbuf_reserve(&guest->in, CHUNK);
	ssize_t n;
	int r;

	if (to == NULL)
		return caisson_fail(err, ENOMEM, "read from the host");
	n = read(guest->channel, to, CHUNK);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		relay->host_gone = true;
		(void)kill(-1, SIGKILL);
		return 0;
	}
	strbuf_commit(&guest->in, (size_t)n);
	while ((r = frame_peek(&guest->in, &frame, err)) == 1) {
		r = handle_frame(relay, &frame, err);
		if (r < 0)
			return r;
		frame_drop(&guest->in, &frame);
	}
	return r;
}

static void write_host(struct relay *relay)
{
	struct strbuf *out = &relay->guest->out;
	ssize_t n = write(relay->guest->channel, out->data, MIN(out->size, (size_t)CHUNK));

	if (n > 0)
		strbuf_consume(out, (size_t)n);
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		relay->host_gone = true;
}

/* A terminal's master says EIO when nobody has the other end open any more. */
static void read_workload(struct relay *relay, int *fd, uint8_t type)
{
	char chunk[CHUNK];
	ssize_t n = read(*fd, chunk, sizeof(chunk));

	if (n > 0) {
		guest_send(relay->guest, type, chunk, (size_t)n);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		closep(fd);
		*fd = -1;
	}
}

static void write_workload(struct relay *relay)
{
	ssize_t n = write(relay->workload->input, relay->input.data, relay->input.size);
	uint32_t credit;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		close_input(relay);
		return;
	}
	strbuf_consume(&relay->input, (size_t)n);
	credit = htole32((uint32_t)n);
	guest_send(relay->guest, MESSAGE_CREDIT, &credit, sizeof(credit));
	if (relay->input.size == 0 && relay->input_ended && !relay->workload->terminal)
		close_input(relay);
}

enum { HOST, SIGNALS, OUTPUT, ERROR, INPUT, POLLED };

static void arm(struct relay *relay, struct pollfd polled[static POLLED])
{
	struct workload *workload = relay->workload;
	bool room = relay->guest->out.size < OUT_MOST;

	polled[HOST] = (struct pollfd){.fd = relay->guest->channel,
		.events = (short)(POLLIN | (relay->guest->out.size > 0 ? POLLOUT : 0))};
	polled[SIGNALS] = (struct pollfd){.fd = relay->signals, .events = POLLIN};
	polled[OUTPUT] = (struct pollfd){.fd = room ? workload->output : -1, .events = POLLIN};
	polled[ERROR] = (struct pollfd){.fd = room ? workload->error : -1, .events = POLLIN};
	polled[INPUT] = (struct pollfd){
		.fd = relay->input.size > 0 ? workload->input : -1, .events = POLLOUT};
}

static int step(struct relay *relay, struct caisson_error *err)
{
	struct workload *workload = relay->workload;
	struct pollfd polled[POLLED];
	int r = 0;

	arm(relay, polled);
	if (poll(polled, POLLED, -1) < 0)
		return errno == EINTR ? 0 : caisson_fail(err, errno, "wait for the workload");
	if (polled[HOST].revents & (POLLIN | POLLHUP | POLLERR))
		r = read_host(relay, err);
	if (r == 0 && polled[HOST].revents & POLLOUT)
		write_host(relay);
	if (polled[OUTPUT].revents != 0)
		read_workload(relay, &workload->output, MESSAGE_STDOUT);
	if (polled[ERROR].revents != 0)
		read_workload(relay, &workload->error, MESSAGE_STDERR);
	if (polled[INPUT].revents != 0 && workload->input >= 0)
		write_workload(relay);
	if (polled[SIGNALS].revents != 0)
		reap(relay);
	return r;
}

static bool finished(const struct relay *relay)
{
	return relay->status >= 0 &&
	       (relay->host_gone || (relay->workload->output < 0 && relay->workload->error < 0 &&
					    relay->guest->out.size == 0));
}

int relay_run(struct guest *guest, struct workload *workload, struct caisson_error *err)
{
	struct relay relay = {.guest = guest, .workload = workload, .status = -1};
	uint32_t credit = htole32(MESSAGE_CREDIT_MOST);
	sigset_t child;
	int r = 0;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	relay.signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	if (relay.signals < 0)
		return caisson_fail(err, errno, "listen for the workload's end");
	(void)set_nonblocking(guest->channel, true);
	if (workload->input >= 0) {
		(void)set_nonblocking(workload->input, true);
		guest_send(guest, MESSAGE_CREDIT, &credit, sizeof(credit));
	}
	(void)set_nonblocking(workload->output, true);
	if (workload->error >= 0)
		(void)set_nonblocking(workload->error, true);
	/* One that ended before the descriptor was there. */
	reap(&relay);
	while (r == 0 && !finished(&relay))
		r = step(&relay, err);
	strbuf_done(&relay.input);
	closep(&relay.signals);
	return r < 0 ? r : relay.status;
}
