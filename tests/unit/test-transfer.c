/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cipher-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/io.h"
#include "base/process.h"
#include "luks/transfer.h"

#define SIZE      (6u << 20) /* of what is copied */
#define BASE_MOST 8192u

static int new_file(void **state, const char *name)
{
	_cleanup_free_ char *path = path_join(*state, name);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	unlink(path);
	return fd;
}

/* Whether a file in @folder can be written past the page cache: what the tests below also try. */
static void say_direct(void **state)
{
	_cleanup_free_ char *path = path_join(*state, "direct");
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);

	print_message("# O_DIRECT %s\n", fd >= 0 ? "is tried" : "is not tried: cannot be had here");
	unlink(path);
}

struct pair {
	struct secret from_key, to_key;
	struct luks_cipher *from, *to;
};

static void pair_done(struct pair *pair)
{
	luks_cipher_free(pair->from);
	luks_cipher_free(pair->to);
	secret_done(&pair->from_key);
	secret_done(&pair->to_key);
}

#define _cleanup_pair_ _cleanup_(pair_done)

static void crypt_all(const struct luks_cipher *cipher, const struct secret *key, bool encrypt,
	uint64_t offset, uint8_t *data, size_t size)
{
	uint8_t out[4096];

	for (size_t at = 0; cipher != NULL && at < size; at += luks_cipher_sector_size(cipher)) {
		sector_alone(
			key, encrypt, luks_cipher_sector_size(cipher), offset + at, data + at, out);
		memcpy(data + at, out, luks_cipher_sector_size(cipher));
	}
}

struct job {
	int from, to;
	uint64_t from_base, to_base, from_offset, to_offset, length;
};

/* The same as transfer_copy(), in one loop. */
static void copy_simply(const struct pair *pair, const struct job *job, uint8_t *target)
{
	_cleanup_free_ uint8_t *data = calloc(1, job->length + 1);
	ssize_t n = pread(job->from, data, job->length, (off_t)(job->from_base + job->from_offset));

	assert_true(n >= 0);
	crypt_all(pair->from, &pair->from_key, false, job->from_offset, data, job->length);
	crypt_all(pair->to, &pair->to_key, true, job->to_offset, data, job->length);
	memcpy(target + job->to_base + job->to_offset, data, job->length);
}

static uint64_t below(uint64_t most, uint64_t unit)
{
	return (uint64_t)rand() % (most + 1) / unit * unit;
}

static void one_way(void **state, uint32_t from_sector, uint32_t to_sector, unsigned int threads)
{
	_cleanup_(transfer_freep) struct transfer *transfer = NULL;
	_cleanup_free_ uint8_t *source = malloc(SIZE + BASE_MOST),
			       *wanted = calloc(1, SIZE + BASE_MOST),
			       *have = malloc(SIZE + BASE_MOST);
	_cleanup_close_ int from = new_file(state, "from"), to = new_file(state, "to");
	uint32_t from_unit = MAX(from_sector, 1u), to_unit = MAX(to_sector, 1u);
	uint32_t unit = MAX(from_unit, to_unit);
	struct job job = {.from = from,
		.to = to,
		.from_base = below(BASE_MOST, 512),
		.to_base = rand() % 2 == 0 ? 4096 : below(BASE_MOST, 512)};
	struct transfer_options options = {.to = to, .to_base = job.to_base, .threads = threads};
	_cleanup_pair_ struct pair pair = {0};
	struct caisson_error err = {0};

	if (from_sector > 0)
		options.decrypt = pair.from = random_cipher(from_sector, 64, &pair.from_key);
	if (to_sector > 0)
		options.encrypt = pair.to = random_cipher(to_sector, 32, &pair.to_key);
	for (size_t i = 0; i < SIZE + BASE_MOST; i++)
		source[i] = pattern(i, to_sector);
	assert_ok(pwrite_all(from, source, SIZE + BASE_MOST, 0, "from", &err), &err);
	assert_int_equal(ftruncate(to, SIZE + BASE_MOST), 0);
	assert_ok(transfer_new(&options, &transfer, &err), &err);
	/* Ranges that do not touch, with gaps, at unrelated places of the source. */
	for (uint64_t at = below(5000, to_unit); at + unit < SIZE;) {
		job.length = below(rand() % 4 == 0 ? 3u << 20 : 200u << 10, unit);
		job.length = MIN(job.length, (SIZE - at) / unit * unit);
		job.from_offset = below(SIZE - job.length, from_unit);
		job.to_offset = at;
		copy_simply(&pair, &job, wanted);
		assert_ok(transfer_copy(transfer, from, job.from_base, job.from_offset,
				  job.to_offset, job.length, &err),
			&err);
		at += job.length + below(9000, to_unit);
	}
	assert_ok(transfer_drain(transfer, &err), &err);
	assert_ok(pread_all(to, have, SIZE + BASE_MOST, 0, "to", &err), &err);
	assert_memory_equal(have, wanted, SIZE + BASE_MOST);
}

