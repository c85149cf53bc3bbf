/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "base/process.h"
#include "luks/payload.h"
#include "volume/ext4.h"
#include "volume/volume.h"

#define SMALL (40ull << 20)

static int create_volume(const struct state *state, struct key_service *keys, const char *name,
	uint64_t size, const struct caisson_log *log, struct caisson_error *err)
{
	const struct volume_create_options options = {.size = size, .luks = LUKS_FORMAT_DEFAULT};

	return volume_create(state, keys, name, &options, log, err);
}

static void unlock(const struct house *house, const char *name, struct key_record *record,
	struct secret *volume_key)
{
	_cleanup_secret_ struct secret machine_key = SECRET_NONE;
	_cleanup_free_ char *path = container_path(house, name);
	struct caisson_error err = {0};

	assert_ok(key_service_find(house->keys, name, record, &err), &err);
	assert_ok(key_service_unwrap(house->keys, name, &machine_key, &err), &err);
	assert_ok(luks_unlock(path, &record->facts, &machine_key, volume_key, &err), &err);
}

/* The plain filesystem as dm-crypt would show it, every sector decrypted. */
static char *decrypt_all(const struct house *house, const char *name)
{
	enum { CHUNK = 1 << 20 };
	_cleanup_free_ char *path = container_path(house, name);
	_cleanup_secret_ struct secret volume_key = SECRET_NONE;
	_cleanup_free_ char *plain = format_string("%s/%s.plain", house->state.dir, name);
	_cleanup_free_ uint8_t *buffer = malloc(CHUNK);
	_cleanup_close_ int from = -1, to = -1;
	_cleanup_(luks_cipher_freep) struct luks_cipher *cipher = NULL;
	_cleanup_blocks_ struct blocks *container = NULL;
	_cleanup_blocks_ struct blocks *payload = NULL;
	struct caisson_error err = {0};
	struct key_record record;
	struct stat st;
	uint64_t size;

	unlock(house, name, &record, &volume_key);
	from = open(path, O_RDONLY | O_CLOEXEC);
	to = open(plain, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(from >= 0 && to >= 0);
	assert_int_equal(fstat(from, &st), 0);
	size = (uint64_t)st.st_size - record.facts.data_offset;
	assert_ok(luks_cipher_new(record.facts.cipher, record.facts.sector_size, &volume_key,
			  &cipher, &err),
		&err);
	assert_ok(blocks_of_file(from, (uint64_t)st.st_size, true, path, &container, &err), &err);
	assert_ok(
		luks_payload_new(container, record.facts.data_offset, size, cipher, &payload, &err),
		&err);
	for (uint64_t at = 0; at < size; at += CHUNK) {
		size_t length = MIN(size - at, (uint64_t)CHUNK);

		assert_ok(blocks_read(payload, at, buffer, length, &err), &err);
		assert_ok(pwrite_all(to, buffer, length, at, plain, &err), &err);
	}
	return take_ptr(plain);
}

static void test_parse_size(void **state _unused_)
{
	static const struct {
		const char *text;
		uint64_t size;
	} good[] = {
		{"0", 0},
		{"33554432", 33554432},
		{"1K", 1024},
		{"256M", 256ull << 20},
		{"256MiB", 256ull << 20},
		{"1G", 1ull << 30},
		{"2TiB", 2ull << 40},
		{"9223372036854775807", INT64_MAX},
	};
	static const char *const bad[] = {"", "G", "-1G", "+1G", " 1G", "1 G", "1.5G", "1GB", "1Gi",
		"1GiBs", "1g", "0x10", "1K1"};
	static const char *const large[] = {"9223372036854775808", "18446744073709551616",
		"99999999999999999999999999", "8388608T", "16777216T"};
	struct caisson_error err = {0};
	uint64_t size = 7;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_ok(volume_parse_size(good[i].text, &size, &err), &err);
		assert_true(size == good[i].size);
	}
	size = 7;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_refused(volume_parse_size(bad[i], &size, &err), &err, EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(large); i++)
		assert_refused(volume_parse_size(large[i], &size, &err), &err, ERANGE);
	assert_int_equal(size, 7);
}

