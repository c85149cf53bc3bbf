/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include "killed-at.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>

#include "base/io.h"
#include "base/staging.h"
#include "volume/redo.h"
#include "volume/redo_journal.h"

#define SIZE (1u << 20)

/* A container in a folder of its own, and what it ought to hold. */
struct bench {
	char *folder, *path, *journal;
	int fd;
	struct blocks *container;
	uint8_t *mirror; /* twice SIZE */
};

static void bench_done(struct bench *bench)
{
	blocks_free(bench->container);
	if (bench->fd >= 0)
		close(bench->fd);
	free(bench->folder);
	free(bench->path);
	free(bench->journal);
	free(bench->mirror);
}

#define _cleanup_bench_ _cleanup_(bench_done)

static uint32_t seed = 1;

static uint32_t any(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)seed * below >> 32);
}

static void make_noise(uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)any(256);
}

static void reopen(struct bench *bench)
{
	struct caisson_error err = {0};
	struct stat st;

	blocks_free(bench->container);
	bench->container = NULL;
	assert_int_equal(fstat(bench->fd, &st), 0);
	assert_ok(blocks_of_file(bench->fd, (uint64_t)st.st_size, false, "the container",
			  &bench->container, &err),
		&err);
}

static void make_bench(struct bench *bench, void **state, const char *name, size_t size)
{
	struct caisson_error err = {0};

	*bench = (struct bench){.folder = path_join(*state, name), .fd = -1};
	bench->mirror = calloc(2, SIZE);
	assert_non_null(bench->mirror);
	assert_int_equal(mkdir(bench->folder, 0700), 0);
	bench->path = path_join(bench->folder, "container");
	bench->journal = path_join(bench->folder, REDO_NAME);
	bench->fd = open(bench->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(bench->fd >= 0);
	make_noise(bench->mirror, size);
	assert_ok(pwrite_all(bench->fd, bench->mirror, size, 0, bench->path, &err), &err);
	reopen(bench);
}

/* The file is the mirror, byte for byte. */
static void assert_container(const struct bench *bench, size_t size)
{
	_cleanup_free_ uint8_t *data = malloc(size);
	struct caisson_error err = {0};
	struct stat st;

	assert_int_equal(fstat(bench->fd, &st), 0);
	assert_int_equal(st.st_size, size);
	assert_ok(pread_all(bench->fd, data, size, 0, bench->path, &err), &err);
	assert_memory_equal(data, bench->mirror, size);
}

static size_t count_files(const struct bench *bench)
{
	_cleanup_closedir_ DIR *directory = opendir(bench->folder);
	struct dirent *entry;
	size_t count = 0;

	assert_non_null(directory);
	while ((entry = readdir(directory)) != NULL)
		count += entry->d_name[0] != '.' || strlen(entry->d_name) > 2;
	return count;
}

static void write_some(struct redo *redo, struct bench *bench, size_t size)
{
	_cleanup_free_ uint8_t *data = malloc(20000);
	struct caisson_error err = {0};
	size_t offset = any((uint32_t)size), length = any(20000);

	length = MIN(length, size - offset);
	make_noise(data, length);
	assert_ok(blocks_write(redo_blocks(redo), offset, data, length, &err), &err);
	memcpy(bench->mirror + offset, data, length);
}

static void read_some(struct redo *redo, const struct bench *bench, size_t size)
{
	_cleanup_free_ uint8_t *data = malloc(50000);
	struct caisson_error err = {0};
	size_t offset = any((uint32_t)size), length = any(50000);

	length = MIN(length, size - offset);
	assert_ok(blocks_read(redo_blocks(redo), offset, data, length, &err), &err);
	assert_memory_equal(data, bench->mirror + offset, length);
}

/* Any range at any alignment, over containers of any size; then committed. */
static void test_against_a_mirror(void **state)
{
	static const struct {
		const char *name;
		size_t before, after;
	} cases[] = {
		{"same", SIZE, SIZE},
		{"odd", SIZE - 1234, SIZE - 1234},
		{"grow", SIZE, 2 * SIZE},
		{"grow-odd", SIZE - 4095, SIZE + 777},
		{"tiny", 100, 200000},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(redo_freep) struct redo *redo = NULL;
		_cleanup_bench_ struct bench bench = {.fd = -1};
		size_t size = cases[i].after;
		struct caisson_error err = {0};

		make_bench(&bench, state, cases[i].name, cases[i].before);
		assert_ok(redo_new(bench.container, bench.folder, size, i % 2 == 0, &redo, &err),
			&err);
		for (int round = 0; round < 300; round++) {
			write_some(redo, &bench, size);
			read_some(redo, &bench, size);
			read_some(redo, &bench, size);
		}
		/* Its end, exactly. */
		assert_ok(blocks_write(redo_blocks(redo), size - 1, "x", 1, &err), &err);
		bench.mirror[size - 1] = 'x';
		assert_refused(blocks_write(redo_blocks(redo), size, "x", 1, &err), &err, EINVAL);
		assert_refused(blocks_read(redo_blocks(redo), size - 1, &(char[2]){0}, 2, &err),
			&err, EINVAL);
		assert_false(redo_waits(bench.folder));
		assert_ok(redo_commit(redo, bench.fd, &err), &err);
		assert_false(redo_waits(bench.folder));
		assert_container(&bench, size);
		redo_free(take_ptr(redo));
		assert_int_equal(count_files(&bench), 1);
	}
}

static void test_shrink(void **state)
{
	static const size_t sizes[] = {SIZE / 2, SIZE / 2 + 1, 4096, 1};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_free_ char *name = format_string("shrink-%zu", sizes[i]);
		_cleanup_(redo_freep) struct redo *redo = NULL;
		_cleanup_bench_ struct bench bench = {.fd = -1};
		struct caisson_error err = {0};

		make_bench(&bench, state, name, SIZE);
		assert_ok(redo_new(bench.container, bench.folder, SIZE, false, &redo, &err), &err);
		for (int round = 0; round < 50; round++)
			write_some(redo, &bench, SIZE);
		redo_set_size(redo, sizes[i]);
		assert_refused(
			blocks_write(redo_blocks(redo), sizes[i], "x", 1, &err), &err, EINVAL);
		assert_ok(redo_commit(redo, bench.fd, &err), &err);
		assert_container(&bench, sizes[i]);
	}
}

