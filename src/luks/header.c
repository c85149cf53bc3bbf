/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A header in memory, to be changed there: what a change comes to is seen, and written, at once.
 * And what the binary part of a header says (LUKS2 On-Disk Format Specification 1.1, section 2.1).
 */
#include "luks/header.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/mman.h>

#include "base/io.h"
#include "luks/container.h"

#define HEADER_MOST (UINT64_C(192) << 20)

struct binary_header {
	char magic[6];
	uint16_t version;
	uint64_t size, sequence;
	char label[48];
	char checksum_algorithm[32];
	uint8_t salt[64];
	char uuid[40];
	char subsystem[48];
	uint64_t offset;
	uint8_t padding[184];
	uint8_t checksum[64];
} __attribute__((packed));

int luks_header_size(const char *path, uint64_t *ret_size, struct caisson_error *err)
{
	struct luks_header header;
	int r = luks_inspect(path, &header, err);

	if (r < 0)
		return r;
	*ret_size = 2 * header.metadata_size + header.keyslots_size;
	if (*ret_size > HEADER_MOST)
		return caisson_refuse(err, E2BIG, "the header of %s has %llu bytes", path,
			(unsigned long long)*ret_size);
	return 0;
}

static int copy_bytes(
	struct blocks *from, int to, uint64_t size, const char *what, struct caisson_error *err)
{
	_cleanup_free_ uint8_t *buffer = malloc(HEADER_CHUNK);
	int r = buffer != NULL ? 0 : caisson_fail(err, ENOMEM, "read %s", what);

	for (uint64_t at = 0; r == 0 && at < size; at += HEADER_CHUNK) {
		size_t part = MIN(size - at, (uint64_t)HEADER_CHUNK);

		r = blocks_read(from, at, buffer, part, err);
		if (r == 0)
			r = pwrite_all(to, buffer, part, at, what, err);
	}
	return r;
}

int luks_header_copy(struct blocks *container, uint64_t size, uint64_t data_offset, int *ret_fd,
	struct caisson_error *err)
{
	_cleanup_close_ int fd = memfd_create("luks-header", MFD_CLOEXEC);
	int r;

	/* libcryptsetup wants to see that there is a payload. */
	if (fd < 0 || ftruncate(fd, (off_t)(MAX(data_offset, size) + LUKS_SECTOR_SIZE)) < 0)
		return caisson_fail(err, errno, "make room in memory for a LUKS2 header");
	r = copy_bytes(container, fd, MIN(size, container->size), "the LUKS2 header", err);
	if (r < 0)
		return r;
	*ret_fd = take_fd(&fd);
	return 0;
}

int luks_header_write(int fd, uint64_t size, struct blocks *container, struct caisson_error *err)
{
	_cleanup_free_ uint8_t *buffer = malloc(2 * HEADER_CHUNK);
	uint8_t *old = buffer != NULL ? buffer + HEADER_CHUNK : NULL;
	int r = buffer != NULL ? 0 : caisson_fail(err, ENOMEM, "write a header");

	for (uint64_t at = 0; r == 0 && at < size; at += HEADER_CHUNK) {
		size_t part = MIN(size - at, (uint64_t)HEADER_CHUNK);

		r = pread_all(fd, buffer, part, at, "the changed header", err);
		if (r == 0)
			r = blocks_read(container, at, old, part, err);
		if (r == 0 && memcmp(old, buffer, part) != 0)
			r = blocks_write(container, at, buffer, part, err);
	}
	return r;
}

static int read_binary(struct blocks *container, uint64_t at, struct binary_header *header,
	const char *magic, struct caisson_error *err)
{
	int r = blocks_read(container, at, header, sizeof(*header), err);

	if (r < 0)
		return r;
	if (memcmp(header->magic, magic, sizeof(header->magic)) != 0 ||
		be16toh(header->version) != 2)
		return caisson_refuse(err, EBADMSG, "it is missing");
	if (be64toh(header->offset) != at)
		return caisson_refuse(err, EBADMSG, "it says that it stands elsewhere");
	return 0;
}

/* The checksum covers the whole copy, with zeros where it stands itself. */
static int check_sum(struct blocks *container, uint64_t at, struct binary_header *header,
	struct caisson_error *err)
{
	uint64_t size = be64toh(header->size);
	_cleanup_free_ uint8_t *bytes = NULL;
	uint8_t sum[crypto_hash_sha256_BYTES];
	int r;

	if (size < 16384 || size > (4u << 20) || (size & (size - 1)) != 0)
		return caisson_refuse(
			err, EBADMSG, "it says that it has %llu bytes", (unsigned long long)size);
	if (strncmp(header->checksum_algorithm, "sha256", sizeof(header->checksum_algorithm)) != 0)
		return caisson_refuse(err, ENOTSUP, "its checksum is not SHA-256");
	bytes = malloc(size);
	if (bytes == NULL)
		return caisson_fail(err, ENOMEM, "check a header");
	r = blocks_read(container, at, bytes, size, err);
	if (r < 0)
		return r;
	memset(bytes + offsetof(struct binary_header, checksum), 0, sizeof(header->checksum));
	crypto_hash_sha256(sum, bytes, size);
	if (memcmp(sum, header->checksum, sizeof(sum)) != 0)
		return caisson_refuse(err, EBADMSG, "its checksum is wrong");
	return 0;
}

int luks_header_check(struct blocks *container, struct caisson_error *err)
{
	struct binary_header first, second;
	uint64_t at;
	int r = read_binary(container, 0, &first, "LUKS\xba\xbe", err);

	if (r == 0)
		r = check_sum(container, 0, &first, err);
	if (r < 0)
		return caisson_wrap(err, "the first copy of the header");
	at = be64toh(first.size);
	r = read_binary(container, at, &second, "SKUL\xba\xbe", err);
	if (r == 0)
		r = check_sum(container, at, &second, err);
	if (r == 0 && second.sequence != first.sequence)
		r = caisson_refuse(err, EBADMSG, "it is older than the first");
	return r < 0 ? caisson_wrap(err, "the second copy of the header") : 0;
}

/* Areas must lie between the header's copies and the payload, and no two may share a byte. */
int luks_areas_check(const char *path, struct caisson_error *err)
{
	_cleanup_luks_device_ struct luks_device device = LUKS_DEVICE_NONE;
	struct luks_metadata metadata;
	uint64_t least = 0;
	int r = luks_device_load(&device, path, err);

	if (r == 0)
		r = luks_device_metadata(&device, path, &metadata, err);
	if (r < 0)
		return r;
	(void)crypt_get_metadata_size(device.context, &least, NULL);
	for (size_t i = 0; i < metadata.keyslot_count; i++) {
		const struct luks_keyslot *one = &metadata.keyslots[i];

		if (strcmp(one->type, "luks2") != 0)
			continue;
		if (one->area_offset < 2 * least ||
			one->area_offset + one->area_size > metadata.segment.offset)
			return caisson_refuse(err, EBADMSG,
				"the area of keyslot %u is not between header and payload",
				one->number);
		for (size_t j = 0; j < i; j++) {
			const struct luks_keyslot *other = &metadata.keyslots[j];

			if (strcmp(other->type, "luks2") == 0 &&
				one->area_offset < other->area_offset + other->area_size &&
				other->area_offset < one->area_offset + one->area_size)
				return caisson_refuse(err, EBADMSG,
					"the areas of keyslots %u and %u overlap", other->number,
					one->number);
		}
	}
	return 0;
}