static void test_create(void **state)
{
	_cleanup_(volume_info_done) struct volume_info info = {0};
	_cleanup_free_ char *path = NULL;
	_cleanup_strv_ struct strv names = STRV_INIT;
	_cleanup_house_ struct house house = {0};
	struct caisson_error err = {0};
	struct stat st;

	make_house(&house, state, "create");
	assert_ok(create_volume(&house.state, house.keys, "data", SMALL - 1, NULL, &err), &err);
	assert_ok(create_volume(&house.state, house.keys, "a.b_c-0", SMALL, NULL, &err), &err);
	assert_refused(
		create_volume(&house.state, house.keys, "data", SMALL, NULL, &err), &err, EEXIST);
	assert_ok(volume_list(&house.state, &names, &err), &err);
	assert_int_equal(names.count, 2);
	assert_string_equal(names.items[0], "a.b_c-0");
	assert_string_equal(names.items[1], "data");
	assert_int_equal(count_entries(&house), 2);

	assert_ok(volume_inspect(&house.state, house.keys, "data", &info, &err), &err);
	path = container_path(&house, "data");
	assert_string_equal(info.path, path);
	assert_string_equal(info.name, "data");
	assert_true(info.size == SMALL);
	assert_true(info.allocated > 2 << 20 && info.allocated < 8 << 20);
	assert_true(info.has_key);
	assert_false(info.in_use);
	assert_string_equal(info.holder, "");
	assert_string_equal(info.filesystem, "ext4");
	assert_string_equal(info.header_error, "");
	assert_string_equal(info.header.facts.cipher, "aes-xts-plain64");
	assert_int_equal(info.header.keyslots, 1);
	assert_true(info.created > 0 && info.created <= (uint64_t)time(NULL));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_create_refuses(void **state)
{
	static const char *const names[] = {"", "..", "a/b", ".hidden", "-x", "UPPER", "a b"};
	_cleanup_house_ struct house house = {0};
	struct caisson_error err = {0};

	make_house(&house, state, "refuses");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_refused(create_volume(&house.state, house.keys, names[i], SMALL, NULL, &err),
			&err, EINVAL);
	assert_refused(
		create_volume(&house.state, house.keys, "data", VOLUME_SIZE_LEAST - 1, NULL, &err),
		&err, EINVAL);
	assert_non_null(strstr(err.message, "at least 32 MiB"));
	assert_refused(create_volume(&house.state, house.keys, "data", UINT64_MAX, NULL, &err),
		&err, ERANGE);
	assert_int_equal(count_keys(&house), 0);
}

/* What dm-crypt would show: stock e2fsck finds nothing to mend, stock tools write to it and grow
 * it. */
static void test_filesystem(void **state)
{
	static const uint64_t sizes[] = {VOLUME_SIZE_LEAST, 300ull << 20};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_strbuf_ struct strbuf output = STRBUF_INIT;
		_cleanup_house_ struct house house = {0};
		_cleanup_free_ char *plain = NULL;
		struct caisson_error err = {0};
		uint8_t superblock[1024];
		bool check = true;
		int fd;

		make_house(&house, state, i == 0 ? "least" : "larger");
		assert_ok(create_volume(&house.state, house.keys, "a-name-of-more-than-16",
				  sizes[i], NULL, &err),
			&err);
		plain = decrypt_all(&house, "a-name-of-more-than-16");
		fd = open(plain, O_RDONLY | O_CLOEXEC);
		assert_ok(pread_all(fd, superblock, 1024, 1024, plain, &err), &err);
		close(fd);
		assert_ok(ext4_needs_check(superblock, 1024, &check, &err), &err);
		assert_false(check);
		assert_memory_equal(superblock + 0x78, "a-name-of-more-t", 16);

		const char *const check_it[] = {"e2fsck", "-fn", plain, NULL};
		const char *const write_it[] = {"debugfs", "-w", "-R", "mkdir note", plain, NULL};
		const char *const read_it[] = {"debugfs", "-R", "stat note", plain, NULL};
		const char *const grow_it[] = {"resize2fs", plain, "3G", NULL};

		assert_ok(process_run(check_it, NULL, NULL, &err), &err);
		assert_ok(process_run(write_it, NULL, NULL, &err), &err);
		assert_ok(process_run(read_it, NULL, &output, &err), &err);
		assert_non_null(strstr(output.data, "Type: directory"));
		assert_ok(process_run(check_it, NULL, NULL, &err), &err);
		assert_int_equal(truncate(plain, 3ll << 30), 0);
		assert_ok(process_run(grow_it, NULL, NULL, &err), &err);
		assert_ok(process_run(check_it, NULL, NULL, &err), &err);
		unlink(plain);
	}
}

