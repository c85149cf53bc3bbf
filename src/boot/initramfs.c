/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "boot/initramfs.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "boot/build.h"
#include "boot/compress.h"

/* A pipe has no start to go back to. */
static bool is_file(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static int write_members(const struct archive *archive, const struct initramfs_recipe *recipe,
	const struct compressor_options *options, struct file_sink *file, struct caisson_error *err)
{
	_cleanup_(compressor_freep) struct compressor *compressor = NULL;
	int r;

	r = compressor_new(&compressor, options, file_sink(file), err);
	if (r == 0 && recipe->microcode != NULL)
		r = initramfs_write_microcode(
			recipe->microcode, recipe->time, file_sink(file), err);
	if (r == 0)
		r = archive_write(archive, recipe->time, compressor_sink(compressor), err);
	if (r == 0)
		r = compressor_finish(compressor, err);
	return r;
}

int initramfs_write(const struct archive *archive, const struct initramfs_recipe *recipe, int fd,
	const struct caisson_log *log, struct caisson_error *err)
{
	struct file_sink file = {fd, "the boot archive", 0};
	struct compressor_options options = {.level = recipe->level, .threads = recipe->threads};
	uint64_t started = now_usec();
	int r;

	r = compression_settle(recipe->kernel, recipe->compression, &options.kind, err);
	if (r < 0)
		return r;
	if (recipe->compression == COMPRESSION_AUTO && options.kind == COMPRESSION_NONE)
		log_warning(log,
			"the kernel %s has no CONFIG_RD_ZSTD: the boot archive stays uncompressed",
			recipe->kernel->release);
	if (is_file(fd) && (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0))
		return caisson_fail(err, errno, "write the boot archive");
	r = write_members(archive, recipe, &options, &file, err);
	if (r < 0) {
		/* Half an archive is worse than none: the kernel unpacks what there is of it. */
		if (is_file(fd) && ftruncate(fd, 0) < 0)
			log_warning(log, "the boot archive is not whole, and cannot be emptied");
		return r;
	}
	log_debug(log, "wrote the boot archive: %zu entries, %llu bytes, %llu ms", archive->count,
		(unsigned long long)file.written,
		(unsigned long long)(now_usec() - started) / 1000);
	return 0;
}

int initramfs_build(const struct initramfs_recipe *recipe, int fd, const struct caisson_log *log,
	struct caisson_error *err)
{
	_cleanup_archive_ struct archive archive = ARCHIVE_INIT;
	_cleanup_strv_ struct strv inputs = STRV_INIT;
	int r;

	r = recipe_collect(recipe, &archive, &inputs, err);
	if (r == 0)
		r = initramfs_write(&archive, recipe, fd, log, err);
	return r;
}

static int buffer_write(void *userdata, const void *data, size_t size, struct caisson_error *err)
{
	struct strbuf *buffer = userdata;

	strbuf_add(buffer, data, size);
	return strbuf_ok(buffer) ? 0 : caisson_fail(err, ENOMEM, "write a boot archive");
}

int initramfs_machine_archive(
	const void *config, size_t size, struct strbuf *buffer, struct caisson_error *err)
{
	_cleanup_cpio_writer_ struct cpio_writer writer;
	int r;

	cpio_writer_init(&writer, (struct sink){buffer_write, buffer});
	r = cpio_add_directory(&writer, "etc", 0755, err);
	if (r == 0)
		r = cpio_add_directory(&writer, "etc/caisson", 0755, err);
	if (r == 0)
		r = cpio_add_data(&writer, "etc/caisson/guest.json", 0600, config, size, err);
	if (r == 0)
		r = cpio_finish(&writer, err);
	return r;
}
