/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One run of a workload, step by step. Whatever the way out, the descriptors in struct start are
 * closed and QEMU is dead: locks, sockets and the boot archive in memory go with them.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/path.h"
#include "base/process.h"
#include "machine/start.h"
#include "machine/supervise.h"
#include "machine/vsock.h"

#define STATUS_CAISSON 125
#define MEMORY_DEFAULT (512ull << 20)

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
	log_debug(start->log, "QEMU started after %.1f ms (%s, %s, %s)",
		(double)(now_usec() - start->began) / 1000,
		start->machine.microvm ? "microvm" : "q35", start->machine.kvm ? "KVM" : "TCG",
		start->machine.vsock_cid != 0 ? "vsock" : "virtio-serial");
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
	if (r == -EIO && err != NULL && err->hint[0] == '\0')
		(void)caisson_hint(err, "caisson kernel explain %s/console.log may say more",
			start->folder.path);
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

	r = start_open_image(start, err);
	if (r == 0)
		r = start_set_workload(start, err);
	if (r < 0)
		return r;
	r = start_choose_kernel(start, err);
	if (r == 0)
		r = start_choose_accelerator(start, err);
	if (r == 0)
		r = start_open_kernel(start, err);
	if (r < 0)
		return caisson_wrap(err, "kernel");
	r = start_make_base(start, err);
	if (r < 0)
		return caisson_wrap(err, "boot archive");
	return 0;
}

/* What takes long, and leaves only what the next command can use, is done: from here on everything
   is the machine's, and quick. */
static int prepare_machine(struct start *start, struct caisson_error *err)
{
	int r = machine_folder_new(
		start->state, start->options->name, start->image.name, &start->folder, err);

	if (r < 0)
		return r;
	start->machine.name = start->folder.name;
	r = record_machine(start, err);
	if (r == 0)
		r = start_open_volumes(start, err);
	if (r == 0)
		r = start_describe_guest(start, err);
	if (r == 0)
		r = open_channels(start, err);
	if (r == 0)
		r = start_make_command_line(start, err);
	if (r == 0)
		r = start_assemble_initramfs(start, err);
	return r;
}

int machine_run(const struct state *state, const struct caisson_log *log,
	const struct caisson_machine_options *options, int *ret_status, struct caisson_error *err)
{
	_cleanup_(start_done) struct start start = {.state = state, .log = log, .options = options};
	int status = STATUS_CAISSON, r;
	sigset_t set, before;
	bool started;

	start_init(&start);
	r = start_check_options(options, err);
	if (r == 0)
		r = prepare(&start, err);
	if (r == 0)
		r = supervise_block_signals(&set, &before, err);
	if (r < 0) {
		if (ret_status != NULL)
			*ret_status = status;
		return r;
	}
	r = prepare_machine(&start, err);
	/* What never started leaves nothing to look at. */
	started = r == 0;
	if (r == 0)
		r = run_machine(&start, &status, err);
	if (start.keys != NULL && start.folder.name != NULL)
		(void)key_service_revoke(start.keys, start.folder.name, NULL);
	if (start.folder.name != NULL)
		(void)machine_folder_end(
			&start.folder, r >= 0 ? r : status, options->remove || !started, NULL);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	if (ret_status != NULL)
		*ret_status = r >= 0 ? r : status;
	return r;
}
