/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * caisson-init: PID 1 of a machine. One process, one poll loop, no threads. It never sees a
 * volume's key: caisson-unlock (unlock.c), a child of it, does the key exchange and opens the
 * volumes, so that a crash in that code is a sentence on the host's terminal and not a kernel
 * panic.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/strbuf.h"
#include "wire/guest_config.h"

/* Where the workload's root is put together, and the lower side of its overlay. */
#define GUEST_ROOT  "/newroot"
#define GUEST_IMAGE "/run/image"

struct guest {
	struct guest_config config;
	int uevents;       /* netlink socket of kernel uevents */
	int channel;       /* to the host; -1 until it is open */
	struct strbuf out; /* what has still to go to the host */
	struct strbuf in;  /* what came from it and is not a whole frame yet */
};

/* mounts.c */
int guest_mount_early(struct caisson_error *err);
int guest_mount_root(struct guest *guest, const char *layer, struct caisson_error *err);
int guest_mount_system(struct guest *guest, struct caisson_error *err);
/* Opens @path, made when missing, as the workload will see it: no link leads out of its root. */
int guest_root_directory(const char *path, mode_t mode, struct caisson_error *err);
int guest_root_open(const char *path, int flags, mode_t mode, struct caisson_error *err);

/* modules.c */
int guest_load_modules(struct caisson_error *err);

/* devices.c */
int guest_open_uevents(struct caisson_error *err);
/* Waits until a block device with this virtio serial is there; "/dev/vda". */
int guest_wait_disk(int uevents, const char *serial, char **ret_path, struct caisson_error *err);
/* Waits until the virtio-serial port of this name is there and opens it. */
int guest_wait_port(int uevents, const char *name, struct caisson_error *err);

/* channel.c */
/* Opens a channel to the host: the port called @name, or vsock @port when that is not 0. */
int guest_channel_open(int uevents, const char *name, unsigned int port, struct caisson_error *err);
/* Queues a frame for the host. */
void guest_send(struct guest *guest, uint8_t type, const void *payload, size_t size);
/* Writes what is queued, waiting as long as it takes. Fails when the host is gone. */
int guest_flush(struct guest *guest);

/* network.c */
int guest_network_up(bool ethernet, struct caisson_error *err);
int guest_network_files(const struct guest_config *config, struct caisson_error *err);

/* volumes.c */
int guest_volumes_open(struct guest *guest, struct caisson_error *err);
int guest_volumes_mount(struct guest *guest, struct caisson_error *err);
/* Mounts the volume that holds the writable layer, if there is one; *ret_layer is then its folder.
 */
int guest_volumes_mount_layer(struct guest *guest, char **ret_layer, struct caisson_error *err);
/* Unmounts, closes, syncs. */
int guest_volumes_close(struct guest *guest, struct caisson_error *err);

/* account.c */
struct account {
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t group_count;
	char *home; /* never NULL */
	char *name; /* NULL for a number that no account has */
};

/* Resolves "", "UID", "UID:GID", "NAME", "NAME:GROUP" with the texts of passwd(5) and group(5),
   which may be empty. Numbers need no account; names do. */
int account_resolve(const char *user, const char *passwd, size_t passwd_size, const char *group,
	size_t group_size, struct account *ret_account, struct caisson_error *err);
void account_done(struct account *account);
#define _cleanup_account_ _cleanup_(account_done)

/* workload.c */
struct workload {
	pid_t pid;
	int input;  /* to its standard input, or the terminal's master; -1 */
	int output; /* from its standard output, or the terminal's master; -1 */
	int error;  /* from its standard error; -1 with a terminal */
	bool terminal;
};

/* *ret_status: 126 or 127 as a shell has it when the command cannot be run. */
int workload_start(struct guest *guest, struct workload *ret_workload, int *ret_status,
	struct caisson_error *err);
void workload_window(struct workload *workload, unsigned int rows, unsigned int columns);

/* relay.c */
/* Carries bytes and signals until the workload has ended and all that it wrote has gone out.
   Returns its status as a shell gives it, or a negative errno. */
int relay_run(struct guest *guest, struct workload *workload, struct caisson_error *err);
