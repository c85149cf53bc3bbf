/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What one run of a workload is made of, and the steps that make it; run.c puts them in order. */
#pragma once

#include <caisson/log.h>
#include <caisson/machine.h>

#include "base/state.h"
#include "image/image.h"
#include "kernel/kernel.h"
#include "key/service.h"
#include "machine/machine.h"
#include "machine/qemu.h"
#include "wire/guest_config.h"

/* How the guest tells the image's disk from the others. */
#define IMAGE_SERIAL "caisson-image"

struct start {
	const struct state *state;
	const struct caisson_log *log;
	const struct caisson_machine_options *options;

	struct image image;
	struct kernel kernel;
	struct machine_folder folder;
	struct key_service *keys;
	struct guest_config config;
	struct qemu_machine machine;
	unsigned int features;

	char *initramfs_path, *kernel_path, *command_line;
	int kernel_fd, initramfs, image_fd, console_log, qemu_log;
	/* Ours and QEMU's end of each. */
	int console[2], channel[2], key_channel[2];
	int listener, key_listener, vhost_vsock;
	int volume_fds[GUEST_VOLUMES_MOST];    /* the locks */
	int read_only_fds[GUEST_VOLUMES_MOST]; /* of those that QEMU must not write to */
	uint64_t began;
};

/* options.c */
int start_check_options(const struct caisson_machine_options *options, struct caisson_error *err);

/* Whether a volume's path is that of the whole root, however it is written: "/", "//". */
bool start_is_root(const char *path);

/* system.c: the kernel, the boot archive and how they are run */
int start_choose_kernel(struct start *start, struct caisson_error *err);
int start_choose_accelerator(struct start *start, struct caisson_error *err);
int start_open_kernel(struct start *start, struct caisson_error *err);
int start_make_base(struct start *start, struct caisson_error *err);
int start_make_command_line(struct start *start, struct caisson_error *err);

/* workload.c: what the guest is told */
int start_set_workload(struct start *start, struct caisson_error *err);
int start_describe_guest(struct start *start, struct caisson_error *err);
/* The base archive and the machine's own, one behind the other, in memory alone: the second holds
   the start's secret. */
int start_assemble_initramfs(struct start *start, struct caisson_error *err);

/* disks.c: the image and the volumes */
int start_open_image(struct start *start, struct caisson_error *err);
int start_open_volumes(struct start *start, struct caisson_error *err);