static void test_lock(void **state)
{
	_cleanup_(volume_info_done) struct volume_info info = {0};
	_cleanup_house_ struct house house = {0};
	struct caisson_error err = {0};
	struct caisson_volume_destroyed done;
	int fd = -1, other = -1;

	make_house(&house, state, "lock");
	assert_refused(
		volume_lock(&house.state, house.keys, "data", "web-1", &fd, &err), &err, ENOENT);
	assert_ok(create_volume(&house.state, house.keys, "data", SMALL, NULL, &err), &err);
	assert_refused(
		volume_lock(&house.state, house.keys, "data", "../x", &fd, &err), &err, EINVAL);
	assert_ok(volume_lock(&house.state, house.keys, "data", "web-1", &fd, &err), &err);
	assert_refused(
		volume_lock(&house.state, house.keys, "data", "web-2", &other, &err), &err, EBUSY);
	assert_string_equal(err.message, "the volume data is in use by the machine web-1");
	assert_string_not_equal(err.hint, "");
	assert_refused(volume_destroy(&house.state, house.keys, "data", &done, &err), &err, EBUSY);
	assert_false(done.key_removed || done.header_erased || done.files_removed);
	assert_ok(volume_inspect(&house.state, house.keys, "data", &info, &err), &err);
	assert_true(info.in_use);
	assert_string_equal(info.holder, "web-1");
	assert_string_equal(info.header_error, "");
	volume_info_done(&info);

	close(fd);
	assert_ok(volume_inspect(&house.state, house.keys, "data", &info, &err), &err);
	assert_false(info.in_use);
	assert_string_equal(info.holder, "");
	assert_ok(volume_lock(&house.state, house.keys, "data", "web-2", &other, &err), &err);
	close(other);

	assert_int_equal(key_service_remove(house.keys, "data", &err), 1);
	assert_refused(
		volume_lock(&house.state, house.keys, "data", "web-3", &fd, &err), &err, ENOKEY);
	assert_string_not_equal(err.hint, "");
}

/* The lock is its descriptor's, in whatever process that is. */
static void test_lock_goes_with_its_holder(void **state)
{
	_cleanup_house_ struct house house = {0};
	struct caisson_error err = {0};
	int fd = -1, again = -1;
	pid_t child;

	make_house(&house, state, "holder");
	assert_ok(create_volume(&house.state, house.keys, "data", SMALL, NULL, &err), &err);
	assert_ok(volume_lock(&house.state, house.keys, "data", "web-1", &fd, &err), &err);
	child = fork();
	if (child == 0) {
		for (;;)
			pause();
	}
	assert_true(child > 0);
	close(fd);
	assert_refused(
		volume_lock(&house.state, house.keys, "data", "web-2", &again, &err), &err, EBUSY);
	process_kill(child);
	assert_ok(volume_lock(&house.state, house.keys, "data", "web-2", &again, &err), &err);
	close(again);
}

