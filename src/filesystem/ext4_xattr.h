/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Extended attributes and POSIX ACLs, as ext4 keeps them: behind the inode's fields, then in a
 * block. */
#pragma once

#include "filesystem/ext4_writer.h"

#define EXT4_ACL_ACCESS  "system.posix_acl_access"
#define EXT4_ACL_DEFAULT "system.posix_acl_default"

struct ext4_xattr {
	const char *name;  /* whole: "user.comment" */
	const void *value; /* of the two ACLs: as getxattr(2) gives it */
	size_t size;
};

/* Whether ext4 has a place for attributes of this name. */
bool ext4_xattr_known(const char *name);
/*
 * Lets @inode, which has none so far, have @list; a block is written when they are too many for the
 * inode. -E2BIG when one block does not do, -EINVAL for what is no ACL.
 */
int ext4_set_xattrs(struct ext4_writer *writer, ext2_ino_t number, union ext4_inode *inode,
	const struct ext4_xattr *list, size_t count, struct caisson_error *err);
