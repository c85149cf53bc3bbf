/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What console logs are explained by: captured ones, and a line for every rule. */
#include "test.h"

#include <errno.h>

#include "base/io.h"
#include "kernel/explain.h"
#include "kernel/explain_rules.h"

static void explain(const char *text, size_t size, struct explanation *explanation)
{
	struct caisson_error err = {0};

	assert_ok(explain_log(text, size, explanation, &err), &err);
}

static const struct explain_finding *find(const struct explanation *explanation, const char *rule)
{
	for (size_t i = 0; i < explanation->count; i++) {
		if (strcmp(explanation->findings[i].rule, rule) == 0)
			return &explanation->findings[i];
	}
	return NULL;
}

/* Logs of real machines, with the lines left out that say nothing here. NULL: nothing wrong. */
static const struct {
	const char *file, *first, *second;
} logs[] = {
	{"good", NULL, NULL},
	{"good-quiet", NULL, NULL},
	{"no-initramfs", "root-no-initramfs", NULL},
	{"initramfs-unknown", "initramfs-unknown", NULL},
	{"initramfs-cut", "initramfs-damaged", "init-cut"},
	{"initramfs-xz-check", "initramfs-xz-check", NULL},
	{"initramfs-full", "initramfs-full", NULL},
	{"initramfs-no-init", "root-no-init", NULL},
	{"initramfs-no-xz", "initramfs-no-xz", NULL},
	{"root-filesystem", "root-filesystem", NULL},
	{"memory-deadlock", "memory-deadlock", NULL},
	{"rdinit-wrong", "root-rdinit-wrong", NULL},
	{"root-no-driver", "root-no-driver", NULL},
	{"init-no-interpreter", "init-not-there", NULL},
	{"init-no-loader", "init-not-there", NULL},
	{"init-format", "init-format", NULL},
	{"init-mode", "init-mode", NULL},
	{"init-cut", "init-cut", NULL},
	{"init-ended", "init-ended", NULL},
	{"init-segfault", "init-segfault", NULL},
	{"init-illegal", "processor-instruction", NULL},
	{"mounts", "mount-no-filesystem", NULL},
	{"modules", "module-signature", "module-symbol"},
	{"device-mapper", "dm-missing", "dm-no-crypt"},
	{"no-console", "silent-setup", NULL},
	{"console-changed", "hang-console", NULL},
	{"hang", "hang-no-clock", NULL},
	{"halted", "reboot-halted", NULL},
	{"restart-hangs", "reboot-hang", NULL},
	{"qemu-no-pvh", "qemu-no-pvh", NULL},
	{"qemu-no-kernel", "qemu-no-file", NULL},
	{"qemu-no-initrd", "qemu-no-initrd", NULL},
};

static void test_real(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(logs); i++) {
		_cleanup_free_ char *path = format_string(
			"%s/tests/data/console/%s.log", getenv("CAISSON_SOURCE"), logs[i].file);
		_cleanup_explanation_ struct explanation explanation = EXPLANATION_NONE;
		_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
		size_t wanted = (logs[i].first != NULL) + (size_t)(logs[i].second != NULL);
		struct caisson_error err = {0};

		assert_ok(read_file(path, 1 << 20, &text, &err), &err);
		explain(text.data, text.size, &explanation);
		if (explanation.count < wanted)
			fail_msg("%s: %zu findings", logs[i].file, explanation.count);
		assert_int_equal(
			explanation.verdict, wanted > 0 ? EXPLAIN_EXPLAINED : EXPLAIN_FINE);
		if (wanted > 0)
			assert_string_equal(explanation.findings[0].rule, logs[i].first);
		else
			assert_int_equal(explanation.count, 0);
		if (wanted > 1)
			assert_string_equal(explanation.findings[1].rule, logs[i].second);
	}
}

#define BANNER "[    0.000000] Linux version 6.1.0 (x@y)\n"
#define ROOT \
	"[    2.0] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n"
#define KILLED "[    2.0] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100\n"
#define INIT   "[    1.0] Run /init as init process\n"
#define UNPACK "[    0.5] Initramfs unpacking failed: "
#define FATAL  INIT "caisson-init: fatal: "