/* Another size alone is a change, and none is none. */
static void test_nothing_written(void **state)
{
	_cleanup_(redo_freep) struct redo *redo = NULL, *grown = NULL;
	_cleanup_bench_ struct bench bench = {.fd = -1};
	struct caisson_error err = {0};

	make_bench(&bench, state, "nothing", SIZE);
	assert_ok(redo_new(bench.container, bench.folder, SIZE, true, &redo, &err), &err);
	assert_ok(redo_commit(redo, bench.fd, &err), &err);
	assert_container(&bench, SIZE);
	assert_ok(redo_new(bench.container, bench.folder, SIZE + 5, true, &grown, &err), &err);
	assert_ok(redo_commit(grown, bench.fd, &err), &err);
	assert_container(&bench, SIZE + 5);
}

static void test_dropped(void **state)
{
	_cleanup_bench_ struct bench bench = {.fd = -1};
	_cleanup_free_ uint8_t *noise = calloc(1, SIZE);
	struct redo *redo = NULL;
	struct caisson_error err = {0};

	make_bench(&bench, state, "dropped", SIZE);
	assert_ok(redo_new(bench.container, bench.folder, SIZE, false, &redo, &err), &err);
	assert_ok(blocks_write(redo_blocks(redo), 0, noise, SIZE, &err), &err);
	assert_container(&bench, SIZE);
	redo_free(redo);
	assert_int_equal(count_files(&bench), 1);
	assert_container(&bench, SIZE);
	assert_int_equal(redo_recover(bench.folder, bench.fd, &err), 0);
}

/* Commits a fixed change, in a process that may be killed meanwhile. */
struct commit {
	struct bench *bench;
	bool secret;
	size_t size;
};

