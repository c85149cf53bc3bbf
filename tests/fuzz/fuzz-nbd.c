/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An NBD client that says anything. The first byte of the input: bit 0, it begins with requests;
 * bit 1, the export is read-only; bit 2, discards are passed on. The others are what it sends.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attach/nbd_server.h"
#include "fuzz.h"

#define SIZE 5000

struct memory {
	struct blocks blocks;
	uint8_t data[SIZE];
};

static int memory_read(struct blocks *blocks, uint64_t offset, void *data, size_t size,
	struct caisson_error *err _unused_)
{
	if (offset > SIZE || size > SIZE - offset)
		abort();
	memcpy(data, ((struct memory *)blocks)->data + offset, size);
	return 0;
}

static int memory_write(struct blocks *blocks, uint64_t offset, const void *data, size_t size,
	struct caisson_error *err _unused_)
{
	if (offset > SIZE || size > SIZE - offset || blocks->read_only)
		abort();
	memcpy(((struct memory *)blocks)->data + offset, data, size);
	return 0;
}

static int memory_flush(struct blocks *blocks _unused_, struct caisson_error *err _unused_)
{
	return 0;
}

static int memory_discard(
	struct blocks *blocks, uint64_t offset, uint64_t length, struct caisson_error *err _unused_)
{
	if (offset > SIZE || length > SIZE - offset || blocks->read_only)
		abort();
	memset(((struct memory *)blocks)->data + offset, 0xdd, length);
	return 0;
}

static void memory_free(struct blocks *blocks _unused_)
{
}

/* Takes whatever the server answers. */
static void *drain(void *argument)
{
	static uint8_t data[65536];

	while (recv(*(int *)argument, data, sizeof(data), 0) > 0)
		;
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct blocks_ops ops = {
		.read = memory_read,
		.write = memory_write,
		.flush = memory_flush,
		.discard = memory_discard,
		.free = memory_free,
	};
	static struct memory memory;
	struct nbd_options options = {.name = "data"};
	pthread_t thread;
	int pair[2];

	/* As much as a socket takes without a reader. */
	if (size == 0 || size > 65536)
		return 0;
	memory.blocks = (struct blocks){
		.ops = &ops, .size = SIZE, .read_only = (data[0] & 2) != 0, .what = "memory"};
	options.started = (data[0] & 1) != 0;
	options.discard = (data[0] & 4) != 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	if (send(pair[0], data + 1, size - 1, 0) != (ssize_t)size - 1 ||
		shutdown(pair[0], SHUT_WR) < 0 ||
		pthread_create(&thread, NULL, drain, &pair[0]) != 0)
		abort();
	nbd_serve(&memory.blocks, &options, pair[1]);
	shutdown(pair[1], SHUT_RDWR);
	pthread_join(thread, NULL);
	close(pair[0]);
	close(pair[1]);
	return 0;
}
