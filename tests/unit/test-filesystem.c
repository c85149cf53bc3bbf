/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "base/io.h"
#include "base/process.h"
#include "filesystem/extents.h"
#include "filesystem/mkfs.h"
#include "filesystem/qcow2.h"
#include "luks/transfer.h"

#define IMAGE_SIZE (48u << 20)

static void test_extent_lists(void **state _unused_)
{
	_cleanup_extents_ struct extents a = EXTENTS_NONE, b = EXTENTS_NONE, many = EXTENTS_NONE;
	struct caisson_error err = {0};

	assert_ok(extents_add(&a, 0, 100, &err), &err);
	assert_ok(extents_add(&a, 100, 50, &err), &err);
	assert_ok(extents_add(&a, 5000, 4000, &err), &err);
	assert_ok(extents_add(&a, 20000, 10, &err), &err);
	assert_ok(extents_add(&a, 30000, 0, &err), &err);
	assert_int_equal(a.count, 3);
	assert_int_equal(extents_total(&a), 4160);
	assert_ok(extents_add(&b, 120, 6000, &err), &err);
	assert_ok(extents_add(&b, 8000, 20000, &err), &err);
	assert_ok(extents_intersect(&a, &b, &err), &err);
	assert_int_equal(a.count, 4);
	assert_int_equal(a.items[0].offset, 120);
	assert_int_equal(a.items[0].length, 30);
	assert_int_equal(a.items[1].length, 1120);
	assert_int_equal(a.items[2].offset, 8000);
	assert_int_equal(a.items[3].offset, 20000);
	extents_round(&a, 4096, 20400);
	assert_int_equal(a.count, 2);
	assert_int_equal(a.items[0].offset, 0);
	assert_int_equal(a.items[0].length, 12288);
	assert_int_equal(a.items[1].offset, 16384);
	assert_int_equal(a.items[1].length, 20400 - 16384);

	/* However many there are, memory has its bound, and nothing is lost. */
	for (uint64_t i = 0; i < 3ull * EXTENTS_MOST; i++)
		assert_ok(extents_add(&many, i * 65536, 4096, &err), &err);
	assert_true(many.count <= EXTENTS_MOST && many.count > 0);
	assert_int_equal(many.items[0].offset, 0);
	assert_int_equal(many.items[many.count - 1].offset + many.items[many.count - 1].length,
		(3ull * EXTENTS_MOST - 1) * 65536 + 4096);
}

static void run(const char *const argv[])
{
	_cleanup_strbuf_ struct strbuf output = STRBUF_INIT;
	struct caisson_error err = {0};

	if (process_run(argv, NULL, &output, &err) < 0)
		fail_msg(
			"%s: %s: %s", argv[0], err.message, output.data != NULL ? output.data : "");
}

