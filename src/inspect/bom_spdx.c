/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX 2.3, as JSON. */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "inspect/bom.h"

static bool set_hashes(struct json_object *to, const char *sha1, const char *sha256)
{
	static const char *const names[] = {"SHA1", "SHA256"};
	const char *const values[] = {sha1, sha256};
	_cleanup_json_ struct json_object *array = json_object_new_array();

	for (size_t i = 0; array != NULL && i < ARRAY_SIZE(names); i++) {
		_cleanup_json_ struct json_object *object = json_object_new_object();

		if (object == NULL || !json_set_string(object, "algorithm", names[i]) ||
			!json_set_string(object, "checksumValue", values[i]) ||
			!json_append(array, take_ptr(object)))
			return false;
	}
	return json_set(to, "checksums", take_ptr(array));
}

/* What a document has to say where nothing is known. */
static bool set_unknown(struct json_object *to, bool package)
{
	return json_set_string(to, "licenseConcluded", "NOASSERTION") &&
	       json_set_string(to, "copyrightText", "NOASSERTION") &&
	       (!package || (json_set_string(to, "licenseDeclared", "NOASSERTION") &&
				    json_set_string(to, "downloadLocation", "NOASSERTION")));
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Section 7.9: the SHA-1 of all the files' SHA-1, sorted. */
static bool set_verification_code(struct json_object *to, const struct bom *bom)
{
	_cleanup_free_ const char **sums = calloc(bom->count + 1, sizeof(*sums));
	_cleanup_json_ struct json_object *object = json_object_new_object();
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	uint8_t raw[EVP_MAX_MD_SIZE];
	char hex[BOM_SHA1_HEX];

	if (sums == NULL || object == NULL)
		return false;
	for (size_t i = 0; i < bom->count; i++)
		sums[i] = bom->files[i].sha1;
	if (bom->count > 1)
		qsort(sums, bom->count, sizeof(*sums), compare);
	for (size_t i = 0; i < bom->count; i++)
		strbuf_add_string(&text, sums[i]);
	if (!strbuf_ok(&text) ||
		!EVP_Digest(text.size > 0 ? text.data : "", text.size, raw, NULL, EVP_sha1(), NULL))
		return false;
	hex_encode(raw, 20, hex);
	return json_set_string(object, "packageVerificationCodeValue", hex) &&
	       json_set(to, "packageVerificationCode", take_ptr(object));
}

static struct json_object *archive_json(const struct bom *bom)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	if (object != NULL && json_set_string(object, "SPDXID", "SPDXRef-Archive") &&
		json_set_string(object, "name", bom->name) &&
		json_set_string(object, "packageFileName", bom->name) &&
		json_set_string(object, "primaryPackagePurpose", "ARCHIVE") &&
		json_set_bool(object, "filesAnalyzed", true) &&
		set_verification_code(object, bom) && set_unknown(object, true) &&
		set_hashes(object, bom->sha1, bom->sha256))
		return take_ptr(object);
	return NULL;
}

static bool set_purl(struct json_object *to, const char *purl)
{
	_cleanup_json_ struct json_object *array = json_object_new_array();
	_cleanup_json_ struct json_object *object = json_object_new_object();

	return array != NULL && object != NULL &&
	       json_set_string(object, "referenceCategory", "PACKAGE-MANAGER") &&
	       json_set_string(object, "referenceType", "purl") &&
	       json_set_string(object, "referenceLocator", purl) &&
	       json_append(array, take_ptr(object)) &&
	       json_set(to, "externalRefs", take_ptr(array));
}

static struct json_object *package_json(const struct bom *bom, size_t index)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	const struct bom_package *package = &bom->packages[index];
	char id[64];

	snprintf(id, sizeof(id), "SPDXRef-Package-%zu", index + 1);
	if (object != NULL && json_set_string(object, "SPDXID", id) &&
		json_set_string(object, "name", package->package->name) &&
		json_set_string(object, "versionInfo", package->package->version) &&
		json_set_bool(object, "filesAnalyzed", false) && set_unknown(object, true) &&
		set_purl(object, package->purl))
		return take_ptr(object);
	return NULL;
}

