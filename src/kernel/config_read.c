/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/config_read.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "kernel/config_embedded.h"
#include "kernel/config_text.h"
#include "kernel/packed.h"
#include "kernel/uncompress.h"

enum {
	HEAD = 4096, /* bytes that tell what it is */
	CHUNK = 256 << 10,
	LZO_MOST = 64 << 20, /* its reader has all in memory */
	LZO_UNPACKED_MOST = 256 << 20,
};

/* A vmlinux with debug information has a gigabyte. */
static const uint64_t file_most = 4ull << 30, unpacked_most = 1ull << 30;

/* What comes out of a file, unpacked: a text, or the image of a kernel to be searched. */
struct reader {
	const char *what;
	enum {
		UNDECIDED,
		TEXT,
		IMAGE,
	} kind;
	struct strbuf text; /* the start, until it is decided */
	struct embedded_search search;
};

/* Documentation/arch/x86/boot.rst, "header": at 0x202. */
static bool is_bzimage(const void *head, size_t size)
{
	return size >= 0x206 && memcmp((const char *)head + 0x202, "HdrS", 4) == 0;
}

/* Machine code does not begin so. */
static bool is_text(const char *head, size_t size)
{
	for (size_t i = 0; i < MIN(size, (size_t)16); i++) {
		char c = head[i];

		if ((c < ' ' || c > '~') && c != '\t' && c != '\n' && c != '\r')
			return false;
	}
	return true;
}

static int search(struct reader *reader, const void *data, size_t size, struct caisson_error *err)
{
	int r = embedded_feed(&reader->search, data, size, reader->what, err);

	/* Enough is known: whoever uncompresses need not go on. */
	return r == 1 ? -ECANCELED : r;
}

static int decide(struct reader *reader, struct caisson_error *err)
{
	const struct strbuf *head = &reader->text;

	if (is_bzimage(head->data, head->size)) {
		caisson_refuse(err, EBADMSG, "%s is a bzImage that was packed again", reader->what);
		return caisson_hint(err, "unpack it first");
	}
	if (is_text(head->data, head->size)) {
		reader->kind = TEXT;
		return 0;
	}
	reader->kind = IMAGE;
	return search(reader, head->data, head->size, err);
}

/* A sink: -ECANCELED when it has seen all that it wants. */
static int reader_write(void *userdata, const void *data, size_t size, struct caisson_error *err)
{
	struct reader *reader = userdata;

	if (reader->kind == IMAGE)
		return search(reader, data, size, err);
	strbuf_add(&reader->text, data, size);
	if (!strbuf_ok(&reader->text))
		return caisson_fail(err, ENOMEM, "read %s", reader->what);
	if (reader->kind == UNDECIDED && reader->text.size >= HEAD)
		return decide(reader, err);
	if (reader->kind == TEXT && reader->text.size > KERNEL_CONFIG_MOST)
		return caisson_refuse(err, EFBIG,
			"%s is larger than the %d MiB that a configuration may have", reader->what,
			KERNEL_CONFIG_MOST >> 20);
	return 0;
}

static bool has_option(const struct strbuf *text)
{
	struct config_reader reader = config_reader(text->data, text->size);
	struct config_line line;
	int r;

	while ((r = config_line_next(&reader, &line)) != 0) {
		if (r > 0 && line.option != NULL)
			return true;
	}
	return false;
}

static int check_text(const struct strbuf *text, const char *what, struct caisson_error *err)
{
	if (text->size == 0)
		return caisson_refuse(err, EBADMSG, "%s is empty", what);
	if (memchr(text->data, '\0', text->size) != NULL)
		return caisson_refuse(err, EBADMSG, "%s has NUL bytes in it: it is damaged", what);
	if (has_option(text))
		return 0;
	caisson_refuse(
		err, EBADMSG, "%s is no kernel configuration: no line of it sets an option", what);
	return caisson_hint(err, "a .config has lines like CONFIG_EXT4_FS=y; a kernel that was "
				 "built with CONFIG_IKCONFIG can be named as well");
}

