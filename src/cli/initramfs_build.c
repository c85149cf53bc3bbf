/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <caisson/initramfs.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "cli/commands.h"

enum {
	OUTPUT,
	PROFILE,
	KERNEL,
	MODULES,
	ROOT,
	PLATFORM,
	PROGRAM,
	FILE_OPTION,
	MODULE,
	RECIPE,
	MICROCODE,
	DLOPEN,
	COMPRESS,
	NO_VOLUMES,
	NO_NETWORK,
	VSOCK,
	EXPLAIN,
	JSON,
};

static const struct cli_option build_options[] = {
	[OUTPUT] = {"output", 'o', CLI_VALUE, "FILE",
		"write it here (initramfs.img); - for standard "
		"output",
		"@file"},
	[PROFILE] = {"profile", '\0', CLI_VALUE, "NAME",
		"what it is for: machine (default), firstboot, rescue or custom",
		"machine firstboot rescue custom"},
	[KERNEL] = {"kernel", '\0', CLI_VALUE, "KERNEL",
		"for this one: a file, one that was built here, by name or folder, or a release in "
		"/boot (what machines get; for other uses the newest in /boot)",
		"@file"},
	[MODULES] = {"modules", '\0', CLI_VALUE, "DIR", "the kernel's modules", "@directory"},
	[ROOT] = {"root", '\0', CLI_VALUE, "DIR",
		"kernels, modules and added programs are inside of this folder", "@directory"},
	[PLATFORM] = {"platform", '\0', CLI_VALUE, "KIND",
		"virtio over mmio (microvm) or PCI (q35)", "microvm q35"},
	[PROGRAM] = {"program", 'p', CLI_LIST, "FILE[:PATH]",
		"add a program with everything that it needs", "@file"},
	[FILE_OPTION] = {"file", 'f', CLI_LIST, "FILE[:PATH]",
		"add a file, or a folder with all that is in it", "@file"},
	[MODULE] = {"module", 'm', CLI_LIST, "NAME",
		"add a kernel module with those that it needs, and firmware", NULL},
	[RECIPE] = {"recipe", 'r', CLI_LIST, "FILE",
		"add what a recipe says, or all recipes of a folder", "@file"},
	[MICROCODE] = {"microcode", '\0', CLI_LIST, "FILE",
		"put processor updates of Intel or AMD in front", "@file"},
	[DLOPEN] = {"dlopen", '\0', CLI_VALUE, "LEVEL",
		"what programs open by name at run time: none, required (default), recommended or "
		"all",
		"required none recommended all"},
	[COMPRESS] = {"compress", '\0', CLI_VALUE, "KIND[:LEVEL]",
		"zstd (default), gzip, xz, lz4 or none", "zstd gzip xz lz4 none"},
	[NO_VOLUMES] = {"no-volumes", '\0', CLI_FLAG, NULL,
		"leave away what encrypted volumes need", NULL},
	[NO_NETWORK] = {"no-network", '\0', CLI_FLAG, NULL, "leave away what a network needs",
		NULL},
	[VSOCK] = {"vsock", '\0', CLI_FLAG, NULL, "add what vsock needs", NULL},
	[EXPLAIN] = {"explain", '\0', CLI_FLAG, NULL,
		"show why each file is there, and write nothing unless --output is given", NULL},
	[JSON] = {"json", '\0', CLI_FLAG, NULL, "explain in JSON", NULL},
	{.name = NULL},
};

/* A device or a pipe is written to as it is. */
static int build_special(struct cli_context *context, const char *path,
	const struct caisson_initramfs_options *options, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_file(path, O_WRONLY, 0, err);

	return fd < 0 ? fd : caisson_initramfs_build(context->caisson, options, fd, err);
}

/* Written beside its name and renamed, so that a failure leaves what was there before. */
static int build_file(struct cli_context *context, const char *path,
	const struct caisson_initramfs_options *options, struct caisson_error *err)
{
	_cleanup_free_ char *temporary = format_string("%s.new-XXXXXX", path);
	_cleanup_close_ int fd = -1;
	int r;

	if (temporary == NULL)
		return caisson_fail(err, ENOMEM, "write %s", path);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return caisson_fail(err, errno, "create %s", path);
	r = caisson_initramfs_build(context->caisson, options, fd, err);
	if (r == 0 && fchmod(fd, 0644) < 0)
		r = caisson_fail(err, errno, "set the mode of %s", path);
	if (r == 0 && rename(temporary, path) < 0)
		r = caisson_fail(err, errno, "write %s", path);
	if (r < 0)
		(void)unlink(temporary);
	return r;
}

