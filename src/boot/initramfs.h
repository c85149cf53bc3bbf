/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The boot archive: guest programs with their closures, kernel modules in load order. The base
 * archive holds nothing of one machine and is kept by the content of its inputs; what is one
 * machine's own (guest.json) is a second archive, concatenated behind it.
 */
#pragma once

#include <caisson/error.h>
#include <caisson/log.h>

#include "base/state.h"
#include "base/strbuf.h"
#include "boot/compress.h"
#include "boot/modules_list.h"
#include "boot/spec.h"
#include "kernel/kernel.h"

/* Files with updates for a processor, in the forms of intel-ucode and amd-ucode. */
struct initramfs_microcode {
	const char *const *intel;
	size_t intel_count;
	const char *const *amd;
	size_t amd_count;
};

/* A program to bring along: read at @source, found in the guest at @path. */
struct initramfs_program {
	const char *source; /* on this machine */
	const char *path;   /* in the archive, absolute; NULL: where it stands on this machine */
	const char *why;    /* NULL: not told */
};

/* A link in the archive: another name of a program that goes by several. */
struct initramfs_link {
	const char *path, *target;
};

struct initramfs_recipe {
	const struct kernel *kernel;
	unsigned int features; /* enum kernel_feature: which modules */
	const struct initramfs_program *programs;
	size_t program_count;
	const struct initramfs_link *links;
	size_t link_count;
	const struct spec *spec;    /* what is wanted beside; NULL: nothing */
	const char *root;           /* that the spec's programs are in; NULL: this machine's */
	enum closure_dlopen dlopen; /* of all programs */
	enum compression compression;
	int level;            /* as in a compression_choice: 0 for the kind's default */
	unsigned int threads; /* 0: as many as there are processors; they change no byte */
	uint32_t time;        /* of every entry, in seconds since 1970 */
	const struct initramfs_microcode *microcode; /* in front, uncompressed; NULL: none */
};

/*
 * Gives the path of the base archive for @recipe in the state directory, building it when no
 * archive of these inputs is there. The key covers every input's path, size, modification time and
 * inode (so that a hit costs stat() calls alone) and this program's version.
 */
int initramfs_base(const struct state *state, const struct initramfs_recipe *recipe,
	const struct caisson_log *log, char **ret_path, struct caisson_error *err);
/* Builds @recipe into @fd, from its start. The same inputs give the same bytes. */
int initramfs_build(const struct initramfs_recipe *recipe, int fd, const struct caisson_log *log,
	struct caisson_error *err);
/* One entry, and why it is there. Folders are not told. */
struct initramfs_reason {
	const char *path; /* without a leading slash */
	uint64_t size;    /* bytes, uncompressed */
	const char *by;   /* path of the entry that wants it; NULL: none */
	const char *why;  /* NULL: not told */
};
/* Calls @each for every entry that @recipe comes to; nothing is written. */
int initramfs_explain(const struct initramfs_recipe *recipe,
	int (*each)(const struct initramfs_reason *reason, void *userdata), void *userdata,
	struct caisson_error *err);
/* Appends to @buffer the small archive with one machine's configuration, as the file
   /etc/caisson/guest.json, mode 0600. */
int initramfs_machine_archive(
	const void *config, size_t size, struct strbuf *buffer, struct caisson_error *err);
