/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One run of a workload, step by step. Whatever the way out, the descriptors in struct start are
 * closed and QEMU is dead: locks, sockets and the boot archive in memory go with them.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hex.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/path.h"
#include "base/process.h"
#include "boot/initramfs.h"
#include "image/image.h"
#include "kernel/kernel.h"
#include "machine/machine.h"
#include "machine/qemu.h"
#include "machine/supervise.h"
#include "machine/vsock.h"
#include "volume/volume.h"
#include "wire/guest_config.h"

#define STATUS_CAISSON  125
#define MEMORY_DEFAULT  (512ull << 20)
#define MEMORY_LEAST    (160ull << 20)
#define PROCESSORS_MOST 255
/* A start that takes longer than this has failed in another way already. */
#define SECRET_LIFETIME_S 600
#define IMAGE_SERIAL      "caisson-image"

struct start {
	const struct state *state;
	const struct caisson_log *log;
	const struct caisson_machine_options *options;

	struct image image;
	struct kernel kernel;
	struct machine_folder folder;
	struct key_service *keys;
	struct guest_config config;
	struct qemu_machine machine;
	unsigned int features;

	char *initramfs_path, *kernel_path, *command_line;
	int kernel_fd, initramfs, image_fd, console_log, qemu_log;
	/* Ours and QEMU's end of each. */
	int console[2], channel[2], key_channel[2];
	int listener, key_listener, vhost_vsock;
	int volume_fds[GUEST_VOLUMES_MOST];    /* the locks */
	int read_only_fds[GUEST_VOLUMES_MOST]; /* of those that QEMU must not write to */
	uint64_t began;
};

static void start_init(struct start *start)
{
	int *fds[] = {&start->kernel_fd, &start->initramfs, &start->image_fd, &start->console_log,
		&start->qemu_log, &start->console[0], &start->console[1], &start->channel[0],
		&start->channel[1], &start->key_channel[0], &start->key_channel[1],
		&start->listener, &start->key_listener, &start->vhost_vsock};

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		*fds[i] = -1;
	for (size_t i = 0; i < GUEST_VOLUMES_MOST; i++)
		start->volume_fds[i] = start->read_only_fds[i] = -1;
	start->folder = MACHINE_FOLDER_NONE;
	start->began = now_usec();
}

static void start_done(struct start *start)
{
	int fds[] = {start->kernel_fd, start->initramfs, start->image_fd, start->console_log,
		start->qemu_log, start->console[0], start->console[1], start->channel[0],
		start->channel[1], start->key_channel[0], start->key_channel[1], start->listener,
		start->key_listener, start->vhost_vsock};

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		closep(&fds[i]);
	for (size_t i = 0; i < GUEST_VOLUMES_MOST; i++) {
		closep(&start->volume_fds[i]);
		closep(&start->read_only_fds[i]);
	}
	image_done(&start->image);
	kernel_done(&start->kernel);
	machine_folder_done(&start->folder);
	key_service_close(start->keys);
	guest_config_done(&start->config);
	free(start->initramfs_path);
	free(start->kernel_path);
	free(start->command_line);
}

#define _cleanup_start_ _cleanup_(start_done)

static bool is_root(const char *path)
{
	return path[strspn(path, "/")] == '\0';
}

/* "." and ".." would lead elsewhere than it looks. */
static bool is_plain(const char *path)
{
	while (*path != '\0') {
		size_t length = strcspn(path, "/");

		if (length > 0 && length <= 2 && strspn(path, ".") >= length)
			return false;
		path += length + (path[length] == '/');
	}
	return true;
}

