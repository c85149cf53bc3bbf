/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * caisson-e2io.so, preloaded into e2fsck, resize2fs, mke2fs, debugfs and tune2fs: another
 * unix_io_manager in place of libext2fs's, which has the blocks of the one device it knows from an
 * NBD server at the other end of an inherited socket. So they work on a filesystem that is no file
 * and no device anywhere.
 *
 * CAISSON_NBD_FD: the socket's number; the client begins with requests.
 * CAISSON_NBD_NAME: what the programs call the device. Other names are refused.
 *
 * Blocks are kept in a write-back cache for all channels, which io_channel_flush() and closing
 * write out. One thread: libext2fs uses several only with managers that say they can.
 */
#include <endian.h>
#include <errno.h>
#include <ext2fs/ext2fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "attach/nbd.h"

#define LINE_SIZE  65536u
#define UNIT_SIZE  1024u /* what one bit of a line's masks stands for */
#define WAYS       4u
#define SETS       64u
#define NO_LINE    UINT64_MAX
#define WHOLE_LINE UINT64_MAX
#define ZEROS_MOST (1u << 30)

_Static_assert(LINE_SIZE / UNIT_SIZE == 64, "a mask is 64 bits");

/* A piece of the device. Units that are dirty are valid, too. */
struct line {
	uint64_t number; /* its offset / LINE_SIZE; NO_LINE: empty */
	uint64_t valid;
	uint64_t dirty;
	uint64_t used; /* a clock: the smallest of a set is reused */
	uint8_t *data;
};

static struct {
	int socket;
	uint64_t size;
	uint64_t cookie;
	uint64_t clock;
	struct line lines[SETS][WAYS];
	struct struct_io_stats stats;
} device = {.socket = -1};

/* Requests */

