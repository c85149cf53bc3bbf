/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/io.h"
#include "boot/initramfs.h"
#include "machine/start.h"

/* A variable that is given again replaces the one before: getenv() takes the first that it finds.
 */
static void set_variable(struct strv *environment, const char *assignment)
{
	size_t length = strcspn(assignment, "=") + 1;

	for (size_t i = 0; i < environment->count; i++) {
		if (strncmp(environment->items[i], assignment, length) == 0) {
			free(environment->items[i]);
			environment->items[i] = strdup(assignment);
			environment->failed |= environment->items[i] == NULL;
			return;
		}
	}
	strv_add(environment, assignment);
}

int start_set_workload(struct start *start, struct caisson_error *err)
{
	const struct caisson_machine_options *options = start->options;
	const struct image *image = &start->image;
	struct guest_config *config = &start->config;

	if (options->entrypoint == NULL) {
		for (size_t i = 0; i < image->entrypoint.count; i++)
			strv_add(&config->argv, image->entrypoint.items[i]);
	} else if (options->entrypoint[0] != '\0') {
		strv_add(&config->argv, options->entrypoint);
	}
	for (size_t i = 0; i < options->command_count; i++)
		strv_add(&config->argv, options->command[i]);
	/* As with container engines, an entrypoint of the user's own takes the image's Cmd away. */
	for (size_t i = 0; options->command_count == 0 && options->entrypoint == NULL &&
			   i < image->command.count;
		i++)
		strv_add(&config->argv, image->command.items[i]);
	for (size_t i = 0; i < image->environment.count; i++)
		set_variable(&config->environment, image->environment.items[i]);
	for (size_t i = 0; i < options->environment_count; i++)
		set_variable(&config->environment, options->environment[i]);
	config->directory =
		strdup(options->directory != NULL ? options->directory : image->working_directory);
	config->user = strdup(options->user != NULL ? options->user : image->user);
	if (!strv_ok(&config->argv) || !strv_ok(&config->environment) ||
		config->directory == NULL || config->user == NULL)
		return caisson_fail(err, ENOMEM, "describe the workload");
	if (config->argv.count == 0) {
		caisson_refuse(err, EINVAL, "the image says no command to run");
		return caisson_hint(err, "name one behind the image: caisson run IMAGE -- COMMAND");
	}
	if (config->directory[0] != '/')
		return caisson_refuse(err, EINVAL, "the working directory is not absolute: %s",
			config->directory);
	return 0;
}

int start_describe_guest(struct start *start, struct caisson_error *err)
{
	struct guest_config *config = &start->config;
	struct winsize size;

	config->machine = strdup(start->folder.name);
	config->image = strdup(start->image.digest);
	config->image_serial = strdup(IMAGE_SERIAL);
	if (config->machine == NULL || config->image == NULL || config->image_serial == NULL)
		return caisson_fail(err, ENOMEM, "describe the machine");
	config->network = !start->options->no_network;
	config->terminal = start->options->terminal;
	config->interactive = start->options->interactive;
	if (config->terminal && ioctl(start->options->output, TIOCGWINSZ, &size) == 0) {
		config->rows = size.ws_row;
		config->columns = size.ws_col;
	}
	return 0;
}

/* The base archive and the machine's own, one behind the other, in memory alone: the second holds
   the start's secret. */
int start_assemble_initramfs(struct start *start, struct caisson_error *err)
{
	/* The kernel looks for another archive at multiples of 4 alone (init/initramfs.c). */
	static const char padding[4];
	_cleanup_strbuf_ struct strbuf config = STRBUF_INIT, archive = STRBUF_INIT;
	_cleanup_close_ int base = -1;
	int64_t copied;
	int r;

	base = open_file(start->initramfs_path, O_RDONLY, 0, err);
	if (base < 0)
		return base;
	start->initramfs = memfd_create("caisson-initramfs", MFD_CLOEXEC);
	if (start->initramfs < 0)
		return caisson_fail(err, errno, "make the boot archive");
	copied = copy_fd(base, start->initramfs, "the boot archive", err);
	if (copied < 0)
		return (int)copied;
	r = guest_config_write(&start->config, &config, err);
	if (r == 0) {
		/* At once: a growing buffer would leave copies of the secret behind. */
		(void)strbuf_reserve(&archive, config.size + 4096);
		r = initramfs_machine_archive(config.data, config.size, &archive, err);
	}
	start->machine.initramfs = start->initramfs;
	if (r == 0)
		r = write_all(
			start->initramfs, padding, (size_t)(-copied & 3), "the boot archive", err);
	if (r == 0)
		r = write_all(
			start->initramfs, archive.data, archive.size, "the boot archive", err);
	if (config.data != NULL)
		explicit_bzero(config.data, config.capacity);
	if (archive.data != NULL)
		explicit_bzero(archive.data, archive.capacity);
	if (start->config.secret != NULL)
		explicit_bzero(start->config.secret, strlen(start->config.secret));
	return r;
}
