/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inspect/diff.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "inspect/rootfs.h"

struct comparison {
	int (*each)(const struct caisson_initramfs_difference *difference, void *userdata);
	void *userdata;
	int count;
};

static bool same_data(const struct rootfs_file *a, const struct rootfs_file *b)
{
	return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

static unsigned int compare(const struct rootfs_file *a, const struct rootfs_file *b)
{
	unsigned int what = 0;

	if (((a->mode ^ b->mode) & S_IFMT) != 0)
		return CAISSON_INITRAMFS_TYPE;
	/* The kernel gives every link the same mode. */
	if (((a->mode ^ b->mode) & 07777) != 0 && !S_ISLNK(a->mode))
		what |= CAISSON_INITRAMFS_MODE;
	if (a->uid != b->uid || a->gid != b->gid)
		what |= CAISSON_INITRAMFS_OWNER;
	if (S_ISREG(a->mode) && !same_data(a, b))
		what |= CAISSON_INITRAMFS_CONTENT;
	if (S_ISLNK(a->mode) && !same_data(a, b))
		what |= CAISSON_INITRAMFS_TARGET;
	if ((S_ISCHR(a->mode) || S_ISBLK(a->mode)) &&
		(a->major != b->major || a->minor != b->minor))
		what |= CAISSON_INITRAMFS_DEVICE;
	return what;
}

/* The public form; @target is kept for it. */
static int to_public(const struct rootfs_entry *entry, const struct rootfs_file *file,
	struct caisson_initramfs_entry *ret_entry, char **target)
{
	*ret_entry = (struct caisson_initramfs_entry){.path = entry->path,
		.mode = file->mode,
		.size = file->size,
		.major = file->major,
		.minor = file->minor};
	if (!S_ISLNK(file->mode))
		return 0;
	*target = strndup((const char *)file->data, file->size);
	ret_entry->target = *target;
	return *target != NULL ? 0 : -ENOMEM;
}

/* An entry of both, or (the other one is NULL) of one alone. */
static unsigned int kind(const struct rootfs *root_a, const struct rootfs_entry *a,
	const struct rootfs *root_b, const struct rootfs_entry *b)
{
	if (a == NULL)
		return CAISSON_INITRAMFS_ADDED;
	if (b == NULL)
		return CAISSON_INITRAMFS_REMOVED;
	return compare(&root_a->files[a->file], &root_b->files[b->file]);
}

static int tell(struct comparison *comparison, const struct rootfs *root_a,
	const struct rootfs_entry *a, const struct rootfs *root_b, const struct rootfs_entry *b)
{
	_cleanup_free_ char *target_a = NULL, *target_b = NULL;
	struct caisson_initramfs_entry public_a, public_b;
	struct caisson_initramfs_difference difference = {.what = kind(root_a, a, root_b, b)};
	int r = 0;

	if (difference.what == 0)
		return 0;
	if (a != NULL) {
		r = to_public(a, &root_a->files[a->file], &public_a, &target_a);
		difference.a = &public_a;
		difference.path = a->path;
	}
	if (b != NULL && r == 0) {
		r = to_public(b, &root_b->files[b->file], &public_b, &target_b);
		difference.b = &public_b;
		difference.path = b->path;
	}
	if (r < 0)
		return r;
	comparison->count++;
	return comparison->each(&difference, comparison->userdata);
}

int initramfs_diff(int a, const char *what_a, int b, const char *what_b,
	int (*each)(const struct caisson_initramfs_difference *difference, void *userdata),
	void *userdata, struct caisson_error *err)
{
	_cleanup_rootfs_ struct rootfs root_a = ROOTFS_NONE, root_b = ROOTFS_NONE;
	struct comparison comparison = {each, userdata, 0};
	size_t i = 0, k = 0;
	int r = rootfs_open(a, what_a, &root_a, err);

	if (r == 0)
		r = rootfs_open(b, what_b, &root_b, err);
	if (r < 0)
		return r;
	while (i < root_a.count || k < root_b.count) {
		const struct rootfs_entry *from = i < root_a.count ? &root_a.entries[i] : NULL;
		const struct rootfs_entry *to = k < root_b.count ? &root_b.entries[k] : NULL;
		int order = from == NULL ? 1 : to == NULL ? -1 : strcmp(from->path, to->path);

		r = tell(&comparison, &root_a, order <= 0 ? from : NULL, &root_b,
			order >= 0 ? to : NULL);
		if (r == -ENOMEM)
			return caisson_fail(err, ENOMEM, "compare %s and %s", what_a, what_b);
		if (r < 0)
			return r;
		i += order <= 0;
		k += order >= 0;
	}
	return comparison.count;
}