static void test_destroy(void **state)
{
	_cleanup_(volume_info_done) struct volume_info info = {0};
	_cleanup_free_ char *path = NULL, *copy = NULL, *folder = NULL;
	_cleanup_secret_ struct secret key = SECRET_NONE, machine_key = SECRET_NONE;
	_cleanup_house_ struct house house = {0};
	struct caisson_error err = {0};
	struct caisson_volume_destroyed done;
	struct key_record record;
	struct luks_header header;

	make_house(&house, state, "destroy");
	path = container_path(&house, "data");
	copy = path_join(house.state.dir, "link");
	folder = format_string("%s/volumes/data", house.state.dir);
	assert_ok(create_volume(&house.state, house.keys, "data", SMALL, NULL, &err), &err);
	unlock(&house, "data", &record, &key);
	/* Another name for the same file sees what became of it. */
	assert_int_equal(link(path, copy), 0);
	assert_ok(volume_destroy(&house.state, house.keys, "data", &done, &err), &err);
	assert_true(done.key_removed && done.header_erased && done.files_removed);
	assert_int_equal(count_keys(&house), 0);
	assert_int_equal(count_entries(&house), 0);
	assert_refused(luks_inspect(copy, &header, &err), &err, EBADMSG);
	assert_refused(key_service_unwrap(house.keys, "data", &machine_key, &err), &err, ENOENT);

	assert_ok(volume_destroy(&house.state, house.keys, "data", &done, &err), &err);
	assert_false(done.key_removed || done.header_erased || done.files_removed);
	assert_refused(volume_inspect(&house.state, house.keys, "data", &info, &err), &err, ENOENT);

	/* A folder without its key, and without its container. */
	assert_ok(create_volume(&house.state, house.keys, "data", SMALL, NULL, &err), &err);
	assert_int_equal(key_service_remove(house.keys, "data", &err), 1);
	assert_ok(volume_destroy(&house.state, house.keys, "data", &done, &err), &err);
	assert_false(done.key_removed);
	assert_true(done.header_erased && done.files_removed);
	assert_ok(make_directories(folder, 0700, &err), &err);
	assert_ok(volume_inspect(&house.state, house.keys, "data", &info, &err), &err);
	assert_string_not_equal(info.header_error, "");
	assert_ok(volume_destroy(&house.state, house.keys, "data", &done, &err), &err);
	assert_false(done.key_removed || done.header_erased);
	assert_true(done.files_removed);
	assert_int_equal(count_entries(&house), 0);
}

/* A key whose folder is missing may be all that opens a disk which is only not mounted. */
static void test_key_without_folder(void **state)
{
	_cleanup_(volume_info_done) struct volume_info info = {0};
	_cleanup_free_ char *folder = NULL, *away = NULL;
	_cleanup_house_ struct house house = {0};
	struct caisson_error err = {0};
	struct caisson_volume_destroyed done;

	make_house(&house, state, "away");
	folder = format_string("%s/volumes/data", house.state.dir);
	away = path_join(house.state.dir, "away");
	assert_ok(create_volume(&house.state, house.keys, "data", SMALL, NULL, &err), &err);
	assert_int_equal(rename(folder, away), 0);
	assert_refused(volume_inspect(&house.state, house.keys, "data", &info, &err), &err, ENOENT);
	assert_non_null(strstr(err.message, "holds a key"));
	assert_refused(
		create_volume(&house.state, house.keys, "data", SMALL, NULL, &err), &err, EEXIST);
	assert_string_not_equal(err.hint, "");
	assert_int_equal(count_keys(&house), 1);
	assert_int_equal(rename(away, folder), 0);
	assert_ok(volume_inspect(&house.state, house.keys, "data", &info, &err), &err);
	assert_true(info.has_key);
	assert_int_equal(rename(folder, away), 0);
	assert_ok(volume_destroy(&house.state, house.keys, "data", &done, &err), &err);
	assert_true(done.key_removed);
	assert_int_equal(count_keys(&house), 0);
}

