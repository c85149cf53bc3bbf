/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <lz4.h>
#include <lzma.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/io.h"
#include "base/process.h"
#include "base/strbuf.h"
#include "boot/build.h"
#include "boot/compress.h"

static int to_strbuf(void *userdata, const void *data, size_t size, struct caisson_error *err)
{
	struct strbuf *buffer = userdata;

	strbuf_add(buffer, data, size);
	return strbuf_ok(buffer) ? 0 : caisson_fail(err, ENOMEM, "write");
}

/* Words of few letters at random, then the same with changes: neither constant nor incompressible,
   and always the same. */
static void fill(struct strbuf *data, size_t size)
{
	const size_t new = 64 << 10;
	uint32_t random = 1;

	while (data->size < size) {
		char word[16];
		size_t length;

		random = random * 1664525 + 1013904223;
		length = 1 + (random >> 28);
		if (data->size > new &&random % 64 != 0) {
			size_t part = MIN((size_t)(random >> 20), size - data->size);
			char *to = strbuf_reserve(data, part);

			assert_non_null(to);
			memcpy(to, to - new, part);
			strbuf_commit(data, part);
			continue;
		}
		for (size_t i = 0; i < length && i < sizeof(word); i++)
			word[i] = (char)('a' + ((random >> (8 + i % 12)) & 15));
		strbuf_add(data, word, MIN(length, size - data->size));
	}
	assert_true(strbuf_ok(data));
}

/* @chunk: bytes a call; 0 for sizes that change. */
static void pack_with(const struct compressor_options *options, const struct strbuf *data,
	size_t chunk, struct strbuf *ret_packed)
{
	_cleanup_(compressor_freep) struct compressor *compressor = NULL;
	struct caisson_error err = {0};
	uint32_t random = 7;
	struct sink sink;

	strbuf_clear(ret_packed);
	assert_ok(compressor_new(&compressor, options, (struct sink){to_strbuf, ret_packed}, &err),
		&err);
	sink = compressor_sink(compressor);
	for (size_t i = 0, part; i < data->size; i += part) {
		random = random * 1664525 + 1013904223;
		part = chunk != 0 ? chunk : random >> 12;
		part = MIN(part, data->size - i);
		assert_ok(sink.write(sink.userdata, data->data + i, part, &err), &err);
	}
	assert_ok(compressor_finish(compressor, &err), &err);
}

/* ---- each library's own decoder ---- */

static size_t decode_zstd(const struct strbuf *packed, char *to, size_t room)
{
	size_t size = ZSTD_decompress(to, room, packed->data, packed->size);

	assert_false(ZSTD_isError(size));
	return size;
}

static size_t decode_gzip(const struct strbuf *packed, char *to, size_t room)
{
	z_stream stream = {.next_in = (Bytef *)packed->data,
		.avail_in = (uInt)packed->size,
		.next_out = (Bytef *)to,
		.avail_out = (uInt)room};

	assert_int_equal(inflateInit2(&stream, 16 + MAX_WBITS), Z_OK);
	assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
	assert_int_equal(stream.avail_in, 0);
	assert_int_equal(inflateEnd(&stream), Z_OK);
	return stream.total_out;
}

/* The kernel's decoder knows no other check than CRC32. */
static size_t decode_xz(const struct strbuf *packed, char *to, size_t room)
{
	uint64_t memory = UINT64_MAX;
	size_t in = 0, out = 0;

	assert_int_equal(packed->data[7], LZMA_CHECK_CRC32);
	assert_int_equal(lzma_stream_buffer_decode(&memory, 0, NULL, (const uint8_t *)packed->data,
				 &in, packed->size, (uint8_t *)to, &out, room),
		LZMA_OK);
	assert_int_equal(in, packed->size);
	return out;
}

static uint32_t word_at(const char *from)
{
	const uint8_t *bytes = (const uint8_t *)from;

	return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
	       (uint32_t)bytes[3] << 24;
}