static errcode_t send_request(struct nbd_request *request, const void *data, size_t size)
{
	struct iovec parts[2] = {{request, sizeof(*request)}, {(void *)data, size}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

	while (parts[0].iov_len + parts[1].iov_len > 0) {
		ssize_t n = sendmsg(device.socket, &message, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		for (int i = 0; i < 2; i++) {
			size_t gone = (size_t)n < parts[i].iov_len ? (size_t)n : parts[i].iov_len;

			parts[i].iov_base = (uint8_t *)parts[i].iov_base + gone;
			parts[i].iov_len -= gone;
			n -= (ssize_t)gone;
		}
	}
	return 0;
}

static errcode_t receive(void *data, size_t size)
{
	uint8_t *to = data;

	while (size > 0) {
		ssize_t n = recv(device.socket, to, size, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : EIO;
		to += n;
		size -= (size_t)n;
	}
	return 0;
}

/* The numbers of NBD's errors are Linux's. */
static errcode_t ask(enum nbd_command command, uint64_t offset, uint32_t length, const void *data,
	void *ret_data)
{
	struct nbd_request request = {
		.magic = htobe32(NBD_REQUEST_MAGIC),
		.type = htobe16((uint16_t)command),
		.cookie = ++device.cookie,
		.offset = htobe64(offset),
		.length = htobe32(length),
	};
	struct nbd_simple_reply reply;
	errcode_t error = send_request(&request, data, data != NULL ? length : 0);

	if (error == 0)
		error = receive(&reply, sizeof(reply));
	if (error != 0)
		return error;
	if (be32toh(reply.magic) != NBD_SIMPLE_MAGIC || reply.cookie != request.cookie)
		return EIO;
	if (reply.error != 0)
		return be32toh(reply.error);
	return ret_data != NULL ? receive(ret_data, length) : 0;
}

/* The cache */

static uint64_t line_start(const struct line *line)
{
	return line->number * LINE_SIZE;
}

/* The device may end within it. */
static uint32_t line_size(const struct line *line)
{
	uint64_t left = device.size - line_start(line);

	return left < LINE_SIZE ? (uint32_t)left : LINE_SIZE;
}

/* Bits of the units that bytes [from, to) touch. */
static uint64_t units_of(uint32_t from, uint32_t to)
{
	uint32_t first = from / UNIT_SIZE, end = (to + UNIT_SIZE - 1) / UNIT_SIZE;
	uint64_t below = end == 64 ? WHOLE_LINE : (1ull << end) - 1;

	return below & (WHOLE_LINE << first);
}

static errcode_t write_line(struct line *line)
{
	uint32_t size = line_size(line);

	for (uint32_t unit = 0, end; unit < 64 && line->dirty != 0; unit = end) {
		uint32_t from = unit * UNIT_SIZE, to;
		errcode_t error;

		end = unit + 1;
		if ((line->dirty >> unit & 1) == 0)
			continue;
		while (end < 64 && (line->dirty >> end & 1) != 0)
			end++;
		to = end * UNIT_SIZE < size ? end * UNIT_SIZE : size;
		error = ask(
			NBD_CMD_WRITE, line_start(line) + from, to - from, line->data + from, NULL);
		if (error != 0)
			return error;
		line->dirty &= ~units_of(from, end * UNIT_SIZE);
	}
	return 0;
}

/* Reads what is not there yet. */
static errcode_t fill_line(struct line *line)
{
	static uint8_t data[LINE_SIZE];
	uint32_t size = line_size(line);
	errcode_t error = ask(
		NBD_CMD_READ, line_start(line), size, NULL, line->valid == 0 ? line->data : data);

	if (error != 0)
		return error;
	device.stats.bytes_read += size;
	if (line->valid != 0) {
		for (uint32_t unit = 0; unit < 64; unit++) {
			if ((line->valid >> unit & 1) == 0)
				memcpy(line->data + unit * UNIT_SIZE, data + unit * UNIT_SIZE,
					UNIT_SIZE);
		}
	}
	line->valid = WHOLE_LINE;
	return 0;
}

static errcode_t find_line(uint64_t number, struct line **ret_line)
{
	struct line *set = device.lines[number % SETS], *line = &set[0];
	errcode_t error;

	for (uint32_t i = 0; i < WAYS; i++) {
		if (set[i].number == number) {
			set[i].used = ++device.clock;
			*ret_line = &set[i];
			return 0;
		}
		if (set[i].used < line->used)
			line = &set[i];
	}
	if (line->data == NULL)
		line->data = malloc(LINE_SIZE);
	if (line->data == NULL)
		return ENOMEM;
	error = line->number != NO_LINE ? write_line(line) : 0;
	if (error != 0)
		return error;
	line->number = number;
	line->valid = line->dirty = 0;
	line->used = ++device.clock;
	*ret_line = line;
	return 0;
}

/* One line's share of a range. */
static errcode_t in_line(uint64_t offset, size_t size, struct line **ret_line, uint32_t *ret_from,
	uint32_t *ret_part)
{
	*ret_from = (uint32_t)(offset % LINE_SIZE);
	*ret_part = size < LINE_SIZE - *ret_from ? (uint32_t)size : LINE_SIZE - *ret_from;
	return find_line(offset / LINE_SIZE, ret_line);
}

static errcode_t read_bytes(uint64_t offset, uint8_t *data, size_t size)
{
	if (offset > device.size || size > device.size - offset)
		return EXT2_ET_SHORT_READ;
	while (size > 0) {
		struct line *line;
		uint32_t from, part;
		errcode_t error = in_line(offset, size, &line, &from, &part);

		if (error == 0 && (units_of(from, from + part) & ~line->valid) != 0)
			error = fill_line(line);
		if (error != 0)
			return error;
		memcpy(data, line->data + from, part);
		offset += part;
		data += part;
		size -= part;
	}
	return 0;
}

/* Parts of units need what is around them. */
static bool whole_units(const struct line *line, uint32_t from, uint32_t to)
{
	return from % UNIT_SIZE == 0 && (to % UNIT_SIZE == 0 || to == line_size(line));
}

static errcode_t write_bytes(uint64_t offset, const uint8_t *data, size_t size)
{
	if (offset > device.size || size > device.size - offset)
		return ENOSPC;
	device.stats.bytes_written += size;
	while (size > 0) {
		struct line *line;
		uint32_t from, part;
		uint64_t units;
		errcode_t error = in_line(offset, size, &line, &from, &part);

		if (error != 0)
			return error;
		units = units_of(from, from + part);
		if (!whole_units(line, from, from + part) && (units & ~line->valid) != 0)
			error = fill_line(line);
		if (error != 0)
			return error;
		memcpy(line->data + from, data, part);
		line->valid |= units;
		line->dirty |= units;
		offset += part;
		data += part;
		size -= part;
	}
	return 0;
}

static errcode_t write_out(void)
{
	errcode_t error = 0;

	for (uint32_t set = 0; set < SETS; set++) {
		for (uint32_t way = 0; way < WAYS && error == 0; way++) {
			if (device.lines[set][way].dirty != 0)
				error = write_line(&device.lines[set][way]);
		}
	}
	return error;
}

static void forget_line(struct line *line)
{
	line->number = NO_LINE;
	line->valid = line->dirty = line->used = 0;
}

/* Writes and forgets what is kept of a range, before something else is done with it. */
static errcode_t let_go(uint64_t offset, uint64_t length)
{
	for (uint32_t i = 0; i < SETS * WAYS; i++) {
		struct line *line = &device.lines[i / WAYS][i % WAYS];
		errcode_t error;

		if (line->number == NO_LINE || line_start(line) >= offset + length ||
			line_start(line) + LINE_SIZE <= offset)
			continue;
		error = write_line(line);
		if (error != 0)
			return error;
		forget_line(line);
	}
	return 0;
}

/* Other commands go past the cache. */
static errcode_t go_past(enum nbd_command command, uint64_t offset, uint64_t length)
{
	errcode_t error;

	if (offset > device.size || length > device.size - offset)
		return ENOSPC;
	error = let_go(offset, length);
	while (error == 0 && length > 0) {
		uint32_t part = length < ZEROS_MOST ? (uint32_t)length : ZEROS_MOST;

		error = ask(command, offset, part, NULL, NULL);
		offset += part;
		length -= part;
	}
	return error;
}

/* What libext2fs calls */

static struct struct_io_manager manager;

static errcode_t find_device(const char *name)
{
	const char *known = getenv("CAISSON_NBD_NAME"), *number = getenv("CAISSON_NBD_FD");
	blk64_t blocks = 0;
	errcode_t error;

	if (known == NULL || number == NULL || strcmp(name, known) != 0)
		return ENOENT;
	if (device.socket >= 0)
		return 0;
	error = ext2fs_get_device_size2(known, 512, &blocks);
	if (error != 0)
		return error;
	device.size = (uint64_t)blocks * 512;
	device.stats.num_fields = 2;
	for (uint32_t i = 0; i < SETS * WAYS; i++)
		forget_line(&device.lines[i / WAYS][i % WAYS]);
	device.socket = atoi(number);
	return 0;
}

static errcode_t e2io_open(const char *name, int flags, io_channel *ret_channel)
{
	io_channel channel;
	errcode_t error;

	(void)flags; /* who serves the blocks knows whether they may be written */
	if (name == NULL)
		return EXT2_ET_BAD_DEVICE_NAME;
	error = find_device(name);
	if (error != 0)
		return error;
	channel = calloc(1, sizeof(*channel));
	if (channel == NULL)
		return EXT2_ET_NO_MEMORY;
	channel->name = strdup(name);
	if (channel->name == NULL) {
		free(channel);
		return EXT2_ET_NO_MEMORY;
	}
	channel->magic = EXT2_ET_MAGIC_IO_CHANNEL;
	channel->manager = &manager;
	channel->block_size = 1024;
	channel->refcount = 1;
	*ret_channel = channel;
	return 0;
}

static errcode_t e2io_flush(io_channel channel)
{
	errcode_t error = write_out();

	(void)channel;
	return error != 0 ? error : ask(NBD_CMD_FLUSH, 0, 0, NULL, NULL);
}

static errcode_t e2io_close(io_channel channel)
{
	errcode_t error;

	if (--channel->refcount > 0)
		return 0;
	error = write_out();
	free(channel->name);
	free(channel);
	return error;
}

static errcode_t e2io_set_blksize(io_channel channel, int size)
{
	channel->block_size = size;
	return 0;
}

/* A negative count is of bytes. */
static size_t byte_count(io_channel channel, int count)
{
	return count < 0 ? (size_t) - (int64_t)count : (size_t)count * (size_t)channel->block_size;
}

static errcode_t e2io_read64(io_channel channel, unsigned long long block, int count, void *data)
{
	size_t size = byte_count(channel, count);
	errcode_t error = read_bytes(block * (unsigned int)channel->block_size, data, size);

	if (error != 0 && channel->read_error != NULL)
		return channel->read_error(
			channel, (unsigned long)block, count, data, size, 0, error);
	return error;
}

static errcode_t e2io_read(io_channel channel, unsigned long block, int count, void *data)
{
	return e2io_read64(channel, block, count, data);
}

static errcode_t e2io_write64(
	io_channel channel, unsigned long long block, int count, const void *data)
{
	size_t size = byte_count(channel, count);
	errcode_t error = write_bytes(block * (unsigned int)channel->block_size, data, size);

	if (error != 0 && channel->write_error != NULL)
		return channel->write_error(
			channel, (unsigned long)block, count, data, size, 0, error);
	return error;
}

static errcode_t e2io_write(io_channel channel, unsigned long block, int count, const void *data)
{
	return e2io_write64(channel, block, count, data);
}

static errcode_t e2io_write_byte(
	io_channel channel, unsigned long offset, int count, const void *data)
{
	(void)channel;
	return count < 0 ? EINVAL : write_bytes(offset, data, (size_t)count);
}

static errcode_t e2io_set_option(io_channel channel, const char *option, const char *argument)
{
	(void)channel;
	(void)argument;
	return strcmp(option, "cache") == 0 ? 0 : EXT2_ET_INVALID_ARGUMENT;
}

static errcode_t e2io_get_stats(io_channel channel, io_stats *ret_stats)
{
	(void)channel;
	if (ret_stats != NULL)
		*ret_stats = &device.stats;
	return 0;
}

static errcode_t e2io_discard(
	io_channel channel, unsigned long long block, unsigned long long count)
{
	uint64_t size = (uint64_t)channel->block_size;

	return go_past(NBD_CMD_TRIM, block * size, count * size);
}

static errcode_t e2io_zeroout(
	io_channel channel, unsigned long long block, unsigned long long count)
{
	uint64_t size = (uint64_t)channel->block_size;

	return go_past(NBD_CMD_WRITE_ZEROES, block * size, count * size);
}

static errcode_t e2io_readahead(
	io_channel channel, unsigned long long block, unsigned long long count)
{
	(void)channel;
	(void)block;
	(void)count;
	return EXT2_ET_OP_NOT_SUPPORTED;
}

static struct struct_io_manager manager = {
	.magic = EXT2_ET_MAGIC_IO_MANAGER,
	.name = "caisson I/O manager",
	.open = e2io_open,
	.close = e2io_close,
	.set_blksize = e2io_set_blksize,
	.read_blk = e2io_read,
	.write_blk = e2io_write,
	.flush = e2io_flush,
	.write_byte = e2io_write_byte,
	.set_option = e2io_set_option,
	.get_stats = e2io_get_stats,
	.read_blk64 = e2io_read64,
	.write_blk64 = e2io_write64,
	.discard = e2io_discard,
	.cache_readahead = e2io_readahead,
	.zeroout = e2io_zeroout,
};

__attribute__((visibility("default"))) io_manager unix_io_manager = &manager;
