/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who is connected: a thread that lets clients in, and one for each of them. */
#include "attach/nbd_server.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#define CONNECTIONS_MOST 16

enum slot_state {
	SLOT_FREE,
	SLOT_SERVING,
	SLOT_ENDED, /* its thread is still to be joined */
};

struct slot {
	struct nbd_server *server;
	enum slot_state state;
	pthread_t thread;
	int socket;
};

struct nbd_server {
	struct blocks *blocks;
	struct nbd_options options;
	int listener;
	int wake; /* an eventfd: ends the thread that lets in */
	pthread_t thread;
	bool running; /* it is there to be joined */
	pthread_mutex_t lock;
	bool closed;  /* nobody is let in */
	bool stopped; /* requests are given up; atomic */
	struct slot slots[CONNECTIONS_MOST];
};

static unsigned int count_serving(const struct nbd_server *server)
{
	unsigned int count = 0;

	for (size_t i = 0; i < CONNECTIONS_MOST; i++)
		count += server->slots[i].state == SLOT_SERVING;
	return count;
}

static void *serve_slot(void *argument)
{
	struct slot *slot = argument;
	struct nbd_server *server = slot->server;

	nbd_serve(server->blocks, &server->options, slot->socket);
	pthread_mutex_lock(&server->lock);
	close(slot->socket);
	slot->socket = -1;
	slot->state = SLOT_ENDED;
	pthread_mutex_unlock(&server->lock);
	return NULL;
}

static void join_ended(struct slot *slot)
{
	if (slot->state != SLOT_ENDED)
		return;
	(void)pthread_join(slot->thread, NULL);
	slot->state = SLOT_FREE;
}

/* Beyond the most, and while closing, the client finds its connection closed. */
static void let_in(struct nbd_server *server, int socket)
{
	struct slot *free_slot = NULL;

	pthread_mutex_lock(&server->lock);
	for (size_t i = 0; i < CONNECTIONS_MOST; i++) {
		join_ended(&server->slots[i]);
		if (server->slots[i].state == SLOT_FREE && free_slot == NULL)
			free_slot = &server->slots[i];
	}
	if (free_slot != NULL && !server->closed) {
		free_slot->socket = socket;
		free_slot->state = SLOT_SERVING;
		if (pthread_create(&free_slot->thread, NULL, serve_slot, free_slot) == 0) {
			socket = -1;
		} else {
			/* Its number is another's as soon as it is closed. */
			free_slot->socket = -1;
			free_slot->state = SLOT_FREE;
		}
	}
	pthread_mutex_unlock(&server->lock);
	closep(&socket);
}

static void *serve_listener(void *argument)
{
	struct nbd_server *server = argument;
	struct pollfd polled[2] = {
		{.fd = server->wake, .events = POLLIN}, {.fd = server->listener, .events = POLLIN}};

	for (;;) {
		int socket;

		if (poll(polled, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (polled[0].revents != 0)
			return NULL;
		if (polled[1].revents == 0)
			continue;
		socket = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
		if (socket >= 0)
			let_in(server, socket);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			(void)poll(polled, 1, 100); /* the client stays in the queue meanwhile */
	}
}

int nbd_server_start(struct blocks *blocks, const struct nbd_options *options, int listener,
	struct nbd_server **ret_server, struct caisson_error *err)
{
	_cleanup_(nbd_server_freep) struct nbd_server *server = calloc(1, sizeof(*server));
	int r;

	if (server == NULL)
		return caisson_fail(err, ENOMEM, "serve NBD");
	*server = (struct nbd_server){
		.blocks = blocks, .options = *options, .listener = listener, .wake = -1};
	server->options.ret_requests = NULL;
	server->options.stopped = &server->stopped;
	server->options.started = false;
	pthread_mutex_init(&server->lock, NULL);
	for (size_t i = 0; i < CONNECTIONS_MOST; i++)
		server->slots[i] = (struct slot){.server = server, .socket = -1};
	server->wake = eventfd(0, EFD_CLOEXEC);
	if (server->wake < 0)
		return caisson_fail(err, errno, "serve NBD");
	/* Also when somebody did before: from now on this process is the socket's peer. */
	if (listen(listener, CONNECTIONS_MOST) < 0)
		return caisson_fail(err, errno, "listen for NBD clients");
	r = pthread_create(&server->thread, NULL, serve_listener, server);
	if (r != 0)
		return caisson_fail(err, r, "start a thread for NBD");
	server->running = true;
	*ret_server = take_ptr(server);
	return 0;
}

unsigned int nbd_server_connections(struct nbd_server *server)
{
	unsigned int count;

	pthread_mutex_lock(&server->lock);
	count = count_serving(server);
	pthread_mutex_unlock(&server->lock);
	return count;
}

static void join_slot(struct nbd_server *server, struct slot *slot)
{
	bool there;

	pthread_mutex_lock(&server->lock);
	there = slot->state != SLOT_FREE;
	if (slot->socket >= 0)
		(void)shutdown(slot->socket, SHUT_RDWR);
	pthread_mutex_unlock(&server->lock);
	if (there)
		(void)pthread_join(slot->thread, NULL);
	slot->state = SLOT_FREE;
}

unsigned int nbd_server_stop(struct nbd_server *server, bool force)
{
	unsigned int count;

	pthread_mutex_lock(&server->lock);
	count = count_serving(server);
	server->closed = server->closed || count == 0 || force;
	pthread_mutex_unlock(&server->lock);
	if (count > 0 && !force)
		return count;
	__atomic_store_n(&server->stopped, true, __ATOMIC_SEQ_CST);
	if (server->running) {
		(void)!write(server->wake, &(uint64_t){1}, sizeof(uint64_t));
		(void)pthread_join(server->thread, NULL);
		server->running = false;
	}
	for (size_t i = 0; i < CONNECTIONS_MOST; i++)
		join_slot(server, &server->slots[i]);
	return 0;
}

unsigned int nbd_server_resize(struct nbd_server *server, uint64_t size)
{
	unsigned int count;

	pthread_mutex_lock(&server->lock);
	count = count_serving(server);
	if (count == 0)
		__atomic_store_n(&server->blocks->size, size, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&server->lock);
	return count;
}

void nbd_server_free(struct nbd_server *server)
{
	if (server == NULL)
		return;
	(void)nbd_server_stop(server, true);
	closep(&server->wake);
	pthread_mutex_destroy(&server->lock);
	free(server);
}