/* liblz4 has no decoder of legacy frames: this one is as strict as the kernel's. */
static size_t decode_lz4(const struct strbuf *packed, char *to, size_t room)
{
	const size_t block = 8 << 20;
	size_t out = 0, at = 4;

	assert_true(packed->size >= 4);
	assert_int_equal(word_at(packed->data), 0x184C2102);
	while (at < packed->size) {
		uint32_t size = word_at(packed->data + at);
		int n;

		at += 4;
		assert_true(size > 0 && size <= packed->size - at);
		/* Only the last block may be short. */
		assert_int_equal(out % block, 0);
		n = LZ4_decompress_safe(
			packed->data + at, to + out, (int)size, (int)MIN(room - out, block));
		assert_true(n > 0);
		out += (size_t)n;
		at += size;
	}
	return out;
}

static const struct form {
	const char *text; /* what a user says */
	size_t (*decode)(const struct strbuf *packed, char *to, size_t room);
	const char *tool;
	size_t size; /* of the test's data: more than two blocks or jobs, where that is quick */
} forms[] = {
	{"zstd:1", decode_zstd, "zstd", 5 << 20},
	{"zstd:6", decode_zstd, "zstd", 3 << 20},
	{"gzip:1", decode_gzip, "gzip", 1 << 20},
	{"xz:0", decode_xz, "xz", 9 << 20},
	{"lz4:1", decode_lz4, "lz4", 25 << 20},
	{"lz4:3", decode_lz4, "lz4", 17 << 20},
	{"lz4:1", decode_lz4, "lz4", 16 << 20},
};

static struct compressor_options options_of(const char *text, unsigned int threads)
{
	struct compression_choice choice;
	struct caisson_error err = {0};

	assert_ok(compression_parse(text, &choice, &err), &err);
	return (struct compressor_options){choice.kind, choice.level, threads};
}

static void expect_data(
	const struct form *form, const struct strbuf *packed, const struct strbuf *data)
{
	_cleanup_free_ char *to = malloc(data->size + 1);

	assert_non_null(to);
	assert_int_equal(form->decode(packed, to, data->size + 1), data->size);
	assert_memory_equal(to, data->data, data->size);
}

static void test_round(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		static const size_t sizes[] = {0, 1, 511};
		const struct compressor_options options = options_of(forms[i].text, 2);
		_cleanup_strbuf_ struct strbuf packed = STRBUF_INIT, data = STRBUF_INIT;

		for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
			strbuf_clear(&data);
			strbuf_add(&data, "", 0);
			fill(&data, sizes[k]);
			pack_with(&options, &data, 100, &packed);
			expect_data(&forms[i], &packed, &data);
		}
		strbuf_clear(&data);
		fill(&data, forms[i].size);
		pack_with(&options, &data, 256 << 10, &packed);
		assert_true(packed.size < data.size);
		expect_data(&forms[i], &packed, &data);
	}
}

/* Any number of threads, any pieces: the same bytes. */
static void test_same_bytes(void **state _unused_)
{
	static const struct {
		unsigned int threads;
		size_t chunk;
	} ways[] = {
		{2, 256 << 10}, {4, 256 << 10}, {1, 0}, {2, 0}, {4, 0}, {3, 1 << 30}, {0, 4095}};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		_cleanup_strbuf_ struct strbuf data = STRBUF_INIT, first = STRBUF_INIT;
		struct compressor_options options = options_of(forms[i].text, 1);

		fill(&data, forms[i].size);
		pack_with(&options, &data, 256 << 10, &first);
		for (size_t k = 0; k < ARRAY_SIZE(ways); k++) {
			_cleanup_strbuf_ struct strbuf other = STRBUF_INIT;

			options.threads = ways[k].threads;
			pack_with(&options, &data, ways[k].chunk, &other);
			if (other.size != first.size ||
				memcmp(other.data, first.data, first.size) != 0)
				fail_msg("%s: %u threads, pieces of %zu: other bytes",
					forms[i].text, ways[k].threads, ways[k].chunk);
		}
	}
}