/* Of every rule that no captured log shows. */
static const struct {
	const char *rule, *log, *words;
} examples[] = {
	{"qemu-no-file", "qemu: could not load kernel '/x': Invalid argument\n", "/x"},
	{"qemu-no-initrd", "qemu: could not load initrd '/y'\n", "/y"},
	{"qemu-initrd-large", "qemu: initrd is too large, cannot support.(max: 5, need 6)\n", NULL},
	{"qemu-no-kvm", "Could not access KVM kernel module: Permission denied\n",
		"Permission denied"},
	{"qemu-no-memory", "qemu-system-x86_64: cannot set up guest memory 'ram': x\n", NULL},
	{"qemu-vsock-taken",
		"qemu-system-x86_64: -device vhost-vsock-pci: vhost-vsock: unable to set guest cid: "
		"Address already in use\n",
		"Address already in use"},
	{"setup-wrong-processor",
		"Unable to boot - please use a kernel appropriate for your CPU.\n", NULL},
	{"setup-halted", "ZSTD-compressed data is corrupt\n\n -- System halted", NULL},
	{"pvh-no-memory-map", "Error: Could not find memory map\n", NULL},
	{"initramfs-no-zstd", BANNER UNPACK "compression method zstd not configured\n" ROOT,
		"zstd"},
	{"initramfs-no-gzip", BANNER UNPACK "compression method gzip not configured\n" ROOT, NULL},
	{"initramfs-no-xz", BANNER UNPACK "compression method xz not configured\n" ROOT, NULL},
	{"initramfs-no-lz4", BANNER UNPACK "compression method lz4 not configured\n" ROOT, NULL},
	{"initramfs-no-lzma", BANNER UNPACK "compression method lzma not configured\n" ROOT, NULL},
	{"initramfs-no-lzo", BANNER UNPACK "compression method lzo not configured\n" ROOT, NULL},
	{"initramfs-no-bzip2", BANNER UNPACK "compression method bzip2 not configured\n" ROOT,
		NULL},
	{"initramfs-window",
		BANNER UNPACK "ZSTD-compressed data has too large a window size\n" ROOT, NULL},
	{"initramfs-cpio", BANNER UNPACK "incorrect cpio method used: use -H newc option\n" ROOT,
		NULL},
	{"initramfs-damaged", BANNER UNPACK "junk within compressed archive\n" ROOT,
		"junk within compressed archive"},
	{"initramfs-as-disk",
		BANNER "[    0.5] rootfs image is not initramfs (no cpio magic); looks like an "
		       "initrd\n" ROOT,
		"no cpio magic"},
	{"initramfs-no-rdinit",
		BANNER "[    0.9] check access for rdinit=/boot/x failed: -2, ignoring\n" ROOT,
		"/boot/x"},
	{"root-no-init", BANNER "[    0.5] Unpacking initramfs...\n" ROOT, NULL},
	{"root-filesystem",
		BANNER
		"[    1.0] VFS: Cannot open root device \"vda\" or unknown-block(254,0): error "
		"-19\n[    1.0] Kernel panic - not syncing: VFS: Unable to mount root fs on "
		"unknown-block(254,0)\n",
		"vda"},
	{"root-filesystem",
		BANNER "[    1.0] Kernel panic - not syncing: VFS: Unable to mount root fs on "
		       "unknown-block(254,1)\n",
		"254,1"},
	/* As of 6.6. */
	{"root-no-initramfs",
		BANNER
		"[    1.0] Kernel panic - not syncing: VFS: Unable to mount root fs on \"\" or "
		"unknown-block(0,0)\n",
		NULL},
	{"root-filesystem",
		BANNER "[    1.0] Kernel panic - not syncing: VFS: Unable to mount root fs on "
		       "\"/dev/vda\" or unknown-block(254,0)\n",
		"254,0"},
	{"root-driver-loaded",
		BANNER
		"[    0.5] virtio_blk virtio0: [vda] 9 512-byte logical blocks\n[    1.0] VFS: "
		"Cannot open root device \"sda\" or unknown-block(0,0): error -6\n" ROOT,
		"sda"},
	{"root-no-device", BANNER INIT "Gave up waiting for root file system device.\n", NULL},
	{"root-no-device", BANNER INIT "ALERT!  /dev/vdb does not exist.  Dropping to a shell!\n",
		"/dev/vdb"},
	{"root-no-device", BANNER INIT "dracut-initqueue[1]: Warning: dracut-initqueue timeout\n",
		NULL},
	{"init-memory", BANNER INIT "[    1.0] Failed to execute /init (error -12)\n", "/init"},
	{"init-failed", BANNER INIT "[    1.0] Failed to execute /init (error -5)\n", "error 5"},
	{"init-named",
		BANNER
		"[    1.0] Kernel panic - not syncing: Requested init /x failed (error -2).\n",
		"/x"},
	{"init-none", BANNER "[    1.0] Kernel panic - not syncing: No working init found.  Try\n",
		NULL},
	{"init-no-console",
		BANNER "[    0.9] Warning: unable to open an initial console.\n" INIT KILLED, NULL},
	{"guest-squashfs", FATAL "mount /dev/vda (squashfs) on /lower: No such device\n", NULL},
	{"guest-overlay", FATAL "mount overlay (overlay) on /newroot: No such device\n", NULL},
	{"guest-tmpfs", FATAL "mount tmpfs (tmpfs) on /run: No such device\n", NULL},
	{"guest-devtmpfs", FATAL "mount dev (devtmpfs) on /dev: No such device\n", NULL},
	{"guest-proc", FATAL "mount proc (proc) on /proc: No such device\n", NULL},
	{"guest-sysfs", FATAL "mount sysfs (sysfs) on /sys: No such device\n", NULL},
	{"guest-ext4", FATAL "mount the volume data: No such device\n", NULL},
	{"guest-events",
		FATAL "open a socket for the kernel's device events: Function not implemented\n",
		NULL},
	{"guest-module-signature",
		FATAL "load the kernel module /modules/01-x.ko: Key was rejected by service\n",
		"01-x.ko"},
	{"guest-module-format",
		FATAL "load the kernel module /modules/01-x.ko: Exec format error\n", "01-x.ko"},
	{"guest-module-symbol",
		FATAL "load the kernel module /modules/01-x.ko: No such file or directory\n",
		"01-x.ko"},
	{"guest-disk", FATAL "the virtio disk 'image' did not appear within 10 s\n", "image"},
	{"guest-port", FATAL "the virtio port 'x.machine' did not appear within 10 s\n",
		"virtio port x.machine"},
	{"guest-no-vsock", FATAL "open a vsock: Address family not supported by protocol\n", NULL},
	{"guest-no-vsock-device", FATAL "connect to the host's vsock port 5: No such device\n",
		NULL},
	{"guest-fatal", FATAL "the key service does not know this start\n",
		"the key service does not know this start"},
	{"dm-no-integrity",
		INIT "[    1.0] device-mapper: table: 254:0: integrity: unknown target type\n",
		NULL},
	{"dm-no-target", INIT "[    1.0] device-mapper: table: 254:0: cache: unknown target type\n",
		"cache"},
	{"dm-crypt-unsupported",
		INIT "Failed to setup dm-crypt key mapping.\nCheck that kernel supports "
		     "aes-xts-plain64 cipher (check syslog for more info).\n",
		"aes-xts-plain64"},
	{"dm-verity-damage",
		INIT "[    1.0] device-mapper: verity: 254:16: data block 0 is corrupted\n",
		"data block 0"},
	{"mount-ext4", INIT "mount: /mnt: unknown filesystem type 'ext4'.\n", "ext4"},
	{"mount-squashfs", INIT "mount: /mnt: unknown filesystem type 'squashfs'.\n", NULL},
	{"mount-overlay", INIT "mount: /mnt: unknown filesystem type 'overlay'.\n", NULL},
	{"mount-xfs", INIT "mount: /mnt: unknown filesystem type 'xfs'.\n", NULL},
	{"mount-btrfs", INIT "mount: /mnt: unknown filesystem type 'btrfs'.\n", NULL},
	{"mount-erofs", INIT "mount: /mnt: unknown filesystem type 'erofs'.\n", NULL},
	{"mount-virtiofs", INIT "mount: /mnt: unknown filesystem type 'virtiofs'.\n", NULL},
	{"mount-devtmpfs", INIT "mount: /dev: unknown filesystem type 'devtmpfs'.\n", NULL},
	{"mount-unknown", INIT "mount: /mnt: unknown filesystem type 'zfs'.\n", "zfs"},
	{"squashfs-compression",
		INIT "[    1.0] SQUASHFS error: Filesystem uses \"zstd\" compression. This is not "
		     "supported\n",
		NULL},
	{"squashfs-compression",
		INIT "[    1.0] SQUASHFS error: Filesystem uses \"lzo\" compression. This is not "
		     "supported\n",
		"lzo"},
	{"ext4-crc32c", INIT "[    1.0] EXT4-fs (dm-0): Cannot load crc32c driver.\n", NULL},
	{"ext4-features",
		INIT
		"[    1.0] EXT4-fs (dm-0): couldn't mount RDWR because of unsupported optional "
		"features (10000)\n",
		"(10000)"},
	{"module-version", INIT "[    1.0] x: version magic '6.1.0 SMP' should be '6.6.0 SMP'\n",
		"6.6.0 SMP"},
	{"module-version",
		INIT "insmod: ERROR: could not insert module x.ko: Invalid module format\n", NULL},
	{"module-version", INIT "[    1.0] x: disagrees about version of symbol printk\n",
		"printk"},
	{"module-signature", INIT "[    1.0] Loading of unsigned module is rejected\n",
		"unsigned module"},
	{"module-missing",
		INIT "modprobe: FATAL: Module xts not found in directory /lib/modules/6\n" KILLED,
		"xts"},
	{"module-missing", INIT "modprobe: can't load module xts (x.ko): x\n" KILLED, "xts"},
	{"virtio-probe",
		BANNER "[    0.5] virtio_blk: probe of virtio0 failed with error -2\n" ROOT,
		"virtio0"},
	{"virtio-probe",
		INIT "[    0.5] virtio_net: probe of virtio1 failed with error -22\n" KILLED,
		"virtio1"},
	{"memory-panic",
		INIT
		"[    1.0] Kernel panic - not syncing: Out of memory: system-wide panic_on_oom is "
		"enabled\n",
		NULL},
	{"memory-killed",
		INIT "[    1.0] Out of memory: Killed process 77 (x) total-vm:1kB\n" KILLED,
		"77 (x)"},
	{"space", INIT "cp: error writing '/x': No space left on device\n" KILLED, NULL},
	{"processor-level", INIT "Fatal glibc error: CPU does not support x86-64-v2\n" KILLED,
		"x86-64-v2"},
	{"processor-level", INIT "x: libc.so.6: CPU ISA level is lower than required\n" KILLED,
		NULL},
	{"processor-instruction", INIT "Illegal instruction\n" KILLED, NULL},
	{"processor-kernel",
		BANNER "[    0.5] invalid opcode: 0000 [#1] PREEMPT SMP\n[    0.5] Kernel "
		       "panic - not syncing: Fatal exception\n",
		NULL},
	{"timer",
		BANNER
		"[    0.5] Kernel panic - not syncing: IO-APIC + timer doesn't work!  Boot\n",
		NULL},
	{"library",
		INIT "/init: error while loading shared libraries: libx.so.1: cannot open shared "
		     "object file: No such file or directory\n" KILLED,
		"libx.so.1"},
	{"library",
		INIT "Error loading shared library libx.so.1: No such file or directory (needed "
		     "by /init)\n" KILLED,
		"libx.so.1"},
	{"command", INIT "/init: line 3: cryptsetup: not found\n" KILLED, "cryptsetup"},
	{"init-illegal",
		INIT "[    1.0] Kernel panic - not syncing: Attempted to kill init! "
		     "exitcode=0x00000004\n",
		NULL},
	{"init-bus",
		INIT "[    1.0] Kernel panic - not syncing: Attempted to kill init! "
		     "exitcode=0x00000007\n",
		NULL},
	{"init-abort",
		INIT "[    1.0] Kernel panic - not syncing: Attempted to kill init! "
		     "exitcode=0x00000006\n",
		NULL},
	{"init-killed",
		INIT "[    1.0] Kernel panic - not syncing: Attempted to kill init! "
		     "exitcode=0x00000009\n",
		NULL},
	{"init-not-found",
		INIT "[    1.0] Kernel panic - not syncing: Attempted to kill init! "
		     "exitcode=0x00007f00\n",
		NULL},
	{"init-ended",
		INIT "[    1.0] Kernel panic - not syncing: Attempted to kill init! "
		     "exitcode=0x00002a00\n",
		"status 42"},
	{"init-signal",
		INIT "[    1.0] Kernel panic - not syncing: Attempted to kill init! "
		     "exitcode=0x0000001f\n",
		"signal 31"},
	{"selinux",
		BANNER "[    1.0] Kernel panic - not syncing: SELinux: Could not set enforcing\n",
		"Could not set enforcing"},
	{"selinux-denied", INIT "[    1.0] audit: avc:  denied  { read } for  pid=1\n" KILLED,
		NULL},
	{"lockdown",
		INIT "[    1.0] Lockdown: insmod: unsigned module loading is restricted; see man "
		     "kernel_lockdown.7\n" KILLED,
		"insmod: unsigned module loading"},
	{"random", INIT "[    1.0] random: x: uninitialized urandom read (16 bytes read)\n" KILLED,
		NULL},
	{"stall",
		BANNER
		"[    9.0] rcu: INFO: rcu_preempt self-detected stall on CPU\n[   10.0] Kernel "
		"panic - not syncing: RCU Stall\n",
		NULL},
	{"stall",
		BANNER
		"[    9.0] watchdog: BUG: soft lockup - CPU#0 stuck for 22s!\n[   10.0] Kernel "
		"panic - not syncing: softlockup: hung tasks\n",
		NULL},
	{"silent", "", NULL},
	{"silent", "\r\n\n \x1b[2J\n", NULL},
	{"silent-firmware", "SeaBIOS (version 1.16)\nBooting from ROM..\n", NULL},
	{"silent-firmware", "\x1b[2JSeaBIOS (version 1.16)\n", NULL},
	{"hang-clock", BANNER "[    0.0] tsc: Fast TSC calibration failed\n", NULL},
	{"hang-clock", BANNER "[    0.9] clocksource: Switched to clocksource x\n", NULL},
	{"hang-random", BANNER "[    0.9] random: get_random_bytes called from x\n", NULL},
	{"hang", BANNER "[    0.9] NET: Registered PF_UNIX protocol family\n", NULL},
};

