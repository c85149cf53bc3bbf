/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What cannot be known about this host without trying, tried once a boot. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/path.h"
#include "base/process.h"
#include "machine/qemu.h"

#define KVM_DEVICE "/dev/kvm"
/* A kernel says its first word after some hundredths of a second; a busy host gets plenty. */
#define PROBE_USEC (8 * 1000000ull)

/* Answers are kept as "BOOT-ID answer\n" in STATE/cache/NAME. */
static char *cache_path(const struct state *state, const char *name)
{
	_cleanup_free_ char *folder = NULL;

	if (state_folder(state, "cache", &folder, NULL) < 0)
		return NULL;
	return path_join(folder, name);
}

static int boot_id(struct strbuf *id)
{
	int r = read_file("/proc/sys/kernel/random/boot_id", 64, id, NULL);

	if (r == 0)
		id->data[strcspn(id->data, "\n")] = '\0';
	return r;
}

static char *cache_read(const struct state *state, const char *name)
{
	_cleanup_free_ char *path = cache_path(state, name);
	_cleanup_strbuf_ struct strbuf id = STRBUF_INIT, text = STRBUF_INIT;
	size_t length;

	if (path == NULL || boot_id(&id) < 0 || read_file(path, 256, &text, NULL) < 0)
		return NULL;
	length = strlen(id.data);
	if (strncmp(text.data, id.data, length) != 0 || text.data[length] != ' ')
		return NULL;
	text.data[strcspn(text.data, "\n")] = '\0';
	return strdup(text.data + length + 1);
}

static void cache_write(const struct state *state, const char *name, const char *answer)
{
	_cleanup_free_ char *path = cache_path(state, name), *text = NULL;
	_cleanup_strbuf_ struct strbuf id = STRBUF_INIT;

	if (path == NULL || boot_id(&id) < 0)
		return;
	text = format_string("%s %s\n", id.data, answer);
	if (text != NULL)
		(void)write_file_atomic(path, text, strlen(text), 0600, NULL);
}

/* Whether @needle comes out of @fd within the time. */
static bool wait_for_text(int fd, const char *needle)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	uint64_t deadline = now_usec() + PROBE_USEC;

	for (;;) {
		struct pollfd polled = {.fd = fd, .events = POLLIN};
		uint64_t now = now_usec();
		void *to = strbuf_reserve(&text, 4096);
		ssize_t n;

		if (to == NULL || now >= deadline)
			return false;
		if (poll(&polled, 1, (int)((deadline - now) / 1000) + 1) <= 0)
			continue;
		n = read(fd, to, 4096);
		if (n <= 0)
			return false;
		strbuf_commit(&text, (size_t)n);
		if (memmem(text.data, text.size, needle, strlen(needle)) != NULL)
			return true;
	}
}

static int probe_kvm(const struct kernel *kernel, bool *ret_usable, struct caisson_error *err)
{
	const char *const arguments[] = {QEMU_PROGRAM, "-nodefaults", "-no-user-config",
		"-no-reboot", "-display", "none", "-machine", "q35", "-accel", "kvm", "-cpu",
		"host", "-m", "192", "-kernel", kernel->path, "-append",
		"console=ttyS0 earlyprintk=ttyS0 panic=-1", "-serial", "stdio", NULL};
	struct process_options options = PROCESS_OPTIONS_INIT;
	_cleanup_close_ int output = -1, output_write = -1;
	int pipes[2];
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return caisson_fail(err, errno, "probe KVM");
	output = pipes[0];
	output_write = pipes[1];
	options.stdout_fd = output_write;
	options.new_session = true;
	pid = process_start(arguments, &options, err);
	if (pid < 0)
		return pid;
	closep(&output_write);
	output_write = -1;
	*ret_usable = wait_for_text(output, "Linux version");
	process_kill(pid);
	return 0;
}

int accelerator_kvm_usable(const struct state *state, const struct kernel *kernel,
	const struct caisson_log *log, bool *ret_usable, struct caisson_error *err)
{
	_cleanup_free_ char *known = NULL;
	bool usable = false;
	int r;

	if (access(KVM_DEVICE, R_OK | W_OK) < 0) {
		log_debug(log, "no KVM: %s: %s", KVM_DEVICE, strerror(errno));
		*ret_usable = false;
		return 0;
	}
	known = cache_read(state, "kvm");
	if (known != NULL) {
		*ret_usable = strcmp(known, "usable") == 0;
		return 0;
	}
	log_note(log, "trying whether guests run under KVM here (once a boot)");
	r = probe_kvm(kernel, &usable, err);
	if (r < 0)
		return r;
	if (!usable)
		log_note(log, "%s is there but a guest does not run on it: emulating (TCG)",
			KVM_DEVICE);
	cache_write(state, "kvm", usable ? "usable" : "unusable");
	*ret_usable = usable;
	return 0;
}

#if defined(__x86_64__)
static uint64_t read_tsc(void)
{
	return __builtin_ia32_rdtsc();
}

static uint64_t raw_nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Counts over 20 ms: good to some parts in 100,000, and the guest refines it. */
static unsigned int measure_tsc(void)
{
	const struct timespec wait = {.tv_nsec = 20 * 1000 * 1000};
	uint64_t time = raw_nanoseconds(), count = read_tsc();

	nanosleep(&wait, NULL);
	count = read_tsc() - count;
	time = raw_nanoseconds() - time;
	return time > 0 ? (unsigned int)(count * 1000000 / time) : 0;
}
#else
static unsigned int measure_tsc(void)
{
	return 0;
}
#endif

unsigned int accelerator_tsc_khz(const struct state *state)
{
	_cleanup_free_ char *known = cache_read(state, "tsc");
	unsigned int khz = known != NULL ? (unsigned int)strtoul(known, NULL, 10) : 0;
	char text[16];

	if (khz != 0)
		return khz;
	khz = measure_tsc();
	if (khz != 0) {
		snprintf(text, sizeof(text), "%u", khz);
		cache_write(state, "tsc", text);
	}
	return khz;
}
