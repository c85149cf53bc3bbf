/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filesystem/fill_acl.h"

#include <archive.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES_MOST 512u /* no more fit into a block */
#define ENTRY_SIZE   8u
#define NO_ID        UINT32_MAX
#define RECORD_SIZE  16384u

enum {
	TAG_USER_OBJ = 1,
	TAG_USER = 2,
	TAG_GROUP_OBJ = 4,
	TAG_GROUP = 8,
	TAG_MASK = 16,
	TAG_OTHER = 32
};

struct acl_entry {
	uint16_t tag, permissions;
	uint32_t id;
};

static uint16_t tag_of(int tag)
{
	switch (tag) {
	case ARCHIVE_ENTRY_ACL_USER_OBJ:
		return TAG_USER_OBJ;
	case ARCHIVE_ENTRY_ACL_USER:
		return TAG_USER;
	case ARCHIVE_ENTRY_ACL_GROUP_OBJ:
		return TAG_GROUP_OBJ;
	case ARCHIVE_ENTRY_ACL_GROUP:
		return TAG_GROUP;
	case ARCHIVE_ENTRY_ACL_MASK:
		return TAG_MASK;
	case ARCHIVE_ENTRY_ACL_OTHER:
		return TAG_OTHER;
	default:
		return 0;
	}
}

static uint16_t permissions_of(int permset)
{
	return (uint16_t)(((permset & ARCHIVE_ENTRY_ACL_READ) != 0 ? 4 : 0) |
			  ((permset & ARCHIVE_ENTRY_ACL_WRITE) != 0 ? 2 : 0) |
			  ((permset & ARCHIVE_ENTRY_ACL_EXECUTE) != 0 ? 1 : 0));
}

static bool number_of(const char *name, uint32_t *ret_id)
{
	unsigned long long number;
	char *stop;

	if (name[0] < '0' || name[0] > '9')
		return false;
	number = strtoull(name, &stop, 10);
	*ret_id = (uint32_t)number;
	return *stop == '\0' && number < NO_ID;
}

/* tar writes the names alone. */
static bool find_id(bool group, const char *name, uint32_t *ret_id)
{
	_cleanup_free_ char *memory = malloc(RECORD_SIZE);
	struct passwd user, *found_user = NULL;
	struct group record, *found_group = NULL;

	if (number_of(name, ret_id))
		return true;
	if (memory == NULL)
		return false;
	if (group && getgrnam_r(name, &record, memory, RECORD_SIZE, &found_group) == 0 &&
		found_group != NULL)
		*ret_id = record.gr_gid;
	else if (!group && getpwnam_r(name, &user, memory, RECORD_SIZE, &found_user) == 0 &&
		 found_user != NULL)
		*ret_id = user.pw_uid;
	return found_group != NULL || found_user != NULL;
}

static int by_tag(const void *a, const void *b)
{
	const struct acl_entry *left = a, *right = b;

	if (left->tag != right->tag)
		return left->tag < right->tag ? -1 : 1;
	return left->id < right->id ? -1 : left->id > right->id;
}

static int read_entries(struct archive_entry *entry, int type, struct acl_entry *list,
	size_t *ret_count, struct caisson_error *err)
{
	int of_type, permset, tag, id;
	const char *name;
	size_t count = 0;

	while (archive_entry_acl_next(entry, type, &of_type, &permset, &tag, &id, &name) ==
		ARCHIVE_OK) {
		struct acl_entry *one = &list[count];

		if (count == ENTRIES_MOST)
			return caisson_refuse(
				err, E2BIG, "its access control list is longer than ext4 can keep");
		*one = (struct acl_entry){
			.tag = tag_of(tag), .permissions = permissions_of(permset), .id = NO_ID};
		if (one->tag == 0)
			return caisson_refuse(
				err, EINVAL, "its access control list is not a POSIX one");
		count++;
		if (one->tag != TAG_USER && one->tag != TAG_GROUP)
			continue;
		one->id = (uint32_t)id;
		if (id < 0 && (name == NULL || !find_id(one->tag == TAG_GROUP, name, &one->id)))
			return caisson_refuse(err, EINVAL,
				"its access control list names '%.64s', who has no number here",
				name != NULL ? name : "");
	}
	qsort(list, count, sizeof(*list), by_tag);
	*ret_count = count;
	return 0;
}

static void put_le(uint8_t *to, uint32_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		to[i] = (uint8_t)(value >> 8 * i);
}

static int read_acl(struct archive_entry *entry, int type, const char *name,
	struct fill_xattrs *xattrs, mode_t *mode, struct caisson_error *err)
{
	uint8_t value[4 + ENTRIES_MOST * ENTRY_SIZE] = {2};
	struct acl_entry list[ENTRIES_MOST];
	size_t count = 0;
	int r;

	if (archive_entry_acl_reset(entry, type) == 0)
		return 0;
	r = read_entries(entry, type, list, &count, err);
	if (r < 0 || count == 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		uint8_t *to = value + 4 + i * ENTRY_SIZE;

		put_le(to, list[i].tag, 2);
		put_le(to + 2, list[i].permissions, 2);
		put_le(to + 4, list[i].id, 4);
		if (mode != NULL && list[i].tag == TAG_MASK)
			*mode = (*mode & ~(mode_t)070) | (mode_t)list[i].permissions << 3;
	}
	return fill_xattrs_add(xattrs, name, value, 4 + count * ENTRY_SIZE, err);
}

int fill_read_acls(struct archive_entry *entry, struct fill_xattrs *xattrs, mode_t *mode,
	struct caisson_error *err)
{
	int r = 0;

	if ((archive_entry_acl_types(entry) & ARCHIVE_ENTRY_ACL_TYPE_POSIX1E) == 0)
		return 0;
	r = read_acl(entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, EXT4_ACL_ACCESS, xattrs, mode, err);
	if (r == 0)
		r = read_acl(
			entry, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, EXT4_ACL_DEFAULT, xattrs, NULL, err);
	return r;
}
