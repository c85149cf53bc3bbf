/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/hex.h"
#include "base/io.h"
#include "base/json.h"
#include "base/path.h"
#include "base/staging.h"
#include "machine/machine.h"

#define MACHINES "machines"
/* Written when a machine has ended; without it, an unlocked folder is that of a killed one. */
#define END_FILE "end.json"
/* Ended machines whose consoles stay to be looked at. */
#define KEEP_ENDED 16

/* Locks the folder that is called @path now: between the opening and the lock another process may
   have put a new machine's in its place. */
static bool take_lock(const char *path, int *ret_lock)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat by_fd, by_path;

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return false;
	if (fstat(fd, &by_fd) < 0 || lstat(path, &by_path) < 0 || by_fd.st_ino != by_path.st_ino ||
		by_fd.st_dev != by_path.st_dev)
		return false;
	*ret_lock = take_fd(&fd);
	return true;
}

static bool has_ended(const char *path, struct stat *ret_st)
{
	_cleanup_free_ char *end = path_join(path, END_FILE);

	return end != NULL && stat(end, ret_st) == 0;
}

/* Each as "TIME-OF-ITS-END/PATH", so that sorting them by bytes sorts them by age. */
static void list_ended(const char *machines, struct strv *ended)
{
	_cleanup_closedir_ DIR *folder = opendir(machines);
	struct dirent *entry;

	if (folder == NULL)
		return;
	while ((entry = readdir(folder)) != NULL) {
		_cleanup_free_ char *path = NULL;
		_cleanup_close_ int lock = -1;
		struct stat st;

		if (entry->d_name[0] == '.')
			continue;
		path = path_join(machines, entry->d_name);
		if (path == NULL || !take_lock(path, &lock))
			continue;
		if (has_ended(path, &st))
			strv_add_format(ended, "%020lld.%09ld/%s", (long long)st.st_mtim.tv_sec,
				st.st_mtim.tv_nsec, path);
		else
			(void)remove_tree(path, NULL);
	}
}

/* An ended machine gives its name to the next one that wants it. */
static void clear_ended(const char *path)
{
	_cleanup_close_ int lock = -1;
	struct stat st;

	if (take_lock(path, &lock) && has_ended(path, &st))
		(void)remove_tree(path, NULL);
}

void machine_sweep(const struct state *state)
{
	_cleanup_free_ char *machines = NULL;
	_cleanup_strv_ struct strv ended = STRV_INIT;

	if (state_folder(state, MACHINES, &machines, NULL) < 0)
		return;
	list_ended(machines, &ended);
	if (!strv_ok(&ended) || ended.count <= KEEP_ENDED)
		return;
	strv_sort(&ended);
	for (size_t i = 0; i < ended.count - KEEP_ENDED; i++)
		clear_ended(strchr(ended.items[i], '/'));
}

static int fresh_name(const char *prefix, char ret_name[static 64])
{
	uint8_t random[3];
	char hex[7];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return -EIO;
	hex_encode(random, sizeof(random), hex);
	snprintf(ret_name, 64, "%.56s-%s", prefix, hex);
	return 0;
}

static int name_taken(const struct machine_folder *folder, struct caisson_error *err)
{
	caisson_refuse(err, EEXIST, "a machine called '%s' is running", folder->name);
	return caisson_hint(err, "choose another --name, or stop that machine");
}

/* The folder comes under its name with its lock held, so that no sweeper can take it for that of a
   killed machine. */
static int make_folder(
	struct machine_folder *folder, const char *machines, struct caisson_error *err)
{
	_cleanup_staging_ struct staging staging = STAGING_NONE;
	const struct timespec moment = {.tv_nsec = 1000 * 1000};
	struct stat st;
	int r = staging_directory(&staging, machines, err);

	for (int attempt = 0; r == 0 && attempt < 1000; attempt++) {
		clear_ended(folder->path);
		if (renameat2(AT_FDCWD, staging.path, AT_FDCWD, folder->path, RENAME_NOREPLACE) ==
			0) {
			free(take_ptr(staging.path));
			folder->lock = take_fd(&staging.fd);
			return 0;
		}
		if (errno != EEXIST)
			return caisson_fail(err, errno, "create the folder %s", folder->path);
		/* One that has ended is locked for a moment by whoever looks at it. */
		if (!has_ended(folder->path, &st))
			return name_taken(folder, err);
		(void)nanosleep(&moment, NULL);
	}
	return r < 0 ? r : name_taken(folder, err);
}

int machine_folder_new(const struct state *state, const char *name, const char *prefix,
	struct machine_folder *ret_folder, struct caisson_error *err)
{
	_cleanup_machine_folder_ struct machine_folder folder = MACHINE_FOLDER_NONE;
	_cleanup_free_ char *machines = NULL;
	char fresh[64];
	int r = state_folder(state, MACHINES, &machines, err);

	if (r < 0)
		return r;
	if (name == NULL) {
		if (fresh_name(prefix, fresh) < 0)
			return caisson_fail(err, EIO, "make up a name");
		name = fresh;
	}
	r = name_check("machine", name, err);
	if (r < 0)
		return r;
	folder.name = strdup(name);
	folder.path = path_join(machines, name);
	if (folder.name == NULL || folder.path == NULL)
		return caisson_fail(err, ENOMEM, "make a machine");
	r = make_folder(&folder, machines, err);
	if (r < 0)
		return r;
	*ret_folder = folder;
	folder = MACHINE_FOLDER_NONE;
	return 0;
}

/* Without a sync: what a power cut takes away is the record of a machine that it would have killed.
 */
static int write_end(const char *path, const char *text, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0600, err);

	return fd < 0 ? fd : write_all(fd, text, strlen(text), path, err);
}

int machine_folder_end(
	struct machine_folder *folder, int status, bool remove, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *object = NULL;
	_cleanup_free_ char *path = NULL;
	const char *text;

	if (remove)
		return remove_tree(folder->path, err);
	object = json_object_new_object();
	path = path_join(folder->path, END_FILE);
	if (object == NULL || path == NULL || !json_set_uint(object, "status", (uint64_t)status) ||
		!json_set_uint(object, "time", (uint64_t)time(NULL)))
		return caisson_fail(err, ENOMEM, "record the end of %s", folder->name);
	text = json_object_to_json_string(object);
	if (text == NULL)
		return caisson_fail(err, ENOMEM, "record the end of %s", folder->name);
	return write_end(path, text, err);
}

void machine_folder_done(struct machine_folder *folder)
{
	closep(&folder->lock);
	free(folder->path);
	free(folder->name);
	*folder = MACHINE_FOLDER_NONE;
}
