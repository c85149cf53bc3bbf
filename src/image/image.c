/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/path.h"
#include "image/flatten.h"
#include "image/layout.h"
#include "image/squash.h"
#include "image/store.h"

#define NESTING_MOST 4

/* From index.json to the manifest that is meant. */
static int find_manifest(const struct layout *layout, const char *tag,
	struct oci_manifest *ret_manifest, char ret_digest[static DIGEST_HEX_SIZE],
	struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	_cleanup_oci_descriptors_ struct oci_descriptors index = OCI_DESCRIPTORS_NONE;
	int r = layout_read_index(layout, &text, err);

	if (r == 0)
		r = oci_index_parse(text.data, text.size, "index.json", &index, err);
	for (int depth = 0; r == 0 && depth < NESTING_MOST; depth++) {
		const struct oci_descriptor *chosen;
		struct oci_descriptors nested;

		r = oci_index_select(
			&index, depth == 0 ? tag : NULL, depth > 0, layout->path, &chosen, err);
		if (r < 0)
			return r;
		strbuf_clear(&text);
		r = layout_read(layout, chosen, &text, err);
		if (r < 0)
			return r;
		if (chosen->media == OCI_MEDIA_MANIFEST) {
			memcpy(ret_digest, chosen->digest, sizeof(chosen->digest));
			return oci_manifest_parse(
				text.data, text.size, "the manifest", ret_manifest, err);
		}
		r = oci_index_parse(text.data, text.size, "a nested index", &nested, err);
		if (r < 0)
			return r;
		oci_descriptors_done(&index);
		index = nested;
	}
	if (r < 0)
		return r;
	return caisson_refuse(
		err, EBADMSG, "%s nests more than %d indexes", layout->path, NESTING_MOST);
}

static int check_config(const struct oci_config *config, const struct oci_manifest *manifest,
	struct caisson_error *err)
{
	if (strcmp(config->os, "linux") != 0 || strcmp(config->architecture, OCI_ARCHITECTURE) != 0)
		return caisson_refuse(err, ENOEXEC,
			"the image is for %s/%s, and this machine runs linux/%s", config->os,
			config->architecture, OCI_ARCHITECTURE);
	if (config->diff_ids.count != manifest->layers.count)
		return caisson_refuse(err, EBADMSG,
			"the manifest has %zu layers, and the configuration's diff_ids name %zu",
			manifest->layers.count, config->diff_ids.count);
	return 0;
}

static int read_config(const struct layout *layout, const struct oci_manifest *manifest,
	struct oci_config *ret_config, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	_cleanup_oci_config_ struct oci_config config = OCI_CONFIG_NONE;
	int r = layout_read(layout, &manifest->config, &text, err);

	if (r == 0)
		r = oci_config_parse(text.data, text.size, "the configuration", &config, err);
	if (r == 0)
		r = check_config(&config, manifest, err);
	if (r < 0)
		return r;
	*ret_config = config;
	config = OCI_CONFIG_NONE;
	return 0;
}

static void free_layers(struct layer **layers)
{
	for (struct layer *layer = *layers; layer != NULL && layer->digest != NULL; layer++)
		blob_done(&layer->blob);
	free(*layers);
}

static int flatten_into(const struct layout *layout, const struct oci_manifest *manifest,
	const struct oci_config *config, const char *output, const struct caisson_log *log,
	struct caisson_error *err)
{
	size_t count = manifest->layers.count;
	/* One more, without a digest, is the end. */
	_cleanup_(free_layers) struct layer *layers = calloc(count + 1, sizeof(*layers));
	int r = 0;

	if (layers == NULL)
		return caisson_fail(err, ENOMEM, "read an image's layers");
	for (size_t i = 0; r == 0 && i < count; i++) {
		r = layout_blob(layout, &manifest->layers.items[i], &layers[i].blob, err);
		if (r < 0)
			return caisson_wrap(err, "layer %zu", i + 1);
		layers[i].digest = manifest->layers.items[i].digest;
		layers[i].diff_id = config->diff_ids.items[i];
	}
	return flatten(layers, count, SQUASH_PROGRAM, output, log, err);
}

static int make_image(const char *folder, const struct layout *layout,
	const struct oci_manifest *manifest, const struct oci_config *config,
	const struct image *image, const struct caisson_log *log, struct caisson_error *err)
{
	_cleanup_staging_ struct staging staging = STAGING_NONE;
	_cleanup_free_ char *root = NULL;
	int r = staging_directory(&staging, folder, err);

	if (r < 0)
		return r;
	root = path_join(staging.path, STORE_ROOT);
	if (root == NULL)
		return caisson_fail(err, ENOMEM, "flatten an image");
	log_note(log, "flattening the image %s (%zu layer%s)", image->name, manifest->layers.count,
		manifest->layers.count == 1 ? "" : "s");
	r = flatten_into(layout, manifest, config, root, log, err);
	if (r < 0)
		return r;
	return store_publish(&staging, image, err);
}

static void take_config(struct image *image, struct oci_config *config)
{
	image->entrypoint = config->entrypoint;
	image->command = config->command;
	image->environment = config->environment;
	image->working_directory = take_ptr(config->working_directory);
	image->user = take_ptr(config->user);
	image->stop_signal = take_ptr(config->stop_signal);
	config->entrypoint = config->command = config->environment = STRV_INIT;
}

/* With the layers, unless they were read before. */
static int open_from(const char *folder, const struct layout *layout, const char *tag,
	const struct caisson_log *log, struct image *image, struct caisson_error *err)
{
	_cleanup_oci_manifest_ struct oci_manifest manifest = OCI_MANIFEST_NONE;
	_cleanup_oci_config_ struct oci_config config = OCI_CONFIG_NONE;
	_cleanup_free_ char *stored = NULL;
	int r = find_manifest(layout, tag, &manifest, image->digest, err);

	if (r == 0)
		r = read_config(layout, &manifest, &config, err);
	if (r < 0)
		return r;
	take_config(image, &config);
	stored = path_join(folder, image->digest);
	image->root = stored != NULL ? path_join(stored, STORE_ROOT) : NULL;
	if (image->root == NULL)
		return caisson_fail(err, ENOMEM, "open an image");
	if (store_usable(stored))
		return 0;
	return make_image(folder, layout, &manifest, &config, image, log, err);
}

int image_open(const struct state *state, const char *reference, const struct caisson_log *log,
	struct image *ret_image, struct caisson_error *err)
{
	_cleanup_layout_ struct layout layout = LAYOUT_NONE;
	_cleanup_image_ struct image image = IMAGE_NONE;
	_cleanup_free_ char *path = NULL, *tag = NULL, *folder = NULL;
	bool is_archive = false;
	int r = reference_split(reference, &path, &tag, &is_archive, err);

	if (r == 0)
		r = state_folder(state, "images", &folder, err);
	if (r == 0)
		r = layout_open(&layout, path, is_archive, folder, err);
	if (r < 0)
		return r;
	image.name = reference_name(path, tag);
	if (image.name == NULL)
		return caisson_fail(err, ENOMEM, "open the image %s", reference);
	r = open_from(folder, &layout, tag, log, &image, err);
	if (r < 0)
		return caisson_wrap(err, "image %s", reference);
	*ret_image = image;
	image = IMAGE_NONE;
	return 0;
}

void image_done(struct image *image)
{
	free(image->root);
	free(image->name);
	strv_done(&image->entrypoint);
	strv_done(&image->command);
	strv_done(&image->environment);
	free(image->working_directory);
	free(image->user);
	free(image->stop_signal);
	*image = IMAGE_NONE;
}
