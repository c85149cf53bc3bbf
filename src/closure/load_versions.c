/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether each object has the symbol versions that others need of it (glibc's elf/dl-version.c).
   musl does not ask. */
#include <errno.h>

#include "closure/load.h"

/* A library without any versions passes: the loader only warns, as it may be an older build. */
static bool has_version(const struct object *object, const struct library_version *needed)
{
	for (size_t i = 0; i < object->version_count; i++) {
		if (object->versions[i].name == needed->name &&
			object->versions[i].hash == needed->hash)
			return true;
	}
	return object->version_count == 0;
}

static int say_version(struct load *load, const struct loaded *by, const struct loaded *library,
	const struct library_need *need, const struct library_version *version,
	struct caisson_error *err)
{
	struct caisson_error why = {0};

	caisson_refuse(&why, ENOENT, "%s lacks the version %s of %s, which %s needs",
		library->location->path->text, version->name->text, need->library->text,
		by->location->path->text);
	caisson_hint(&why, "the library is older than the program was built with");
	return load_add_problem(load, CLOSURE_VERSION, need->library, by, &why, err);
}

static int check_need(struct load *load, const struct loaded *by, struct library_need *need,
	struct caisson_error *err)
{
	const struct loaded *library = load_answer(load, need->library);
	bool whole = true;

	/* One that is missing was told of. What held for this library once holds again. */
	if (library == NULL || need->met_by == library->object)
		return 0;
	for (size_t i = 0; i < need->count; i++) {
		int r;

		if (has_version(library->object, &need->versions[i]) || need->versions[i].weak)
			continue;
		whole = false;
		r = say_version(load, by, library, need, &need->versions[i], err);
		if (r < 0)
			return r;
	}
	if (whole)
		need->met_by = library->object;
	return 0;
}

int load_check_versions(struct load *load, struct caisson_error *err)
{
	if (load->search.loader->kind != LOADER_GLIBC)
		return 0;
	for (size_t i = 0; i < load->object_count; i++) {
		struct object *object = load->objects[i]->object;

		for (size_t n = 0; n < object->need_count; n++) {
			int r = check_need(load, load->objects[i], &object->needs[n], err);

			if (r < 0)
				return r;
		}
	}
	return 0;
}
