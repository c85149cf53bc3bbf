/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The service: HTTP on a UNIX socket, a thread for each connection, a process for each request. */
#pragma once

#include <caisson/error.h>
#include <caisson/log.h>
#include <stddef.h>

#include "plugin/worker.h"

#define HTTP_BODY_MOST        (1u << 20)
#define HTTP_CONNECTIONS_MOST 64

struct http_options {
	int listen_fd; /* stays the caller's */
	worker_answer answer;
	void *userdata;
	unsigned int idle_s;     /* end when nobody has asked anything for so long; 0: never */
	unsigned int patience_s; /* for a client to send a request, or to take its answer */
	unsigned int end_s;      /* for what is under way when the service is to end */
	const struct caisson_log *log;
};

/* Serves until SIGTERM or SIGINT comes, or it has been idle. What has begun is brought to its end.
   Only while the process has one thread. */
int http_serve(const struct http_options *options, struct caisson_error *err);
