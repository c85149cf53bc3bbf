/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The two ends of a container's life: its header is written, and its header is erased. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sodium.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/io.h"
#include "luks/container.h"

#define METADATA_SIZE (2 * UINT64_C(16384)) /* both copies of the header */
/* Room for eight keyslots, as many as LUKS1 had. What is left before the payload stays empty:
   filling the stock 16 MiB with random bytes would be most of the time that a small volume takes to
   make. */
#define KEYSLOTS_SIZE (UINT64_C(2) << 20)
#define CHUNK_SIZE    (1u << 20)
/* The largest header that luks_erase() believes: 4 MiB twice and 128 MiB of keyslots
   (LUKS2_MAX_KEYSLOTS_SIZE), and some. */
#define ERASE_MOST (UINT64_C(192) << 20)

static int open_sized(const char *path, uint64_t *ret_size, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_file(path, O_RDWR | O_NONBLOCK, 0, err);
	uint64_t size = 0;
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat %s", path);
	if (S_ISREG(st.st_mode))
		size = (uint64_t)st.st_size;
	else if (!S_ISBLK(st.st_mode))
		return caisson_refuse(err, EINVAL, "%s is neither a file nor a block device", path);
	else if (ioctl(fd, BLKGETSIZE64, &size) < 0)
		return caisson_fail(err, errno, "ask for the size of %s", path);
	*ret_size = size;
	return take_fd(&fd);
}

/* XTS with equal halves is no XTS (IEEE 1619, FIPS 140-3 IG C.I): libraries refuse it. */
static int new_volume_key(struct secret *ret_key, struct caisson_error *err)
{
	int r = secret_random(ret_key, LUKS_VOLUME_KEY_SIZE, err);
	size_t half = LUKS_VOLUME_KEY_SIZE / 2;

	if (r == 0 && memcmp(ret_key->data, ret_key->data + half, half) == 0) {
		secret_done(ret_key);
		return caisson_refuse(err, EIO, "the kernel's random generator repeats itself");
	}
	return r;
}

/* Makes the header in @path, a scratch file. */
static int make_header(const char *path, const struct secret *machine_key,
	const struct secret *volume_key, struct luks_facts *facts, struct caisson_error *err)
{
	static const struct crypt_pbkdf_type pbkdf = {
		.type = CRYPT_KDF_PBKDF2,
		.hash = "sha256",
		.iterations = LUKS_KDF_ITERATIONS,
		.flags = CRYPT_PBKDF_NO_BENCHMARK,
	};
	struct crypt_params_luks2 params = {.pbkdf = &pbkdf, .sector_size = LUKS_SECTOR_SIZE};
	_cleanup_luks_device_ struct luks_device device = LUKS_DEVICE_NONE;
	const char *key = (const char *)volume_key->data;
	int r = luks_device_init(&device, path, err);

	if (r < 0)
		return r;
	r = crypt_set_metadata_size(device.context, METADATA_SIZE / 2, KEYSLOTS_SIZE);
	if (r == 0)
		r = crypt_set_data_offset(device.context, LUKS_DATA_OFFSET / 512);
	if (r == 0)
		r = crypt_format(device.context, CRYPT_LUKS2, "aes", "xts-plain64", NULL, key,
			volume_key->size, &params);
	if (r == 0)
		r = crypt_keyslot_add_by_volume_key(device.context, 0, key, volume_key->size,
			(const char *)machine_key->data, machine_key->size);
	if (r < 0)
		return luks_device_fail(&device, r, err, "make a LUKS2 header");
	snprintf(facts->uuid, sizeof(facts->uuid), "%s", crypt_get_uuid(device.context));
	snprintf(facts->cipher, sizeof(facts->cipher), "%s", LUKS_CIPHER);
	facts->key_size = LUKS_VOLUME_KEY_SIZE;
	facts->sector_size = LUKS_SECTOR_SIZE;
	facts->data_offset = crypt_get_data_offset(device.context) * 512;
	return 0;
}

/* Makes [@offset, @offset + @length) read as zeros, giving the space back where that can be done.
 */
static int zero_range(
	int fd, uint64_t offset, uint64_t length, const char *what, struct caisson_error *err)
{
	_cleanup_free_ uint8_t *zeros = NULL;

	if (length == 0 || fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
				   (off_t)length) == 0)
		return 0;
	zeros = calloc(1, CHUNK_SIZE);
	if (zeros == NULL)
		return caisson_fail(err, ENOMEM, "overwrite %s", what);
	while (length > 0) {
		uint64_t size = MIN(length, (uint64_t)CHUNK_SIZE);
		int r = pwrite_all(fd, zeros, size, offset, what, err);

		if (r < 0)
			return r;
		offset += size;
		length -= size;
	}
	return 0;
}

/* libcryptsetup writes a header piecemeal and syncs after each piece: it does so in memory, and
   what comes out goes to the disk in one go, with errors that say what happened (a full disk, say).
 */
static int write_header(int to, const struct secret *machine_key, const struct secret *volume_key,
	struct luks_facts *facts, const char *what, struct caisson_error *err)
{
	_cleanup_close_ int scratch = memfd_create("luks-header", MFD_CLOEXEC);
	size_t size = METADATA_SIZE + KEYSLOTS_SIZE;
	char path[32];
	void *header;
	int r;

