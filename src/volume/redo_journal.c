/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume/redo_journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/path.h"
#include "volume/redo.h"

#define DIGEST_SIZE 32
#define CHUNK       (1u << 20)

/* At the front of the file, in a block of its own; numbers are the machine's, which wrote it. */
struct head {
	char magic[8];
	uint32_t version, block_size;
	uint64_t count;
	uint64_t size; /* of the container when all is done */
	uint64_t secret;
	uint8_t digest[DIGEST_SIZE]; /* BLAKE2b-256 of the file with zeros here */
};

static const char magic[8] = "caisredo";

static uint64_t slot_offset(uint64_t slot)
{
	return (slot + 1) * REDO_BLOCK;
}

int redo_journal_read(
	int fd, uint32_t slot, size_t within, void *data, size_t size, struct caisson_error *err)
{
	return pread_all(fd, data, size, slot_offset(slot) + within, "the journal", err);
}

int redo_journal_write(
	int fd, uint32_t slot, const uint8_t block[REDO_BLOCK], struct caisson_error *err)
{
	return pwrite_all(fd, block, REDO_BLOCK, slot_offset(slot), "the journal", err);
}

static int digest_file(int fd, const struct head *head, uint64_t length,
	uint8_t digest[DIGEST_SIZE], struct caisson_error *err)
{
	_cleanup_free_ uint8_t *buffer = malloc(CHUNK);
	struct head plain = *head;
	crypto_generichash_state state;
	int r = 0;

	if (buffer == NULL)
		return caisson_fail(err, ENOMEM, "check the journal");
	memset(plain.digest, 0, sizeof(plain.digest));
	crypto_generichash_init(&state, NULL, 0, DIGEST_SIZE);
	crypto_generichash_update(&state, (const uint8_t *)&plain, sizeof(plain));
	for (uint64_t at = REDO_BLOCK; r == 0 && at < length; at += CHUNK) {
		size_t size = MIN(length - at, (uint64_t)CHUNK);

		r = pread_all(fd, buffer, size, at, "the journal", err);
		if (r == 0)
			crypto_generichash_update(&state, buffer, size);
	}
	crypto_generichash_final(&state, digest, DIGEST_SIZE);
	return r;
}

static uint64_t journal_length(uint64_t count)
{
	return slot_offset(count) + count * sizeof(uint64_t);
}

/* Nothing that is taken for a journal: it says only what is to become of the bytes behind it. */
int redo_journal_mark_secret(int fd, struct caisson_error *err)
{
	struct head head = {.secret = true};

	memcpy(head.magic, magic, sizeof(magic));
	return pwrite_all(fd, &head, sizeof(head), 0, "the journal", err);
}

int redo_journal_seal(int fd, const uint64_t *slots, uint32_t count, uint64_t size, bool secret,
	struct caisson_error *err)
{
	struct head head = {.version = 1,
		.block_size = REDO_BLOCK,
		.count = count,
		.size = size,
		.secret = secret};
	uint8_t block[REDO_BLOCK] = {0};
	int r = pwrite_all(
		fd, slots, count * sizeof(*slots), slot_offset(count), "the journal", err);

	memcpy(head.magic, magic, sizeof(magic));
	if (r == 0)
		r = digest_file(fd, &head, journal_length(count), head.digest, err);
	if (r < 0)
		return r;
	memcpy(block, &head, sizeof(head));
	return pwrite_all(fd, block, sizeof(block), 0, "the journal", err);
}

static int load(int fd, struct head *head, uint64_t **ret_slots, struct caisson_error *err)
{
	_cleanup_free_ uint64_t *slots = NULL;
	uint8_t digest[DIGEST_SIZE];
	struct stat st;
	int r = pread_all(fd, head, sizeof(*head), 0, "the journal", err);

	if (r == 0 && fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat the journal");
	if (r < 0)
		return r;
	if (memcmp(head->magic, magic, sizeof(magic)) != 0 || head->version != 1 ||
		head->block_size != REDO_BLOCK || head->count > REDO_COUNT_MOST ||
		(uint64_t)st.st_size != journal_length(head->count))
		return caisson_refuse(err, EBADMSG, "it is no journal of this version");
	r = digest_file(fd, head, (uint64_t)st.st_size, digest, err);
	if (r == 0 && memcmp(digest, head->digest, sizeof(digest)) != 0)
		return caisson_refuse(err, EBADMSG, "its digest is wrong");
	if (r < 0)
		return r;
	slots = calloc(head->count + 1, sizeof(*slots));
	if (slots == NULL)
		return caisson_fail(err, ENOMEM, "read the journal");
	r = pread_all(fd, slots, head->count * sizeof(*slots), slot_offset(head->count),
		"the journal", err);
	if (r == 0)
		*ret_slots = take_ptr(slots);
	return r;
}

static int set_size(int container, uint64_t size, bool larger, struct caisson_error *err)
{
	struct stat st;

	if (fstat(container, &st) < 0)
		return caisson_fail(err, errno, "stat the container");
	if (!S_ISREG(st.st_mode) ||
		(larger ? (uint64_t)st.st_size >= size : (uint64_t)st.st_size <= size))
		return 0;
	if (ftruncate(container, (off_t)size) < 0)
		return caisson_fail(err, errno, "resize the container");
	return 0;
}

static int copy_blocks(int fd, const struct head *head, const uint64_t *slots, int container,
	struct caisson_error *err)
{
	uint8_t block[REDO_BLOCK];
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < head->count; i++) {
		uint64_t offset, size = REDO_BLOCK;

		if (__builtin_mul_overflow(slots[i], (uint64_t)REDO_BLOCK, &offset))
			return caisson_refuse(err, EBADMSG, "it has an impossible block");
		if (offset >= head->size)
			continue; /* written, and then cut off */
		size = MIN(size, head->size - offset);
		r = pread_all(fd, block, size, slot_offset(i), "the journal", err);
		if (r == 0)
			r = pwrite_all(container, block, size, offset, "the container", err);
	}
	return r;
}

