/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The configuration inside a kernel's image, kept as STATE/kernels/SHA256.config (of itself). */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "base/io.h"
#include "base/log.h"
#include "base/path.h"
#include "kernel/config_read.h"
#include "kernel/keep.h"
#include "kernel/kernel.h"

static int keep_text(const char *folder, const struct strbuf *text, const char *index,
	char **ret_path, struct caisson_error *err)
{
	_cleanup_staging_ struct staging staging = STAGING_NONE;
	_cleanup_free_ char *name = NULL, *path = NULL;
	char hex[DIGEST_HEX_SIZE];
	int r;

	r = digest_of(text->data, text->size, hex, err);
	if (r == 0)
		r = staging_file(&staging, folder, err);
	if (r < 0)
		return r;
	name = format_string("%s.config", hex);
	path = path_join(folder, name != NULL ? name : "");
	if (name == NULL || path == NULL)
		return caisson_fail(err, ENOMEM, "keep a configuration");
	r = write_all(staging.fd, text->data, text->size, path, err);
	if (r == 0)
		r = keep_publish(&staging, name, err);
	if (r == 0)
		r = keep_index_write(folder, index, name, err);
	if (r < 0)
		return r;
	*ret_path = take_ptr(path);
	return 0;
}

/* *ret_path stays NULL when there is none. */
static int extract(const char *folder, int fd, const struct kernel *kernel, const char *index,
	const struct caisson_log *log, char **ret_path, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	struct caisson_error why = {0};
	enum kernel_config_where where;
	int r = kernel_config_read_fd(fd, kernel->path, &text, &where, &why);

	if (r == -ENOMEM || r == -EIO) {
		if (err != NULL)
			*err = why;
		return r;
	}
	if (r < 0) {
		/* A damaged image is for the machine's start to complain about. */
		log_debug(log, "no configuration inside: %s", why.message);
		return keep_index_write(folder, index, NULL, err);
	}
	r = keep_text(folder, &text, index, ret_path, err);
	if (r == 0)
		log_debug(log, "the configuration in %s is in %s", kernel->path, *ret_path);
	return r;
}

int kernel_keep_config(const struct state *state, struct kernel *kernel,
	const struct caisson_log *log, struct caisson_error *err)
{
	_cleanup_free_ char *folder = NULL, *index = NULL;
	_cleanup_close_ int fd = -1, lock = -1;
	struct stat st;
	int r;

	if (kernel->config != NULL || kernel->bare)
		return 0;
	fd = open_file(kernel->path, O_RDONLY | O_NONBLOCK, 0, err);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat %s", kernel->path);
	r = state_folder(state, "kernels", &folder, err);
	if (r == 0)
		r = keep_index_name("config 1", kernel->path, &st, &index, err);
	if (r < 0)
		return r;
	if (keep_index_find(folder, index, ".config", &kernel->config) == 0) {
		r = keep_lock(folder, &lock, err);
		if (r == 0 && keep_index_find(folder, index, ".config", &kernel->config) == 0)
			r = extract(folder, fd, kernel, index, log, &kernel->config, err);
	}
	if (r < 0)
		return r;
	kernel->bare = kernel->config == NULL;
	return 0;
}