static void test_every_way(void **state)
{
	static const uint32_t sectors[] = {0, 512, 4096};
	unsigned int seed = (unsigned int)time(NULL);

	say_direct(state);
	print_message("# seed %u\n", seed);
	srand(seed);
	for (size_t i = 0; i < ARRAY_SIZE(sectors); i++)
		for (size_t k = 0; k < ARRAY_SIZE(sectors); k++)
			for (unsigned int threads = 0; threads < 4; threads++)
				one_way(state, sectors[i], sectors[k], threads);
}

/* Zeros, data in pieces of all sizes, and a last sector that is not full. */
static void test_data_and_zeros(void **state)
{
	_cleanup_free_ uint8_t *source = malloc(SIZE), *wanted = calloc(1, SIZE),
			       *have = malloc(SIZE);
	_cleanup_(transfer_freep) struct transfer *transfer = NULL;
	_cleanup_close_ int to = new_file(state, "to");
	struct transfer_options options = {.to = to, .to_base = 512};
	_cleanup_pair_ struct pair pair = {0};
	struct caisson_error err = {0};
	uint64_t at = 0;

	options.encrypt = pair.to = random_cipher(4096, 64, &pair.to_key);
	for (size_t i = 0; i < SIZE; i++)
		source[i] = pattern(i, 7);
	assert_ok(transfer_new(&options, &transfer, &err), &err);
	while (at < SIZE) {
		uint64_t size =
			MIN(4096 + below(rand() % 9 == 0 ? 3u << 20 : 60000, 4096), SIZE - at);
		uint64_t less = rand() % 5 == 0 ? below(4095, 1) : 0;

		if (rand() % 6 == 0) {
			assert_ok(transfer_zeros(transfer, at, size, &err), &err);
		} else {
			memcpy(wanted + at, source + at, size - less);
			assert_ok(
				transfer_data(transfer, source + at, size - less, at, &err), &err);
		}
		at += size;
	}
	assert_ok(transfer_data(transfer, NULL, 0, 0, &err), &err);
	assert_ok(transfer_drain(transfer, &err), &err);
	crypt_all(pair.to, &pair.to_key, true, 0, wanted, SIZE);
	assert_ok(pread_all(to, have, SIZE, 512, "to", &err), &err);
	assert_memory_equal(have, wanted, SIZE);
	assert_refused(transfer_data(transfer, source, 10, 4095, &err), &err, EINVAL);
	assert_refused(transfer_zeros(transfer, 0, 4095, &err), &err, EINVAL);
	/* It works on after a refusal. */
	assert_ok(transfer_data(transfer, source, 10, 0, &err), &err);
	assert_ok(transfer_drain(transfer, &err), &err);
}

static void test_extents(void **state)
{
	struct extent items[] = {{0, 1 << 20}, {2 << 20, 3 << 20}};
	const struct extents extents = {.items = items, .count = 2};
	_cleanup_free_ uint8_t *wanted = calloc(1, SIZE), *have = malloc(SIZE);
	_cleanup_(transfer_freep) struct transfer *transfer = NULL;
	_cleanup_close_ int from = new_file(state, "from"), to = new_file(state, "to");
	struct transfer_options options = {.to = to};
	_cleanup_pair_ struct pair pair = {0};
	struct caisson_error err = {0};

	options.encrypt = pair.to = random_cipher(512, 64, &pair.to_key);
	memset(have, 0xee, SIZE);
	/* Data, a hole, data that no extent has, data and a hole across an extent's end. */
	assert_int_equal(ftruncate(from, 5u << 20), 0);
	assert_ok(pwrite_all(from, have, 65536, 1 << 19, "from", &err), &err);
	assert_ok(pwrite_all(from, have, 1 << 20, 3 << 19, "from", &err), &err);
	assert_ok(pwrite_all(from, have, 1000, 4 << 20, "from", &err), &err);
	assert_ok(pread_all(from, wanted, 5u << 20, 0, "from", &err), &err);
	crypt_all(pair.to, &pair.to_key, true, 0, wanted, 5u << 20);
	memset(wanted + items[0].length, 0, items[1].offset - items[0].length);
	assert_int_equal(ftruncate(to, 5u << 20), 0);
	assert_ok(transfer_new(&options, &transfer, &err), &err);
	assert_false(transfer_decrypts(transfer));
	assert_ok(transfer_extents(transfer, from, 0, &extents, &err), &err);
	assert_ok(transfer_drain(transfer, &err), &err);
	assert_ok(pread_all(to, have, 5u << 20, 0, "to", &err), &err);
	assert_memory_equal(have, wanted, 5u << 20);
}

