/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One client: what it negotiates, and its requests, one after the other. */
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "attach/nbd.h"
#include "attach/nbd_server.h"
#include "base/io.h"

#define NEGOTIATION_USEC 10000000ull
#define OPTIONS_MOST     64
#define OPTION_SIZE_MOST 8192 /* a name has 4096 at most */
/* What a connection has at once of a request's data, however long that is: with all that there may
   be it is 32 MiB, and none waits for what another holds. */
#define PIECE_MOST (2u << 20)
/* Between pieces of what has no data it is seen that the server stops. */
#define ZEROS_PIECE   (UINT64_C(4) << 20)
#define DISCARD_PIECE (UINT64_C(256) << 20)

struct connection {
	struct blocks *blocks;
	const struct nbd_options *options;
	int socket;
	uint64_t deadline; /* of the negotiation; 0: none any more */
	bool no_zeroes;
	uint8_t *buffer; /* PIECE_MOST; NULL: none was needed yet */
};

static bool wait_for(struct connection *connection, short events)
{
	struct pollfd polled = {.fd = connection->socket, .events = events};

	for (;;) {
		uint64_t now = now_usec();
		int r;

		if (now >= connection->deadline)
			return false;
		r = poll(&polled, 1, (int)((connection->deadline - now) / 1000) + 1);
		if (r > 0)
			return true;
		if (r < 0 && errno != EINTR)
			return false;
	}
}