/* Hands over what was read. */
static int finish(struct reader *reader, struct strbuf *text, enum kernel_config_where *ret_where,
	struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf found = STRBUF_INIT;
	int r = 0;

	if (reader->kind == UNDECIDED && reader->text.size > 0)
		r = decide(reader, err);
	if (r < 0 && r != -ECANCELED)
		return r;
	if (reader->kind == IMAGE) {
		r = embedded_take(&reader->search, reader->what, &found, err);
		if (r < 0)
			return r;
	} else {
		found = reader->text;
		reader->text = STRBUF_INIT;
	}
	r = check_text(&found, reader->what, err);
	if (r < 0)
		return r;
	strbuf_add(text, found.data, found.size);
	if (!strbuf_ok(text))
		return caisson_fail(err, ENOMEM, "read %s", reader->what);
	*ret_where = reader->kind == IMAGE ? KERNEL_CONFIG_EMBEDDED : KERNEL_CONFIG_FILE;
	return 0;
}

static int read_plain(
	struct reader *reader, int fd, uint64_t offset, uint64_t size, struct caisson_error *err)
{
	_cleanup_free_ char *chunk = malloc(CHUNK);
	int r = 0;

	if (chunk == NULL)
		return caisson_fail(err, ENOMEM, "read %s", reader->what);
	while (size > 0) {
		size_t part = (size_t)MIN(size, (uint64_t)CHUNK);

		r = pread_all(fd, chunk, part, offset, reader->what, err);
		if (r == 0)
			r = reader_write(reader, chunk, part, err);
		if (r < 0)
			break;
		offset += part;
		size -= part;
	}
	return r;
}

/* libarchive hands LZO to a program: read here. */
static int read_lzo(
	struct reader *reader, int fd, uint64_t offset, uint64_t size, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf plain = STRBUF_INIT;
	_cleanup_free_ uint8_t *data = NULL;
	struct packed_facts facts;
	size_t used;
	int r;

	if (size > LZO_MOST)
		return caisson_refuse(err, EFBIG, "%s holds more than %d MiB of LZO", reader->what,
			LZO_MOST >> 20);
	data = malloc((size_t)size + 1);
	if (data == NULL)
		return caisson_fail(err, ENOMEM, "read %s", reader->what);
	r = pread_all(fd, data, (size_t)size, offset, reader->what, err);
	if (r == 0)
		r = packed_read(data, (size_t)size, LZO_UNPACKED_MOST, reader->what, &plain, &facts,
			&used, err);
	return r < 0 ? r : reader_write(reader, plain.data, plain.size, err);
}

/* @size bytes from @offset, in whatever form they are. */
static int read_stream(
	struct reader *reader, int fd, uint64_t offset, uint64_t size, struct caisson_error *err)
{
	struct uncompress_sink sink = {reader_write, reader};
	uint8_t head[8] = {0};
	enum packed_form form;
	int r = pread_all(
		fd, head, (size_t)MIN(size, (uint64_t)sizeof(head)), offset, reader->what, err);

	if (r < 0)
		return r;
	form = packed_form(head, sizeof(head));
	if (form == PACKED_NONE)
		return read_plain(reader, fd, offset, size, err);
	if (form == PACKED_LZO)
		return read_lzo(reader, fd, offset, size, err);
	r = uncompress_range(fd, offset, size, unpacked_most, reader->what, sink, NULL, err);
	if (r == -ENOTSUP)
		return caisson_refuse(err, EBADMSG, "%s begins like %s, and is damaged",
			reader->what, packed_name(form));
	return r;
}