/* A create killed between its key and its folder, at the one place where that can be made to
 * happen. */
static void test_pending_key(void **state)
{
	_cleanup_(volume_info_done) struct volume_info info = {0};
	_cleanup_free_ char *folder = NULL, *pending = NULL;
	_cleanup_house_ struct house house = {0};
	struct caisson_error err = {0};
	struct caisson_volume_destroyed done;
	struct key_record record;

	make_house(&house, state, "pending");
	folder = format_string("%s/volumes/data", house.state.dir);
	pending = format_string("%s/volumes/.pending-data", house.state.dir);
	for (int round = 0; round < 4; round++) {
		assert_ok(create_volume(&house.state, house.keys, "data", SMALL, NULL, &err), &err);
		assert_ok(key_service_find(house.keys, "data", &record, &err), &err);
		assert_ok(write_file_atomic(pending, record.facts.uuid,
				  round == 3 ? 0 : strlen(record.facts.uuid), 0600, &err),
			&err);
		if (round < 3)
			assert_ok(remove_tree(folder, &err), &err);
		if (round == 0)
			assert_refused(
				volume_inspect(&house.state, house.keys, "data", &info, &err), &err,
				ENOENT);
		else if (round == 1)
			assert_ok(
				create_volume(&house.state, house.keys, "data", SMALL, NULL, &err),
				&err);
		else if (round == 3)
			assert_ok(volume_inspect(&house.state, house.keys, "data", &info, &err),
				&err);
		assert_int_equal(count_keys(&house), round == 1 || round == 3 || round == 2);
		assert_ok(volume_destroy(&house.state, house.keys, "data", &done, &err), &err);
		assert_int_equal(count_keys(&house), 0);
		assert_int_equal(count_entries(&house), 0);
	}
}

/* Runs create, or destroy, in a process of its own that is killed after @usec. */
static void run_and_kill(void **state, const char *name, bool create, long usec)
{
	const struct timespec wait = {.tv_nsec = usec * 1000};
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		struct house house = {0};
		struct caisson_volume_destroyed done;

		if (open_house(&house, *state, name, NULL) < 0)
			_exit(1);
		if (create)
			(void)create_volume(&house.state, house.keys, "data", SMALL, NULL, NULL);
		else
			(void)volume_destroy(&house.state, house.keys, "data", &done, NULL);
		_exit(0);
	}
	(void)nanosleep(&wait, NULL);
	process_kill(child);
}

/* Nothing is left. A killed maker's lock may live on for a moment in a child that has not yet seen
   that its parent is gone: the sweep after that takes what the first one could not. */
static void assert_swept(const struct house *house)
{
	const struct timespec wait = {.tv_nsec = 10000000};

	for (int i = 0; i < 500 && count_entries(house) > 0; i++) {
		_cleanup_free_ char *folder = NULL;

		(void)nanosleep(&wait, NULL);
		assert_int_equal(state_folder(&house->state, "volumes", &folder, NULL), 0);
	}
	assert_int_equal(count_entries(house), 0);
}

static uint32_t random_seed(void)
{
	const char *given = getenv("CAISSON_TEST_SEED");

	return given != NULL ? (uint32_t)strtoul(given, NULL, 10) : (uint32_t)now_usec();
}