static int image_file(void **state, const char *name, uint64_t size, char **ret_path)
{
	int fd;

	*ret_path = path_join(*state, name);
	fd = open(*ret_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

/* A folder with files of many sizes, some of which are gone again. */
static char *make_folder(void **state)
{
	char *folder = path_join(*state, "content");

	assert_true(mkdir(folder, 0755) == 0 || errno == EEXIST);
	for (unsigned int i = 0; i < 60; i++) {
		_cleanup_free_ char *name = format_string("file-%u", i),
				    *path = path_join(folder, name);
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		size_t size = (i * 7919u) % 200000;
		_cleanup_free_ uint8_t *data = malloc(size + 1);

		memset(data, (int)(i + 1), size + 1);
		/* Blocks of zeros that count. */
		if (size > 40000)
			memset(data + 8192, 0, 16384);
		assert_true(write(fd, data, size) == (ssize_t)size);
		close(fd);
	}
	return folder;
}

/* Copies the extents over garbage. */
static void copy_extents(int from, int to, uint64_t size, const struct extents *extents)
{
	_cleanup_(transfer_freep) struct transfer *transfer = NULL;
	struct transfer_options options = {.to = to};
	_cleanup_free_ uint8_t *garbage = malloc(size);
	struct caisson_error err = {0};

	memset(garbage, 0xa5, size);
	assert_ok(pwrite_all(to, garbage, size, 0, "garbage", &err), &err);
	assert_ok(transfer_new(&options, &transfer, &err), &err);
	assert_ok(transfer_extents(transfer, from, 0, extents, &err), &err);
	assert_ok(transfer_drain(transfer, &err), &err);
}

static void find_extents(int fd, uint64_t size, const char *kind, struct extents *ret_extents)
{
	_cleanup_blocks_ struct blocks *blocks = NULL;
	char found[FILESYSTEM_KIND_SIZE] = "?";
	struct filesystem_image image = {.fd = fd};
	struct caisson_error err = {0};

	assert_ok(blocks_of_file(fd, size, true, "image", &blocks, &err), &err);
	image.blocks = blocks;
	assert_ok(filesystem_extents(&image, found, ret_extents, &err), &err);
	assert_string_equal(found, kind);
}

static void expect_all(const struct extents *extents, uint64_t size)
{
	assert_int_equal(extents->count, 1);
	assert_int_equal(extents->items[0].offset, 0);
	assert_int_equal(extents->items[0].length, size);
}

/* Every file of it, as debugfs reads them. */
static void dump_files(const char *image, const char *dump)
{
	const char *const forget[] = {"rm", "-rf", dump, NULL};
	_cleanup_free_ char *command = format_string("rdump / %s", dump),
			    *last = path_join(dump, "file-59");
	const char *const dump_it[] = {"debugfs", "-R", command, image, NULL};

	run(forget);
	assert_int_equal(mkdir(dump, 0700), 0);
	run(dump_it);
	assert_int_equal(access(last, R_OK), 0);
}

static void test_ext(void **state)
{
	static const struct {
		const char *kind, *block_size, *features;
		bool all;
	} made[] = {
		{"ext4", "4096", "metadata_csum", false},
		{"ext4", "1024", "metadata_csum,^64bit", false},
		{"ext4", "2048", "uninit_bg,^metadata_csum", false},
		{"ext4", "4096", "bigalloc", false},
		{"ext4", "1024", "meta_bg,^resize_inode", false},
		{"ext4", "4096", "sparse_super2,^resize_inode", false},
		{"ext4", "1024", "^flex_bg,inline_data,orphan_file", false},
		{"ext3", "1024", "has_journal", false},
		{"ext2", "1024", "resize_inode", false},
		{"ext2", "4096", "^resize_inode", false},
	};
	_cleanup_free_ char *folder = make_folder(state), *dump = path_join(*state, "dump"),
			    *original = path_join(*state, "original");
	const char *const compare[] = {"diff", "-r", original, dump, NULL};

	for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
		_cleanup_free_ char *path = NULL, *copy = NULL;
		_cleanup_close_ int from = image_file(state, "ext", IMAGE_SIZE, &path);
		_cleanup_close_ int to = image_file(state, "copy", IMAGE_SIZE, &copy);
		_cleanup_extents_ struct extents extents = EXTENTS_NONE;
		const char *const make_it[] = {"mke2fs", "-q", "-F", "-t", made[i].kind, "-b",
			made[i].block_size, "-O", made[i].features, "-d", folder, path, NULL};
		const char *const check_it[] = {"e2fsck", "-f", "-n", copy, NULL};

		print_message("# %s, %s, %s\n", made[i].kind, made[i].block_size, made[i].features);
		run(make_it);
		find_extents(from, IMAGE_SIZE, made[i].kind, &extents);
		assert_true(extents_total(&extents) < IMAGE_SIZE / 2);
		copy_extents(from, to, IMAGE_SIZE, &extents);
		run(check_it);
		dump_files(path, original);
		dump_files(copy, dump);
		run(compare);
	}
}

/* What the bitmaps do not say when a filesystem is not whole. */
static void test_doubtful(void **state)
{
	static const struct {
		unsigned int at;
		uint8_t value;
	} unhealthy[] = {
		{0x3a, 0}, {0x3a, 3}, /* not unmounted, errors */
		{0x60, 0xc6},         /* a journal to be replayed */
		{0x04, 0xff},         /* larger than it is */
		{0x07, 0x7f}, {0x18, 9}, {0x20, 1}, {0x63, 0x80},
		{0xfe, 0xff}, /* descriptors of an absurd size */
	};
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = image_file(state, "doubtful", IMAGE_SIZE, &path);
	const char *const make_it[] = {"mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-O",
		"^metadata_csum,^uninit_bg", path, NULL};
	_cleanup_extents_ struct extents healthy = EXTENTS_NONE;
	struct caisson_error err = {0};

	run(make_it);
	find_extents(fd, IMAGE_SIZE, "ext4", &healthy);
	assert_true(healthy.count > 1);
	for (size_t i = 0; i < ARRAY_SIZE(unhealthy); i++) {
		_cleanup_blocks_ struct blocks *blocks = NULL;
		_cleanup_extents_ struct extents extents = EXTENTS_NONE;
		char kind[FILESYSTEM_KIND_SIZE];
		struct filesystem_image image = {.fd = fd};
		uint8_t before;

		assert_int_equal(pread(fd, &before, 1, 1024 + unhealthy[i].at), 1);
		assert_int_equal(pwrite(fd, &unhealthy[i].value, 1, 1024 + unhealthy[i].at), 1);
		assert_ok(blocks_of_file(fd, IMAGE_SIZE, true, "image", &blocks, &err), &err);
		image.blocks = blocks;
		assert_ok(filesystem_extents(&image, kind, &extents, &err), &err);
		if (extents.count != 1)
			fail_msg("the change at %#x is believed", unhealthy[i].at);
		expect_all(&extents, IMAGE_SIZE);
		assert_int_equal(pwrite(fd, &before, 1, 1024 + unhealthy[i].at), 1);
	}
}

static void test_others(void **state)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = image_file(state, "other", IMAGE_SIZE + 512, &path);
	const char *const make_ext[] = {"mke2fs", "-q", "-F", "-t", "ext4", path, "40M", NULL};
	const char *const make_swap[] = {"mkswap", path, NULL};
	struct caisson_error err = {0};
	_cleanup_extents_ struct extents nothing = EXTENTS_NONE, both = EXTENTS_NONE,
					 swap = EXTENTS_NONE;
	/* A partition of 8192 sectors from sector 2048 on. */
	static const uint8_t table[66] = {
		[4] = 0x83, [9] = 0x08, [13] = 0x20, [64] = 0x55, [65] = 0xaa};

	/* A size that is no multiple: the rest of the last sector is zeros. */
	find_extents(fd, IMAGE_SIZE + 512, "", &nothing);
	expect_all(&nothing, IMAGE_SIZE + 4096);
	run(make_swap);
	find_extents(fd, IMAGE_SIZE, "swap", &swap);
	expect_all(&swap, IMAGE_SIZE);
	/* Two things at once: neither is believed. */
	run(make_ext);
	assert_ok(pwrite_all(fd, table, sizeof(table), 446, path, &err), &err);
	find_extents(fd, IMAGE_SIZE, "", &both);
	expect_all(&both, IMAGE_SIZE);
}

