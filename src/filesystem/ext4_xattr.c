/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filesystem/ext4_xattr.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#define NAME_MOST 255u

/* ext4's numbers for the fronts of names (fs/ext4/xattr.h). */
static const struct prefix {
	const char *text;
	uint8_t index;
	bool whole; /* the name is nothing more */
} prefixes[] = {
	{"user.", 1, false},
	{EXT4_ACL_ACCESS, 2, true},
	{EXT4_ACL_DEFAULT, 3, true},
	{"trusted.", 4, false},
	{"security.", 6, false},
};

struct item {
	uint8_t index, name_length;
	bool placed; /* in the inode */
	const char *name;
	const uint8_t *value;
	uint8_t *owned; /* the value, when it had to be written in another way */
	size_t size;
};

struct items {
	struct item *list;
	size_t count;
};

static void items_done(struct items *items)
{
	for (size_t i = 0; i < items->count; i++)
		free(items->list[i].owned);
	free(items->list);
}

#define _cleanup_items_ _cleanup_(items_done)

static const struct prefix *find_prefix(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		const struct prefix *prefix = &prefixes[i];
		size_t length = strlen(prefix->text);

		if (strncmp(name, prefix->text, length) == 0 &&
			(name[length] == '\0') == prefix->whole)
			return prefix;
	}
	return NULL;
}

bool ext4_xattr_known(const char *name)
{
	return find_prefix(name) != NULL;
}

/* Tags of ACL entries, in the order in which they must come. */
enum {
	ACL_USER_OBJ = 0x01,
	ACL_USER = 0x02,
	ACL_GROUP_OBJ = 0x04,
	ACL_GROUP = 0x08,
	ACL_MASK = 0x10,
	ACL_OTHER = 0x20,
};

#define ACL_FROM_VERSION 2u
#define ACL_TO_VERSION   1u
#define ACL_FROM_SIZE    8u /* tag, permissions, ID */

static uint16_t read_le16(const uint8_t *from)
{
	return (uint16_t)(from[0] | from[1] << 8);
}

/* What the kernel would not take is no ACL: each of three exactly once, a mask where there are
 * names. */
static bool acl_valid(const uint8_t *from, size_t size)
{
	unsigned last = 0, seen = 0;

	if (size < 4 || (size - 4) % ACL_FROM_SIZE != 0 || from[0] != ACL_FROM_VERSION ||
		from[1] != 0 || from[2] != 0 || from[3] != 0)
		return false;
	for (size_t at = 4; at < size; at += ACL_FROM_SIZE) {
		unsigned tag = read_le16(from + at), permissions = read_le16(from + at + 2);
		bool many = tag == ACL_USER || tag == ACL_GROUP;

		if (tag == 0 || tag > ACL_OTHER || (tag & (tag - 1)) != 0 || permissions > 7 ||
			tag < last || (tag == last && !many))
			return false;
		last = tag;
		seen |= tag;
	}
	if ((seen & (ACL_USER | ACL_GROUP)) != 0 && (seen & ACL_MASK) == 0)
		return false;
	return (seen & (ACL_USER_OBJ | ACL_GROUP_OBJ | ACL_OTHER)) ==
	       (ACL_USER_OBJ | ACL_GROUP_OBJ | ACL_OTHER);
}

/* On the disk only named entries have an ID. */
static int encode_acl(struct item *item, struct caisson_error *err)
{
	const uint8_t *from = item->value;
	uint8_t *to;

	if (!acl_valid(from, item->size))
		return caisson_refuse(err, EINVAL, "its access control list is not a valid one");
	to = item->owned = calloc(1, item->size);
	if (to == NULL)
		return caisson_fail(err, ENOMEM, "write an access control list");
	*to = ACL_TO_VERSION;
	to += 4;
	for (size_t at = 4; at < item->size; at += ACL_FROM_SIZE) {
		unsigned tag = read_le16(from + at);
		size_t length = tag == ACL_USER || tag == ACL_GROUP ? ACL_FROM_SIZE : 4;

		memcpy(to, from + at, length);
		to += length;
	}
	item->value = item->owned;
	item->size = (size_t)(to - item->owned);
	return 0;
}

/* The permission bits say the same. */
static bool acl_is_mode(const struct ext4_xattr *xattr)
{
	return strcmp(xattr->name, EXT4_ACL_ACCESS) == 0 && xattr->size == 4 + 3 * ACL_FROM_SIZE &&
	       acl_valid(xattr->value, xattr->size);
}

static int make_item(const struct ext4_xattr *xattr, struct item *item, struct caisson_error *err)
{
	const struct prefix *prefix = find_prefix(xattr->name);
	size_t length;

	if (prefix == NULL)
		return caisson_refuse(
			err, ENOTSUP, "ext4 has no extended attributes like %s", xattr->name);
	item->name = xattr->name + strlen(prefix->text);
	length = strlen(item->name);
	if (length > NAME_MOST)
		return caisson_refuse(err, E2BIG,
			"the name of one of its extended attributes is longer than %u bytes",
			NAME_MOST);
	item->name_length = (uint8_t)length;
	item->index = prefix->index;
	item->value = xattr->value;
	item->size = xattr->size;
	return prefix->whole ? encode_acl(item, err) : 0;
}

/* As ext4 sorts them in a block, to find them. */
static int by_name(const void *a, const void *b)
{
	const struct item *left = a, *right = b;

	if (left->index != right->index)
		return left->index < right->index ? -1 : 1;
	if (left->name_length != right->name_length)
		return left->name_length < right->name_length ? -1 : 1;
	return memcmp(left->name, right->name, left->name_length);
}

