/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Users and groups from the image's own files, read by us: the image may have no libc, and ours
   would look in the wrong root. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "guest/guest.h"

#define GROUPS_MOST 1024

/* One line of a colon-separated file; fields point into the text and are not terminated. */
struct record {
	const char *fields[7];
	size_t lengths[7];
	size_t count;
};

struct cursor {
	const char *at, *end;
};

static bool next_record(struct cursor *cursor, struct record *record)
{
	const char *line = cursor->at, *stop;

	if (line >= cursor->end)
		return false;
	stop = memchr(line, '\n', (size_t)(cursor->end - line));
	if (stop == NULL)
		stop = cursor->end;
	cursor->at = stop + 1;

	record->count = 0;
	while (record->count < ARRAY_SIZE(record->fields)) {
		const char *colon = memchr(line, ':', (size_t)(stop - line));
		size_t length = (size_t)((colon != NULL ? colon : stop) - line);

		record->fields[record->count] = line;
		record->lengths[record->count++] = length;
		if (colon == NULL)
			break;
		line = colon + 1;
	}
	return true;
}

static bool field_is(const struct record *record, size_t field, const char *text)
{
	return record->count > field && record->lengths[field] == strlen(text) &&
	       memcmp(record->fields[field], text, record->lengths[field]) == 0;
}

/* A number below 2^32 - 1 (that one means "no change" to the kernel). */
static bool parse_id(const char *text, size_t length, uint32_t *ret_id)
{
	uint64_t id = 0;

	if (length == 0 || length > 10)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		id = id * 10 + (uint64_t)(text[i] - '0');
	}
	if (id >= UINT32_MAX)
		return false;
	*ret_id = (uint32_t)id;
	return true;
}

static bool field_id(const struct record *record, size_t field, uint32_t *ret_id)
{
	return record->count > field &&
	       parse_id(record->fields[field], record->lengths[field], ret_id);
}

/* passwd(5): name:password:UID:GID:comment:home:shell */
static int find_user(const char *user, const char *passwd, size_t size, struct account *account,
	struct caisson_error *err)
{
	struct cursor cursor = {passwd, passwd + size};
	struct record record;
	uint32_t number = 0, uid, gid;
	bool numeric = parse_id(user, strlen(user), &number);

	while (next_record(&cursor, &record)) {
		if (!field_id(&record, 2, &uid) || !field_id(&record, 3, &gid))
			continue;
		if (!(numeric ? uid == number : field_is(&record, 0, user)))
			continue;
		account->uid = uid;
		account->gid = gid;
		account->name = strndup(record.fields[0], record.lengths[0]);
		if (record.count > 5 && record.lengths[5] > 0)
			account->home = strndup(record.fields[5], record.lengths[5]);
		return account->name != NULL ? 0 : caisson_fail(err, ENOMEM, "look up %s", user);
	}
	if (!numeric) {
		caisson_refuse(err, ENOENT, "the image has no user '%s'", user);
		return caisson_hint(err, "name one of its /etc/passwd, or a number: --user 1000");
	}
	account->uid = number;
	account->gid = 0;
	return 0;
}

/* group(5): name:password:GID:members */
static int find_group(
	const char *group, const char *text, size_t size, gid_t *ret_gid, struct caisson_error *err)
{
	struct cursor cursor = {text, text + size};
	struct record record;
	uint32_t gid;

	if (parse_id(group, strlen(group), &gid)) {
		*ret_gid = gid;
		return 0;
	}
	while (next_record(&cursor, &record)) {
		if (field_is(&record, 0, group) && field_id(&record, 2, &gid)) {
			*ret_gid = gid;
			return 0;
		}
	}
	return caisson_refuse(err, ENOENT, "the image has no group '%s'", group);
}

static bool is_member(const struct record *record, const char *name)
{
	const char *at, *end;
	size_t length = strlen(name);

	if (record->count < 4)
		return false;
	at = record->fields[3];
	end = at + record->lengths[3];
	while (at < end) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		size_t part = (size_t)((comma != NULL ? comma : end) - at);

		if (part == length && memcmp(at, name, length) == 0)
			return true;
		at += part + 1;
	}
	return false;
}

static int find_memberships(
	const char *text, size_t size, struct account *account, struct caisson_error *err)
{
	struct cursor cursor = {text, text + size};
	struct record record;
	uint32_t gid;

	account->groups = calloc(GROUPS_MOST, sizeof(*account->groups));
	if (account->groups == NULL)
		return caisson_fail(err, ENOMEM, "look up groups");
	account->groups[account->group_count++] = account->gid;
	while (account->name != NULL && next_record(&cursor, &record)) {
		if (account->group_count < GROUPS_MOST && field_id(&record, 2, &gid) &&
			gid != account->gid && is_member(&record, account->name))
			account->groups[account->group_count++] = gid;
	}
	return 0;
}

int account_resolve(const char *user, const char *passwd, size_t passwd_size, const char *group,
	size_t group_size, struct account *ret_account, struct caisson_error *err)
{
	_cleanup_account_ struct account account = {0};
	_cleanup_free_ char *name = strdup(user[0] != '\0' ? user : "0");
	char *wanted_group;
	int r;

	if (name == NULL)
		return caisson_fail(err, ENOMEM, "look up a user");
	wanted_group = strchr(name, ':');
	if (wanted_group != NULL)
		*wanted_group++ = '\0';
	r = find_user(name[0] != '\0' ? name : "0", passwd, passwd_size, &account, err);
	if (r == 0 && wanted_group != NULL && wanted_group[0] != '\0')
		r = find_group(wanted_group, group, group_size, &account.gid, err);
	if (r == 0)
		r = find_memberships(group, group_size, &account, err);
	if (r < 0)
		return r;
	if (account.home == NULL)
		account.home = strdup(account.uid == 0 ? "/root" : "/");
	if (account.home == NULL)
		return caisson_fail(err, ENOMEM, "look up a user");
	*ret_account = account;
	account = (struct account){0};
	return 0;
}

void account_done(struct account *account)
{
	free(account->groups);
	free(account->home);
	free(account->name);
	*account = (struct account){0};
}