struct told {
	unsigned int times;
	uint64_t done, total;
};

static void tell(uint64_t done, uint64_t total, void *userdata)
{
	struct told *told = userdata;

	assert_true(done >= told->done);
	*told = (struct told){told->times + 1, done, total};
}

static void test_progress(void **state)
{
	_cleanup_(transfer_freep) struct transfer *transfer = NULL;
	_cleanup_close_ int to = new_file(state, "to");
	struct told told = {0};
	struct transfer_progress progress = {.tell = tell, .userdata = &told};
	struct transfer_options options = {.to = to, .total = SIZE, .progress = &progress};
	struct caisson_error err = {0};

	assert_ok(transfer_new(&options, &transfer, &err), &err);
	assert_ok(transfer_zeros(transfer, 0, SIZE, &err), &err);
	assert_ok(transfer_drain(transfer, &err), &err);
	assert_true(told.times >= 1);
	assert_int_equal(told.done, SIZE);
	assert_int_equal(told.total, SIZE);
}

static void test_short_source(void **state)
{
	static const struct {
		uint64_t there;
		int code;
	} cases[] = {
		{3 << 20, 0},
		{(3 << 20) - 1, 0},
		{(3 << 20) - 4095, 0},
		{(3 << 20) - 4096, ENODATA},
		{(1 << 20) + 5, ENODATA},
		{0, ENODATA},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(transfer_freep) struct transfer *transfer = NULL;
		_cleanup_close_ int from = new_file(state, "from"), to = new_file(state, "to");
		struct transfer_options options = {.to = to};
		_cleanup_free_ uint8_t *wanted = calloc(1, 3 << 20), *have = malloc(3 << 20);
		_cleanup_pair_ struct pair pair = {0};
		struct caisson_error err = {0};
		int r;

		options.encrypt = pair.to = random_cipher(4096, 64, &pair.to_key);
		memset(wanted, 0x77, cases[i].there);
		assert_ok(pwrite_all(from, wanted, cases[i].there, 0, "from", &err), &err);
		assert_ok(transfer_new(&options, &transfer, &err), &err);
		r = transfer_copy(transfer, from, 0, 0, 0, 3 << 20, &err);
		if (r == 0)
			r = transfer_drain(transfer, &err);
		assert_int_equal(r, -cases[i].code);
		if (r < 0) {
			assert_non_null(strstr(err.message, "ends early"));
			continue;
		}
		crypt_all(pair.to, &pair.to_key, true, 0, wanted, 3 << 20);
		assert_ok(pread_all(to, have, 3 << 20, 0, "to", &err), &err);
		assert_memory_equal(have, wanted, 3 << 20);
	}
}

static void test_refuses(void **state)
{
	_cleanup_close_ int from = new_file(state, "from"), to = new_file(state, "to");
	_cleanup_(transfer_freep) struct transfer *transfer = NULL;
	struct transfer_options options = {.to = to, .to_base = 4096};
	_cleanup_pair_ struct pair pair = {0};
	struct caisson_error err = {0};

	options.decrypt = pair.from = random_cipher(512, 64, &pair.from_key);
	options.encrypt = pair.to = random_cipher(4096, 64, &pair.to_key);
	assert_ok(transfer_new(&options, &transfer, &err), &err);
	assert_refused(transfer_copy(transfer, from, 0, 256, 0, 4096, &err), &err, EINVAL);
	assert_refused(transfer_copy(transfer, from, 0, 0, 512, 4096, &err), &err, EINVAL);
	assert_refused(transfer_copy(transfer, from, 0, 0, 0, 512, &err), &err, EINVAL);
	assert_refused(
		transfer_copy(transfer, from, 0, UINT64_MAX - 511, 0, 4096, &err), &err, EOVERFLOW);
	assert_refused(
		transfer_copy(transfer, from, 0, 0, INT64_MAX - 8191, 8192, &err), &err, EOVERFLOW);
	assert_ok(transfer_copy(transfer, from, 0, 0, 0, 0, &err), &err);
	assert_ok(transfer_drain(transfer, &err), &err);
}

