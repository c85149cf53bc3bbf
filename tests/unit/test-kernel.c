/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-fixture.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/strbuf.h"
#include "kernel/config.h"
#include "kernel/find.h"
#include "kernel/image.h"
#include "kernel/kernel.h"

static void test_release_order(void **state _unused_)
{
	static const char *const order[] = {"4.19.0-27-amd64", "5.10.0-9-cloud-amd64",
		"5.10.0-32-cloud-amd64", "6.1.0-9-cloud-amd64", "6.1.0-56-cloud-amd64", "6.1.9",
		"6.1.10", "6.2.0-rc1", "6.2.0-rc10", "6.2.0", "6.10.0", "10.0.0"};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(order); k++) {
			int r = kernel_release_compare(order[i], order[k]);

			assert_true(i < k ? r < 0 : i > k ? r > 0 : r == 0);
		}
	}
	assert_true(kernel_release_valid("6.1.0-56-cloud-amd64"));
	assert_true(kernel_release_valid("6.1.0+"));
	assert_false(kernel_release_valid(""));
	assert_false(kernel_release_valid("../6.1"));
	assert_false(kernel_release_valid("6.1/../x"));
	assert_false(kernel_release_valid("%s"));
}

static void test_config(void **state _unused_)
{
	static const char text[] =
		"CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=m\nCONFIG_D=\"y\"\n"
		"CONFIG_E=y\r\nXCONFIG_F=y\nCONFIG_G=y\nCONFIG_G=n\nCONFIG_H=\n"
		"CONFIG_I=y\n# CONFIG_I is not set\n# CONFIG_J is not set\nCONFIG_J=y\n"
		"CONFIG_K=y\n# CONFIG_K is not set in ours\n## CONFIG_K is not set\n"
		"CONFIG_LAST=y";
	static const struct {
		const char *option;
		char value;
	} cases[] = {{"CONFIG_A", 'y'}, {"CONFIG_B", 'n'}, {"CONFIG_C", 'm'}, {"CONFIG_D", 's'},
		{"CONFIG_E", 'y'}, {"CONFIG_F", 'n'}, {"CONFIG_G", 'n'}, {"CONFIG_H", 's'},
		{"CONFIG_I", 'n'}, {"CONFIG_J", 'y'}, {"CONFIG_K", 'y'}, {"CONFIG_LAST", 'y'},
		{"CONFIG_", 'n'}, {"CONFIG_ABSENT", 'n'}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(
			kernel_config_value(text, strlen(text), cases[i].option), cases[i].value);
	assert_int_equal(kernel_config_value("CONFIG_A=y", 9, "CONFIG_A"), 's');
	assert_int_equal(kernel_config_value(NULL, 0, "CONFIG_A"), 'n');
}

static void test_module_names(void **state _unused_)
{
	static const char dep[] = "kernel/drivers/md/dm-crypt.ko: kernel/drivers/md/dm-mod.ko\n"
				  "kernel/fs/ext4/ext4.ko.xz:\nxts.ko.zst:\nkernel/a/b.kox:\n"
				  "kernel/last.ko";
	static const char *const there[] = {"dm_crypt", "dm-crypt", "ext4", "xts", "last"};
	static const char *const absent[] = {"dm_mod", "dm", "crypt", "b", "ext", "as", "", "l"};

	for (size_t i = 0; i < ARRAY_SIZE(there); i++)
		assert_true(kernel_modules_contain(dep, strlen(dep), there[i]));
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
		assert_false(kernel_modules_contain(dep, strlen(dep), absent[i]));
}

/* Every line says what is lost, and names an option once for a feature in one version. */
static void test_table(void **state _unused_)
{
	size_t count;
	const struct kernel_requirement *table = kernel_requirements(&count);

	assert_true(count > 20);
	for (size_t i = 0; i < count; i++) {
		assert_true(__builtin_popcount(table[i].feature) <= 1);
		assert_int_equal(strncmp(table[i].option, "CONFIG_", 7), 0);
		assert_true(strlen(table[i].reason) > 5);
		/* Several fragments may each have their own reason to build it in. */
		for (size_t k = 0; k < i; k++)
			assert_false(table[i].feature == table[k].feature &&
				     table[i].feature != 0 && table[i].since == table[k].since &&
				     strcmp(table[i].option, table[k].option) == 0);
	}
}

/* A .config with everything on as @value, without @missing. */
static void write_config(const char *path, char value, const char *missing)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	size_t count;
	const struct kernel_requirement *table = kernel_requirements(&count);

	for (size_t i = 0; i < count; i++) {
		if (missing != NULL && strcmp(table[i].option, missing) == 0)
			strbuf_add_format(&text, "# %s is not set\n", missing);
		else
			strbuf_add_format(&text, "%s=%c\n", table[i].option,
				table[i].module != NULL ? value : 'y');
	}
	write_text(path, text.data, text.size);
}

