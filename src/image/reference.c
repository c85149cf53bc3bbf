/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a user names an image. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/path.h"
#include "image/layout.h"

static int refuse_missing(const char *reference, struct caisson_error *err)
{
	caisson_refuse(err, ENOENT, "there is no image at '%s'", reference);
	return caisson_hint(err,
		"an image is an OCI layout folder or archive; 'skopeo copy docker://NAME "
		"oci:FOLDER:TAG' makes one of an image in a registry");
}

static bool has_prefix(const char *text, const char *prefix, const char **ret_rest)
{
	size_t length = strlen(prefix);

	if (strncmp(text, prefix, length) != 0)
		return false;
	*ret_rest = text + length;
	return true;
}

/* Both paths and tags may hold colons: the shortest prefix that is there is the path. */
static int split_tag(const char *text, char **ret_path, char **ret_tag, struct stat *ret_st)
{
	_cleanup_free_ char *path = strdup(text), *tag = NULL;

	if (path == NULL)
		return -ENOMEM;
	if (stat(path, ret_st) < 0) {
		char *colon = strchr(path, ':');

		while (colon != NULL) {
			*colon = '\0';
			if (stat(path, ret_st) == 0)
				break;
			*colon = ':';
			colon = strchr(colon + 1, ':');
		}
		if (colon == NULL || colon[1] == '\0')
			return -ENOENT;
		tag = strdup(colon + 1);
		if (tag == NULL)
			return -ENOMEM;
	}
	*ret_path = take_ptr(path);
	*ret_tag = take_ptr(tag);
	return 0;
}

int reference_split(const char *reference, char **ret_path, char **ret_tag, bool *ret_is_archive,
	struct caisson_error *err)
{
	_cleanup_free_ char *path = NULL, *tag = NULL;
	const char *rest = reference;
	bool folder_wanted = has_prefix(reference, "oci:", &rest);
	bool archive_wanted = !folder_wanted && has_prefix(reference, "oci-archive:", &rest);
	struct stat st;
	int r = split_tag(rest, &path, &tag, &st);

	if (r == -ENOENT)
		return refuse_missing(reference, err);
	if (r < 0)
		return caisson_fail(err, -r, "find the image %s", reference);
	if (folder_wanted && !S_ISDIR(st.st_mode)) {
		caisson_refuse(err, ENOTDIR, "%s is not a folder", path);
		return caisson_hint(err, "an archive is named oci-archive:%s", path);
	}
	if (archive_wanted && S_ISDIR(st.st_mode)) {
		caisson_refuse(err, EISDIR, "%s is a folder, not an archive", path);
		return caisson_hint(err, "an OCI layout folder is named oci:%s", path);
	}
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return caisson_refuse(err, EINVAL, "%s is neither a folder nor a file", path);
	*ret_path = take_ptr(path);
	*ret_tag = take_ptr(tag);
	*ret_is_archive = !S_ISDIR(st.st_mode);
	return 0;
}

char *reference_name(const char *path, const char *tag)
{
	_cleanup_free_ char *copy = NULL;
	const char *from = tag;
	char name[64];
	size_t length = 0;

	if (from == NULL) {
		/* "." and the like say nothing; what they stand for does. */
		copy = realpath(path, NULL);
		from = path_base(copy != NULL ? copy : path);
	}
	for (; *from != '\0' && length < sizeof(name) - 1; from++) {
		unsigned char c = (unsigned char)tolower((unsigned char)*from);
		bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		if (alphanumeric)
			name[length++] = (char)c;
		else if (length > 0)
			name[length++] = c == '.' || c == '_' ? (char)c : '-';
	}
	name[length] = '\0';
	return strdup(length > 0 ? name : "image");
}
