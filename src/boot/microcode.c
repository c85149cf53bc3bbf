/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the kernel takes its processor's microcode from before anything is unpacked
 * (Documentation/x86/microcode.rst): an uncompressed archive at the very start, with one file a
 * vendor.
 */
#include <errno.h>
#include <string.h>

#include "base/io.h"
#include "base/macros.h"
#include "boot/build.h"
#include "boot/compress.h"

enum {
	/* Intel's SDM, 9.11.6: a processor takes an update from a multiple of 16. */
	ALIGN = 16,
	UPDATES_MOST = 64 << 20,
	INTEL_HEADER = 48,
};

static int out_of_memory(struct caisson_error *err)
{
	return caisson_fail(err, ENOMEM, "write microcode");
}

static uint32_t word_at(const struct strbuf *data, size_t at)
{
	uint32_t word = 0;

	for (size_t i = 0; i < 4; i++)
		word |= (uint32_t)(uint8_t)data->data[at + i] << 8 * i;
	return word;
}

/* Header version 1, and whole: data of 0 bytes stands for 2000 with the header in 2048. */
static bool is_intel(const struct strbuf *data)
{
	return data->size >= INTEL_HEADER && data->size % 4 == 0 && word_at(data, 0) == 1 &&
	       (word_at(data, 32) == 0 ? 2048 : word_at(data, 32)) <= data->size;
}

/* The container that amd-ucode comes in: "DMA\0", then the table of equivalent processors. */
static bool is_amd(const struct strbuf *data)
{
	return data->size >= 12 && word_at(data, 0) == 0x00414d44 && word_at(data, 4) == 0;
}

static int add_vendor(struct cpio_writer *writer, const char *path, const char *const *files,
	size_t count, bool (*valid)(const struct strbuf *data), struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf all = STRBUF_INIT;
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		_cleanup_strbuf_ struct strbuf one = STRBUF_INIT;

		r = read_file(files[i], UPDATES_MOST, &one, err);
		if (r == 0 && !valid(&one))
			r = caisson_refuse(
				err, EINVAL, "%s holds no microcode for %s", files[i], path);
		strbuf_add(&all, one.data, one.size);
		if (r == 0 && all.size > UPDATES_MOST)
			r = caisson_refuse(
				err, EFBIG, "more than %d MB of microcode", UPDATES_MOST >> 20);
	}
	if (r < 0 || count == 0)
		return r;
	if (!strbuf_ok(&all))
		return out_of_memory(err);
	return cpio_add_data(writer, path, 0644, all.data, all.size, err);
}

int initramfs_write_microcode(const struct initramfs_microcode *microcode, uint32_t time,
	struct sink sink, struct caisson_error *err)
{
	static const char *const folders[] = {"kernel", "kernel/x86", "kernel/x86/microcode"};
	_cleanup_cpio_writer_ struct cpio_writer writer;
	int r = 0;

	cpio_writer_init(&writer, sink);
	writer.time = time;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(folders); i++)
		r = cpio_add_directory(&writer, folders[i], 0755, err);
	writer.align = ALIGN;
	if (r == 0)
		r = add_vendor(&writer, "kernel/x86/microcode/AuthenticAMD.bin", microcode->amd,
			microcode->amd_count, is_amd, err);
	if (r == 0)
		r = add_vendor(&writer, "kernel/x86/microcode/GenuineIntel.bin", microcode->intel,
			microcode->intel_count, is_intel, err);
	writer.align = 1;
	if (r == 0)
		r = cpio_finish(&writer, err);
	return r;
}
