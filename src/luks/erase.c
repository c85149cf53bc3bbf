/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The end of a container's life, also when its header is damaged. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>

#include "base/extent.h"
#include "base/io.h"
#include "luks/container.h"

#define CHUNK_SIZE (1u << 20)
/* The largest header that luks_erase() believes: 4 MiB twice and 128 MiB of keyslots
   (LUKS2_MAX_KEYSLOTS_SIZE), and some. */
#define ERASE_MOST (UINT64_C(192) << 20)

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

static int overwrite(int fd, uint64_t end, const char *path, struct caisson_error *err)
{
	_cleanup_free_ uint8_t *noise = malloc(CHUNK_SIZE);
	struct extent data;
	uint64_t at = 0;

	if (noise == NULL)
		return caisson_fail(err, ENOMEM, "erase %s", path);
	randombytes_buf(noise, CHUNK_SIZE);
	/* A hole holds nothing to overwrite, and filling it could fail on a full disk. */
	while (at < end && next_data(fd, at, end, &data) == 0) {
		uint64_t stop = data.offset + data.length;

		for (at = data.offset; at < stop;) {
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

	fd = luks_open_sized(path, &size, err);
	if (fd < 0)
		return fd;
	end = header_end(path, size);
	r = overwrite(fd, end, path, err);
	if (r < 0)
		return r;
	/* Only now that the noise is on the disk: a hole alone would leave the old blocks'
	 * contents. */
	r = luks_zero_range(fd, 0, end, path, err);
	if (r == 0 && fsync(fd) < 0)
		r = caisson_fail(err, errno, "sync %s", path);
	return r;
}
