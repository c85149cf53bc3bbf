/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plugin/driver.h"

#include <caisson/volume.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/log.h"
#include "plugin/names.h"
#include "plugin/sessions.h"
#include "plugin/wishes.h"

static inline void caisson_closep(struct caisson **caisson)
{
	caisson_close(*caisson);
}

/* One call: what it is about, and what was looked up for it. */
struct call {
	const struct driver *driver;
	struct json_object *request; /* an object */
	struct json_object *answer;  /* an object; fields are added to it */
	char name[NAME_HERE_MOST];
	const char *given; /* the name as the engine knows it */
	struct caisson *caisson;
	int lock;
	bool exists;
	struct caisson_volume volume;
	struct caisson_volume_opened opened;
	bool is_open;
	struct session session;
};

static void call_done(struct call *call)
{
	session_done(&call->session);
	caisson_closep(&call->caisson);
	/* Last: whoever waits for it finds everything done. */
	closep(&call->lock);
	json_putp(&call->request);
	json_putp(&call->answer);
}

static int out_of_memory(struct caisson_error *err)
{
	return caisson_fail(err, ENOMEM, "answer");
}

static int look(struct call *call, struct caisson_error *err)
{
	int r = caisson_volume_inspect(call->caisson, call->name, &call->volume, err);

	call->exists = r == 0;
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = caisson_volume_opened(call->caisson, call->name, &call->opened, err);
	if (r < 0)
		return r;
	call->is_open = r > 0;
	if (!call->is_open)
		call->opened = (struct caisson_volume_opened){.mount_point = ""};
	r = session_load(call->driver->state, call->name, &call->session, call->driver->log, err);
	if (r == 0)
		r = session_settle(&call->session, call->volume.uuid, &call->opened, err);
	return r;
}

static int open_context(struct call *call, struct caisson_error *err)
{
	const struct driver *driver = call->driver;

	return caisson_open(&call->caisson, driver->state, driver->config, driver->log, err);
}

/* For calls that change something: nobody else does anything to the volume until call_done(). */
static int begin(struct call *call, struct caisson_error *err)
{
	int r = session_lock(call->driver->state, call->name, &call->lock, err);

	if (r == 0)
		r = open_context(call, err);
	return r == 0 ? look(call, err) : r;
}

/* For calls that only tell. */
static int begin_reading(struct call *call, struct caisson_error *err)
{
	int r = open_context(call, err);

	return r == 0 ? look(call, err) : r;
}

static int missing(const struct call *call, struct caisson_error *err)
{
	return caisson_refuse(err, ENOENT, "there is no volume %s", call->given);
}

static int save(struct call *call, struct caisson_error *err)
{
	return session_save(call->driver->state, call->name, &call->session, err);
}

/* What is done is done: that it could not be noted is no reason to say that it was not. */
static void save_or_warn(struct call *call)
{
	struct caisson_error err = {0};

	if (save(call, &err) < 0)
		log_warning(call->driver->log, "%s", err.message);
}

/* Calls */

static int activate(struct call *call, struct caisson_error *err)
{
	_cleanup_strv_ struct strv kinds = STRV_INIT;

	strv_add(&kinds, "VolumeDriver");
	if (!strv_ok(&kinds) || !json_set_strings(call->answer, "Implements", &kinds))
		return out_of_memory(err);
	return 0;
}

/* The volumes are on this host alone. */
static int capabilities(struct call *call, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	if (object == NULL || !json_set_string(object, "Scope", "local") ||
		!json_set(call->answer, "Capabilities", take_ptr(object)))
		return out_of_memory(err);
	return 0;
}

static int keep_options(struct call *call, struct json_object *given, struct caisson_error *err)
{
	struct session *session = &call->session;
	int r = caisson_volume_inspect(call->caisson, call->name, &call->volume, err);

	if (r < 0)
		return r;
	session_done(session);
	snprintf(session->uuid, sizeof(session->uuid), "%s", call->volume.uuid);
	session->options = given != NULL ? json_object_get(given) : json_object_new_object();
	return session->options != NULL ? save(call, err) : out_of_memory(err);
}