static void test_every_rule(void **state _unused_)
{
	size_t count;
	const struct explain_rule *rules = explain_rules(&count);

	for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
		_cleanup_explanation_ struct explanation explanation = EXPLANATION_NONE;
		const struct explain_finding *finding;

		explain(examples[i].log, strlen(examples[i].log), &explanation);
		finding = find(&explanation, examples[i].rule);
		if (finding == NULL || explanation.verdict != EXPLAIN_EXPLAINED)
			fail_msg("%s is not found in: %s", examples[i].rule, examples[i].log);
		if (examples[i].words != NULL && strstr(finding->means, examples[i].words) == NULL)
			fail_msg("'%s' is not in: %s", examples[i].words, finding->means);
		if (strchr(finding->means, '%') != NULL)
			fail_msg("not filled in: %s", finding->means);
	}
	for (size_t i = 0; i < count; i++) {
		bool shown = false;

		for (size_t k = 0; !shown && k < ARRAY_SIZE(examples); k++)
			shown = strcmp(examples[k].rule, rules[i].id) == 0;
		for (size_t k = 0; !shown && k < ARRAY_SIZE(logs); k++)
			shown = (logs[k].first != NULL &&
					strcmp(logs[k].first, rules[i].id) == 0) ||
				(logs[k].second != NULL &&
					strcmp(logs[k].second, rules[i].id) == 0) ||
				strcmp(rules[i].id, "dm-no-verity") == 0 ||
				strcmp(rules[i].id, "dm-cipher") == 0;
		if (!shown)
			fail_msg("no log shows the rule %s", rules[i].id);
	}
}