/* Of what is encrypted, holes were never written. */
static void test_encrypted_holes(void **state)
{
	_cleanup_blocks_ struct blocks *blocks = NULL;
	_cleanup_extents_ struct extents extents = EXTENTS_NONE;
	_cleanup_free_ char *path = NULL, *data = calloc(1, 1 << 20);
	_cleanup_close_ int fd = image_file(state, "holes", IMAGE_SIZE, &path);
	struct filesystem_image image = {.fd = fd, .base = 1 << 20, .encrypted = true};
	char kind[FILESYSTEM_KIND_SIZE];
	struct caisson_error err = {0};

	memset(data, 0x33, 1 << 20);
	assert_ok(pwrite_all(fd, data, 1 << 20, 0, path, &err), &err);
	assert_ok(pwrite_all(fd, data, 1 << 20, 8 << 20, path, &err), &err);
	assert_ok(pwrite_all(fd, data, 1, IMAGE_SIZE - 1, path, &err), &err);
	assert_ok(blocks_of_file(fd, IMAGE_SIZE - (1 << 20), true, "payload", &blocks, &err), &err);
	image.blocks = blocks;
	assert_ok(filesystem_extents(&image, kind, &extents, &err), &err);
	assert_int_equal(extents.count, 2);
	assert_int_equal(extents.items[0].offset, 7 << 20);
	assert_int_equal(extents.items[0].length, 1 << 20);
	assert_int_equal(extents.items[1].offset, IMAGE_SIZE - (1 << 20) - 4096);
	assert_int_equal(extents.items[1].length, 4096);
}

