/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames on a byte stream between host and guest (virtio-serial or vsock), each way:
 *
 *   u32 payload size, little-endian | u8 type | payload
 *
 * Both sides are strangers to each other: a size above the bound ends the conversation.
 */
#pragma once

#include <caisson/error.h>
#include <stdint.h>

#include "base/strbuf.h"

#define FRAME_HEADER_SIZE  5
#define FRAME_PAYLOAD_MOST 65536

struct frame {
	uint8_t type;
	const uint8_t *payload; /* points into the buffer: valid until that changes */
	uint32_t size;
};

/* Appends one frame to @buffer. -EMSGSIZE above the bound, -ENOMEM. */
int frame_put(struct strbuf *buffer, uint8_t type, const void *payload, size_t size);
/* Looks at the front of @buffer: 1 and the frame, 0 when it is not all there yet, or -EMSGSIZE. */
int frame_peek(const struct strbuf *buffer, struct frame *ret_frame, struct caisson_error *err);
/* Drops the frame that frame_peek() found. */
void frame_drop(struct strbuf *buffer, const struct frame *frame);