/* What is to be mended has a reason; an end has a group. */
static void test_table(void **state _unused_)
{
	size_t count;
	const struct explain_rule *rules = explain_rules(&count);

	for (size_t i = 0; i < count; i++) {
		assert_true(rules[i].kind != RULE_END || rules[i].group != NULL);
		for (size_t k = 0; k < EXPLAIN_MENDS_MOST; k++) {
			const struct explain_mend *mend = &rules[i].mends[k];

			if (mend->kind == EXPLAIN_ARGUMENT)
				assert_non_null(mend->reason);
			if (mend->kind == EXPLAIN_OPTION)
				assert_memory_equal(mend->what, "CONFIG_", 7);
		}
	}
	/* Those without a reason of their own have the one of the requirement. */
	for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
		_cleanup_explanation_ struct explanation explanation = EXPLANATION_NONE;

		explain(examples[i].log, strlen(examples[i].log), &explanation);
		for (size_t k = 0; k < explanation.count; k++) {
			const struct explain_finding *finding = &explanation.findings[k];

			for (size_t m = 0; m < finding->mend_count; m++) {
				if (finding->mends[m].kind == EXPLAIN_OPTION &&
					finding->mends[m].reason == NULL)
					fail_msg("%s: no reason for %s", finding->rule,
						finding->mends[m].what);
			}
		}
	}
}

