/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "closure/script.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/path.h"

static const char blank[] = " \t\r";

static int intern(struct library_set *set, const char *text, size_t length, const char **ret_text,
	struct caisson_error *err)
{
	struct atom *atom = atom_intern(&set->atoms, text, length);

	if (atom == NULL)
		return caisson_fail(err, ENOMEM, "read a script");
	*ret_text = atom->text;
	return 0;
}

int script_interpreter(struct library_set *set, const char *shebang, const char **ret_path,
	struct caisson_error *err)
{
	shebang += strspn(shebang, " \t");
	return intern(set, shebang, strcspn(shebang, blank), ret_path, err);
}

/* The first word that is neither an option nor a variable: of "-S" and its like, what is behind. */
static const char *env_word(const char *shebang, size_t *ret_length)
{
	const char *at = shebang + strspn(shebang, " \t");

	at += strcspn(at, blank);
	for (at += strspn(at, blank); *at != '\0'; at += strspn(at, blank)) {
		size_t length = strcspn(at, blank);

		if (strncmp(at, "-S", 2) == 0 && length > 2) {
			*ret_length = length - 2;
			return at + 2;
		}
		if (at[0] != '-' && memchr(at, '=', length) == NULL) {
			*ret_length = length;
			return at;
		}
		at += length;
	}
	return NULL;
}

static bool is_env(const char *shebang)
{
	const char *at = shebang + strspn(shebang, " \t");
	size_t length = strcspn(at, blank);

	return length >= 4 && memcmp(at + length - 4, "/env", 4) == 0;
}

int script_env_program(struct library_set *set, const char *shebang, const char **ret_path,
	struct caisson_error *err)
{
	static const char *const folders[] = {
		"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"};
	size_t length = 0;
	const char *word = is_env(shebang) ? env_word(shebang, &length) : NULL;

	*ret_path = NULL;
	if (word == NULL)
		return 0;
	if (word[0] == '/')
		return intern(set, word, length, ret_path, err);
	for (size_t i = 0; i < ARRAY_SIZE(folders) && memchr(word, '/', length) == NULL; i++) {
		struct location *location;
		char path[512];
		int r;

		snprintf(path, sizeof(path), "%s/%.*s", folders[i], (int)length, word);
		r = library_locate(set, path, &location, err);
		if (r < 0)
			return r;
		if (location->node != NULL && location->node->kind == NODE_FILE) {
			*ret_path = location->path->text;
			return 0;
		}
	}
	return caisson_refuse(
		err, ENOENT, "%.*s, which env is to start, was not found", (int)length, word);
}