static void test_killed(void **state)
{
	uint32_t seed = random_seed(), number = seed;
	_cleanup_house_ struct house house = {0};
	struct caisson_error err = {0};
	struct caisson_volume_destroyed done;
	long most = 1000;

	print_message("# seed %u\n", seed);
	make_house(&house, state, "killed");
	for (int round = 0; round < 50; round++) {
		_cleanup_(volume_info_done) struct volume_info info = {0};
		uint64_t began;
		int r;

		number = number * 1664525u + 1013904223u;
		run_and_kill(state, "killed", true, (long)((number >> 8) % (uint32_t)most));
		r = volume_inspect(&house.state, house.keys, "data", &info, &err);
		if (r == 0) {
			/* There: then it is whole. */
			_cleanup_secret_ struct secret key = SECRET_NONE;
			struct key_record record;

			assert_true(info.has_key);
			unlock(&house, "data", &record, &key);
			number = number * 1664525u + 1013904223u;
			run_and_kill(
				state, "killed", false, (long)((number >> 8) % (uint32_t)most));
		} else {
			assert_int_equal(r, -ENOENT);
			assert_int_equal(count_keys(&house), 0);
		}
		assert_ok(volume_destroy(&house.state, house.keys, "data", &done, &err), &err);
		assert_int_equal(count_keys(&house), 0);
		assert_swept(&house);
		if (round % 10 != 0)
			continue;
		began = now_usec();
		assert_ok(create_volume(&house.state, house.keys, "data", SMALL, NULL, &err), &err);
		/* The kills reach a little beyond what a create takes here. */
		most = (long)(now_usec() - began) * 5 / 4;
		assert_ok(volume_destroy(&house.state, house.keys, "data", &done, &err), &err);
	}
}