static struct json_object *file_json(const struct bom *bom, size_t index)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	_cleanup_json_ struct json_object *licenses = json_object_new_array();
	_cleanup_free_ char *name = format_string("./%s", bom->files[index].path);
	char id[64];

	snprintf(id, sizeof(id), "SPDXRef-File-%zu", index + 1);
	if (object != NULL && licenses != NULL && name != NULL &&
		json_set_string(object, "SPDXID", id) &&
		json_set_string(object, "fileName", name) &&
		set_hashes(object, bom->files[index].sha1, bom->files[index].sha256) &&
		json_append(licenses, json_object_new_string("NOASSERTION")) &&
		json_set(object, "licenseInfoInFiles", take_ptr(licenses)) &&
		set_unknown(object, false))
		return take_ptr(object);
	return NULL;
}

static bool relate(struct json_object *array, const char *from, const char *type, const char *to,
	const char *comment)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	return object != NULL && json_set_string(object, "spdxElementId", from) &&
	       json_set_string(object, "relationshipType", type) &&
	       json_set_string(object, "relatedSpdxElement", to) &&
	       (comment == NULL || json_set_string(object, "comment", comment)) &&
	       json_append(array, take_ptr(object));
}

static struct json_object *relationships(const struct bom *bom)
{
	_cleanup_json_ struct json_object *array = json_object_new_array();
	char file[64], package[64];

	if (array == NULL ||
		!relate(array, "SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Archive", NULL))
		return NULL;
	for (size_t i = 0; i < bom->package_count; i++) {
		snprintf(package, sizeof(package), "SPDXRef-Package-%zu", i + 1);
		if (!relate(array, "SPDXRef-Archive", "CONTAINS", package, "some of its files"))
			return NULL;
	}
	for (size_t i = 0; i < bom->count; i++) {
		snprintf(file, sizeof(file), "SPDXRef-File-%zu", i + 1);
		if (!relate(array, "SPDXRef-Archive", "CONTAINS", file, NULL))
			return NULL;
		if (bom->files[i].package == SIZE_MAX)
			continue;
		snprintf(
			package, sizeof(package), "SPDXRef-Package-%zu", bom->files[i].package + 1);
		if (!relate(array, file, "OTHER", package,
			    "the file is one that this package installs"))
			return NULL;
	}
	return take_ptr(array);
}

static struct json_object *packages_json(const struct bom *bom)
{
	_cleanup_json_ struct json_object *array = json_object_new_array();

	if (array == NULL || !json_append(array, archive_json(bom)))
		return NULL;
	for (size_t i = 0; i < bom->package_count; i++) {
		if (!json_append(array, package_json(bom, i)))
			return NULL;
	}
	return take_ptr(array);
}

static struct json_object *files_json(const struct bom *bom)
{
	_cleanup_json_ struct json_object *array = json_object_new_array();

	for (size_t i = 0; array != NULL && i < bom->count; i++) {
		if (!json_append(array, file_json(bom, i)))
			return NULL;
	}
	return take_ptr(array);
}

static struct json_object *creation_json(const struct bom *bom)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	_cleanup_json_ struct json_object *creators = json_object_new_array();

	if (object != NULL && creators != NULL &&
		json_set_string(object, "created", bom->created) &&
		json_append(creators, json_object_new_string("Tool: caisson-" CAISSON_VERSION)) &&
		json_set(object, "creators", take_ptr(creators)))
		return take_ptr(object);
	return NULL;
}

struct json_object *bom_spdx(const struct bom *bom)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	_cleanup_free_ char *space = format_string("urn:sha256:%s", bom->sha256);

	if (object != NULL && space != NULL && json_set_string(object, "spdxVersion", "SPDX-2.3") &&
		json_set_string(object, "dataLicense", "CC0-1.0") &&
		json_set_string(object, "SPDXID", "SPDXRef-DOCUMENT") &&
		json_set_string(object, "name", bom->name) &&
		json_set_string(object, "documentNamespace", space) &&
		json_set(object, "creationInfo", creation_json(bom)) &&
		json_set(object, "packages", packages_json(bom)) &&
		json_set(object, "files", files_json(bom)) &&
		json_set(object, "relationships", relationships(bom)))
		return take_ptr(object);
	return NULL;
}
