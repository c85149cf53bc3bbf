/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/io.h"
#include "base/path.h"
#include "kernel/config_read.h"

enum { PAPER_MOST = 16 << 20 };

static const char *line_end(const char *line, const char *end)
{
	const char *feed = memchr(line, '\n', (size_t)(end - line));

	return feed != NULL ? feed : end;
}

const char *kernel_config_text(
	const char *text, size_t size, const char *option, size_t *ret_length)
{
	size_t length = strlen(option);
	const char *end = text + size, *value = NULL;

	/* Searched for, not read line by line: a start of a machine asks for dozens of options. */
	for (const char *at = text; at < end;) {
		const char *found = memmem(at, (size_t)(end - at), option, length);
		const char *is, *stop;

		if (found == NULL)
			break;
		at = is = found + length;
		if ((found != text && found[-1] != '\n') || is == end || *is != '=')
			continue;
		is++;
		stop = line_end(is, end);
		if (stop > is && stop[-1] == '\r')
			stop--;
		value = is;
		*ret_length = (size_t)(stop - is);
	}
	return value;
}

char kernel_config_value(const char *text, size_t size, const char *option)
{
	size_t length = 0;
	const char *value = kernel_config_text(text, size, option, &length);

	if (value == NULL)
		return 'n';
	return length == 1 && strchr("ymn", *value) != NULL ? *value : 's';
}

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
	const char *end = text + size;

	for (const char *line = text; line < end;) {
		const char *stop = line_end(line, end);
		/* modules.dep: "kernel/crypto/xts.ko: kernel/crypto/ecb.ko". */
		const char *colon = memchr(line, ':', (size_t)(stop - line));

		if (is_module(line, (size_t)((colon != NULL ? colon : stop) - line), name))
			return true;
		line = stop < end ? stop + 1 : end;
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