static void test_concurrent_creates(void **state)
{
	_cleanup_house_ struct house house = {0};
	_cleanup_secret_ struct secret key = SECRET_NONE;
	struct key_record record;
	pid_t children[4];
	int made = 0;

	make_house(&house, state, "race");
	for (size_t i = 0; i < ARRAY_SIZE(children); i++) {
		children[i] = fork();
		assert_true(children[i] >= 0);
		if (children[i] == 0) {
			struct house own = {0};
			struct caisson_error why = {0};
			int r = open_house(&own, *state, "race", &why);

			if (r == 0)
				r = create_volume(&own.state, own.keys, "data", SMALL, NULL, &why);
			if (r < 0 && r != -EEXIST)
				print_message("# %s\n", why.message);
			_exit(r == 0 ? 0 : r == -EEXIST ? 1 : 2);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(children); i++) {
		struct caisson_error err = {0};
		int status = 9;

		assert_ok(process_wait(children[i], &status, &err), &err);
		assert_in_range(status, 0, 1);
		made += status == 0;
	}
	assert_int_equal(made, 1);
	assert_int_equal(count_entries(&house), 1);
	unlock(&house, "data", &record, &key);
}

static bool write_text(const char *path, const char *text)
{
	_cleanup_close_ int fd = open_file(path, O_WRONLY, 0, NULL);

	return fd >= 0 && write_all(fd, text, strlen(text), path, NULL) == 0;
}

/* A mount namespace of our own; without root, in a user namespace in which we are root. */
static bool own_mounts(void)
{
	_cleanup_free_ char *user = format_string("0 %u 1", (unsigned int)getuid());
	_cleanup_free_ char *group = format_string("0 %u 1", (unsigned int)getgid());

	if (unshare(CLONE_NEWNS) == 0)
		return true;
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
	       write_text("/proc/self/setgroups", "deny") &&
	       write_text("/proc/self/uid_map", user) && write_text("/proc/self/gid_map", group);
}

/* A tmpfs of @size on @path, for this process alone. */
static bool mount_small(const char *path, const char *size)
{
	_cleanup_free_ char *options = format_string("size=%s,mode=0700", size);

	return own_mounts() && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("small", path, "tmpfs", 0, options) == 0;
}

enum { FITS = 76, NO_MOUNT = 77 };

/* Whatever does not fit leaves nothing: no volume, no key, no files, and a clear sentence. Runs in
   a child: cmocka's assertions do not. */
static int create_on_small(const char *folder, const char *size)
{
	_cleanup_strv_ struct strv names = STRV_INIT;
	struct caisson_error err = {0};
	struct house house = {0};
	struct caisson_volume_destroyed done;
	int r;

	if (!mount_small(folder, size))
		return NO_MOUNT;
	if (open_house(&house, folder, "state", &err) < 0)
		return 1;
	r = create_volume(&house.state, house.keys, "data", SMALL, NULL, &err);
	if (getenv("CAISSON_TEST_SHOW") != NULL)
		print_message("# %s: %d %s\n", size, r, r < 0 ? err.message : "fits");
	if (r == 0)
		return FITS;
	if (r != -ENOSPC || err.message[0] == '\0')
		return 2;
	if (volume_list(&house.state, &names, &err) < 0 || names.count != 0 ||
		key_service_list(house.keys, &names, &err) < 0 || names.count != 0)
		return 3;
	if (volume_destroy(&house.state, house.keys, "data", &done, &err) < 0)
		return 4;
	return count_entries(&house) == 0 ? 0 : 5;
}

static void test_full_disk(void **state)
{
	int status = 0, failed = 0;

	/* From too small for nearly everything to just large enough: each step's turn to fail
	 * comes. */
	for (unsigned int size = 256; size <= 8192; size += 96) {
		_cleanup_free_ char *folder = path_join(*state, "small");
		_cleanup_free_ char *text = format_string("%uk", size);
		struct caisson_error err = {0};
		pid_t child;

		assert_ok(make_directories(folder, 0700, &err), &err);
		child = fork();
		if (child == 0)
			_exit(create_on_small(folder, text));
		assert_ok(process_wait(child, &status, &err), &err);
		if (status == NO_MOUNT) {
			print_message("# SKIP: no tmpfs can be mounted here\n");
			return;
		}
		if (status == FITS)
			break;
		if (status != 0)
			fail_msg("check %d failed on a disk of %u KiB", status, size);
		failed++;
	}
	assert_int_equal(status, FITS);
	assert_true(failed > 5);
}

/* A volume on a disk that has become full can still be destroyed. */
static int destroy_on_full(const char *folder)
{
	_cleanup_free_ char *filler = path_join(folder, "filler");
	struct caisson_error err = {0};
	struct caisson_volume_destroyed done;
	struct house house = {0};
	char block[4096] = {0};
	int fd;

	if (!mount_small(folder, "8m"))
		return NO_MOUNT;
	if (open_house(&house, folder, "state", &err) < 0 ||
		create_volume(&house.state, house.keys, "data", SMALL, NULL, &err) < 0)
		return 1;
	/* Room is left for the key service alone. */
	fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(fd, block, sizeof(block)) == sizeof(block))
		;
	if (ftruncate(fd, lseek(fd, 0, SEEK_CUR) - (256 << 10)) < 0)
		return 2;
	if (volume_destroy(&house.state, house.keys, "data", &done, &err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		return 3;
	}
	return done.key_removed && done.header_erased && done.files_removed ? 0 : 4;
}

static void test_destroy_on_full_disk(void **state)
{
	_cleanup_free_ char *folder = path_join(*state, "full");
	struct caisson_error err = {0};
	int status = 9;
	pid_t child;

	assert_ok(make_directories(folder, 0700, &err), &err);
	child = fork();
	if (child == 0)
		_exit(destroy_on_full(folder));
	assert_ok(process_wait(child, &status, &err), &err);
	if (status == NO_MOUNT)
		print_message("# SKIP: no tmpfs can be mounted here\n");
	else
		assert_int_equal(status, 0);
}

/* Things in the place of the container and the holder that were not put there by us. */
static void test_hostile_folder(void **state)
{
	_cleanup_(volume_info_done) struct volume_info info = {0};
	_cleanup_free_ char *path = NULL, *holder = NULL, *victim = NULL;
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	_cleanup_house_ struct house house = {0};
	struct caisson_error err = {0};
	struct caisson_volume_destroyed done;
	int fd = -1;

	make_house(&house, state, "hostile");
	victim = path_join(*state, "victim");
	path = container_path(&house, "data");
	holder = format_string("%s/volumes/data/holder", house.state.dir);
	assert_ok(create_volume(&house.state, house.keys, "data", SMALL, NULL, &err), &err);
	assert_ok(write_file_atomic(holder, "../../etc\x1b[2J", 13, 0600, &err), &err);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_ok(volume_inspect(&house.state, house.keys, "data", &info, &err), &err);
	assert_true(info.in_use);
	/* Shown as text, and never taken for a machine. */
	assert_string_equal(info.holder, "../../etc?[2J");
	assert_false(info.machine);
	volume_info_done(&info);
	close(fd);

	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_refused(
		volume_lock(&house.state, house.keys, "data", "web-1", &fd, &err), &err, EBADMSG);
	assert_ok(volume_inspect(&house.state, house.keys, "data", &info, &err), &err);
	assert_string_not_equal(info.header_error, "");
	unlink(path);
	assert_ok(write_file_atomic(victim, "precious", 8, 0600, &err), &err);
	assert_int_equal(symlink(victim, path), 0);
	assert_refused(
		volume_lock(&house.state, house.keys, "data", "web-1", &fd, &err), &err, ELOOP);
	/* Not erased through the link, and said; the rest is done all the same. */
	assert_true(volume_destroy(&house.state, house.keys, "data", &done, &err) < 0);
	assert_true(done.key_removed && !done.header_erased && done.files_removed);
	assert_ok(read_file(victim, 8, &text, &err), &err);
	assert_string_equal(text.data, "precious");
	assert_int_equal(count_entries(&house), 0);
}

static void test_ext4(void **state)
{
	static const struct {
		unsigned int at;
		uint8_t value;
	} unhealthy[] = {
		{0x3a, 0},    /* not unmounted cleanly */
		{0x3a, 3},    /* errors seen */
		{0x60, 0x46}, /* the journal wants a replay */
		{0x20, 0xff}, /* the checksum is wrong */
	};
	_cleanup_free_ char *path = path_join(*state, "ext4");
	const char *const make_it[] = {
		"mke2fs", "-q", "-F", "-t", "ext4", "-O", "metadata_csum", path, "16M", NULL};
	const char *const count_it[] = {"tune2fs", "-c", "5", "-C", "5", path, NULL};
	uint8_t superblock[1024], changed[1024];
	struct caisson_error err = {0};
	bool check = true;
	int fd;

	assert_ok(process_run(make_it, NULL, NULL, &err), &err);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_ok(pread_all(fd, superblock, 1024, 1024, path, &err), &err);
	assert_ok(ext4_needs_check(superblock, 1024, &check, &err), &err);
	assert_false(check);
	for (size_t i = 0; i < ARRAY_SIZE(unhealthy); i++) {
		memcpy(changed, superblock, sizeof(changed));
		changed[unhealthy[i].at] = unhealthy[i].value;
		check = false;
		assert_ok(ext4_needs_check(changed, 1024, &check, &err), &err);
		assert_true(check);
	}
	assert_ok(process_run(count_it, NULL, NULL, &err), &err);
	assert_ok(pread_all(fd, superblock, 1024, 1024, path, &err), &err);
	check = false;
	assert_ok(ext4_needs_check(superblock, 1024, &check, &err), &err);
	assert_true(check);
	close(fd);

	assert_refused(ext4_needs_check(superblock, 1023, &check, &err), &err, EINVAL);
	superblock[0x38] ^= 1;
	assert_refused(ext4_needs_check(superblock, 1024, &check, &err), &err, EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_size),
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_create_refuses),
		cmocka_unit_test(test_filesystem),
		cmocka_unit_test(test_lock),
		cmocka_unit_test(test_lock_goes_with_its_holder),
		cmocka_unit_test(test_destroy),
		cmocka_unit_test(test_key_without_folder),
		cmocka_unit_test(test_pending_key),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_concurrent_creates),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_destroy_on_full_disk),
		cmocka_unit_test(test_hostile_folder),
		cmocka_unit_test(test_ext4),
	};

	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