static int apply(int fd, const struct head *head, const uint64_t *slots, int container,
	struct caisson_error *err)
{
	int r = set_size(container, head->size, true, err);

	if (r == 0)
		r = copy_blocks(fd, head, slots, container, err);
	/* Cut off only what is no longer needed: after the rest is on the disk. */
	if (r == 0 && fsync(container) < 0)
		r = caisson_fail(err, errno, "sync the container");
	if (r == 0)
		r = set_size(container, head->size, false, err);
	if (r == 0 && fsync(container) < 0)
		r = caisson_fail(err, errno, "sync the container");
	return r;
}

int redo_journal_wipe(int fd, struct caisson_error *err)
{
	static const uint8_t zeros[REDO_BLOCK];
	struct stat st;
	int r = 0;

	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat the journal");
	for (uint64_t at = slot_offset(0); r == 0 && at < (uint64_t)st.st_size; at += REDO_BLOCK)
		r = pwrite_all(fd, zeros, sizeof(zeros), at, "the journal", err);
	if (r == 0 && fdatasync(fd) < 0)
		r = caisson_fail(err, errno, "sync the journal");
	return r;
}

static bool is_secret(int fd)
{
	struct head head;

	return pread_all(fd, &head, sizeof(head), 0, "the journal", NULL) == 0 &&
	       memcmp(head.magic, magic, sizeof(magic)) == 0 && head.secret != 0;
}

/* Wiped where it is a secret one, and deleted. What is locked is somebody's still. */
static void drop(int folder, const char *name)
{
	_cleanup_close_ int fd =
		openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
		flock(fd, LOCK_EX | LOCK_NB) < 0 || !is_secret(fd))
		return;
	if (redo_journal_wipe(fd, NULL) == 0)
		(void)unlinkat(folder, name, 0);
}

static void sweep(const char *folder, bool committed)
{
	_cleanup_closedir_ DIR *directory = opendir(folder);
	struct dirent *entry;

	while (directory != NULL && (entry = readdir(directory)) != NULL) {
		if (strncmp(entry->d_name, ".new-", 5) == 0 ||
			(committed && strcmp(entry->d_name, REDO_NAME) == 0))
			drop(dirfd(directory), entry->d_name);
	}
}

void redo_sweep(const char *folder)
{
	sweep(folder, false);
}

void redo_drop(const char *folder)
{
	sweep(folder, true);
}

/* A journal that came back after a power cut would undo what was written since. */
static int finish(const char *folder, const char *path, struct caisson_error *err)
{
	if (unlink(path) < 0 && errno != ENOENT)
		return caisson_fail(err, errno, "remove %s", path);
	return sync_directory(folder, err);
}

int redo_recover(const char *folder, int container, struct caisson_error *err)
{
	_cleanup_free_ char *path = path_join(folder, REDO_NAME);
	_cleanup_free_ uint64_t *slots = NULL;
	_cleanup_close_ int fd = -1;
	struct head head;
	int r;

	if (path == NULL)
		return caisson_fail(err, ENOMEM, "look for a journal");
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : caisson_fail(err, errno, "open %s", path);
	r = load(fd, &head, &slots, err);
	if (r == 0)
		r = apply(fd, &head, slots, container, err);
	if (r < 0)
		return caisson_wrap(err, "finish the change that %s describes", path);
	/* In its place now: out of the way before it is wiped, or half of it would be found. */
	if (head.secret) {
		_cleanup_free_ char *hidden = path_join(folder, ".new-redone");

		if (hidden == NULL || rename(path, hidden) < 0)
			return caisson_fail(err, errno, "remove %s", path);
		r = sync_directory(folder, err);
		if (r == 0)
			r = redo_journal_wipe(fd, err);
		if (r == 0)
			r = finish(folder, hidden, err);
		return r < 0 ? r : 1;
	}
	r = finish(folder, path, err);
	return r < 0 ? r : 1;
}

bool redo_waits(const char *folder)
{
	_cleanup_free_ char *path = path_join(folder, REDO_NAME);

	return path != NULL && access(path, F_OK) == 0;
}
