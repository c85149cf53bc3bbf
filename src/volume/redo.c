/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume/redo.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/path.h"
#include "base/staging.h"
#include "volume/redo_journal.h"

#define EMPTY UINT32_MAX

struct redo {
	struct blocks blocks; /* must be first */
	struct blocks *container;
	struct staging staging;
	char *folder;
	bool secret;
	pthread_mutex_t lock;
	/* Which block of the container each slot of the journal holds; and the way back, by open
	   addressing: twice as many places as slots. */
	uint64_t *slots;
	uint32_t *places;
	uint32_t count, capacity;
};

static uint32_t place_of(const struct redo *redo, uint64_t block)
{
	uint32_t mask = 2 * redo->capacity - 1;
	uint32_t at = (uint32_t)(block * UINT64_C(0x9e3779b97f4a7c15) >> 32) & mask;

	while (redo->places[at] != EMPTY && redo->slots[redo->places[at]] != block)
		at = (at + 1) & mask;
	return at;
}

/* The slot of @block, or EMPTY. */
static uint32_t find(const struct redo *redo, uint64_t block)
{
	return redo->capacity > 0 ? redo->places[place_of(redo, block)] : EMPTY;
}

static int grow(struct redo *redo, struct caisson_error *err)
{
	uint32_t capacity = redo->capacity > 0 ? redo->capacity * 2 : 1024, *places;
	uint64_t *slots;

	if (capacity > REDO_COUNT_MOST)
		return caisson_refuse(err, EFBIG, "a change has too many blocks");
	slots = reallocarray(redo->slots, capacity, sizeof(*slots));
	if (slots == NULL)
		return caisson_fail(err, ENOMEM, "record a change");
	redo->slots = slots;
	places = reallocarray(redo->places, capacity, 2 * sizeof(*places));
	if (places == NULL)
		return caisson_fail(err, ENOMEM, "record a change");
	redo->places = places;
	redo->capacity = capacity;
	memset(places, 0xff, 2 * capacity * sizeof(*places));
	for (uint32_t i = 0; i < redo->count; i++)
		places[place_of(redo, slots[i])] = i;
	return 0;
}

static int read_base(
	struct redo *redo, uint64_t offset, uint8_t *data, size_t size, struct caisson_error *err)
{
	uint64_t end = redo->container->size;
	size_t there = offset >= end ? 0 : (size_t)MIN((uint64_t)size, end - offset);

	memset(data + there, 0, size - there);
	return there > 0 ? blocks_read(redo->container, offset, data, there, err) : 0;
}

/* Up to the end of the block, or of a run of blocks that have not changed. */
static int read_part(struct redo *redo, uint64_t offset, uint8_t *data, size_t size,
	size_t *ret_done, struct caisson_error *err)
{
	uint64_t block = offset / REDO_BLOCK;
	size_t within = offset % REDO_BLOCK, part = MIN(size, REDO_BLOCK - within);
	uint32_t slot = find(redo, block);

	if (slot == EMPTY) {
		while (part < size && find(redo, ++block) == EMPTY)
			part = MIN(size, part + REDO_BLOCK);
		*ret_done = part;
		return read_base(redo, offset, data, part, err);
	}
	*ret_done = part;
	return redo_journal_read(redo->staging.fd, slot, within, data, part, err);
}

static int redo_read(
	struct blocks *blocks, uint64_t offset, void *data, size_t size, struct caisson_error *err)
{
	struct redo *redo = (struct redo *)blocks;
	uint8_t *to = data;
	int r = 0;

	pthread_mutex_lock(&redo->lock);
	while (r == 0 && size > 0) {
		size_t done = 0;

		r = read_part(redo, offset, to, size, &done, err);
		offset += done;
		to += done;
		size -= done;
	}
	pthread_mutex_unlock(&redo->lock);
	return r;
}

/* The slot that @block goes to; a new one is not counted before it is written. */
static int slot_for(
	struct redo *redo, uint64_t block, uint32_t *ret_slot, struct caisson_error *err)
{
	uint32_t slot = find(redo, block);
	int r = 0;

	if (slot == EMPTY && redo->count == redo->capacity)
		r = grow(redo, err);
	*ret_slot = slot == EMPTY ? redo->count : slot;
	return r;
}

static int write_part(struct redo *redo, uint64_t offset, const uint8_t *data, size_t size,
	struct caisson_error *err)
{
	uint64_t block = offset / REDO_BLOCK;
	size_t within = offset % REDO_BLOCK, rest = 0;
	uint8_t whole[REDO_BLOCK];
	uint32_t slot;
	int r = slot_for(redo, block, &slot, err);

	if (r == 0 && size < REDO_BLOCK)
		r = read_part(redo, block * REDO_BLOCK, whole, REDO_BLOCK, &rest, err);
	if (r < 0)
		return r;
	memcpy(whole + within, data, size);
	r = redo_journal_write(redo->staging.fd, slot, whole, err);
	if (r == 0 && slot == redo->count) {
		redo->slots[slot] = block;
		redo->places[place_of(redo, block)] = slot;
		redo->count++;
	}
	return r;
}

