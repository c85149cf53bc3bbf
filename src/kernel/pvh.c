/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The vmlinux inside a bzImage, kept as STATE/kernels/SHA256.vmlinux (of the bzImage), or that it
 * has none. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/io.h"
#include "base/log.h"
#include "base/path.h"
#include "base/staging.h"
#include "base/strbuf.h"
#include "kernel/image.h"
#include "kernel/keep.h"
#include "kernel/kernel.h"
#include "kernel/uncompress.h"

static const uint64_t vmlinux_most = 512ull << 20;

struct target {
	int fd;
	const char *what;
	uint64_t size;
};

static int write_target(void *userdata, const void *data, size_t size, struct caisson_error *err)
{
	struct target *target = userdata;

	target->size += size;
	return write_all(target->fd, data, size, target->what, err);
}

/* Uncompresses into @to. 1 when it can be started through PVH, 0 when it cannot. */
static int extract(int fd, const struct kernel_image *image, const char *what, int to,
	struct caisson_error *err)
{
	struct target target = {to, "the uncompressed kernel", 0};
	struct kernel_payload payload;
	int r;

	r = kernel_image_payload(fd, image, what, &payload, err);
	if (r < 0)
		return r;
	if (payload.said > vmlinux_most)
		return caisson_refuse(
			err, EFBIG, "%s says that it holds %u bytes", what, payload.said);
	r = uncompress_range(fd, payload.offset, payload.size, payload.said, what,
		(struct uncompress_sink){write_target, &target}, NULL, err);
	if (r < 0)
		return r;
	if (target.size != payload.said)
		return caisson_refuse(err, EBADMSG, "%s holds %llu bytes and says %u", what,
			(unsigned long long)target.size, payload.said);
	return kernel_image_has_pvh(to, what, err);
}

/* Extracts and publishes. *ret_path is NULL when the kernel cannot be started through PVH. */
static int prepare(const char *folder, int fd, const struct kernel_image *image,
	const struct kernel *kernel, const char *index, const struct caisson_log *log,
	char **ret_path, struct caisson_error *err)
{
	_cleanup_staging_ struct staging staging = STAGING_NONE;
	_cleanup_free_ char *name = NULL, *path = NULL;
	char hex[DIGEST_HEX_SIZE];
	int r;

	r = digest_of_fd(fd, kernel->path, hex, err);
	if (r == 0)
		r = staging_file(&staging, folder, err);
	if (r < 0)
		return r;
	r = extract(fd, image, kernel->path, staging.fd, err);
	/* In a form that is not known here (LZO), or for another architecture: started as it is. */
	if (r == -ENOTSUP || r == -ENOEXEC || r == 0) {
		log_debug(log, "%s cannot be started through PVH%s%s", kernel->path,
			r < 0 && err != NULL ? ": " : "", r < 0 && err != NULL ? err->message : "");
		*ret_path = NULL;
		return keep_index_write(folder, index, NULL, err);
	}
	if (r < 0)
		return r;
	name = format_string("%s.vmlinux", hex);
	path = path_join(folder, name != NULL ? name : "");
	if (name == NULL || path == NULL)
		return caisson_fail(err, ENOMEM, "prepare %s", kernel->path);
	r = keep_publish(&staging, name, err);
	if (r == 0)
		r = keep_index_write(folder, index, name, err);
	if (r < 0)
		return r;
	log_debug(log, "uncompressed %s to %s", kernel->path, path);
	*ret_path = take_ptr(path);
	return 0;
}

static int prepared_image(const struct state *state, const struct kernel *kernel,
	const struct caisson_log *log, char **ret_path, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_file(kernel->path, O_RDONLY | O_NONBLOCK, 0, err);
	_cleanup_free_ char *folder = NULL, *index = NULL, *same = NULL;
	_cleanup_close_ int lock = -1;
	struct kernel_image image;
	struct stat st;
	int r;

	if (fd < 0)
		return fd;
	r = kernel_image_read(fd, kernel->path, &image, err);
	if (r < 0)
		return r;
	if (image.form == KERNEL_IMAGE_VMLINUX) {
		r = kernel_image_has_pvh(fd, kernel->path, err);
		if (r < 0 && r != -ENOEXEC)
			return r;
		same = r == 1 ? strdup(kernel->path) : NULL;
		if (r == 1 && same == NULL)
			return caisson_fail(err, ENOMEM, "prepare %s", kernel->path);
		*ret_path = take_ptr(same);
		return 0;
	}
	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat %s", kernel->path);
	r = state_folder(state, "kernels", &folder, err);
	if (r == 0)
		r = keep_index_name("pvh 1", kernel->path, &st, &index, err);
	if (r < 0)
		return r;
	if (keep_index_find(folder, index, ".vmlinux", ret_path) == 1)
		return 0;
	r = keep_lock(folder, &lock, err);
	if (r < 0)
		return r;
	if (keep_index_find(folder, index, ".vmlinux", ret_path) == 1)
		return 0;
	return prepare(folder, fd, &image, kernel, index, log, ret_path, err);
}

/* The form that the kernel was built with. */
static int built_image(const struct kernel *kernel, char **ret_path, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_file(kernel->vmlinux, O_RDONLY | O_NONBLOCK, 0, err);
	int r = fd < 0 ? fd : kernel_image_has_pvh(fd, kernel->vmlinux, err);
	char *path = r == 1 ? strdup(kernel->vmlinux) : NULL;

	if (r < 0)
		return r;
	if (r == 1 && path == NULL)
		return caisson_fail(err, ENOMEM, "prepare %s", kernel->path);
	*ret_path = path;
	return 0;
}

int kernel_pvh_image(const struct state *state, const struct kernel *kernel,
	const struct caisson_log *log, char **ret_path, struct caisson_error *err)
{
	if (kernel->vmlinux != NULL)
		return built_image(kernel, ret_path, err);
	return prepared_image(state, kernel, log, ret_path, err);
}
