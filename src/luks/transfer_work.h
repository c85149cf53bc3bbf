/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the caller of a transfer and its threads share; inside luks/ only. */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "luks/target.h"
#include "luks/transfer.h"

#define CHUNK_SIZE   TARGET_WRITE_MOST
#define THREADS_MOST 8u
#define RANGES_MOST  256u

enum kind { KIND_FILE, KIND_DATA, KIND_ZEROS };

struct range {
	enum kind kind;
	int from;
	uint64_t from_base, from_offset, to_offset, length;
	uint64_t to;   /* where in the target @to_offset is */
	uint8_t *data; /* KIND_DATA: one of the transfer's buffers, of up to CHUNK_SIZE bytes */
};

struct worker {
	struct transfer *transfer;
	pthread_t thread;
	bool started;
	struct luks_cipher_run *decrypt, *encrypt; /* NULL where that side is plain */
	uint8_t *buffer;                           /* TARGET_BUFFER_SIZE */
};

struct transfer {
	struct target target;
	uint64_t to_base, total;
	uint32_t from_unit, to_unit; /* sector sizes; 1 where that side is plain */
	const struct transfer_progress *progress;
	uint64_t told; /* when, microseconds */
	/* Of the caller's thread: bytes of transfer_data() that wait for their neighbours. */
	struct range pending;

	pthread_mutex_t lock;
	pthread_cond_t work; /* there is something to do, or nothing any more */
	pthread_cond_t room; /* for the caller: something was done */
	struct range ranges[RANGES_MOST];
	unsigned int first, count; /* of the ring */
	unsigned int busy;         /* threads that work on a chunk */
	uint8_t *spare[THREADS_MOST + 2];
	unsigned int spares, buffers; /* buffers: all that there are */
	uint64_t done;
	bool stop;
	struct caisson_error failure; /* the first; code 0: none */

	unsigned int threads;
	struct worker workers[THREADS_MOST];
};

/* Of TARGET_BUFFER_SIZE; NULL when memory ran out. */
uint8_t *buffer_new(void);
void buffer_free(uint8_t *buffer);
/* Starts a thread that works on what is queued; worker_done() waits for its end, also when this
   failed. */
int worker_init(struct worker *worker, struct transfer *transfer,
	const struct transfer_options *options, struct caisson_error *err);
void worker_done(struct worker *worker);
