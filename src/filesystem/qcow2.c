/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* In the file: header, refcount table, refcount blocks, L1 table, L2 tables, data in the disk's
 * order.
 */
#include "filesystem/qcow2.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"

#define CLUSTER        ((uint64_t)QCOW2_CLUSTER_SIZE)
#define CLUSTER_BITS   16u
#define L2_ENTRIES     (CLUSTER / 8) /* an L2 table is a cluster */
#define REFCOUNTS      (CLUSTER / 2) /* of 16 bits, in a refcount block */
#define REFCOUNT_ORDER 4u
#define COPIED         (UINT64_C(1) << 63) /* the refcount is exactly 1 */
#define SIZE_MOST      (UINT64_C(1) << 50) /* below what QEMU opens: its tables have limits */
#define HEADER_SIZE    104u
#define WHAT           "the image"

static uint64_t divide_up(uint64_t number, uint64_t by)
{
	return (number + by - 1) / by;
}

/* The tables of how often each cluster is used count themselves. */
static void plan_refcounts(struct qcow2 *qcow2)
{
	uint64_t others = 1 + qcow2->l1_clusters + qcow2->l2_tables + qcow2->clusters, all = 0;

	do {
		qcow2->refcount_blocks = divide_up(MAX(all, others), REFCOUNTS);
		qcow2->refcount_table = divide_up(qcow2->refcount_blocks, CLUSTER / 8);
		all = others + qcow2->refcount_blocks + qcow2->refcount_table;
	} while (all > qcow2->refcount_blocks * REFCOUNTS);
	qcow2->file_size = all * CLUSTER;
}

static int plan_clusters(struct qcow2 *qcow2, const struct extents *data, struct caisson_error *err)
{
	uint64_t l2_end = 0;

	for (size_t i = 0; i < data->count; i++) {
		int r = extents_add(
			&qcow2->covered, data->items[i].offset, data->items[i].length, err);

		if (r < 0)
			return r;
	}
	extents_round(&qcow2->covered, CLUSTER, divide_up(qcow2->size, CLUSTER) * CLUSTER);
	qcow2->first = calloc(qcow2->covered.count + 1, sizeof(*qcow2->first));
	if (qcow2->first == NULL)
		return caisson_fail(err, ENOMEM, "plan " WHAT);
	for (size_t i = 0; i < qcow2->covered.count; i++) {
		const struct extent *run = &qcow2->covered.items[i];
		uint64_t l2_first = run->offset / CLUSTER / L2_ENTRIES;
		uint64_t l2_last = (run->offset + run->length - 1) / CLUSTER / L2_ENTRIES;

		qcow2->first[i] = qcow2->clusters;
		qcow2->clusters += run->length / CLUSTER;
		qcow2->l2_tables += l2_last + 1 - MAX(l2_first, l2_end);
		l2_end = l2_last + 1;
	}
	return 0;
}

int qcow2_plan(uint64_t size, const struct extents *data, struct qcow2 *ret_qcow2,
	struct caisson_error *err)
{
	_cleanup_qcow2_ struct qcow2 qcow2 = {.size = size};
	const struct extent *last = data->count > 0 ? &data->items[data->count - 1] : NULL;
	int r;

	if (size % 512 != 0 || size == 0 || size > SIZE_MOST)
		return caisson_refuse(err, EINVAL, "a qcow2 image cannot hold a disk of %llu bytes",
			(unsigned long long)size);
	if (last != NULL && (last->offset > size || last->length > size - last->offset))
		return caisson_refuse(err, EINVAL, "data ends behind the end of the disk");
	qcow2.l1_entries = divide_up(size, CLUSTER * L2_ENTRIES);
	qcow2.l1_clusters = divide_up(qcow2.l1_entries * 8, CLUSTER);
	r = plan_clusters(&qcow2, data, err);
	if (r < 0)
		return r;
	plan_refcounts(&qcow2);
	*ret_qcow2 = qcow2;
	qcow2 = QCOW2_NONE;
	return 0;
}

void qcow2_done(struct qcow2 *qcow2)
{
	extents_done(&qcow2->covered);
	free(qcow2->first);
	*qcow2 = QCOW2_NONE;
}

int qcow2_begin(const struct qcow2 *qcow2, int fd, struct caisson_error *err)
{
	if (ftruncate(fd, 0) < 0 || ftruncate(fd, (off_t)qcow2->file_size) < 0)
		return caisson_fail(err, errno, "make " WHAT " as large as %llu bytes",
			(unsigned long long)qcow2->file_size);
	return 0;
}

static uint64_t refcount_blocks_at(const struct qcow2 *qcow2)
{
	return (1 + qcow2->refcount_table) * CLUSTER;
}

static uint64_t l1_at(const struct qcow2 *qcow2)
{
	return refcount_blocks_at(qcow2) + qcow2->refcount_blocks * CLUSTER;
}

static uint64_t l2_at(const struct qcow2 *qcow2)
{
	return l1_at(qcow2) + qcow2->l1_clusters * CLUSTER;
}

static uint64_t data_at(const struct qcow2 *qcow2)
{
	return l2_at(qcow2) + qcow2->l2_tables * CLUSTER;
}

uint64_t qcow2_place(const struct qcow2 *qcow2, uint64_t offset)
{
	size_t low = 0, high = qcow2->covered.count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (qcow2->covered.items[middle].offset <= offset)
			low = middle;
		else
			high = middle;
	}
	return data_at(qcow2) + qcow2->first[low] * CLUSTER + offset -
	       qcow2->covered.items[low].offset;
}

