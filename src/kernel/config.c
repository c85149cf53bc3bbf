/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/io.h"
#include "base/path.h"
#include "kernel/config_read.h"

enum { PAPER_MOST = 16 << 20 };

/* Compares the file name in @path (up to ".ko") with a module's name. */
static bool is_module(const char *path, size_t size, const char *name)
{
	const char *slash = memrchr(path, '/', size);
	const char *base = slash != NULL ? slash + 1 : path;
	size_t left = size - (size_t)(base - path);
	size_t i;

	for (i = 0; i < left && name[i] != '\0'; i++) {
		char a = base[i] == '-' ? '_' : base[i];
		char b = name[i] == '-' ? '_' : name[i];

		if (a != b)
			return false;
	}
	return name[i] == '\0' && left - i >= 3 && memcmp(base + i, ".ko", 3) == 0 &&
	       (left - i == 3 || base[i + 3] == '.');
}

bool kernel_modules_contain(const char *text, size_t size, const char *name)
{
	const char *line = text;

	while (size > 0) {
		const char *feed = memchr(line, '\n', size);
		size_t length = feed != NULL ? (size_t)(feed - line) : size;
		/* modules.dep: "kernel/crypto/xts.ko: kernel/crypto/ecb.ko". */
		const char *colon = memchr(line, ':', length);

		if (is_module(line, colon != NULL ? (size_t)(colon - line) : length, name))
			return true;
		length += feed != NULL;
		line += length;
		size -= length;
	}
	return false;
}

/* Reads MODULES/@name when it is there. */
static int read_list(const struct kernel *kernel, const char *name, bool required,
	struct strbuf *buffer, struct caisson_error *err)
{
	_cleanup_free_ char *path = path_join(kernel->modules, name);
	int r;

	if (path == NULL)
		return caisson_fail(err, ENOMEM, "read %s", name);
	r = read_file(path, PAPER_MOST, buffer, err);
	if (r != -ENOENT)
		return r;
	if (!required)
		return 0;
	caisson_refuse(err, ENOENT, "%s has no %s", kernel->modules, name);
	return caisson_hint(err, "run depmod %s", kernel->release);
}

/* From the file that is known, or from the image, where any trouble means that there is none: the
   image was looked at for other reasons. */
static int read_config(
	const struct kernel *kernel, struct kernel_papers *papers, struct caisson_error *err)
{
	bool inside = kernel->config == NULL;
	const char *path = inside ? kernel->path : kernel->config;
	_cleanup_close_ int fd = -1;
	enum kernel_config_where where;
	int r;

	if (path == NULL || (inside && kernel->bare))
		return 0;
	fd = open_file(path, O_RDONLY | O_NONBLOCK, 0, err);
	if (fd < 0)
		return inside ? 0 : fd;
	r = kernel_config_read_fd(fd, path, &papers->config, &where, inside ? NULL : err);
	papers->has_config = r == 0;
	return inside ? 0 : r;
}

int kernel_papers_read(
	const struct kernel *kernel, struct kernel_papers *ret_papers, struct caisson_error *err)
{
	_cleanup_kernel_papers_ struct kernel_papers papers = {
		STRBUF_INIT, STRBUF_INIT, STRBUF_INIT, false, kernel->modules != NULL};
	int r = read_config(kernel, &papers, err);

	if (r == 0 && papers.has_modules)
		r = read_list(kernel, "modules.dep", true, &papers.dep, err);
	if (r == 0 && papers.has_modules)
		r = read_list(kernel, "modules.builtin", false, &papers.builtin, err);
	if (r < 0)
		return r;
	*ret_papers = papers;
	papers = (struct kernel_papers){0};
	return 0;
}

void kernel_papers_done(struct kernel_papers *papers)
{
	strbuf_done(&papers->config);
	strbuf_done(&papers->dep);
	strbuf_done(&papers->builtin);
}