/* In memory first: standard output may be a pipe, or a file that others write to, too. */
static int build_output(struct cli_context *context,
	const struct caisson_initramfs_options *options, struct caisson_error *err)
{
	_cleanup_close_ int fd = memfd_create("initramfs", MFD_CLOEXEC);
	int64_t copied;
	int r;

	if (fd < 0)
		return caisson_fail(err, errno, "make room for the boot archive");
	r = caisson_initramfs_build(context->caisson, options, fd, err);
	if (r < 0)
		return r;
	copied = copy_fd(fd, STDOUT_FILENO, "the boot archive to standard output", err);
	return copied < 0 ? (int)copied : 0;
}

static int write_it(struct cli_context *context, const struct caisson_initramfs_options *options,
	struct caisson_error *err)
{
	const char *output = cli_value(context, OUTPUT);
	const char *path = output != NULL ? output : "initramfs.img";
	struct stat st;
	int r;

	if (path[0] == '\0')
		return caisson_refuse(err, EINVAL, "--output names no file");
	if (strcmp(path, "-") == 0)
		return build_output(context, options, err);
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return build_special(context, path, options, err);
	r = build_file(context, path, options, err);
	if (r == 0)
		printf("%s\n", path);
	return r;
}

/* A list as the library takes it: NULL when it is empty, and NULL behind its last. */
static const char *const *list_of(const struct cli_context *context, size_t option)
{
	return (const char *const *)context->given[option].values.items;
}

static int read_options(struct cli_context *context, struct caisson_initramfs_options *options,
	struct caisson_error *err)
{
	const struct cli_command *command = &command_initramfs_build;
	unsigned int platform = 0, profile = 0, dlopen = 0;
	int64_t time = 0;
	int r;

	r = cli_choice(command, context, PLATFORM, &platform, err);
	if (r == 0)
		r = cli_choice(command, context, PROFILE, &profile, err);
	if (r == 0)
		r = cli_choice(command, context, DLOPEN, &dlopen, err);
	if (r == 0)
		r = cli_source_date(&time, err);
	if (r < 0)
		return r;
	*options = (struct caisson_initramfs_options){
		.profile = (enum caisson_initramfs_profile)profile,
		.root = cli_value(context, ROOT),
		.kernel = cli_value(context, KERNEL),
		.modules = cli_value(context, MODULES),
		.pci = platform == 1,
		.no_volumes = cli_has(context, NO_VOLUMES),
		.no_network = cli_has(context, NO_NETWORK),
		.vsock = cli_has(context, VSOCK),
		.recipes = list_of(context, RECIPE),
		.extra_programs = list_of(context, PROGRAM),
		.files = list_of(context, FILE_OPTION),
		.extra_modules = list_of(context, MODULE),
		.microcode = list_of(context, MICROCODE),
		.compress = cli_value(context, COMPRESS),
		.dlopen = (enum caisson_dlopen)dlopen,
		.time = (uint32_t)time,
	};
	return 0;
}

static int build(struct cli_context *context, struct caisson_error *err)
{
	_cleanup_free_ char *programs = NULL;
	struct caisson_initramfs_options options;
	int r = read_options(context, &options, err);

	if (r == 0)
		r = cli_guest_programs(&programs, err);
	if (r < 0)
		return r;
	options.programs = programs;
	if (cli_has(context, EXPLAIN) || cli_has(context, JSON)) {
		r = cli_explain(context->caisson, &options, cli_has(context, JSON), err);
		if (r < 0 || !cli_has(context, OUTPUT))
			return r;
	}
	return write_it(context, &options, err);
}

const struct cli_command command_initramfs_build = {
	.name = "initramfs build",
	.summary = "make the boot archive that a machine starts from",
	.details =
		"The archive holds the guest's programs and the kernel modules in load order, and\n"
		"nothing of one machine; with what is added, by options or recipes, comes all that it\n"
		"needs. The same inputs give the same bytes.\n",
	.options = build_options,
	.needs_state = true,
	.run = build,
};
