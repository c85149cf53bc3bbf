/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QEMU's image format, version 3 (docs/interop/qcow2.txt of QEMU), for writing alone: where all
 * stands is known before anything is written, so the data can be written in any order.
 */
#pragma once

#include <caisson/error.h>
#include <stdint.h>

#include "base/extent.h"

#define QCOW2_CLUSTER_SIZE 65536u

struct qcow2 {
	uint64_t size;          /* of the disk in it */
	struct extents covered; /* what has clusters: whole ones */
	uint64_t *first;        /* of each of these, how many clusters are before it */
	uint64_t clusters;      /* of data */
	uint64_t l1_entries, l2_tables;
	/* Clusters of metadata. */
	uint64_t refcount_table, refcount_blocks, l1_clusters;
	uint64_t file_size;
};

#define QCOW2_NONE ((struct qcow2){.size = 0})

/* For a disk of @size bytes, a multiple of 512, that holds something in @data and zeros elsewhere.
 */
int qcow2_plan(uint64_t size, const struct extents *data, struct qcow2 *ret_qcow2,
	struct caisson_error *err);
/* Makes the regular file @fd empty and as large as it shall be: what is not written reads as zeros.
 */
int qcow2_begin(const struct qcow2 *qcow2, int fd, struct caisson_error *err);
/* Where in the file byte @offset of the disk stands, which is in one of the extents; all of that
   extent follows there. */
uint64_t qcow2_place(const struct qcow2 *qcow2, uint64_t offset);
/* Writes the tables, and the header last: until then it is no image. */
int qcow2_finish(const struct qcow2 *qcow2, int fd, struct caisson_error *err);
void qcow2_done(struct qcow2 *qcow2);

#define _cleanup_qcow2_ _cleanup_(qcow2_done)
