/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <lzma.h>

#include "base/bytes.h"
#include "kernel/packed.h"

enum { CHUNK = 256 << 10 };

/* Dictionaries of xz -9 are 64 MiB. */
#define MEMORY_MOST (1ull << 30)

static void lzma_endp(lzma_stream *lzma)
{
	lzma_end(lzma);
}

static void free_options(lzma_filter *filters)
{
	for (size_t i = 0; filters[i].id != LZMA_VLI_UNKNOWN; i++)
		free(filters[i].options);
}

/* The kernel's lib/xz knows LZMA2 behind branch filters, which are options of its own. */
static void block_facts(struct packed *stream, const uint8_t *header)
{
	lzma_filter filters[LZMA_FILTERS_MAX + 1] = {{LZMA_VLI_UNKNOWN, NULL}};
	lzma_block block = {.version = 1, .filters = filters};

	block.check = (lzma_check)(stream->data[7] & 0x0f);
	block.header_size = lzma_block_header_size_decode(header[0]);
	if (header[0] == 0 || block.header_size > stream->size - LZMA_STREAM_HEADER_SIZE ||
		lzma_block_header_decode(&block, NULL, header) != LZMA_OK)
		return;
	for (size_t i = 0; filters[i].id != LZMA_VLI_UNKNOWN; i++) {
		if (filters[i].id == LZMA_FILTER_LZMA2)
			stream->facts.window = ((lzma_options_lzma *)filters[i].options)->dict_size;
		else if (filters[i].id == LZMA_FILTER_DELTA)
			stream->facts.refused = "its xz stream uses the delta filter";
	}
	free_options(filters);
}

/* The .xz file format, section 2.1.1. */
static void xz_facts(struct packed *stream)
{
	unsigned int check;

	if (stream->size <= LZMA_STREAM_HEADER_SIZE)
		return;
	check = stream->data[7] & 0x0f;
	stream->facts.check = check == LZMA_CHECK_NONE     ? "none"
			      : check == LZMA_CHECK_CRC32  ? "crc32"
			      : check == LZMA_CHECK_CRC64  ? "crc64"
			      : check == LZMA_CHECK_SHA256 ? "sha256"
							   : "unknown";
	block_facts(stream, stream->data + LZMA_STREAM_HEADER_SIZE);
	if (check != LZMA_CHECK_NONE && check != LZMA_CHECK_CRC32)
		stream->facts.refused = "its xz check is not CRC32 (xz --check=crc32)";
}

static const char *why(lzma_ret status)
{
	switch (status) {
	case LZMA_BUF_ERROR:
		return "it is cut";
	case LZMA_FORMAT_ERROR:
		return "its header is damaged";
	case LZMA_OPTIONS_ERROR:
		return "it uses something that is not known";
	case LZMA_MEMLIMIT_ERROR:
		return "it wants more than 1 GiB of memory";
	default:
		return "it is damaged";
	}
}

int packed_read_lzma(struct packed *stream, struct caisson_error *err)
{
	_cleanup_(lzma_endp) lzma_stream lzma = LZMA_STREAM_INIT;
	lzma_ret status;

	if (stream->facts.form == PACKED_XZ) {
		xz_facts(stream);
		status = lzma_stream_decoder(&lzma, MEMORY_MOST, 0);
	} else {
		if (stream->size >= 5)
			stream->facts.window = get_le32(stream->data + 1);
		status = lzma_alone_decoder(&lzma, MEMORY_MOST);
	}
	if (status != LZMA_OK)
		return caisson_fail(err, ENOMEM, "uncompress %s", stream->what);
	lzma.next_in = stream->data;
	lzma.avail_in = stream->size;
	while (status != LZMA_STREAM_END) {
		int r;

		lzma.next_out = packed_room(stream, CHUNK, err);
		if (lzma.next_out == NULL)
			return -ENOMEM;
		lzma.avail_out = CHUNK;
		/* An lzma stream of known size has no mark of its end. */
		status = lzma_code(&lzma, LZMA_RUN);
		if (status == LZMA_MEM_ERROR)
			return caisson_fail(err, ENOMEM, "uncompress %s", stream->what);
		if (status != LZMA_OK && status != LZMA_STREAM_END)
			return packed_damaged(stream, why(status), err);
		r = packed_commit(stream, CHUNK - lzma.avail_out, err);
		if (r < 0)
			return r;
	}
	stream->used = stream->size - lzma.avail_in;
	return 0;
}
