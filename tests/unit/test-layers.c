/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What layers make of each other. */
#include "image-fixture.h"

#define END \
	{ \
		0, NULL \
	}
#define LAYERS(...) ((const struct entry *const[]){__VA_ARGS__})

/* Flattens and lists; the image's files are then looked at. */
static struct image open_layers(const char *parent, const char *name,
	const struct entry *const *layers, size_t count, struct strbuf *listing)
{
	_cleanup_state_ struct state state = open_state(parent, "state");
	_cleanup_free_ char *folder = make_plain_image(parent, name, layers, count);
	struct image image = IMAGE_NONE;
	struct caisson_error err = {0};

	assert_ok(image_open(&state, folder, NULL, &image, &err), &err);
	list_squashfs(image.root, listing);
	return image;
}

static void refuse_layers(const char *parent, const char *name, const struct entry *const *layers,
	size_t count, const char *sentence)
{
	_cleanup_state_ struct state state = open_state(parent, "refused");
	_cleanup_free_ char *folder = make_plain_image(parent, name, layers, count);
	_cleanup_image_ struct image image = IMAGE_NONE;
	struct caisson_error err = {0};

	assert_refused(image_open(&state, folder, NULL, &image, &err), &err, EBADMSG);
	if (strstr(err.message, sentence) == NULL)
		fail_msg("wanted '%s' in '%s'", sentence, err.message);
	assert_int_equal(count_images(&state), 0);
}

static void test_kinds(void **state)
{
	static const struct entry one[] = {
		{'d', "./", .mode = 0711, .uid = 7},
		{'d', "bin", .mode = 0750},
		{'f', "bin/su", "setuid", .mode = 04755, .uid = 70000},
		{'f', "empty", "", .mode = 0600},
		{'l', "bin/link", "/nowhere/at all"},
		{'p', "pipe", .mode = 0622},
		{'c', "null", .mode = 0666},
		{'f', "/absolute", "a", .mode = 0644},
		{'f', "made/for/it", "b", .mode = 0644},
		{'f',
			"gr\xc3\xbc\xc3\x9f"
			"e/e\xcc\x81",
			"utf-8", .mode = 0644},
		{'f', "latin\xe9", "not utf-8", .mode = 0644},
		{'f', "x", "x", .mode = 0644, .xattr = "v\xff"},
		END,
	};
	_cleanup_strbuf_ struct strbuf list = STRBUF_INIT;
	_cleanup_image_ struct image image = open_layers(*state, "kinds", LAYERS(one), 1, &list);

	assert_listed(&list, "", "drwx--x--x 7/7 ");
	assert_listed(&list, "/bin", "drwxr-x--- 0/0 ");
	assert_listed(&list, "/bin/su", "-rwsr-xr-x 70000/70000 ");
	assert_listed(&list, "/empty", "-rw------- ");
	assert_listed(&list, "/pipe", "prw--w--w- ");
	assert_listed(&list, "/null", "crw-rw-rw- ");
	assert_listed(&list, "/absolute", "-rw-r--r-- ");
	assert_listed(&list, "/made/for", "drwxr-xr-x 0/0 ");
	assert_listed(&list,
		"/gr\xc3\xbc\xc3\x9f"
		"e/e\xcc\x81",
		"-rw");
	assert_listed(&list, "/latin\xe9", "-rw");
	assert_non_null(strstr(list.data, "/@/bin/link -> /nowhere/at all\n"));
	assert_non_null(strstr(list.data, " 1970-01-02 00:00 /@\n"));
	assert_content(image.root, "/bin/su", "setuid");
	assert_content(image.root, "/x", "x");
}

static void test_xattr(void **state)
{
	static const struct entry one[] = {
		{'f', "x", "x", .mode = 0644, .xattr = "v\xff\n=w"}, END};
	_cleanup_strbuf_ struct strbuf list = STRBUF_INIT, said = STRBUF_INIT;
	_cleanup_image_ struct image image = open_layers(*state, "xattr", LAYERS(one), 1, &list);
	_cleanup_free_ char *to = path_join(*state, "unpacked");
	const char *const argv[] = {"unsquashfs", "-d", to, image.root, NULL};
	_cleanup_free_ char *file = path_join(to, "x");
	struct caisson_error err = {0};
	char value[16];

	if (process_run(argv, NULL, &said, &err) < 0)
		leave_out("no extended attributes here: %s", err.message);
	assert_int_equal(getxattr(file, "user.test", value, sizeof(value)), 5);
	assert_memory_equal(value, "v\xff\n=w", 5);
}