static void expect(const char *log, enum explain_verdict verdict, const char *rule)
{
	_cleanup_explanation_ struct explanation explanation = EXPLANATION_NONE;

	explain(log, strlen(log), &explanation);
	if (explanation.verdict != verdict)
		fail_msg("verdict %d of: %s", explanation.verdict, log);
	if (rule != NULL)
		assert_non_null(find(&explanation, rule));
	else
		assert_int_equal(explanation.count, 0);
}

static void test_verdicts(void **state _unused_)
{
	/* A panic, or a fault, that nobody knows. */
	expect(BANNER "[    1.0] Kernel panic - not syncing: Fatal exception\n",
		EXPLAIN_UNEXPLAINED, NULL);
	expect(BANNER INIT "[    1.0] BUG: unable to handle page fault for address: 0\n",
		EXPLAIN_UNEXPLAINED, NULL);
	/* No kernel's. */
	expect("To be, or not to be\n", EXPLAIN_UNEXPLAINED, NULL);
	/* What programs print is worth knowing, and no failure. */
	expect(BANNER INIT "x: No space left on device\n", EXPLAIN_FINE, "space");
	/* It says nothing of an unknown panic. */
	expect(BANNER
		"[    0.9] random: x: uninitialized urandom read\n[    1.0] Kernel panic - not "
		"syncing: Fatal exception\n",
		EXPLAIN_UNEXPLAINED, "random");
	/* Harmless. */
	expect(BANNER "[    0.1] ACPI BIOS Error (bug): x\n[    0.2] ACPI Error: AE_NOT_FOUND\n"
		      "[    0.3] KASLR disabled: 'nokaslr' on cmdline.\n"
		      "[    0.4] x: module verification failed: signature and/or required key "
		      "missing - tainting kernel\n" INIT,
		EXPLAIN_FINE, NULL);
	/* A root device that is not named. */
	expect(BANNER "[    1.0] VFS: Cannot open root device \"\" or unknown-block(0,0)\n" ROOT,
		EXPLAIN_EXPLAINED, "root-no-initramfs");
}

