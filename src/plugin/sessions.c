/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plugin/sessions.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/path.h"

#define VERSION     1
#define RECORD_MOST (4u << 20)

void session_clear_users(struct session *session)
{
	for (size_t i = 0; i < session->user_count; i++)
		free(session->users[i].id);
	free(session->users);
	session->users = NULL;
	session->user_count = 0;
	session->mounted = false;
	session->mount = session->disk = 0;
}

void session_done(struct session *session)
{
	session_clear_users(session);
	json_putp(&session->options);
	*session = SESSION_NONE;
}

static int path_of(const char *state, const char *file, char **ret_path, struct caisson_error *err)
{
	_cleanup_free_ char *folder = path_join(state, "plugin");
	char *path;
	int r;

	if (folder == NULL)
		return caisson_fail(err, ENOMEM, "open the plug-in's folder");
	r = make_directories(folder, 0700, err);
	if (r < 0)
		return r;
	path = path_join(folder, file);
	if (path == NULL)
		return caisson_fail(err, ENOMEM, "open the plug-in's folder");
	*ret_path = path;
	return 0;
}

static int record_path(
	const char *state, const char *name, char **ret_path, struct caisson_error *err)
{
	_cleanup_free_ char *file = format_string("%s.json", name);

	return file != NULL ? path_of(state, file, ret_path, err)
			    : caisson_fail(err, ENOMEM, "open the record of %s", name);
}

/* The lock on a volume is one byte of one file that is never removed: FNV-1a of the name. Two names
   with the same one only wait for each other. */
static off_t lock_offset(const char *name)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (; *name != '\0'; name++)
		hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
	return (off_t)(hash >> 2);
}

int session_lock(const char *state, const char *name, int *ret_lock, struct caisson_error *err)
{
	_cleanup_free_ char *path = NULL;
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = lock_offset(name), .l_len = 1};
	uint64_t until = now_usec() + SESSION_LOCK_WAIT_S * 1000000ull;
	struct timespec pause = {.tv_nsec = 1000000};
	_cleanup_close_ int fd = -1;
	int r = path_of(state, "lock", &path, err);

	if (r < 0)
		return r;
	fd = open_file(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, err);
	if (fd < 0)
		return fd;
	while (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		if (errno != EAGAIN && errno != EACCES && errno != EINTR)
			return caisson_fail(err, errno, "lock the volume %s", name);
		if (now_usec() > until)
			return caisson_refuse(err, EBUSY,
				"another request has been at work on the volume %s for %d seconds",
				name, SESSION_LOCK_WAIT_S);
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < 50000000)
			pause.tv_nsec *= 2;
	}
	*ret_lock = take_fd(&fd);
	return 0;
}

static int copy_field(struct json_object *object, const char *field, char *to, size_t room,
	struct caisson_error *err)
{
	const char *text = "";
	int r = json_get_string(object, field, false, &text, err);

	if (r < 0)
		return r;
	if (strlen(text) >= room)
		return caisson_refuse(err, EINVAL, "the field '%s' is too long", field);
	memcpy(to, text, strlen(text) + 1);
	return 0;
}

static int add_user(
	struct session *session, const char *id, uint64_t count, struct caisson_error *err)
{
	struct session_user *users;

	if (session->user_count >= SESSION_USERS_MOST)
		return caisson_refuse(err, EBUSY, "%d containers use the volume: no more can",
			SESSION_USERS_MOST);
	users = reallocarray(session->users, session->user_count + 1, sizeof(*users));
	if (users == NULL)
		return caisson_fail(err, ENOMEM, "note a container");
	session->users = users;
	users[session->user_count].count = count;
	users[session->user_count].id = strdup(id);
	if (users[session->user_count].id == NULL)
		return caisson_fail(err, ENOMEM, "note a container");
	session->user_count++;
	return 0;
}

