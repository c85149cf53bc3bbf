/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the list of what will stand in an archive to its bytes. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/strbuf.h"
#include "boot/archive.h"
#include "boot/modules.h"

/* A file that @names entries of the archive lead to. */
struct shared {
	struct cpio_file file;
	uint32_t left; /* names that are still to come */
	dev_t device;
	ino_t inode;
};

struct candidate {
	dev_t device;
	ino_t inode;
	mode_t mode;
	size_t entry;
};

struct writer {
	const struct archive *archive;
	struct cpio_writer cpio;
	struct shared *shared;
	struct shared **of; /* by entry: NULL for a file of one name */
};

static int out_of_memory(struct caisson_error *err)
{
	return caisson_fail(err, ENOMEM, "write a boot archive");
}

static void writer_done(struct writer *writer)
{
	cpio_writer_done(&writer->cpio);
	free(writer->shared);
	free(writer->of);
}

static int order(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->device != y->device)
		return x->device < y->device ? -1 : 1;
	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	if (x->mode != y->mode)
		return x->mode < y->mode ? -1 : 1;
	return (x->entry > y->entry) - (x->entry < y->entry);
}

static bool same_file(const struct candidate *a, const struct candidate *b)
{
	return a->device == b->device && a->inode == b->inode && a->mode == b->mode;
}

/* What cannot be looked at is left to the one who opens it. */
static size_t find_candidates(const struct archive *archive, struct candidate *candidates)
{
	size_t count = 0;

	for (size_t i = 0; i < archive->count; i++) {
		const struct archive_entry *entry = &archive->entries[i];
		struct stat st;

		if (entry->kind == ARCHIVE_FILE && stat(entry->source, &st) == 0 &&
			S_ISREG(st.st_mode))
			candidates[count++] =
				(struct candidate){st.st_dev, st.st_ino, entry->mode & 07777, i};
	}
	return count;
}

/* A name with another mode is another file: one inode cannot have both. */
static int find_shared(struct writer *writer, struct caisson_error *err)
{
	size_t entries = writer->archive->count, count, used = 0;
	_cleanup_free_ struct candidate *candidates = calloc(entries + 1, sizeof(*candidates));

	writer->of = calloc(entries + 1, sizeof(*writer->of));
	writer->shared = calloc(entries / 2 + 1, sizeof(*writer->shared));
	if (candidates == NULL || writer->of == NULL || writer->shared == NULL)
		return out_of_memory(err);
	count = find_candidates(writer->archive, candidates);
	qsort(candidates, count, sizeof(*candidates), order);
	for (size_t first = 0, end; first < count; first = end) {
		struct shared *shared = &writer->shared[used];

		for (end = first + 1;
			end < count && same_file(&candidates[first], &candidates[end]);)
			end++;
		if (end - first < 2)
			continue;
		*shared = (struct shared){{(uint32_t)(end - first), 0}, (uint32_t)(end - first),
			candidates[first].device, candidates[first].inode};
		for (size_t i = first; i < end; i++)
			writer->of[candidates[i].entry] = shared;
		used++;
	}
	return 0;
}

static int open_source(const struct archive_entry *entry, int *ret_fd, struct stat *ret_st,
	struct caisson_error *err)
{
	_cleanup_close_ int fd = open_file(entry->source, O_RDONLY | O_NONBLOCK, 0, err);

	if (fd < 0)
		return fd;
	if (fstat(fd, ret_st) < 0)
		return caisson_fail(err, errno, "stat %s", entry->source);
	if (!S_ISREG(ret_st->st_mode))
		return caisson_refuse(err, EINVAL, "%s is not a regular file", entry->source);
	*ret_fd = take_fd(&fd);
	return 0;
}

static int write_file(struct writer *writer, size_t index, struct caisson_error *err)
{
	const struct archive_entry *entry = &writer->archive->entries[index];
	struct shared *shared = writer->of[index];
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r;

	if (shared != NULL && --shared->left > 0)
		return cpio_add_name(&writer->cpio, entry->path, entry->mode, &shared->file, err);
	r = open_source(entry, &fd, &st, err);
	if (r < 0)
		return r;
	if (shared != NULL) {
		if (st.st_dev != shared->device || st.st_ino != shared->inode)
			return caisson_refuse(
				err, ESTALE, "%s changed while it was read", entry->source);
		cpio_last_name(&writer->cpio, &shared->file);
	}
	return cpio_add_fd(&writer->cpio, entry->path, entry->mode, fd, (uint64_t)st.st_size, err);
}

/* A plain one without debug sections needs no detour through memory. */
static int write_plain_module(struct writer *writer, size_t index, struct caisson_error *err)
{
	const struct archive_entry *entry = &writer->archive->entries[index];
	_cleanup_strbuf_ struct strbuf module = STRBUF_INIT;
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r = open_source(entry, &fd, &st, err);

	if (r == 0)
		r = module_strip(fd, (uint64_t)st.st_size, entry->source, &module, err);
	if (r < 0)
		return r;
	if (r == 0)
		return cpio_add_fd(
			&writer->cpio, entry->path, entry->mode, fd, (uint64_t)st.st_size, err);
	return cpio_add_data(
		&writer->cpio, entry->path, entry->mode, module.data, module.size, err);
}

static int write_module(struct writer *writer, size_t index, struct caisson_error *err)
{
	const struct archive_entry *entry = &writer->archive->entries[index];
	_cleanup_strbuf_ struct strbuf module = STRBUF_INIT;
	size_t length = strlen(entry->source);
	int r;

	if (length > 3 && strcmp(entry->source + length - 3, ".ko") == 0)
		return write_plain_module(writer, index, err);
	r = module_read(entry->source, &module, err);
	if (r < 0)
		return r;
	return cpio_add_data(
		&writer->cpio, entry->path, entry->mode, module.data, module.size, err);
}

static int write_entry(struct writer *writer, size_t index, struct caisson_error *err)
{
	const struct archive_entry *entry = &writer->archive->entries[index];
	struct cpio_writer *cpio = &writer->cpio;

	switch (entry->kind) {
	case ARCHIVE_DIRECTORY:
		return cpio_add_directory(cpio, entry->path, entry->mode, err);
	case ARCHIVE_SYMLINK:
		return cpio_add_symlink(cpio, entry->path, entry->source, err);
	case ARCHIVE_DEVICE:
		return cpio_add_device(cpio, entry->path, entry->mode, entry->device, err);
	case ARCHIVE_FILE:
		return write_file(writer, index, err);
	case ARCHIVE_MODULE:
		return write_module(writer, index, err);
	case ARCHIVE_DATA:
		return cpio_add_data(
			cpio, entry->path, entry->mode, entry->source, entry->size, err);
	}
	return caisson_refuse(err, EINVAL, "/%s is of no known kind", entry->path);
}

int archive_write(
	const struct archive *archive, uint32_t time, struct sink sink, struct caisson_error *err)
{
	_cleanup_(writer_done) struct writer writer = {.archive = archive};
	int r;

	cpio_writer_init(&writer.cpio, sink);
	writer.cpio.time = time;
	r = find_shared(&writer, err);
	for (size_t i = 0; r == 0 && i < archive->count; i++)
		r = write_entry(&writer, i, err);
	if (r == 0)
		r = cpio_finish(&writer.cpio, err);
	return r;
}