#define CHANGED 37 /* blocks, some of them beyond what the container has */

static uint64_t changed_block(size_t i)
{
	return i * i % (SIZE / REDO_BLOCK);
}

static int commit_work(void *userdata)
{
	const struct commit *commit = userdata;
	struct redo *redo = NULL;
	uint8_t block[REDO_BLOCK];
	int r = redo_new(commit->bench->container, commit->bench->folder,
		MAX(commit->size, (size_t)SIZE), commit->secret, &redo, NULL);

	for (size_t i = 0; r == 0 && i < CHANGED; i++) {
		memset(block, (int)i + 1, sizeof(block));
		r = blocks_write(redo_blocks(redo), changed_block(i) * REDO_BLOCK, block,
			sizeof(block), NULL);
	}
	if (r == 0) {
		redo_set_size(redo, commit->size);
		r = redo_commit(redo, commit->bench->fd, NULL);
	}
	redo_free(redo);
	return r < 0 ? 1 : 0;
}

/* The old bytes, all of them, or the new ones; which. */
static bool assert_either(const struct bench *bench, size_t old_size, size_t new_size)
{
	_cleanup_free_ uint8_t *data = calloc(2, SIZE), *wanted = calloc(2, SIZE);
	struct caisson_error err = {0};
	struct stat st;

	assert_int_equal(fstat(bench->fd, &st), 0);
	assert_ok(pread_all(bench->fd, data, (size_t)st.st_size, 0, bench->path, &err), &err);
	if ((size_t)st.st_size == old_size && memcmp(data, bench->mirror, old_size) == 0)
		return false;
	assert_int_equal(st.st_size, new_size);
	memcpy(wanted, bench->mirror, old_size);
	for (size_t i = 0; i < CHANGED; i++)
		memset(wanted + changed_block(i) * REDO_BLOCK, (int)i + 1, REDO_BLOCK);
	assert_memory_equal(data, wanted, new_size);
	return true;
}

/* Whether any file of the folder but the container holds a block of the change. */
static bool holds_change(const struct bench *bench)
{
	_cleanup_closedir_ DIR *directory = opendir(bench->folder);
	uint8_t data[REDO_BLOCK], wanted[REDO_BLOCK];
	struct dirent *entry;
	bool found = false;

	memset(wanted, 2, sizeof(wanted));
	while ((entry = readdir(directory)) != NULL) {
		_cleanup_close_ int fd = openat(dirfd(directory), entry->d_name, O_RDONLY);
		off_t at = 0;

		if (strcmp(entry->d_name, "container") == 0)
			continue;
		for (; pread(fd, data, sizeof(data), at) == sizeof(data); at += REDO_BLOCK)
			found |= memcmp(data, wanted, sizeof(data)) == 0;
	}
	return found;
}

static void put_mirror_back(struct bench *bench)
{
	struct caisson_error err = {0};

	assert_int_equal(ftruncate(bench->fd, SIZE), 0);
	assert_ok(pwrite_all(bench->fd, bench->mirror, SIZE, 0, bench->path, &err), &err);
	reopen(bench);
}

/* Killed at each of the system calls of a change: old or new, as soon as the next one has looked.
 */
static void test_killed_at_each_call(void **state)
{
	static const struct {
		const char *name;
		bool secret;
		size_t size;
	} cases[] = {
		{"killed", false, SIZE},
		{"killed-secret", true, SIZE},
		{"killed-grown", false, SIZE + 5000},
		{"killed-shrunk", false, SIZE - 70000},
	};

	if (!may_trace())
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_bench_ struct bench bench = {.fd = -1};
		struct commit commit = {&bench, cases[i].secret, cases[i].size};
		const struct killed_at killed = {.work = commit_work, .userdata = &commit};
		unsigned int call = 0, old = 0, new = 0;
		int status;

		make_bench(&bench, state, cases[i].name, SIZE);
		do {
			struct caisson_error err = {0};

			status = run_killed_at(&killed, call++);
			assert_true(status == -1 || status == 0);
			/* As volume_access_lock() does. */
			redo_sweep(bench.folder);
			staging_sweep(bench.folder);
			assert_ok(redo_recover(bench.folder, bench.fd, &err), &err);
			assert_int_equal(redo_recover(bench.folder, bench.fd, &err), 0);
			assert_int_equal(count_files(&bench), 1);
			if (assert_either(&bench, SIZE, cases[i].size))
				new ++;
			else
				old++;
			put_mirror_back(&bench);
		} while (status == -1);
		print_message("# %s: %u calls, %u times the old, %u the new\n", cases[i].name, call,
			old, new);
		assert_true(old > 10 && new > 3);
	}
}