static void test_check(void **state)
{
	_cleanup_free_ char *config = below(*state, "check/config");
	_cleanup_free_ char *dep = below(*state, "check/modules/modules.dep");
	_cleanup_free_ char *builtin = below(*state, "check/modules/modules.builtin");
	_cleanup_free_ char *modules = below(*state, "check/modules");
	struct kernel kernel = {NULL, (char *)"6.1.0", NULL, NULL};
	const unsigned int all = KERNEL_BASE | KERNEL_MMIO | KERNEL_PCI | KERNEL_VOLUME |
				 KERNEL_NETWORK | KERNEL_VSOCK;
	struct caisson_error err = {0};

	/* Nothing is known: the guest will say. */
	assert_ok(kernel_check(&kernel, all, &err), &err);
	/* Monolithic. */
	kernel.config = config;
	write_config(config, 'y', NULL);
	assert_ok(kernel_check(&kernel, all, &err), &err);
	/* As modules, and no modules to be had. */
	write_config(config, 'm', NULL);
	assert_refused(kernel_check(&kernel, KERNEL_BASE, &err), &err, ENOTSUP);
	assert_non_null(strstr(err.message, "as the module"));

	write_config(config, 'y', "CONFIG_DM_CRYPT");
	assert_ok(kernel_check(&kernel, KERNEL_BASE, &err), &err);
	assert_refused(kernel_check(&kernel, all, &err), &err, ENOTSUP);
	assert_string_equal(err.message,
		"the kernel 6.1.0 has no CONFIG_DM_CRYPT (module dm_crypt): "
		"encrypted volumes cannot be opened: "
		"\"Check that kernel supports aes-xts-plain64 cipher\"");
	assert_int_not_equal(err.hint[0], '\0');
	/* What is optional is no failure. */
	write_config(config, 'y', "CONFIG_HW_RANDOM_VIRTIO");
	assert_ok(kernel_check(&kernel, all, &err), &err);
	write_config(config, 'y', "CONFIG_DEVTMPFS");
	assert_refused(kernel_check(&kernel, KERNEL_BASE, &err), &err, ENOTSUP);
	assert_string_equal(
		err.message, "the kernel 6.1.0 has no CONFIG_DEVTMPFS: /dev cannot be mounted");

	/* A modules folder without depmod's work. */
	kernel.modules = modules;
	write_config(config, 'y', "CONFIG_DM_CRYPT");
	assert_refused(kernel_check(&kernel, all, &err), &err, ENOENT);
	assert_non_null(strstr(err.hint, "depmod"));
	write_lines(dep, "kernel/drivers/md/dm-mod.ko:\n");
	assert_refused(kernel_check(&kernel, all, &err), &err, ENOTSUP);
	/* There as a module; then built in, with no .config to say so. */
	write_lines(dep, "kernel/drivers/md/dm-crypt.ko.xz: kernel/drivers/md/dm-mod.ko\n");
	assert_ok(kernel_check(&kernel, all, &err), &err);
	kernel.config = NULL;
	assert_refused(kernel_check(&kernel, KERNEL_VOLUME, &err), &err, ENOTSUP);
	write_lines(builtin,
		"kernel/a/dm-mod.ko\nkernel/a/aes_generic.ko\nkernel/a/xts.ko\nkernel/fs/ext4.ko\n");
	assert_ok(kernel_check(&kernel, KERNEL_VOLUME, &err), &err);
}