static void expect_tool(const struct form *form, const struct strbuf *data)
{
	const char *const argv[] = {form->tool, "-dc", NULL};
	const struct compressor_options options = options_of(form->text, 2);
	_cleanup_close_ int fd = memfd_create("packed", MFD_CLOEXEC);
	_cleanup_close_ int out = memfd_create("unpacked", MFD_CLOEXEC);
	_cleanup_strbuf_ struct strbuf packed = STRBUF_INIT, output = STRBUF_INIT;
	struct process_options process = PROCESS_OPTIONS_INIT;
	struct caisson_error err = {0};

	pack_with(&options, data, 0, &packed);
	assert_ok(write_all(fd, packed.data, packed.size, "packed", &err), &err);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	process.stdin_fd = fd;
	process.stdout_fd = out;
	assert_ok(process_run(argv, &process, NULL, &err), &err);
	assert_int_equal(lseek(out, 0, SEEK_SET), 0);
	assert_ok(read_to_end(out, 64 << 20, "unpacked", &output, &err), &err);
	assert_int_equal(output.size, data->size);
	assert_memory_equal(output.data, data->data, data->size);
}

static void test_tools(void **state _unused_)
{
	size_t found = 0;

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		_cleanup_strbuf_ struct strbuf data = STRBUF_INIT;
		_cleanup_free_ char *path = NULL;

		if (program_find(forms[i].tool, &path, NULL) < 0) {
			print_message("# %s is not installed\n", forms[i].tool);
			continue;
		}
		fill(&data, MIN(forms[i].size, (size_t)9 << 20));
		expect_tool(&forms[i], &data);
		found++;
	}
	if (found == 0)
		leave_out("none of zstd, gzip, xz and lz4 is installed");
}

/* Every level there is gives something that comes back. */
static void test_all_levels(void **state _unused_)
{
	static const struct {
		const char *word;
		int least, most;
		size_t form;
	} kinds[] = {{"zstd", 1, 19, 0}, {"gzip", 1, 9, 2}, {"xz", 0, 9, 3}, {"lz4", 1, 12, 4}};
	_cleanup_strbuf_ struct strbuf data = STRBUF_INIT, packed = STRBUF_INIT;

	fill(&data, 100000);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		for (int level = kinds[i].least; level <= kinds[i].most; level++) {
			_cleanup_free_ char *text = format_string("%s:%d", kinds[i].word, level);
			struct compressor_options options = options_of(text, 1);

			pack_with(&options, &data, 0, &packed);
			expect_data(&forms[kinds[i].form], &packed, &data);
		}
	}
}

static void test_parse(void **state _unused_)
{
	static const struct {
		const char *text;
		struct compression_choice wanted;
		int used;
	} good[] = {
		{"zstd", {COMPRESSION_ZSTD, 0}, 3},
		{"zstd:1", {COMPRESSION_ZSTD, 1}, 1},
		{"zstd:19", {COMPRESSION_ZSTD, 19}, 19},
		{"gzip", {COMPRESSION_GZIP, 0}, 6},
		{"gzip:09", {COMPRESSION_GZIP, 9}, 9},
		{"xz", {COMPRESSION_XZ, 0}, 6},
		{"xz:0", {COMPRESSION_XZ, COMPRESSION_LEVEL_ZERO}, 0},
		{"lz4", {COMPRESSION_LZ4, 0}, 9},
		{"lz4:12", {COMPRESSION_LZ4, 12}, 12},
		{"none", {COMPRESSION_NONE, 0}, 0},
	};
	static const char *const bad[] = {"", ":", ":3", "zst", "zstd ", "ZSTD", "zstd:", "zstd:0",
		"zstd:20", "zstd:-1", "zstd:+1", "zstd: 1", "zstd:1:2", "zstd:3x",
		"zstd:99999999999", "gzip:0", "gzip:10", "xz:10", "lz4:0", "lz4:13", "none:0",
		"none:1", "bzip2", "auto"};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct compression_choice choice = {0};
		struct caisson_error err = {0};
		int level = -2;

		assert_ok(compression_parse(good[i].text, &choice, &err), &err);
		assert_int_equal(choice.kind, good[i].wanted.kind);
		assert_int_equal(choice.level, good[i].wanted.level);
		assert_ok(compression_level(choice.kind, choice.level, &level, &err), &err);
		assert_int_equal(level, good[i].used);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct compression_choice choice = {COMPRESSION_NONE, 42};
		struct caisson_error err = {0};

		assert_refused(compression_parse(bad[i], &choice, &err), &err, EINVAL);
		assert_int_equal(choice.level, 42);
	}
}

