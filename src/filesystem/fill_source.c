/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/io.h"
#include "filesystem/fill.h"

int fill_source_open(const char *path, const struct fill_source_options *options,
	struct fill_source **ret_source, struct caisson_error *err)
{
	/* Waits for the other side of a FIFO. */
	_cleanup_close_ int fd = open_file(path, O_RDONLY | O_NOCTTY, 0, err);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "look at %s", path);
	if (S_ISDIR(st.st_mode))
		return fill_source_folder(take_fd(&fd), path, options, ret_source, err);
	return fill_source_tar(take_fd(&fd), path, ret_source, err);
}

int fill_source_rewind(struct fill_source *source, struct caisson_error *err)
{
	return source->ops->rewind(source, err);
}

void fill_source_free(struct fill_source *source)
{
	if (source != NULL)
		source->ops->free(source);
}
