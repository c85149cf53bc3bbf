/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <errno.h>

#include "machine/console.h"
#include "machine/qemu.h"

static struct qemu_machine example(void)
{
	return (struct qemu_machine){.name = "web-1",
		.microvm = true,
		.memory = 512ull << 20,
		.processors = 2,
		.kernel = "/proc/self/fd/3",
		.initramfs = 4,
		.command_line = "quiet",
		.console = 5,
		.channel = 6,
		.key_channel = 7,
		.disks = {{8, true, "caisson-image"}, {9, false, "caisson-volume-0"}},
		.disk_count = 2,
		.network = true};
}

/* Whether @value follows @option somewhere. */
static bool has(const struct strv *arguments, const char *option, const char *value)
{
	for (size_t i = 0; i + 1 < arguments->count; i++) {
		if (strcmp(arguments->items[i], option) == 0 &&
			strcmp(arguments->items[i + 1], value) == 0)
			return true;
	}
	return false;
}

static void test_microvm(void **state _unused_)
{
	struct qemu_machine machine = example();
	_cleanup_strv_ struct strv arguments = STRV_INIT;
	struct caisson_error err = {0};
	int fds[QEMU_DISKS_MOST + 5];

	assert_ok(qemu_arguments(&machine, &arguments, &err), &err);
	assert_string_equal(arguments.items[0], QEMU_PROGRAM);
	assert_true(has(&arguments, "-accel", "tcg,thread=multi"));
	assert_true(has(&arguments, "-m", "524288k"));
	assert_true(has(&arguments, "-initrd", "/proc/self/fd/4"));
	assert_true(has(&arguments, "-add-fd", "set=2,fd=9"));
	assert_true(has(&arguments, "-device",
		"virtio-blk-device,drive=disk1,serial=caisson-volume-0,werror=report,"
		"rerror=report"));
	assert_true(
		has(&arguments, "-device", "virtserialport,chardev=channel1,name=org.caisson.key"));
	assert_true(has(&arguments, "-device", "virtio-net-device,netdev=net"));
	assert_int_equal(qemu_descriptors(&machine, fds), 6);
	for (size_t i = 0; i < arguments.count; i++)
		assert_null(strstr(arguments.items[i], "-pci"));
}

static void test_q35_and_vsock(void **state _unused_)
{
	struct qemu_machine machine = example();
	_cleanup_strv_ struct strv arguments = STRV_INIT;
	struct caisson_error err = {0};

	machine.microvm = false;
	machine.kvm = true;
	machine.vsock_cid = 77;
	machine.vhost_vsock = 11;
	machine.channel = machine.key_channel = -1;
	machine.network = false;
	assert_ok(qemu_arguments(&machine, &arguments, &err), &err);
	assert_true(has(&arguments, "-device", "vhost-vsock-pci,guest-cid=77,vhostfd=11"));
	assert_true(has(&arguments, "-cpu", "host"));
	for (size_t i = 0; i < arguments.count; i++) {
		assert_null(strstr(arguments.items[i], "virtserialport"));
		assert_null(strstr(arguments.items[i], "netdev"));
	}
}

/* QEMU 7.2 falls over a second object of this name. */
static void test_no_object_is_called_machine(void **state _unused_)
{
	struct qemu_machine machine = example();
	_cleanup_strv_ struct strv arguments = STRV_INIT;
	struct caisson_error err = {0};

	assert_ok(qemu_arguments(&machine, &arguments, &err), &err);
	for (size_t i = 0; i < arguments.count; i++) {
		assert_null(strstr(arguments.items[i], "id=machine,"));
		assert_null(strstr(arguments.items[i], "node-name=machine,"));
	}
}

static void test_publish(void **state _unused_)
{
	static const struct {
		const char *given, *made;
	} cases[] = {
		{"8080:80", "user,id=net,ipv6=off,hostfwd=tcp:127.0.0.1:8080-:80"},
		{"0.0.0.0:53:5353/udp", "user,id=net,ipv6=off,hostfwd=udp:0.0.0.0:53-:5353"},
		{"1.2.3.4:1:65535/tcp", "user,id=net,ipv6=off,hostfwd=tcp:1.2.3.4:1-:65535"},
		{"80", NULL},
		{"0:80", NULL},
		{"80:65536", NULL},
		{"80:80/sctp", NULL},
		{"80:80,guestfwd=tcp:1.2.3.4:5-cmd:reboot", NULL},
		{"host:80:80", NULL},
		{"::80", NULL},
		{"", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct qemu_machine machine = example();
		_cleanup_strv_ struct strv arguments = STRV_INIT;
		struct caisson_error err = {0};

		machine.publish = &cases[i].given;
		machine.publish_count = 1;
		if (cases[i].made == NULL) {
			assert_refused(qemu_arguments(&machine, &arguments, &err), &err, EINVAL);
			continue;
		}
		assert_ok(qemu_arguments(&machine, &arguments, &err), &err);
		assert_true(has(&arguments, "-netdev", cases[i].made));
	}
}

static void explain(const char *text, size_t size, const char *wanted)
{
	struct console console;
	struct caisson_error err = {0};

	console_init(&console, -1);
	strbuf_add(&console.tail, text, size);
	assert_refused(console_explain(&console, false, &err), &err, EIO);
	assert_string_equal(err.message, wanted);
	console_done(&console);
}

static void test_console_explains(void **state _unused_)
{
	static const char panic[] =
		"[ 1.0] x\r\n[ 1.1] Kernel panic - not syncing: no init\r\n[ 1.2] y";
	static const char fatal[] =
		"a\0b caisson-init: fatal: first\ncaisson-init: fatal: load it\r\nKernel panic - not "
		"syncing: z";

	explain(panic, sizeof(panic) - 1,
		"the guest's kernel gave up: Kernel panic - not syncing: no init");
	explain(fatal, sizeof(fatal) - 1, "load it");
	explain("", 0, "the guest ended before it said its first word");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_microvm),
		cmocka_unit_test(test_q35_and_vsock),
		cmocka_unit_test(test_no_object_is_called_machine),
		cmocka_unit_test(test_publish),
		cmocka_unit_test(test_console_explains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
