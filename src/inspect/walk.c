/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inspect/walk.h"

#include "boot/initramfs.h"
#include "inspect/member.h"

/* All archives in one member. */
static int walk_member(const struct member *member, const char *what,
	int (*entry)(const struct cpio_entry *entry, void *userdata), void *userdata,
	struct caisson_error *err)
{
	struct cpio_reader reader;
	struct cpio_entry found;
	int r;

	cpio_reader_init(&reader, member->data, member->data_size);
	while ((r = cpio_read(&reader, &found, err)) == 1) {
		r = entry(&found, userdata);
		if (r < 0)
			return r;
	}
	return r < 0 ? caisson_wrap(err, "%s", what) : 0;
}

int archive_walk(const uint8_t *data, size_t size, uint64_t most, const char *what,
	int (*entry)(const struct cpio_entry *entry, void *userdata), void *userdata,
	struct caisson_error *err)
{
	struct member_reader reader = {data, size, 0, most, what};
	struct member member;
	int r;

	while ((r = member_next(&reader, &member, err)) == 1) {
		r = walk_member(&member, what, entry, userdata, err);
		member_done(&member);
		if (r < 0)
			return r;
	}
	return r;
}

int initramfs_list(int fd, const char *what,
	int (*entry)(const struct cpio_entry *entry, void *userdata), void *userdata,
	struct caisson_error *err)
{
	_cleanup_members_ struct members members = MEMBERS_NONE;
	int r = members_read_file(fd, what, &members, err);

	if (r < 0)
		return r;
	return archive_walk((const uint8_t *)members.file.data, members.file.size,
		MEMBER_CONTENT_MOST, what, entry, userdata, err);
}
