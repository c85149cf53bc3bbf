/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The documents of an image, and how a user names one. */
#include "test.h"

#include <errno.h>

#include "image/layout.h"
#include "image/oci.h"

#define D1            "1111111111111111111111111111111111111111111111111111111111111111"
#define D2            "2222222222222222222222222222222222222222222222222222222222222222"
#define D3            "3333333333333333333333333333333333333333333333333333333333333333"

#define MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"
#define INDEX_TYPE    "application/vnd.oci.image.index.v1+json"
#define CONFIG_TYPE   "application/vnd.oci.image.config.v1+json"
#define LAYER_TYPE    "application/vnd.oci.image.layer.v1.tar+gzip"

#define ENTRY(type, digest, more) \
	"{\"mediaType\":\"" type "\",\"digest\":\"sha256:" digest "\",\"size\":7" more "}"
#define PLATFORM(os, architecture) \
	",\"platform\":{\"os\":\"" os "\",\"architecture\":\"" architecture "\"}"
#define TAG(tag)       ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"" tag "\"}"
#define INDEX(entries) "{\"schemaVersion\":2,\"manifests\":[" entries "]}"
#define MANIFEST(more) \
	"{\"schemaVersion\":2,\"config\":" ENTRY(CONFIG_TYPE, D1, "") ",\"layers\":[" ENTRY( \
		LAYER_TYPE, D2, "") "]" more "}"
#define CONFIG(members) \
	"{\"os\":\"linux\",\"architecture\":\"amd64\"," members \
	"\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:" D3 "\"]}}"

