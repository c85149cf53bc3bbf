/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * caisson-unlock: gets the keys of a machine's volumes and opens them. The only program of the
 * guest that sees a key, in a process that lives for some milliseconds.
 */
#include "guest/unlock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hex.h"
#include "base/io.h"
#include "guest/guest.h"
#include "guest/programs.h"
#include "key/protocol.h"
#include "luks/luks.h"
#include "wire/frame.h"
#include "wire/message.h"

#define REPLY_WAIT_MS 20000

struct order {
	char *machine, *secret;
	unsigned int port;
	struct {
		char *name, *device;
		bool read_only;
	} volumes[GUEST_VOLUMES_MOST];
	size_t volume_count;
};

/* Points into @text, which PID 1 wrote: only its own mistakes are caught here. */
static int parse_order(char *text, struct order *order, struct caisson_error *err)
{
	char *rest, *port, *line;

	order->machine = strtok_r(text, "\n", &rest);
	port = strtok_r(NULL, "\n", &rest);
	order->secret = strtok_r(NULL, "\n", &rest);
	if (order->secret == NULL)
		return caisson_refuse(err, EINVAL, "the order is incomplete");
	order->port = (unsigned int)strtoul(port, NULL, 10);
	while ((line = strtok_r(NULL, "\n", &rest)) != NULL) {
		char *words, *read_only;
		size_t i = order->volume_count;

		if (i == GUEST_VOLUMES_MOST)
			return caisson_refuse(err, EINVAL, "the order has too many volumes");
		order->volumes[i].name = strtok_r(line, " ", &words);
		order->volumes[i].device = strtok_r(NULL, " ", &words);
		read_only = strtok_r(NULL, " ", &words);
		if (read_only == NULL)
			return caisson_refuse(err, EINVAL, "the order has half a volume");
		order->volumes[i].read_only = read_only[0] == '1';
		order->volume_count++;
	}
	return 0;
}

/* The reply carries keys only sealed, so it need not be a secret. */
static int receive_reply(
	int channel, struct strbuf *in, struct frame *frame, struct caisson_error *err)
{
	uint64_t deadline = now_usec() + REPLY_WAIT_MS * 1000ull;
	int r;

	while ((r = frame_peek(in, frame, err)) == 0) {
		struct pollfd polled = {.fd = channel, .events = POLLIN};
		uint64_t now = now_usec();
		void *to = strbuf_reserve(in, 4096);
		ssize_t n;

		if (to == NULL)
			return caisson_fail(err, ENOMEM, "read the key service's reply");
		if (now >= deadline || poll(&polled, 1, (int)((deadline - now) / 1000) + 1) == 0)
			return caisson_refuse(err, ETIMEDOUT,
				"the key service did not answer within %d s", REPLY_WAIT_MS / 1000);
		n = read(channel, to, 4096);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return caisson_fail(
				err, n == 0 ? EPIPE : errno, "read the key service's reply");
		strbuf_commit(in, (size_t)n);
	}
	if (r < 0)
		return r;
	if (frame->type != KEY_FRAME_REPLY)
		return caisson_refuse(
			err, EPROTO, "the key service sent a message of type %u", frame->type);
	return 0;
}

static int get_keys(
	const struct order *order, struct key_grants *ret_grants, struct caisson_error *err)
{
	_cleanup_secret_ struct secret start = SECRET_NONE;
	_cleanup_(key_client_freep) struct key_client *client = NULL;
	_cleanup_strbuf_ struct strbuf hello = STRBUF_INIT, out = STRBUF_INIT, in = STRBUF_INIT;
	_cleanup_close_ int channel = -1, uevents = -1;
	struct frame frame;
	int r;

	r = secret_new(&start, GUEST_SECRET_SIZE, err);
	if (r < 0)
		return r;
	if (hex_decode(order->secret, strlen(order->secret), start.data, start.size) < 0)
		return caisson_refuse(err, EINVAL, "the start's secret is malformed");
	r = key_client_new(order->machine, &start, &client, &hello, err);
	if (r < 0)
		return r;
	uevents = guest_open_uevents(err);
	if (uevents < 0)
		return uevents;
	channel = guest_channel_open(uevents, CHANNEL_PORT_KEY, order->port, err);
	if (channel < 0)
		return channel;
	r = frame_put(&out, KEY_FRAME_HELLO, hello.data, hello.size);
	if (r < 0)
		return caisson_fail(err, r, "write to the key service");
	r = write_all(channel, out.data, out.size, "to the key service", err);
	if (r == 0)
		r = receive_reply(channel, &in, &frame, err);
	if (r == 0)
		r = key_client_open(client, frame.payload, frame.size, ret_grants, err);
	return r;
}

static const struct key_grant *find_grant(const struct key_grants *grants, const char *volume)
{
	for (size_t i = 0; i < grants->count; i++) {
		if (strcmp(grants->items[i].volume, volume) == 0)
			return &grants->items[i];
	}
	return NULL;
}

static int open_volumes(
	const struct order *order, const struct key_grants *grants, struct caisson_error *err)
{
	for (size_t i = 0; i < order->volume_count; i++) {
		const char *volume = order->volumes[i].name;
		const struct key_grant *grant = find_grant(grants, volume);
		char name[sizeof(UNLOCK_PREFIX) + 64];
		int r;

		if (grant == NULL)
			return caisson_refuse(err, EACCES,
				"the key service gave no key for the volume %s", volume);
		snprintf(name, sizeof(name), UNLOCK_PREFIX "%s", volume);
		r = luks_activate(order->volumes[i].device, name, &grant->facts,
			&grant->machine_key, order->volumes[i].read_only ? LUKS_READ_ONLY : 0, err);
		if (r < 0)
			return caisson_wrap(err, "volume %s", volume);
	}
	return 0;
}

static int run(struct caisson_error *err)
{
	_cleanup_secret_ struct secret text = SECRET_NONE;
	_cleanup_key_grants_ struct key_grants grants = {0};
	struct order order = {0};
	int r;

	r = secret_read_fd(&text, STDIN_FILENO, UNLOCK_ORDER_MOST, err);
	if (r < 0)
		return r;
	/* There is room for it: the secret was made one byte larger than the most that it holds. */
	text.data[text.size] = '\0';
	r = parse_order((char *)text.data, &order, err);
	if (r == 0)
		r = get_keys(&order, &grants, err);
	if (r == 0)
		r = open_volumes(&order, &grants, err);
	return r;
}

int unlock_main(int argc _unused_, char **argv _unused_)
{
	struct caisson_error err = {0};

	(void)prctl(PR_SET_DUMPABLE, 0);
	umask(077);
	if (run(&err) < 0) {
		fprintf(stderr, "%s\n%s\n", err.message, err.hint);
		return 1;
	}
	return 0;
}
