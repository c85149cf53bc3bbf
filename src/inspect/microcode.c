/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Intel: SDM volume 3, "Microcode Update Facilities". AMD: the container of the kernel's
 * arch/x86/kernel/cpu/microcode/amd.c.
 */
#include "inspect/microcode.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/macros.h"

enum {
	UPDATES_MOST = 4096,
	INTEL_HEADER = 48,
	INTEL_SIGNATURES_HEADER = 20,
	INTEL_SIGNATURE = 12,
	AMD_EQUIVALENCE = 16,
	AMD_PATCH_HEADER = 64,
	AMD_TABLE_MOST = 1 << 20,
};

#define INTEL_PATH   "kernel/x86/microcode/GenuineIntel.bin"
#define AMD_PATH     "kernel/x86/microcode/AuthenticAMD.bin"
#define AMD_MAGIC    0x00414d44u
#define BEHIND_PLACE "it does not stand in an uncompressed archive in front, where kernels look"

bool microcode_is(const char *path)
{
	return strcmp(path, INTEL_PATH) == 0 || strcmp(path, AMD_PATH) == 0;
}

/* The file that is being read. */
struct microcode_file {
	struct microcodes *updates;
	const char *vendor;
	size_t member;
	const char *problem; /* of all that is in it */
};

static int append(struct microcode_file *file, struct caisson_initramfs_microcode update)
{
	struct microcodes *updates = file->updates;

	if (updates->count == UPDATES_MOST)
		return 0;
	if (updates->count == updates->capacity) {
		size_t capacity = MAX(updates->capacity * 2, (size_t)16);
		void *items = reallocarray(updates->items, capacity, sizeof(*updates->items));

		if (items == NULL)
			return -ENOMEM;
		updates->items = items;
		updates->capacity = capacity;
	}
	update.vendor = file->vendor;
	update.member = file->member;
	if (update.problem == NULL)
		update.problem = file->problem;
	updates->items[updates->count++] = update;
	return 0;
}

static int broken(struct microcode_file *file, const char *why)
{
	return append(file, (struct caisson_initramfs_microcode){.problem = why});
}

static bool sums_to_zero(const uint8_t *data, size_t size)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 4 <= size; i += 4)
		sum += get_le32(data + i);
	return sum == 0;
}

/* The same update for more processors. */
static int read_intel_signatures(struct microcode_file *file, const uint8_t *table, size_t size,
	const struct caisson_initramfs_microcode *update)
{
	uint32_t count;

	if (size < INTEL_SIGNATURES_HEADER)
		return 0;
	count = get_le32(table);
	if (count > (size - INTEL_SIGNATURES_HEADER) / INTEL_SIGNATURE)
		return broken(file, "its table of further processors is cut");
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *at = table + INTEL_SIGNATURES_HEADER + (size_t)i * INTEL_SIGNATURE;
		struct caisson_initramfs_microcode more = *update;
		int r;

		more.signature = get_le32(at);
		more.platforms = get_le32(at + 4);
		r = append(file, more);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_intel(struct microcode_file *file, const uint8_t *data, size_t size)
{
	while (size > 0) {
		struct caisson_initramfs_microcode update = {0};
		uint32_t contents, total;
		int r;

		if (size < INTEL_HEADER || get_le32(data) != 1)
			return broken(file, "what stands there is no update");
		contents = get_le32(data + 28);
		total = get_le32(data + 32);
		if (contents == 0) {
			contents = 2000;
			total = 2048;
		}
		if (total > size || total < INTEL_HEADER || contents > total - INTEL_HEADER ||
			(total & 3) != 0 || (contents & 3) != 0)
			return broken(file, "it is cut");
		update.revision = get_le32(data + 4);
		update.date = get_le32(data + 8);
		update.signature = get_le32(data + 12);
		update.platforms = get_le32(data + 24);
		if (!sums_to_zero(data, INTEL_HEADER + contents))
			update.problem = "its checksum is wrong";
		r = append(file, update);
		if (r == 0)
			r = read_intel_signatures(file, data + INTEL_HEADER + contents,
				total - INTEL_HEADER - contents, &update);
		if (r < 0)
			return r;
		data += total;
		size -= total;
	}
	return 0;
}

/* One for each processor that the table in front calls by the patch's number. */
static int read_amd_patch(
	struct microcode_file *file, const uint8_t *table, size_t table_size, const uint8_t *patch)
{
	struct caisson_initramfs_microcode update = {
		.revision = get_le32(patch + 4), .date = get_le32(patch)};
	uint16_t number = get_le16(patch + 24);
	bool found = false;

	for (size_t i = 0; i + AMD_EQUIVALENCE <= table_size; i += AMD_EQUIVALENCE) {
		int r;

		if (get_le32(table + i) == 0)
			break;
		if (get_le16(table + i + 12) != number)
			continue;
		found = true;
		update.signature = get_le32(table + i);
		r = append(file, update);
		if (r < 0)
			return r;
	}
	if (found)
		return 0;
	update.problem = "no processor is named for it";
	return append(file, update);
}

/* One container: the table, and the patches behind it. Returns through @ret_used where it ends. */
static int read_amd_container(
	struct microcode_file *file, const uint8_t *data, size_t size, size_t *ret_used)
{
	const uint8_t *table = data + 12;
	size_t at, table_size;

	*ret_used = size;
	if (size < 12 || get_le32(data) != AMD_MAGIC || get_le32(data + 4) != 0)
		return broken(file, "what stands there is no container");
	table_size = get_le32(data + 8);
	if (table_size > MIN(size - 12, (size_t)AMD_TABLE_MOST))
		return broken(file, "its table of processors is cut");
	for (size_t i = 0; i + AMD_EQUIVALENCE <= table_size; i += AMD_EQUIVALENCE) {
		if (get_le32(table + i) == 0)
			break;
		file->updates->equivalences++;
	}
	at = 12 + table_size;
	/* Each patch gives one update at least. */
	while (at < size && file->updates->count < UPDATES_MOST) {
		uint32_t length;
		int r;

		if (size - at >= 4 && get_le32(data + at) == AMD_MAGIC)
			break;
		if (size - at < 8 || get_le32(data + at) != 1)
			return broken(file, "what stands there is no patch");
		length = get_le32(data + at + 4);
		at += 8;
		if (length < AMD_PATCH_HEADER || length > size - at)
			return broken(file, "it is cut");
		r = read_amd_patch(file, table, table_size, data + at);
		if (r < 0)
			return r;
		at += length;
	}
	*ret_used = at;
	return 0;
}

int microcode_read(struct microcodes *updates, const char *path, const uint8_t *data, size_t size,
	size_t member, bool late)
{
	bool intel = strcmp(path, INTEL_PATH) == 0;
	struct microcode_file file = {updates, intel ? "GenuineIntel" : "AuthenticAMD", member,
		late ? BEHIND_PLACE : NULL};

	if (size == 0)
		return broken(&file, "it is empty");
	if (intel)
		return read_intel(&file, data, size);
	while (size > 0 && updates->count < UPDATES_MOST) {
		size_t used;
		int r = read_amd_container(&file, data, size, &used);

		if (r < 0)
			return r;
		data += used;
		size -= used;
	}
	return 0;
}
