/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plugin/microhttpd.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/macros.h"

#define LIBRARY "libmicrohttpd.so.12"

int microhttpd_load(struct microhttpd *ret_api, struct caisson_error *err)
{
	static const struct {
		const char *name;
		size_t offset;
	} functions[] = {
		{"MHD_start_daemon", offsetof(struct microhttpd, start_daemon)},
		{"MHD_quiesce_daemon", offsetof(struct microhttpd, quiesce_daemon)},
		{"MHD_stop_daemon", offsetof(struct microhttpd, stop_daemon)},
		{"MHD_get_connection_info", offsetof(struct microhttpd, get_connection_info)},
		{"MHD_create_response_from_buffer",
			offsetof(struct microhttpd, create_response_from_buffer)},
		{"MHD_add_response_header", offsetof(struct microhttpd, add_response_header)},
		{"MHD_queue_response", offsetof(struct microhttpd, queue_response)},
		{"MHD_destroy_response", offsetof(struct microhttpd, destroy_response)},
	};
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (library == NULL) {
		const char *why = dlerror();

		caisson_refuse(err, ENOPKG, "load %s: %s", LIBRARY, why != NULL ? why : "?");
		return caisson_hint(err, "install libmicrohttpd (the package libmicrohttpd12)");
	}
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		void *function = dlsym(library, functions[i].name);

		if (function == NULL)
			return caisson_refuse(
				err, ENOPKG, "%s has no %s", LIBRARY, functions[i].name);
		memcpy((char *)ret_api + functions[i].offset, &function, sizeof(function));
	}
	return 0;
}
