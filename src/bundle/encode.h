/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The compressions that libarchive writes otherwise than the kernel reads them: xz with CRC32 alone
 * (Documentation/staging/xz.rst), and LZ4's legacy frames (lib/decompress_unlz4.c).
 */
#pragma once

#include <caisson/error.h>
#include <stddef.h>

#include "base/macros.h"

enum encode_kind {
	ENCODE_NONE,
	ENCODE_XZ,
	ENCODE_LZ4,
};

struct encoder;

/* Writes to @fd. @what names it in errors. */
int encoder_new(struct encoder **ret_encoder, enum encode_kind kind, int fd, const char *what,
	struct caisson_error *err);
int encoder_add(struct encoder *encoder, const void *data, size_t size, struct caisson_error *err);
int encoder_finish(struct encoder *encoder, struct caisson_error *err);
void encoder_free(struct encoder *encoder);
DEFINE_CLEANUP(struct encoder *, encoder_free);
