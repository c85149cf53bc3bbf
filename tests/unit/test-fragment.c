/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/config.h"
#include "kernel/fragment.h"
#include "test.h"

static int parse(
	const char *text, bool strict, struct fragment *fragment, struct caisson_error *err)
{
	*err = (struct caisson_error){0};
	return fragment_parse("f", text, strlen(text), strict, fragment, err);
}

static void test_parse(void **state _unused_)
{
	static const char text[] =
		"# SPDX-License-Identifier: X\n# Prose, and CONFIG_NOTHING=y in it.\n"
		"# CONFIG_ALSO stands here as prose\n\n"
		"#: volume: it cannot\n#:   be opened\n#: integrity?: nor that\n#: module dm_crypt\n"
		"#: or CONFIG_A CONFIG_B\n#: or CONFIG_C\n#: since 5.18\n#: until 6.9\n"
		"CONFIG_X=y\n\n"
		"#: build: small\n# CONFIG_Y is not set\nCONFIG_Z=64\r\n"
		"#: base: a name\n#: module? late\nCONFIG_S=\"a b\"";
	_cleanup_fragment_ struct fragment fragment = FRAGMENT_NONE;
	const struct kernel_requirement *one;
	struct caisson_error err;

	assert_ok(parse(text, true, &fragment, &err), &err);
	assert_int_equal(fragment.count, 5);
	one = fragment.requirements;
	assert_string_equal(one[0].option, "CONFIG_X");
	assert_string_equal(one[0].reason, "it cannot be opened");
	assert_int_equal(one[0].feature, KERNEL_VOLUME);
	assert_false(one[0].optional);
	assert_string_equal(one[0].module, "dm_crypt");
	assert_false(one[0].on_demand);
	assert_string_equal(one[0].alternatives, "CONFIG_A CONFIG_B|CONFIG_C");
	assert_int_equal(one[0].since, KERNEL_VERSION(5, 18));
	assert_int_equal(one[0].until, KERNEL_VERSION(6, 9));
	assert_int_equal(one[1].feature, KERNEL_INTEGRITY);
	assert_true(one[1].optional);
	assert_string_equal(one[1].reason, "nor that");
	assert_string_equal(one[2].value, "n");
	assert_int_equal(one[2].feature, 0);
	assert_null(one[2].module);
	assert_string_equal(one[3].value, "64");
	assert_string_equal(one[3].reason, "small");
	assert_string_equal(one[4].value, "\"a b\"");
	assert_true(one[4].on_demand);
}

static void test_refused(void **state _unused_)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"CONFIG_X=y\n", "f:1: nothing says what this is for"},
		{"#: base: why\n\nCONFIG_X=y\n", "f:3: nothing says"},
		{"#: nothing: why\nCONFIG_X=y\n", "no feature of this name"},
		{"#: microvm: why\nCONFIG_X=y\n", "no feature of this name"},
		{"#: what is this\nCONFIG_X=y\n", "neither a reason nor a word"},
		{"#:   more\n", "continues no reason"},
		{"#:x\n", "a space belongs"},
		{"#: base: why\n#: since 6\nCONFIG_X=y\n", "no version"},
		{"#: base: why\n#: until 6.x\nCONFIG_X=y\n", "no version"},
		{"#: base: why\n#: or X\nCONFIG_X=y\n", "no list of options"},
		{"#: base: why\nCONFIG_X\n", "no line of a .config"},
		{"#: base: why\nCONFIG_X=yes\n", "no line of a .config"},
		{"#: base: why\nCONFIG_=y\n", "no line of a .config"},
		{"#: base: why\nCONFIG_X=\"a\n", "no line of a .config"},
		{"#: base: why\nexport X=y\n", "no line of a .config"},
		{"#: base: why\n# CONFIG_X-Y is not set\n", "no option"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_fragment_ struct fragment fragment = FRAGMENT_NONE;
		struct caisson_error err;

		assert_refused(parse(cases[i].text, true, &fragment, &err), &err, EBADMSG);
		if (strstr(err.message, cases[i].says) == NULL)
			fail_msg("%s: %s", cases[i].text, err.message);
	}
}

/* A user's own, as scripts/kconfig takes it. */
static void test_plain(void **state _unused_)
{
	_cleanup_fragment_ struct fragment fragment = FRAGMENT_NONE;
	struct caisson_error err;

	assert_ok(parse("# mine\nCONFIG_X=y\nCONFIG_M=m\n", false, &fragment, &err), &err);
	assert_int_equal(fragment.count, 2);
	assert_int_equal(fragment.requirements[0].feature, 0);
	assert_refused(
		fragment_parse("f", "CONFIG_X=y\0\n", 12, false, &fragment, &err), &err, EBADMSG);
}

static void test_profile(void **state _unused_)
{
	static const char text[] = "# SPDX-License-Identifier: X\n# What it is for\nfragment a\n"
				   "include b\n\n#: mmio: no PCI\nargument pci=off\n";
	_cleanup_profile_ struct profile profile = PROFILE_NONE;
	struct caisson_error err = {0};

	assert_ok(profile_parse("p", text, strlen(text), &profile, &err), &err);
	assert_string_equal(profile.summary, "What it is for");
	assert_int_equal(profile.count, 3);
	assert_int_equal(profile.lines[1].word, PROFILE_INCLUDE);
	assert_string_equal(profile.lines[2].value, "pci=off");
	assert_int_equal(profile.lines[2].feature, KERNEL_MMIO);
	assert_string_equal(profile.lines[2].reason, "no PCI");
	assert_refused(profile_parse("p", "# S\nargument x\n", 15, &profile, &err), &err, EBADMSG);
	assert_refused(profile_parse("p", "# S\nwhat x\n", 11, &profile, &err), &err, EBADMSG);
	assert_refused(profile_parse("p", "fragment a\n", 11, &profile, &err), &err, EBADMSG);
}

