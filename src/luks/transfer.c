/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The caller's side: ranges are put into a ring, from which threads take them. */
#include "luks/transfer.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "base/io.h"
#include "base/macros.h"
#include "luks/transfer_work.h"

#define TELL_USEC 100000u

static unsigned int thread_count(unsigned int wanted)
{
	cpu_set_t processors;

	if (wanted == 0 && sched_getaffinity(0, sizeof(processors), &processors) == 0)
		wanted = (unsigned int)CPU_COUNT(&processors);
	wanted = MIN(wanted, THREADS_MOST);
	return MAX(wanted, 1u);
}

static void locks_init(struct transfer *transfer)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&transfer->lock, NULL);
	pthread_cond_init(&transfer->work, NULL);
	pthread_cond_init(&transfer->room, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

int transfer_new(const struct transfer_options *options, struct transfer **ret_transfer,
	struct caisson_error *err)
{
	_cleanup_(transfer_freep) struct transfer *transfer = calloc(1, sizeof(*transfer));
	unsigned int threads = thread_count(options->threads);

	if (transfer == NULL)
		return caisson_fail(err, ENOMEM, "make room for a transfer");
	locks_init(transfer);
	target_init(&transfer->target, options->to);
	transfer->to_base = options->to_base;
	transfer->total = options->total;
	transfer->progress = options->progress;
	transfer->told = now_usec();
	transfer->from_unit =
		options->decrypt != NULL ? luks_cipher_sector_size(options->decrypt) : 1;
	transfer->to_unit =
		options->encrypt != NULL ? luks_cipher_sector_size(options->encrypt) : 1;
	for (; transfer->threads < threads; transfer->threads++) {
		int r = worker_init(&transfer->workers[transfer->threads], transfer, options, err);

		if (r < 0) {
			/* So that it is ended with the others. */
			transfer->threads++;
			return r;
		}
	}
	*ret_transfer = take_ptr(transfer);
	return 0;
}

void transfer_free(struct transfer *transfer)
{
	if (transfer == NULL)
		return;
	pthread_mutex_lock(&transfer->lock);
	transfer->stop = true;
	pthread_cond_broadcast(&transfer->work);
	pthread_mutex_unlock(&transfer->lock);
	for (unsigned int i = 0; i < transfer->threads; i++)
		worker_done(&transfer->workers[i]);
	for (; transfer->count > 0; transfer->count--) {
		buffer_free(transfer->ranges[transfer->first].data);
		transfer->first = (transfer->first + 1) % RANGES_MOST;
	}
	while (transfer->spares > 0)
		buffer_free(transfer->spare[--transfer->spares]);
	buffer_free(transfer->pending.data);
	target_done(&transfer->target);
	pthread_cond_destroy(&transfer->room);
	pthread_cond_destroy(&transfer->work);
	pthread_mutex_destroy(&transfer->lock);
	free(transfer);
}

bool transfer_decrypts(const struct transfer *transfer)
{
	return transfer->workers[0].decrypt != NULL;
}

/* When nothing touches the descriptors any more: who fails closes them. The lock is held. */
static int failed(struct transfer *transfer, struct caisson_error *err)
{
	while (transfer->busy > 0)
		pthread_cond_wait(&transfer->room, &transfer->lock);
	if (err != NULL)
		*err = transfer->failure;
	return -transfer->failure.code;
}

static void tell(struct transfer *transfer, bool finally)
{
	uint64_t now = now_usec(), done = transfer->done;

	if (transfer->progress == NULL || (!finally && now - transfer->told < TELL_USEC))
		return;
	transfer->told = now;
	pthread_mutex_unlock(&transfer->lock);
	transfer->progress->tell(done, transfer->total, transfer->progress->userdata);
	pthread_mutex_lock(&transfer->lock);
}

/* Until something is done, and never so long that the progress stands still. The lock is held. */
static void wait_a_little(struct transfer *transfer)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += TELL_USEC * 1000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	(void)pthread_cond_timedwait(&transfer->room, &transfer->lock, &until);
	tell(transfer, false);
}

static int push(struct transfer *transfer, const struct range *range, struct caisson_error *err)
{
	int r = 0;

	pthread_mutex_lock(&transfer->lock);
	tell(transfer, false);
	while (transfer->count == RANGES_MOST && transfer->failure.code == 0)
		wait_a_little(transfer);
	if (transfer->failure.code != 0) {
		r = failed(transfer, err);
	} else {
		transfer->ranges[(transfer->first + transfer->count) % RANGES_MOST] = *range;
		transfer->count++;
		if (range->length > CHUNK_SIZE)
			pthread_cond_broadcast(&transfer->work);
		else
			pthread_cond_signal(&transfer->work);
	}
	pthread_mutex_unlock(&transfer->lock);
	return r;
}

/* Hands over what transfer_data() gathered. */
static int push_pending(struct transfer *transfer, struct caisson_error *err)
{
	const struct range *pending = &transfer->pending;
	int r;

	if (pending->data == NULL)
		return 0;
	r = target_prepare(
		&transfer->target, transfer->to_base + pending->to_offset, pending->length, err);
	if (r == 0)
		r = push(transfer, pending, err);
	if (r < 0)
		return r;
	transfer->pending.data = NULL;
	return 0;
}

static int check_side(uint64_t base, uint64_t offset, uint64_t length, uint32_t unit,
	const char *side, struct caisson_error *err)
{
	uint64_t end;

	if (offset % unit != 0 || length % unit != 0)
		return caisson_refuse(err, EINVAL, "a range to %s is not of whole sectors", side);
	if (__builtin_add_overflow(offset, length, &end) ||
		__builtin_add_overflow(end, base, &end) || end > INT64_MAX)
		return caisson_refuse(err, EOVERFLOW, "a range to %s is too far out", side);
	return 0;
}

