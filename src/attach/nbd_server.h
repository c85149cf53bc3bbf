/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An NBD server (fixed newstyle) over blocks. Clients are hostile: every length is bounded before
 * memory is had for it, the negotiation as a whole has a time, and of connections there is a most.
 */
#pragma once

#include "base/blocks.h"

struct nbd_options {
	const char *name;       /* of the export; "" is the same one. NULL: none but "" */
	bool discard;           /* TRIM is offered, and passed on */
	bool started;           /* nbd_serve(): no negotiation, the client begins with requests */
	uint64_t *ret_requests; /* nbd_serve(): counts what was asked for; may be NULL */
	const bool *stopped;    /* nbd_serve(): when it becomes true, requests are given up; atomic,
				   may be NULL */
};

/* Serves one connected stream socket until the client leaves, or breaks the protocol, or the socket
   is shut down. @socket stays the caller's. */
void nbd_serve(struct blocks *blocks, const struct nbd_options *options, int socket);

/* Serves whoever connects, each in a thread of its own. */
struct nbd_server;

/* @listener is bound; it is borrowed, as @blocks and what @options name. */
int nbd_server_start(struct blocks *blocks, const struct nbd_options *options, int listener,
	struct nbd_server **ret_server, struct caisson_error *err);
unsigned int nbd_server_connections(struct nbd_server *server);
/* Lets nobody in any more. What @force gives up has no answer yet. Returns how many are connected
   unless @force: with 0, or @force, nobody is when it returns, and what clients were told is
   written, is; else nothing has changed. */
unsigned int nbd_server_stop(struct nbd_server *server, bool force);
/* Another size for those who connect from now on. Returns how many are connected: with 0 it is
   done, else nothing is. */
unsigned int nbd_server_resize(struct nbd_server *server, uint64_t size);
/* Stops with force. */
void nbd_server_free(struct nbd_server *server);
DEFINE_CLEANUP(struct nbd_server *, nbd_server_free);
