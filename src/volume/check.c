/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether a volume is as it should be. Nothing of it is changed: what a program writes while it
   looks goes to a journal that is thrown away. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "attach/e2fs.h"
#include "filesystem/probe.h"
#include "luks/header.h"
#include "volume/access.h"
#include "volume/opened.h"
#include "volume/redo.h"
#include "volume/tools.h"

/* e2fsck(8) */
#define FSCK_GOOD 0

struct check {
	struct volume_access *access;
	const struct volume_key *key;
	int (*each)(const struct caisson_volume_finding *finding, void *userdata);
	void *userdata;
	bool bad;
	bool in_use;
};

/* Labels and other words of a stranger's may be in it. */
static int tell(struct check *check, const char *part, const struct caisson_error *failure,
	const char *text)
{
	char line[sizeof(failure->message)];
	const struct caisson_volume_finding finding = {
		.part = part, .good = failure == NULL, .text = line};

	snprintf(line, sizeof(line), "%s", failure != NULL ? failure->message : text);
	text_flatten(line);
	check->bad |= failure != NULL;
	return check->each(&finding, check->userdata);
}

static int tell_skipped(struct check *check, const char *part, const char *text)
{
	const struct caisson_volume_finding finding = {.part = part, .skipped = true, .text = text};

	return check->each(&finding, check->userdata);
}

static int check_header(struct check *check)
{
	struct caisson_error failure = {0};
	int r = luks_header_check(check->access->blocks, &failure);

	return tell(check, "header", r < 0 ? &failure : NULL,
		"both copies are whole, and the same change");
}

static int check_keyslots(struct check *check)
{
	struct caisson_error failure = {0};
	struct luks_header header;
	char text[96];
	int r = luks_inspect(check->access->path, &header, &failure);

	if (r == 0)
		r = luks_areas_check(check->access->path, &failure);
	if (r == 0 && header.keyslots == 0)
		r = caisson_refuse(&failure, EBADMSG, "there is none: the volume was erased");
	if (r == 0)
		snprintf(text, sizeof(text), "%u in use, none overlaps another or the payload",
			header.keyslots);
	return tell(check, "keyslots", r < 0 ? &failure : NULL, text);
}

static int check_key(struct check *check, bool *ret_opened)
{
	struct volume_access *access = check->access;
	struct caisson_error failure = {0};
	char text[96];
	int r;

	*ret_opened = false;
	if (check->key->key == NULL && !access->has_record)
		return tell_skipped(
			check, "key", "the key service has none, and no option names another");
	r = volume_access_unlock(access, check->key->key, &check->key->limits, &failure);
	*ret_opened = r == 0;
	if (r == 0)
		snprintf(text, sizeof(text), "opens keyslot %u%s", access->luks.keyslot,
			access->has_record ? ", and the header is as recorded" : "");
	return tell(check, "key", r < 0 ? &failure : NULL, text);
}

/* What came last, and said something. */
static void last_line(struct strbuf *output, char *text, size_t size)
{
	char *line;

	while (output->size > 0 && output->data[output->size - 1] == '\n')
		output->data[--output->size] = '\0';
	line = output->data != NULL ? strrchr(output->data, '\n') : NULL;
	line = line != NULL ? line + 1 : output->data;
	/* What it has no label for it calls by the descriptor that it was handed. */
	if (line != NULL && strncmp(line, "/proc/self/fd/", 14) == 0 && strstr(line, ": ") != NULL)
		line = strstr(line, ": ") + 2;
	snprintf(text, size, "%s", line != NULL ? line : "it said nothing");
}

/* A journal that waits to be replayed is, in what is thrown away: without it -n finds what is none.
 */
