/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/oci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define TAG_ANNOTATION        "org.opencontainers.image.ref.name"
#define IMAGE_NAME_ANNOTATION "io.containerd.image.name"

/* clang-format off */
static const struct {
	const char *type;
	enum oci_media media;
} media_types[] = {
	{"application/vnd.oci.image.index.v1+json", OCI_MEDIA_INDEX},
	{"application/vnd.docker.distribution.manifest.list.v2+json", OCI_MEDIA_INDEX},
	{"application/vnd.oci.image.manifest.v1+json", OCI_MEDIA_MANIFEST},
	{"application/vnd.docker.distribution.manifest.v2+json", OCI_MEDIA_MANIFEST},
	{"application/vnd.oci.image.config.v1+json", OCI_MEDIA_CONFIG},
	{"application/vnd.docker.container.image.v1+json", OCI_MEDIA_CONFIG},
	{"application/vnd.oci.image.layer.v1.tar", OCI_MEDIA_LAYER},
	{"application/vnd.oci.image.layer.v1.tar+gzip", OCI_MEDIA_LAYER},
	{"application/vnd.oci.image.layer.v1.tar+zstd", OCI_MEDIA_LAYER},
	{"application/vnd.oci.image.layer.nondistributable.v1.tar", OCI_MEDIA_LAYER},
	{"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", OCI_MEDIA_LAYER},
	{"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", OCI_MEDIA_LAYER},
	{"application/vnd.docker.image.rootfs.diff.tar", OCI_MEDIA_LAYER},
	{"application/vnd.docker.image.rootfs.diff.tar.gzip", OCI_MEDIA_LAYER},
	{"application/vnd.docker.image.rootfs.diff.tar.zstd", OCI_MEDIA_LAYER},
	{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", OCI_MEDIA_LAYER},
};
/* clang-format on */

static enum oci_media media_of(const char *type)
{
	for (size_t i = 0; i < ARRAY_SIZE(media_types); i++) {
		if (strcmp(type, media_types[i].type) == 0)
			return media_types[i].media;
	}
	return OCI_MEDIA_OTHER;
}

int oci_digest_parse(
	const char *text, char ret_digest[static DIGEST_HEX_SIZE], struct caisson_error *err)
{
	static const char prefix[] = "sha256:";
	const char *digits = text + strlen(prefix);

	if (strncmp(text, prefix, strlen(prefix)) != 0)
		return caisson_refuse(
			err, EBADMSG, "the digest '%.80s' is not a SHA-256 ('sha256:...')", text);
	if (strlen(digits) != DIGEST_HEX_SIZE - 1 ||
		strspn(digits, "0123456789abcdef") != DIGEST_HEX_SIZE - 1)
		return caisson_refuse(err, EBADMSG,
			"the digest '%.80s' does not have 64 lower-case hexadecimal digits", text);
	memcpy(ret_digest, digits, DIGEST_HEX_SIZE);
	return 0;
}

/* Copies a string field; *ret_copy stays NULL when it is absent. */
static int copy_string(struct json_object *object, const char *field, bool required, size_t most,
	char **ret_copy, struct caisson_error *err)
{
	const char *text = NULL;
	int r = json_get_string(object, field, required, &text, err);

	if (r < 0 || text == NULL)
		return r;
	if (strlen(text) > most)
		return caisson_refuse(
			err, EINVAL, "the field '%s' is longer than %zu bytes", field, most);
	free(*ret_copy);
	*ret_copy = strdup(text);
	return *ret_copy != NULL ? 0 : caisson_fail(err, ENOMEM, "read the field '%s'", field);
}

static int read_platform(
	struct json_object *object, struct oci_descriptor *descriptor, struct caisson_error *err)
{
	struct json_object *platform = NULL, *annotations = NULL;
	int r = json_get_object(object, "platform", false, &platform, err);

	if (r == 0 && platform != NULL)
		r = copy_string(platform, "os", true, 64, &descriptor->os, err);
	if (r == 0 && platform != NULL)
		r = copy_string(platform, "architecture", true, 64, &descriptor->architecture, err);
	if (r == 0)
		r = json_get_object(object, "annotations", false, &annotations, err);
	if (r == 0 && annotations != NULL)
		r = copy_string(annotations, TAG_ANNOTATION, false, 4096, &descriptor->tag, err);
	if (r == 0 && annotations != NULL)
		r = copy_string(annotations, IMAGE_NAME_ANNOTATION, false, 4096,
			&descriptor->image_name, err);
	return r;
}

static int read_descriptor(struct json_object *object, struct oci_descriptor *ret_descriptor,
	struct caisson_error *err)
{
	_cleanup_(oci_descriptor_done) struct oci_descriptor descriptor = {0};
	const char *digest = NULL;
	int r;

	r = copy_string(object, "mediaType", true, 256, &descriptor.media_type, err);
	if (r == 0)
		r = json_get_string(object, "digest", true, &digest, err);
	if (r == 0)
		r = oci_digest_parse(digest, descriptor.digest, err);
	if (r == 0)
		r = json_get_uint(object, "size", true, INT64_MAX, &descriptor.size, err);
	if (r == 0)
		r = read_platform(object, &descriptor, err);
	if (r < 0)
		return r;
	descriptor.media = media_of(descriptor.media_type);
	*ret_descriptor = descriptor;
	descriptor = (struct oci_descriptor){0};
	return 0;
}

static int read_descriptors(struct json_object *object, const char *field, size_t most,
	struct oci_descriptors *ret_descriptors, struct caisson_error *err)
{
	_cleanup_oci_descriptors_ struct oci_descriptors list = OCI_DESCRIPTORS_NONE;
	struct json_object *array = NULL;
	size_t count;
	int r = json_get_array(object, field, true, &array, err);

	if (r < 0)
		return r;
	count = json_object_array_length(array);
	if (count > most)
		return caisson_refuse(err, EBADMSG,
			"'%s' has %zu entries, and %zu are the most that is allowed", field, count,
			most);
	list.items = calloc(count > 0 ? count : 1, sizeof(*list.items));
	if (list.items == NULL)
		return caisson_fail(err, ENOMEM, "read the field '%s'", field);
	for (; list.count < count; list.count++) {
		r = read_descriptor(
			json_object_array_get_idx(array, list.count), &list.items[list.count], err);
		if (r < 0) {
			caisson_wrap(err, "entry %zu of '%s'", list.count + 1, field);
			return r;
		}
	}
	*ret_descriptors = list;
	list = OCI_DESCRIPTORS_NONE;
	return 0;
}

/*
 * A document that could be read both as an index and as a manifest means different things to
 * different readers (CVE-2021-41190): the fields of the other kind are refused, and so is a media
 * type that contradicts the kind.
 */
static int check_kind(struct json_object *object, enum oci_media media, const char *const foreign[],
	struct caisson_error *err)
{
	const char *type = NULL;
	uint64_t version = 0;
	int r = json_get_uint(object, "schemaVersion", true, UINT32_MAX, &version, err);

	if (r == 0 && version != 2)
		return caisson_refuse(err, EBADMSG, "its schemaVersion is %llu and not 2",
			(unsigned long long)version);
	if (r == 0)
		r = json_get_string(object, "mediaType", false, &type, err);
	if (r < 0)
		return r;
	if (type != NULL && media_of(type) != media)
		return caisson_refuse(
			err, EBADMSG, "its media type '%.100s' is not what it is used as", type);
	for (size_t i = 0; foreign[i] != NULL; i++) {
		if (json_object_object_get_ex(object, foreign[i], NULL))
			return caisson_refuse(err, EBADMSG,
				"it could be an index as well as a manifest: '%s' does not belong",
				foreign[i]);
	}
	return 0;
}

static int parse_document(const void *data, size_t size, const char *what,
	struct json_object **ret_object, struct caisson_error *err)
{
	if (size > OCI_JSON_MOST)
		return caisson_refuse(err, EFBIG, "%s is larger than the %u bytes that are allowed",
			what, OCI_JSON_MOST);
	return json_parse(data, size, what, ret_object, err);
}

int oci_index_parse(const void *data, size_t size, const char *what,
	struct oci_descriptors *ret_index, struct caisson_error *err)
{
	static const char *const foreign[] = {"layers", "config", "fsLayers", NULL};
	_cleanup_json_ struct json_object *object = NULL;
	int r = parse_document(data, size, what, &object, err);

	if (r < 0)
		return r;
	r = check_kind(object, OCI_MEDIA_INDEX, foreign, err);
	if (r == 0)
		r = read_descriptors(object, "manifests", OCI_MANIFESTS_MOST, ret_index, err);
	return r < 0 ? caisson_wrap(err, "%s", what) : 0;
}

static int check_manifest(const struct oci_manifest *manifest, struct caisson_error *err)
{
	if (manifest->config.media != OCI_MEDIA_CONFIG)
		return caisson_refuse(err, EBADMSG,
			"its configuration has the media type '%s': it is not a container image",
			manifest->config.media_type);
	for (size_t i = 0; i < manifest->layers.count; i++) {
		if (manifest->layers.items[i].media != OCI_MEDIA_LAYER)
			return caisson_refuse(err, EBADMSG,
				"layer %zu has the media type '%s', which is not supported", i + 1,
				manifest->layers.items[i].media_type);
	}
	return 0;
}

int oci_manifest_parse(const void *data, size_t size, const char *what,
	struct oci_manifest *ret_manifest, struct caisson_error *err)
{
	static const char *const foreign[] = {"manifests", "fsLayers", NULL};
	_cleanup_json_ struct json_object *object = NULL;
	_cleanup_oci_manifest_ struct oci_manifest manifest = OCI_MANIFEST_NONE;
	struct json_object *config = NULL;
	int r = parse_document(data, size, what, &object, err);

	if (r < 0)
		return r;
	r = check_kind(object, OCI_MEDIA_MANIFEST, foreign, err);
	if (r == 0)
		r = json_get_object(object, "config", true, &config, err);
	if (r == 0)
		r = read_descriptor(config, &manifest.config, err);
	if (r == 0)
		r = read_descriptors(object, "layers", OCI_LAYERS_MOST, &manifest.layers, err);
	if (r == 0)
		r = check_manifest(&manifest, err);
	if (r < 0)
		return caisson_wrap(err, "%s", what);
	*ret_manifest = manifest;
	manifest = OCI_MANIFEST_NONE;
	return 0;
}

static int read_strings(struct json_object *object, const char *field, struct strv *list,
	size_t *total, struct caisson_error *err)
{
	int r = json_get_strings(object, field, false, list, err);

	if (r < 0)
		return r;
	if (list->count > OCI_STRINGS_MOST)
		return caisson_refuse(
			err, EBADMSG, "'%s' has more than %d entries", field, OCI_STRINGS_MOST);
	for (size_t i = 0; i < list->count; i++) {
		size_t length = strlen(list->items[i]);

		if (length > OCI_STRING_MOST)
			return caisson_refuse(err, EBADMSG,
				"an entry of '%s' is longer than %d bytes", field, OCI_STRING_MOST);
		*total += length + 1;
	}
	if (*total > OCI_STRINGS_SIZE_MOST)
		return caisson_refuse(err, EBADMSG,
			"Env, Entrypoint and Cmd take more than %u bytes", OCI_STRINGS_SIZE_MOST);
	return 0;
}

/* What is executed: Env, Entrypoint, Cmd. */
static int read_command(
	struct json_object *object, struct oci_config *config, struct caisson_error *err)
{
	size_t total = 0;
	int r = read_strings(object, "Entrypoint", &config->entrypoint, &total, err);

	if (r == 0)
		r = read_strings(object, "Cmd", &config->command, &total, err);
	if (r == 0)
		r = read_strings(object, "Env", &config->environment, &total, err);
	for (size_t i = 0; r == 0 && i < config->environment.count; i++) {
		const char *item = config->environment.items[i];
		const char *equals = strchr(item, '=');

		if (equals == NULL || equals == item)
			r = caisson_refuse(
				err, EBADMSG, "'%.80s' in Env is not of the form NAME=VALUE", item);
	}
	return r;
}

/* Docker takes a relative WorkingDir as one below "/". */
static int settle_directory(struct oci_config *config, struct caisson_error *err)
{
	char *absolute;

	if (config->working_directory != NULL && config->working_directory[0] == '/')
		return 0;
	absolute = format_string(
		"/%s", config->working_directory != NULL ? config->working_directory : "");
	if (absolute == NULL)
		return caisson_fail(err, ENOMEM, "read the field 'WorkingDir'");
	free(config->working_directory);
	config->working_directory = absolute;
	return 0;
}

static int settle_string(char **text, const char *value, struct caisson_error *err)
{
	if (*text != NULL && (*text)[0] != '\0')
		return 0;
	free(*text);
	*text = strdup(value);
	return *text != NULL ? 0 : caisson_fail(err, ENOMEM, "read an image's configuration");
}

static int check_words(const struct oci_config *config, struct caisson_error *err)
{
	static const char signal_characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-";

	for (const char *c = config->user; *c != '\0'; c++) {
		if ((unsigned char)*c <= ' ' || *c == 0x7f)
			return caisson_refuse(err, EBADMSG,
				"the field 'User' holds a space or a control character");
	}
	if (config->stop_signal[strspn(config->stop_signal, signal_characters)] != '\0')
		return caisson_refuse(err, EBADMSG, "the field 'StopSignal' ('%s') is not a signal",
			config->stop_signal);
	return 0;
}

static int read_runtime(
	struct json_object *object, struct oci_config *config, struct caisson_error *err)
{
	struct json_object *runtime = NULL;
	int r = json_get_object(object, "config", false, &runtime, err);

	if (r == 0 && runtime != NULL)
		r = read_command(runtime, config, err);
	if (r == 0 && runtime != NULL)
		r = copy_string(
			runtime, "WorkingDir", false, 4095, &config->working_directory, err);
	if (r == 0 && runtime != NULL)
		r = copy_string(runtime, "User", false, 256, &config->user, err);
	if (r == 0 && runtime != NULL)
		r = copy_string(runtime, "StopSignal", false, 16, &config->stop_signal, err);
	if (r == 0)
		r = settle_directory(config, err);
	if (r == 0)
		r = settle_string(&config->user, "", err);
	if (r == 0)
		r = settle_string(&config->stop_signal, "SIGTERM", err);
	return r == 0 ? check_words(config, err) : r;
}

static int read_diff_ids(
	struct json_object *object, struct oci_config *config, struct caisson_error *err)
{
	_cleanup_strv_ struct strv texts = STRV_INIT;
	struct json_object *rootfs = NULL;
	const char *type = NULL;
	int r = json_get_object(object, "rootfs", true, &rootfs, err);

	if (r == 0)
		r = json_get_string(rootfs, "type", true, &type, err);
	if (r == 0 && strcmp(type, "layers") != 0)
		return caisson_refuse(err, EBADMSG, "its rootfs is not of the type 'layers'");
	if (r == 0)
		r = json_get_strings(rootfs, "diff_ids", true, &texts, err);
	if (r == 0 && texts.count > OCI_LAYERS_MOST)
		return caisson_refuse(
			err, EBADMSG, "'diff_ids' has more than %d entries", OCI_LAYERS_MOST);
	for (size_t i = 0; r == 0 && i < texts.count; i++) {
		char digest[DIGEST_HEX_SIZE];

		r = oci_digest_parse(texts.items[i], digest, err);
		if (r == 0)
			strv_add(&config->diff_ids, digest);
	}
	if (r == 0 && !strv_ok(&config->diff_ids))
		return caisson_fail(err, ENOMEM, "read the field 'diff_ids'");
	return r;
}

int oci_config_parse(const void *data, size_t size, const char *what, struct oci_config *ret_config,
	struct caisson_error *err)
{
	_cleanup_json_ struct json_object *object = NULL;
	_cleanup_oci_config_ struct oci_config config = OCI_CONFIG_NONE;
	int r = parse_document(data, size, what, &object, err);

	if (r < 0)
		return r;
	r = copy_string(object, "os", true, 64, &config.os, err);
	if (r == 0)
		r = copy_string(object, "architecture", true, 64, &config.architecture, err);
	if (r == 0)
		r = read_runtime(object, &config, err);
	if (r == 0)
		r = read_diff_ids(object, &config, err);
	if (r < 0)
		return caisson_wrap(err, "%s", what);
	*ret_config = config;
	config = OCI_CONFIG_NONE;
	return 0;
}

void oci_descriptor_done(struct oci_descriptor *descriptor)
{
	free(descriptor->media_type);
	free(descriptor->os);
	free(descriptor->architecture);
	free(descriptor->tag);
	free(descriptor->image_name);
	*descriptor = (struct oci_descriptor){0};
}

void oci_descriptors_done(struct oci_descriptors *descriptors)
{
	for (size_t i = 0; i < descriptors->count; i++)
		oci_descriptor_done(&descriptors->items[i]);
	free(descriptors->items);
	*descriptors = OCI_DESCRIPTORS_NONE;
}

void oci_manifest_done(struct oci_manifest *manifest)
{
	oci_descriptor_done(&manifest->config);
	oci_descriptors_done(&manifest->layers);
}

void oci_config_done(struct oci_config *config)
{
	free(config->os);
	free(config->architecture);
	strv_done(&config->entrypoint);
	strv_done(&config->command);
	strv_done(&config->environment);
	free(config->working_directory);
	free(config->user);
	free(config->stop_signal);
	strv_done(&config->diff_ids);
	*config = OCI_CONFIG_NONE;
}