static int check_volume(
	const struct caisson_machine_options *options, size_t i, struct caisson_error *err)
{
	const struct caisson_machine_volume *volume = &options->volumes[i];
	int r = name_check("volume", volume->name, err);

	if (r < 0)
		return r;
	if (volume->path[0] != '/' || !is_plain(volume->path))
		return caisson_refuse(err, EINVAL,
			"the volume %s needs an absolute path in the machine, not '%s'",
			volume->name, volume->path);
	if (is_root(volume->path) && volume->read_only)
		return caisson_refuse(err, EINVAL,
			"the machine's root needs a writable volume: not %s read-only",
			volume->name);
	for (size_t j = 0; j < i; j++) {
		const struct caisson_machine_volume *other = &options->volumes[j];

		if (strcmp(other->name, volume->name) == 0)
			return caisson_refuse(
				err, EINVAL, "the volume %s is named twice", volume->name);
		if (strcmp(other->path, volume->path) == 0 ||
			(is_root(other->path) && is_root(volume->path)))
			return caisson_refuse(err, EINVAL,
				"the volumes %s and %s cannot both be at %s", other->name,
				volume->name, volume->path);
	}
	return 0;
}

static int check_options(const struct caisson_machine_options *options, struct caisson_error *err)
{
	int r = 0;

	if (options->memory != 0 && options->memory < MEMORY_LEAST)
		return caisson_refuse(err, EINVAL, "a machine needs at least %llu MiB of memory",
			MEMORY_LEAST >> 20);
	if (options->processors > PROCESSORS_MOST)
		return caisson_refuse(
			err, EINVAL, "a machine has at most %d processors", PROCESSORS_MOST);
	if (options->volume_count > GUEST_VOLUMES_MOST)
		return caisson_refuse(
			err, EINVAL, "a machine has at most %d volumes", GUEST_VOLUMES_MOST);
	if (options->no_network && options->publish_count > 0)
		return caisson_refuse(err, EINVAL,
			"a machine without a network cannot publish the port %s",
			options->publish[0]);
	for (size_t i = 0; i < options->volume_count && r == 0; i++)
		r = check_volume(options, i, err);
	return r;
}

