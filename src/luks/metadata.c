/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "luks/metadata.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"

/* Copies an optional string; one that does not fit is no name that we know. */
static int get_text(struct json_object *object, const char *field, char *to, size_t size,
	struct caisson_error *err)
{
	const char *text = NULL;
	int r = json_get_string(object, field, false, &text, err);

	if (r < 0 || text == NULL)
		return r;
	if (strlen(text) >= size)
		return caisson_refuse(err, EINVAL, "the field '%s' is too long", field);
	strcpy(to, text);
	return 0;
}

#define get_text_into(object, field, array, err) get_text(object, field, array, sizeof(array), err)

static bool decimal(const char *text, uint64_t most, uint64_t *ret_number)
{
	uint64_t number = 0;

	/* No sign, no space, no leading zero: the only form that the specification writes. */
	if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0'))
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9' ||
			__builtin_mul_overflow(number, UINT64_C(10), &number) ||
			__builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
			return false;
	}
	if (number > most)
		return false;
	*ret_number = number;
	return true;
}

/* 64-bit numbers stand in strings (section 3.1). */
static int get_decimal(
	struct json_object *object, const char *field, uint64_t *number, struct caisson_error *err)
{
	const char *text = NULL;
	int r = json_get_string(object, field, true, &text, err);

	if (r < 0)
		return r;
	if (!decimal(text, INT64_MAX, number))
		return caisson_refuse(err, EINVAL, "the field '%s' is not a number", field);
	return 0;
}

static int get_number(
	struct json_object *object, const char *field, uint64_t *number, struct caisson_error *err)
{
	return json_get_uint(object, field, true, UINT32_MAX, number, err);
}

static int parse_kdf(struct json_object *kdf, struct luks_kdf *to, struct caisson_error *err)
{
	int r = get_text_into(kdf, "type", to->type, err);

	if (r < 0)
		return r;
	if (strcmp(to->type, "pbkdf2") == 0) {
		r = get_text_into(kdf, "hash", to->hash, err);
		return r < 0 ? r : get_number(kdf, "iterations", &to->iterations, err);
	}
	r = get_number(kdf, "time", &to->iterations, err);
	if (r == 0)
		r = get_number(kdf, "memory", &to->memory_kib, err);
	return r < 0 ? r : get_number(kdf, "cpus", &to->threads, err);
}

static int parse_area(
	struct json_object *area, struct luks_keyslot *keyslot, struct caisson_error *err)
{
	int r = get_text_into(area, "type", keyslot->area_type, err);

	if (r == 0)
		r = get_text_into(area, "encryption", keyslot->area_cipher, err);
	if (r == 0)
		r = get_number(area, "key_size", &keyslot->area_key_size, err);
	if (r == 0)
		r = get_decimal(area, "offset", &keyslot->area_offset, err);
	return r < 0 ? r : get_decimal(area, "size", &keyslot->area_size, err);
}

static int parse_keyslot(struct luks_metadata *metadata, unsigned int number,
	struct json_object *object, struct caisson_error *err)
{
	struct luks_keyslot *keyslot = &metadata->keyslots[metadata->keyslot_count];
	struct json_object *kdf = NULL, *area = NULL;
	int r;

	if (metadata->keyslot_count == LUKS_OBJECTS_MOST)
		return caisson_refuse(err, EINVAL, "there are too many keyslots");
	keyslot->number = number;
	metadata->keyslot_count++;
	r = get_text_into(object, "type", keyslot->type, err);
	if (r < 0 || strcmp(keyslot->type, "luks2") != 0)
		return r;

	r = get_number(object, "key_size", &keyslot->key_size, err);
	if (r == 0)
		r = json_get_object(object, "kdf", true, &kdf, err);
	if (r == 0)
		r = json_get_object(object, "area", true, &area, err);
	if (r == 0)
		r = parse_kdf(kdf, &keyslot->kdf, err);
	return r < 0 ? r : parse_area(area, keyslot, err);
}

static int parse_segment(struct luks_metadata *metadata, unsigned int number,
	struct json_object *object, struct caisson_error *err)
{
	struct luks_segment segment = {.number = number};
	struct json_object *integrity = NULL;
	const char *size = NULL;
	int r;