static int create(struct call *call, struct caisson_error *err)
{
	struct caisson_volume_create_options options;
	struct json_object *given = NULL;
	struct caisson_error why = {0};
	int r = json_get_object(call->request, "Opts", false, &given, err);

	if (r == 0 && given != NULL && json_object_object_length(given) > SESSION_OPTIONS_MOST)
		r = caisson_refuse(err, EINVAL, "there are too many options");
	if (r == 0)
		r = wishes_read(given, call->driver->default_size, &options, err);
	if (r == 0)
		r = begin(call, err);
	if (r < 0)
		return r;
	if (call->exists)
		return wishes_agree(given, call->session.options, &call->volume, err);
	r = caisson_volume_create(call->caisson, call->name, &options, err);
	if (r < 0)
		return r;
	/* Without it the volume is as one that the command line made. */
	if (keep_options(call, given, &why) < 0)
		log_warning(call->driver->log, "%s", why.message);
	return 0;
}

static int refuse_open(const struct call *call, struct caisson_error *err)
{
	const char *where = call->opened.mount_point;

	caisson_refuse(err, EBUSY, "the volume %s is %s%s on this host, and not by a container",
		call->given, where[0] != '\0' ? "mounted at " : "open", where);
	return caisson_hint(
		err, "caisson volume %s %s", where[0] != '\0' ? "unmount" : "close", call->name);
}

static int remove_volume(struct call *call, struct caisson_error *err)
{
	struct session *session = &call->session;
	int r = begin(call, err);

	if (r < 0)
		return r;
	if (session->user_count > 0)
		return caisson_refuse(err, EBUSY,
			"the volume %s is in use by %zu mount%s, of %.12s%s", call->given,
			session->user_count, session->user_count == 1 ? "" : "s",
			session->users[0].id, session->user_count == 1 ? "" : " and others");
	if (call->is_open && !session->mounted)
		return refuse_open(call, err);
	/* Its last user went while something else had files open in it. */
	if (call->is_open)
		r = caisson_volume_unmount(call->caisson, call->name, false, err);
	/* Also of a volume that is not there: what a killed command left of it goes. */
	if (r == 0)
		r = caisson_volume_destroy(call->caisson, call->name, NULL, err);
	if (r < 0)
		return r;
	if (r > 0)
		log_note(call->driver->log, "the volume %s is destroyed", call->name);
	return session_forget(call->driver->state, call->name, err);
}

static int read_id(const struct call *call, const char **ret_id, struct caisson_error *err)
{
	int r;

	*ret_id = "";
	r = json_get_string(call->request, "ID", false, ret_id, err);
	if (r == 0 && strlen(*ret_id) > SESSION_ID_MOST)
		r = caisson_refuse(
			err, EINVAL, "the ID has more than %d characters", SESSION_ID_MOST);
	return r;
}

static int set_mount_point(struct call *call, struct caisson_error *err)
{
	return json_set_string(call->answer, "Mountpoint", call->opened.mount_point)
		       ? 0
		       : out_of_memory(err);
}

/*
 * The user is noted before the volume is mounted, and the mount afterwards: a service that is
 * killed in between leaves a user of a volume that is not mounted, who is forgotten, or of one that
 * is, who can give it back.
 */
static int mount_for(struct call *call, const char *id, struct caisson_error *err)
{
	const struct caisson_volume_open_options options = {.key = CAISSON_VOLUME_KEY_SERVICE};
	struct session *session = &call->session;
	int r;

	/* Who else has mounted it unmounts it. */
	if (session->user_count == 0 && !session->mounted)
		session->mounted = call->opened.mount_point[0] == '\0';
	r = session_add(session, id, err);
	if (r == 0)
		r = save(call, err);
	if (r < 0)
		return r;
	r = caisson_volume_mount(call->caisson, call->name, &options, &call->opened, err);
	if (r < 0) {
		(void)session_drop(session, id);
		save_or_warn(call);
		return r;
	}
	session_note_mount(session, &call->opened);
	save_or_warn(call);
	return 0;
}

static int mount_volume(struct call *call, struct caisson_error *err)
{
	const char *id;
	int r = read_id(call, &id, err);

	if (r == 0)
		r = begin(call, err);
	if (r < 0)
		return r;
	if (!call->exists)
		return missing(call, err);
	r = mount_for(call, id, err);
	if (r < 0)
		return r;
	log_note(call->driver->log, "the volume %s is mounted for %.12s%s%s", call->name, id,
		call->opened.why[0] != '\0' ? ", in user space: " : "", call->opened.why);
	return set_mount_point(call, err);
}

