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

enum { JSON };

static const struct cli_option list_options[] = {
	[JSON] = {"json", '\0', CLI_FLAG, NULL, "print JSON", NULL},
	{.name = NULL},
};

static void format_mode(mode_t mode, char text[static 11])
{
	static const char letters[] = "rwxrwxrwx";

	text[0] = S_ISDIR(mode)   ? 'd'
		  : S_ISLNK(mode) ? 'l'
		  : S_ISCHR(mode) ? 'c'
		  : S_ISBLK(mode) ? 'b'
				  : '-';
	for (int i = 0; i < 9; i++)
		text[1 + i] = '-';
	for (int i = 0; i < 9; i++) {
		if (mode & (0400u >> i))
			text[1 + i] = letters[i];
	}
	text[10] = '\0';
}

/* A stranger's archive must not talk to the terminal: its names are made plain. */
static int print_entry(const struct caisson_initramfs_entry *entry, void *userdata _unused_)
{
	_cleanup_free_ char *name = format_string("%s%s%s", entry->path,
		entry->target != NULL ? " -> " : "", entry->target != NULL ? entry->target : "");
	char mode[11];

	if (name == NULL)
		return -ENOMEM;
	text_flatten(name);
	format_mode(entry->mode, mode);
	if (S_ISCHR(entry->mode) || S_ISBLK(entry->mode))
		printf("%s %4u, %4u %s\n", mode, entry->major, entry->minor, name);
	else
		printf("%s %10u %s\n", mode, entry->size, name);
	return 0;
}

static int append_entry(const struct caisson_initramfs_entry *entry, void *userdata)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	char mode[11];

	format_mode(entry->mode, mode);
	if (object == NULL || !json_set_string(object, "path", entry->path) ||
		!json_set_string(object, "mode", mode) ||
		!json_set_uint(object, "size", entry->size) ||
		(entry->target != NULL && !json_set_string(object, "target", entry->target)) ||
		!json_append(userdata, take_ptr(object)))
		return -ENOMEM;
	return 0;
}

static int list(struct cli_context *context, struct caisson_error *err)
{
	const char *path = context->operands.items[0];
	_cleanup_close_ int fd = open_file(path, O_RDONLY, 0, err);
	_cleanup_json_ struct json_object *array = NULL;
	int r;

	if (fd < 0)
		return fd;
	if (!cli_has(context, JSON))
		return caisson_initramfs_list(fd, path, print_entry, NULL, err);
	array = json_object_new_array();
	if (array == NULL)
		return caisson_fail(err, ENOMEM, "print JSON");
	r = caisson_initramfs_list(fd, path, append_entry, array, err);
	if (r < 0)
		return r;
	return cli_print_json(array, err);
}

const struct cli_command command_initramfs_list = {
	.name = "initramfs list",
	.summary = "list what is in a boot archive, compressed or not",
	.operands = "FILE",
	.complete = "@file",
	.options = list_options,
	.least = 1,
	.most = 1,
	.run = list,
};
