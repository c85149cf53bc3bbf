/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A kernel's image, its .config and its lists of modules, each of the same bytes. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/macros.h"
#include "fuzz.h"
#include "kernel/config.h"
#include "kernel/image.h"
#include "kernel/uncompress.h"

static int discard(
	void *userdata, const void *data _unused_, size_t size, struct caisson_error *err _unused_)
{
	*(size_t *)userdata += size;
	return 0;
}

static void read_papers(const char *text, size_t size)
{
	size_t count;
	const struct kernel_requirement *table = kernel_requirements(&count);

	for (size_t i = 0; i < count; i++) {
		if (strchr("ymns", kernel_config_value(text, size, table[i].option)) == NULL)
			abort();
		if (table[i].module != NULL)
			(void)kernel_modules_contain(text, size, table[i].module);
	}
}

static void read_image(int fd)
{
	enum { MOST = 1 << 20 };
	struct kernel_image image;
	size_t total = 0;

	(void)kernel_image_has_pvh(fd, "the kernel", NULL);
	if (kernel_image_read(fd, "the kernel", &image, NULL) < 0)
		return;
	if (image.form == KERNEL_IMAGE_VMLINUX) {
		(void)kernel_image_find_release(fd, "the kernel", &image, NULL);
	} else {
		if (image.payload_offset + image.payload_size > image.size ||
			!kernel_release_valid(image.release))
			abort();
		(void)uncompress_range(fd, image.payload_offset, image.payload_size, MOST,
			"the kernel", (struct uncompress_sink){discard, &total}, NULL, NULL);
		if (total > MOST)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd = memfd_create("kernel", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		return 0;
	read_papers((const char *)data, size);
	read_image(fd);
	return 0;
}