/*
 * The user is gone, whether its volume can be unmounted or not: engines do not ask again. What
 * could not be is tried again by a request for an unknown user, and when the volume is removed.
 */
static int unmount_volume(struct call *call, struct caisson_error *err)
{
	struct session *session = &call->session;
	const char *id;
	bool dropped, last;
	int r = read_id(call, &id, err);

	if (r == 0)
		r = begin(call, err);
	if (r < 0 || !call->exists)
		return r;
	dropped = session_drop(session, id);
	last = session->user_count == 0 && session->mounted;
	if (last)
		r = caisson_volume_unmount(call->caisson, call->name, false, err);
	if (last && r == 0)
		session_clear_users(session);
	if (dropped || last)
		save_or_warn(call);
	if (dropped && r == 0)
		log_note(call->driver->log, "the volume %s is given back by %.12s", call->name, id);
	return r;
}

static int path(struct call *call, struct caisson_error *err)
{
	int r = begin_reading(call, err);

	if (r < 0)
		return r;
	return call->exists ? set_mount_point(call, err) : missing(call, err);
}

static bool describe_open(const struct call *call, struct json_object *status)
{
	const struct caisson_volume_opened *opened = &call->opened;

	if (!call->is_open)
		return true;
	return json_set_string(status, "way",
		       opened->way == CAISSON_VOLUME_KERNEL ? "kernel" : "userspace") &&
	       (opened->why[0] == '\0' || json_set_string(status, "why", opened->why)) &&
	       (opened->device[0] == '\0' || json_set_string(status, "device", opened->device));
}

static struct json_object *status_of(const struct call *call)
{
	_cleanup_json_ struct json_object *status = json_object_new_object();
	const struct caisson_volume *volume = &call->volume;

	if (status == NULL || !json_set_string(status, "name", volume->name) ||
		!json_set_string(status, "container", volume->path) ||
		!json_set_uint(status, "size", volume->size) ||
		!json_set_uint(status, "allocated", volume->allocated) ||
		!json_set_string(status, "filesystem", volume->filesystem) ||
		!json_set_string(status, "cipher", volume->cipher) ||
		!json_set_bool(status, "in_use", volume->in_use) ||
		!json_set_string(status, "holder", volume->holder) ||
		!json_set_uint(status, "users", call->session.user_count) ||
		!describe_open(call, status))
		return NULL;
	return take_ptr(status);
}

static bool set_created(struct json_object *object, uint64_t created)
{
	time_t seconds = (time_t)created;
	char text[32];
	struct tm tm;

	if (created == 0 || gmtime_r(&seconds, &tm) == NULL ||
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return true;
	return json_set_string(object, "CreatedAt", text);
}

static int get(struct call *call, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	int r = begin_reading(call, err);

	if (r < 0)
		return r;
	if (!call->exists)
		return missing(call, err);
	if (object == NULL || !json_set_string(object, "Name", call->given) ||
		!json_set_string(object, "Mountpoint", call->opened.mount_point) ||
		!set_created(object, call->volume.created) ||
		!json_set(object, "Status", status_of(call)) ||
		!json_set(call->answer, "Volume", take_ptr(object)))
		return out_of_memory(err);
	return 0;
}

static int collect(const struct caisson_volume *volume, void *userdata)
{
	struct strv *names = userdata;

	strv_add(names, volume->name);
	return strv_ok(names) ? 0 : -ENOMEM;
}

static int list_one(
	struct call *call, const char *here, struct json_object *array, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	struct caisson_volume_opened opened;
	char there[NAME_THERE_MOST];
	struct caisson_error why = {0};

	/* One that cannot be looked at must not hide the others. */
	if (caisson_volume_opened(call->caisson, here, &opened, &why) <= 0)
		opened.mount_point[0] = '\0';
	name_to_engine(here, there);
	if (object == NULL || !json_set_string(object, "Name", there) ||
		!json_set_string(object, "Mountpoint", opened.mount_point) ||
		!json_append(array, take_ptr(object)))
		return out_of_memory(err);
	return 0;
}

static int list(struct call *call, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *array = json_object_new_array();
	_cleanup_strv_ struct strv names = STRV_INIT;
	int r = array != NULL ? open_context(call, err) : out_of_memory(err);

	if (r == 0)
		r = caisson_volume_list(call->caisson, collect, &names, err);
	for (size_t i = 0; r == 0 && i < names.count; i++)
		r = list_one(call, names.items[i], array, err);
	if (r == 0 && !json_set(call->answer, "Volumes", take_ptr(array)))
		r = out_of_memory(err);
	return r;
}

static const struct operation {
	const char *path;
	bool named;   /* is about one volume */
	bool changes; /* something about it */
	int (*run)(struct call *call, struct caisson_error *err);
} operations[] = {
	{"/Plugin.Activate", false, false, activate},
	{"/VolumeDriver.Capabilities", false, false, capabilities},
	{"/VolumeDriver.Create", true, true, create},
	{"/VolumeDriver.Get", true, false, get},
	{"/VolumeDriver.List", false, false, list},
	{"/VolumeDriver.Mount", true, true, mount_volume},
	{"/VolumeDriver.Path", true, false, path},
	{"/VolumeDriver.Remove", true, true, remove_volume},
	{"/VolumeDriver.Unmount", true, true, unmount_volume},
};

static const struct operation *find_operation(const char *path_asked)
{
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
		if (strcmp(operations[i].path, path_asked) == 0)
			return &operations[i];
	}
	return NULL;
}