static void test_whiteout(void **state)
{
	static const struct entry one[] = {
		{'d', "dir", .mode = 0700},
		{'f', "dir/gone", "1"},
		{'f', "dir/kept", "1"},
		{'f', "tree/a/b", "1"},
		{'f', "again", "1"},
		{'d', "redone", .mode = 0700},
		{'f', "redone/old", "1"},
		END,
	};
	static const struct entry two[] = {
		{'f', "dir/.wh.gone", ""},
		{'f', ".wh.tree", ""},
		{'f', ".wh.nothing", ""},
		{'f', "no/.wh.where", ""},
		/* The file of the same layer stays, before and behind its whiteout. */
		{'f', "again", "2"},
		{'f', ".wh.again", ""},
		{'f', "redone/new", "2"},
		{'f', ".wh.redone", ""},
		END,
	};
	_cleanup_strbuf_ struct strbuf list = STRBUF_INIT;
	_cleanup_image_ struct image image =
		open_layers(*state, "whiteout", LAYERS(one, two), 2, &list);

	assert_not_listed(&list, "/dir/gone");
	assert_listed(&list, "/dir/kept", "-");
	assert_listed(&list, "/dir", "drwx------ ");
	assert_not_listed(&list, "/tree");
	assert_not_listed(&list, "/no");
	assert_content(image.root, "/again", "2");
	assert_not_listed(&list, "/redone/old");
	assert_listed(&list, "/redone", "drwxr-xr-x ");
	assert_content(image.root, "/redone/new", "2");
	assert_null(strstr(list.data, ".wh."));
}

static void test_opaque(void **state)
{
	static const struct entry one[] = {
		{'f', "dir/a", "1"}, {'f', "dir/sub/b", "1"}, {'f', "other", "1"}, END};
	static const struct entry two[] = {
		{'f', "dir/sub/c", "2"},
		{'d', "dir", .mode = 0700},
		{'f', "dir/.wh..wh..opq", ""},
		{'f', "dir/.wh..wh.plnk", ""},
		{'f', "dir/d", "2"},
		END,
	};
	_cleanup_strbuf_ struct strbuf list = STRBUF_INIT;
	_cleanup_image_ struct image image =
		open_layers(*state, "opaque", LAYERS(one, two), 2, &list);

	assert_not_listed(&list, "/dir/a");
	assert_not_listed(&list, "/dir/sub/b");
	assert_listed(&list, "/dir", "drwx------ ");
	assert_content(image.root, "/dir/sub/c", "2");
	assert_content(image.root, "/dir/d", "2");
	assert_content(image.root, "/other", "1");
}

static void test_hard_links(void **state)
{
	static const struct entry one[] = {
		{'f', "b", "first"}, {'h', "a", "b"}, {'h', "c", "./b"}, {'f', "dir/f", "1"}, END};
	static const struct entry two[] = {
		/* A link to a lower layer's file; then that name goes. */
		{'h', "d", "a"},
		{'f', "b", "second"},
		{'f', ".wh.a", ""},
		/* In the place of the folder that it was in. */
		{'h', "dir", "dir/f"},
		{'h', "c", "c"},
		END,
	};
	_cleanup_strbuf_ struct strbuf list = STRBUF_INIT;
	_cleanup_image_ struct image image =
		open_layers(*state, "links", LAYERS(one, two), 2, &list);
	const char *const argv[] = {"unsquashfs", "-s", image.root, NULL};
	_cleanup_strbuf_ struct strbuf super = STRBUF_INIT;
	struct caisson_error err = {0};

	assert_not_listed(&list, "/a");
	assert_content(image.root, "/b", "second");
	assert_content(image.root, "/c", "first");
	assert_content(image.root, "/d", "first");
	assert_content(image.root, "/dir", "1");
	/* b, c with d, dir, the root, and the root that was. */
	assert_ok(process_run(argv, NULL, &super, &err), &err);
	assert_non_null(strstr(super.data, "Number of inodes 5\n"));
}

static void test_replacement(void **state)
{
	static const struct entry one[] = {
		{'f', "was-folder/x", "1"},
		{'f', "was-file", "1"},
		{'d', "meta", .mode = 0700},
		{'f', "meta/child", "1"},
		{'f', "twice", "1"},
		{'f', "twice", "last", .mode = 0600},
		{'l', "was-link", "meta"},
		END,
	};
	static const struct entry two[] = {
		{'f', "was-folder", "2"},
		{'d', "was-file"},
		{'f', "was-file/y", "2"},
		{'d', "meta", .mode = 0755, .uid = 5},
		{'d', "was-link", .mode = 0755},
		END,
	};
	_cleanup_strbuf_ struct strbuf list = STRBUF_INIT;
	_cleanup_image_ struct image image =
		open_layers(*state, "replace", LAYERS(one, two), 2, &list);

	assert_not_listed(&list, "/was-folder/x");
	assert_content(image.root, "/was-folder", "2");
	assert_content(image.root, "/was-file/y", "2");
	assert_listed(&list, "/meta", "drwxr-xr-x 5/5 ");
	assert_content(image.root, "/meta/child", "1");
	assert_content(image.root, "/twice", "last");
	assert_listed(&list, "/twice", "-rw------- ");
	assert_listed(&list, "/was-link", "drwxr-xr-x ");
}