static void test_boots(void **state _unused_)
{
	_cleanup_explanation_ struct explanation explanation = EXPLANATION_NONE;
	_cleanup_explanation_ struct explanation second = EXPLANATION_NONE;
	/* A program shows /proc/version, which begins no boot. */
	static const char text[] = BANNER ROOT BANNER INIT "Linux version 6.1.0 (x@y)\n" KILLED;
	static const char good[] = BANNER ROOT BANNER INIT;

	explain(text, strlen(text), &explanation);
	assert_int_equal(explanation.boots, 2);
	assert_int_equal(explanation.count, 1);
	assert_string_equal(explanation.findings[0].rule, "init-ended");
	assert_int_equal(explanation.findings[0].line, 6);
	assert_int_equal(explanation.panic_line, 6);
	explain(good, strlen(good), &second);
	assert_int_equal(second.verdict, EXPLAIN_FINE);
	assert_null(second.panic_text);
}

static void expect_line(const char *text, size_t size, const char *wanted, const char *body)
{
	struct explain_lines lines = explain_lines(text, size);
	struct explain_line line;

	assert_true(explain_next(&lines, &line));
	assert_string_equal(line.text, wanted);
	assert_string_equal(line.text + line.body, body);
}

#define EXPECT_LINE(text, wanted, body) expect_line(text, sizeof(text) - 1, wanted, body)