static int check_ext(struct check *check, const char *kind, struct blocks *payload, bool writable)
{
	static const char *const replay[] = {"e2fsck", "-y", "-E", "journal_only", "@", NULL};
	static const char *const look[] = {"e2fsck", "-f", "-n", "@", NULL};
	_cleanup_strbuf_ struct strbuf output = STRBUF_INIT, said = STRBUF_INIT;
	struct caisson_error failure = {0};
	char text[256], line[192];
	int status = 0, r = 0;

	if (writable)
		r = attach_e2fs(replay, payload, NULL, &said, &status, &failure);
	if (r == 0)
		r = attach_e2fs(look, payload, NULL, &output, &status, &failure);
	if (r < 0)
		return tell(check, "filesystem", &failure, NULL);
	last_line(&output, line, sizeof(line));
	snprintf(text, sizeof(text), "%s: %s", kind, line);
	if (status != FSCK_GOOD)
		caisson_refuse(&failure, EUCLEAN, "%s", text);
	return tell(check, "filesystem", status != FSCK_GOOD ? &failure : NULL, text);
}

static int check_by_tool(struct check *check, const char *kind)
{
	struct caisson_error failure = {0};
	char text[256];
	int r = tools_check(check->access, kind, text, sizeof(text), &failure);

	if (r == -EOPNOTSUPP)
		return tell_skipped(check, "filesystem", failure.message);
	return tell(check, "filesystem", r < 0 ? &failure : NULL, text);
}

static int check_content(struct check *check, struct blocks *container, bool writable)
{
	_cleanup_blocks_ struct blocks *payload = NULL;
	struct volume_usage usage = {.size = 0};
	char kind[FILESYSTEM_KIND_SIZE] = "";
	struct caisson_error failure = {0};
	int r = volume_access_payload(check->access, container, &payload, &failure);

	if (r == 0)
		r = filesystem_kind(payload, kind, &failure);
	if (r < 0)
		return r == -ENOTSUP ? tell_skipped(check, "filesystem", failure.message)
				     : tell(check, "filesystem", &failure, NULL);
	if (kind[0] == '\0')
		return tell_skipped(check, "filesystem", "there is none that is known");
	/* What was cut off at the end its own checker need not notice. */
	if (volume_usage_of(payload, &usage, &failure) == 0 && usage.size > payload->size) {
		caisson_refuse(&failure, EUCLEAN,
			"%s: it has %llu bytes, and the container has room for %llu: it was cut short",
			kind, (unsigned long long)usage.size, (unsigned long long)payload->size);
		return tell(check, "filesystem", &failure, NULL);
	}
	if (strncmp(kind, "ext", 3) == 0)
		return check_ext(check, kind, payload, writable);
	return check_by_tool(check, kind);
}

static int check_filesystem(struct check *check, bool opened)
{
	_cleanup_(redo_freep) struct redo *redo = NULL;
	struct volume_access *access = check->access;
	bool writable;

	if (!opened)
		return tell_skipped(check, "filesystem", "without a key it cannot be seen");
	if (check->in_use)
		return tell_skipped(check, "filesystem", "the volume is in use");
	writable = redo_new(access->blocks, access->layout.folder, access->blocks->size, false,
			   &redo, NULL) == 0;
	return check_content(check, writable ? redo_blocks(redo) : access->blocks, writable);
}

static int open_for_check(const struct state *state, struct key_service *keys, const char *name,
	struct check *check, struct caisson_error *err)
{
	int r = volume_access_lock_read(state, keys, name, "check", check->access, err);

	if (r != -EBUSY)
		return r;
	check->in_use = true;
	return volume_access_peek(state, keys, name, check->access, err);
}

int volume_check(const struct state *state, struct key_service *keys, const char *name,
	const struct volume_key *key,
	int (*each)(const struct caisson_volume_finding *finding, void *userdata), void *userdata,
	struct caisson_error *err)
{
	_cleanup_volume_access_ struct volume_access access = VOLUME_ACCESS_NONE;
	struct check check = {.access = &access, .key = key, .each = each, .userdata = userdata};
	bool opened = false;
	int r = open_for_check(state, keys, name, &check, err);

	if (r < 0)
		return r;
	r = check_header(&check);
	if (r == 0)
		r = check_keyslots(&check);
	if (r == 0)
		r = check_key(&check, &opened);
	if (r == 0)
		r = check_filesystem(&check, opened);
	return r != 0 ? r : check.bad;
}
