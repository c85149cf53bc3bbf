/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a kernel's image says about itself: bzImage (Documentation/arch/x86/boot.rst) or vmlinux. */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/release.h"

enum kernel_image_form {
	KERNEL_IMAGE_BZIMAGE,
	KERNEL_IMAGE_VMLINUX,
};

struct kernel_image {
	enum kernel_image_form form;
	char release[KERNEL_RELEASE_SIZE]; /* empty when a vmlinux was not searched for it */
	uint64_t size;                     /* of the file */
	/* Of a bzImage, 0 when it is too old to say (protocol before 2.08): the compressed vmlinux.
	 */
	uint64_t payload_offset;
	uint64_t payload_size;
};

/* Reads the form of @fd and, of a bzImage, its header. -ENOEXEC when it is no kernel. */
int kernel_image_read(
	int fd, const char *what, struct kernel_image *ret_image, struct caisson_error *err);
/* The compressed stream in a bzImage. */
struct kernel_payload {
	uint64_t offset, size;
	uint32_t said; /* how many bytes come out, by what stands behind the stream */
};

/* -EBADMSG when there is none. */
int kernel_image_payload(int fd, const struct kernel_image *image, const char *what,
	struct kernel_payload *ret_payload, struct caisson_error *err);
/* Fills in the release of a vmlinux by searching for its "Linux version" banner. */
int kernel_image_find_release(
	int fd, const char *what, struct kernel_image *image, struct caisson_error *err);
/* Whether the ELF in @fd can be started through PVH: 1 or 0; -ENOEXEC when it is no x86-64 ELF
   file, or its headers lie. */
int kernel_image_has_pvh(int fd, const char *what, struct caisson_error *err);
