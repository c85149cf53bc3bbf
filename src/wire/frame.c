/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/frame.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "base/bytes.h"

int frame_put(struct strbuf *buffer, uint8_t type, const void *payload, size_t size)
{
	uint8_t header[FRAME_HEADER_SIZE];
	uint32_t little;

	if (size > FRAME_PAYLOAD_MOST)
		return -EMSGSIZE;
	little = htole32((uint32_t)size);
	memcpy(header, &little, sizeof(little));
	header[4] = type;
	strbuf_add(buffer, header, sizeof(header));
	strbuf_add(buffer, payload, size);
	return strbuf_ok(buffer) ? 0 : -ENOMEM;
}

int frame_peek(const struct strbuf *buffer, struct frame *ret_frame, struct caisson_error *err)
{
	const uint8_t *data = (const uint8_t *)buffer->data;
	uint32_t size;

	if (buffer->size < FRAME_HEADER_SIZE)
		return 0;
	size = get_le32(data);
	if (size > FRAME_PAYLOAD_MOST)
		return caisson_refuse(err, EMSGSIZE, "a message claims to be %u bytes long", size);
	if (buffer->size < FRAME_HEADER_SIZE + (size_t)size)
		return 0;
	*ret_frame =
		(struct frame){.type = data[4], .payload = data + FRAME_HEADER_SIZE, .size = size};
	return 1;
}

void frame_drop(struct strbuf *buffer, const struct frame *frame)
{
	strbuf_consume(buffer, FRAME_HEADER_SIZE + frame->size);
}
