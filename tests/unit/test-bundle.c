/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bundles: paths inside a folder that wants out, what a manifest may say, wrappers, archive names.
   What the command does is tested in tests/cli/bundle.sh. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/process.h"
#include "bundle/manifest.h"
#include "bundle/pack.h"
#include "bundle/plan.h"
#include "bundle/view.h"

/* ---- the model of a folder ---- */

static char *make_folder(const char *parent, const char *name)
{
	char *path = path_join(parent, name);
	struct caisson_error err = {0};

	assert_non_null(path);
	assert_ok(make_directories(path, 0755, &err), &err);
	return path;
}

static void put_link(const char *folder, const char *name, const char *target)
{
	_cleanup_free_ char *path = path_join(folder, name);

	assert_int_equal(symlink(target, path), 0);
}

/* Where @path leads in @view, or an errno. */
static char *leads_to(struct view *view, const char *path, bool follow)
{
	struct view_node *node;
	int r = view_resolve(view, path, follow, &node);

	return r < 0 ? format_string("%s", strerrorname_np(-r)) : view_path(node);
}

#define assert_leads(view, path, wanted) \
	do { \
		_cleanup_free_ char *led_ = leads_to(view, path, true); \
		assert_string_equal(led_, wanted); \
	} while (0)

static void test_view_stays_inside(void **state)
{
	_cleanup_free_ char *folder = make_folder(*state, "inside");
	_cleanup_free_ char *real = make_folder(folder, "usr/lib");
	_cleanup_close_ int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_view_ struct view view = {.fd = -1, .last_fd = -1};
	struct caisson_error err = {0};

	put_link(folder, "lib", "usr/lib");
	put_link(folder, "absolute", "/usr/lib");
	put_link(folder, "climbs", "../../../../../../usr/lib");
	put_link(folder, "out", "/etc");
	put_link(folder, "loop", "loop");
	put_link(folder, "usr/up", "..");
	put_link(folder, "magic", "/proc/self/root/etc");
	assert_ok(view_open(&view, fd, &err), &err);
	assert_leads(&view, "/lib/x", "/usr/lib/x");
	assert_leads(&view, "/absolute/x", "/usr/lib/x");
	assert_leads(&view, "/climbs/x", "/usr/lib/x");
	assert_leads(&view, "/out/passwd", "/etc/passwd");
	assert_leads(&view, "/magic/passwd", "/proc/self/root/etc/passwd");
	assert_leads(&view, "/usr/up/usr/up/lib", "/usr/lib");
	assert_leads(&view, "/../../x/../y", "/y");
	assert_leads(&view, "/loop/x", "ELOOP");
	assert_leads(&view, "//usr/./lib//", "/usr/lib");
}

/* A path that climbs out of a folder needs the folder, as the kernel has it. */
static void test_view_plans(void **state _unused_)
{
	_cleanup_view_ struct view view = {.fd = -1, .last_fd = -1};
	_cleanup_free_ char *up = NULL, *down = NULL, *beside = NULL;
	struct view_node *a, *b, *c;
	struct caisson_error err = {0};

	assert_ok(view_open(&view, -1, &err), &err);
	assert_int_equal(view_resolve(&view, "/opt/app/bin/../lib/x", true, &a), 0);
	assert_int_equal(view_resolve(&view, "/opt/app/bin", true, &b), 0);
	assert_int_equal(b->kind, VIEW_FOLDER);
	assert_int_equal(a->kind, VIEW_NOTHING);
	view_plan_parents(a);
	assert_int_equal(a->parent->kind, VIEW_FOLDER);
	assert_int_equal(view_resolve(&view, "/usr/lib/y", true, &c), 0);
	up = view_relative(a, c);
	assert_string_equal(up, "../../../usr/lib/y");
	down = view_relative(b, a);
	assert_string_equal(down, "lib/x");
	assert_int_equal(view_resolve(&view, "/opt/app/lib/z", true, &b), 0);
	beside = view_relative(b, a);
	assert_string_equal(beside, "x");
}

/* What changed since it was looked at is neither opened nor entered. */
static void test_view_changes(void **state)
{
	_cleanup_free_ char *folder = make_folder(*state, "changes");
	_cleanup_free_ char *below = make_folder(folder, "below");
	_cleanup_free_ char *file = path_join(folder, "file");
	_cleanup_close_ int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_view_ struct view view = {.fd = -1, .last_fd = -1};
	struct caisson_error err = {0};
	struct view_node *node;

	assert_ok(write_file_atomic(file, "one", 3, 0644, &err), &err);
	assert_ok(view_open(&view, fd, &err), &err);
	assert_int_equal(view_resolve(&view, "/file", true, &node), 0);
	assert_int_equal(unlink(file), 0);
	put_link(folder, "file", "/etc/passwd");
	assert_refused(view_digest(&view, node, &err), &err, ELOOP);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(mkfifo(file, 0644), 0);
	assert_refused(view_digest(&view, node, &err), &err, EEXIST);
	assert_int_equal(view_resolve(&view, "/below", true, &node), 0);
	assert_int_equal(rmdir(below), 0);
	put_link(folder, "below", "/etc");
	assert_refused(view_folder(&view, node, &err), &err, ENOTDIR);
}

/* ---- manifests ---- */

#define HEAD   "{\"caisson_bundle\":1,\"layout\":\"same\",\"wrapper\":false,\"programs\":[],"
#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define FILE_(path) \
	"{\"path\":\"" path \
	"\",\"kind\":\"file\",\"owned\":true,\"mode\":\"0755\",\"size\":1,\"sha256\":\"" DIGEST \
	"\"}"