static int make_items(
	const struct ext4_xattr *list, size_t count, struct items *items, struct caisson_error *err)
{
	items->list = calloc(count, sizeof(*items->list));
	if (items->list == NULL)
		return caisson_fail(err, ENOMEM, "write extended attributes");
	for (size_t i = 0; i < count; i++) {
		int r;

		if (acl_is_mode(&list[i]))
			continue;
		r = make_item(&list[i], &items->list[items->count++], err);
		if (r < 0)
			return r;
	}
	qsort(items->list, items->count, sizeof(*items->list), by_name);
	for (size_t i = 1; i < items->count; i++) {
		if (by_name(&items->list[i - 1], &items->list[i]) == 0)
			return caisson_refuse(err, EBADMSG, "it has one extended attribute twice");
	}
	return 0;
}

/* Entries grow from the front of an area, values from its end, and a zero word is between. */
struct area {
	uint8_t *start; /* what offsets of values count from */
	uint8_t *entry, *value;
};

static bool area_add(struct area *area, const struct item *item, struct ext2_ext_attr_entry **ret)
{
	size_t room = (size_t)(area->value - area->entry);
	size_t value = EXT2_EXT_ATTR_SIZE(item->size);
	struct ext2_ext_attr_entry *entry = (void *)area->entry;

	if (item->size > EXT4_BLOCK_SIZE ||
		EXT2_EXT_ATTR_LEN(item->name_length) + value + sizeof(uint32_t) > room)
		return false;
	area->value -= value;
	area->entry += EXT2_EXT_ATTR_LEN(item->name_length);
	*entry = (struct ext2_ext_attr_entry){
		.e_name_len = item->name_length,
		.e_name_index = item->index,
		.e_value_offs = htole16(item->size > 0 ? (uint16_t)(area->value - area->start) : 0),
		.e_value_size = htole32((uint32_t)item->size),
	};
	memcpy(EXT2_EXT_ATTR_NAME(entry), item->name, item->name_length);
	if (item->size > 0)
		memcpy(area->value, item->value, item->size);
	*ret = entry;
	return true;
}

/* Returns how many are left. */
static size_t fill_inode(union ext4_inode *inode, struct items *items)
{
	size_t begin = EXT2_GOOD_OLD_INODE_SIZE + inode->fields.i_extra_isize;
	size_t left = items->count;
	struct ext2_ext_attr_entry *entry;
	struct area area;
	uint32_t magic = htole32(EXT2_EXT_ATTR_MAGIC);

	memset(inode->bytes + begin, 0, sizeof(*inode) - begin);
	area.start = area.entry = inode->bytes + begin + sizeof(magic);
	area.value = inode->bytes + sizeof(*inode);
	for (size_t i = 0; i < items->count; i++) {
		items->list[i].placed = area_add(&area, &items->list[i], &entry);
		left -= items->list[i].placed;
	}
	if (left < items->count)
		memcpy(inode->bytes + begin, &magic, sizeof(magic));
	return left;
}

static int fill_block(uint8_t *block, const struct items *items, struct caisson_error *err)
{
	struct ext2_ext_attr_header *header = (void *)block;
	struct area area = {
		.start = block, .entry = block + sizeof(*header), .value = block + EXT4_BLOCK_SIZE};
	uint32_t hash = 0;

	for (size_t i = 0; i < items->count; i++) {
		struct ext2_ext_attr_entry *entry;
		uint32_t own;

		if (items->list[i].placed)
			continue;
		if (!area_add(&area, &items->list[i], &entry))
			return caisson_refuse(err, E2BIG,
				"its extended attributes are more than ext4 has room for (about %u "
				"bytes a file)",
				EXT4_BLOCK_SIZE);
		own = ext2fs_ext_attr_hash_entry(entry, area.value);
		entry->e_hash = htole32(own);
		hash = (hash << 16 | hash >> 16) ^ own;
	}
	header->h_magic = htole32(EXT2_EXT_ATTR_MAGIC);
	header->h_refcount = htole32(1);
	header->h_blocks = htole32(1);
	header->h_hash = htole32(hash);
	return 0;
}

static int write_block(struct ext4_writer *writer, ext2_ino_t number, union ext4_inode *inode,
	const struct items *items, struct caisson_error *err)
{
	_cleanup_free_ uint8_t *image = calloc(1, EXT4_BLOCK_SIZE);
	uint64_t block;
	uint32_t count;
	int r;

	if (image == NULL)
		return caisson_fail(err, ENOMEM, "write extended attributes");
	r = fill_block(image, items, err);
	if (r == 0)
		r = ext4_allocate(writer, 1, &block, &count, err);
	if (r < 0)
		return r;
	(void)ext2fs_ext_attr_block_csum_set(ext4_writer_fs(writer), number, block,
		(struct ext2_ext_attr_header *)(void *)image);
	inode->fields.i_file_acl = (uint32_t)block;
	inode->fields.osd2.linux2.l_i_file_acl_high = (uint16_t)(block >> 32);
	ext4_add_blocks(inode, 1);
	return ext4_write_block(writer, block, image, err);
}

int ext4_set_xattrs(struct ext4_writer *writer, ext2_ino_t number, union ext4_inode *inode,
	const struct ext4_xattr *list, size_t count, struct caisson_error *err)
{
	_cleanup_items_ struct items items = {0};
	int r = count > 0 ? make_items(list, count, &items, err) : 0;

	if (r < 0 || items.count == 0)
		return r;
	return fill_inode(inode, &items) > 0 ? write_block(writer, number, inode, &items, err) : 0;
}