/* Calls that need nothing come without a body, or with "null". */
static int read_request(struct call *call, const struct operation *operation, const char *body,
	size_t size, struct caisson_error *err)
{
	int r;

	if (!operation->named)
		return 0;
	r = json_parse(body, size, "the request", &call->request, err);
	if (r == 0)
		r = json_get_string(call->request, "Name", true, &call->given, err);
	return r;
}

static int fill_answer(struct json_object *object, struct strbuf *answer, struct caisson_error *err)
{
	const char *text;

	if (!json_set_string(object, "Err", ""))
		return out_of_memory(err);
	text = json_object_to_json_string_ext(
		object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	if (text == NULL)
		return out_of_memory(err);
	strbuf_add_string(answer, text);
	strbuf_add_char(answer, '\n');
	return strbuf_ok(answer) ? 0 : out_of_memory(err);
}

void driver_refusal(const char *sentence, struct strbuf *answer)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	const char *text = NULL;

	if (object != NULL && json_set_string(object, "Err", sentence))
		text = json_object_to_json_string_ext(
			object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	strbuf_clear(answer);
	strbuf_add_string(answer, text != NULL ? text : "{\"Err\":\"memory has run out\"}");
	strbuf_add_char(answer, '\n');
}

static unsigned int refuse(
	unsigned int status, const struct caisson_error *err, struct strbuf *answer)
{
	char text[CAISSON_ERROR_MESSAGE_MAX + CAISSON_ERROR_HINT_MAX + 4];

	snprintf(text, sizeof(text), err->hint[0] != '\0' ? "%s (%s)" : "%s%s", err->message,
		err->hint);
	driver_refusal(text, answer);
	return status;
}

unsigned int driver_answer(const struct driver *driver, const char *path_asked, const char *body,
	size_t size, struct strbuf *answer)
{
	_cleanup_(call_done) struct call call = {
		.driver = driver, .lock = -1, .session = SESSION_NONE};
	const struct operation *operation = find_operation(path_asked);
	struct caisson_error err = {0};
	int r;

	if (operation == NULL) {
		caisson_refuse(&err, ENOSYS, "there is no call '%.64s'", path_asked);
		return refuse(404, &err, answer);
	}
	if (read_request(&call, operation, body, size, &err) < 0)
		return refuse(400, &err, answer);
	call.answer = json_object_new_object();
	r = call.answer != NULL ? 0 : out_of_memory(&err);
	if (r == 0 && operation->named)
		r = name_from_engine(call.given, call.name, &err);
	if (r == 0)
		r = operation->run(&call, &err);
	if (r >= 0)
		r = fill_answer(call.answer, answer, &err);
	if (r >= 0)
		return 200;
	/* Engines look whether a volume is there before they make it. */
	if (operation->changes)
		log_note(driver->log, "%s of %.64s: %s", operation->path, call.given, err.message);
	return refuse(500, &err, answer);
}