/* The kernel, the platform and the channel settle what goes into the boot archive. */
static int choose_kernel(struct start *start, struct caisson_error *err)
{
	const struct caisson_machine_options *options = start->options;
	unsigned int wanted = KERNEL_BASE | (options->volume_count > 0 ? KERNEL_VOLUME : 0) |
			      (options->no_network ? 0 : KERNEL_NETWORK);
	int r = kernel_find(options->kernel, options->modules, &start->kernel, err);

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

static int choose_accelerator(struct start *start, struct caisson_error *err)
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
static int open_kernel(struct start *start, struct caisson_error *err)
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

static int make_base(struct start *start, struct caisson_error *err)
{
	struct initramfs_program programs[GUEST_PROGRAMS_MOST];
	_cleanup_strv_ struct strv sources = STRV_INIT;
	/* Emulated, a guest takes longer to uncompress the archive than the host to copy it. */
	struct initramfs_recipe recipe = {.kernel = &start->kernel,
		.features = start->features,
		.programs = programs,
		.compression = start->machine.kvm ? COMPRESSION_ZSTD : COMPRESSION_NONE};
	int r = guest_programs(start->options->programs, start->options->volume_count > 0, &sources,
		programs, err);

	if (r < 0)
		return r;
	recipe.program_count = sources.count;
	return initramfs_base(start->state, &recipe, start->log, &start->initramfs_path, err);
}

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

static int set_workload(struct start *start, struct caisson_error *err)
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

static int add_disk(struct start *start, int fd, bool read_only, const char *serial)
{
	start->machine.disks[start->machine.disk_count++] =
		(struct qemu_disk){.fd = fd, .read_only = read_only, .serial = serial};
	return 0;
}

/* QEMU wants a descriptor that is itself read-only; the lock stays with the other one. */
static int add_volume_disk(struct start *start, size_t i, struct caisson_error *err)
{
	const struct guest_volume *volume = &start->config.volumes[i];
	char path[32];

	if (!volume->read_only)
		return add_disk(start, start->volume_fds[i], false, volume->serial);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", start->volume_fds[i]);
	start->read_only_fds[i] = open_file(path, O_RDONLY, 0, err);
	if (start->read_only_fds[i] < 0)
		return start->read_only_fds[i];
	return add_disk(start, start->read_only_fds[i], true, volume->serial);
}

static int lock_volumes(struct start *start, struct caisson_error *err)
{
	const struct caisson_machine_options *options = start->options;
	struct guest_config *config = &start->config;

	config->volumes = calloc(MAX(options->volume_count, (size_t)1), sizeof(*config->volumes));
	if (config->volumes == NULL)
		return caisson_fail(err, ENOMEM, "describe the volumes");
	for (size_t i = 0; i < options->volume_count; i++) {
		const struct caisson_machine_volume *from = &options->volumes[i];
		struct guest_volume *volume = &config->volumes[i];
		int r = volume_lock(start->state, start->keys, from->name, start->folder.name,
			&start->volume_fds[i], err);

		if (r < 0)
			return r;
		config->volume_count++;
		volume->name = strdup(from->name);
		volume->mount = strdup(is_root(from->path) ? "/" : from->path);
		volume->serial = format_string("caisson-volume-%zu", i);
		volume->read_only = from->read_only;
		if (volume->name == NULL || volume->mount == NULL || volume->serial == NULL)
			return caisson_fail(err, ENOMEM, "describe the volumes");
		r = add_volume_disk(start, i, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int mint_secret(struct start *start, struct caisson_error *err)
{
	_cleanup_secret_ struct secret secret = SECRET_NONE;
	_cleanup_strv_ struct strv names = STRV_INIT;
	int r;

	for (size_t i = 0; i < start->config.volume_count; i++)
		strv_add(&names, start->config.volumes[i].name);
	if (!strv_ok(&names))
		return caisson_fail(err, ENOMEM, "mint a secret");
	r = key_service_mint(
		start->keys, start->folder.name, &names, SECRET_LIFETIME_S, &secret, err);
	if (r < 0)
		return r;
	start->config.secret = malloc(2 * secret.size + 1);
	if (start->config.secret == NULL)
		return caisson_fail(err, ENOMEM, "mint a secret");
	hex_encode(secret.data, secret.size, start->config.secret);
	return 0;
}

static int open_volumes(struct start *start, struct caisson_error *err)
{
	int r;

	if (start->options->volume_count == 0)
		return 0;
	r = key_service_open(start->state, &start->keys, err);
	if (r == 0)
		r = lock_volumes(start, err);
	if (r == 0)
		r = mint_secret(start, err);
	return r;
}

static int describe_guest(struct start *start, struct caisson_error *err)
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
static int assemble_initramfs(struct start *start, struct caisson_error *err)
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

static int socket_pair(int pair[2], struct caisson_error *err)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return caisson_fail(err, errno, "make a socket");
	return 0;
}

static int open_channels(struct start *start, struct caisson_error *err)
{
	int r = socket_pair(start->console, err);

	if (r < 0)
		return r;
	start->machine.console = start->console[1];
	start->machine.channel = start->machine.key_channel = -1;
	if (start->machine.vsock_cid != 0) {
		start->machine.vhost_vsock = start->vhost_vsock = vsock_open_device(err);
		if (start->vhost_vsock < 0)
			return start->vhost_vsock;
		start->listener = vsock_listen(&start->config.vsock_port, err);
		if (start->listener < 0)
			return start->listener;
		if (start->keys != NULL)
			start->key_listener = vsock_listen(&start->config.vsock_key_port, err);
		return start->keys != NULL && start->key_listener < 0 ? start->key_listener : 0;
	}
	r = socket_pair(start->channel, err);
	if (r == 0 && start->keys != NULL)
		r = socket_pair(start->key_channel, err);
	start->machine.channel = start->channel[1];
	start->machine.key_channel = start->key_channel[1];
	return r;
}

static int open_image(struct start *start, struct caisson_error *err)
{
	int r = image_open(start->state, start->options->image, start->log, &start->image, err);

	if (r < 0)
		return r;
	start->image_fd = open_file(start->image.root, O_RDONLY, 0, err);
	if (start->image_fd < 0)
		return start->image_fd;
	return add_disk(start, start->image_fd, true, IMAGE_SERIAL);
}

/* quiet: what a user wants to read of the kernel is its warnings. panic=-1 with -no-reboot: a panic
   ends QEMU at once. The rest is about time under emulation: calibrating the clock can hang there,
   and the self-tests of the kernel's ciphers take a tenth of the whole start. */
static int make_command_line(struct start *start, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf line = STRBUF_INIT;
	unsigned int khz = start->machine.kvm ? 0 : accelerator_tsc_khz(start->state);

	strbuf_add_string(&line, "console=ttyS0 panic=-1 reboot=t random.trust_cpu=on");
	if (!start->options->console)
		strbuf_add_string(&line, " quiet");
	if (!start->machine.kvm)
		strbuf_add_string(&line, " cryptomgr.notests");
	if (khz != 0)
		strbuf_add_format(&line, " tsc_early_khz=%u", khz);
	start->command_line = strbuf_take(&line);
	start->machine.command_line = start->command_line;
	return start->command_line != NULL ? 0 : caisson_fail(err, ENOMEM, "start the kernel");
}

static int record_machine(struct start *start, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	_cleanup_free_ char *path = path_join(start->folder.path, "machine.json");
	_cleanup_free_ char *console = path_join(start->folder.path, "console.log");
	_cleanup_free_ char *qemu = path_join(start->folder.path, "qemu.log");
	_cleanup_close_ int fd = -1;
	const char *text;

	if (object == NULL || path == NULL || console == NULL || qemu == NULL ||
		!json_set_string(object, "name", start->folder.name) ||
		!json_set_string(object, "image", start->image.digest) ||
		!json_set_string(object, "kernel", start->kernel.path) ||
		!json_set_string(object, "initramfs", start->initramfs_path) ||
		!json_set_string(object, "platform", start->machine.microvm ? "microvm" : "q35") ||
		!json_set_string(object, "accelerator", start->machine.kvm ? "kvm" : "tcg") ||
		!json_set_uint(object, "memory", start->machine.memory) ||
		!json_set_uint(object, "processors", start->machine.processors) ||
		(text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY)) == NULL)
		return caisson_fail(err, ENOMEM, "record the machine");
	fd = open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0600, err);
	if (fd < 0)
		return fd;
	start->console_log = open_file(console, O_WRONLY | O_CREAT | O_EXCL, 0600, err);
	if (start->console_log < 0)
		return start->console_log;
	start->qemu_log = open_file(qemu, O_RDWR | O_CREAT | O_EXCL | O_APPEND, 0600, err);
	if (start->qemu_log < 0)
		return start->qemu_log;
	return write_all(fd, text, strlen(text), path, err);
}

/* As root, QEMU runs as a user that owns nothing; what it opens it was given. */
static int drop_privileges(struct process_options *process, struct caisson_error *err)
{
	const struct passwd *account;
	struct stat st;

	if (geteuid() != 0)
		return 0;
	account = getpwnam("caisson");
	if (account == NULL)
		account = getpwnam("nobody");
	if (account == NULL)
		return caisson_refuse(err, ENOENT, "there is no user 'nobody' to run QEMU as");
	process->drop_privileges = true;
	process->uid = account->pw_uid;
	process->gid = account->pw_gid;
	if (stat("/dev/kvm", &st) == 0)
		process->extra_group = st.st_gid;
	return 0;
}

static int start_qemu(struct start *start, pid_t *ret_pid, struct caisson_error *err)
{
	struct process_options process = PROCESS_OPTIONS_INIT;
	_cleanup_strv_ struct strv arguments = STRV_INIT;
	int fds[2 * QEMU_DISKS_MOST + 9];
	pid_t pid;
	int r;

	r = qemu_arguments(&start->machine, &arguments, err);
	if (r == 0)
		r = drop_privileges(&process, err);
	if (r < 0)
		return r;
	process.stderr_fd = start->qemu_log;
	process.new_session = true;
	process.keep_fds = fds;
	process.keep_count = qemu_descriptors(&start->machine, fds);
	fds[process.keep_count++] = start->kernel_fd;
	/* A lock lasts as long as QEMU does, even when caisson is killed. */
	for (size_t i = 0; i < start->config.volume_count; i++) {
		if (start->read_only_fds[i] >= 0)
			fds[process.keep_count++] = start->volume_fds[i];
	}
	pid = process_start((const char *const *)arguments.items, &process, err);
	if (pid == -ENOENT)
		return caisson_hint(err, "install qemu-system-x86");
	if (pid < 0)
		return pid;
	log_debug(start->log, "QEMU started after %.1f ms (%s, %s)",
		(double)(now_usec() - start->began) / 1000,
		start->machine.microvm ? "microvm" : "q35", start->machine.kvm ? "KVM" : "TCG");
	*ret_pid = pid;
	return 0;
}

static void close_qemu_ends(struct start *start)
{
	int *ends[] = {&start->console[1], &start->channel[1], &start->key_channel[1],
		&start->initramfs, &start->kernel_fd, &start->image_fd, &start->vhost_vsock};

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		closep(ends[i]);
		*ends[i] = -1;
	}
}

