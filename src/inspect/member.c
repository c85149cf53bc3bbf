/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inspect/member.h"

#include <errno.h>
#include <unistd.h>

#include "base/io.h"
#include "boot/cpio.h"

enum { FILE_MOST = 512 << 20 };

void member_done(struct member *member)
{
	strbuf_done(&member->buffer);
	*member = (struct member){0};
}

static int read_plain(
	struct member_reader *reader, struct member *ret_member, struct caisson_error *err)
{
	const uint8_t *data = reader->data + reader->at;
	struct cpio_reader cpio;
	struct cpio_entry entry;
	int r;

	cpio_reader_init(&cpio, data, reader->size - reader->at);
	while ((r = cpio_read_one(&cpio, &entry, err)) == 1)
		;
	if (r < 0)
		return caisson_wrap(err, "%s", reader->what);
	*ret_member = (struct member){
		.offset = reader->at, .size = cpio.end, .data = data, .data_size = cpio.end};
	reader->at += cpio.offset;
	return 1;
}

static int read_compressed(
	struct member_reader *reader, struct member *ret_member, struct caisson_error *err)
{
	_cleanup_(member_done) struct member member = {.offset = reader->at};
	int r;

	r = packed_read(reader->data + reader->at, reader->size - reader->at, reader->left,
		reader->what, &member.buffer, &member.stream, &member.size, err);
	if (r == -ENOTSUP)
		return caisson_refuse(err, EBADMSG,
			"%s is damaged, %zu bytes before its end: neither cpio nor compressed as is known",
			reader->what, reader->size - reader->at);
	if (r < 0)
		return r;
	member.data = (const uint8_t *)member.buffer.data;
	member.data_size = member.buffer.size;
	reader->left -= MIN(reader->left, (uint64_t)member.data_size);
	reader->at += member.size;
	*ret_member = member;
	member.buffer = STRBUF_INIT;
	return 1;
}

int member_next(struct member_reader *reader, struct member *ret_member, struct caisson_error *err)
{
	while (reader->at < reader->size && reader->data[reader->at] == 0)
		reader->at++;
	if (reader->at >= reader->size)
		return 0;
	if (reader->data[reader->at] == '0' && (reader->at & 3) == 0)
		return read_plain(reader, ret_member, err);
	return read_compressed(reader, ret_member, err);
}

int members_read_file(
	int fd, const char *what, struct members *ret_members, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf file = STRBUF_INIT;
	int r;

	if (lseek(fd, 0, SEEK_SET) < 0 && errno != ESPIPE)
		return caisson_fail(err, errno, "read %s", what);
	r = read_to_end(fd, FILE_MOST, what, &file, err);
	if (r < 0)
		return r;
	if (file.size == 0)
		return caisson_refuse(err, EBADMSG, "%s is empty", what);
	*ret_members = MEMBERS_NONE;
	ret_members->file = file;
	file = STRBUF_INIT;
	return 0;
}

static int append(struct members *members, struct member *member, struct caisson_error *err)
{
	if (members->count == members->capacity) {
		size_t capacity = MAX(members->capacity * 2, (size_t)8);
		void *items = reallocarray(members->items, capacity, sizeof(*members->items));

		if (items == NULL) {
			member_done(member);
			return caisson_fail(err, ENOMEM, "read a boot archive");
		}
		members->items = items;
		members->capacity = capacity;
	}
	members->items[members->count++] = *member;
	return 0;
}

int members_read(
	struct members *members, uint64_t most, const char *what, struct caisson_error *err)
{
	struct member_reader reader = {
		(const uint8_t *)members->file.data, members->file.size, 0, most, what};
	struct member member;
	int r;

	while ((r = member_next(&reader, &member, err)) == 1) {
		if (members->count == MEMBERS_MOST) {
			member_done(&member);
			return caisson_refuse(
				err, E2BIG, "%s has more than %d members", what, MEMBERS_MOST);
		}
		r = append(members, &member, err);
		if (r < 0)
			return r;
	}
	return r;
}

int members_open(int fd, const char *what, struct members *ret_members, struct caisson_error *err)
{
	_cleanup_members_ struct members members = MEMBERS_NONE;
	int r = members_read_file(fd, what, &members, err);

	if (r == 0)
		r = members_read(&members, MEMBER_CONTENT_MOST, what, err);
	if (r < 0)
		return r;
	*ret_members = members;
	members = MEMBERS_NONE;
	return 0;
}

void members_done(struct members *members)
{
	for (size_t i = 0; i < members->count; i++)
		member_done(&members->items[i]);
	free(members->items);
	strbuf_done(&members->file);
	*members = MEMBERS_NONE;
}