	if (metadata->segment_count++ > 0 && number > metadata->segment.number)
		return 0;
	segment.flagged = json_object_object_get_ex(object, "flags", NULL);
	r = get_text_into(object, "type", segment.type, err);
	if (r == 0)
		r = get_decimal(object, "offset", &segment.offset, err);
	if (r == 0)
		r = json_get_string(object, "size", true, &size, err);
	if (r < 0)
		return r;
	segment.dynamic = strcmp(size, "dynamic") == 0;
	if (!segment.dynamic)
		r = get_decimal(object, "size", &segment.size, err);
	if (r == 0 && strcmp(segment.type, "crypt") == 0) {
		r = get_decimal(object, "iv_tweak", &segment.iv_tweak, err);
		if (r == 0)
			r = get_text_into(object, "encryption", segment.cipher, err);
		if (r == 0)
			r = get_number(object, "sector_size", &segment.sector_size, err);
	}
	if (r == 0)
		r = json_get_object(object, "integrity", false, &integrity, err);
	/* Whatever it says, it is there. */
	if (r == 0 && integrity != NULL) {
		strcpy(segment.integrity, "unnamed");
		r = get_text_into(integrity, "type", segment.integrity, err);
	}
	if (r == 0)
		metadata->segment = segment;
	return r;
}

void luks_segment_cipher(const struct luks_segment *segment, char *ret_text, size_t size)
{
	snprintf(ret_text, size, "%s%s%s", segment->cipher,
		segment->integrity[0] != '\0' ? ";" : "", segment->integrity);
}

/* An array of numbers in strings, as one bit each; numbers above 31 name no keyslot. */
static int get_numbers(
	struct json_object *object, const char *field, uint32_t *bits, struct caisson_error *err)
{
	_cleanup_strv_ struct strv numbers = STRV_INIT;
	int r = json_get_strings(object, field, true, &numbers, err);

	for (size_t i = 0; r == 0 && i < numbers.count; i++) {
		uint64_t number;

		if (!decimal(numbers.items[i], LUKS_OBJECTS_MOST - 1, &number))
			r = caisson_refuse(
				err, EINVAL, "the field '%s' holds what is not a number", field);
		else
			*bits |= UINT32_C(1) << number;
	}
	return r;
}

static int parse_digest(struct luks_metadata *metadata, unsigned int number _unused_,
	struct json_object *object, struct caisson_error *err)
{
	struct luks_digest *digest = &metadata->digests[metadata->digest_count];
	uint32_t segments = 0;
	int r;

	if (metadata->digest_count == LUKS_OBJECTS_MOST)
		return caisson_refuse(err, EINVAL, "there are too many digests");
	metadata->digest_count++;
	r = get_text_into(object, "type", digest->type, err);
	if (r == 0 && strcmp(digest->type, "pbkdf2") == 0)
		r = get_number(object, "iterations", &digest->iterations, err);
	if (r == 0)
		r = get_numbers(object, "keyslots", &digest->keyslots, err);
	if (r == 0)
		r = get_numbers(object, "segments", &segments, err);
	digest->of_data = (segments & 1) != 0;
	return r;
}

static int parse_token(struct luks_metadata *metadata, unsigned int number _unused_,
	struct json_object *object, struct caisson_error *err)
{
	struct luks_token *token = &metadata->tokens[metadata->token_count];
	const char *type = NULL;
	int r;

	if (metadata->token_count == LUKS_OBJECTS_MOST)
		return caisson_refuse(err, EINVAL, "there are too many tokens");
	metadata->token_count++;
	r = json_get_string(object, "type", true, &type, err);
	if (r < 0)
		return r;
	/* Anybody's name is anybody's length: what does not fit is no type that we know. */
	if (strlen(type) < sizeof(token->type))
		strcpy(token->type, type);
	return get_numbers(object, "keyslots", &token->keyslots, err);
}

/* Walks the numbered objects under @field. */
static int parse_each(struct luks_metadata *metadata, struct json_object *root, const char *field,
	int (*parse)(struct luks_metadata *metadata, unsigned int number,
		struct json_object *object, struct caisson_error *err),
	struct caisson_error *err)
{
	struct json_object *objects = NULL;
	int r = json_get_object(root, field, true, &objects, err);

