/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A tar archive, unpacked into a small filesystem of its own. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"
#include "filesystem/fill.h"
#include "filesystem/mkfs.h"
#include "fuzz.h"

#define SIZE (8u << 20)

/* Made once; NULL where there is no mke2fs. */
static const uint8_t *filesystem(void)
{
	static uint8_t *made;
	_cleanup_mkfs_ struct mkfs mkfs = MKFS_NONE;

	if (made == NULL && mkfs_start(&mkfs, "ext4", SIZE, 0, "fuzz", NULL) == 0 &&
		mkfs_wait(&mkfs, NULL) == 0) {
		made = malloc(SIZE);
		if (made == NULL || pread_all(mkfs.image, made, SIZE, 0, "the image", NULL) < 0)
			abort();
	}
	return made;
}

/* Only what is no hole anyway. */
static void write_filesystem(int fd, const uint8_t *from)
{
	static const uint8_t zeros[4096];

	for (size_t at = 0; at < SIZE; at += sizeof(zeros)) {
		if (memcmp(from + at, zeros, sizeof(zeros)) != 0 &&
			pwrite(fd, from + at, sizeof(zeros), (off_t)at) < 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_fill_source_ struct fill_source *source = NULL;
	_cleanup_blocks_ struct blocks *blocks = NULL;
	_cleanup_(transfer_freep) struct transfer *bulk = NULL;
	_cleanup_close_ int image = memfd_create("image", MFD_CLOEXEC);
	const struct transfer_options options = {.to = image, .threads = 1};
	struct caisson_error err = {0};
	const uint8_t *from = filesystem();
	struct fill_need need;
	int tar = memfd_create("tar", MFD_CLOEXEC);

	if (from == NULL) {
		close(tar);
		return 0;
	}
	if (image < 0 || tar < 0 || ftruncate(image, SIZE) < 0 ||
		write(tar, data, size) != (ssize_t)size || lseek(tar, 0, SEEK_SET) < 0)
		abort();
	write_filesystem(image, from);
	if (fill_source_tar(tar, "the archive", &source, &err) < 0 ||
		blocks_of_file(image, SIZE, false, "the image", &blocks, &err) < 0 ||
		transfer_new(&options, &bulk, &err) < 0)
		abort();
	if (fill_measure(source, SIZE, &need, &err) == 0)
		(void)fill_ext4(blocks, bulk, source, NULL, &err);
	return 0;
}
