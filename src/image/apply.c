/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One entry of a layer, whoever wrote it, becomes a change of the tree, or is refused. */
#include <archive.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/macros.h"
#include "image/flatten.h"

#define WHITEOUT         ".wh."
#define WHITEOUT_META    ".wh..wh."
#define WHITEOUT_OPAQUE  ".wh..wh..opq"

#define XATTR_SIZE_MOST  65536 /* Linux: XATTR_SIZE_MAX */
#define XATTR_COUNT_MOST 256
#define MAJOR_MOST       0xfffu /* what a squashfs inode holds */
#define MINOR_MOST       0xfffffu

/*
 * Cleans a name: "./a//b/" and "/a/b" become "a/b", the root becomes "". As with every other reader
 * of images a leading slash means the image's root; a ".." is never needed and always refused.
 */
static int clean_path(
	const char *raw, char ret_path[static TREE_PATH_MOST + 1], struct caisson_error *err)
{
	size_t used = 0;

	for (const char *from = raw; *from != '\0';) {
		size_t length = strcspn(from, "/");

		if (length == 2 && from[0] == '.' && from[1] == '.')
			return caisson_refuse(err, EBADMSG, "it climbs out of the image with '..'");
		if (length > TREE_NAME_MOST)
			return caisson_refuse(err, EBADMSG, "a name in it is longer than %d bytes",
				TREE_NAME_MOST);
		if (length > 0 && !(length == 1 && from[0] == '.')) {
			if (used + 1 + length > TREE_PATH_MOST)
				return caisson_refuse(err, EBADMSG,
					"its path is longer than %d bytes", TREE_PATH_MOST);
			if (used > 0)
				ret_path[used++] = '/';
			memcpy(ret_path + used, from, length);
			used += length;
		}
		from += length + (from[length] == '/');
	}
	ret_path[used] = '\0';
	return 0;
}

/* Cuts a clean path in two; returns the last name. */
static const char *split_path(char *path, const char **ret_folder)
{
	char *slash = strrchr(path, '/');

	if (slash == NULL) {
		*ret_folder = "";
		return path;
	}
	*slash = '\0';
	*ret_folder = path;
	return slash + 1;
}

static int hide(struct tree *tree, const char *folder, const char *name, uint32_t layer,
	struct caisson_error *err)
{
	bool opaque = strcmp(name, WHITEOUT_OPAQUE) == 0;
	const char *hidden = name + strlen(WHITEOUT);
	struct node *node = NULL, *child = NULL;
	int r;

	/* Other names of this kind are AUFS's own notes. */
	if (!opaque && strncmp(name, WHITEOUT_META, strlen(WHITEOUT_META)) == 0)
		return 0;
	if (hidden[0] == '\0' || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0)
		return caisson_refuse(err, EBADMSG, "it is a whiteout of nothing");
	r = tree_folder(tree, folder, layer, false, &node, err);
	if (r < 0 || node == NULL)
		return r;
	if (opaque)
		return tree_hide_children(tree, node, layer, err);
	r = tree_child(tree, node, hidden, &child, err);
	if (r < 0 || child == NULL)
		return r;
	return tree_hide(tree, child, layer, err);
}

static int apply_hard_link(struct tree *tree, struct node *folder, const char *name, uint32_t layer,
	const char *raw_target, struct caisson_error *err)
{
	char path[TREE_PATH_MOST + 1];
	const char *target_folder, *target_name;
	struct node *target = NULL;
	int r = clean_path(raw_target, path, err);

	if (r < 0)
		return caisson_wrap(err, "it is a hard link to '%.200s'", raw_target);
	target_name = split_path(path, &target_folder);
	r = tree_folder(tree, target_folder, layer, false, &target, err);
	if (r == 0 && target != NULL)
		r = tree_child(tree, target, target_name, &target, err);
	if (r < 0)
		return caisson_wrap(err, "it is a hard link to '%.200s'", raw_target);
	if (target == NULL || S_ISDIR(target->inode->mode))
		return caisson_refuse(err, EBADMSG, "it is a hard link to '%.200s', which is %s",
			raw_target, target == NULL ? "not in the image" : "a folder");
	return tree_put(tree, folder, name, layer, target->inode, err);
}

/*
 * Squashfs knows these three namespaces. Notes that an overlayfs left for itself would be orders to
 * the overlayfs that the image becomes part of.
 */
static bool keeps_xattr(const char *name)
{
	static const char *const kept[] = {"user.", "trusted.", "security."};
	static const char *const dropped[] = {"user.overlay.", "trusted.overlay."};

	if (strlen(name) > TREE_NAME_MOST || strpbrk(name, "=\n") != NULL)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(dropped); i++) {
		if (strncmp(name, dropped[i], strlen(dropped[i])) == 0)
			return false;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		size_t length = strlen(kept[i]);

		if (strncmp(name, kept[i], length) == 0 && name[length] != '\0')
			return true;
	}
	return false;
}

static int copy_xattrs(struct tree *tree, struct archive_entry *entry, struct inode *inode,
	struct caisson_error *err)
{
	const char *name;
	const void *value;
	size_t size;
	int r = 0;

	if (archive_entry_xattr_reset(entry) > XATTR_COUNT_MOST)
		return caisson_refuse(
			err, EBADMSG, "it has more than %d extended attributes", XATTR_COUNT_MOST);
	while (r == 0 && archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
		if (name == NULL || !keeps_xattr(name))
			continue;
		if (size > XATTR_SIZE_MOST)
			return caisson_refuse(err, EBADMSG,
				"its extended attribute %s is longer than %d bytes", name,
				XATTR_SIZE_MOST);
		r = tree_add_xattr(tree, inode, name, value, size, err);
	}
	return r;
}