/* Fills the transfer until it fails, which it must, and stays failed. */
static void expect_failure(const struct transfer_options *options, int from, int code)
{
	_cleanup_(transfer_freep) struct transfer *transfer = NULL;
	struct caisson_error err = {0};
	int r = 0;

	assert_ok(transfer_new(options, &transfer, &err), &err);
	for (uint64_t at = 0; r == 0 && at < 2000; at++)
		r = transfer_copy(transfer, from, 0, 0, at << 20, 1 << 20, &err);
	if (r == 0)
		r = transfer_drain(transfer, &err);
	if (r != -code)
		fail_msg("%d and not %d: %s", r, -code, err.message);
	assert_string_not_equal(err.message, "");
	err = (struct caisson_error){0};
	assert_refused(transfer_drain(transfer, &err), &err, code);
	assert_refused(transfer_zeros(transfer, 0, 4096, &err), &err, code);
	assert_refused(transfer_data(transfer, "x", 1, 0, &err) < 0
			       ? -code
			       : transfer_drain(transfer, &err),
		&err, code);
}

static void test_failures(void **state)
{
	_cleanup_close_ int from = new_file(state, "from"), to = new_file(state, "to");
	_cleanup_close_ int read_only = memfd_create("target", MFD_CLOEXEC);
	_cleanup_close_ int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	_cleanup_close_ int folder = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ char *path = format_string("/proc/self/fd/%d", read_only);
	struct transfer_options options = {.to = to};
	_cleanup_pair_ struct pair pair = {0};

	options.encrypt = pair.to = random_cipher(4096, 64, &pair.to_key);
	assert_int_equal(ftruncate(from, 1 << 20), 0);
	expect_failure(&options, -1, EBADF);
	expect_failure(&options, folder, EISDIR);
	options.to = full;
	expect_failure(&options, from, ENOSPC);
	options.to = open(path, O_RDONLY | O_CLOEXEC);
	expect_failure(&options, from, EBADF);
	close(options.to);
}

/* No larger than 8 MiB: a limit of the process, in a child. */
static void test_file_limit(void **state)
{
	const struct rlimit limit = {8 << 20, 8 << 20};
	int status = 9;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		struct transfer_options options = {.to = new_file(state, "to"), .threads = 3};
		_cleanup_(transfer_freep) struct transfer *transfer = NULL;
		struct caisson_error err = {0};
		int r;

		signal(SIGXFSZ, SIG_IGN);
		if (setrlimit(RLIMIT_FSIZE, &limit) < 0 ||
			transfer_new(&options, &transfer, &err) < 0)
			_exit(1);
		r = transfer_zeros(transfer, 0, 64 << 20, &err);
		if (r == 0)
			r = transfer_drain(transfer, &err);
		_exit(r == -EFBIG ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void test_full_tmpfs(void **state)
{
	_cleanup_free_ char *folder = path_join(*state, "small"), *path = path_join(folder, "to");
	struct transfer_options options = {0};
	_cleanup_close_ int from = new_file(state, "from");

	assert_int_equal(mkdir(folder, 0700), 0);
	if (mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, "size=4m") < 0) {
		print_message("# SKIP: no tmpfs can be mounted here\n");
		return;
	}
	assert_int_equal(ftruncate(from, 1 << 20), 0);
	options.to = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(options.to >= 0);
	expect_failure(&options, from, ENOSPC);
	close(options.to);
	assert_int_equal(umount(folder), 0);
}

/* Ended in the midst of it: no hang, and no thread is left. */
static void test_free_early(void **state)
{
	_cleanup_close_ int to = new_file(state, "to");
	struct transfer_options options = {.to = to};
	struct caisson_error err = {0};
	struct transfer *transfer;

	for (int i = 0; i < 20; i++) {
		assert_ok(transfer_new(&options, &transfer, &err), &err);
		assert_ok(transfer_zeros(transfer, 0, 1ull << 30, &err), &err);
		assert_ok(transfer_data(transfer, "data", 4, 1ull << 31, &err), &err);
		transfer_free(transfer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_way),
		cmocka_unit_test(test_data_and_zeros),
		cmocka_unit_test(test_extents),
		cmocka_unit_test(test_progress),
		cmocka_unit_test(test_short_source),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_file_limit),
		cmocka_unit_test(test_full_tmpfs),
		cmocka_unit_test(test_free_early),
	};

	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