	if (scratch < 0 || ftruncate(scratch, LUKS_DATA_OFFSET + LUKS_SECTOR_SIZE) < 0)
		return caisson_fail(err, errno, "make room in memory for a LUKS2 header");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", scratch);
	r = make_header(path, machine_key, volume_key, facts, err);
	if (r < 0)
		return r;
	header = mmap(NULL, size, PROT_READ, MAP_SHARED, scratch, 0);
	if (header == MAP_FAILED)
		return caisson_fail(err, errno, "read the new LUKS2 header");
	r = pwrite_all(to, header, size, 0, what, err);
	munmap(header, size);
	if (r < 0)
		return r;
	return zero_range(to, size, LUKS_DATA_OFFSET - size, what, err);
}

int luks_format(const char *path, const struct secret *machine_key, struct luks_facts *ret_facts,
	struct secret *ret_volume_key, struct caisson_error *err)
{
	_cleanup_secret_ struct secret volume_key = SECRET_NONE;
	struct luks_facts facts = {0};
	_cleanup_close_ int fd = -1;
	uint64_t size = 0;
	int r;

	if (machine_key->size != LUKS_MACHINE_KEY_SIZE)
		return caisson_refuse(err, EINVAL, "a machine key has %u bytes and not %zu",
			LUKS_MACHINE_KEY_SIZE, machine_key->size);
	fd = open_sized(path, &size, err);
	if (fd < 0)
		return fd;
	if (size < LUKS_DATA_OFFSET + LUKS_SECTOR_SIZE)
		return caisson_refuse(err, EINVAL,
			"%s has %llu bytes: the LUKS2 header alone takes %u", path,
			(unsigned long long)size, LUKS_DATA_OFFSET);
	if (size % LUKS_SECTOR_SIZE != 0)
		return caisson_refuse(
			err, EINVAL, "the size of %s is no multiple of %u", path, LUKS_SECTOR_SIZE);
	r = new_volume_key(&volume_key, err);
	if (r == 0)
		r = write_header(fd, machine_key, &volume_key, &facts, path, err);
	if (r == 0)
		r = luks_fingerprint(&volume_key, machine_key, facts.fingerprint, err);
	if (r < 0)
		return r;
	*ret_facts = facts;
	*ret_volume_key = take_secret(&volume_key);
	return 0;
}

/* Where the payload begins as far as can be told, which a damaged header must not move to nowhere.
 */
static uint64_t header_end(const char *path, uint64_t size)
{
	uint64_t end = LUKS_DATA_OFFSET;
	struct luks_header header;

	if (luks_inspect(path, &header, NULL) == 0) {
		uint64_t areas = 2 * header.metadata_size + header.keyslots_size;

		/* A detached payload begins at 0: the keyslots are here all the same. */
		end = MAX(header.facts.data_offset, areas);
		end = end > 0 && end <= ERASE_MOST ? end : ERASE_MOST;
	}
	return MIN(end, size);
}

/* The next range below @end that takes up space. A hole holds nothing to overwrite, and filling it
   could fail on a full disk. False when there is none; everything where the filesystem cannot tell.
 */
static bool next_data(int fd, uint64_t *at, uint64_t end, uint64_t *ret_stop)
{
	off_t data = lseek(fd, (off_t)*at, SEEK_DATA), hole;

	*ret_stop = end;
	if (data < 0)
		return errno != ENXIO && *at < end;
	*at = (uint64_t)data;
	hole = lseek(fd, data, SEEK_HOLE);
	if (hole > data && (uint64_t)hole < end)
		*ret_stop = (uint64_t)hole;
	return *at < end;
}

static int overwrite(int fd, uint64_t end, const char *path, struct caisson_error *err)
{
	_cleanup_free_ uint8_t *noise = malloc(CHUNK_SIZE);
	uint64_t at = 0, stop;

	if (noise == NULL)
		return caisson_fail(err, ENOMEM, "erase %s", path);
	randombytes_buf(noise, CHUNK_SIZE);
	while (next_data(fd, &at, end, &stop)) {
		while (at < stop) {
			size_t size = MIN(stop - at, (uint64_t)CHUNK_SIZE);
			int r = pwrite_all(fd, noise, size, at, path, err);

			if (r < 0)
				return r;
			at += size;
		}
	}
	if (fsync(fd) < 0)
		return caisson_fail(err, errno, "sync %s", path);
	return 0;
}

int luks_erase(const char *path, struct caisson_error *err)
{
	_cleanup_close_ int fd = -1;
	uint64_t size = 0, end;
	int r;

	fd = open_sized(path, &size, err);
	if (fd < 0)
		return fd;
	end = header_end(path, size);
	r = overwrite(fd, end, path, err);
	if (r < 0)
		return r;
	/* Only now that the noise is on the disk: a hole alone would leave the old blocks'
	 * contents. */
	r = zero_range(fd, 0, end, path, err);
	if (r == 0 && fsync(fd) < 0)
		r = caisson_fail(err, errno, "sync %s", path);
	return r;
}