static void test_met(void **state _unused_)
{
	static const char config[] = "CONFIG_A=y\nCONFIG_B=y\nCONFIG_N=64\n# CONFIG_Q is not set\n";
	const struct {
		struct kernel_requirement requirement;
		bool met;
	} cases[] = {
		{{.option = "CONFIG_A", .value = "y"}, true},
		{{.option = "CONFIG_A", .value = "n"}, false},
		{{.option = "CONFIG_Q", .value = "n"}, true},
		{{.option = "CONFIG_ABSENT", .value = "n"}, true},
		{{.option = "CONFIG_N", .value = "64"}, true},
		{{.option = "CONFIG_N", .value = "6"}, false},
		{{.option = "CONFIG_Z", .value = "y"}, false},
		{{.option = "CONFIG_Z", .value = "y", .alternatives = "CONFIG_A CONFIG_B"}, true},
		{{.option = "CONFIG_Z", .value = "y", .alternatives = "CONFIG_A CONFIG_C"}, false},
		{{.option = "CONFIG_Z", .value = "y", .alternatives = "CONFIG_C|CONFIG_B"}, true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(kernel_config_meets(config, strlen(config), &cases[i].requirement),
			cases[i].met);
}

/* What is made of the real fragments. */
static void test_profiles(void **state _unused_)
{
	static const char *const names[] = {"minimal", "container", "observe", "confidential"};
	size_t count, places = 0;
	const struct kernel_requirement *table = kernel_requirements(&count);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const struct kernel_profile *profile = kernel_profile(names[i]);

		assert_non_null(profile);
		assert_true(profile->fragment_count > 5 && profile->argument_count > 1);
		for (size_t k = 0; k < count; k++)
			places += kernel_profile_place(profile, &table[k]) >= 0;
	}
	assert_true(places > count);
	assert_null(kernel_profile("maximal"));
	assert_int_equal(kernel_release_version("6.1.0-56-cloud-amd64"), KERNEL_VERSION(6, 1));
	assert_int_equal(kernel_release_version("x"), 0);
	assert_int_equal(kernel_release_version("6"), 0);
	assert_int_equal(kernel_release_version("6."), 0);
	assert_int_equal(kernel_release_version("6.-1"), 0);
	assert_int_equal(kernel_release_version(" 6.1"), 0);
	assert_int_equal(kernel_release_version("6.1000"), 0);
	assert_int_equal(kernel_release_version("4294967302.1"), 0);
	assert_int_equal(kernel_feature_bits("q35"), KERNEL_BASE | KERNEL_PCI);
	assert_string_equal(kernel_feature_name(KERNEL_VSOCK), "vsock");
}

/* Whether the last word of @profile on @option is "y". */
static bool sets(const struct kernel_profile *profile, const char *option)
{
	size_t count;
	const struct kernel_requirement *table = kernel_requirements(&count);
	bool set = false;
	int last = 0;

	for (size_t i = 0; i < count; i++) {
		int place = kernel_profile_place(profile, &table[i]);

		if (strcmp(table[i].option, option) != 0 || place < last)
			continue;
		last = place;
		set = strcmp(table[i].value, "y") == 0;
	}
	return set;
}

/* Kconfig would do without the second one, and what the first is there for would not work. */
static void test_together(void **state _unused_)
{
	static const char *const pairs[][2] = {
		/* register_fentry(): what is not ftrace's has to begin with a nop. */
		{"CONFIG_FUNCTION_TRACER", "CONFIG_DYNAMIC_FTRACE"},
		/* clsact is what a classifier hangs on. */
		{"CONFIG_NET_CLS_BPF", "CONFIG_NET_SCH_INGRESS"},
		/* Else every user may load programs: kernel/bpf/syscall.c. */
		{"CONFIG_BPF_SYSCALL", "CONFIG_BPF_UNPRIV_DEFAULT_OFF"},
	};
	size_t count;
	const struct kernel_profile *profiles = kernel_profiles(&count);

	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(pairs); k++)
			assert_true(!sets(&profiles[i], pairs[k][0]) ||
				    sets(&profiles[i], pairs[k][1]));
	}
}

/* Since 6.12 what is left out here is off in the kernel, and nothing but "mitigations=" says so. */
static void test_mitigations(void **state _unused_)
{
	static const char *const names[] = {"GDS", "L1TF", "MDS", "MMIO_STALE_DATA", "RETBLEED",
		"RFDS", "SPECTRE_BHI", "SPECTRE_V1", "SPECTRE_V2", "SRBDS", "SSB", "TAA"};
	size_t count;
	const struct kernel_profile *profiles = kernel_profiles(&count);

	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
			_cleanup_free_ char *option =
				format_string("CONFIG_MITIGATION_%s", names[k]);

			assert_non_null(option);
			assert_true(sets(&profiles[i], option));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_profile),
		cmocka_unit_test(test_met),
		cmocka_unit_test(test_profiles),
		cmocka_unit_test(test_together),
		cmocka_unit_test(test_mitigations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