static int parse_users(
	struct session *session, struct json_object *object, struct caisson_error *err)
{
	struct json_object *users = NULL;
	int r = json_get_object(object, "users", false, &users, err);

	if (r < 0 || users == NULL)
		return r;
	json_object_object_foreach (users, id, value) {
		int64_t count = json_object_get_int64(value);

		if (!json_object_is_type(value, json_type_int) || count < 1 ||
			strlen(id) > SESSION_ID_MOST)
			return caisson_refuse(err, EINVAL, "a user is none");
		r = add_user(session, id, (uint64_t)count, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int session_parse(const char *text, size_t size, const char *what, struct session *ret_session,
	struct caisson_error *err)
{
	_cleanup_session_ struct session session = SESSION_NONE;
	_cleanup_json_ struct json_object *object = NULL;
	struct json_object *options = NULL;
	uint64_t version = 0;
	int r = json_parse(text, size, what, &object, err);

	if (r == 0)
		r = json_get_uint(object, "version", true, UINT32_MAX, &version, err);
	if (r == 0 && version != VERSION)
		r = caisson_refuse(err, EPROTO, "%s has another version", what);
	if (r == 0)
		r = copy_field(object, "uuid", session.uuid, sizeof(session.uuid), err);
	if (r == 0)
		r = copy_field(object, "boot", session.boot, sizeof(session.boot), err);
	if (r == 0)
		r = json_get_uint(object, "mount", false, INT64_MAX, &session.mount, err);
	if (r == 0)
		r = json_get_uint(object, "disk", false, INT64_MAX, &session.disk, err);
	if (r == 0)
		r = json_get_bool(object, "mounted", false, &session.mounted, err);
	if (r == 0)
		r = json_get_object(object, "options", false, &options, err);
	if (r == 0)
		r = parse_users(&session, object, err);
	if (r < 0)
		return r;
	session.options = json_object_get(options);
	*ret_session = session;
	session = SESSION_NONE;
	return 0;
}

int session_load(const char *state, const char *name, struct session *ret_session,
	const struct caisson_log *log, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	_cleanup_free_ char *path = NULL;
	struct caisson_error why = {0};
	int r = record_path(state, name, &path, err);

	if (r < 0)
		return r;
	*ret_session = SESSION_NONE;
	r = read_file(path, RECORD_MOST, &text, &why);
	if (r == -ENOENT)
		return 0;
	strbuf_add(&text, "", 0);
	if (r == 0 && strbuf_ok(&text))
		r = session_parse(text.data, text.size, path, ret_session, &why);
	if (r < 0)
		log_warning(log, "what the plug-in knew of %s is lost: %s", name, why.message);
	return 0;
}

static struct json_object *users_of(const struct session *session)
{
	_cleanup_json_ struct json_object *users = json_object_new_object();

	for (size_t i = 0; users != NULL && i < session->user_count; i++) {
		if (!json_set_uint(users, session->users[i].id, session->users[i].count))
			return NULL;
	}
	return take_ptr(users);
}

int session_save(const char *state, const char *name, const struct session *session,
	struct caisson_error *err)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	_cleanup_free_ char *path = NULL;
	int r = record_path(state, name, &path, err);
	const char *text;

	if (r < 0)
		return r;
	if (object == NULL || !json_set_uint(object, "version", VERSION) ||
		!json_set_string(object, "uuid", session->uuid) ||
		!json_set_string(object, "boot", session->boot) ||
		!json_set_uint(object, "mount", session->mount) ||
		!json_set_uint(object, "disk", session->disk) ||
		!json_set_bool(object, "mounted", session->mounted) ||
		!json_set(object, "users", users_of(session)) ||
		(session->options != NULL &&
			!json_set(object, "options", json_object_get(session->options))))
		return caisson_fail(err, ENOMEM, "write %s", path);
	text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);
	if (text == NULL)
		return caisson_fail(err, ENOMEM, "write %s", path);
	return write_file_atomic(path, text, strlen(text), 0600, err);
}

int session_forget(const char *state, const char *name, struct caisson_error *err)
{
	_cleanup_free_ char *path = NULL;
	int r = record_path(state, name, &path, err);

	if (r < 0)
		return r;
	if (unlink(path) < 0 && errno != ENOENT)
		return caisson_fail(err, errno, "remove %s", path);
	return 0;
}

/* Of this start of the host. */
static int read_boot(char boot[40], struct caisson_error *err)
{
	static const char path[] = "/proc/sys/kernel/random/boot_id";
	_cleanup_close_ int fd = open_file(path, O_RDONLY, 0, err);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = read(fd, boot, 39);
	if (n < 0)
		return caisson_fail(err, errno, "read %s", path);
	boot[n] = '\0';
	boot[strcspn(boot, "\n")] = '\0';
	return 0;
}

/* Since Linux 6.8, and not in every libc's header: an ID that no other mount ever gets. */
#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x4000u
#endif

/* 0 when it cannot be told. Nothing is asked of the filesystem itself, which may be served by a
   process that is stuck. */
static uint64_t mount_id(const char *mount_point)
{
	const unsigned int either = STATX_MNT_ID | STATX_MNT_ID_UNIQUE;
	struct statx found;

	if (mount_point[0] == '\0' ||
		statx(AT_FDCWD, mount_point, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, either, &found) <
			0 ||
		(found.stx_mask & either) == 0)
		return 0;
	return found.stx_mnt_id;
}

/* Older kernels give a mount the ID of one that has gone; a disk that is there again has another
   number (since Linux 5.15). */
static uint64_t disk_sequence(const char *device)
{
	_cleanup_fclose_ FILE *file = NULL;
	unsigned long long number;
	char path[64];
	struct stat st;

	if (device[0] == '\0' || stat(device, &st) < 0 || !S_ISBLK(st.st_mode))
		return 0;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/diskseq", major(st.st_rdev),
		minor(st.st_rdev));
	file = fopen(path, "re");
	return file != NULL && fscanf(file, "%llu", &number) == 1 ? number : 0;
}