	if (r < 0)
		return r;
	json_object_object_foreach (objects, key, object) {
		uint64_t number;

		if (!decimal(key, LUKS_OBJECTS_MOST - 1, &number))
			return caisson_refuse(
				err, EINVAL, "'%s' in '%s' is not a number below 32", key, field);
		if (!json_object_is_type(object, json_type_object))
			return caisson_refuse(
				err, EINVAL, "'%s' in '%s' is not an object", key, field);
		r = parse(metadata, (unsigned int)number, object, err);
		if (r < 0)
			return caisson_wrap(err, "%s %s", field, key);
	}
	return 0;
}

static int parse_config(
	struct luks_metadata *metadata, struct json_object *root, struct caisson_error *err)
{
	_cleanup_strv_ struct strv mandatory = STRV_INIT;
	struct json_object *config = NULL, *requirements = NULL;
	int r = json_get_object(root, "config", true, &config, err);

	if (r == 0)
		r = get_decimal(config, "json_size", &metadata->json_size, err);
	if (r == 0)
		r = get_decimal(config, "keyslots_size", &metadata->keyslots_size, err);
	if (r == 0)
		r = json_get_object(config, "requirements", false, &requirements, err);
	if (r < 0 || requirements == NULL)
		return r;
	r = json_get_strings(requirements, "mandatory", false, &mandatory, err);
	if (r == 0 && mandatory.count > 0)
		snprintf(metadata->requirement, sizeof(metadata->requirement), "%s",
			mandatory.items[0][0] != '\0' ? mandatory.items[0] : "unnamed");
	return r;
}

int luks_metadata_parse(const char *json, size_t size, struct luks_metadata *ret_metadata,
	struct caisson_error *err)
{
	_cleanup_json_ struct json_object *root = NULL;
	struct luks_metadata metadata = {0};
	int r = json_parse(json, size, "the LUKS2 metadata", &root, err);

	if (r == 0)
		r = parse_each(&metadata, root, "keyslots", parse_keyslot, err);
	if (r == 0)
		r = parse_each(&metadata, root, "tokens", parse_token, err);
	if (r == 0)
		r = parse_each(&metadata, root, "segments", parse_segment, err);
	if (r == 0)
		r = parse_each(&metadata, root, "digests", parse_digest, err);
	if (r == 0)
		r = parse_config(&metadata, root, err);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		if (err != NULL)
			err->code = EBADMSG;
		return -EBADMSG;
	}
	*ret_metadata = metadata;
	return 0;
}

static int differs(struct caisson_error *err, const char *what, const char *is, const char *was)
{
	return caisson_refuse(
		err, EPERM, "%s is '%s' and not '%s'", what, is[0] != '\0' ? is : "none", was);
}

static int differs_number(struct caisson_error *err, const char *what, uint64_t is, uint64_t was)
{
	return caisson_refuse(err, EPERM, "%s is %llu and not %llu bytes", what,
		(unsigned long long)is, (unsigned long long)was);
}

static int check_segment(const struct luks_metadata *metadata, const struct luks_facts *facts,
	struct caisson_error *err)
{
	const struct luks_segment *segment = &metadata->segment;
	char cipher[sizeof(segment->cipher) + sizeof(segment->integrity) + 1];

	if (metadata->requirement[0] != '\0')
		return caisson_refuse(err, EPERM,
			"it wants the feature '%s' (a reencryption that is not finished?)",
			metadata->requirement);
	if (metadata->segment_count != 1 || segment->number != 0)
		return caisson_refuse(err, EPERM, "it has %zu data segments and not just one",
			metadata->segment_count);
	if (strcmp(segment->type, "crypt") != 0)
		return differs(err, "the type of its data segment", segment->type, "crypt");
	luks_segment_cipher(segment, cipher, sizeof(cipher));
	if (strcmp(cipher, facts->cipher) != 0)
		return differs(err, "its cipher", cipher, facts->cipher);
	if (segment->sector_size != facts->sector_size)
		return differs_number(
			err, "its sector size", segment->sector_size, facts->sector_size);
	if (segment->offset != facts->data_offset)
		return differs_number(
			err, "the offset of its data", segment->offset, facts->data_offset);
	if (!segment->dynamic)
		return caisson_refuse(err, EPERM, "its data does not reach to the device's end");
	if (segment->iv_tweak != 0)
		return caisson_refuse(err, EPERM, "its sectors are not counted from 0");
	if (segment->flagged)
		return caisson_refuse(err, EPERM, "its data is marked as being reencrypted");
	return 0;
}

