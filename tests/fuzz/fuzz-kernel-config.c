/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A kernel's configuration, taken out of the same bytes as a file and piece by piece. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/macros.h"
#include "fuzz.h"
#include "kernel/config_embedded.h"
#include "kernel/config_read.h"

/* Pieces of any size give the same answer as all at once. */
static void search(const uint8_t *data, size_t size, size_t piece, struct strbuf *text)
{
	struct embedded_search search = EMBEDDED_SEARCH_INIT;
	int r = 0;

	for (size_t at = 0; r == 0 && at < size; at += piece)
		r = embedded_feed(&search, data + at, MIN(piece, size - at), "it", NULL);
	if (embedded_take(&search, "it", text, NULL) < 0)
		strbuf_clear(text);
	embedded_done(&search);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd = memfd_create("configuration", MFD_CLOEXEC);
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT, whole = STRBUF_INIT,
				       pieces = STRBUF_INIT;
	char release[KERNEL_RELEASE_SIZE];
	enum kernel_config_where where;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		return 0;
	if (kernel_config_read_fd(fd, "it", &text, &where, NULL) == 0) {
		if (text.size == 0 || strlen(text.data) != text.size)
			abort();
		if (kernel_config_release(text.data, text.size, release) &&
			!kernel_release_valid(release))
			abort();
	}
	search(data, size, size > 0 ? size : 1, &whole);
	search(data, size, 7, &pieces);
	if (whole.size != pieces.size ||
		(whole.size > 0 && memcmp(whole.data, pieces.data, whole.size) != 0))
		abort();
	return 0;
}
