/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Configurations of kernels, from whatever holds one. */
#include "kernel-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/config.h"
#include "kernel/config_embedded.h"
#include "kernel/config_read.h"
#include "kernel/kernel.h"

enum { PLACE = 100000 };

static const char text_a[] = "#\n# Automatically generated file; DO NOT EDIT.\n"
			     "# Linux/x86 6.1.192 Kernel Configuration\n#\nCONFIG_A=y\n"
			     "# CONFIG_B is not set\nCONFIG_DM_CRYPT=m\n";

/* "IKCFG_ST", a gzip stream, "IKCFG_ED". */
static void embed(const char *text, size_t size, struct strbuf *blob)
{
	strbuf_add_string(blob, "IKCFG_ST");
	pack("gzip", text, size, blob);
	strbuf_add_string(blob, "IKCFG_ED");
}

static char *vmlinux_with(const char *text)
{
	_cleanup_strbuf_ struct strbuf blob = STRBUF_INIT;
	char *vmlinux = make_vmlinux(18, "6.9.1-inside");

	/* The mark alone, as in a kernel that carries a script that looks for it. */
	memcpy(vmlinux + PLACE - 5000, "IKCFG_ST and no more", 20);
	if (text != NULL) {
		embed(text, strlen(text), &blob);
		memcpy(vmlinux + PLACE, blob.data, blob.size);
	}
	return vmlinux;
}

static void expect_text(const char *path, enum kernel_config_where where, const char *text)
{
	_cleanup_kernel_config_ struct kernel_config config = KERNEL_CONFIG_NONE;
	struct caisson_error err = {0};

	assert_ok(kernel_config_read(path, &config, &err), &err);
	assert_int_equal(config.where, where);
	assert_int_equal(config.text.size, strlen(text));
	assert_memory_equal(config.text.data, text, strlen(text));
}

static void expect_refused(const char *path, int code, const char *words)
{
	_cleanup_kernel_config_ struct kernel_config config = KERNEL_CONFIG_NONE;
	struct caisson_error err = {0};

	assert_refused(kernel_config_read(path, &config, &err), &err, code);
	if (strstr(err.message, words) == NULL)
		fail_msg("'%s' is not in '%s'", words, err.message);
	assert_null(config.text.data);
}

static const char *const forms[] = {"gzip", "xz", "zstd", "bzip2", "lzma", "lz4"};

static void test_plain(void **state)
{
	_cleanup_free_ char *path = below(*state, "plain/.config");
	_cleanup_strbuf_ struct strbuf big = STRBUF_INIT;

	write_lines(path, text_a);
	expect_text(path, KERNEL_CONFIG_FILE, text_a);
	write_lines(path, "# CONFIG_ONLY is not set");
	expect_text(path, KERNEL_CONFIG_FILE, "# CONFIG_ONLY is not set");
	for (int i = 0; i < 100000; i++)
		strbuf_add_format(&big, "CONFIG_%d=y\n", i);
	write_text(path, big.data, big.size);
	expect_text(path, KERNEL_CONFIG_FILE, big.data);
}

static void test_packed(void **state)
{
	_cleanup_free_ char *path = below(*state, "packed/config-1");
	_cleanup_free_ char *vmlinux = vmlinux_with(text_a);

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		_cleanup_strbuf_ struct strbuf packed = STRBUF_INIT, image = STRBUF_INIT;

		pack(forms[i], text_a, strlen(text_a), &packed);
		write_text(path, packed.data, packed.size);
		expect_text(path, KERNEL_CONFIG_FILE, text_a);
		/* Cut. (Where little is packed, LZ4 is done before its end mark.) */
		write_text(path, packed.data, packed.size / 2);
		expect_refused(path, EBADMSG, "cannot be uncompressed");
		/* A vmlinux, or a module: their first bytes tell. */
		pack(forms[i], vmlinux, VMLINUX_SIZE, &image);
		write_text(path, image.data, image.size);
		expect_text(path, KERNEL_CONFIG_EMBEDDED, text_a);
	}
}