static int check_keyslot(const struct luks_keyslot *keyslot, const struct luks_facts *facts,
	struct caisson_error *err)
{
	char what[64];

	snprintf(what, sizeof(what), "the type of keyslot %u", keyslot->number);
	if (strcmp(keyslot->type, "luks2") != 0)
		return differs(err, what, keyslot->type, "luks2");
	if (strcmp(keyslot->area_type, "raw") != 0)
		return differs(err, what, keyslot->area_type, "raw");
	/* A keyslot under a null cipher opens with any key. */
	snprintf(what, sizeof(what), "the encryption of keyslot %u", keyslot->number);
	if (strcmp(keyslot->area_cipher, LUKS_CIPHER) != 0)
		return differs(err, what, keyslot->area_cipher, LUKS_CIPHER);
	snprintf(what, sizeof(what), "the encryption key of keyslot %u", keyslot->number);
	if (keyslot->area_key_size != LUKS_VOLUME_KEY_SIZE)
		return differs_number(err, what, keyslot->area_key_size, LUKS_VOLUME_KEY_SIZE);
	snprintf(what, sizeof(what), "the volume key in keyslot %u", keyslot->number);
	if (keyslot->key_size != facts->key_size)
		return differs_number(err, what, keyslot->key_size, facts->key_size);
	return 0;
}

/* The one digest that the volume key must have. */
static int find_digest(const struct luks_metadata *metadata, const struct luks_digest **ret_digest,
	struct caisson_error *err)
{
	const struct luks_digest *found = NULL;

	for (size_t i = 0; i < metadata->digest_count; i++) {
		if (!metadata->digests[i].of_data)
			continue;
		if (found != NULL)
			return caisson_refuse(err, EPERM, "its data has two digests");
		found = &metadata->digests[i];
	}
	if (found == NULL)
		return caisson_refuse(err, EPERM, "its data has no digest");
	if (strcmp(found->type, "pbkdf2") != 0)
		return differs(err, "the type of its digest", found->type, "pbkdf2");
	if (found->iterations > LUKS_ITERATIONS_MOST)
		return caisson_refuse(err, EPERM,
			"its digest wants %llu iterations, above the %u that are allowed",
			(unsigned long long)found->iterations, LUKS_ITERATIONS_MOST);
	*ret_digest = found;
	return 0;
}

int luks_metadata_check(const struct luks_metadata *metadata, const struct luks_facts *facts,
	uint32_t *ret_keyslots, struct caisson_error *err)
{
	const struct luks_digest *digest = NULL;
	uint32_t keyslots = 0;
	int r = check_segment(metadata, facts, err);

	if (r == 0)
		r = find_digest(metadata, &digest, err);
	for (size_t i = 0; r == 0 && i < metadata->keyslot_count; i++) {
		const struct luks_keyslot *keyslot = &metadata->keyslots[i];
		uint32_t bit = UINT32_C(1) << keyslot->number;

		r = check_keyslot(keyslot, facts, err);
		/* A passphrase's keyslot is costly on purpose, and none of a machine key's. */
		if (strcmp(keyslot->kdf.type, "pbkdf2") == 0 &&
			keyslot->kdf.iterations <= LUKS_ITERATIONS_MOST &&
			(digest->keyslots & bit) != 0)
			keyslots |= bit;
	}
	if (r < 0)
		return r;
	if (metadata->keyslot_count == 0)
		return caisson_refuse(err, EPERM, "it has no keyslot: it was erased");
	if (keyslots == 0) {
		const struct luks_kdf *kdf = &metadata->keyslots[0].kdf;

		return caisson_refuse(err, EPERM,
			"no keyslot is a machine key's: the first wants %s with %llu iterations "
			"and %llu KiB of memory, above the pbkdf2 with %u that is allowed",
			kdf->type, (unsigned long long)kdf->iterations,
			(unsigned long long)kdf->memory_kib, LUKS_ITERATIONS_MOST);
	}
	*ret_keyslots = keyslots;
	return 0;
}
