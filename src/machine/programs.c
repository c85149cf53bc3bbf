/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The programs of a machine's boot archive, where they are here and where they go there. PID 1
 * starts the others by the same paths in both forms.
 */
#include <errno.h>
#include <unistd.h>

#include "base/path.h"
#include "base/process.h"
#include "machine/machine.h"

#define PATH_INIT   "/init"
#define PATH_UNLOCK "/sbin/caisson-unlock"
#define PATH_E2FSCK "/sbin/e2fsck"
#define PATH_FORMAT "/sbin/caisson-format"
#define PATH_MKE2FS "/sbin/mke2fs"

/* The static form: one file under all its names. */
static const struct initramfs_link one_file[] = {
	{PATH_UNLOCK, "../init"},
	{PATH_E2FSCK, "../init"},
	{PATH_FORMAT, "../init"},
	{PATH_MKE2FS, "../init"},
};
enum { VOLUME_LINKS = 2 }; /* the first of them */

/* The bundled form: one of its programs goes by two names. */
static const struct initramfs_link format_link[] = {{PATH_FORMAT, "caisson-unlock"}};

static int add_program(
	struct guest_programs *programs, char *source, const char *path, struct caisson_error *err)
{
	size_t count = programs->sources.count;

	strv_add_owned(&programs->sources, source);
	if (!strv_ok(&programs->sources))
		return caisson_fail(err, ENOMEM, "find the guest's programs");
	programs->items[count] = (struct initramfs_program){
		programs->sources.items[count], path, "the guest's program"};
	return 0;
}

/* A program of the distribution's. */
static int add_found(struct guest_programs *programs, const char *name, const char *path,
	struct caisson_error *err)
{
	char *found;
	int r = program_find(name, &found, err);

	if (r < 0)
		return caisson_hint(err, "install e2fsprogs");
	return add_program(programs, found, path, err);
}

static int add_bundled(struct guest_programs *programs, const char *folder, enum guest_needs needs,
	struct caisson_error *err)
{
	int r = add_program(programs, path_join(folder, "caisson-init"), PATH_INIT, err);

	if (r == 0)
		r = add_program(programs, path_join(folder, "caisson-unlock"), PATH_UNLOCK, err);
	if (r == 0)
		r = add_found(programs, "e2fsck", PATH_E2FSCK, err);
	if (r < 0 || needs != GUEST_FIRSTBOOT)
		return r;
	programs->links = format_link;
	programs->link_count = ARRAY_SIZE(format_link);
	return add_found(programs, "mke2fs", PATH_MKE2FS, err);
}

int guest_programs_find(const char *folder, enum guest_needs needs,
	struct guest_programs *ret_programs, struct caisson_error *err)
{
	_cleanup_guest_programs_ struct guest_programs programs = {.sources = STRV_INIT};
	_cleanup_free_ char *whole = path_join(folder, "caisson-guest");
	int r;

	if (whole == NULL)
		return caisson_fail(err, ENOMEM, "find the guest's programs");
	if (needs == GUEST_PLAIN) {
		r = add_program(&programs, path_join(folder, "caisson-init"), PATH_INIT, err);
	} else if (access(whole, F_OK) == 0) {
		programs.links = one_file;
		programs.link_count =
			needs == GUEST_FIRSTBOOT ? ARRAY_SIZE(one_file) : (size_t)VOLUME_LINKS;
		r = add_program(&programs, take_ptr(whole), PATH_INIT, err);
	} else {
		r = add_bundled(&programs, folder, needs, err);
	}
	if (r < 0)
		return r;
	*ret_programs = programs;
	programs = (struct guest_programs){.sources = STRV_INIT};
	return 0;
}

void guest_programs_use(const struct guest_programs *programs, struct initramfs_recipe *recipe)
{
	recipe->programs = programs->items;
	recipe->program_count = programs->sources.count;
	recipe->links = programs->links;
	recipe->link_count = programs->link_count;
}

void guest_programs_done(struct guest_programs *programs)
{
	strv_done(&programs->sources);
}
