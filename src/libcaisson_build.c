/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The public API of building boot archives: from options to a recipe. */
#include <caisson/initramfs.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/io.h"
#include "base/path.h"
#include "boot/initramfs.h"
#include "context.h"
#include "kernel/find.h"
#include "kernel/installed.h"
#include "machine/machine.h"

enum { MICROCODE_MOST = 64 };

/* A recipe with all that it borrows. */
struct building {
	struct kernel kernel;
	struct guest_programs programs;
	struct spec spec;
	char *root; /* without links; NULL: this machine's */
	struct initramfs_microcode microcode;
	const char *intel[MICROCODE_MOST], *amd[MICROCODE_MOST];
	struct initramfs_recipe recipe;
};

static void building_done(struct building *building)
{
	kernel_done(&building->kernel);
	guest_programs_done(&building->programs);
	spec_done(&building->spec);
	free(building->root);
}

static int add_pairs(struct spec_items *items, const char *const *pairs, const char *option,
	struct caisson_error *err)
{
	int r = 0;

	for (size_t i = 0; pairs != NULL && pairs[i] != NULL && r == 0; i++)
		r = spec_add_pair(items, pairs[i], option, err);
	return r;
}

static int read_spec(struct spec *spec, const struct caisson_initramfs_options *options,
	struct caisson_error *err)
{
	static const enum closure_dlopen levels[] = {
		[CAISSON_DLOPEN_REQUIRED] = CLOSURE_DLOPEN_REQUIRED,
		[CAISSON_DLOPEN_NONE] = CLOSURE_DLOPEN_NONE,
		[CAISSON_DLOPEN_RECOMMENDED] = CLOSURE_DLOPEN_RECOMMENDED,
		[CAISSON_DLOPEN_ALL] = CLOSURE_DLOPEN_ALL,
	};
	int r = 0;

	/* What an option says, no recipe says otherwise. */
	spec->has_profile = options->profile != CAISSON_INITRAMFS_MACHINE;
	spec->profile = (enum spec_profile)options->profile;
	spec->has_dlopen = options->dlopen != CAISSON_DLOPEN_REQUIRED;
	spec->dlopen = levels[options->dlopen];
	if (options->compress != NULL) {
		r = compression_parse(options->compress, &spec->compression, err);
		spec->has_compression = true;
	}
	for (size_t i = 0; options->recipes != NULL && options->recipes[i] != NULL && r == 0; i++)
		r = spec_read(spec, options->recipes[i], err);
	if (r == 0)
		r = spec_add_profile(spec, err);
	if (r == 0)
		r = add_pairs(&spec->programs, options->extra_programs, "--program", err);
	if (r == 0)
		r = add_pairs(&spec->files, options->files, "--file", err);
	for (size_t i = 0;
		options->extra_modules != NULL && options->extra_modules[i] != NULL && r == 0; i++)
		r = spec_add(
			&spec->modules, options->extra_modules[i], NULL, "--module", 0, false, err);
	return r;
}

/* Intel: the header's version, 1. AMD: the container's magic, "DMA\0". */
static int sort_microcode(
	struct building *building, const char *const *files, struct caisson_error *err)
{
	struct initramfs_microcode *microcode = &building->microcode;

	microcode->intel = building->intel;
	microcode->amd = building->amd;
	for (size_t i = 0; files != NULL && files[i] != NULL; i++) {
		_cleanup_close_ int fd = open_file(files[i], O_RDONLY | O_NONBLOCK, 0, err);
		uint8_t magic[4];
		int r = fd < 0 ? fd : pread_all(fd, magic, sizeof(magic), 0, files[i], err);

		if (r < 0)
			return r;
		if (i == MICROCODE_MOST)
			return caisson_refuse(
				err, E2BIG, "more than %d files of microcode", (int)MICROCODE_MOST);
		if (get_le32(magic) == 1)
			building->intel[microcode->intel_count++] = files[i];
		else if (get_le32(magic) == 0x00414d44)
			building->amd[microcode->amd_count++] = files[i];
		else
			return caisson_refuse(
				err, EINVAL, "%s holds no microcode of Intel's or AMD's", files[i]);
	}
	if (microcode->intel_count + microcode->amd_count > 0)
		building->recipe.microcode = microcode;
	return 0;
}

/* As "caisson run" chooses, where this is for it. 1, or 0: it is one in /boot, or a file. */
static int find_installed(const struct state *state, struct building *building,
	const struct caisson_initramfs_options *options, struct caisson_error *err)
{
	bool machine =
		building->spec.profile == SPEC_MACHINE || building->spec.profile == SPEC_FIRSTBOOT;
	const char *name = options->kernel;
	_cleanup_free_ char *folder = NULL;
	int r;

	if (building->root != NULL)
		return 0;
	if (name != NULL ? strchr(name, '/') != NULL : !machine || options->modules != NULL)
		return 0;
	r = kernel_installed_folder(state, name, &folder, err);
	if (r != 1)
		return r;
	building->recipe.kernel = &building->kernel;
	r = kernel_find(folder, options->modules, &building->kernel, err);
	return r == 0 ? 1 : r;
}