static void test_refused(void **state)
{
	_cleanup_free_ char *path = below(*state, "refused/config");
	_cleanup_free_ char *folder = path_join(*state, "refused");
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT, packed = STRBUF_INIT;
	_cleanup_strbuf_ struct strbuf image = STRBUF_INIT, again = STRBUF_INIT;

	expect_refused(path, ENOENT, "open");
	expect_refused(folder, EISDIR, "is a folder");
	expect_refused("/dev/null", EINVAL, "not a regular file");
	write_lines(path, "");
	expect_refused(path, EBADMSG, "is empty");
	write_lines(path,
		"<html><body>CONFIG_A=y is not here</body></html>\nCONFIG_=y\nCONFIG-A=y\n"
		"#CONFIG_A is not set\n# CONFIG_A is set\nCONFIG_A");
	expect_refused(path, EBADMSG, "no line of it sets an option");
	/* NUL bytes behind what tells a text. */
	while (text.size < 5000)
		strbuf_add_string(&text, "CONFIG_A=y\n");
	strbuf_add(&text, "\0\0\0\n", 4);
	write_text(path, text.data, text.size);
	expect_refused(path, EBADMSG, "NUL bytes");
	write_text(path, "# CONFIG_A is not set\n\0", 23);
	expect_refused(path, EBADMSG, "NUL bytes");
	/* Too large, and packed so that it does not look it. */
	assert_non_null(strbuf_reserve(&text, KERNEL_CONFIG_MOST));
	strbuf_commit(&text, KERNEL_CONFIG_MOST);
	memset(text.data, '\n', text.size);
	pack("gzip", text.data, text.size, &packed);
	write_text(path, packed.data, packed.size);
	expect_refused(path, EFBIG, "16 MiB");
	/* A bzImage that was packed again. */
	make_bzimage(&image, "6.9.1", "0123456789abcdef", 16, 16);
	pack("xz", image.data, image.size, &again);
	write_text(path, again.data, again.size);
	expect_refused(path, EBADMSG, "packed again");
}

/* A pipe is read, and one that nobody writes to is empty. */
static void test_pipe(void **state)
{
	_cleanup_free_ char *path = below(*state, "pipe/fifo");
	_cleanup_free_ char *other = NULL;
	int ends[2];

	assert_int_equal(mkfifo(path, 0600), 0);
	expect_refused(path, EBADMSG, "is empty");
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(write(ends[1], text_a, strlen(text_a)), strlen(text_a));
	close(ends[1]);
	other = format_string("/dev/fd/%d", ends[0]);
	expect_text(other, KERNEL_CONFIG_FILE, text_a);
	close(ends[0]);
}

static void test_vmlinux(void **state)
{
	_cleanup_free_ char *path = below(*state, "vmlinux/vmlinux");
	_cleanup_free_ char *vmlinux = vmlinux_with(text_a);
	_cleanup_free_ char *bare = vmlinux_with(NULL);
	_cleanup_strbuf_ struct strbuf noise = STRBUF_INIT, blob = STRBUF_INIT;

	write_text(path, vmlinux, VMLINUX_SIZE);
	expect_text(path, KERNEL_CONFIG_EMBEDDED, text_a);
	/* Raw, without the ELF header. */
	write_text(path, vmlinux + 4, VMLINUX_SIZE - 4);
	expect_text(path, KERNEL_CONFIG_EMBEDDED, text_a);
	write_text(path, bare, VMLINUX_SIZE);
	expect_refused(path, ENOMSG, "the kernel");
	write_text(path, bare + 4, VMLINUX_SIZE - 4);
	expect_refused(path, ENOMSG, "holds no kernel configuration");
	write_text(path, vmlinux, PLACE + 30);
	expect_refused(path, EBADMSG, "configuration that is not whole");
	memset(vmlinux + PLACE + 40, 'x', 10);
	write_text(path, vmlinux, VMLINUX_SIZE);
	expect_refused(path, EBADMSG, "the configuration inside");
	/* No end, and much of it. */
	strbuf_add(&noise, bare, 4096);
	strbuf_add(&noise, "IKCFG_ST\x1f\x8b\x08", 11);
	while (noise.size < 6 << 20)
		strbuf_add(&noise, bare, 4096);
	write_text(path, noise.data, noise.size);
	expect_refused(path, EBADMSG, "no end");
	/* What is inside is checked as a file is. */
	embed("nothing of a configuration", 26, &blob);
	memset(vmlinux + PLACE, 0, 5000);
	memcpy(vmlinux + PLACE, blob.data, blob.size);
	write_text(path, vmlinux, VMLINUX_SIZE);
	expect_refused(path, EBADMSG, "no line of it sets an option");
}

