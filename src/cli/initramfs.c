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
#include "base/json.h"
#include "cli/commands.h"

enum {
	OUTPUT,
	KERNEL,
	MODULES,
	PLATFORM,
	NO_VOLUMES,
	NO_NETWORK,
	VSOCK,
	COMPRESS,
	LEVEL,
	BUILD_OPTIONS,
};

static const struct cli_option build_options[] = {
	[OUTPUT] = {"output", 'o', CLI_VALUE, "FILE",
		"write it here (initramfs.img); - for standard "
		"output",
		"@file"},
	[KERNEL] = {"kernel", '\0', CLI_VALUE, "FILE", "for this kernel (the newest in /boot)",
		"@file"},
	[MODULES] = {"modules", '\0', CLI_VALUE, "DIR", "the kernel's modules", "@directory"},
	[PLATFORM] = {"platform", '\0', CLI_VALUE, "KIND",
		"virtio over mmio (microvm) or PCI (q35)", "microvm q35"},
	[NO_VOLUMES] = {"no-volumes", '\0', CLI_FLAG, NULL,
		"leave away what encrypted volumes need", NULL},
	[NO_NETWORK] = {"no-network", '\0', CLI_FLAG, NULL, "leave away what a network needs",
		NULL},
	[VSOCK] = {"vsock", '\0', CLI_FLAG, NULL, "add what vsock needs", NULL},
	[COMPRESS] = {"compress", '\0', CLI_VALUE, "KIND", "zstd or none", "zstd none"},
	[LEVEL] = {"level", '\0', CLI_VALUE, "N", "of zstd, 1 to 19", NULL},
	[BUILD_OPTIONS] = {.name = NULL},
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

static int build(struct cli_context *context, struct caisson_error *err)
{
	const char *path = cli_has(context, OUTPUT) ? cli_value(context, OUTPUT) : "initramfs.img";
	struct caisson_initramfs_options options = {
		.kernel = cli_value(context, KERNEL),
		.modules = cli_value(context, MODULES),
		.no_volumes = cli_has(context, NO_VOLUMES),
		.no_network = cli_has(context, NO_NETWORK),
		.vsock = cli_has(context, VSOCK),
	};
	_cleanup_free_ char *programs = NULL;
	unsigned int platform = 0, compression = 0, level = 0;
	struct stat st;
	int r;

	r = cli_choice(&command_initramfs_build, context, PLATFORM, &platform, err);
	if (r == 0)
		r = cli_choice(&command_initramfs_build, context, COMPRESS, &compression, err);
	if (r == 0)
		r = cli_number(&command_initramfs_build, context, LEVEL, 1, 19, &level, err);
	if (r == 0)
		r = cli_guest_programs(&programs, err);
	if (r < 0)
		return r;
	options.programs = programs;
	options.pci = platform == 1;
	options.uncompressed = compression == 1;
	options.level = (int)level;
	if (strcmp(path, "-") == 0)
		return build_output(context, &options, err);
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return build_special(context, path, &options, err);
	r = build_file(context, path, &options, err);
	if (r == 0)
		printf("%s\n", path);
	return r;
}

const struct cli_command command_initramfs_build = {
	.name = "initramfs build",
	.summary = "write the boot archive that machines start from",
	.details =
		"The archive holds the guest programs with their shared libraries and the kernel\n"
		"modules in load order, and nothing of one machine. The same inputs give the same\n"
		"bytes.\n",
	.options = build_options,
	.needs_state = true,
	.run = build,
};
