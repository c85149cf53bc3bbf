/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Is what was built what was asked for? */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/path.h"
#include "kbuild/result.h"
#include "kbuild/settle.h"
#include "kernel/config.h"
#include "kernel/config_read.h"
#include "kernel/image.h"

static int out_of_memory(struct caisson_error *err)
{
	return caisson_fail(err, ENOMEM, "look at the kernel that was built");
}

static int read_embedded(const char *path, struct strbuf *text, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_file(path, O_RDONLY, 0, err);
	enum kernel_config_where where;

	return fd < 0 ? fd : kernel_config_read_fd(fd, path, text, &where, err);
}

/* What the kernel says of itself must be what it was configured by: a file that make should have
   made anew, and has not, would show here. */
static int check_config(const char *tree, const char *vmlinux, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf config = STRBUF_INIT, embedded = STRBUF_INIT;
	int r = settled_config(tree, &config, err);

	if (r < 0)
		return r;
	if (kernel_config_value(config.data, config.size, "CONFIG_IKCONFIG") != 'y')
		return 0;
	r = read_embedded(vmlinux, &embedded, err);
	if (r < 0)
		return r;
	if (embedded.size == config.size && memcmp(embedded.data, config.data, config.size) == 0)
		return 0;
	caisson_refuse(err, EBADMSG, "%s was built from another configuration than %s/.config",
		vmlinux, tree);
	return caisson_hint(err, "--clean starts anew");
}

static int read_release(
	const char *tree, const char *bzimage, char **ret_release, struct caisson_error *err)
{
	_cleanup_free_ char *path = path_join(tree, "include/config/kernel.release");
	_cleanup_close_ int fd = open_file(bzimage, O_RDONLY, 0, err);
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	struct kernel_image image;
	int r = fd < 0 ? fd : kernel_image_read(fd, bzimage, &image, err);

	if (path == NULL)
		return out_of_memory(err);
	if (r == 0)
		r = read_file(path, 4096, &text, err);
	if (r < 0)
		return r;
	if (text.data != NULL)
		text.data[strcspn(text.data, "\n")] = '\0';
	if (image.form != KERNEL_IMAGE_BZIMAGE || text.data == NULL ||
		strcmp(image.release, text.data) != 0) {
		caisson_refuse(err, EBADMSG, "%s is of '%s', and '%s' was built", bzimage,
			image.release, text.data != NULL ? text.data : "");
		return caisson_hint(err, "--clean starts anew");
	}
	*ret_release = strdup(image.release);
	return *ret_release != NULL ? 0 : out_of_memory(err);
}

static int check_pvh(const char *vmlinux, bool *ret_pvh, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_file(vmlinux, O_RDONLY, 0, err);
	int r = fd < 0 ? fd : kernel_image_has_pvh(fd, vmlinux, err);

	if (r < 0)
		return r;
	*ret_pvh = r == 1;
	return 0;
}

int result_check(const char *tree, char **ret_release, bool *ret_pvh, struct caisson_error *err)
{
	_cleanup_free_ char *bzimage = path_join(tree, "arch/x86/boot/bzImage");
	_cleanup_free_ char *vmlinux = path_join(tree, "vmlinux");
	_cleanup_free_ char *release = NULL;
	int r;

	if (bzimage == NULL || vmlinux == NULL)
		return out_of_memory(err);
	r = check_config(tree, vmlinux, err);
	if (r == 0)
		r = read_release(tree, bzimage, &release, err);
	if (r == 0)
		r = check_pvh(vmlinux, ret_pvh, err);
	if (r == 0)
		*ret_release = take_ptr(release);
	return r;
}