static bool receive(struct connection *connection, void *data, size_t size)
{
	uint8_t *to = data;

	while (size > 0) {
		ssize_t n;

		if (connection->deadline != 0 && !wait_for(connection, POLLIN))
			return false;
		n = recv(connection->socket, to, size, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		to += n;
		size -= (size_t)n;
	}
	return true;
}

/* @head, and @data behind it. */
static bool send_both(struct connection *connection, const void *head, size_t head_size,
	const void *data, size_t size)
{
	struct iovec parts[2] = {{(void *)head, head_size}, {(void *)data, size}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

	while (parts[0].iov_len + parts[1].iov_len > 0) {
		ssize_t n;

		if (connection->deadline != 0 && !wait_for(connection, POLLOUT))
			return false;
		n = sendmsg(connection->socket, &message,
			MSG_NOSIGNAL | (connection->deadline != 0 ? MSG_DONTWAIT : 0));
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return false;
		for (int i = 0; i < 2; i++) {
			size_t gone = MIN((size_t)n, parts[i].iov_len);

			parts[i].iov_base = (uint8_t *)parts[i].iov_base + gone;
			parts[i].iov_len -= gone;
			n -= (ssize_t)gone;
		}
	}
	return true;
}

static bool send_all(struct connection *connection, const void *data, size_t size)
{
	return send_both(connection, data, size, NULL, 0);
}

/* Room for a piece of a request's data. */
static bool make_room(struct connection *connection)
{
	if (connection->buffer == NULL)
		connection->buffer = malloc(PIECE_MOST);
	return connection->buffer != NULL;
}

/* The server ends, with what clients still want undone. */
static bool is_stopped(const struct connection *connection)
{
	return connection->options->stopped != NULL &&
	       __atomic_load_n(connection->options->stopped, __ATOMIC_SEQ_CST);
}

/* Negotiation */

static uint16_t export_flags(const struct connection *connection)
{
	uint16_t flags = NBD_HAS_FLAGS | NBD_SEND_FLUSH | NBD_SEND_FUA | NBD_CAN_MULTI_CONN;

	if (connection->blocks->read_only)
		return flags | NBD_READ_ONLY;
	if (connection->options->discard)
		flags |= NBD_SEND_TRIM;
	return flags | NBD_SEND_WRITE_ZEROES | NBD_SEND_FAST_ZERO;
}

static bool reply_option(struct connection *connection, uint32_t option, uint32_t type,
	const void *data, size_t size)
{
	struct nbd_option_reply reply = {
		.magic = htobe64(NBD_REPLY_MAGIC),
		.option = htobe32(option),
		.type = htobe32(type),
		.length = htobe32((uint32_t)size),
	};

	return send_both(connection, &reply, sizeof(reply), data, size);
}

static const char *export_name(const struct connection *connection)
{
	return connection->options->name != NULL ? connection->options->name : "";
}

static bool is_our_name(const struct connection *connection, const void *name, size_t size)
{
	const char *ours = export_name(connection);

	return size == 0 || (size == strlen(ours) && memcmp(name, ours, size) == 0);
}

static bool list_exports(struct connection *connection, uint32_t size)
{
	struct {
		uint32_t length;
		char name[256];
	} __attribute__((packed)) entry;
	size_t length = strnlen(export_name(connection), sizeof(entry.name));

	if (size != 0)
		return reply_option(connection, NBD_OPT_LIST, NBD_REP_ERR_INVALID, NULL, 0);
	entry.length = htobe32((uint32_t)length);
	for (size_t i = 0; i < length; i++) /* no string: there is no NUL */
		entry.name[i] = export_name(connection)[i];
	return reply_option(connection, NBD_OPT_LIST, NBD_REP_SERVER, &entry,
		       sizeof(entry.length) + length) &&
	       reply_option(connection, NBD_OPT_LIST, NBD_REP_ACK, NULL, 0);
}

static bool send_block_size(struct connection *connection, uint32_t option)
{
	struct nbd_info_block_size info = {
		.type = htobe16(NBD_INFO_BLOCK_SIZE),
		.least = htobe32(1),
		.preferred = htobe32(4096),
		.most = htobe32(NBD_MOST_DATA),
	};

	return reply_option(connection, option, NBD_REP_INFO, &info, sizeof(info));
}

/* INFO and GO: length of the name, the name, a count, and so many kinds of information. */
static bool tell_export(struct connection *connection, uint32_t option, const uint8_t *data,
	size_t size, bool *ret_go)
{
	struct nbd_info_export info = {
		.type = htobe16(NBD_INFO_EXPORT),
		.size = htobe64(connection->blocks->size),
		.flags = htobe16(export_flags(connection)),
	};
	uint32_t name_size;
	uint16_t count, wish;

	if (size < sizeof(name_size) + sizeof(count))
		return reply_option(connection, option, NBD_REP_ERR_INVALID, NULL, 0);
	memcpy(&name_size, data, sizeof(name_size));
	name_size = be32toh(name_size);
	size -= sizeof(name_size) + sizeof(count);
	if (name_size > size)
		return reply_option(connection, option, NBD_REP_ERR_INVALID, NULL, 0);
	memcpy(&count, data + sizeof(name_size) + name_size, sizeof(count));
	count = be16toh(count);
	if ((size - name_size) != count * sizeof(wish))
		return reply_option(connection, option, NBD_REP_ERR_INVALID, NULL, 0);
	if (!is_our_name(connection, data + sizeof(name_size), name_size))
		return reply_option(connection, option, NBD_REP_ERR_UNKNOWN, NULL, 0);

	if (!reply_option(connection, option, NBD_REP_INFO, &info, sizeof(info)))
		return false;
	data += sizeof(name_size) + name_size + sizeof(count);
	for (uint16_t i = 0; i < count; i++) {
		memcpy(&wish, data + i * sizeof(wish), sizeof(wish));
		if (be16toh(wish) != NBD_INFO_BLOCK_SIZE)
			continue;
		if (!send_block_size(connection, option))
			return false;
		break;
	}
	*ret_go = option == NBD_OPT_GO;
	return reply_option(connection, option, NBD_REP_ACK, NULL, 0);
}

/* The one option of old, whose answer cannot refuse: a wrong name ends the connection. */
static bool open_by_name(struct connection *connection, const void *name, size_t size, bool *ret_go)
{
	struct {
		uint64_t size;
		uint16_t flags;
		uint8_t zeros[124];
	} __attribute__((packed)) answer = {
		.size = htobe64(connection->blocks->size),
		.flags = htobe16(export_flags(connection)),
	};

	if (!is_our_name(connection, name, size))
		return false;
	*ret_go = true;
	return send_all(connection, &answer,
		connection->no_zeroes ? sizeof(answer) - sizeof(answer.zeros) : sizeof(answer));
}

/* False ends the connection. */
static bool serve_option(struct connection *connection, bool *ret_go)
{
	struct nbd_option_request request;
	uint8_t data[OPTION_SIZE_MOST];
	uint32_t option, size;

	if (!receive(connection, &request, sizeof(request)) ||
		be64toh(request.magic) != NBD_OPTION_MAGIC)
		return false;
	option = be32toh(request.option);
	size = be32toh(request.length);
	if (size > sizeof(data) || !receive(connection, data, size))
		return false;
	switch (option) {
	case NBD_OPT_EXPORT_NAME:
		return open_by_name(connection, data, size, ret_go);
	case NBD_OPT_ABORT:
		(void)reply_option(connection, option, NBD_REP_ACK, NULL, 0);
		return false;
	case NBD_OPT_LIST:
		return list_exports(connection, size);
	case NBD_OPT_INFO:
	case NBD_OPT_GO:
		return tell_export(connection, option, data, size, ret_go);
	default:
		return reply_option(connection, option, NBD_REP_ERR_UNSUP, NULL, 0);
	}
}

static bool negotiate(struct connection *connection)
{
	struct nbd_greeting greeting = {
		.magic = htobe64(NBD_MAGIC),
		.option_magic = htobe64(NBD_OPTION_MAGIC),
		.flags = htobe16(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES),
	};
	uint32_t flags;
	bool go = false;

	connection->deadline = now_usec() + NEGOTIATION_USEC;
	if (!send_all(connection, &greeting, sizeof(greeting)) ||
		!receive(connection, &flags, sizeof(flags)))
		return false;
	flags = be32toh(flags);
	if ((flags & ~(uint32_t)(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES)) != 0)
		return false;
	connection->no_zeroes = flags & NBD_NO_ZEROES;
	for (int i = 0; i < OPTIONS_MOST && !go; i++) {
		if (!serve_option(connection, &go))
			return false;
	}
	connection->deadline = 0;
	return go;
}

/* Requests */

static uint32_t error_number(int r)
{
	switch (-r) {
	case 0:
		return 0;
	case EPERM:
	case EACCES:
	case EROFS:
		return NBD_EPERM;
	case ENOMEM:
		return NBD_ENOMEM;
	case EINVAL:
		return NBD_EINVAL;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return NBD_ENOSPC;
	default:
		return NBD_EIO;
	}
}

static bool reply_with(struct connection *connection, const struct nbd_request *request,
	uint32_t error, const void *data, size_t size)
{
	struct nbd_simple_reply reply = {
		.magic = htobe32(NBD_SIMPLE_MAGIC),
		.error = htobe32(error),
		.cookie = request->cookie,
	};

	return send_both(connection, &reply, sizeof(reply), data, error == 0 ? size : 0);
}

static bool in_range(const struct connection *connection, const struct nbd_request *request)
{
	uint64_t size = connection->blocks->size;

	return request->offset <= size && request->length <= size - request->offset;
}

static int read_piece(struct connection *connection, uint64_t offset, size_t size)
{
	return blocks_read(connection->blocks, offset, connection->buffer, size, NULL);
}

/* A simple reply says at its front that all went well. When a later piece cannot be read after all,
   the connection ends, as the protocol has it. */
static bool serve_read(struct connection *connection, const struct nbd_request *request)
{
	size_t done = MIN(request->length, PIECE_MOST);
	uint32_t error = 0;

	if (request->length > NBD_MOST_DATA)
		error = NBD_EOVERFLOW;
	else if (request->flags != 0 || !in_range(connection, request))
		error = NBD_EINVAL;
	else if (!make_room(connection))
		error = NBD_ENOMEM;
	else
		error = error_number(read_piece(connection, request->offset, done));
	if (!reply_with(connection, request, error, connection->buffer, done))
		return false;
	while (error == 0 && done < request->length) {
		size_t size = MIN(request->length - done, (size_t)PIECE_MOST);

		if (is_stopped(connection) ||
			read_piece(connection, request->offset + done, size) < 0 ||
			!send_all(connection, connection->buffer, size))
			return false;
		done += size;
	}
	return true;
}

/* The data has to be taken also when it is not wanted: the next request is behind it. */
static bool skip(struct connection *connection, size_t size)
{
	uint8_t data[4096];

	while (size > 0) {
		size_t part = MIN(size, sizeof(data));

		if (!receive(connection, data, part))
			return false;
		size -= part;
	}
	return true;
}

static uint32_t check_write(const struct connection *connection, const struct nbd_request *request,
	uint16_t known_flags)
{
	if (connection->blocks->read_only)
		return NBD_EPERM;
	if ((request->flags & ~known_flags) != 0)
		return NBD_EINVAL;
	return in_range(connection, request) ? 0 : NBD_ENOSPC;
}

static uint32_t finish_write(
	struct connection *connection, const struct nbd_request *request, int r)
{
	if (r == 0 && (request->flags & NBD_CMD_FLAG_FUA) != 0)
		r = blocks_flush(connection->blocks, NULL);
	return error_number(r);
}

static bool serve_write(struct connection *connection, const struct nbd_request *request)
{
	size_t done = 0;
	uint32_t error = check_write(connection, request, NBD_CMD_FLAG_FUA);

	if (request->length > NBD_MOST_DATA)
		return false;
	if (error == 0 && !make_room(connection))
		error = NBD_ENOMEM;
	while (error == 0 && done < request->length) {
		size_t size = MIN(request->length - done, (size_t)PIECE_MOST);

		if (is_stopped(connection) || !receive(connection, connection->buffer, size))
			return false;
		error = error_number(blocks_write(connection->blocks, request->offset + done,
			connection->buffer, size, NULL));
		done += size;
	}
	if (!skip(connection, request->length - done))
		return false;
	if (error == 0)
		error = finish_write(connection, request, 0);
	return reply_with(connection, request, error, NULL, 0);
}

/* In pieces that end where a piece of the whole does, so that no sector is in two of them. Stops
   with -ESHUTDOWN. */
static int in_pieces(struct connection *connection, const struct nbd_request *request,
	uint64_t piece,
	int (*each)(
		struct blocks *blocks, uint64_t offset, uint64_t length, struct caisson_error *err))
{
	uint64_t at = request->offset, end = request->offset + request->length;
	int r = 0;

	while (r == 0 && at < end) {
		uint64_t next = MIN(end, (at / piece + 1) * piece);

		r = is_stopped(connection) ? -ESHUTDOWN
					   : each(connection->blocks, at, next - at, NULL);
		at = next;
	}
	return r;
}

static bool serve_trim(struct connection *connection, const struct nbd_request *request)
{
	uint32_t error = check_write(connection, request, NBD_CMD_FLAG_FUA);

	if (error == 0 && !connection->options->discard)
		error = NBD_EINVAL;
	if (error == 0)
		error = finish_write(connection, request,
			in_pieces(connection, request, DISCARD_PIECE, blocks_discard));
	return reply_with(connection, request, error, NULL, 0);
}

/* Zeros are encrypted as anything else, which is never faster than writing them. */
static bool serve_zeroes(struct connection *connection, const struct nbd_request *request)
{
	uint32_t error = check_write(connection, request,
		NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FAST_ZERO);

	if (error == 0 && (request->flags & NBD_CMD_FLAG_FAST_ZERO) != 0)
		error = NBD_ENOTSUP;
	if (error == 0)
		error = finish_write(connection, request,
			in_pieces(connection, request, ZEROS_PIECE, blocks_zero));
	return reply_with(connection, request, error, NULL, 0);
}

static bool serve_request(struct connection *connection)
{
	struct nbd_request request;

	/* What is in the socket's queue is read also after its end. */
	if (!receive(connection, &request, sizeof(request)) || is_stopped(connection) ||
		be32toh(request.magic) != NBD_REQUEST_MAGIC)
		return false;
	request.flags = be16toh(request.flags);
	request.offset = be64toh(request.offset);
	request.length = be32toh(request.length);
	if (connection->options->ret_requests != NULL)
		++*connection->options->ret_requests;
	switch (be16toh(request.type)) {
	case NBD_CMD_READ:
		return serve_read(connection, &request);
	case NBD_CMD_WRITE:
		return serve_write(connection, &request);
	case NBD_CMD_DISC:
		return false;
	case NBD_CMD_FLUSH:
		return reply_with(connection, &request,
			error_number(blocks_flush(connection->blocks, NULL)), NULL, 0);
	case NBD_CMD_TRIM:
		return serve_trim(connection, &request);
	case NBD_CMD_WRITE_ZEROES:
		return serve_zeroes(connection, &request);
	default:
		return reply_with(connection, &request, NBD_EINVAL, NULL, 0);
	}
}

void nbd_serve(struct blocks *blocks, const struct nbd_options *options, int socket)
{
	struct connection connection = {.blocks = blocks, .options = options, .socket = socket};

	if (options->started || negotiate(&connection)) {
		while (serve_request(&connection))
			;
	}
	free(connection.buffer);
}