static int read_bzimage(struct reader *reader, int fd, struct caisson_error *err)
{
	struct kernel_payload payload;
	struct kernel_image image;
	int r = kernel_image_read(fd, reader->what, &image, err);

	if (r == 0)
		r = kernel_image_payload(fd, &image, reader->what, &payload, err);
	if (r < 0)
		return r;
	/* Not compressed at all with CONFIG_KERNEL_UNCOMPRESSED. */
	reader->kind = IMAGE;
	return read_stream(reader, fd, payload.offset, payload.size, err);
}

static int read_regular(int fd, uint64_t size, const char *what, struct strbuf *text,
	enum kernel_config_where *ret_where, struct caisson_error *err)
{
	struct reader reader = {.what = what, .text = STRBUF_INIT, .search = EMBEDDED_SEARCH_INIT};
	uint8_t head[HEAD];
	size_t known = (size_t)MIN(size, (uint64_t)sizeof(head));
	int r;

	if (size > file_most)
		return caisson_refuse(err, EFBIG, "%s is larger than %llu GiB", what,
			(unsigned long long)file_most >> 30);
	r = pread_all(fd, head, known, 0, what, err);
	if (r == 0)
		r = is_bzimage(head, known) ? read_bzimage(&reader, fd, err)
					    : read_stream(&reader, fd, 0, size, err);
	if (r == 0 || r == -ECANCELED)
		r = finish(&reader, text, ret_where, err);
	strbuf_done(&reader.text);
	embedded_done(&reader.search);
	return r;
}

/* What a pipe holds, as a file. */
static int spool(int fd, const char *what, int *ret_fd, struct caisson_error *err)
{
	_cleanup_close_ int memory = memfd_create("configuration", MFD_CLOEXEC);
	_cleanup_strbuf_ struct strbuf data = STRBUF_INIT;
	int flags = fcntl(fd, F_GETFL);
	int r;

	if (memory < 0 || flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return caisson_fail(err, errno, "read %s", what);
	r = read_to_end(fd, LZO_MOST, what, &data, err);
	if (r == 0)
		r = write_all(memory, data.data, data.size, what, err);
	if (r < 0)
		return r;
	*ret_fd = take_fd(&memory);
	return 0;
}

int kernel_config_read_fd(int fd, const char *what, struct strbuf *text,
	enum kernel_config_where *ret_where, struct caisson_error *err)
{
	_cleanup_close_ int memory = -1;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat %s", what);
	if (S_ISDIR(st.st_mode)) {
		caisson_refuse(err, EISDIR, "%s is a folder", what);
		return caisson_hint(err, "name the configuration in it, .config for example");
	}
	if (S_ISFIFO(st.st_mode)) {
		int r = spool(fd, what, &memory, err);

		if (r < 0)
			return r;
		fd = memory;
		if (fstat(fd, &st) < 0)
			return caisson_fail(err, errno, "stat %s", what);
	}
	if (!S_ISREG(st.st_mode))
		return caisson_refuse(err, EINVAL, "%s is not a regular file", what);
	return read_regular(fd, (uint64_t)st.st_size, what, text, ret_where, err);
}

bool kernel_config_release(const char *text, size_t size, char ret_release[KERNEL_RELEASE_SIZE])
{
	static const char before[] = "# Linux/", behind[] = " Kernel Configuration";
	size_t head = MIN(size, (size_t)1024);
	const char *end, *found, *at;
	size_t length;

	if (size == 0)
		return false;
	end = memchr(text, '\0', head);
	if (end == NULL)
		end = text + head;
	found = memmem(text, (size_t)(end - text), before, strlen(before));
	if (found == NULL)
		return false;
	at = memchr(found + strlen(before), ' ', (size_t)(end - found) - strlen(before));
	if (at == NULL)
		return false;
	at++;
	found = memmem(at, (size_t)(end - at), behind, strlen(behind));
	length = found != NULL ? (size_t)(found - at) : 0;
	if (length == 0 || length >= KERNEL_RELEASE_SIZE || memchr(at, '\n', length) != NULL)
		return false;
	memcpy(ret_release, at, length);
	ret_release[length] = '\0';
	return kernel_release_valid(ret_release);
}