/* What is not known contradicts nothing. */
static bool contradict(uint64_t noted, uint64_t found)
{
	return noted != 0 && found != 0 && noted != found;
}

int session_settle(struct session *session, const char *uuid,
	const struct caisson_volume_opened *opened, struct caisson_error *err)
{
	char boot[40];
	int r = read_boot(boot, err);

	if (r < 0)
		return r;
	if (strcmp(session->uuid, uuid) != 0) {
		session_done(session);
		snprintf(session->uuid, sizeof(session->uuid), "%s", uuid);
	}
	if (strcmp(session->boot, boot) != 0 || opened->mount_point[0] == '\0' ||
		contradict(session->mount, mount_id(opened->mount_point)) ||
		contradict(session->disk, disk_sequence(opened->device)))
		session_clear_users(session);
	memcpy(session->boot, boot, sizeof(boot));
	return 0;
}

void session_note_mount(struct session *session, const struct caisson_volume_opened *opened)
{
	session->mount = mount_id(opened->mount_point);
	session->disk = disk_sequence(opened->device);
}

static struct session_user *find_user(struct session *session, const char *id)
{
	for (size_t i = 0; i < session->user_count; i++) {
		if (strcmp(session->users[i].id, id) == 0)
			return &session->users[i];
	}
	return NULL;
}

int session_add(struct session *session, const char *id, struct caisson_error *err)
{
	struct session_user *user = find_user(session, id);

	if (user == NULL)
		return add_user(session, id, 1, err);
	user->count++;
	return 0;
}

bool session_drop(struct session *session, const char *id)
{
	struct session_user *user = find_user(session, id);

	if (user == NULL)
		return false;
	if (--user->count > 0)
		return true;
	free(user->id);
	*user = session->users[--session->user_count];
	return true;
}