static void test_digest(void **state _unused_)
{
	static const char *const bad[] = {"", "sha256:", "sha512:" D1, D1, "sha256:" D1 "1",
		"sha256:../../../../../../../../../../../../../../../../../../../../../etc",
		"sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"SHA256:" D1};
	char digest[DIGEST_HEX_SIZE];
	struct caisson_error err = {0};

	assert_ok(oci_digest_parse("sha256:" D1, digest, &err), &err);
	assert_string_equal(digest, D1);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_refused(oci_digest_parse(bad[i], digest, &err), &err, EBADMSG);
}

/* What is chosen, by its digest; or an errno. */
static void assert_chosen(
	const char *text, const char *tag, bool nested, int code, const char *digest)
{
	_cleanup_oci_descriptors_ struct oci_descriptors index = OCI_DESCRIPTORS_NONE;
	const struct oci_descriptor *chosen = NULL;
	struct caisson_error err = {0};
	int r;

	assert_ok(oci_index_parse(text, strlen(text), "it", &index, &err), &err);
	r = oci_index_select(&index, tag, nested, "it", &chosen, &err);
	if (r != -code)
		fail_msg("%d (%s) for %s", r, err.message, text);
	if (code == 0)
		assert_string_equal(chosen->digest, digest);
	assert_int_equal(oci_index_select(&index, tag, nested, "it", &chosen, NULL), -code);
}

static void test_select(void **state _unused_)
{
	static const char two_tags[] =
		INDEX(ENTRY(MANIFEST_TYPE, D1, TAG("a")) "," ENTRY(MANIFEST_TYPE, D2, TAG("b")));
	static const char platforms[] =
		INDEX(ENTRY(MANIFEST_TYPE, D1, PLATFORM("linux", "z80")) "," ENTRY(MANIFEST_TYPE,
			D2, PLATFORM("linux", OCI_ARCHITECTURE)) "," ENTRY(MANIFEST_TYPE, D3,
			PLATFORM("unknown", "unknown")));
	static const char foreign[] =
		INDEX(ENTRY(MANIFEST_TYPE, D1, PLATFORM("windows", OCI_ARCHITECTURE)));
	static const char attested[] =
		INDEX(ENTRY("application/vnd.in-toto+json", D1, "") "," ENTRY(INDEX_TYPE, D2, ""));
	static const char named[] = INDEX(ENTRY(MANIFEST_TYPE, D1,
		",\"annotations\":{\"io.containerd.image.name\":\"docker.io/library/x:1\"}"));
	static const char vague[] = INDEX(ENTRY(MANIFEST_TYPE, D1, "") "," ENTRY(
		MANIFEST_TYPE, D2, PLATFORM("linux", OCI_ARCHITECTURE)));

	assert_chosen(two_tags, "a", false, 0, D1);
	assert_chosen(two_tags, "b", false, 0, D2);
	assert_chosen(two_tags, "c", false, ENOENT, NULL);
	assert_chosen(two_tags, NULL, false, EINVAL, NULL);
	assert_chosen(platforms, NULL, false, 0, D2);
	assert_chosen(foreign, NULL, false, ENOEXEC, NULL);
	assert_chosen(attested, NULL, false, 0, D2);
	assert_chosen(named, "docker.io/library/x:1", false, 0, D1);
	assert_chosen(vague, NULL, true, 0, D2);
	assert_chosen(INDEX(""), NULL, false, ENOENT, NULL);
}

static void test_bad_documents(void **state _unused_)
{
	static const char *const indexes[] = {"[]", "{}", "{\"schemaVersion\":2}",
		"{\"schemaVersion\":1,\"manifests\":[]}", "{\"schemaVersion\":2,\"manifests\":[7]}",
		"{\"schemaVersion\":2,\"manifests\":[],\"layers\":[]}",
		"{\"schemaVersion\":2,\"mediaType\":\"" MANIFEST_TYPE "\",\"manifests\":[]}",
		"{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"x\",\"size\":1}]}",
		"{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"x\",\"size\":-1,"
		"\"digest\":\"sha256:" D1 "\"}]}"};
	static const char *const manifests[] = {"{}", MANIFEST(",\"manifests\":[]"),
		"{\"schemaVersion\":2,\"config\":" ENTRY("text/plain", D1, "") ",\"layers\":[]}",
		"{\"schemaVersion\":2,\"config\":" ENTRY(CONFIG_TYPE, D1, "") ",\"layers\":[" ENTRY(
			LAYER_TYPE "+encrypted", D1, "") "]}"};
	static const char *const configs[] = {"{}", CONFIG("\"config\":7,"),
		CONFIG("\"config\":{\"Env\":[\"NOVALUE\"]},"),
		CONFIG("\"config\":{\"Env\":[\"=x\"]},"), CONFIG("\"config\":{\"Cmd\":\"sh\"},"),
		CONFIG("\"config\":{\"Cmd\":[1]},"), CONFIG("\"config\":{\"User\":\"a b\"},"),
		CONFIG("\"config\":{\"StopSignal\":\"no such\"},"),
		"{\"os\":\"linux\",\"architecture\":\"amd64\",\"rootfs\":{\"type\":\"x\"}}"};
	struct caisson_error err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(indexes); i++) {
		struct oci_descriptors index;

		assert_true(
			oci_index_parse(indexes[i], strlen(indexes[i]), "it", &index, &err) < 0);
		assert_int_not_equal(err.message[0], '\0');
	}
	for (size_t i = 0; i < ARRAY_SIZE(manifests); i++) {
		struct oci_manifest manifest;

		assert_true(oci_manifest_parse(
				    manifests[i], strlen(manifests[i]), "it", &manifest, &err) < 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(configs); i++) {
		struct oci_config config;

		assert_true(
			oci_config_parse(configs[i], strlen(configs[i]), "it", &config, &err) < 0);
	}
}

static void test_good_documents(void **state _unused_)
{
	static const char manifest_text[] = MANIFEST(",\"annotations\":{}");
	static const char config_text[] =
		CONFIG("\"config\":{\"Cmd\":null,\"Entrypoint\":[\"a\"],\"WorkingDir\":\"\"},");
	_cleanup_oci_manifest_ struct oci_manifest manifest = OCI_MANIFEST_NONE;
	_cleanup_oci_config_ struct oci_config config = OCI_CONFIG_NONE;
	struct caisson_error err = {0};

	assert_ok(oci_manifest_parse(manifest_text, strlen(manifest_text), "it", &manifest, &err),
		&err);
	assert_string_equal(manifest.config.digest, D1);
	assert_int_equal(manifest.layers.count, 1);
	assert_int_equal(manifest.layers.items[0].size, 7);
	assert_ok(oci_config_parse(config_text, strlen(config_text), "it", &config, &err), &err);
	assert_int_equal(config.command.count, 0);
	assert_string_equal(config.entrypoint.items[0], "a");
	assert_string_equal(config.working_directory, "/");
	assert_string_equal(config.diff_ids.items[0], D3);
}

/* Lists without an end. */
static void test_bounds(void **state _unused_)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	struct oci_manifest manifest;
	struct oci_config config;
	struct caisson_error err = {0};

	strbuf_add_string(&text,
		"{\"schemaVersion\":2,\"config\":" ENTRY(CONFIG_TYPE, D1, "") ",\"layers\":[");
	for (int i = 0; i <= OCI_LAYERS_MOST; i++)
		strbuf_add_format(&text, "%s%s", i > 0 ? "," : "", ENTRY(LAYER_TYPE, D2, ""));
	strbuf_add_string(&text, "]}");
	assert_refused(
		oci_manifest_parse(text.data, text.size, "it", &manifest, &err), &err, EBADMSG);
	assert_non_null(strstr(err.message, "513"));

	strbuf_clear(&text);
	strbuf_add_string(
		&text, "{\"os\":\"linux\",\"architecture\":\"amd64\",\"config\":{\"Cmd\":[");
	for (int i = 0; i <= OCI_STRINGS_MOST; i++)
		strbuf_add_string(&text, i > 0 ? ",\"\"" : "\"\"");
	strbuf_add_string(&text, "]}}");
	assert_refused(oci_config_parse(text.data, text.size, "it", &config, &err), &err, EBADMSG);
	assert_refused(
		oci_config_parse(text.data, OCI_JSON_MOST + 1, "it", &config, &err), &err, EFBIG);
}

static void test_names(void **state)
{
	static const struct {
		const char *tag, *name;
	} cases[] = {{"latest", "latest"}, {"docker.io/Library/x:1.2", "docker.io-library-x-1.2"},
		{"_x", "x"}, {"---", "image"}, {"", "image"}, {"\xc3\xbc", "image"}};
	char longest[200];
	_cleanup_free_ char *of_long = NULL, *of_path = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *name = reference_name("/nowhere", cases[i].tag);

		assert_string_equal(name, cases[i].name);
		assert_true(name_valid(name));
	}
	memset(longest, 'A', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	of_long = reference_name("/nowhere", longest);
	assert_true(name_valid(of_long));
	of_path = reference_name(*state, NULL);
	assert_non_null(strstr(of_path, "caisson-test-"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_digest),
		cmocka_unit_test(test_select),
		cmocka_unit_test(test_bad_documents),
		cmocka_unit_test(test_good_documents),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
