/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A thread of a transfer: it takes a chunk off the first range that is queued, reads it, encrypts
 * it in place and writes it. Plain preads and pwrites: with two threads and 1 MiB at a time they
 * keep a disk as busy as io_uring does (docs/performance.md).
 */
#include "luks/transfer_work.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "base/macros.h"

#define CHUNKS_AHEAD 4u /* that the kernel is asked to read meanwhile */

/* Not swapped where the limit on locked memory allows that, and never in a core dump. */
uint8_t *buffer_new(void)
{
	uint8_t *buffer = mmap(NULL, TARGET_BUFFER_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (buffer == MAP_FAILED)
		return NULL;
	(void)mlock(buffer, TARGET_BUFFER_SIZE);
	(void)madvise(buffer, TARGET_BUFFER_SIZE, MADV_DONTDUMP);
	return buffer;
}

void buffer_free(uint8_t *buffer)
{
	if (buffer == NULL)
		return;
	explicit_bzero(buffer, TARGET_BUFFER_SIZE);
	munmap(buffer, TARGET_BUFFER_SIZE);
}

static int source_fails(struct caisson_error *err, uint64_t at)
{
	return caisson_refuse(
		err, ENODATA, "the source ends early, at %llu", (unsigned long long)at);
}

/* A source that is not in memory: threads that take turns look to the kernel like random access. */
static void read_ahead(const struct range *chunk)
{
	uint64_t at = chunk->from_base + chunk->from_offset + CHUNKS_AHEAD * CHUNK_SIZE;

	(void)posix_fadvise(chunk->from, (off_t)at, CHUNK_SIZE, POSIX_FADV_WILLNEED);
}

/* Zeros in the place of what a plain source lacks of its last sector, and of nothing more. */
static int read_source(const struct transfer *transfer, const struct range *range, bool last,
	uint8_t *data, size_t size, struct caisson_error *err)
{
	uint64_t at = range->from_base + range->from_offset;
	size_t have = 0;

	while (have < size) {
		ssize_t n = pread(range->from, data + have, size - have, (off_t)(at + have));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return caisson_fail(err, errno, "read the source");
		if (n == 0)
			break;
		have += (size_t)n;
	}
	if (have == size)
		return 0;
	if (!last || transfer->from_unit > 1 || size - have >= transfer->to_unit)
		return source_fails(err, at + have);
	memset(data + have, 0, size - have);
	return 0;
}

static int move_chunk(
	struct worker *worker, const struct range *chunk, bool last, struct caisson_error *err)
{
	struct transfer *transfer = worker->transfer;
	uint64_t to = chunk->to;
	/* Where in memory it must be, so that whole pages of the target are whole pages there. */
	uint8_t *data = worker->buffer + to % TARGET_PAGE;
	size_t size = (size_t)chunk->length;
	int r = 0;

	if (chunk->kind == KIND_FILE && !last)
		read_ahead(chunk);
	if (chunk->kind == KIND_FILE)
		r = read_source(transfer, chunk, last, data, size, err);
	else if (chunk->kind == KIND_DATA)
		data = chunk->data + to % TARGET_PAGE;
	else
		memset(data, 0, size);
	if (r == 0 && chunk->kind == KIND_FILE && worker->decrypt != NULL)
		r = luks_cipher_run(worker->decrypt, chunk->from_offset, data, size, err);
	if (r == 0 && worker->encrypt != NULL)
		r = luks_cipher_run(worker->encrypt, chunk->to_offset, data, size, err);
	return r < 0 ? r : target_write(&transfer->target, to, data, size, err);
}

/* Takes the front of the first range. The lock is held. Returns whether it was all of it. */
static bool take_chunk(struct transfer *transfer, struct range *ret_chunk)
{
	struct range *range = &transfer->ranges[transfer->first];

	*ret_chunk = *range;
	ret_chunk->length = MIN(range->length, (uint64_t)CHUNK_SIZE);
	range->from_offset += ret_chunk->length;
	range->to_offset += ret_chunk->length;
	range->to += ret_chunk->length;
	range->length -= ret_chunk->length;
	if (range->length > 0)
		return false;
	transfer->first = (transfer->first + 1) % RANGES_MOST;
	transfer->count--;
	return true;
}

static void finish_chunk(struct transfer *transfer, const struct range *chunk, int r,
	const struct caisson_error *failure)
{
	transfer->busy--;
	if (chunk->kind == KIND_DATA)
		transfer->spare[transfer->spares++] = chunk->data;
	if (r == 0)
		transfer->done += chunk->length;
	else if (transfer->failure.code == 0)
		transfer->failure = *failure;
	if (transfer->failure.code != 0)
		pthread_cond_broadcast(&transfer->work);
	pthread_cond_signal(&transfer->room);
}

static void *work(void *userdata)
{
	struct worker *worker = userdata;
	struct transfer *transfer = worker->transfer;

	pthread_mutex_lock(&transfer->lock);
	for (;;) {
		struct caisson_error failure = {0};
		struct range chunk;
		bool last;
		int r;

		while (transfer->count == 0 && !transfer->stop && transfer->failure.code == 0)
			pthread_cond_wait(&transfer->work, &transfer->lock);
		if (transfer->stop || transfer->failure.code != 0)
			break;
		last = take_chunk(transfer, &chunk);
		transfer->busy++;
		pthread_mutex_unlock(&transfer->lock);
		r = move_chunk(worker, &chunk, last, &failure);
		pthread_mutex_lock(&transfer->lock);
		finish_chunk(transfer, &chunk, r, &failure);
	}
	pthread_mutex_unlock(&transfer->lock);
	return NULL;
}

/* With every signal blocked: they are the caller's thread's. */
static int start_worker(struct worker *worker, struct caisson_error *err)
{
	sigset_t all, before;
	int code;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(&worker->thread, NULL, work, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (code != 0)
		return caisson_fail(err, code, "start a thread");
	worker->started = true;
	return 0;
}

int worker_init(struct worker *worker, struct transfer *transfer,
	const struct transfer_options *options, struct caisson_error *err)
{
	int r = 0;

	worker->transfer = transfer;
	worker->buffer = buffer_new();
	if (worker->buffer == NULL)
		return caisson_fail(err, ENOMEM, "make room for a transfer");
	if (options->decrypt != NULL)
		r = luks_cipher_run_new(options->decrypt, false, &worker->decrypt, err);
	if (r == 0 && options->encrypt != NULL)
		r = luks_cipher_run_new(options->encrypt, true, &worker->encrypt, err);
	return r < 0 ? r : start_worker(worker, err);
}

void worker_done(struct worker *worker)
{
	if (worker->started)
		pthread_join(worker->thread, NULL);
	luks_cipher_run_free(worker->decrypt);
	luks_cipher_run_free(worker->encrypt);
	buffer_free(worker->buffer);
}
