/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filesystem/fill.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "filesystem/ext4_file.h"
#include "filesystem/ext4_folder.h"
#include "filesystem/ext4_io.h"
#include "filesystem/fill_inode.h"
#include "filesystem/fill_names.h"
#include "filesystem/fill_tally.h"

#define LOST_FOUND "lost+found"

struct fill {
	struct ext4_writer *writer;
	struct fill_source *source;
	struct fill_names *names;
	struct fill_walk walk;
	struct fill_counts counts;
	ext2_ino_t lost_found;
	bool full; /* no room for folders */
	uint8_t *buffer;
};

static void fill_done(struct fill *fill)
{
	ext4_writer_freep(&fill->writer);
	fill_names_freep(&fill->names);
	free(fill->buffer);
}

#define _cleanup_fill_ _cleanup_(fill_done)

/* Puts the file's name in front of a sentence; it may be a stranger's. */
static int blame(const char *path, struct caisson_error *err)
{
	char text[256];

	snprintf(text, sizeof(text), "%s", path);
	text_flatten(text);
	return caisson_wrap(err, "%s", text[0] != '\0' ? text : "/");
}

/* Folders are written last: there must be room for what they have grown to. */
static int check_room(struct fill *fill, struct caisson_error *err)
{
	uint64_t blocks =
		fill_folder_blocks(fill_names_bytes(fill->names), fill_names_folders(fill->names));

	fill->full = blocks > ext4_free_blocks(fill->writer);
	return fill->full ? caisson_fail(err, ENOSPC, "the filesystem is full") : 0;
}

static int add_name(struct fill *fill, uint32_t parent, const char *name, size_t length,
	ext2_ino_t number, uint8_t type, struct caisson_error *err)
{
	uint32_t index;
	int r = fill_names_add(fill->names, parent, name, length, number, type, &index, err);

	return r < 0 ? r : check_room(fill, err);
}

/* A folder that the archive does not tell of, but puts something into. */
static int make_folder(struct fill_walk *walk, uint32_t parent, const char *text, size_t length,
	uint32_t *ret_index, struct caisson_error *err)
{
	struct fill *fill = walk->userdata;
	struct fill_entry entry = {.mode = S_IFDIR | 0755,
		.mtime.tv_sec = ext4_writer_fs(fill->writer)->super->s_mkfs_time,
		.fd = -1};
	ext2_ino_t number;
	int r = fill_inode(fill->writer, fill->source, &entry, fill->buffer, &number, err);

	if (r == 0)
		r = add_name(fill, parent, text, length, number, EXT2_FT_DIR, err);
	if (r < 0)
		return r;
	fill->counts.folders++;
	*ret_index = fill_names_find(fill->names, parent, text, length);
	return 0;
}

static int read_link(
	struct fill_walk *walk, uint32_t index, char **ret_target, struct caisson_error *err)
{
	struct fill *fill = walk->userdata;
	ext2_filsys fs = ext4_writer_fs(fill->writer);
	ext2_ino_t number = fill_names_get(walk->names, index)->inode;
	_cleanup_free_ char *target = calloc(1, EXT4_BLOCK_SIZE);
	union ext4_inode inode;
	blk64_t block;
	int r = ext4_read_inode(fill->writer, number, &inode, err);

	if (r < 0)
		return r;
	if (target == NULL)
		return caisson_fail(err, ENOMEM, "follow a link");
	if ((inode.fields.i_flags & EXT4_EXTENTS_FL) == 0) {
		memcpy(target, inode.fields.i_block, sizeof(inode.fields.i_block));
	} else {
		errcode_t code = ext2fs_bmap2(
			fs, number, (struct ext2_inode *)inode.bytes, NULL, 0, 0, NULL, &block);

		if (code == 0)
			code = io_channel_read_blk64(fs->io, block, 1, target);
		if (code != 0)
			return ext4_io_fail(fs, code, "follow a link", err);
	}
	*ret_target = take_ptr(target);
	return 0;
}

