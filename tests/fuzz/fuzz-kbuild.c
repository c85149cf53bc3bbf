/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A source's archive, a Debian package, a Makefile and what make says, each of the same bytes. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/path.h"
#include "fuzz.h"
#include "kbuild/make_log.h"
#include "kbuild/unpack.h"
#include "kernel/release.h"

/* Into a folder in a folder: nothing may come up beside it. */
static void unpack(int fd)
{
	char outer[] = "/dev/shm/fuzz-kbuild-XXXXXX";
	_cleanup_free_ char *inner = NULL;
	struct unpacked unpacked;
	int root;

	if (mkdtemp(outer) == NULL)
		return;
	inner = path_join(outer, "in");
	if (inner != NULL && mkdir(inner, 0700) == 0) {
		struct stat st;

		root = open(inner, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		(void)unpack_source(fd, "the archive", root, NULL, &unpacked, NULL);
		close(root);
		/* "." , ".." and "in": no folder beside that one. */
		if (stat(outer, &st) == 0 && st.st_nlink > 3)
			abort();
	}
	(void)remove_tree(outer, NULL);
}

static void read_texts(const char *text, size_t size)
{
	struct make_log log = {.fd = -1, .line = STRBUF_INIT};
	_cleanup_free_ char *version = NULL;

	if (kernel_makefile_release(text, size, &version, NULL) == 0 &&
		strchr(version, '/') != NULL)
		abort();
	make_log_add(&log, text, size);
	if (log.line.size > 2 * MAKE_LINE_SIZE)
		abort();
	make_log_done(&log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd = memfd_create("archive", MFD_CLOEXEC);
	_cleanup_close_ int to = memfd_create("file", MFD_CLOEXEC);

	if (fd < 0 || to < 0 || write(fd, data, size) != (ssize_t)size)
		return 0;
	read_texts((const char *)data, size);
	unpack(fd);
	(void)unpack_package_file(fd, "the package", "usr/src/x.tar.xz", to, NULL);
	return 0;
}