/* The recovery of one is killed as well, again and again. */
static void test_recovery_killed(void **state)
{
	_cleanup_bench_ struct bench bench = {.fd = -1};
	struct commit commit = {&bench, true, SIZE + 5000};
	const struct killed_at killed = {.work = commit_work, .userdata = &commit};
	unsigned int call = 0;

	if (!may_trace())
		skip();
	make_bench(&bench, state, "again", SIZE);
	/* Up to the moment at which it is committed. */
	while (!redo_waits(bench.folder)) {
		redo_sweep(bench.folder);
		staging_sweep(bench.folder);
		assert_int_equal(run_killed_at(&killed, call++), -1);
	}
	for (unsigned int i = 0; redo_waits(bench.folder); i++) {
		pid_t child = fork();
		struct caisson_error err = {0};
		int status;

		assert_true(child >= 0);
		if (child == 0) {
			const struct timespec wait = {.tv_nsec = 20000 * i};
			pid_t other = fork();

			if (other == 0)
				_exit(redo_recover(bench.folder, bench.fd, NULL) < 0);
			(void)nanosleep(&wait, NULL);
			(void)kill(other, SIGKILL);
			_exit(waitpid(other, &status, 0) == other ? 0 : 1);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		redo_sweep(bench.folder);
		staging_sweep(bench.folder);
		if (i == 200)
			assert_ok(redo_recover(bench.folder, bench.fd, &err), &err);
	}
	assert_true(assert_either(&bench, SIZE, SIZE + 5000));
}

/* What another name for the same file sees afterwards. */
static void test_secret_is_wiped(void **state)
{
	for (int round = 0; round < 3; round++) {
		_cleanup_free_ char *name = format_string("wiped-%d", round);
		_cleanup_free_ char *link_path = path_join(*state, "kept-journal");
		_cleanup_bench_ struct bench bench = {.fd = -1};
		struct commit commit = {&bench, round > 0, SIZE};
		const struct killed_at killed = {.work = commit_work, .userdata = &commit};
		uint8_t data[REDO_BLOCK], wanted[REDO_BLOCK];
		_cleanup_close_ int fd = -1;
		struct caisson_error err = {0};
		bool found = false;

		if (!may_trace())
			skip();
		make_bench(&bench, state, name, SIZE);
		for (unsigned int call = 0; !redo_waits(bench.folder); call++) {
			redo_sweep(bench.folder);
			staging_sweep(bench.folder);
			assert_int_equal(run_killed_at(&killed, call), -1);
		}
		assert_true(holds_change(&bench));
		assert_int_equal(link(bench.journal, link_path), 0);
		/* Killed once more, between the end of the change and the wiping. */
		if (round == 2) {
			_cleanup_free_ char *hidden = path_join(bench.folder, ".new-redone");

			assert_ok(redo_recover(bench.folder, bench.fd, &err), &err);
			put_mirror_back(&bench);
			assert_int_equal(commit_work(&commit), 0);
			unlink(link_path);
			/* A journal that nobody wiped, under the name that it has then. */
			for (unsigned int call = 0; !redo_waits(bench.folder); call++) {
				redo_sweep(bench.folder);
				staging_sweep(bench.folder);
				put_mirror_back(&bench);
				assert_int_equal(run_killed_at(&killed, call), -1);
			}
			assert_int_equal(rename(bench.journal, hidden), 0);
			assert_int_equal(link(hidden, link_path), 0);
			redo_sweep(bench.folder);
			staging_sweep(bench.folder);
		} else {
			assert_int_equal(redo_recover(bench.folder, bench.fd, &err), 1);
		}
		assert_int_equal(count_files(&bench), 1);
		fd = open(link_path, O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		memset(wanted, 2, sizeof(wanted));
		for (off_t at = 0; pread(fd, data, sizeof(data), at) == sizeof(data);
			at += REDO_BLOCK)
			found |= memcmp(data, wanted, sizeof(data)) == 0;
		assert_int_equal(found, round == 0);
		unlink(link_path);
	}
}

/* One that was never committed holds new keyslots, too. */
static void test_uncommitted_secret_is_wiped(void **state)
{
	_cleanup_free_ char *kept = path_join(*state, "kept-staging");
	_cleanup_bench_ struct bench bench = {.fd = -1};
	struct commit commit = {&bench, true, SIZE};
	const struct killed_at killed = {.work = commit_work, .userdata = &commit};
	uint8_t data[REDO_BLOCK];
	_cleanup_closedir_ DIR *directory = NULL;
	struct dirent *entry;
	unsigned int call = 0;
	int fd;

	if (!may_trace())
		skip();
	make_bench(&bench, state, "uncommitted", SIZE);
	while (!holds_change(&bench)) {
		redo_sweep(bench.folder);
		staging_sweep(bench.folder);
		assert_int_equal(run_killed_at(&killed, call++), -1);
	}
	assert_false(redo_waits(bench.folder));
	directory = opendir(bench.folder);
	while ((entry = readdir(directory)) != NULL) {
		if (strncmp(entry->d_name, ".new-", 5) == 0)
			assert_int_equal(
				linkat(dirfd(directory), entry->d_name, AT_FDCWD, kept, 0), 0);
	}
	redo_sweep(bench.folder);
	staging_sweep(bench.folder);
	assert_int_equal(count_files(&bench), 1);
	fd = open(kept, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	for (off_t at = REDO_BLOCK; pread(fd, data, sizeof(data), at) == sizeof(data);
		at += REDO_BLOCK)
		assert_true(data[0] == 0 && data[REDO_BLOCK - 1] == 0);
	close(fd);
	unlink(kept);
}

/* A journal as it waits for the next command; its length. */
static size_t make_waiting(struct bench *bench, void **state, const char *name)
{
	struct commit commit = {bench, false, SIZE};
	const struct killed_at killed = {.work = commit_work, .userdata = &commit};
	struct stat st;

	make_bench(bench, state, name, SIZE);
	for (unsigned int call = 0; !redo_waits(bench->folder); call++) {
		redo_sweep(bench->folder);
		staging_sweep(bench->folder);
		assert_int_equal(run_killed_at(&killed, call), -1);
	}
	assert_int_equal(stat(bench->journal, &st), 0);
	assert_container(bench, SIZE);
	return (size_t)st.st_size;
}

static void assert_refuses_journal(struct bench *bench, int errno_wanted)
{
	struct caisson_error err = {0};
	int r = redo_recover(bench->folder, bench->fd, &err);

	assert_true(r < 0);
	if (errno_wanted != 0)
		assert_int_equal(r, -errno_wanted);
	assert_int_not_equal(err.message[0], '\0');
	assert_container(bench, SIZE);
	assert_true(redo_waits(bench->folder));
}

static void test_damaged_journal(void **state)
{
	_cleanup_bench_ struct bench bench = {.fd = -1};
	_cleanup_free_ uint8_t *good = NULL, *bad = NULL;
	struct caisson_error err = {0};
	size_t length;
	int fd;

	if (!may_trace())
		skip();
	length = make_waiting(&bench, state, "damaged");
	good = malloc(length);
	bad = malloc(length + 4096);
	fd = open(bench.journal, O_RDWR | O_CLOEXEC);
	assert_ok(pread_all(fd, good, length, 0, "the journal", &err), &err);
	/* Every byte that means anything, and a sample of the others. */
	for (size_t at = 0; at < length; at += at < 128 || at > length - 300 ? 1 : 1009) {
		uint8_t other = good[at] ^ (uint8_t)(1 + any(255));

		/* Between the head and the first block nothing is said. */
		if (at >= 72 && at < REDO_BLOCK)
			continue;
		assert_ok(pwrite_all(fd, &other, 1, at, "the journal", &err), &err);
		assert_refuses_journal(&bench, EBADMSG);
		assert_ok(pwrite_all(fd, good + at, 1, at, "the journal", &err), &err);
	}
	/* Cut short anywhere, and with more behind it. */
	for (size_t size = 0; size < length; size += size < 100 ? 1 : 4001) {
		assert_int_equal(ftruncate(fd, (off_t)size), 0);
		assert_refuses_journal(&bench, 0);
	}
	assert_int_equal(ftruncate(fd, (off_t)length + 1), 0);
	assert_ok(pwrite_all(fd, good, length, 0, "the journal", &err), &err);
	assert_refuses_journal(&bench, EBADMSG);
	assert_int_equal(ftruncate(fd, (off_t)length), 0);
	close(fd);
	assert_int_equal(redo_recover(bench.folder, bench.fd, &err), 1);
	assert_true(assert_either(&bench, SIZE, SIZE));
}

/* What is no journal, or is no file. */
static void test_foreign_journal(void **state)
{
	_cleanup_bench_ struct bench bench = {.fd = -1};
	_cleanup_free_ char *elsewhere = path_join(*state, "elsewhere");
	struct caisson_error err = {0};

	make_bench(&bench, state, "foreign", SIZE);
	assert_ok(write_file_atomic(bench.journal, "hello", 5, 0600, &err), &err);
	assert_refuses_journal(&bench, 0);
	assert_ok(write_file_atomic(bench.journal, bench.mirror, 20000, 0600, &err), &err);
	assert_refuses_journal(&bench, EBADMSG);
	unlink(bench.journal);
	assert_int_equal(mkfifo(bench.journal, 0600), 0);
	assert_refuses_journal(&bench, 0);
	unlink(bench.journal);
	assert_int_equal(mkdir(bench.journal, 0700), 0);
	assert_refuses_journal(&bench, 0);
	rmdir(bench.journal);
	assert_ok(write_file_atomic(elsewhere, "hello", 5, 0600, &err), &err);
	assert_int_equal(symlink(elsewhere, bench.journal), 0);
	assert_refuses_journal(&bench, ELOOP);
}

/* No room for the journal, and none for the container to grow: said, and nothing is changed. */
static void test_read_only_container(void **state)
{
	_cleanup_bench_ struct bench bench = {.fd = -1};
	_cleanup_(redo_freep) struct redo *redo = NULL;
	struct caisson_error err = {0};
	int fd;

	make_bench(&bench, state, "read-only", SIZE);
	fd = open(bench.path, O_RDONLY | O_CLOEXEC);
	assert_ok(redo_new(bench.container, bench.folder, SIZE, false, &redo, &err), &err);
	assert_ok(blocks_write(redo_blocks(redo), 0, "new", 3, &err), &err);
	assert_true(redo_commit(redo, fd, &err) < 0);
	assert_string_not_equal(err.message, "");
	assert_container(&bench, SIZE);
	/* What cannot be made is not promised. */
	assert_int_equal(redo_recover(bench.folder, bench.fd, &err), 0);
	assert_container(&bench, SIZE);
	close(fd);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

#define MANY 100000u

/* Scattered over a large container, so that each is found by itself. */
static void test_many_blocks(void **state)
{
	_cleanup_bench_ struct bench bench = {.fd = -1};
	_cleanup_(redo_freep) struct redo *redo = NULL;
	uint64_t size = (uint64_t)MANY * 16 * REDO_BLOCK;
	uint8_t block[REDO_BLOCK] = {0};
	struct caisson_error err = {0};
	double began = seconds(), written, took;

	make_bench(&bench, state, "many", 4096);
	assert_int_equal(ftruncate(bench.fd, (off_t)size), 0);
	reopen(&bench);
	assert_ok(redo_new(bench.container, bench.folder, size, false, &redo, &err), &err);
	for (uint32_t i = 0; i < MANY; i++) {
		memcpy(block, &i, sizeof(i));
		assert_ok(blocks_write(redo_blocks(redo), (uint64_t)i * 16 * REDO_BLOCK, block,
				  sizeof(block), &err),
			&err);
	}
	written = seconds();
	for (uint32_t i = 0; i < MANY; i += 7) {
		uint32_t j = i * 31 % MANY, is = 0;

		assert_ok(blocks_read(redo_blocks(redo), (uint64_t)j * 16 * REDO_BLOCK, &is,
				  sizeof(is), &err),
			&err);
		assert_int_equal(is, j);
	}
	assert_ok(redo_commit(redo, bench.fd, &err), &err);
	took = seconds() - began;
	print_message("# %u blocks: %.2f s to write, %.2f s in all\n", MANY, written - began, took);
	assert_true(took < 30);
	for (uint32_t i = 0; i < MANY; i += 997) {
		uint32_t is = 0;

		assert_ok(pread_all(bench.fd, &is, sizeof(is), (uint64_t)i * 16 * REDO_BLOCK,
				  bench.path, &err),
			&err);
		assert_int_equal(is, i);
	}
}

#define THREADS 6
#define SHARE   (SIZE / THREADS / 4096 * 4096 - 100)

struct worker {
	struct redo *redo;
	uint32_t number;
	uint8_t *mine;
	bool failed;
};

/* Each has a range of its own, whose ends share blocks with the neighbours. */
static void *work(void *userdata)
{
	struct worker *worker = userdata;
	uint32_t at = worker->number * 7919u + 1;
	uint8_t data[9000], seen[9000];

	for (int i = 0; i < 400 && !worker->failed; i++) {
		size_t offset, length;

		at = at * 1664525u + 1013904223u;
		offset = at % SHARE;
		at = at * 1664525u + 1013904223u;
		length = MIN(at % sizeof(data), SHARE - offset);
		memset(data, (int)(at >> 24), length);
		memcpy(worker->mine + offset, data, length);
		worker->failed |= blocks_write(redo_blocks(worker->redo),
					  worker->number * SHARE + offset, data, length, NULL) < 0;
		offset = at % (SHARE - sizeof(seen));
		worker->failed |=
			blocks_read(redo_blocks(worker->redo), worker->number * SHARE + offset,
				seen, sizeof(seen), NULL) < 0 ||
			memcmp(seen, worker->mine + offset, sizeof(seen)) != 0;
	}
	return NULL;
}

static void test_threads(void **state)
{
	_cleanup_bench_ struct bench bench = {.fd = -1};
	_cleanup_(redo_freep) struct redo *redo = NULL;
	struct worker workers[THREADS];
	pthread_t threads[THREADS];
	struct caisson_error err = {0};

	make_bench(&bench, state, "threads", SIZE);
	assert_ok(redo_new(bench.container, bench.folder, SIZE, false, &redo, &err), &err);
	for (uint32_t i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){
			.redo = redo, .number = i, .mine = bench.mirror + (size_t)i * SHARE};
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (uint32_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_false(workers[i].failed);
	}
	assert_ok(redo_commit(redo, bench.fd, &err), &err);
	assert_container(&bench, SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_a_mirror),
		cmocka_unit_test(test_shrink),
		cmocka_unit_test(test_nothing_written),
		cmocka_unit_test(test_dropped),
		cmocka_unit_test(test_killed_at_each_call),
		cmocka_unit_test(test_recovery_killed),
		cmocka_unit_test(test_secret_is_wiped),
		cmocka_unit_test(test_uncommitted_secret_is_wiped),
		cmocka_unit_test(test_damaged_journal),
		cmocka_unit_test(test_foreign_journal),
		cmocka_unit_test(test_read_only_container),
		cmocka_unit_test(test_many_blocks),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, make_test_folder_in_memory, remove_test_folder);
}