/* The words that completion offers are those that are taken. */
static void test_words(void **state _unused_)
{
	_cleanup_free_ char *words = strdup(COMPRESSION_WORDS);
	size_t count = 0;
	char *rest;

	for (char *word = strtok_r(words, " ", &rest); word != NULL;
		word = strtok_r(NULL, " ", &rest)) {
		struct compression_choice choice;
		struct caisson_error err = {0};

		assert_ok(compression_parse(word, &choice, &err), &err);
		assert_string_equal(compression_word(choice.kind), word);
		count++;
	}
	assert_int_equal(count, COMPRESSION_NONE);
}

static void test_levels_refused(void **state _unused_)
{
	static const struct compressor_options bad[] = {{COMPRESSION_ZSTD, 20, 1},
		{COMPRESSION_ZSTD, -1, 1}, {COMPRESSION_ZSTD, -2, 1}, {COMPRESSION_XZ, -2, 1},
		{COMPRESSION_LZ4, 13, 1}, {COMPRESSION_GZIP, 10, 1}};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct compressor *compressor = NULL;
		struct caisson_error err = {0};

		assert_refused(
			compressor_new(&compressor, &bad[i], (struct sink){0}, &err), &err, EINVAL);
		assert_null(compressor);
	}
}

/* ---- what the kernel takes ---- */

static void write_config(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct caisson_error err = {0};

	assert_true(fd >= 0);
	assert_ok(write_all(fd, text, strlen(text), path, &err), &err);
}

static void test_kernel_lacks(void **state)
{
	_cleanup_free_ char *config = path_join(*state, "config");
	struct kernel kernel = {(char *)"kernel", (char *)"1.0", NULL, config};
	_cleanup_archive_ struct archive archive = ARCHIVE_INIT;
	static const enum compression lacking[] = {
		COMPRESSION_ZSTD, COMPRESSION_XZ, COMPRESSION_LZ4};
	struct caisson_error err = {0};
	enum compression kind = COMPRESSION_XZ;

	write_config(config, "CONFIG_RD_GZIP=y\n# CONFIG_RD_XZ is not set\nCONFIG_RD_LZ4=n\n");
	for (size_t i = 0; i < ARRAY_SIZE(lacking); i++) {
		struct initramfs_recipe recipe = {.kernel = &kernel, .compression = lacking[i]};
		_cleanup_close_ int fd = memfd_create("there", MFD_CLOEXEC);
		struct caisson_error refused = {0};
		struct stat st;

		/* Nothing is written, and nothing is lost. */
		assert_int_equal(write(fd, "there", 5), 5);
		assert_refused(
			initramfs_write(&archive, &recipe, fd, NULL, &refused), &refused, ENOTSUP);
		assert_non_null(strstr(refused.message, "CONFIG_RD_"));
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_size, 5);
	}
	assert_ok(compression_settle(&kernel, COMPRESSION_GZIP, &kind, &err), &err);
	assert_int_equal(kind, COMPRESSION_GZIP);
	assert_ok(compression_settle(&kernel, COMPRESSION_NONE, &kind, &err), &err);
	assert_int_equal(kind, COMPRESSION_NONE);
	assert_ok(compression_settle(&kernel, COMPRESSION_AUTO, &kind, &err), &err);
	assert_int_equal(kind, COMPRESSION_NONE);
	write_config(config, "CONFIG_RD_ZSTD=y\n");
	assert_ok(compression_settle(&kernel, COMPRESSION_AUTO, &kind, &err), &err);
	assert_int_equal(kind, COMPRESSION_ZSTD);
	assert_ok(compression_settle(NULL, COMPRESSION_XZ, &kind, &err), &err);
	assert_int_equal(kind, COMPRESSION_XZ);
}

