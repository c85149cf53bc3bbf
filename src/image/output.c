/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/macros.h"

#define BLOCK            (256 << 10)
#define STREAM_PATH_SIZE (sizeof(SQUASH_ROOT "/") + TREE_PATH_MOST)

struct output_failure {
	struct squash *squash;
	bool writing_failed;
};

static la_ssize_t on_write(struct archive *archive, void *userdata, const void *data, size_t size)
{
	struct output_failure *failure = userdata;

	if (failure->writing_failed || squash_write(failure->squash, data, size, NULL) < 0) {
		failure->writing_failed = true;
		archive_set_error(archive, EPIPE, "the stream ended");
		return -1;
	}
	return (la_ssize_t)size;
}

/* A write fails because the program ended: how it ended is the reason. */
static int explain(struct output *output, struct caisson_error *err)
{
	const char *text = archive_error_string(output->archive);
	int r;

	if (!output->failure->writing_failed)
		return caisson_refuse(
			err, EIO, "write the image as tar: %s", text != NULL ? text : "?");
	r = squash_finish(&output->squash, err);
	if (r == 0)
		r = caisson_refuse(
			err, EIO, "%s ended before all was read", output->squash.program);
	return r;
}

int output_open(
	struct output *output, const char *program, const char *path, struct caisson_error *err)
{
	int r = squash_start(&output->squash, program, path, err);

	if (r < 0)
		return r;
	output->failure = calloc(1, sizeof(*output->failure));
	output->archive = archive_write_new();
	output->entry = archive_entry_new();
	if (output->failure == NULL || output->archive == NULL || output->entry == NULL)
		return caisson_fail(err, ENOMEM, "write the image");
	output->failure->squash = &output->squash;
	if (archive_write_set_format_pax_restricted(output->archive) != ARCHIVE_OK ||
		archive_write_set_options(output->archive, "xattrheader=SCHILY") != ARCHIVE_OK ||
		archive_write_set_bytes_per_block(output->archive, BLOCK) != ARCHIVE_OK ||
		archive_write_set_bytes_in_last_block(output->archive, 1) != ARCHIVE_OK ||
		archive_write_open(output->archive, output->failure, NULL, on_write, NULL) !=
			ARCHIVE_OK)
		return explain(output, err);
	return 0;
}

static void fill_entry(struct archive_entry *entry, const struct inode *inode)
{
	archive_entry_set_mode(entry, inode->mode);
	archive_entry_set_uid(entry, inode->uid);
	archive_entry_set_gid(entry, inode->gid);
	archive_entry_set_mtime(entry, inode->mtime, 0);
	archive_entry_set_size(entry, S_ISREG(inode->mode) ? (la_int64_t)inode->size : 0);
	if (S_ISLNK(inode->mode))
		archive_entry_copy_symlink(entry, inode->target);
	if (S_ISCHR(inode->mode) || S_ISBLK(inode->mode)) {
		archive_entry_set_rdevmajor(entry, inode->device_major);
		archive_entry_set_rdevminor(entry, inode->device_minor);
	}
	for (const struct xattr *xattr = inode->xattrs; xattr != NULL; xattr = xattr->next)
		archive_entry_xattr_add_entry(entry, xattr->name, xattr->value, xattr->size);
}

/* Below the folder that becomes the root. */
static void stream_path(const struct node *node, char ret_path[static STREAM_PATH_SIZE])
{
	static const char prefix[] = SQUASH_ROOT "/";

	memcpy(ret_path, prefix, sizeof(prefix));
	node_path(node, ret_path + strlen(prefix));
}

int output_node(struct output *output, const struct node *node, struct caisson_error *err)
{
	const struct node *written = node->inode->written;
	char path[STREAM_PATH_SIZE];

	archive_entry_clear(output->entry);
	stream_path(node, path);
	archive_entry_copy_pathname(output->entry, path);
	if (written != NULL && written != node) {
		stream_path(written, path);
		archive_entry_set_mode(output->entry, S_IFREG | 0644);
		archive_entry_copy_hardlink(output->entry, path);
		archive_entry_set_size(output->entry, 0);
	} else {
		fill_entry(output->entry, node->inode);
	}
	return archive_write_header(output->archive, output->entry) < ARCHIVE_WARN
		       ? explain(output, err)
		       : 0;
}

int output_data(struct output *output, const void *data, size_t size, struct caisson_error *err)
{
	if (size > 0 && archive_write_data(output->archive, data, size) != (la_ssize_t)size)
		return explain(output, err);
	return 0;
}

int output_zeros(struct output *output, uint64_t count, struct caisson_error *err)
{
	static const char zeros[65536];
	int r = 0;

	while (r == 0 && count > 0) {
		size_t size = (size_t)MIN(count, (uint64_t)sizeof(zeros));

		r = output_data(output, zeros, size, err);
		count -= size;
	}
	return r;
}

int output_finish(struct output *output, struct caisson_error *err)
{
	if (archive_write_close(output->archive) != ARCHIVE_OK)
		return explain(output, err);
	return squash_finish(&output->squash, err);
}

void output_done(struct output *output)
{
	/* The program must not take what is there so far for the whole. */
	if (output->failure != NULL)
		output->failure->writing_failed = true;
	squash_done(&output->squash);
	archive_write_free(output->archive);
	archive_entry_free(output->entry);
	free(output->failure);
	*output = OUTPUT_NONE;
}
