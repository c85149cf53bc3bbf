/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "luks/payload.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define CHUNK_SIZE \
	(256u << 10) /* small enough to stay in a processor's cache between the steps \
		      */
#define SECTOR_MOST 4096u

/* What one call works with; idle ones wait in a list, as many as there were calls at once. */
struct worker {
	struct worker *next;
	struct luks_cipher_run *encrypt, *decrypt;
	uint8_t *chunk; /* CHUNK_SIZE */
};

struct payload {
	struct blocks blocks;
	struct blocks *container;
	uint64_t data_offset;
	const struct luks_cipher *cipher;
	uint32_t sector_size;
	/* Held exclusively while a sector is read, changed and written. */
	pthread_rwlock_t lock;
	pthread_mutex_t idle_lock;
	struct worker *idle;
};

static void worker_free(struct worker *worker)
{
	if (worker == NULL)
		return;
	luks_cipher_run_free(worker->encrypt);
	luks_cipher_run_free(worker->decrypt);
	if (worker->chunk != NULL)
		explicit_bzero(worker->chunk, CHUNK_SIZE);
	free(worker->chunk);
	free(worker);
}
DEFINE_CLEANUP(struct worker *, worker_free);

static int worker_new(
	const struct payload *payload, struct worker **ret_worker, struct caisson_error *err)
{
	_cleanup_(worker_freep) struct worker *worker = calloc(1, sizeof(*worker));
	int r;

	if (worker == NULL)
		return caisson_fail(err, ENOMEM, "work on a payload");
	worker->chunk = aligned_alloc(SECTOR_MOST, CHUNK_SIZE);
	if (worker->chunk == NULL)
		return caisson_fail(err, ENOMEM, "work on a payload");
	r = luks_cipher_run_new(payload->cipher, true, &worker->encrypt, err);
	if (r == 0)
		r = luks_cipher_run_new(payload->cipher, false, &worker->decrypt, err);
	if (r < 0)
		return r;
	*ret_worker = take_ptr(worker);
	return 0;
}

static int worker_take(
	struct payload *payload, struct worker **ret_worker, struct caisson_error *err)
{
	struct worker *worker;

	pthread_mutex_lock(&payload->idle_lock);
	worker = payload->idle;
	if (worker != NULL)
		payload->idle = worker->next;
	pthread_mutex_unlock(&payload->idle_lock);
	if (worker == NULL)
		return worker_new(payload, ret_worker, err);
	*ret_worker = worker;
	return 0;
}

static void worker_give(struct payload *payload, struct worker *worker)
{
	pthread_mutex_lock(&payload->idle_lock);
	worker->next = payload->idle;
	payload->idle = worker;
	pthread_mutex_unlock(&payload->idle_lock);
}

/* One step of a range: as much as is whole sectors at once, or the part of a sector. */
struct step {
	uint64_t sector; /* where the first sector that it touches begins */
	uint32_t skip;   /* of that sector, in front of the range; 0 when @whole */
	size_t size;     /* of the range */
	bool whole;      /* @size is a number of whole sectors */
};

static struct step step_at(const struct payload *payload, uint64_t offset, size_t size)
{
	uint32_t sector_size = payload->sector_size, skip = (uint32_t)(offset % sector_size);
	struct step step = {.sector = offset - skip, .skip = skip};

	step.whole = skip == 0 && size >= sector_size;
	step.size = step.whole ? MIN(size - size % sector_size, (size_t)CHUNK_SIZE)
			       : MIN(size, (size_t)(sector_size - skip));
	return step;
}

static int read_sectors(struct payload *payload, struct worker *worker, uint64_t offset, void *data,
	size_t size, struct caisson_error *err)
{
	int r = blocks_read(payload->container, payload->data_offset + offset, data, size, err);

	return r < 0 ? r : luks_cipher_run(worker->decrypt, offset, data, size, err);
}

/* Of @data, which is in the worker's chunk: it is encrypted in place. */
static int write_sectors(struct payload *payload, struct worker *worker, uint64_t offset,
	void *data, size_t size, struct caisson_error *err)
{
	int r = luks_cipher_run(worker->encrypt, offset, data, size, err);

	return r < 0 ? r
		     : blocks_write(
			       payload->container, payload->data_offset + offset, data, size, err);
}

static int read_step(struct payload *payload, struct worker *worker, const struct step *step,
	uint8_t *data, struct caisson_error *err)
{
	int r;

	if (step->whole)
		return read_sectors(payload, worker, step->sector, data, step->size, err);
	r = read_sectors(payload, worker, step->sector, worker->chunk, payload->sector_size, err);
	if (r == 0)
		memcpy(data, worker->chunk + step->skip, step->size);
	explicit_bzero(worker->chunk, payload->sector_size);
	return r;
}

