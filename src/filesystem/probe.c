/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filesystem/probe.h"

#include <blkid.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Every format that libblkid knows has its marks within these of its beginning or its end. */
#define HEAD_SIZE (1u << 20)
#define TAIL_SIZE (1u << 20)
#define PAGE      4096u

DEFINE_CLEANUP(blkid_probe, blkid_free_probe);

/* One end of the content into the file, which is memory; locked where the limit allows it. */
static int show(
	struct blocks *blocks, int fd, uint64_t offset, size_t size, struct caisson_error *err)
{
	uint64_t start = offset / PAGE * PAGE;
	size_t mapped = size + (size_t)(offset - start);
	uint8_t *window = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)start);
	int r;

	if (window == MAP_FAILED)
		return caisson_fail(err, errno, "look at %s", blocks->what);
	(void)mlock(window, mapped);
	r = blocks_read(blocks, offset, window + (offset - start), size, err);
	munmap(window, mapped);
	return r;
}

/* A file that looks the same at both ends, with nothing in between: libblkid reads files alone. */
static int make_likeness(struct blocks *blocks, int *ret_fd, struct caisson_error *err)
{
	_cleanup_close_ int fd = memfd_create("likeness", MFD_CLOEXEC);
	size_t head = MIN(blocks->size, (uint64_t)HEAD_SIZE);
	size_t tail = MIN(blocks->size - head, (uint64_t)TAIL_SIZE);
	int r;

	if (fd < 0 || ftruncate(fd, (off_t)blocks->size) < 0)
		return caisson_fail(err, errno, "look at %s", blocks->what);
	r = head > 0 ? show(blocks, fd, 0, head, err) : 0;
	if (r == 0 && tail > 0)
		r = show(blocks, fd, blocks->size - tail, tail, err);
	if (r < 0)
		return r;
	*ret_fd = take_fd(&fd);
	return 0;
}

int filesystem_kind(struct blocks *blocks, char ret_kind[static FILESYSTEM_KIND_SIZE],
	struct caisson_error *err)
{
	_cleanup_(blkid_free_probep) blkid_probe probe = NULL;
	_cleanup_close_ int fd = -1;
	const char *type = NULL;
	int r = make_likeness(blocks, &fd, err);

	if (r < 0)
		return r;
	probe = blkid_new_probe();
	if (probe == NULL || blkid_probe_set_device(probe, fd, 0, 0) != 0)
		return caisson_fail(err, ENOMEM, "look at %s", blocks->what);
	blkid_probe_enable_superblocks(probe, 1);
	blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE);
	/* A table of partitions over an old filesystem is no filesystem. */
	blkid_probe_enable_partitions(probe, 1);
	ret_kind[0] = '\0';
	if (blkid_do_safeprobe(probe) == 0 && !blkid_probe_has_value(probe, "PTTYPE") &&
		blkid_probe_lookup_value(probe, "TYPE", &type, NULL) == 0 &&
		strlen(type) < FILESYSTEM_KIND_SIZE)
		strcpy(ret_kind, type);
	return 0;
}