static void test_lines(void **state _unused_)
{
	struct explain_lines lines = explain_lines("a\r\nb\rc\n\nd", 9);
	static const unsigned long numbers[] = {1, 1, 2, 2, 3, 4};
	struct explain_line line;

	/* "\r\n" is two ends, of which one counts. */
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		assert_true(explain_next(&lines, &line));
		assert_int_equal(line.line, numbers[i]);
	}
	assert_string_equal(line.text, "d");
	assert_false(explain_next(&lines, &line));

	EXPECT_LINE("[    1.234567] x", "[    1.234567] x", "x");
	EXPECT_LINE("<6>[ 1.2][   T77] x", "<6>[ 1.2][   T77] x", "x");
	EXPECT_LINE("[    1.2] [C3] x", "[    1.2] [C3] x", "x");
	EXPECT_LINE("[ok] x", "[ok] x", "[ok] x");
	EXPECT_LINE("[12] x", "[12] x", "[12] x");
	EXPECT_LINE("[", "[", "[");
	EXPECT_LINE("<6", "<6", "<6");
	EXPECT_LINE("\x1b[1;31mred\x1b[0m", "red", "red");
	EXPECT_LINE("\x1b]0;title\x07x\x1bP1$r\x1b\\y\x1b(Bz", "xyBz", "xyBz");
	EXPECT_LINE("a\0b\x07\x08\tc\x7f", "ab c", "ab c");
	EXPECT_LINE("x\x1b", "x", "x");
	EXPECT_LINE("x\x1b[", "x", "x");
	EXPECT_LINE("x\x1b]never ends", "x", "x");
}

static bool matches(const char *pattern, const char *text, const char *first)
{
	struct explain_capture captures[EXPLAIN_CAPTURES];
	struct explain_lines lines = explain_lines(text, strlen(text));
	struct explain_line line;
	bool yes;

	assert_true(explain_next(&lines, &line));
	yes = explain_match(pattern, &line, captures);
	if (yes && first != NULL) {
		assert_int_equal(captures[0].size, strlen(first));
		assert_memory_equal(captures[0].at, first, strlen(first));
	}
	return yes;
}

static void test_patterns(void **state _unused_)
{
	assert_true(matches("b*d", "abcde", "c"));
	assert_true(matches("^a*", "[    1.0] abc", "bc"));
	assert_true(matches("b*", "ab", ""));
	assert_true(matches("", "x", NULL));
	assert_false(matches("^b", "ab", NULL));
	assert_false(matches("a*b", "ab", NULL));
	assert_false(matches("\"*\"", "\"(null)\"", NULL));
	assert_false(matches("\"*\"", "\"\"", NULL));
	assert_true(matches("a*c*e", "a-b-c-d-e", "-b-"));
	assert_false(matches("a*e*c", "a-b-c-d-e", NULL));
}

/* Whatever a guest prints: nothing of it reaches a terminal as more than text. */
static void test_hostile(void **state _unused_)
{
	_cleanup_explanation_ struct explanation explanation = EXPLANATION_NONE;
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

	strbuf_add_string(&text, BANNER INIT "caisson-init: fatal: \x1b[31m\xc2\x9b"
					     "2J\xff\xfe %s %n ");
	for (int i = 0; i < 100000; i++)
		strbuf_add_string(&text, "long ");
	explain(text.data, text.size, &explanation);
	assert_int_equal(explanation.count, 1);
	for (const char *p = explanation.findings[0].text; *p != '\0'; p++)
		assert_false((unsigned char)*p < 0x20);
	assert_null(strstr(explanation.findings[0].text, "\xc2\x9b"));
	assert_null(strchr(explanation.findings[0].text, '\xff'));
	assert_true(strlen(explanation.findings[0].text) < 300);
	assert_true(strlen(explanation.findings[0].means) < 600);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real),
		cmocka_unit_test(test_every_rule),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_boots),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
