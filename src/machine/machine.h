/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Machines: machines/NAME in the state directory is one run of a workload. Its folder is locked
 * (flock) while it lives; one without a lock that has not recorded its end was killed, and the next
 * command removes it.
 */
#pragma once

#include <caisson/machine.h>

#include "base/state.h"
#include "base/strbuf.h"
#include "boot/initramfs.h"

/* One folder. */
struct machine_folder {
	char *path;
	char *name;
	int lock;
};

#define MACHINE_FOLDER_NONE ((struct machine_folder){NULL, NULL, -1})

/* Makes the folder of a machine called @name, or, when @name is NULL, of a fresh name that starts
   with
   @prefix. -EEXIST when a machine of that name is there. */
int machine_folder_new(const struct state *state, const char *name, const char *prefix,
	struct machine_folder *ret_folder, struct caisson_error *err);
/* Records how the machine ended, or removes the folder. */
int machine_folder_end(
	struct machine_folder *folder, int status, bool remove, struct caisson_error *err);
void machine_folder_done(struct machine_folder *folder);
/* Removes the folders of machines that were killed, and the oldest of those that have ended. */
void machine_sweep(const struct state *state);

#define _cleanup_machine_folder_ _cleanup_(machine_folder_done)

/* What goes into the boot archive of a machine. */
enum guest_needs {
	GUEST_PLAIN,     /* PID 1 */
	GUEST_VOLUMES,   /* and caisson-unlock and e2fsck */
	GUEST_FIRSTBOOT, /* and caisson-format and mke2fs */
};

#define GUEST_PROGRAMS_MOST 4
struct guest_programs {
	struct strv sources;
	struct initramfs_program items[GUEST_PROGRAMS_MOST]; /* as many as sources */
	const struct initramfs_link *links;
	size_t link_count;
};

/* @folder holds one form of the guest: the static one if caisson-guest is there. */
int guest_programs_find(const char *folder, enum guest_needs needs,
	struct guest_programs *ret_programs, struct caisson_error *err);
void guest_programs_use(const struct guest_programs *programs, struct initramfs_recipe *recipe);
void guest_programs_done(struct guest_programs *programs);

#define _cleanup_guest_programs_ _cleanup_(guest_programs_done)

int machine_run(const struct state *state, const struct caisson_log *log,
	const struct caisson_machine_options *options, int *ret_status, struct caisson_error *err);
