/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Everything that a machine needs of this host, tried before somebody misses it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"
#include "base/process.h"
#include "base/state.h"
#include "cli/commands.h"
#include "context.h"
#include "kernel/kernel.h"
#include "key/service.h"
#include "machine/qemu.h"
#include "machine/vsock.h"

enum verdict { GOOD, LIMITED, BROKEN };

struct finding {
	const char *what;
	enum verdict verdict;
	char text[512];
	char hint[256];
};

struct examination {
	struct finding findings[24];
	size_t count;
	const struct state *state;
	const struct caisson_log *log;
	struct kernel kernel;
	bool have_kernel;
};

static struct finding *note(struct examination *examination, const char *what, enum verdict verdict,
	const char *format, ...) _printf_(4, 5);

static struct finding *note(struct examination *examination, const char *what, enum verdict verdict,
	const char *format, ...)
{
	struct finding *finding = &examination->findings[examination->count];
	va_list args;

	if (examination->count + 1 < ARRAY_SIZE(examination->findings))
		examination->count++;
	*finding = (struct finding){.what = what, .verdict = verdict};
	va_start(args, format);
	vsnprintf(finding->text, sizeof(finding->text), format, args);
	va_end(args);
	return finding;
}

static void note_error(struct examination *examination, const char *what, enum verdict verdict,
	const struct caisson_error *err)
{
	struct finding *finding = note(examination, what, verdict, "%s", err->message);

	snprintf(finding->hint, sizeof(finding->hint), "%.255s", err->hint);
}

static void examine_program(
	struct examination *examination, const char *program, const char *package, const char *use)
{
	_cleanup_free_ char *path = NULL;
	struct caisson_error err = {0};

	if (program_find(program, &path, &err) == 0) {
		note(examination, program, GOOD, "%s", path);
		return;
	}
	snprintf(note(examination, program, BROKEN, "not installed: %s", use)->hint, 256,
		"install %s", package);
}

static void examine_programs(struct examination *examination)
{
	examine_program(examination, QEMU_PROGRAM, "qemu-system-x86", "machines cannot start");
	examine_program(examination, "mksquashfs", "squashfs-tools", "images cannot be flattened");
	examine_program(examination, "mke2fs", "e2fsprogs", "volumes cannot be created");
	examine_program(examination, "e2fsck", "e2fsprogs",
		"the boot archive of machines with volumes cannot be made");
}

static void examine_guest(struct examination *examination)
{
	_cleanup_free_ char *programs = NULL;
	struct caisson_error err = {0};

	if (cli_guest_programs(&programs, &err) < 0)
		note_error(examination, "guest programs", BROKEN, &err);
	else
		note(examination, "guest programs", GOOD, "%s", programs);
}

static void examine_kernel(struct examination *examination)
{
	const struct {
		const char *what;
		unsigned int feature;
		enum verdict missing;
	} features[] = {
		{"kernel: base", KERNEL_BASE, BROKEN},
		{"kernel: volumes", KERNEL_VOLUME, BROKEN},
		{"kernel: network", KERNEL_NETWORK, LIMITED},
		{"kernel: microvm", KERNEL_MMIO, LIMITED},
		{"kernel: q35", KERNEL_PCI, LIMITED},
		{"kernel: vsock", KERNEL_VSOCK, LIMITED},
	};
	struct caisson_error err = {0};

	if (kernel_choose(examination->state, NULL, NULL, &examination->kernel, &err) < 0) {
		note_error(examination, "kernel", BROKEN, &err);
		return;
	}
	examination->have_kernel = true;
	/* Without, each check below searches the image. */
	(void)kernel_keep_config(examination->state, &examination->kernel, examination->log, NULL);
	note(examination, "kernel", GOOD, "%s (%s)", examination->kernel.path,
		examination->kernel.release);
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		if (kernel_check(&examination->kernel, features[i].feature, &err) < 0)
			note_error(examination, features[i].what, features[i].missing, &err);
		else
			note(examination, features[i].what, GOOD, "complete");
	}
}

static void examine_accelerator(struct examination *examination)
{
	struct caisson_error err = {0};
	bool usable = false;

	if (!examination->have_kernel)
		return;
	if (accelerator_kvm_usable(
		    examination->state, &examination->kernel, examination->log, &usable, &err) < 0)
		note_error(examination, "KVM", LIMITED, &err);
	else if (usable)
		note(examination, "KVM", GOOD, "a guest runs");
	else
		snprintf(note(examination, "KVM", LIMITED,
				 "guests do not run under KVM: machines are emulated (TCG), slowly")
				 ->hint,
			256,
			"check that /dev/kvm can be opened and that nested virtualization works");
	note(examination, "channel", GOOD, "%s",
		vsock_usable() ? "vsock" : "virtio-serial (this host has no vhost-vsock)");
}

