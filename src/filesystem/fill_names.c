/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filesystem/fill_names.h"

#include <errno.h>
#include <ext2fs/ext2fs.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "filesystem/ext4_folder.h"

#define BUCKETS_LEAST 1024u

struct fill_names {
	struct fill_name *list;
	uint32_t count, capacity;
	uint32_t *buckets, bucket_count; /* a power of 2 */
	char *heap;
	uint64_t heap_size, heap_capacity;
	uint64_t bytes;
	uint32_t folders;
	uint8_t key[crypto_shorthash_KEYBYTES];
};

int fill_names_new(uint32_t root, struct fill_names **ret_names, struct caisson_error *err)
{
	_cleanup_(fill_names_freep) struct fill_names *names = calloc(1, sizeof(*names));

	if (names == NULL)
		return caisson_fail(err, ENOMEM, "keep the names of files");
	names->bucket_count = BUCKETS_LEAST;
	names->buckets = malloc(BUCKETS_LEAST * sizeof(*names->buckets));
	names->capacity = BUCKETS_LEAST;
	names->list = calloc(names->capacity, sizeof(*names->list));
	if (names->buckets == NULL || names->list == NULL)
		return caisson_fail(err, ENOMEM, "keep the names of files");
	memset(names->buckets, 0xff, BUCKETS_LEAST * sizeof(*names->buckets));
	randombytes_buf(names->key, sizeof(names->key));
	names->list[names->count++] = (struct fill_name){.inode = root,
		.parent = FILL_ROOT,
		.first = FILL_NONE,
		.next = FILL_NONE,
		.type = EXT2_FT_DIR};
	names->folders = 1;
	*ret_names = take_ptr(names);
	return 0;
}

void fill_names_free(struct fill_names *names)
{
	if (names == NULL)
		return;
	free(names->list);
	free(names->buckets);
	free(names->heap);
	free(names);
}

uint32_t fill_names_count(const struct fill_names *names)
{
	return names->count;
}

uint64_t fill_names_bytes(const struct fill_names *names)
{
	return names->bytes;
}

uint32_t fill_names_folders(const struct fill_names *names)
{
	return names->folders;
}

const struct fill_name *fill_names_get(const struct fill_names *names, uint32_t index)
{
	return &names->list[index];
}

const char *fill_names_text(const struct fill_names *names, uint32_t index)
{
	return names->heap + names->list[index].text;
}

/* Of the folder and the name, under a key of our own: whoever chose the names could else have them
   all in one bucket. */
static uint32_t hash_name(
	const struct fill_names *names, uint32_t parent, const char *text, size_t length)
{
	uint8_t data[sizeof(parent) + FILL_NAME_MOST], hash[crypto_shorthash_BYTES];

	length = MIN(length, (size_t)FILL_NAME_MOST);
	memcpy(data, &parent, sizeof(parent));
	memcpy(data + sizeof(parent), text, length);
	crypto_shorthash(hash, data, sizeof(parent) + length, names->key);
	return get_le32(hash);
}

uint32_t fill_names_find(
	const struct fill_names *names, uint32_t parent, const char *text, size_t length)
{
	uint32_t bucket = hash_name(names, parent, text, length) & (names->bucket_count - 1);
	uint32_t index = names->buckets[bucket];

	while (index != FILL_NONE) {
		const struct fill_name *name = &names->list[index];

		if (name->parent == parent && name->length == length &&
			memcmp(names->heap + name->text, text, length) == 0)
			break;
		index = name->bucket_next;
	}
	return index;
}

static uint32_t *bucket_of(struct fill_names *names, uint32_t index)
{
	const struct fill_name *name = &names->list[index];

	return &names->buckets[hash_name(names, name->parent, names->heap + name->text,
				       name->length) &
			       (names->bucket_count - 1)];
}

static int grow_buckets(struct fill_names *names, struct caisson_error *err)
{
	uint32_t count = names->bucket_count * 2, *buckets;

	if (names->count < names->bucket_count || count == 0)
		return 0;
	buckets = malloc(count * sizeof(*buckets));
	if (buckets == NULL)
		return caisson_fail(err, ENOMEM, "keep the names of files");
	memset(buckets, 0xff, count * sizeof(*buckets));
	free(names->buckets);
	names->buckets = buckets;
	names->bucket_count = count;
	for (uint32_t i = 1; i < names->count; i++) {
		uint32_t *bucket = bucket_of(names, i);

		names->list[i].bucket_next = *bucket;
		*bucket = i;
	}
	return 0;
}

/* Room for one more name of @length bytes. */
static int grow(struct fill_names *names, size_t length, struct caisson_error *err)
{
	if (names->count == names->capacity) {
		uint32_t capacity = names->capacity * 2;
		struct fill_name *list = capacity < FILL_NONE / 2 ? reallocarray(names->list,
									    capacity, sizeof(*list))
								  : NULL;

		if (list == NULL)
			return caisson_fail(err, ENOMEM, "keep the names of files");
		names->list = list;
		names->capacity = capacity;
	}
	if (names->heap_capacity - names->heap_size < length) {
		uint64_t capacity = MAX(names->heap_capacity * 2, UINT64_C(65536));
		char *heap = realloc(names->heap, capacity);

		if (heap == NULL)
			return caisson_fail(err, ENOMEM, "keep the names of files");
		names->heap = heap;
		names->heap_capacity = capacity;
	}
	return grow_buckets(names, err);
}

int fill_names_add(struct fill_names *names, uint32_t parent, const char *text, size_t length,
	uint32_t inode, uint8_t type, uint32_t *ret_index, struct caisson_error *err)
{
	uint32_t index, *bucket;
	struct fill_name *name;
	int r = grow(names, length, err);

	if (r < 0)
		return r;
	index = names->count++;
	name = &names->list[index];
	*name = (struct fill_name){.text = names->heap_size,
		.inode = inode,
		.parent = parent,
		.first = FILL_NONE,
		.next = names->list[parent].first,
		.length = (uint8_t)length,
		.type = type};
	memcpy(names->heap + names->heap_size, text, length);
	names->heap_size += length;
	names->list[parent].first = index;
	bucket = bucket_of(names, index);
	name->bucket_next = *bucket;
	*bucket = index;
	names->bytes += ext4_name_size((uint32_t)length);
	if (type == EXT2_FT_DIR) {
		names->folders++;
		names->list[parent].folders++;
	}
	*ret_index = index;
	return 0;
}

void fill_names_replace(struct fill_names *names, uint32_t index, uint32_t inode, uint8_t type)
{
	struct fill_name *name = &names->list[index];
	struct fill_name *parent = &names->list[name->parent];

	if (name->type == EXT2_FT_DIR) {
		names->folders--;
		parent->folders--;
	}
	if (type == EXT2_FT_DIR) {
		names->folders++;
		parent->folders++;
	}
	name->inode = inode;
	name->type = type;
}
