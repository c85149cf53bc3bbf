/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The process that serves an open volume: what it is made of. Inside of caisson-attach. */
#pragma once

#include <sys/types.h>

#include "attach/file.h"
#include "attach/nbd_server.h"
#include "luks/cipher.h"

/* Descriptors and facts, out of the arguments. */
struct server_options {
	int container, key, ready, nbd, control;
	int fuse;  /* -1: none */
	uid_t uid; /* whom it becomes when root started it */
	gid_t gid;
	const char *cipher;
	uint32_t sector_size;
	uint64_t data_offset, size;
	const char *name;
	bool read_only, discard;
};

struct server {
	const struct server_options *options;
	uid_t owner; /* who started it */
	gid_t group;
	struct luks_cipher *cipher;
	struct blocks *container, *payload;
	struct blocks watched; /* the payload, counting what fails */
	uint64_t errors;       /* atomic */
	struct nbd_server *nbd;
	struct fuse_file *file; /* NULL: none */
	int signals;
	bool ending;       /* nobody is served any more; the container is closed */
	bool ending_later; /* when nobody is there */
};

/* Serves until it is told to end. */
int server_run(const struct server_options *options, struct caisson_error *err);

/* NBD clients, and who has the file open. */
unsigned int server_users(struct server *server);
/* Ends the serving, unless somebody is served and @force is not set: their number is returned then.
   0 and @ret_result: whether all is on the disk. */
unsigned int server_end(
	struct server *server, bool force, int *ret_result, struct caisson_error *err);
/* One request of the control socket. */
void server_control(struct server *server);