static int queue(struct transfer *transfer, const struct range *range, struct caisson_error *err)
{
	int r = push_pending(transfer, err);

	if (r == 0)
		r = target_prepare(&transfer->target, range->to, range->length, err);
	return r < 0 || range->length == 0 ? r : push(transfer, range, err);
}

int transfer_copy_at(struct transfer *transfer, int from, uint64_t from_base, uint64_t from_offset,
	uint64_t to_offset, uint64_t at, uint64_t length, struct caisson_error *err)
{
	struct range range = {.kind = KIND_FILE,
		.from = from,
		.from_base = from_base,
		.from_offset = from_offset,
		.to_offset = to_offset,
		.to = at,
		.length = length};
	int r = check_side(from_base, from_offset, length, transfer->from_unit, "read", err);

	if (r == 0)
		r = check_side(0, to_offset, length, transfer->to_unit, "write", err);
	if (r == 0)
		r = check_side(at, 0, length, 1, "write", err);
	return r < 0 ? r : queue(transfer, &range, err);
}

int transfer_copy(struct transfer *transfer, int from, uint64_t from_base, uint64_t from_offset,
	uint64_t to_offset, uint64_t length, struct caisson_error *err)
{
	int r = check_side(transfer->to_base, to_offset, length, transfer->to_unit, "write", err);

	return r < 0 ? r
		     : transfer_copy_at(transfer, from, from_base, from_offset, to_offset,
			       transfer->to_base + to_offset, length, err);
}

int transfer_zeros(
	struct transfer *transfer, uint64_t to_offset, uint64_t length, struct caisson_error *err)
{
	struct range range = {.kind = KIND_ZEROS,
		.to_offset = to_offset,
		.length = length,
		.to = transfer->to_base + to_offset};
	int r = check_side(transfer->to_base, to_offset, length, transfer->to_unit, "write", err);

	return r < 0 ? r : queue(transfer, &range, err);
}

/* A buffer for transfer_data(); waits when all are queued. */
static int take_buffer(struct transfer *transfer, uint8_t **ret_buffer, struct caisson_error *err)
{
	int r = 0;

	pthread_mutex_lock(&transfer->lock);
	while (transfer->spares == 0 && transfer->buffers == ARRAY_SIZE(transfer->spare) &&
		transfer->failure.code == 0)
		wait_a_little(transfer);
	if (transfer->failure.code != 0)
		r = failed(transfer, err);
	else if (transfer->spares > 0)
		*ret_buffer = transfer->spare[--transfer->spares];
	else if ((*ret_buffer = buffer_new()) == NULL)
		r = caisson_fail(err, ENOMEM, "make room for a transfer");
	else
		transfer->buffers++;
	pthread_mutex_unlock(&transfer->lock);
	return r;
}

/* Whether bytes for @to_offset follow what is gathered, with room left there. */
static bool follows(const struct transfer *transfer, uint64_t to_offset)
{
	const struct range *pending = &transfer->pending;

	return pending->data != NULL && pending->to_offset + pending->length == to_offset &&
	       pending->length < CHUNK_SIZE;
}

static int gather(struct transfer *transfer, const uint8_t *data, size_t size, uint64_t to_offset,
	size_t *ret_taken, struct caisson_error *err)
{
	struct range *pending = &transfer->pending;
	size_t taken, filled;
	uint8_t *to;
	int r = follows(transfer, to_offset) ? 0 : push_pending(transfer, err);

	if (r == 0 && pending->data == NULL) {
		*pending = (struct range){.kind = KIND_DATA,
			.to_offset = to_offset,
			.to = transfer->to_base + to_offset};
		r = take_buffer(transfer, &pending->data, err);
	}
	if (r < 0)
		return r;
	to = pending->data + pending->to % TARGET_PAGE + pending->length;
	taken = MIN(size, (size_t)(CHUNK_SIZE - pending->length));
	memcpy(to, data, taken);
	filled = (taken + transfer->to_unit - 1) / transfer->to_unit * transfer->to_unit;
	memset(to + taken, 0, filled - taken);
	pending->length += filled;
	*ret_taken = taken;
	return 0;
}

int transfer_data(struct transfer *transfer, const void *data, size_t size, uint64_t to_offset,
	struct caisson_error *err)
{
	const uint8_t *from = data;
	uint64_t unit = transfer->to_unit, whole;
	int r;

	if (__builtin_add_overflow((uint64_t)size, unit - 1, &whole))
		return caisson_refuse(err, EOVERFLOW, "a range to write is too far out");
	r = check_side(
		transfer->to_base, to_offset, whole / unit * unit, transfer->to_unit, "write", err);
	while (r == 0 && size > 0) {
		size_t taken = 0;

		r = gather(transfer, from, size, to_offset, &taken, err);
		from += taken;
		to_offset += taken;
		size -= taken;
	}
	return r;
}

int transfer_drain(struct transfer *transfer, struct caisson_error *err)
{
	int r = push_pending(transfer, err);

	if (r < 0)
		return r;
	pthread_mutex_lock(&transfer->lock);
	while (transfer->failure.code == 0 && (transfer->count > 0 || transfer->busy > 0))
		wait_a_little(transfer);
	if (transfer->failure.code != 0)
		r = failed(transfer, err);
	else
		tell(transfer, true);
	pthread_mutex_unlock(&transfer->lock);
	return r;
}