static int write_step(struct payload *payload, struct worker *worker, const struct step *step,
	const uint8_t *data, struct caisson_error *err)
{
	int r;

	if (step->whole) {
		memcpy(worker->chunk, data, step->size);
		return write_sectors(payload, worker, step->sector, worker->chunk, step->size, err);
	}
	r = read_sectors(payload, worker, step->sector, worker->chunk, payload->sector_size, err);
	if (r < 0)
		return r;
	memcpy(worker->chunk + step->skip, data, step->size);
	return write_sectors(
		payload, worker, step->sector, worker->chunk, payload->sector_size, err);
}

static int payload_read(
	struct blocks *blocks, uint64_t offset, void *data, size_t size, struct caisson_error *err)
{
	struct payload *payload = (struct payload *)blocks;
	struct worker *worker;
	uint8_t *at = data;
	int r = worker_take(payload, &worker, err);

	if (r < 0)
		return r;
	pthread_rwlock_rdlock(&payload->lock);
	while (r == 0 && size > 0) {
		struct step step = step_at(payload, offset, size);

		r = read_step(payload, worker, &step, at, err);
		at += step.size;
		offset += step.size;
		size -= step.size;
	}
	pthread_rwlock_unlock(&payload->lock);
	worker_give(payload, worker);
	return r;
}

static int payload_write(struct blocks *blocks, uint64_t offset, const void *data, size_t size,
	struct caisson_error *err)
{
	struct payload *payload = (struct payload *)blocks;
	struct worker *worker;
	const uint8_t *at = data;
	int r = worker_take(payload, &worker, err);

	if (r < 0)
		return r;
	while (r == 0 && size > 0) {
		struct step step = step_at(payload, offset, size);

		if (step.whole)
			pthread_rwlock_rdlock(&payload->lock);
		else
			pthread_rwlock_wrlock(&payload->lock);
		r = write_step(payload, worker, &step, at, err);
		pthread_rwlock_unlock(&payload->lock);
		at += step.size;
		offset += step.size;
		size -= step.size;
	}
	/* A failure may have left plain bytes there; else it is what stands on the disk. */
	if (r < 0)
		explicit_bzero(worker->chunk, CHUNK_SIZE);
	worker_give(payload, worker);
	return r;
}

static int payload_flush(struct blocks *blocks, struct caisson_error *err)
{
	return blocks_flush(((struct payload *)blocks)->container, err);
}

/* Whole sectors of the range alone: what is left of a discarded one would be lost with it. */
static int payload_discard(
	struct blocks *blocks, uint64_t offset, uint64_t length, struct caisson_error *err)
{
	struct payload *payload = (struct payload *)blocks;
	uint64_t mask = payload->sector_size - 1;
	uint64_t start = (offset + mask) & ~mask, end = (offset + length) & ~mask;
	int r;

	if (start >= end)
		return 0;
	pthread_rwlock_rdlock(&payload->lock);
	r = blocks_discard(payload->container, payload->data_offset + start, end - start, err);
	pthread_rwlock_unlock(&payload->lock);
	return r;
}

static void payload_free(struct blocks *blocks)
{
	struct payload *payload = (struct payload *)blocks;

	while (payload->idle != NULL) {
		struct worker *worker = payload->idle;

		payload->idle = worker->next;
		worker_free(worker);
	}
	pthread_rwlock_destroy(&payload->lock);
	pthread_mutex_destroy(&payload->idle_lock);
	free(payload);
}

static int check_layout(const struct blocks *container, uint64_t data_offset, uint64_t size,
	uint32_t sector_size, struct caisson_error *err)
{
	if (size % sector_size != 0)
		return caisson_refuse(err, EINVAL,
			"a payload of %llu bytes is not of whole sectors of %u bytes",
			(unsigned long long)size, sector_size);
	if (data_offset > container->size || size > container->size - data_offset)
		return caisson_refuse(
			err, EINVAL, "the payload ends behind the end of %s", container->what);
	return 0;
}

/* Where a stream of readers never ends, a writer must get in between all the same. */
static void lock_init(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attributes;

	pthread_rwlockattr_init(&attributes);
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
}

int luks_payload_new(struct blocks *container, uint64_t data_offset, uint64_t size,
	const struct luks_cipher *cipher, struct blocks **ret_payload, struct caisson_error *err)
{
	static const struct blocks_ops ops = {
		.read = payload_read,
		.write = payload_write,
		.flush = payload_flush,
		.discard = payload_discard,
		.free = payload_free,
	};
	struct payload *payload;
	int r = check_layout(container, data_offset, size, luks_cipher_sector_size(cipher), err);

	if (r < 0)
		return r;
	payload = calloc(1, sizeof(*payload));
	if (payload == NULL)
		return caisson_fail(err, ENOMEM, "open the payload of %s", container->what);
	*payload = (struct payload){
		.blocks = {.ops = &ops,
			.size = size,
			.read_only = container->read_only,
			.what = "the payload"},
		.container = container,
		.data_offset = data_offset,
		.cipher = cipher,
		.sector_size = luks_cipher_sector_size(cipher),
	};
	lock_init(&payload->lock);
	pthread_mutex_init(&payload->idle_lock, NULL);
	*ret_payload = &payload->blocks;
	return 0;
}