/* One name less for an inode. */
static int drop_link(struct fill *fill, ext2_ino_t number, struct caisson_error *err)
{
	union ext4_inode inode;
	int r = ext4_read_inode(fill->writer, number, &inode, err);

	if (r < 0)
		return r;
	if (LINUX_S_ISDIR(inode.fields.i_mode) || inode.fields.i_links_count <= 1)
		return ext4_remove_inode(fill->writer, number, err);
	inode.fields.i_links_count--;
	return ext4_write_inode(fill->writer, number, &inode, err);
}

/* @number gets the name, whoever had it: as unpacking an archive over itself would do. */
static int set_name(struct fill *fill, uint32_t parent, const char *name, size_t length,
	ext2_ino_t number, uint8_t type, struct caisson_error *err)
{
	uint32_t index = fill_names_find(fill->names, parent, name, length);
	ext2_ino_t before;

	if (index == FILL_NONE)
		return add_name(fill, parent, name, length, number, type, err);
	before = fill_names_get(fill->names, index)->inode;
	fill_names_replace(fill->names, index, number, type);
	return drop_link(fill, before, err);
}

static int check_replace(const struct fill *fill, uint32_t index, struct caisson_error *err)
{
	const struct fill_name *name = fill_names_get(fill->names, index);

	if (name->type != EXT2_FT_DIR)
		return 0;
	if (name->inode == fill->lost_found)
		return caisson_refuse(
			err, EEXIST, "this is a folder in every filesystem of this kind");
	if (name->first != FILL_NONE)
		return caisson_refuse(err, ENOTEMPTY,
			"the archive puts something else in the place of a folder that is not "
			"empty");
	return 0;
}

static int add_hard_link(struct fill *fill, const struct fill_entry *entry, uint32_t parent,
	const char *name, size_t length, struct caisson_error *err)
{
	struct fill_walk walk = fill->walk;
	const struct fill_name *target;
	uint32_t target_parent, index = FILL_NONE, number;
	const char *target_name;
	size_t target_length;
	union ext4_inode inode;
	uint8_t type;
	int r;

	walk.make = NULL;
	r = fill_walk_path(
		&walk, entry->hard_link, &target_parent, &target_name, &target_length, err);
	if (r == 0)
		index = fill_names_find(fill->names, target_parent, target_name, target_length);
	if (r == -ENOENT || (r == 0 && index == FILL_NONE))
		return caisson_refuse(err, EBADMSG,
			"it is a hard link to a file that the archive does not hold, or holds only "
			"later: %.200s",
			entry->hard_link);
	if (r < 0)
		return r;
	target = fill_names_get(fill->names, index);
	number = target->inode;
	type = target->type;
	if (target_parent == parent && target_length == length &&
		memcmp(target_name, name, length) == 0)
		return 0;
	if (type == EXT2_FT_DIR)
		return caisson_refuse(err, EBADMSG, "it is a hard link to a folder");
	r = ext4_read_inode(fill->writer, number, &inode, err);
	if (r < 0)
		return r;
	if (inode.fields.i_links_count >= EXT4_LINKS_MOST)
		return caisson_refuse(
			err, EMLINK, "a file of ext4 has at most %u names", EXT4_LINKS_MOST);
	inode.fields.i_links_count++;
	r = ext4_write_inode(fill->writer, number, &inode, err);
	return r < 0 ? r : set_name(fill, parent, name, length, number, type, err);
}

/* What is said of a folder that is there already: of the root, say. */
static int update_folder(struct fill *fill, ext2_ino_t number, const struct fill_entry *entry,
	struct caisson_error *err)
{
	union ext4_inode inode;
	int r = ext4_read_inode(fill->writer, number, &inode, err);

	if (r == 0)
		r = ext4_io_fail(ext4_writer_fs(fill->writer),
			ext2fs_free_ext_attr(ext4_writer_fs(fill->writer), number, &inode.fields),
			"give back extended attributes", err);
	if (r == 0)
		r = fill_attributes(fill->writer, number, &inode, entry, err);
	return r < 0 ? r : ext4_write_inode(fill->writer, number, &inode, err);
}