/* A table of 64-bit numbers that is written a cluster at a time. */
struct table {
	int fd;
	uint64_t at; /* where in the file the cluster goes */
	size_t used;
	uint64_t entries[QCOW2_CLUSTER_SIZE / 8];
};

static int table_flush(struct table *table, struct caisson_error *err)
{
	int r;

	if (table->used == 0)
		return 0;
	memset(table->entries + table->used, 0,
		sizeof(table->entries) - table->used * sizeof(table->entries[0]));
	r = pwrite_all(table->fd, table->entries, sizeof(table->entries), table->at, WHAT, err);
	table->at += CLUSTER;
	table->used = 0;
	return r;
}

static int table_add(struct table *table, uint64_t entry, struct caisson_error *err)
{
	table->entries[table->used++] = htobe64(entry);
	return table->used == ARRAY_SIZE(table->entries) ? table_flush(table, err) : 0;
}

static int write_refcounts(
	const struct qcow2 *qcow2, struct table *table, struct caisson_error *err)
{
	uint64_t all = qcow2->file_size / CLUSTER;
	int r = 0;

	table->at = CLUSTER;
	for (uint64_t i = 0; r == 0 && i < qcow2->refcount_blocks; i++)
		r = table_add(table, refcount_blocks_at(qcow2) + i * CLUSTER, err);
	if (r == 0)
		r = table_flush(table, err);
	table->at = refcount_blocks_at(qcow2);
	/* Four in one number. */
	for (uint64_t i = 0; r == 0 && i < all; i += 4) {
		uint64_t four = UINT64_C(0x0001000100010001);

		if (all - i < 4)
			four <<= 16 * (4 - (all - i));
		r = table_add(table, four, err);
	}
	return r < 0 ? r : table_flush(table, err);
}

/* Calls up each L2 table that is there, in order. */
static int write_l1(const struct qcow2 *qcow2, struct table *table, struct caisson_error *err)
{
	uint64_t next = 0, l2 = l2_at(qcow2);
	int r = 0;

	table->at = l1_at(qcow2);
	for (size_t i = 0; r == 0 && i < qcow2->covered.count; i++) {
		const struct extent *run = &qcow2->covered.items[i];
		uint64_t last = (run->offset + run->length - 1) / CLUSTER / L2_ENTRIES;

		for (; r == 0 && next <= last; next++) {
			bool there = next >= run->offset / CLUSTER / L2_ENTRIES;

			r = table_add(table, there ? l2 | COPIED : 0, err);
			l2 += there ? CLUSTER : 0;
		}
	}
	return r < 0 ? r : table_flush(table, err);
}

static int write_l2(const struct qcow2 *qcow2, struct table *table, struct caisson_error *err)
{
	uint64_t data = data_at(qcow2), current = UINT64_MAX;
	int r = 0;

	table->at = l2_at(qcow2);
	for (size_t i = 0; r == 0 && i < qcow2->covered.count; i++) {
		const struct extent *run = &qcow2->covered.items[i];

		for (uint64_t k = 0; r == 0 && k < run->length / CLUSTER; k++) {
			uint64_t cluster = run->offset / CLUSTER + k;

			/* A table that is full has been written already. */
			if (cluster / L2_ENTRIES != current)
				r = table_flush(table, err);
			current = cluster / L2_ENTRIES;
			while (r == 0 && table->used < cluster % L2_ENTRIES)
				r = table_add(table, 0, err);
			if (r == 0)
				r = table_add(table, data | COPIED, err);
			data += CLUSTER;
		}
	}
	return r < 0 ? r : table_flush(table, err);
}

static void put32(uint8_t *to, uint32_t value)
{
	value = htobe32(value);
	memcpy(to, &value, sizeof(value));
}

static void put64(uint8_t *to, uint64_t value)
{
	value = htobe64(value);
	memcpy(to, &value, sizeof(value));
}

/* No backing file, no encryption of its own, no snapshots, no feature; the extensions' end (zeros)
   follows. */
static int write_header(const struct qcow2 *qcow2, int fd, struct caisson_error *err)
{
	uint8_t header[HEADER_SIZE + 8] = {'Q', 'F', 'I', 0xfb};

	put32(header + 4, 3);
	put32(header + 20, CLUSTER_BITS);
	put64(header + 24, qcow2->size);
	put32(header + 36, (uint32_t)qcow2->l1_entries);
	put64(header + 40, l1_at(qcow2));
	put64(header + 48, CLUSTER);
	put32(header + 56, (uint32_t)qcow2->refcount_table);
	put32(header + 96, REFCOUNT_ORDER);
	put32(header + 100, HEADER_SIZE);
	return pwrite_all(fd, header, sizeof(header), 0, WHAT, err);
}

int qcow2_finish(const struct qcow2 *qcow2, int fd, struct caisson_error *err)
{
	_cleanup_free_ struct table *table = calloc(1, sizeof(*table));
	int r;

	if (table == NULL)
		return caisson_fail(err, ENOMEM, "write " WHAT);
	table->fd = fd;
	r = write_l2(qcow2, table, err);
	if (r == 0)
		r = write_l1(qcow2, table, err);
	if (r == 0)
		r = write_refcounts(qcow2, table, err);
	return r < 0 ? r : write_header(qcow2, fd, err);
}