static void examine_state(struct examination *examination)
{
	_cleanup_(key_service_closep) struct key_service *keys = NULL;
	struct caisson_error err = {0};
	struct statvfs fs;

	note(examination, "state", GOOD, "%s", examination->state->dir);
	if (statvfs(examination->state->dir, &fs) == 0) {
		uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
		char text[32];

		cli_format_size(room, text, sizeof(text));
		note(examination, "disk", room < (1ull << 30) ? LIMITED : GOOD, "%s free", text);
	}
	if (key_service_open(examination->state, &keys, &err) < 0)
		note_error(examination, "keys", BROKEN, &err);
	else
		note(examination, "keys", GOOD, "the key service opens; its key is in %s",
			examination->state->config);
}

static void examine_limits(struct examination *examination)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return;
	if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < (1u << 20) && geteuid() != 0)
		snprintf(note(examination, "locked memory", LIMITED, "at most %llu bytes",
				 (unsigned long long)limit.rlim_cur)
				 ->hint,
			256, "raise the limit on locked memory (ulimit -l) to 1 MiB or more");
	else
		note(examination, "locked memory", GOOD, "enough for keys");
}

static bool have_device_mapper(void)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

	return read_file("/proc/misc", 65536, &text, NULL) == 0 && text.data != NULL &&
	       strstr(text.data, " device-mapper\n") != NULL;
}

/* How "caisson volume open" and "mount" will go about it. */
static void examine_volumes(struct examination *examination)
{
	bool fuse = access("/dev/fuse", R_OK | W_OK) == 0;
	struct finding *finding;

	if (geteuid() == 0 && have_device_mapper()) {
		note(examination, "volumes on this host", GOOD, "open through dm-crypt");
		return;
	}
	finding = note(examination, "volumes on this host", fuse ? GOOD : LIMITED,
		"open in user space: over NBD%s",
		fuse ? ", and as a file" : " alone, and are not mounted");
	if (!fuse)
		snprintf(finding->hint, sizeof(finding->hint),
			"there is neither device-mapper for root nor /dev/fuse here");
}

static void print_findings(const struct examination *examination)
{
	static const char *const words[] = {
		[GOOD] = "ok", [LIMITED] = "limited", [BROKEN] = "broken"};

	for (size_t i = 0; i < examination->count; i++) {
		const struct finding *finding = &examination->findings[i];

		printf("%-8s %-20s %s\n", words[finding->verdict], finding->what, finding->text);
		if (finding->hint[0] != '\0')
			printf("%-8s %-20s %s\n", "", "  hint:", finding->hint);
	}
}

static int print_findings_json(const struct examination *examination, struct caisson_error *err)
{
	static const char *const words[] = {
		[GOOD] = "ok", [LIMITED] = "limited", [BROKEN] = "broken"};
	_cleanup_json_ struct json_object *array = json_object_new_array();

	for (size_t i = 0; array != NULL && i < examination->count; i++) {
		const struct finding *finding = &examination->findings[i];
		_cleanup_json_ struct json_object *object = json_object_new_object();

		if (object == NULL || !json_set_string(object, "check", finding->what) ||
			!json_set_string(object, "verdict", words[finding->verdict]) ||
			!json_set_string(object, "text", finding->text) ||
			!json_set_string(object, "hint", finding->hint) ||
			!json_append(array, take_ptr(object)))
			return caisson_fail(err, ENOMEM, "print JSON");
	}
	return cli_print_json(array, err);
}

enum { JSON };

static const struct cli_option options[] = {
	[JSON] = {"json", '\0', CLI_FLAG, NULL, "print JSON", NULL},
	{.name = NULL},
};

static int run(struct cli_context *context, struct caisson_error *err)
{
	struct examination examination = {
		.state = caisson_state(context->caisson), .log = &context->log};
	int r = 0, broken = 0;

	examine_programs(&examination);
	examine_guest(&examination);
	examine_kernel(&examination);
	examine_accelerator(&examination);
	examine_state(&examination);
	examine_volumes(&examination);
	examine_limits(&examination);
	kernel_done(&examination.kernel);
	if (cli_has(context, JSON))
		r = print_findings_json(&examination, err);
	else
		print_findings(&examination);
	for (size_t i = 0; i < examination.count; i++)
		broken |= examination.findings[i].verdict == BROKEN;
	return r < 0 ? r : broken;
}

const struct cli_command command_doctor = {
	.name = "doctor",
	.summary = "check whether this host has what machines need",
	.details =
		"Ends with status 1 when something is broken; what is limited works, but slower or\n"
		"without a feature.\n",
	.options = options,
	.needs_state = true,
	.run = run,
};