static int run_machine(struct start *start, int *ret_status, struct caisson_error *err)
{
	struct supervision supervision = {.name = start->folder.name,
		.channel = start->channel[0],
		.key_channel = start->key_channel[0],
		.console = start->console[0],
		.listener = start->listener,
		.key_listener = start->key_listener,
		.cid = start->machine.vsock_cid,
		.console_log = start->console_log,
		.qemu_log = start->qemu_log,
		.keys = start->keys,
		.options = start->options,
		.log = start->log};
	int r = start_qemu(start, &supervision.qemu, err);

	if (r < 0)
		return r;
	close_qemu_ends(start);
	r = supervise(&supervision, ret_status, err);
	/* The supervisor closes what ends before the machine does. */
	start->console[0] = supervision.console;
	start->channel[0] = supervision.channel;
	start->key_channel[0] = supervision.key_channel;
	start->listener = supervision.listener;
	start->key_listener = supervision.key_listener;
	return r;
}

static int prepare(struct start *start, struct caisson_error *err)
{
	const struct caisson_machine_options *options = start->options;
	int r;

	start->machine.memory = options->memory != 0 ? options->memory : MEMORY_DEFAULT;
	start->machine.processors = options->processors != 0 ? options->processors : 1;
	start->machine.network = !options->no_network;
	start->machine.publish = options->publish;
	start->machine.publish_count = options->publish_count;

	r = open_image(start, err);
	if (r == 0)
		r = set_workload(start, err);
	if (r < 0)
		return r;
	r = choose_kernel(start, err);
	if (r == 0)
		r = choose_accelerator(start, err);
	if (r == 0)
		r = open_kernel(start, err);
	if (r < 0)
		return caisson_wrap(err, "kernel");
	r = make_base(start, err);
	if (r < 0)
		return caisson_wrap(err, "boot archive");
	r = machine_folder_new(start->state, options->name, start->image.name, &start->folder, err);
	if (r < 0)
		return r;
	start->machine.name = start->folder.name;
	r = record_machine(start, err);
	if (r == 0)
		r = open_volumes(start, err);
	if (r == 0)
		r = describe_guest(start, err);
	if (r == 0)
		r = open_channels(start, err);
	if (r == 0)
		r = make_command_line(start, err);
	if (r == 0)
		r = assemble_initramfs(start, err);
	return r;
}

int machine_run(const struct state *state, const struct caisson_log *log,
	const struct caisson_machine_options *options, int *ret_status, struct caisson_error *err)
{
	_cleanup_start_ struct start start = {.state = state, .log = log, .options = options};
	int status = STATUS_CAISSON, r;
	bool started;

	start_init(&start);
	r = check_options(options, err);
	if (r == 0)
		r = prepare(&start, err);
	/* What never started leaves nothing to look at. */
	started = r == 0;
	if (r == 0)
		r = run_machine(&start, &status, err);
	if (start.keys != NULL && start.folder.name != NULL)
		(void)key_service_revoke(start.keys, start.folder.name, NULL);
	if (start.folder.name != NULL)
		(void)machine_folder_end(
			&start.folder, r >= 0 ? r : status, options->remove || !started, NULL);
	if (ret_status != NULL)
		*ret_status = r >= 0 ? r : status;
	return r;
}
