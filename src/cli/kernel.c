/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/kernel.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"

static int add_names(const char *names, unsigned int *features, struct caisson_error *err)
{
	if (*names == '\0')
		return caisson_refuse(err, EINVAL, "--for names no feature and no machine");
	while (*names != '\0') {
		size_t length = strcspn(names, ",");
		_cleanup_free_ char *name = format_string("%.*s", (int)length, names);
		unsigned int bits = name != NULL ? kernel_feature_bits(name) : 0;

		if (name == NULL)
			return caisson_fail(err, ENOMEM, "read --for");
		if (bits == 0) {
			(void)caisson_refuse(err, EINVAL,
				"there is no feature and no machine called \"%s\"", name);
			return caisson_hint(err,
				"machines: microvm q35 firecracker cloud-hypervisor; "
				"features: " KERNEL_FEATURE_WORDS);
		}
		*features |= bits;
		names += length + (names[length] == ',');
	}
	return 0;
}

int cli_kernel_profile(
	const char *name, const struct kernel_profile **ret_profile, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf names = STRBUF_INIT;
	const struct kernel_profile *profile = kernel_profile(name);
	size_t count;
	const struct kernel_profile *profiles = kernel_profiles(&count);

	if (profile != NULL) {
		*ret_profile = profile;
		return 0;
	}
	for (size_t i = 0; i < count; i++)
		strbuf_add_format(&names, " %s", profiles[i].name);
	(void)caisson_refuse(err, EINVAL, "there is no profile called \"%s\"", name);
	return caisson_hint(err, "profiles:%s", strbuf_ok(&names) ? names.data : "");
}

int cli_kernel_choose(const struct strv *names, const char *profile,
	struct cli_kernel_choice *ret_choice, struct caisson_error *err)
{
	struct cli_kernel_choice choice = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < names->count; i++)
		r = add_names(names->items[i], &choice.features, err);
	if (r == 0 && profile != NULL)
		r = cli_kernel_profile(profile, &choice.profile, err);
	if (r < 0)
		return r;
	if (choice.features == 0 && profile == NULL) {
		choice.features =
			KERNEL_BASE | KERNEL_MMIO | KERNEL_PCI | KERNEL_VOLUME | KERNEL_NETWORK;
		choice.either_way = true;
	}
	*ret_choice = choice;
	return 0;
}

bool cli_kernel_chosen(const struct cli_kernel_choice *choice,
	const struct kernel_requirement *requirement, unsigned int version)
{
	if ((requirement->feature & choice->features) != 0)
		return true;
	return choice->profile != NULL && kernel_profile_place(choice->profile, requirement) >= 0 &&
	       !kernel_profile_overrides(choice->profile, requirement, version);
}

bool cli_json_text(struct json_object *object, const char *field, const char *text)
{
	_cleanup_free_ char *copy = NULL;

	if (text == NULL)
		return true;
	copy = strdup(text);
	if (copy == NULL)
		return false;
	utf8_force(copy);
	return json_set_string(object, field, copy);
}

static bool set_version(struct json_object *object, const char *field, unsigned int version)
{
	char text[32];

	if (version == 0)
		return true;
	snprintf(text, sizeof(text), "%u.%u", KERNEL_VERSION_MAJOR(version),
		KERNEL_VERSION_MINOR(version));
	return json_set_string(object, field, text);
}

/* "CONFIG_A CONFIG_B|CONFIG_C": two, of which one has two options. */
static bool set_alternatives(struct json_object *object, const char *alternatives)
{
	_cleanup_strv_ struct strv each = STRV_INIT;

	if (alternatives == NULL)
		return true;
	while (*alternatives != '\0') {
		size_t length = strcspn(alternatives, "|");

		strv_add_format(&each, "%.*s", (int)length, alternatives);
		alternatives += length + (alternatives[length] == '|');
	}
	return strv_ok(&each) && json_set_strings(object, "alternatives", &each);
}

struct json_object *cli_requirement_json(const struct kernel_requirement *requirement)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	if (object == NULL ||
		!json_set_string(object, "feature", kernel_feature_name(requirement->feature)) ||
		!json_set_string(object, "fragment", requirement->fragment) ||
		!json_set_string(object, "option", requirement->option) ||
		!json_set_string(object, "value", requirement->value) ||
		!json_set_bool(object, "required", !requirement->optional) ||
		!cli_json_text(object, "module", requirement->module) ||
		!set_alternatives(object, requirement->alternatives) ||
		!set_version(object, "since", requirement->since) ||
		!set_version(object, "until", requirement->until) ||
		!json_set_string(object, "reason", requirement->reason))
		return NULL;
	return take_ptr(object);
}

void cli_print_flat(const char *text)
{
	_cleanup_free_ char *copy = strdup(text);

	if (copy == NULL)
		return;
	text_flatten(copy);
	fputs(copy, stdout);
}