static void count(struct fill_counts *counts, const struct fill_entry *entry)
{
	if (S_ISDIR(entry->mode))
		counts->folders++;
	else if (S_ISLNK(entry->mode))
		counts->links++;
	else if (S_ISREG(entry->mode) || entry->hard_link != NULL)
		counts->files++;
	else
		counts->others++;
	if (S_ISREG(entry->mode) && entry->hard_link == NULL)
		counts->bytes += entry->size;
}

static int add_entry(struct fill *fill, const struct fill_entry *entry, struct caisson_error *err)
{
	uint8_t type = fill_type(entry->mode);
	uint32_t parent, index;
	const char *name;
	ext2_ino_t number;
	size_t length;
	int r = fill_walk_path(&fill->walk, entry->path, &parent, &name, &length, err);

	if (r < 0)
		return r;
	if (type == 0 && entry->hard_link == NULL)
		return caisson_refuse(err, EBADMSG, "it is of no kind that a file can be of");
	index = length > 0 ? fill_names_find(fill->names, parent, name, length) : FILL_ROOT;
	if (length == 0 && (type != EXT2_FT_DIR || entry->hard_link != NULL))
		return caisson_refuse(err, EBADMSG, "the archive's root is no folder");
	if (length > 0)
		count(&fill->counts, entry);
	if (index != FILL_NONE && entry->hard_link == NULL && type == EXT2_FT_DIR &&
		fill_names_get(fill->names, index)->type == EXT2_FT_DIR)
		return update_folder(fill, fill_names_get(fill->names, index)->inode, entry, err);
	r = index != FILL_NONE ? check_replace(fill, index, err) : 0;
	if (r < 0)
		return r;
	if (entry->hard_link != NULL)
		return add_hard_link(fill, entry, parent, name, length, err);
	r = fill_inode(fill->writer, fill->source, entry, fill->buffer, &number, err);
	return r < 0 ? r : set_name(fill, parent, name, length, number, type, err);
}

/* In the order in which they came; the list has the last one first. */
static size_t collect_names(
	const struct fill_names *names, uint32_t folder, struct ext4_name *list, size_t count_all)
{
	size_t at = count_all;

	for (uint32_t i = fill_names_get(names, folder)->first; i != FILL_NONE;
		i = fill_names_get(names, i)->next) {
		const struct fill_name *name = fill_names_get(names, i);

		list[--at] = (struct ext4_name){.name = fill_names_text(names, i),
			.length = name->length,
			.type = name->type,
			.inode = name->inode};
	}
	return at;
}

static size_t count_names(const struct fill_names *names, uint32_t folder)
{
	size_t total = 0;

	for (uint32_t i = fill_names_get(names, folder)->first; i != FILL_NONE;
		i = fill_names_get(names, i)->next)
		total++;
	return total;
}

static int write_folder(struct fill *fill, uint32_t folder, struct caisson_error *err)
{
	const struct fill_name *name = fill_names_get(fill->names, folder);
	size_t total = count_names(fill->names, folder);
	_cleanup_free_ struct ext4_name *list = calloc(total + 1, sizeof(*list));
	union ext4_inode inode;
	int r;

	if (list == NULL)
		return caisson_fail(err, ENOMEM, "write a folder");
	/* mke2fs has made it with room for what e2fsck may find. */
	if (name->inode == fill->lost_found && total == 0)
		return 0;
	(void)collect_names(fill->names, folder, list, total);
	r = ext4_read_inode(fill->writer, name->inode, &inode, err);
	if (r == 0)
		r = ext4_remove_data(fill->writer, name->inode, &inode, err);
	if (r == 0)
		r = ext4_write_folder(fill->writer, name->inode,
			fill_names_get(fill->names, name->parent)->inode, list, total, &inode, err);
	if (r < 0)
		return r;
	/* 1: more than can be counted (dir_nlink). */
	inode.fields.i_links_count =
		name->folders + 2 < EXT4_LINKS_MOST ? (uint16_t)(name->folders + 2) : 1;
	return ext4_write_inode(fill->writer, name->inode, &inode, err);
}