static void refuse_manifest(const char *text, const char *why)
{
	_cleanup_manifest_ struct manifest manifest = MANIFEST_NONE;
	struct caisson_error err = {0};

	assert_true(manifest_parse(text, strlen(text), "it", &manifest, &err) < 0);
	if (strstr(err.message, why) == NULL)
		fail_msg("'%s' is not in '%s'", why, err.message);
}

static void test_manifest_refused(void **state _unused_)
{
	refuse_manifest("", "not JSON");
	refuse_manifest("[]", "not an object");
	refuse_manifest("{\"caisson_bundle\":2}", "version 2");
	refuse_manifest(HEAD "\"files\":[" FILE_("/../a") "]}", "not a path");
	refuse_manifest(HEAD "\"files\":[" FILE_("/a/..") "]}", "not a path");
	refuse_manifest(HEAD "\"files\":[" FILE_("/a//b") "]}", "not a path");
	refuse_manifest(HEAD "\"files\":[" FILE_("/a/") "]}", "not a path");
	refuse_manifest(HEAD "\"files\":[" FILE_("/") "]}", "not a path");
	refuse_manifest(HEAD "\"files\":[" FILE_("a") "]}", "not a path");
	refuse_manifest(HEAD "\"files\":[" FILE_("") "]}", "not a path");
	refuse_manifest(HEAD "\"files\":[" FILE_("/b") "," FILE_("/a") "]}", "order");
	refuse_manifest(HEAD "\"files\":[" FILE_("/a") "," FILE_("/a") "]}", "order");
	refuse_manifest(HEAD "\"files\":[{\"path\":\"/a\",\"kind\":\"device\"}]}", "'kind'");
	refuse_manifest(HEAD
		"\"files\":[{\"path\":\"/a\",\"kind\":\"symlink\",\"owned\":true,\"target\":\"\"}]}",
		"target");
	refuse_manifest(HEAD
		"\"files\":[{\"path\":\"/a\",\"kind\":\"folder\",\"owned\":true,\"mode\":\"8\"}]}",
		"mode");
}

static void test_manifest_again(void **state _unused_)
{
	static const char text[] =
		HEAD "\"files\":[" FILE_("/a") "," FILE_("/a-b") "," FILE_("/a/b") "]}";
	_cleanup_manifest_ struct manifest manifest = MANIFEST_NONE, again = MANIFEST_NONE;
	_cleanup_strbuf_ struct strbuf once = STRBUF_INIT, twice = STRBUF_INIT;
	struct caisson_error err = {0};

	assert_ok(manifest_parse(text, strlen(text), "it", &manifest, &err), &err);
	assert_int_equal(manifest.file_count, 3);
	assert_ptr_equal(manifest_find(&manifest, "/a/b"), &manifest.files[2]);
	assert_null(manifest_find(&manifest, "/b"));
	assert_ok(manifest_format(&manifest, &once, &err), &err);
	assert_ok(manifest_parse(once.data, once.size, "it", &again, &err), &err);
	assert_ok(manifest_format(&again, &twice, &err), &err);
	assert_string_equal(once.data, twice.data);
}

/* A file's name that is no UTF-8 would not be read again. */
static void test_manifest_bytes(void **state _unused_)
{
	_cleanup_manifest_ struct manifest manifest = MANIFEST_NONE;
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	struct manifest_file *file = manifest_add_file(&manifest);
	struct caisson_error err = {0};

	assert_non_null(file);
	file->path = strdup("/a\xff");
	file->kind = CAISSON_BUNDLE_FOLDER;
	file->mode = 0755;
	assert_refused(manifest_format(&manifest, &text, &err), &err, EILSEQ);
	assert_non_null(strstr(err.hint, "--no-manifest"));
}

/* ---- wrappers and archives ---- */

static void test_wrapper_quotes(void **state)
{
	_cleanup_free_ char *script = wrapper_script("ld.so", "it's $(a) \"b\" \\", true);
	_cleanup_free_ char *path = path_join(*state, "wrapper");
	const char *const argv[] = {"/bin/sh", "-n", path, NULL};
	struct caisson_error err = {0};

	assert_non_null(script);
	assert_non_null(strstr(script, "/libexec/'it'\\''s $(a) \"b\" \\' \"$@\"\n"));
	assert_non_null(strstr(script, " --argv0 \"$0\" "));
	assert_ok(write_file_atomic(path, script, strlen(script), 0755, &err), &err);
	assert_ok(process_run(argv, NULL, NULL, &err), &err);
	free(script);
	script = wrapper_script("ld.so", "a", false);
	assert_null(strstr(script, "argv0"));
}

static void test_archive_names(void **state _unused_)
{
	static const char *const archives[] = {"a.cpio", "a.cpio.gz", "a.cpio.zst", "a.cpio.xz",
		"a.cpio.lz4", "a.tar", "/b/a.tar.gz", "a.tar.zst", "a.b.tar.xz"};
	static const char *const folders[] = {
		"a", ".tar", "b/.cpio", "a.tar.lz4", "a.tar/", "cpio", "a.gz", "a.tar.gz.d", ""};

	for (size_t i = 0; i < ARRAY_SIZE(archives); i++)
		assert_non_null(pack_format(archives[i]));
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		assert_null(pack_format(folders[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_view_stays_inside),
		cmocka_unit_test(test_view_plans),
		cmocka_unit_test(test_view_changes),
		cmocka_unit_test(test_manifest_refused),
		cmocka_unit_test(test_manifest_again),
		cmocka_unit_test(test_manifest_bytes),
		cmocka_unit_test(test_wrapper_quotes),
		cmocka_unit_test(test_archive_names),
	};

	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
