/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Following a path in the tree of names, as a process whose root it is would. */
#include <errno.h>
#include <ext2fs/ext2fs.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "filesystem/fill_names.h"

struct part {
	const char *text;
	size_t length;
};

/* The next part at @path that is neither empty nor "."; length 0 at the end. Returns what follows.
 */
static const char *next_part(const char *path, struct part *ret_part)
{
	do {
		path += strspn(path, "/");
		*ret_part = (struct part){.text = path, .length = strcspn(path, "/")};
		path += ret_part->length;
	} while (ret_part->length == 1 && ret_part->text[0] == '.');
	return path;
}

static bool is_up(const struct part *part)
{
	return part->length == 2 && memcmp(part->text, "..", 2) == 0;
}

/* One step into @at; *@ret_link says that it is a symbolic link, which is not followed here. */
static int step(struct fill_walk *walk, uint32_t at, const struct part *part, uint32_t *ret_next,
	bool *ret_link, struct caisson_error *err)
{
	uint32_t next;
	uint8_t type;

	*ret_link = false;
	if (is_up(part)) {
		*ret_next = fill_names_get(walk->names, at)->parent;
		return 0;
	}
	if (part->length > FILL_NAME_MOST)
		return caisson_refuse(
			err, ENAMETOOLONG, "a name in it is longer than %u bytes", FILL_NAME_MOST);
	next = fill_names_find(walk->names, at, part->text, part->length);
	if (next == FILL_NONE) {
		if (walk->make == NULL)
			return caisson_fail(err, ENOENT, "%.*s", (int)part->length, part->text);
		return walk->make(walk, at, part->text, part->length, ret_next, err);
	}
	type = fill_names_get(walk->names, next)->type;
	*ret_link = type == EXT2_FT_SYMLINK;
	if (type != EXT2_FT_DIR && !*ret_link)
		return caisson_refuse(err, EBADMSG, "it lies below %.*s, which is no folder",
			(int)part->length, part->text);
	*ret_next = next;
	return 0;
}

/* Where the symbolic link @link in @at leads, with the links that it goes through. */
static int follow(struct fill_walk *walk, uint32_t at, uint32_t link, uint32_t *ret_next,
	struct caisson_error *err)
{
	_cleanup_free_ char *rest = NULL;
	unsigned links = 0;
	struct part part;
	const char *next;
	int r = walk->link(walk, link, &rest, err);

	if (r < 0)
		return r;
	at = rest[0] == '/' ? FILL_ROOT : at;
	next = next_part(rest, &part);
	while (part.length > 0) {
		_cleanup_free_ char *target = NULL, *whole = NULL;
		uint32_t to;
		bool is_link;

		r = step(walk, at, &part, &to, &is_link, err);
		if (r == 0 && is_link)
			r = ++links < FILL_LINKS_MOST ? walk->link(walk, to, &target, err)
						      : caisson_fail(err, ELOOP, "follow it");
		if (r < 0)
			return r;
		if (!is_link) {
			at = to;
			next = next_part(next, &part);
			continue;
		}
		whole = format_string("%s/%s", target, next);
		if (whole == NULL)
			return caisson_fail(err, ENOMEM, "follow a link");
		if (strlen(whole) > FILL_PATH_MOST)
			return caisson_fail(err, ENAMETOOLONG, "follow it");
		at = target[0] == '/' ? FILL_ROOT : at;
		free(rest);
		rest = take_ptr(whole);
		next = next_part(rest, &part);
	}
	*ret_next = at;
	return 0;
}

int fill_walk_path(struct fill_walk *walk, const char *path, uint32_t *ret_parent,
	const char **ret_name, size_t *ret_length, struct caisson_error *err)
{
	uint32_t at = FILL_ROOT, links = 0;
	struct part part, after;
	const char *rest = next_part(path, &part);

	for (; part.length > 0; part = after) {
		uint32_t next;
		bool is_link;
		int r;

		if (is_up(&part))
			return caisson_refuse(err, EBADMSG, "it climbs up with '..'");
		if (part.length > FILL_NAME_MOST)
			return caisson_refuse(err, ENAMETOOLONG,
				"a name in it is longer than %u bytes", FILL_NAME_MOST);
		rest = next_part(rest, &after);
		if (after.length == 0)
			break;
		r = step(walk, at, &part, &next, &is_link, err);
		if (r == 0 && is_link && ++links > FILL_LINKS_MOST)
			r = caisson_fail(err, ELOOP, "follow it");
		if (r == 0 && is_link)
			r = follow(walk, at, next, &next, err);
		if (r < 0)
			return r;
		at = next;
	}
	*ret_parent = at;
	*ret_name = part.text;
	*ret_length = part.length;
	return 0;
}