static char *make_kernel(const char *root, const char *release)
{
	_cleanup_strbuf_ struct strbuf image = STRBUF_INIT;
	char *path = format_string("%s/boot/vmlinuz-%s", root, release);

	make_bzimage(&image, release, "0123456789", 10, 10);
	write_text(path, image.data, image.size);
	return path;
}

static void test_find(void **state)
{
	_cleanup_free_ char *root = path_join(*state, "find");
	_cleanup_free_ char *config = below(root, "boot/config-6.1.10-x");
	_cleanup_free_ char *noise = below(root, "boot/vmlinuz-zzz");
	_cleanup_free_ char *older = NULL, *newer = NULL, *bare = NULL;
	_cleanup_free_ char *older_modules = below(root, "lib/modules/6.1.9-x/x");
	_cleanup_free_ char *newer_modules = below(root, "usr/lib/modules/6.1.10-x/x");
	struct caisson_error err = {0};

	{
		_cleanup_kernel_ struct kernel kernel = KERNEL_NONE;

		assert_refused(kernel_find_below(root, NULL, NULL, &kernel, &err), &err, ENOENT);
		assert_int_not_equal(err.hint[0], '\0');
	}
	older = make_kernel(root, "6.1.9-x");
	newer = make_kernel(root, "6.1.10-x");
	bare = make_kernel(root, "6.6.0-nomodules");
	write_lines(config, "CONFIG_A=y\n");
	write_lines(noise, "noise");
	{
		_cleanup_kernel_ struct kernel kernel = KERNEL_NONE;

		assert_ok(kernel_find_below(root, NULL, NULL, &kernel, &err), &err);
		assert_string_equal(kernel.path, newer);
		assert_string_equal(kernel.release, "6.1.10-x");
		assert_memory_equal(kernel.modules, newer_modules, strlen(kernel.modules));
		assert_string_equal(kernel.config, config);
	}
	{
		_cleanup_kernel_ struct kernel kernel = KERNEL_NONE;

		assert_ok(kernel_find_below(root, older, NULL, &kernel, &err), &err);
		assert_memory_equal(kernel.modules, older_modules, strlen(kernel.modules));
		assert_null(kernel.config);
	}
	{
		_cleanup_kernel_ struct kernel kernel = KERNEL_NONE;

		assert_ok(kernel_find_below(root, bare, NULL, &kernel, &err), &err);
		assert_string_equal(kernel.release, "6.6.0-nomodules");
		assert_null(kernel.modules);
		assert_null(kernel.config);
	}
	{
		_cleanup_kernel_ struct kernel kernel = KERNEL_NONE;

		assert_ok(kernel_find_below(root, bare, root, &kernel, &err), &err);
		assert_string_equal(kernel.modules, root);
	}
	{
		_cleanup_kernel_ struct kernel kernel = KERNEL_NONE;

		assert_refused(
			kernel_find_below(root, bare, "/nowhere", &kernel, &err), &err, ENOENT);
		assert_refused(kernel_find_below(root, bare, noise, &kernel, &err), &err, ENOTDIR);
		assert_refused(kernel_find_below(root, noise, NULL, &kernel, &err), &err, ENOEXEC);
		assert_refused(
			kernel_find_below(root, "/dev/null", NULL, &kernel, &err), &err, EINVAL);
		assert_refused(
			kernel_find_below(root, "/nowhere", NULL, &kernel, &err), &err, ENOENT);
		assert_null(kernel.path);
	}
}