static int write_folders(struct fill *fill, struct caisson_error *err)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < fill_names_count(fill->names); i++) {
		if (fill_names_get(fill->names, i)->type == EXT2_FT_DIR)
			r = write_folder(fill, i, err);
	}
	return r;
}

static int begin(
	struct fill *fill, struct blocks *payload, struct transfer *bulk, struct caisson_error *err)
{
	int r = ext4_writer_open(payload, bulk, &fill->writer, err);
	ext2_filsys fs;

	if (r == 0)
		r = fill_names_new(EXT2_ROOT_INO, &fill->names, err);
	fill->buffer = malloc(FILL_BUFFER_SIZE);
	if (r == 0 && fill->buffer == NULL)
		r = caisson_fail(err, ENOMEM, "fill a filesystem");
	if (r < 0)
		return r;
	fill->walk = (struct fill_walk){
		.names = fill->names, .make = make_folder, .link = read_link, .userdata = fill};
	fs = ext4_writer_fs(fill->writer);
	if (ext2fs_lookup(fs, EXT2_ROOT_INO, LOST_FOUND, strlen(LOST_FOUND), NULL,
		    &fill->lost_found) == 0)
		r = add_name(fill, FILL_ROOT, LOST_FOUND, strlen(LOST_FOUND), fill->lost_found,
			EXT2_FT_DIR, err);
	/* Archives are read to no more than a few times what can come of them. */
	fill->source->most = 4 * payload->size + (64u << 20);
	return r;
}

/* Goes on reading, to say how much more room all of it would take. */
static int tell_missing(struct fill *fill, struct fill_entry *entry, struct caisson_error *err)
{
	struct fill_tally tally = {0};
	uint64_t room = ext4_free_blocks(fill->writer) * EXT4_BLOCK_SIZE, need;
	const char *what = fill->source->what;
	int r = 1;

	while (r > 0) {
		r = fill_tally_add(&tally, entry, NULL);
		if (r == 0)
			r = fill->source->ops->next(fill->source, entry, NULL);
	}
	tally.folders += fill_names_folders(fill->names);
	tally.names += fill_names_bytes(fill->names);
	need = fill_tally_bytes(&tally);
	if (r < 0 || need <= room)
		return caisson_refuse(
			err, ENOSPC, "what is in %s needs more room than the volume has", what);
	need = (need - room + (1u << 20) - 1) >> 20;
	return caisson_refuse(err, ENOSPC,
		"what is in %s needs more room than the volume has: about %llu MiB more", what,
		(unsigned long long)(need + need / 10 + 1));
}

static int add_all(struct fill *fill, struct caisson_error *err)
{
	struct fill_source *source = fill->source;
	struct fill_entry entry;
	int r;

	while ((r = source->ops->next(source, &entry, err)) > 0) {
		r = add_entry(fill, &entry, err);
		if (r == -ENOSPC && (fill->full || ext4_is_full(fill->writer)))
			return tell_missing(fill, &entry, err);
		if (r < 0)
			return blame(entry.path, err);
	}
	return r;
}

int fill_ext4(struct blocks *payload, struct transfer *bulk, struct fill_source *source,
	const struct fill_options *options, struct caisson_error *err)
{
	_cleanup_fill_ struct fill fill = {.source = source};
	int r = begin(&fill, payload, bulk, err);

	if (r == 0)
		r = add_all(&fill, err);
	if (r == 0)
		r = write_folders(&fill, err);
	if (r == 0)
		r = ext4_writer_finish(fill.writer, err);
	if (r == 0 && options != NULL && options->ret_counts != NULL)
		*options->ret_counts = fill.counts;
	return r;
}
