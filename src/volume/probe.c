/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume/probe.h"

#include <blkid.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"

/* Superblocks of what is mounted on Linux stand in the first 128 KiB (btrfs: at 64). */
#define FRONT_SIZE (1u << 20)

DEFINE_CLEANUP(blkid_probe, blkid_free_probe);

static int copy_front(struct blocks *payload, int *ret_fd, struct caisson_error *err)
{
	size_t size = MIN(payload->size, (uint64_t)FRONT_SIZE);
	_cleanup_close_ int fd = memfd_create("front", MFD_CLOEXEC);
	_cleanup_free_ char *front = malloc(FRONT_SIZE);
	int r;

	/* As large as the whole: superblocks that say more than there is would not count. */
	if (fd < 0 || front == NULL || ftruncate(fd, (off_t)payload->size) < 0)
		return caisson_fail(err, front == NULL ? ENOMEM : errno, "look for a filesystem");
	r = blocks_read(payload, 0, front, size, err);
	if (r == 0)
		r = pwrite_all(fd, front, size, 0, "a buffer", err);
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}

int volume_probe(struct blocks *payload, char ret_type[static 16], struct caisson_error *err)
{
	_cleanup_(blkid_free_probep) blkid_probe probe = NULL;
	const char *type = NULL;
	_cleanup_close_ int fd = -1;
	int r = copy_front(payload, &fd, err);

	if (r < 0)
		return r;
	probe = blkid_new_probe();
	if (probe == NULL || blkid_probe_set_device(probe, fd, 0, 0) != 0)
		return caisson_fail(err, ENOMEM, "look for a filesystem");
	(void)blkid_probe_enable_superblocks(probe, 1);
	(void)blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE);
	if (blkid_do_safeprobe(probe) != 0 ||
		blkid_probe_lookup_value(probe, "TYPE", &type, NULL) != 0 || type == NULL ||
		strlen(type) > 15)
		type = "none";
	snprintf(ret_type, 16, "%s", type);
	return 0;
}