/* A FIFO in the place of a kernel neither hangs nor passes. */
static void test_fifo(void **state)
{
	_cleanup_free_ char *path = below(*state, "fifo/vmlinuz-6.1.0");
	_cleanup_kernel_ struct kernel kernel = KERNEL_NONE;
	struct caisson_error err = {0};

	assert_int_equal(mkfifo(path, 0600), 0);
	assert_refused(kernel_find(path, NULL, &kernel, &err), &err, EINVAL);
}

static void test_vmlinux(void **state)
{
	_cleanup_free_ char *path = below(*state, "vmlinux/vmlinux");
	_cleanup_free_ char *folder = path_join(*state, "vmlinux/state");
	_cleanup_free_ char *vmlinux = make_vmlinux(18, "6.9.1-pvh");
	_cleanup_kernel_ struct kernel kernel = KERNEL_NONE;
	_cleanup_state_ struct state place = STATE_NONE;
	_cleanup_free_ char *pvh = NULL;
	struct caisson_error err = {0};

	write_text(path, vmlinux, VMLINUX_SIZE);
	assert_ok(state_open(&place, folder, folder, &err), &err);
	assert_ok(kernel_find(path, NULL, &kernel, &err), &err);
	assert_string_equal(kernel.release, "6.9.1-pvh");
	assert_ok(kernel_pvh_image(&place, &kernel, NULL, &pvh, &err), &err);
	assert_string_equal(pvh, path);

	/* The banner across two chunks of the search. */
	{
		_cleanup_kernel_ struct kernel second = KERNEL_NONE;
		_cleanup_strbuf_ struct strbuf big = STRBUF_INIT;

		strbuf_add(&big, vmlinux, 4096);
		while (big.size < (1 << 20) - 20)
			strbuf_add_char(&big, '\0');
		strbuf_add_string(&big, "Linux version 6.9.2-split (x");
		write_text(path, big.data, big.size);
		assert_ok(kernel_find(path, NULL, &second, &err), &err);
		assert_string_equal(second.release, "6.9.2-split");
	}
}

static void refuse_vmlinux(size_t offset, uint64_t value, size_t size, const char *folder)
{
	_cleanup_free_ char *path = path_join(folder, "vmlinux/lies");
	_cleanup_free_ char *vmlinux = make_vmlinux(18, "6.9.1-pvh");
	_cleanup_close_ int fd = -1;
	struct caisson_error err = {0};

	memcpy(vmlinux + offset, &value, size);
	write_text(path, vmlinux, VMLINUX_SIZE);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_refused(kernel_image_has_pvh(fd, path, &err), &err, ENOEXEC);
}

static void test_vmlinux_lies(void **state)
{
	enum { SEGMENT = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr) };

	refuse_vmlinux(offsetof(Elf64_Ehdr, e_phoff), UINT64_MAX, 8, *state);
	refuse_vmlinux(offsetof(Elf64_Ehdr, e_phoff), VMLINUX_SIZE - 1, 8, *state);
	refuse_vmlinux(offsetof(Elf64_Ehdr, e_phnum), 0xffff, 2, *state);
	refuse_vmlinux(offsetof(Elf64_Ehdr, e_phentsize), 1, 2, *state);
	refuse_vmlinux(offsetof(Elf64_Ehdr, e_machine), EM_AARCH64, 2, *state);
	refuse_vmlinux(SEGMENT + offsetof(Elf64_Phdr, p_offset), UINT64_MAX, 8, *state);
	refuse_vmlinux(SEGMENT + offsetof(Elf64_Phdr, p_filesz), UINT64_MAX, 8, *state);
	refuse_vmlinux(SEGMENT + offsetof(Elf64_Phdr, p_filesz), VMLINUX_SIZE, 8, *state);
}

static void expect_same(const char *path, const char *vmlinux)
{
	_cleanup_strbuf_ struct strbuf file = STRBUF_INIT;
	struct caisson_error err = {0};

	assert_ok(read_file(path, 1 << 20, &file, &err), &err);
	assert_int_equal(file.size, VMLINUX_SIZE);
	assert_memory_equal(file.data, vmlinux, VMLINUX_SIZE);
}