/* As containerd: a parent that is a link is followed inside the image. */
static void test_through_links(void **state)
{
	static const struct entry one[] = {{'d', "usr/lib"}, {'l', "lib", "usr/lib"}, {'d', "run"},
		{'d', "var"}, {'l', "var/run", "/run"}, {'l', "var/up", "../usr"}, END};
	static const struct entry two[] = {
		{'f', "lib/a", "2"}, {'f', "var/run/b", "2"}, {'f', "var/up/lib/c", "2"}, END};
	_cleanup_strbuf_ struct strbuf list = STRBUF_INIT;
	_cleanup_image_ struct image image =
		open_layers(*state, "through", LAYERS(one, two), 2, &list);

	assert_content(image.root, "/usr/lib/a", "2");
	assert_content(image.root, "/run/b", "2");
	assert_content(image.root, "/usr/lib/c", "2");
	assert_listed(&list, "/lib", "lrwxrwxrwx ");
}

static void test_climbing(void **state)
{
	static const struct entry dots[] = {{'f', "a/../../x", "x"}, END};
	static const struct entry link_dots[] = {
		{'f', "f", "x"}, {'h', "x", "../../etc/passwd"}, END};
	static const struct entry relative[] = {
		{'l', "out", "../../tmp"}, {'f', "out/x", "x"}, END};
	static const struct entry absolute[] = {{'l', "out", "/tmp"}, {'f', "out/x", "x"}, END};
	static const struct entry relative_one[] = {{'l', "d/out", "../../tmp"}, END};
	static const struct entry relative_two[] = {{'f', "d/out/x", "x"}, END};
	static const struct entry linked[] = {
		{'l', "out", "/etc"}, {'h', "mine", "out/passwd"}, END};
	static const struct entry loop[] = {
		{'l', "a", "b"}, {'l', "b", "a"}, {'f', "a/x", "x"}, END};

	refuse_layers(*state, "dots", LAYERS(dots), 1, "the entry 'a/../../x'");
	refuse_layers(*state, "dots2", LAYERS(dots), 1, "layer 1 (sha256:");
	refuse_layers(*state, "link-dots", LAYERS(link_dots), 1, "climbs out");
	refuse_layers(*state, "relative", LAYERS(relative), 1, "climbs out");
	refuse_layers(*state, "absolute", LAYERS(absolute), 1, "climbs out");
	refuse_layers(*state, "across", LAYERS(relative_one, relative_two), 2, "layer 2 (sha256:");
	refuse_layers(*state, "linked", LAYERS(linked), 1, "climbs out");
	refuse_layers(*state, "loop", LAYERS(loop), 1, "more than 40 symbolic links");
}

static void test_nonsense(void **state)
{
	static const struct entry through_file[] = {{'f', "a", "x"}, {'f', "a/b", "x"}, END};
	static const struct entry no_target[] = {{'h', "a", "b"}, END};
	static const struct entry folder_link[] = {{'d', "b"}, {'h', "a", "b"}, END};
	static const struct entry root_file[] = {{'l', ".", "x"}, END};
	static const struct entry empty_whiteout[] = {{'f', "a/.wh.", ""}, END};
	static const struct entry up_whiteout[] = {{'f', "a/.wh...", ""}, END};
	char longest[300];
	const struct entry long_name[] = {{'f', longest, "x"}, END};

	memset(longest, 'n', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	refuse_layers(*state, "file", LAYERS(through_file), 1, "'a', which is not a folder");
	refuse_layers(*state, "target", LAYERS(no_target), 1, "'b', which is not in the image");
	refuse_layers(*state, "folder", LAYERS(folder_link), 1, "'b', which is a folder");
	refuse_layers(*state, "root", LAYERS(root_file), 1, "in the place of the root");
	refuse_layers(*state, "empty", LAYERS(empty_whiteout), 1, "a whiteout of nothing");
	refuse_layers(*state, "up", LAYERS(up_whiteout), 1, "a whiteout of nothing");
	refuse_layers(*state, "long", LAYERS(long_name), 1, "longer than 255 bytes");
}

static void test_deep_path(void **state)
{
	enum { DEEP = 1500 };
	_cleanup_strbuf_ struct strbuf path = STRBUF_INIT;

	/* Each link doubles what is behind it: the path in the image is longer than any may be. */
	for (int i = 0; i < DEEP; i++)
		strbuf_add_string(&path, "d/");
	{
		_cleanup_free_ char *here = format_string("%sx", path.data);
		_cleanup_free_ char *jump = format_string("l/%sx", path.data);
		const struct entry deep[] = {
			{'f', here, "x"}, {'l', "l", path.data}, {'f', jump, "x"}, END};

		refuse_layers(*state, "deep", LAYERS(deep), 1, "longer than 4095 bytes");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_xattr),
		cmocka_unit_test(test_whiteout),
		cmocka_unit_test(test_opaque),
		cmocka_unit_test(test_hard_links),
		cmocka_unit_test(test_replacement),
		cmocka_unit_test(test_through_links),
		cmocka_unit_test(test_climbing),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_deep_path),
	};

	if (squashfs_tools_missing())
		return 0;
	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