/* ---- a place that is too small ---- */

static int fail_late(
	void *userdata, const void *data _unused_, size_t size, struct caisson_error *err)
{
	size_t *left = userdata;

	if (size > *left)
		return caisson_fail(err, ENOSPC, "write");
	*left -= size;
	return 0;
}

/* Wherever the sink fails, the compressor says so and can be freed, workers and all. */
static void test_sink_fails(void **state _unused_)
{
	_cleanup_strbuf_ struct strbuf data = STRBUF_INIT;

	fill(&data, 9 << 20);
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		static const size_t rooms[] = {0, 100, 20000};
		const struct compressor_options options = options_of(forms[i].text, 2);

		for (size_t k = 0; k < ARRAY_SIZE(rooms); k++) {
			_cleanup_(compressor_freep) struct compressor *compressor = NULL;
			struct caisson_error err = {0};
			size_t left = rooms[k];
			struct sink sink;
			int r;

			assert_ok(compressor_new(&compressor, &options,
					  (struct sink){fail_late, &left}, &err),
				&err);
			sink = compressor_sink(compressor);
			r = sink.write(
				sink.userdata, data.data, MIN(forms[i].size, data.size), &err);
			if (r == 0)
				r = compressor_finish(compressor, &err);
			assert_refused(r, &err, ENOSPC);
		}
	}
}

static void add_noise(struct archive *archive)
{
	_cleanup_strbuf_ struct strbuf data = STRBUF_INIT;
	struct caisson_error err = {0};

	fill(&data, 3 << 20);
	assert_ok(archive_add_data(archive, "noise", 0644, data.data, data.size, &err), &err);
	assert_ok(archive_complete(archive, &err), &err);
}

/* A file that cannot grow on is left empty; a device and a pipe without a reader are errors. */
static void test_no_half_archive(void **state _unused_)
{
	static const enum compression kinds[] = {COMPRESSION_ZSTD, COMPRESSION_GZIP, COMPRESSION_XZ,
		COMPRESSION_LZ4, COMPRESSION_NONE};
	_cleanup_archive_ struct archive archive = ARCHIVE_INIT;

	add_noise(&archive);
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct initramfs_recipe recipe = {.compression = kinds[i], .level = 1};
		_cleanup_close_ int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
		_cleanup_close_ int sealed = memfd_create("small", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		struct caisson_error err = {0}, other = {0}, third = {0};
		int ends[2];
		struct stat st;

		assert_refused(initramfs_write(&archive, &recipe, full, NULL, &err), &err, ENOSPC);
		assert_int_equal(fcntl(sealed, F_ADD_SEALS, F_SEAL_GROW), 0);
		assert_refused(
			initramfs_write(&archive, &recipe, sealed, NULL, &other), &other, EPERM);
		assert_int_equal(fstat(sealed, &st), 0);
		assert_int_equal(st.st_size, 0);
		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		close(ends[0]);
		assert_refused(
			initramfs_write(&archive, &recipe, ends[1], NULL, &third), &third, EPIPE);
		close(ends[1]);
	}
}

/* ---- microcode in front ---- */

static void put_words(const char *path, const uint32_t *words, size_t count)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, words, count * 4), (ssize_t)(count * 4));
}

static void check_microcode(const struct strbuf *all, size_t intel_size)
{
	struct caisson_error err = {0};
	struct cpio_reader reader;
	struct cpio_entry entry;
	size_t found = 0;

	cpio_reader_init(&reader, all->data, all->size);
	while (cpio_read_one(&reader, &entry, &err) == 1) {
		if (strcmp(entry.path, "kernel/x86/microcode/GenuineIntel.bin") == 0) {
			assert_int_equal(entry.size, intel_size);
			assert_int_equal((entry.data - (const uint8_t *)all->data) % 16, 0);
			found++;
		}
		if (strcmp(entry.path, "kernel/x86/microcode/AuthenticAMD.bin") == 0) {
			assert_int_equal(entry.size, 16);
			found++;
		}
	}
	assert_int_equal(found, 2);
	/* The compressed member follows, at a multiple of 512. */
	assert_int_equal(reader.offset % 512, 0);
	assert_memory_equal(all->data + reader.offset, "\x28\xb5\x2f\xfd", 4);
}