/* The marks at every place of the pieces that the search is fed with. */
static void test_search(void **state _unused_)
{
	_cleanup_strbuf_ struct strbuf data = STRBUF_INIT;
	struct caisson_error err = {0};

	strbuf_add_string(&data, "0123456789IKCFG_ST\x1f\x8b");
	embed(text_a, strlen(text_a), &data);
	strbuf_add_string(&data, "IKCFG_ED");
	for (size_t piece = 1; piece < 40; piece++) {
		struct embedded_search search = EMBEDDED_SEARCH_INIT;
		_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
		int r = 0;

		for (size_t at = 0; r == 0 && at < data.size; at += piece)
			r = embedded_feed(
				&search, data.data + at, MIN(piece, data.size - at), "it", &err);
		assert_int_equal(r, 1);
		assert_ok(embedded_take(&search, "it", &text, &err), &err);
		assert_string_equal(text.data, text_a);
		embedded_done(&search);
	}
}

static void write_bzimage(const char *path, const char *form, const char *vmlinux)
{
	_cleanup_strbuf_ struct strbuf packed = STRBUF_INIT, image = STRBUF_INIT;

	pack_payload(form, vmlinux, &packed);
	make_bzimage(&image, "6.9.1-inside", packed.data, packed.size, VMLINUX_SIZE);
	write_text(path, image.data, image.size);
}

static void test_bzimage(void **state)
{
	_cleanup_free_ char *path = below(*state, "bzimage/vmlinuz");
	_cleanup_free_ char *beside = path_join(*state, "bzimage/config-6.9.1-inside");
	_cleanup_free_ char *vmlinux = vmlinux_with(text_a);
	_cleanup_free_ char *bare = vmlinux_with(NULL);
	_cleanup_strbuf_ struct strbuf image = STRBUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		write_bzimage(path, forms[i], vmlinux);
		expect_text(path, KERNEL_CONFIG_EMBEDDED, text_a);
	}
	/* CONFIG_KERNEL_UNCOMPRESSED. */
	make_bzimage(&image, "6.9.1-inside", vmlinux, VMLINUX_SIZE, VMLINUX_SIZE);
	write_text(path, image.data, image.size);
	expect_text(path, KERNEL_CONFIG_EMBEDDED, text_a);

	write_bzimage(path, "lz4", bare);
	expect_refused(path, ENOMSG, "no file config-6.9.1-inside is beside it");
	write_lines(beside, "CONFIG_BESIDE=y\n");
	expect_text(path, KERNEL_CONFIG_BESIDE, "CONFIG_BESIDE=y\n");
	/* What it holds itself counts for more. */
	write_bzimage(path, "zstd", vmlinux);
	expect_text(path, KERNEL_CONFIG_EMBEDDED, text_a);
	/* A damaged one is told, and not passed over. */
	image.data[SETUP_SIZE + 100 + PLACE + 40] ^= 0x55;
	write_text(path, image.data, image.size);
	expect_refused(path, EBADMSG, "the configuration inside");
	write_text(path, image.data, SETUP_SIZE + 200);
	expect_refused(path, ENOEXEC, "is cut");
}

static void test_running(void **state)
{
	_cleanup_free_ char *root = path_join(*state, "running");
	_cleanup_free_ char *proc = below(root, "proc/config.gz");
	_cleanup_free_ char *boot = below(root, "boot/config-6.9.1-inside");
	_cleanup_free_ char *image = below(root, "boot/vmlinuz-6.9.1-inside");
	_cleanup_free_ char *module =
		below(root, "lib/modules/6.9.1-inside/kernel/kernel/configs.ko.xz");
	_cleanup_free_ char *bare = vmlinux_with(NULL);
	_cleanup_free_ char *vmlinux = vmlinux_with("CONFIG_IN_MODULE=y\n");
	_cleanup_strbuf_ struct strbuf packed = STRBUF_INIT;
	const struct {
		const char *path, *text;
		enum kernel_config_where where;
	} order[] = {
		{image, "CONFIG_IN_IMAGE=y\n", KERNEL_CONFIG_EMBEDDED},
		{module, "CONFIG_IN_MODULE=y\n", KERNEL_CONFIG_EMBEDDED},
		{boot, "CONFIG_IN_BOOT=y\n", KERNEL_CONFIG_FILE},
		{proc, "CONFIG_IN_PROC=y\n", KERNEL_CONFIG_FILE},
	};
	_cleanup_kernel_config_ struct kernel_config none = KERNEL_CONFIG_NONE;
	struct caisson_error err = {0};

	write_bzimage(image, "xz", bare);
	assert_refused(
		kernel_config_read_running_below(root, "6.9.1-inside", &none, &err), &err, ENOENT);
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		_cleanup_kernel_config_ struct kernel_config config = KERNEL_CONFIG_NONE;

		if (order[i].path == image) {
			_cleanup_free_ char *inside = vmlinux_with(order[i].text);

			write_bzimage(image, "xz", inside);
		} else if (order[i].path == module) {
			pack("xz", vmlinux, VMLINUX_SIZE, &packed);
			write_text(module, packed.data, packed.size);
		} else {
			write_lines(order[i].path, order[i].text);
		}
		assert_ok(kernel_config_read_running_below(root, "6.9.1-inside", &config, &err),
			&err);
		assert_string_equal(config.path, order[i].path);
		assert_string_equal(config.text.data, order[i].text);
		assert_int_equal(config.where, order[i].where);
	}
	/* What is there and damaged is not passed over. */
	write_lines(proc, "\x1f\x8b\x08 damaged");
	assert_int_equal(
		kernel_config_read_running_below(root, "6.9.1-inside", &none, &err), -EBADMSG);
}

