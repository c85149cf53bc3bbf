/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest.json: what one machine's guest is to do, written by the host, read by PID 1. */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/strbuf.h"

#define GUEST_CONFIG_PATH    "/etc/caisson/guest.json"
#define GUEST_CONFIG_VERSION 1
#define GUEST_CONFIG_MOST    (1 << 20) /* bytes of text */
#define GUEST_VOLUMES_MOST   16
#define GUEST_SECRET_SIZE    32

struct guest_volume {
	char *name;   /* as name_valid() has it */
	char *serial; /* of the virtio disk */
	char *mount;  /* absolute path in the workload's root; "/": its writable layer lives here */
	bool read_only;
};

struct guest_config {
	char *machine; /* name, also the host name */
	char *image;   /* digest: names the writable layer's lower side */
	char *image_serial;
	unsigned int vsock_port, vsock_key_port; /* 0: virtio-serial */
	/* Hexadecimal; proves this start to the key service. NULL without volumes. Wiped by
	   guest_config_done(). */
	char *secret;
	struct guest_volume *volumes;
	size_t volume_count;
	bool network; /* QEMU user networking's fixed addresses */

	struct strv argv;
	struct strv environment;
	char *directory;
	char *user; /* "", "UID[:GID]" or "NAME[:GROUP]" */
	bool terminal;
	bool interactive; /* standard input comes from the host; else it is /dev/null */
	unsigned int rows, columns;
};

#define GUEST_CONFIG_NONE ((struct guest_config){.machine = NULL})

int guest_config_write(
	const struct guest_config *config, struct strbuf *text, struct caisson_error *err);
/* Refuses what guest_config_write() would not have written: unknown version, relative paths, too
   many volumes, names that are no names. */
int guest_config_read(
	const char *text, size_t size, struct guest_config *ret_config, struct caisson_error *err);
void guest_config_done(struct guest_config *config);

#define _cleanup_guest_config_ _cleanup_(guest_config_done)