static int copy_device(struct archive_entry *entry, struct inode *inode, struct caisson_error *err)
{
	uint64_t major = (uint64_t)archive_entry_rdevmajor(entry);
	uint64_t minor = (uint64_t)archive_entry_rdevminor(entry);

	if (major > MAJOR_MOST || minor > MINOR_MOST)
		return caisson_refuse(err, EBADMSG,
			"its device number %llu:%llu is larger than a squashfs can hold",
			(unsigned long long)major, (unsigned long long)minor);
	inode->device_major = (uint32_t)major;
	inode->device_minor = (uint32_t)minor;
	return 0;
}

static int copy_link(struct tree *tree, struct archive_entry *entry, struct inode *inode,
	struct caisson_error *err)
{
	const char *target = archive_entry_symlink(entry);

	if (target == NULL || target[0] == '\0' || strlen(target) > TREE_PATH_MOST)
		return caisson_refuse(err, EBADMSG,
			"it is a symbolic link whose target is empty or longer than %d bytes",
			TREE_PATH_MOST);
	return tree_set_target(tree, inode, target, err);
}

static int copy_type(struct tree *tree, struct archive_entry *entry, struct inode *inode,
	struct caisson_error *err)
{
	/* libarchive's types are Linux's numbers (archive_entry.h: AE_IFMT). */
	inode->mode = archive_entry_filetype(entry) | (archive_entry_perm(entry) & 07777u);
	switch (inode->mode & S_IFMT) {
	case S_IFREG:
		inode->size = (uint64_t)MAX(archive_entry_size(entry), (la_int64_t)0);
		return 0;
	case S_IFDIR:
	case S_IFIFO:
		return 0;
	case S_IFLNK:
		return copy_link(tree, entry, inode, err);
	case S_IFCHR:
	case S_IFBLK:
		return copy_device(entry, inode, err);
	default:
		return caisson_refuse(
			err, EBADMSG, "it is of a kind that does not belong in an image");
	}
}

static int fill_inode(struct tree *tree, struct archive_entry *entry, struct inode *inode,
	struct caisson_error *err)
{
	la_int64_t uid = archive_entry_uid(entry), gid = archive_entry_gid(entry);
	la_int64_t mtime = archive_entry_mtime(entry);
	int r = copy_type(tree, entry, inode, err);

	if (r < 0)
		return r;
	/* The last number means "no change" to chown(2). */
	if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
		return caisson_refuse(
			err, EBADMSG, "its owner or group is not a number below 2^32 - 1");
	inode->uid = (uid_t)uid;
	inode->gid = (gid_t)gid;
	/* Squashfs has 32 bits without a sign. */
	mtime = MAX(mtime, (la_int64_t)0);
	inode->mtime = (uint32_t)MIN(mtime, (la_int64_t)UINT32_MAX);
	return copy_xattrs(tree, entry, inode, err);
}

static int apply_file(struct tree *tree, struct node *folder, const char *name,
	struct archive_entry *entry, uint32_t layer, uint32_t ordinal, struct caisson_error *err)
{
	struct inode *inode;
	int r = tree_inode(tree, &inode, err);

	if (r < 0)
		return r;
	inode->layer = layer;
	inode->ordinal = ordinal;
	r = fill_inode(tree, entry, inode, err);
	if (r == 0 && name[0] == '\0' && !S_ISDIR(inode->mode))
		r = caisson_refuse(err, EBADMSG, "it would put a file in the place of the root");
	if (r == 0 && name[0] == '\0')
		tree_put_root(tree, inode);
	else if (r == 0)
		r = tree_put(tree, folder, name, layer, inode, err);
	if (r < 0)
		tree_drop_inode(tree, inode);
	return r;
}

static int apply_named(struct tree *tree, struct archive_entry *entry, const char *raw,
	uint32_t layer, uint32_t ordinal, struct caisson_error *err)
{
	char path[TREE_PATH_MOST + 1];
	const char *folder_path, *name, *link = archive_entry_hardlink(entry);
	struct node *folder = NULL;
	int r = clean_path(raw, path, err);

	if (r < 0)
		return r;
	name = split_path(path, &folder_path);
	if (strncmp(name, WHITEOUT, strlen(WHITEOUT)) == 0)
		return hide(tree, folder_path, name, layer, err);
	r = tree_folder(tree, folder_path, layer, true, &folder, err);
	if (r < 0)
		return r;
	if (link != NULL && name[0] == '\0')
		return caisson_refuse(err, EBADMSG, "it would put a file in the place of the root");
	if (link != NULL)
		return apply_hard_link(tree, folder, name, layer, link, err);
	return apply_file(tree, folder, name, entry, layer, ordinal, err);
}

int apply_entry(struct tree *tree, struct archive_entry *entry, uint32_t layer, uint32_t ordinal,
	struct caisson_error *err)
{
	const char *raw = archive_entry_pathname(entry);
	int r;

	if (raw == NULL)
		return caisson_refuse(
			err, EBADMSG, "entry %u has no name that can be read", ordinal + 1);
	r = apply_named(tree, entry, raw, layer, ordinal, err);
	return r < 0 ? caisson_wrap(err, "the entry '%.300s'", raw) : 0;
}
