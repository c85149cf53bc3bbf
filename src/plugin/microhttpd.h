/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libmicrohttpd, loaded when it is needed: it brings nine libraries (GnuTLS and what that wants),
 * and every other command would start 2 ms later for them.
 */
#pragma once

#include <caisson/error.h>
#include <microhttpd.h>

struct microhttpd {
	__typeof__(&MHD_start_daemon) start_daemon;
	__typeof__(&MHD_quiesce_daemon) quiesce_daemon;
	__typeof__(&MHD_stop_daemon) stop_daemon;
	__typeof__(&MHD_get_connection_info) get_connection_info;
	__typeof__(&MHD_create_response_from_buffer) create_response_from_buffer;
	__typeof__(&MHD_add_response_header) add_response_header;
	__typeof__(&MHD_queue_response) queue_response;
	__typeof__(&MHD_destroy_response) destroy_response;
};

/* It stays loaded. -ENOPKG when it is not installed. */
int microhttpd_load(struct microhttpd *ret_api, struct caisson_error *err);