static void test_mkfs(void **state)
{
	_cleanup_extents_ struct extents extents = EXTENTS_NONE;
	_cleanup_mkfs_ struct mkfs mkfs = MKFS_NONE;
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int to = image_file(state, "new", IMAGE_SIZE, &path);
	const char *const check_it[] = {"e2fsck", "-f", "-n", path, NULL};
	struct caisson_error err = {0};

	assert_ok(mkfs_start(&mkfs, "ext4", IMAGE_SIZE, 0, "label", &err), &err);
	assert_ok(mkfs_wait(&mkfs, &err), &err);
	assert_ok(mkfs_extents(&mkfs, &extents, &err), &err);
	assert_true(extents_total(&extents) < 1 << 20);
	copy_extents(mkfs.image, to, IMAGE_SIZE, &extents);
	run(check_it);
}

static void fill_at_random(int fd, uint64_t size, struct extents *data)
{
	struct caisson_error err = {0};
	uint64_t at = (uint64_t)rand() % 100000;

	while (at < size) {
		uint64_t length = 1 + (uint64_t)rand() % (rand() % 4 == 0 ? 700000 : 5000);
		_cleanup_free_ uint8_t *bytes = malloc(length);

		length = MIN(length, size - at);
		memset(bytes, 1 + rand() % 255, length);
		assert_ok(pwrite_all(fd, bytes, length, at, "raw", &err), &err);
		assert_ok(extents_add(data, at, length, &err), &err);
		at += length + 1 + (uint64_t)rand() % (rand() % 5 == 0 ? size / 3 : 90000);
	}
}

static void one_qcow2(void **state, uint64_t size, bool empty)
{
	_cleanup_free_ char *raw = NULL, *image = NULL;
	_cleanup_close_ int from = image_file(state, "raw", size, &raw);
	_cleanup_close_ int to = image_file(state, "qcow2", 1 << 20, &image);
	const char *const check_it[] = {"qemu-img", "check", "-f", "qcow2", image, NULL};
	const char *const compare[] = {
		"qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, image, NULL};
	_cleanup_(transfer_freep) struct transfer *transfer = NULL;
	_cleanup_extents_ struct extents data = EXTENTS_NONE;
	struct transfer_options options = {.to = to};
	_cleanup_qcow2_ struct qcow2 qcow2 = QCOW2_NONE;
	struct caisson_error err = {0};
	struct stat st;

	if (!empty)
		fill_at_random(from, size, &data);
	assert_ok(qcow2_plan(size, &data, &qcow2, &err), &err);
	assert_ok(qcow2_begin(&qcow2, to, &err), &err);
	assert_ok(transfer_new(&options, &transfer, &err), &err);
	/* Backwards: any order will do. */
	for (size_t i = data.count; i-- > 0;)
		assert_ok(transfer_copy_at(transfer, from, 0, data.items[i].offset,
				  data.items[i].offset, qcow2_place(&qcow2, data.items[i].offset),
				  data.items[i].length, &err),
			&err);
	assert_ok(transfer_drain(transfer, &err), &err);
	assert_ok(qcow2_finish(&qcow2, to, &err), &err);
	assert_int_equal(fstat(to, &st), 0);
	assert_int_equal(st.st_size, qcow2.file_size);
	run(check_it);
	run(compare);
}

static void test_qcow2(void **state)
{
	static const uint64_t sizes[] = {512, 65536, 65536 + 512, 40u << 20, (1ull << 29) - 512,
		(1ull << 29) + 512, 3ull << 30, 9ull << 30};
	_cleanup_free_ char *path = path_join("/usr/bin", "qemu-img");
	_cleanup_qcow2_ struct qcow2 qcow2 = QCOW2_NONE;
	unsigned int seed = (unsigned int)time(NULL);
	struct extent item = {512, 1024};
	const struct extents data = {.items = &item, .count = 1};
	struct caisson_error err = {0};

	assert_refused(qcow2_plan(511, &data, &qcow2, &err), &err, EINVAL);
	assert_refused(qcow2_plan(0, &data, &qcow2, &err), &err, EINVAL);
	assert_refused(qcow2_plan(1024, &data, &qcow2, &err), &err, EINVAL);
	assert_refused(qcow2_plan(1ull << 62, &data, &qcow2, &err), &err, EINVAL);
	if (access(path, X_OK) < 0) {
		print_message("# SKIP: there is no qemu-img\n");
		return;
	}
	print_message("# seed %u\n", seed);
	srand(seed);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		one_qcow2(state, sizes[i], false);
		one_qcow2(state, sizes[i], true);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_extent_lists),
		cmocka_unit_test(test_ext),
		cmocka_unit_test(test_doubtful),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_encrypted_holes),
		cmocka_unit_test(test_mkfs),
		cmocka_unit_test(test_qcow2),
	};

	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
