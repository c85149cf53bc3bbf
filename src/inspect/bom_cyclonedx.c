/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CycloneDX 1.5, as JSON. */
#include <stdio.h>
#include <string.h>

#include "inspect/bom.h"

static bool set_hashes(struct json_object *to, const char *sha1, const char *sha256)
{
	static const char *const names[] = {"SHA-1", "SHA-256"};
	const char *const values[] = {sha1, sha256};
	_cleanup_json_ struct json_object *array = json_object_new_array();

	for (size_t i = 0; array != NULL && i < ARRAY_SIZE(names); i++) {
		_cleanup_json_ struct json_object *object = json_object_new_object();

		if (object == NULL || !json_set_string(object, "alg", names[i]) ||
			!json_set_string(object, "content", values[i]) ||
			!json_append(array, take_ptr(object)))
			return false;
	}
	return json_set(to, "hashes", take_ptr(array));
}

/* Two files may be called the same once their names are made text, so they are numbered. */
static struct json_object *file_json(const struct bom *bom, size_t index)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	const struct bom_file *file = &bom->files[index];
	_cleanup_free_ char *name = format_string("/%s", file->path);
	char reference[64];

	snprintf(reference, sizeof(reference), "file-%zu", index + 1);
	if (object != NULL && name != NULL && json_set_string(object, "type", "file") &&
		json_set_string(object, "bom-ref", reference) &&
		json_set_string(object, "name", name) &&
		set_hashes(object, file->sha1, file->sha256))
		return take_ptr(object);
	return NULL;
}

/* The files of one package, or (SIZE_MAX) of none. */
static bool add_files(struct json_object *array, const struct bom *bom, size_t package)
{
	for (size_t i = 0; i < bom->count; i++) {
		if (bom->files[i].package == package && !json_append(array, file_json(bom, i)))
			return false;
	}
	return true;
}

static struct json_object *package_json(const struct bom *bom, size_t index)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	_cleanup_json_ struct json_object *files = json_object_new_array();
	const struct bom_package *package = &bom->packages[index];

	if (object != NULL && files != NULL && json_set_string(object, "type", "library") &&
		json_set_string(object, "bom-ref", package->purl) &&
		json_set_string(object, "name", package->package->name) &&
		json_set_string(object, "version", package->package->version) &&
		json_set_string(object, "purl", package->purl) && add_files(files, bom, index) &&
		json_set(object, "components", take_ptr(files)))
		return take_ptr(object);
	return NULL;
}

static struct json_object *components(const struct bom *bom)
{
	_cleanup_json_ struct json_object *array = json_object_new_array();

	for (size_t i = 0; array != NULL && i < bom->package_count; i++) {
		if (!json_append(array, package_json(bom, i)))
			return NULL;
	}
	return array != NULL && add_files(array, bom, SIZE_MAX) ? take_ptr(array) : NULL;
}

static struct json_object *tools(void)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	_cleanup_json_ struct json_object *array = json_object_new_array();
	_cleanup_json_ struct json_object *tool = json_object_new_object();

	if (object != NULL && array != NULL && tool != NULL &&
		json_set_string(tool, "type", "application") &&
		json_set_string(tool, "name", "caisson") &&
		json_set_string(tool, "version", CAISSON_VERSION) &&
		json_append(array, take_ptr(tool)) &&
		json_set(object, "components", take_ptr(array)))
		return take_ptr(object);
	return NULL;
}

static struct json_object *metadata(const struct bom *bom)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	_cleanup_json_ struct json_object *archive = json_object_new_object();

	if (object != NULL && archive != NULL &&
		json_set_string(object, "timestamp", bom->created) &&
		json_set(object, "tools", tools()) && json_set_string(archive, "type", "file") &&
		json_set_string(archive, "bom-ref", "archive") &&
		json_set_string(archive, "name", bom->name) &&
		set_hashes(archive, bom->sha1, bom->sha256) &&
		json_set(object, "component", take_ptr(archive)))
		return take_ptr(object);
	return NULL;
}

/* RFC 9562, version 8, out of the archive's digest. */
static char *serial_number(const struct bom *bom)
{
	const char *hex = bom->sha256;

	return format_string(
		"urn:uuid:%.8s-%.4s-8%.3s-a%.3s-%.12s", hex, hex + 8, hex + 12, hex + 15, hex + 18);
}

struct json_object *bom_cyclonedx(const struct bom *bom)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	_cleanup_free_ char *serial = serial_number(bom);

	if (object != NULL && serial != NULL && json_set_string(object, "bomFormat", "CycloneDX") &&
		json_set_string(object, "specVersion", "1.5") &&
		json_set_string(object, "serialNumber", serial) &&
		json_set_uint(object, "version", 1) &&
		json_set(object, "metadata", metadata(bom)) &&
		json_set(object, "components", components(bom)))
		return take_ptr(object);
	return NULL;
}