static void test_release(void **state _unused_)
{
	static const char *const none[] = {"", "# Linux/x86 6.1.192",
		"# Linux/x86\n6.1 Kernel Configuration", "# Linux/x86 Kernel Configuration",
		"# Linux/x86 ../6 Kernel Configuration", "CONFIG_A=y\n"};
	char release[KERNEL_RELEASE_SIZE];

	assert_true(kernel_config_release(text_a, strlen(text_a), release));
	assert_string_equal(release, "6.1.192");
	assert_false(kernel_config_release(text_a, 60, release));
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		assert_false(kernel_config_release(none[i], strlen(none[i]), release));
}

/* A kernel with no file beside it has papers all the same. */
static void test_papers(void **state)
{
	_cleanup_free_ char *path = below(*state, "papers/vmlinuz");
	_cleanup_free_ char *vmlinux = vmlinux_with("CONFIG_DM_CRYPT=y\n");
	_cleanup_free_ char *bare = vmlinux_with(NULL);
	struct caisson_error err = {0};

	for (int i = 0; i < 2; i++) {
		_cleanup_kernel_ struct kernel kernel = KERNEL_NONE;
		_cleanup_kernel_papers_ struct kernel_papers papers = {0};

		write_bzimage(path, "lz4", i == 0 ? vmlinux : bare);
		assert_ok(kernel_find(path, NULL, &kernel, &err), &err);
		assert_ok(kernel_papers_read(&kernel, &papers, &err), &err);
		assert_int_equal(papers.has_config, i == 0);
		if (i == 0)
			assert_string_equal(papers.config.data, "CONFIG_DM_CRYPT=y\n");
	}
}

static void test_keep(void **state)
{
	_cleanup_free_ char *path = below(*state, "keep/vmlinuz");
	_cleanup_free_ char *folder = path_join(*state, "keep/state");
	_cleanup_free_ char *vmlinux = vmlinux_with(text_a);
	_cleanup_free_ char *bare = vmlinux_with(NULL);
	_cleanup_free_ char *kept = NULL;
	_cleanup_state_ struct state place = STATE_NONE;
	struct caisson_error err = {0};
	struct stat before, after;

	assert_ok(state_open(&place, folder, folder, &err), &err);
	write_bzimage(path, "lz4", vmlinux);
	for (int i = 0; i < 4; i++) {
		_cleanup_kernel_ struct kernel kernel = KERNEL_NONE;
		_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

		assert_ok(kernel_find(path, NULL, &kernel, &err), &err);
		assert_ok(kernel_keep_config(&place, &kernel, NULL, &err), &err);
		assert_non_null(kernel.config);
		assert_false(kernel.bare);
		assert_ok(read_file(kernel.config, 1 << 20, &text, &err), &err);
		assert_string_equal(text.data, text_a);
		assert_int_equal(stat(kernel.config, &after), 0);
		if (i > 0 && i < 3)
			assert_int_equal(before.st_ino, after.st_ino);
		if (i == 2) /* what was kept is damaged: it is made again */
			assert_int_equal(truncate(kernel.config, 10), 0);
		before = after;
		if (kept == NULL)
			kept = strdup(kernel.config);
		assert_string_equal(kept, kernel.config);
	}
	/* None, twice: the second time nobody looks. */
	write_bzimage(path, "lz4", bare);
	for (int i = 0; i < 2; i++) {
		_cleanup_kernel_ struct kernel kernel = KERNEL_NONE;

		assert_ok(kernel_find(path, NULL, &kernel, &err), &err);
		assert_ok(kernel_keep_config(&place, &kernel, NULL, &err), &err);
		assert_null(kernel.config);
		assert_true(kernel.bare);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_packed),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_vmlinux),
		cmocka_unit_test(test_search),
		cmocka_unit_test(test_bzimage),
		cmocka_unit_test(test_running),
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_papers),
		cmocka_unit_test(test_keep),
	};

	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
