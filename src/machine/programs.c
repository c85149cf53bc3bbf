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

/* The static form: one file under all its names. */
static const struct initramfs_link one_file[] = {
	{PATH_UNLOCK, "../init"},
	{PATH_E2FSCK, "../init"},
};

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

static int add_bundled(
	struct guest_programs *programs, const char *folder, struct caisson_error *err)
{
	_cleanup_free_ char *e2fsck = NULL;
	int r = program_find("e2fsck", &e2fsck, err);

	if (r < 0)
		return caisson_hint(err, "install e2fsprogs");
	r = add_program(programs, path_join(folder, "caisson-init"), PATH_INIT, err);
	if (r == 0)
		r = add_program(programs, path_join(folder, "caisson-unlock"), PATH_UNLOCK, err);
	if (r == 0)
		r = add_program(programs, take_ptr(e2fsck), PATH_E2FSCK, err);
	return r;
}

int guest_programs_find(const char *folder, bool volumes, struct guest_programs *ret_programs,
	struct caisson_error *err)
{
	_cleanup_guest_programs_ struct guest_programs programs = {.sources = STRV_INIT};
	_cleanup_free_ char *whole = path_join(folder, "caisson-guest");
	int r;

	if (whole == NULL)
		return caisson_fail(err, ENOMEM, "find the guest's programs");
	if (!volumes) {
		r = add_program(&programs, path_join(folder, "caisson-init"), PATH_INIT, err);
	} else if (access(whole, F_OK) == 0) {
		programs.links = one_file;
		programs.link_count = ARRAY_SIZE(one_file);
		r = add_program(&programs, take_ptr(whole), PATH_INIT, err);
	} else {
		r = add_bundled(&programs, folder, err);
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