/* Every form that a kernel can be compressed in, except for LZO, which is left as it is. */
static void test_pvh_forms(void **state)
{
	static const char *const forms[] = {"gzip", "xz", "zstd", "bzip2", "lzma", "lz4"};
	_cleanup_free_ char *folder = path_join(*state, "pvh");
	_cleanup_free_ char *vmlinux = make_vmlinux(18, "6.9.1-pvh");
	_cleanup_state_ struct state place = STATE_NONE;
	struct caisson_error err = {0};

	assert_ok(state_open(&place, folder, folder, &err), &err);
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		_cleanup_strbuf_ struct strbuf packed = STRBUF_INIT, image = STRBUF_INIT;
		_cleanup_free_ char *path = path_join(folder, forms[i]);
		_cleanup_free_ char *first = NULL, *second = NULL, *third = NULL;
		struct kernel kernel = {path, (char *)"6.9.1-pvh", NULL, NULL};

		pack_payload(forms[i], vmlinux, &packed);
		make_bzimage(&image, "6.9.1-pvh", packed.data, packed.size, VMLINUX_SIZE);
		write_text(path, image.data, image.size);
		assert_ok(kernel_pvh_image(&place, &kernel, NULL, &first, &err), &err);
		assert_non_null(first);
		expect_same(first, vmlinux);
		assert_ok(kernel_pvh_image(&place, &kernel, NULL, &second, &err), &err);
		assert_string_equal(first, second);
		/* What was kept is damaged: it is made again. */
		assert_int_equal(truncate(first, 1000), 0);
		assert_ok(kernel_pvh_image(&place, &kernel, NULL, &third, &err), &err);
		assert_string_equal(first, third);
		expect_same(third, vmlinux);
	}
}

static void pvh_of(const char *folder, const struct strbuf *image, int wanted)
{
	_cleanup_free_ char *path = path_join(folder, "bzImage");
	_cleanup_free_ char *pvh = NULL;
	_cleanup_state_ struct state place = STATE_NONE;
	struct kernel kernel = {path, (char *)"6.9.1-pvh", NULL, NULL};
	struct caisson_error err = {0};

	assert_ok(state_open(&place, folder, folder, &err), &err);
	write_text(path, image->data, image->size);
	for (int i = 0; i < 2; i++) {
		int r = kernel_pvh_image(&place, &kernel, NULL, &pvh, &err);

		if (r != wanted)
			fail_msg("%d instead of %d: %s", r, wanted, err.message);
		assert_null(pvh);
	}
}

static void test_pvh_refused(void **state)
{
	_cleanup_free_ char *folder = path_join(*state, "refused");
	_cleanup_free_ char *vmlinux = make_vmlinux(18, "6.9.1-pvh");
	_cleanup_free_ char *no_note = make_vmlinux(17, "6.9.1-pvh");
	_cleanup_strbuf_ struct strbuf packed = STRBUF_INIT, plain = STRBUF_INIT;
	_cleanup_strbuf_ struct strbuf image = STRBUF_INIT;
	struct caisson_error err = {0};

	assert_ok(make_directories(folder, 0755, &err), &err);
	pack_payload("xz", vmlinux, &packed);
	pack_payload("xz", no_note, &plain);

	/* No such form: not a failure. */
	make_bzimage(&image, "6.9.1", plain.data, plain.size, VMLINUX_SIZE);
	pvh_of(folder, &image, 0);
	strbuf_clear(&image);
	make_bzimage(&image, "6.9.1", "\x89LZO, which is not known here", 29, VMLINUX_SIZE);
	pvh_of(folder, &image, 0);

	/* More, or less, than the image says. */
	strbuf_clear(&image);
	make_bzimage(&image, "6.9.1", packed.data, packed.size, VMLINUX_SIZE - 1);
	pvh_of(folder, &image, -EFBIG);
	strbuf_clear(&image);
	make_bzimage(&image, "6.9.1", packed.data, packed.size, VMLINUX_SIZE + 1);
	pvh_of(folder, &image, -EBADMSG);
	strbuf_clear(&image);
	make_bzimage(&image, "6.9.1", packed.data, packed.size, UINT32_MAX);
	pvh_of(folder, &image, -EFBIG);

	/* Damaged, cut, and a header that lies. */
	strbuf_clear(&image);
	packed.data[packed.size / 2] ^= 0x40;
	make_bzimage(&image, "6.9.1", packed.data, packed.size, VMLINUX_SIZE);
	pvh_of(folder, &image, -EBADMSG);
	image.size -= 310;
	pvh_of(folder, &image, -ENOEXEC);
	image.size = 600;
	pvh_of(folder, &image, -ENOEXEC);
	put_le32((uint8_t *)image.data + 0x24c, UINT32_MAX);
	pvh_of(folder, &image, -ENOEXEC);
	image.size = 100;
	pvh_of(folder, &image, -ENOEXEC);
}