static void test_microcode(void **state)
{
	static const uint32_t intel_words[12] = {[0] = 1, [8] = 48}, amd_words[4] = {0x00414d44};
	_cleanup_free_ char *intel = path_join(*state, "intel"), *amd = path_join(*state, "amd");
	const char *const twice[] = {intel, intel};
	struct initramfs_microcode microcode = {twice, 2, (const char *const *)&amd, 1};
	struct initramfs_recipe recipe = {.microcode = &microcode};
	_cleanup_archive_ struct archive archive = ARCHIVE_INIT;
	_cleanup_close_ int fd = memfd_create("archive", MFD_CLOEXEC);
	_cleanup_strbuf_ struct strbuf all = STRBUF_INIT;
	struct caisson_error err = {0};

	put_words(intel, intel_words, 12);
	put_words(amd, amd_words, 4);
	add_noise(&archive);
	assert_ok(initramfs_write(&archive, &recipe, fd, NULL, &err), &err);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_ok(read_to_end(fd, 64 << 20, "archive", &all, &err), &err);
	check_microcode(&all, 96);
	/* The other one's, and what is cut, are no microcode. */
	microcode.amd = twice;
	assert_refused(initramfs_write(&archive, &recipe, fd, NULL, &err), &err, EINVAL);
	microcode.amd_count = 0;
	assert_int_equal(truncate(intel, 44), 0);
	assert_refused(initramfs_write(&archive, &recipe, fd, NULL, &err), &err, EINVAL);
}

/* ---- names of one file ---- */

static void test_hard_links(void **state)
{
	static const char *const names[] = {"a", "b", "c", "mode", "other"};
	_cleanup_free_ char *one = path_join(*state, "one"), *two = path_join(*state, "two");
	_cleanup_free_ char *third = path_join(*state, "third");
	const char *const sources[] = {one, two, one, one, third};
	_cleanup_archive_ struct archive archive = ARCHIVE_INIT;
	_cleanup_strbuf_ struct strbuf raw = STRBUF_INIT;
	struct caisson_error err = {0};
	struct cpio_reader reader;
	struct cpio_entry entries[ARRAY_SIZE(names)];

	write_config(one, "contents");
	assert_int_equal(link(one, two), 0);
	write_config(third, "contents");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_ok(archive_add(&archive, names[i], ARCHIVE_FILE, i == 3 ? 0755 : 0644,
				  sources[i], 0, &err),
			&err);
	assert_ok(archive_complete(&archive, &err), &err);
	assert_ok(archive_write(&archive, 0, (struct sink){to_strbuf, &raw}, &err), &err);
	cpio_reader_init(&reader, raw.data, raw.size);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(cpio_read(&reader, &entries[i], &err), 1);
		assert_string_equal(entries[i].path, names[i]);
		assert_int_equal(entries[i].links, i < 3 ? 3 : 1);
		assert_int_equal(entries[i].size, i < 2 ? 0 : 8);
	}
	assert_int_equal(entries[0].inode, entries[1].inode);
	assert_int_equal(entries[0].inode, entries[2].inode);
	assert_int_not_equal(entries[0].inode, entries[3].inode);
	assert_int_not_equal(entries[3].inode, entries[4].inode);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_same_bytes),
		cmocka_unit_test(test_tools),
		cmocka_unit_test(test_all_levels),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_levels_refused),
		cmocka_unit_test(test_kernel_lacks),
		cmocka_unit_test(test_sink_fails),
		cmocka_unit_test(test_no_half_archive),
		cmocka_unit_test(test_microcode),
		cmocka_unit_test(test_hard_links),
	};

	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
