/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which of an index's entries is meant. */
#include <errno.h>
#include <string.h>

#include "image/oci.h"

static bool is_image(const struct oci_descriptor *entry)
{
	return entry->media == OCI_MEDIA_INDEX || entry->media == OCI_MEDIA_MANIFEST;
}

static bool has_tag(const struct oci_descriptor *entry, const char *tag)
{
	return (entry->tag != NULL && strcmp(entry->tag, tag) == 0) ||
	       (entry->image_name != NULL && strcmp(entry->image_name, tag) == 0);
}

/* An entry without a platform may be for any: the configuration tells in the end. */
static bool fits(const struct oci_descriptor *entry)
{
	return entry->os == NULL || (strcmp(entry->os, "linux") == 0 &&
					    strcmp(entry->architecture, OCI_ARCHITECTURE) == 0);
}

static int hint_tags(const struct oci_descriptors *index, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf tags = STRBUF_INIT;

	for (size_t i = 0; i < index->count; i++) {
		if (!is_image(&index->items[i]) || index->items[i].tag == NULL)
			continue;
		strbuf_add_format(&tags, "%s%.64s", tags.size > 0 ? ", " : "", index->items[i].tag);
	}
	if (tags.size > 0 && strbuf_ok(&tags))
		return caisson_hint(
			err, "put a tag behind the path (PATH:TAG): it has %s", tags.data);
	return -err->code;
}

int oci_index_select(const struct oci_descriptors *index, const char *tag, bool nested,
	const char *what, const struct oci_descriptor **ret_descriptor, struct caisson_error *err)
{
	const struct oci_descriptor *chosen = NULL;
	size_t named = 0;
	bool ambiguous = false;

	for (size_t i = 0; i < index->count; i++) {
		const struct oci_descriptor *entry = &index->items[i];

		if (!is_image(entry) || (tag != NULL && !has_tag(entry, tag)))
			continue;
		named++;
		if (!fits(entry))
			continue;
		if (chosen != NULL && strcmp(chosen->digest, entry->digest) != 0)
			ambiguous = true;
		/* One that names this platform goes before one that names none. */
		if (chosen == NULL || (chosen->os == NULL && entry->os != NULL))
			chosen = entry;
	}
	if (named == 0 && tag != NULL) {
		caisson_refuse(err, ENOENT, "%s holds no image with the tag '%s'", what, tag);
		return err != NULL ? hint_tags(index, err) : -ENOENT;
	}
	if (named == 0)
		return caisson_refuse(err, ENOENT, "%s holds no image", what);
	if (chosen == NULL)
		return caisson_refuse(
			err, ENOEXEC, "%s holds no image for linux/%s", what, OCI_ARCHITECTURE);
	if (ambiguous && tag == NULL && !nested) {
		caisson_refuse(err, EINVAL, "%s holds several images", what);
		return err != NULL ? hint_tags(index, err) : -EINVAL;
	}
	*ret_descriptor = chosen;
	return 0;
}
