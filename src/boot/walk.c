/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules of unpack_to_rootfs() in the kernel's init/initramfs.c. */
#include "boot/walk.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "base/io.h"
#include "base/strbuf.h"
#include "boot/initramfs.h"
#include "kernel/uncompress.h"

enum { FILE_MOST = 512 << 20, UNCOMPRESSED_MOST = 1 << 30 };

struct walk {
	const char *what;
	uint64_t left; /* bytes that may still be uncompressed */
	int (*entry)(const struct cpio_entry *entry, void *userdata);
	void *userdata;
};

DEFINE_CLEANUP(ZSTD_DCtx *, ZSTD_freeDCtx);

static int damaged(const struct walk *walk, size_t left, const char *why, struct caisson_error *err)
{
	return caisson_refuse(
		err, EBADMSG, "%s is damaged, %zu bytes before its end: %s", walk->what, left, why);
}

/* Uncompresses one frame. Returns through @ret_used where it ends. */
static int uncompress_zstd(struct walk *walk, const uint8_t *data, size_t size,
	struct strbuf *buffer, size_t *ret_used, struct caisson_error *err)
{
	_cleanup_(ZSTD_freeDCtxp) ZSTD_DCtx *context = ZSTD_createDCtx();
	ZSTD_inBuffer input = {data, size, 0};
	size_t more = 1;

	if (context == NULL)
		return caisson_fail(err, ENOMEM, "uncompress %s", walk->what);
	while (more != 0) {
		ZSTD_outBuffer output = {
			strbuf_reserve(buffer, ZSTD_DStreamOutSize()), ZSTD_DStreamOutSize(), 0};
		size_t before = input.pos;

		if (output.dst == NULL)
			return caisson_fail(err, ENOMEM, "uncompress %s", walk->what);
		more = ZSTD_decompressStream(context, &output, &input);
		if (ZSTD_isError(more))
			return damaged(walk, size - input.pos, ZSTD_getErrorName(more), err);
		strbuf_commit(buffer, output.pos);
		if (buffer->size > walk->left)
			return caisson_refuse(
				err, EFBIG, "%s holds more than is allowed", walk->what);
		if (more != 0 && output.pos == 0 && input.pos == before)
			return damaged(walk, 0, "a zstd frame is cut", err);
	}
	*ret_used = input.pos;
	return 0;
}

/* All archives in what was compressed as one. */
static int walk_member(struct walk *walk, const struct strbuf *member, struct caisson_error *err)
{
	struct cpio_reader reader;
	struct cpio_entry entry;
	int r;

	cpio_reader_init(&reader, member->data, member->size);
	while ((r = cpio_read(&reader, &entry, err)) == 1) {
		r = walk->entry(&entry, walk->userdata);
		if (r < 0)
			return r;
	}
	return r < 0 ? caisson_wrap(err, "%s", walk->what) : 0;
}

static int walk_compressed(struct walk *walk, const uint8_t *data, size_t size, size_t *ret_used,
	struct caisson_error *err)
{
	static const uint8_t zstd_magic[] = {0x28, 0xb5, 0x2f, 0xfd};
	_cleanup_strbuf_ struct strbuf member = STRBUF_INIT;
	uint64_t used64 = 0;
	size_t used = 0;
	int r;

	if (size >= sizeof(zstd_magic) && memcmp(data, zstd_magic, sizeof(zstd_magic)) == 0) {
		r = uncompress_zstd(walk, data, size, &member, &used, err);
	} else {
		r = uncompress_data(data, size, walk->left, walk->what, &member, &used64, err);
		if (r == -ENOTSUP)
			return damaged(walk, size, "neither cpio nor compressed as is known", err);
		used = (size_t)MIN(used64, (uint64_t)size);
	}
	if (r < 0)
		return r;
	if (used == 0)
		return damaged(walk, size, "an empty stream", err);
	walk->left -= MIN(walk->left, (uint64_t)member.size);
	*ret_used = used;
	return walk_member(walk, &member, err);
}

static int walk_plain(struct walk *walk, const uint8_t *data, size_t size, size_t *ret_used,
	struct caisson_error *err)
{
	struct cpio_reader reader;
	struct cpio_entry entry;
	int r;

	cpio_reader_init(&reader, data, size);
	while ((r = cpio_read_one(&reader, &entry, err)) == 1) {
		r = walk->entry(&entry, walk->userdata);
		if (r < 0)
			return r;
	}
	*ret_used = reader.offset;
	return r < 0 ? caisson_wrap(err, "%s", walk->what) : 0;
}

int archive_walk(const uint8_t *data, size_t size, uint64_t most, const char *what,
	int (*entry)(const struct cpio_entry *entry, void *userdata), void *userdata,
	struct caisson_error *err)
{
	struct walk walk = {what, most, entry, userdata};
	size_t at = 0;

	while (at < size) {
		size_t used = 1;
		int r = 0;

		if (data[at] == '0' && (at & 3) == 0)
			r = walk_plain(&walk, data + at, size - at, &used, err);
		else if (data[at] != 0)
			r = walk_compressed(&walk, data + at, size - at, &used, err);
		if (r < 0)
			return r;
		at += used;
	}
	return 0;
}

int initramfs_list(int fd, const char *what,
	int (*entry)(const struct cpio_entry *entry, void *userdata), void *userdata,
	struct caisson_error *err)
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
	return archive_walk((const uint8_t *)file.data, file.size, UNCOMPRESSED_MOST, what, entry,
		userdata, err);
}
