/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/io.h"
#include "boot/initramfs.h"
#include "machine/start.h"
#include "machine/vsock.h"

/* The kernel, the platform and the channel settle what goes into the boot archive. */
int start_choose_kernel(struct start *start, struct caisson_error *err)
{
	const struct caisson_machine_options *options = start->options;
	unsigned int wanted = KERNEL_BASE | (options->volume_count > 0 ? KERNEL_VOLUME : 0) |
			      (options->no_network ? 0 : KERNEL_NETWORK);
	int r = kernel_choose(start->state, options->kernel, options->modules, &start->kernel, err);

	if (r == 0)
		r = kernel_keep_config(start->state, &start->kernel, start->log, err);
	if (r < 0)
		return r;
	start->machine.microvm = options->platform == CAISSON_PLATFORM_MICROVM ||
				 (options->platform == CAISSON_PLATFORM_AUTO &&
					 kernel_check(&start->kernel, KERNEL_MMIO, NULL) == 0);
	wanted |= start->machine.microvm ? KERNEL_MMIO : KERNEL_PCI;
	if (options->channel == CAISSON_CHANNEL_VSOCK ||
		(options->channel == CAISSON_CHANNEL_AUTO && vsock_usable() &&
			kernel_check(&start->kernel, KERNEL_VSOCK, NULL) == 0)) {
		wanted |= KERNEL_VSOCK;
		start->machine.vsock_cid = vsock_random_cid();
	}
	start->features = wanted;
	return kernel_check(&start->kernel, wanted, err);
}

int start_choose_accelerator(struct start *start, struct caisson_error *err)
{
	int r = 0;

	switch (start->options->accelerator) {
	case CAISSON_ACCELERATOR_KVM:
		start->machine.kvm = true;
		break;
	case CAISSON_ACCELERATOR_TCG:
		start->machine.kvm = false;
		break;
	default:
		r = accelerator_kvm_usable(
			start->state, &start->kernel, start->log, &start->machine.kvm, err);
	}
	return r;
}

/* A vmlinux with a PVH entry spares a microvm the decompression; q35 wants the bzImage. */
int start_open_kernel(struct start *start, struct caisson_error *err)
{
	const char *path = start->kernel.path;
	int r = 0;

	if (start->machine.microvm)
		r = kernel_pvh_image(
			start->state, &start->kernel, start->log, &start->kernel_path, err);
	if (r < 0)
		return r;
	if (start->kernel_path != NULL)
		path = start->kernel_path;
	start->kernel_fd = open_file(path, O_RDONLY, 0, err);
	if (start->kernel_fd < 0)
		return start->kernel_fd;
	free(start->kernel_path);
	start->kernel_path = format_string("/proc/self/fd/%d", start->kernel_fd);
	if (start->kernel_path == NULL)
		return caisson_fail(err, ENOMEM, "open the kernel");
	start->machine.kernel = start->kernel_path;
	return 0;
}

int start_make_base(struct start *start, struct caisson_error *err)
{
	_cleanup_guest_programs_ struct guest_programs programs = {.sources = STRV_INIT};
	/* Emulated, a guest takes longer to uncompress the archive than the host to copy it. */
	struct initramfs_recipe recipe = {.kernel = &start->kernel,
		.features = start->features,
		.dlopen = CLOSURE_DLOPEN_REQUIRED,
		.compression = start->machine.kvm ? COMPRESSION_AUTO : COMPRESSION_NONE};
	int r = guest_programs_find(start->options->programs,
		start->options->volume_count > 0 ? GUEST_VOLUMES : GUEST_PLAIN, &programs, err);

	if (r < 0)
		return r;
	guest_programs_use(&programs, &recipe);
	return initramfs_base(start->state, &recipe, start->log, &start->initramfs_path, err);
}

/* Whether the profile's argument is for this machine. */
static bool argument_wanted(const struct start *start, const struct kernel_argument *argument)
{
	/* What a user wants to read of the kernel is its warnings, if not all. */
	if (strcmp(argument->argument, "quiet") == 0)
		return !start->options->console;
	/* For the build: of kernels as we make them, with everything built in. */
	return argument->feature == 0 ? start->kernel.modules == NULL
				      : (argument->feature & start->features) != 0;
}

/* What kernels are told in any machine is in kernel/minimal.profile. The rest is about time under
   emulation: calibrating the clock can hang there, the self-tests of the kernel's ciphers take a
   tenth of the whole start, and so does translating code again that was changed as it ran (with one
   processor, the kernel takes the lock prefixes out of itself). */
int start_make_command_line(struct start *start, struct caisson_error *err)
{
	const struct kernel_profile *profile = kernel_profile("minimal");
	_cleanup_strbuf_ struct strbuf line = STRBUF_INIT;
	unsigned int khz = start->machine.kvm ? 0 : accelerator_tsc_khz(start->state);

	for (size_t i = 0; i < profile->argument_count; i++) {
		if (argument_wanted(start, &profile->arguments[i]))
			strbuf_add_format(&line, "%s%s", line.size > 0 ? " " : "",
				profile->arguments[i].argument);
	}
	if (!start->machine.kvm)
		strbuf_add_string(&line, " cryptomgr.notests noreplace-smp");
	if (khz != 0)
		strbuf_add_format(&line, " tsc_early_khz=%u", khz);
	start->command_line = strbuf_take(&line);
	start->machine.command_line = start->command_line;
	return start->command_line != NULL ? 0 : caisson_fail(err, ENOMEM, "start the kernel");
}