static int redo_write(struct blocks *blocks, uint64_t offset, const void *data, size_t size,
	struct caisson_error *err)
{
	struct redo *redo = (struct redo *)blocks;
	const uint8_t *from = data;
	int r = 0;

	pthread_mutex_lock(&redo->lock);
	while (r == 0 && size > 0) {
		size_t part = MIN(size, REDO_BLOCK - offset % REDO_BLOCK);

		r = write_part(redo, offset, from, part, err);
		offset += part;
		from += part;
		size -= part;
	}
	pthread_mutex_unlock(&redo->lock);
	return r;
}

/* Nothing is durable before the commit, and all of it then. */
static int redo_flush(struct blocks *blocks _unused_, struct caisson_error *err _unused_)
{
	return 0;
}

static void redo_blocks_free(struct blocks *blocks _unused_)
{
}

int redo_new(struct blocks *container, const char *folder, uint64_t size, bool secret,
	struct redo **ret_redo, struct caisson_error *err)
{
	static const struct blocks_ops ops = {
		.read = redo_read,
		.write = redo_write,
		.flush = redo_flush,
		.free = redo_blocks_free,
	};
	_cleanup_(redo_freep) struct redo *redo = calloc(1, sizeof(*redo));
	int r;

	if (redo == NULL)
		return caisson_fail(err, ENOMEM, "prepare a change");
	redo->staging = STAGING_NONE;
	redo->blocks = (struct blocks){.ops = &ops, .size = size, .what = container->what};
	redo->container = container;
	redo->secret = secret;
	pthread_mutex_init(&redo->lock, NULL);
	redo->folder = strdup(folder);
	if (redo->folder == NULL)
		return caisson_fail(err, ENOMEM, "prepare a change");
	r = staging_file(&redo->staging, folder, err);
	if (r == 0 && secret)
		r = redo_journal_mark_secret(redo->staging.fd, err);
	if (r < 0)
		return r;
	*ret_redo = take_ptr(redo);
	return 0;
}

struct blocks *redo_blocks(struct redo *redo)
{
	return &redo->blocks;
}

void redo_set_size(struct redo *redo, uint64_t size)
{
	redo->blocks.size = size;
}

static int compare_blocks(const void *a, const void *b)
{
	uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

	return one < other ? -1 : one > other;
}

static int reserve(int container, uint64_t offset, uint64_t length, struct caisson_error *err)
{
	if (fallocate(container, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length) == 0 ||
		errno == EOPNOTSUPP)
		return 0;
	return caisson_fail(err, errno, "make room for a change of the container");
}

/* What is going to be written has its room before it is decided that it will be: a change that
   cannot be made must not be promised. */
static int reserve_all(const struct redo *redo, int container, struct caisson_error *err)
{
	_cleanup_free_ uint64_t *blocks = calloc(redo->count + 1, sizeof(*blocks));
	int r = 0;

	if (blocks == NULL)
		return caisson_fail(err, ENOMEM, "make room for a change");
	memcpy(blocks, redo->slots, redo->count * sizeof(*blocks));
	qsort(blocks, redo->count, sizeof(*blocks), compare_blocks);
	for (uint32_t i = 0, end; r == 0 && i < redo->count; i = end) {
		for (end = i + 1; end < redo->count && blocks[end] == blocks[end - 1] + 1; end++)
			;
		if (blocks[i] * REDO_BLOCK < redo->blocks.size)
			r = reserve(container, blocks[i] * REDO_BLOCK,
				(uint64_t)(end - i) * REDO_BLOCK, err);
	}
	return r;
}

static int prepare(const struct redo *redo, int container, struct caisson_error *err)
{
	struct stat st;

	if (fstat(container, &st) < 0)
		return caisson_fail(err, errno, "stat the container");
	if ((fcntl(container, F_GETFL) & O_ACCMODE) == O_RDONLY)
		return caisson_fail(err, EROFS, "change the container");
	if (!S_ISREG(st.st_mode))
		return 0;
	/* Its last block, beyond what it has so far: whether a file may be as large as that. */
	if ((uint64_t)st.st_size < redo->blocks.size) {
		int r = reserve(container, redo->blocks.size - REDO_BLOCK, REDO_BLOCK, err);

		if (r < 0)
			return r;
	}
	return reserve_all(redo, container, err);
}

int redo_commit(struct redo *redo, int container, struct caisson_error *err)
{
	int r;

	if (redo->count == 0 && redo->blocks.size == redo->container->size)
		return 0;
	r = prepare(redo, container, err);
	if (r == 0)
		r = redo_journal_seal(redo->staging.fd, redo->slots, redo->count, redo->blocks.size,
			redo->secret, err);
	if (r == 0)
		r = staging_publish(&redo->staging, REDO_NAME, err);
	if (r < 0)
		return r;
	r = redo_recover(redo->folder, container, err);
	return r < 0 ? r : 0;
}

void redo_free(struct redo *redo)
{
	if (redo == NULL)
		return;
	/* Not committed: nobody else will. */
	if (redo->secret && redo->staging.path != NULL)
		(void)redo_journal_wipe(redo->staging.fd, NULL);
	staging_done(&redo->staging);
	free(redo->folder);
	free(redo->slots);
	free(redo->places);
	pthread_mutex_destroy(&redo->lock);
	free(redo);
}