/* Two at once get the same whole file. */
static void test_pvh_two_builders(void **state)
{
	_cleanup_free_ char *folder = path_join(*state, "two");
	_cleanup_free_ char *path = path_join(*state, "two-bzImage");
	_cleanup_free_ char *vmlinux = make_vmlinux(18, "6.9.1-pvh");
	_cleanup_strbuf_ struct strbuf packed = STRBUF_INIT, image = STRBUF_INIT;
	struct kernel kernel = {path, (char *)"6.9.1-pvh", NULL, NULL};
	_cleanup_state_ struct state place = STATE_NONE;
	_cleanup_free_ char *pvh = NULL;
	struct caisson_error err = {0};

	assert_ok(state_open(&place, folder, folder, &err), &err);
	pack_payload("xz", vmlinux, &packed);
	make_bzimage(&image, "6.9.1", packed.data, packed.size, VMLINUX_SIZE);
	write_text(path, image.data, image.size);
	for (int i = 0; i < 4; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0)
			_exit(kernel_pvh_image(&place, &kernel, NULL, &pvh, NULL) == 0 &&
						pvh != NULL
					? 0
					: 1);
	}
	for (int i = 0; i < 4; i++) {
		int status;

		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_ok(kernel_pvh_image(&place, &kernel, NULL, &pvh, &err), &err);
	expect_same(pvh, vmlinux);
}

/* The kernel of this machine, when it has one: Debian's is an LZ4 legacy frame. */
static void test_installed(void **state)
{
	_cleanup_free_ char *folder = path_join(*state, "installed");
	_cleanup_kernel_ struct kernel kernel = KERNEL_NONE;
	_cleanup_state_ struct state place = STATE_NONE;
	_cleanup_free_ char *pvh = NULL;
	_cleanup_close_ int fd = -1;
	struct caisson_error err = {0};

	if (kernel_find(NULL, NULL, &kernel, &err) < 0)
		leave_out("%s", err.message);
	assert_ok(state_open(&place, folder, folder, &err), &err);
	assert_non_null(strstr(kernel.path, kernel.release));
	assert_ok(kernel_check(&kernel, KERNEL_BASE | KERNEL_PCI | KERNEL_VOLUME, &err), &err);
	assert_ok(kernel_pvh_image(&place, &kernel, NULL, &pvh, &err), &err);
	if (pvh == NULL)
		leave_out("%s cannot be started through PVH", kernel.path);
	fd = open(pvh, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(kernel_image_has_pvh(fd, pvh, &err), 1);
	{
		_cleanup_kernel_ struct kernel inner = KERNEL_NONE;

		assert_ok(kernel_find(pvh, NULL, &inner, &err), &err);
		assert_string_equal(inner.release, kernel.release);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_release_order),
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_module_names),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_fifo),
		cmocka_unit_test(test_vmlinux),
		cmocka_unit_test(test_vmlinux_lies),
		cmocka_unit_test(test_pvh_forms),
		cmocka_unit_test(test_pvh_refused),
		cmocka_unit_test(test_pvh_two_builders),
		cmocka_unit_test(test_installed),
	};

	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
