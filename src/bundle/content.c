/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bundle/content.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "elf/strip.h"

enum { CHUNK = 256 << 10 };

/* One pass over a file: what is read, and what comes of it. */
struct pass {
	struct digest *input, *output; /* @output is NULL when it is the same */
	uint64_t size, source_size;
	int (*write)(void *userdata, const void *data, size_t size, struct caisson_error *err);
	void *userdata;
};

static void pass_done(struct pass *pass)
{
	digest_free(pass->input);
	if (pass->output != NULL)
		digest_free(pass->output);
}

static int changed(const char *path, struct caisson_error *err)
{
	caisson_refuse(err, EAGAIN, "%s changed while it was read", path);
	return caisson_hint(err, "try again when nothing is being installed");
}

/* The file that the closure found: no link, no FIFO, and no other file by now. */
static int open_source(const struct plan_file *file, struct caisson_error *err)
{
	_cleanup_close_ int fd =
		open_file(file->open_path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, err);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat %s", file->open_path);
	if (!S_ISREG(st.st_mode) || st.st_dev != file->device || st.st_ino != file->inode)
		return changed(file->open_path, err);
	return take_fd(&fd);
}

static int put(struct pass *pass, const void *data, size_t size, struct caisson_error *err)
{
	int r = pass->output != NULL ? digest_add(pass->output, data, size, err) : 0;

	pass->size += size;
	if (r >= 0 && pass->write != NULL)
		r = pass->write(pass->userdata, data, size, err);
	return r;
}

static int read_source(
	struct pass *pass, const struct plan_file *file, int fd, struct caisson_error *err)
{
	_cleanup_free_ char *chunk = malloc(CHUNK);
	struct stat st;

	if (chunk == NULL)
		return caisson_fail(err, ENOMEM, "read %s", file->open_path);
	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat %s", file->open_path);
	for (;;) {
		ssize_t n = read(fd, chunk, CHUNK);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return caisson_fail(err, errno, "read %s", file->open_path);
		if (n == 0)
			break;
		pass->source_size += (uint64_t)n;
		r = digest_add(pass->input, chunk, (size_t)n, err);
		if (r >= 0)
			r = put(pass, chunk, (size_t)n, err);
		if (r < 0)
			return r;
	}
	return pass->source_size == (uint64_t)st.st_size ? 0 : changed(file->open_path, err);
}

/* Nothing comes of the source itself: the digest alone reads it to its end. */
static int read_stripped(struct pass *pass, const struct plan_file *file, int fd,
	const struct strbuf *stripped, struct caisson_error *err)
{
	int (*write)(void *userdata, const void *data, size_t size, struct caisson_error *err) =
		pass->write;
	int r;

	pass->write = NULL;
	r = read_source(pass, file, fd, err);
	pass->write = write;
	pass->size = 0;
	if (r >= 0)
		r = digest_new(&pass->output, err);
	return r < 0 ? r : put(pass, stripped->data, stripped->size, err);
}

static int strip_source(
	const struct plan_file *file, int fd, struct strbuf *stripped, struct caisson_error *err)
{
	struct elf_input input = {.fd = fd, .name = file->open_path};
	const char *why = NULL;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat %s", file->open_path);
	input.size = (uint64_t)st.st_size;
	r = elf_strip(&input, stripped, &why, err);
	return r < 0 ? r : why == NULL;
}

static int run_pass(
	struct pass *pass, const struct plan_file *file, bool strip, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf stripped = STRBUF_INIT;
	_cleanup_close_ int fd = -1;
	int r = digest_new(&pass->input, err);

	if (r < 0)
		return r;
	if (file->data != NULL) {
		pass->source_size = file->size;
		r = digest_add(pass->input, file->data, file->size, err);
		return r < 0 ? r : put(pass, file->data, file->size, err);
	}
	fd = open_source(file, err);
	r = fd >= 0 && strip ? strip_source(file, fd, &stripped, err) : fd;
	if (r < 0)
		return r;
	return strip && r > 0 ? read_stripped(pass, file, fd, &stripped, err)
			      : read_source(pass, file, fd, err);
}

static int finish(struct pass *pass, char source[static DIGEST_HEX_SIZE],
	char result[static DIGEST_HEX_SIZE], struct caisson_error *err)
{
	int r = digest_hex(pass->input, source, err);

	if (r >= 0 && pass->output != NULL)
		return digest_hex(pass->output, result, err);
	memcpy(result, source, DIGEST_HEX_SIZE);
	return r;
}

int content_measure_file(struct plan_file *file, bool strip, struct caisson_error *err)
{
	_cleanup_(pass_done) struct pass pass = {0};
	int r = run_pass(&pass, file, strip, err);

	if (r >= 0)
		r = finish(&pass, file->source_sha256, file->sha256, err);
	if (r < 0)
		return r;
	file->size = pass.size;
	file->source_size = pass.source_size;
	return 0;
}

int content_measure(struct plan *plan, bool strip, struct caisson_error *err)
{
	for (size_t i = 0; i < plan->file_count; i++) {
		struct plan_file *file = plan->files[i];
		const struct plan_file *first = file->link_to;
		int r;

		if (file->kind != CAISSON_BUNDLE_FILE)
			continue;
		if (first == NULL) {
			r = content_measure_file(file, strip, err);
			if (r < 0)
				return r;
			continue;
		}
		file->size = first->size;
		file->source_size = first->source_size;
		memcpy(file->sha256, first->sha256, DIGEST_HEX_SIZE);
		memcpy(file->source_sha256, first->source_sha256, DIGEST_HEX_SIZE);
	}
	return 0;
}

int content_copy(const struct plan_file *file, bool strip,
	int (*write)(void *userdata, const void *data, size_t size, struct caisson_error *err),
	void *userdata, struct caisson_error *err)
{
	_cleanup_(pass_done) struct pass pass = {.write = write, .userdata = userdata};
	char source[DIGEST_HEX_SIZE], result[DIGEST_HEX_SIZE];
	int r = run_pass(&pass, file, strip, err);

	if (r >= 0)
		r = finish(&pass, source, result, err);
	if (r < 0)
		return r;
	if (strcmp(source, file->source_sha256) != 0 || strcmp(result, file->sha256) != 0)
		return changed(file->open_path != NULL ? file->open_path : file->path, err);
	return 0;
}