/* A release names the kernel in ROOT/boot; a path is one. */
static int find_kernel(const struct state *state, struct building *building,
	const struct caisson_initramfs_options *options, struct caisson_error *err)
{
	const char *root = building->root != NULL ? building->root : "";
	_cleanup_free_ char *path = NULL;
	int r;

	if (building->spec.profile == SPEC_CUSTOM && options->kernel == NULL &&
		options->modules == NULL && building->spec.modules.count == 0)
		return 0;
	r = find_installed(state, building, options, err);
	if (r != 0)
		return MIN(r, 0);
	if (options->kernel != NULL && strchr(options->kernel, '/') == NULL &&
		access(options->kernel, F_OK) < 0) {
		path = format_string("%s/boot/vmlinuz-%s", root, options->kernel);
		if (path == NULL)
			return caisson_fail(err, ENOMEM, "find a kernel");
		if (access(path, F_OK) < 0)
			return caisson_fail(
				err, errno, "find the kernel %s (%s)", options->kernel, path);
	}
	building->recipe.kernel = &building->kernel;
	return kernel_find_below(root, path != NULL ? path : options->kernel, options->modules,
		&building->kernel, err);
}

/* Only the first two profiles start caisson's own programs. */
static int find_programs(struct building *building, const struct caisson_initramfs_options *options,
	struct caisson_error *err)
{
	enum spec_profile profile = building->spec.profile;
	bool volumes = !options->no_volumes || profile == SPEC_FIRSTBOOT;
	unsigned int features = KERNEL_BASE | (options->pci ? KERNEL_PCI : KERNEL_MMIO) |
				(volumes ? KERNEL_VOLUME : 0) |
				(options->no_network ? 0 : KERNEL_NETWORK) |
				(options->vsock ? KERNEL_VSOCK : 0);
	int r;

	if (profile == SPEC_CUSTOM)
		return 0;
	building->recipe.features = features;
	if (profile == SPEC_RESCUE)
		return 0;
	r = guest_programs_find(options->programs,
		profile == SPEC_FIRSTBOOT ? GUEST_FIRSTBOOT
		: volumes                 ? GUEST_VOLUMES
					  : GUEST_PLAIN,
		&building->programs, err);
	if (r == 0)
		guest_programs_use(&building->programs, &building->recipe);
	return r;
}

static int building_open(const struct state *state, struct building *building,
	const struct caisson_initramfs_options *options, struct caisson_error *err)
{
	int r;

	*building = (struct building){.programs = {.sources = STRV_INIT}, .kernel = KERNEL_NONE};
	if (options->root != NULL) {
		building->root = realpath(options->root, NULL);
		if (building->root == NULL)
			return caisson_fail(err, errno, "open the root %s", options->root);
	}
	r = read_spec(&building->spec, options, err);
	if (r == 0)
		r = sort_microcode(building, options->microcode, err);
	if (r == 0)
		r = find_kernel(state, building, options, err);
	if (r == 0)
		r = find_programs(building, options, err);
	if (r < 0)
		return r;
	building->recipe.spec = &building->spec;
	building->recipe.root = building->root;
	building->recipe.dlopen =
		building->spec.has_dlopen ? building->spec.dlopen : CLOSURE_DLOPEN_REQUIRED;
	building->recipe.time = options->time;
	building->recipe.compression = building->spec.compression.kind;
	building->recipe.level = building->spec.compression.level;
	return 0;
}

static int empty(int fd, struct caisson_error *err)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
		(ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0))
		return caisson_fail(err, errno, "write the boot archive");
	return 0;
}

int caisson_initramfs_build(struct caisson *caisson,
	const struct caisson_initramfs_options *options, int fd, struct caisson_error *err)
{
	_cleanup_(building_done) struct building building;
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int from = -1;
	int r = building_open(caisson_state(caisson), &building, options, err);

	if (r == 0 && building.recipe.kernel != NULL)
		r = kernel_keep_config(
			caisson_state(caisson), &building.kernel, caisson_log(caisson), err);
	if (r == 0)
		r = initramfs_base(
			caisson_state(caisson), &building.recipe, caisson_log(caisson), &path, err);
	if (r < 0)
		return r;
	from = open_file(path, O_RDONLY, 0, err);
	r = from < 0 ? from : empty(fd, err);
	if (r == 0) {
		int64_t copied = copy_fd(from, fd, "the boot archive", err);

		r = copied < 0 ? (int)copied : 0;
	}
	return r;
}

struct explain_context {
	int (*each)(const struct caisson_initramfs_reason *reason, void *userdata);
	void *userdata;
};

static int tell(const struct initramfs_reason *reason, void *userdata)
{
	const struct explain_context *context = userdata;
	const struct caisson_initramfs_reason out = {
		reason->path, reason->size, reason->by, reason->why};

	return context->each(&out, context->userdata);
}

int caisson_initramfs_explain(struct caisson *caisson,
	const struct caisson_initramfs_options *options,
	int (*each)(const struct caisson_initramfs_reason *reason, void *userdata), void *userdata,
	struct caisson_error *err)
{
	_cleanup_(building_done) struct building building;
	struct explain_context context = {each, userdata};
	int r = building_open(caisson_state(caisson), &building, options, err);

	if (r == 0 && building.recipe.kernel != NULL)
		r = kernel_keep_config(
			caisson_state(caisson), &building.kernel, caisson_log(caisson), err);
	return r == 0 ? initramfs_explain(&building.recipe, tell, &context, err) : r;
}
