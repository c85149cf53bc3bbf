/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/json.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/utf8.h"

#define DEPTH_MOST 32

static inline void tokener_freep(struct json_tokener **tokener)
{
	if (*tokener != NULL)
		json_tokener_free(*tokener);
}

int json_parse(const char *text, size_t size, const char *what, struct json_object **ret_object,
	struct caisson_error *err)
{
	_cleanup_(tokener_freep) struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MOST);
	_cleanup_json_ struct json_object *object = NULL;
	enum json_tokener_error status;
	size_t end;

	if (tokener == NULL)
		return caisson_fail(err, ENOMEM, "read %s", what);
	if (size > INT_MAX)
		return caisson_refuse(err, EFBIG, "%s is too large", what);
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8 |
						JSON_TOKENER_ALLOW_TRAILING_CHARS);
	object = json_tokener_parse_ex(tokener, text, (int)size);
	status = json_tokener_get_error(tokener);
	/* A bare number at the end of the text wants its end shown. */
	if (status == json_tokener_continue)
		object = json_tokener_parse_ex(tokener, "", 1);
	status = json_tokener_get_error(tokener);
	if (status != json_tokener_success || object == NULL)
		return caisson_refuse(err, EINVAL, "%s is not JSON: %s", what,
			status != json_tokener_success ? json_tokener_error_desc(status)
						       : "it is null");
	end = json_tokener_get_parse_end(tokener);
	while (end < size && strchr(" \t\r\n", text[end]) != NULL && text[end] != '\0')
		end++;
	if (end < size)
		return caisson_refuse(err, EINVAL, "%s has more behind its JSON", what);
	*ret_object = take_ptr(object);
	return 0;
}

static int get(struct json_object *object, const char *field, bool required, json_type type,
	struct json_object **ret_value, struct caisson_error *err)
{
	struct json_object *value;

	*ret_value = NULL;
	if (!json_object_is_type(object, json_type_object))
		return caisson_refuse(err, EINVAL, "what should hold '%s' is not an object", field);
	if (!json_object_object_get_ex(object, field, &value) || value == NULL) {
		if (!required)
			return 0;
		return caisson_refuse(err, EINVAL, "the field '%s' is missing", field);
	}
	if (!json_object_is_type(value, type))
		return caisson_refuse(err, EINVAL, "the field '%s' is not of type %s", field,
			json_type_to_name(type));
	*ret_value = value;
	return 0;
}

static int string_of(struct json_object *value, const char *field, const char **ret_text,
	struct caisson_error *err)
{
	const char *text = json_object_get_string(value);

	if (strlen(text) != (size_t)json_object_get_string_len(value))
		return caisson_refuse(err, EINVAL, "the field '%s' holds a NUL byte", field);
	*ret_text = text;
	return 0;
}

int json_get_string(struct json_object *object, const char *field, bool required,
	const char **ret_value, struct caisson_error *err)
{
	struct json_object *value;
	int r = get(object, field, required, json_type_string, &value, err);

	if (r < 0 || value == NULL)
		return r;
	return string_of(value, field, ret_value, err);
}

static int get_into(struct json_object *object, const char *field, bool required, json_type type,
	struct json_object **ret_value, struct caisson_error *err)
{
	struct json_object *value;
	int r = get(object, field, required, type, &value, err);

	if (r == 0 && value != NULL)
		*ret_value = value;
	return r;
}

int json_get_object(struct json_object *object, const char *field, bool required,
	struct json_object **ret_value, struct caisson_error *err)
{
	return get_into(object, field, required, json_type_object, ret_value, err);
}

int json_get_array(struct json_object *object, const char *field, bool required,
	struct json_object **ret_value, struct caisson_error *err)
{
	return get_into(object, field, required, json_type_array, ret_value, err);
}

int json_get_bool(struct json_object *object, const char *field, bool required, bool *ret_value,
	struct caisson_error *err)
{
	struct json_object *value;
	int r = get(object, field, required, json_type_boolean, &value, err);

	if (r == 0 && value != NULL)
		*ret_value = json_object_get_boolean(value);
	return r;
}

int json_get_uint(struct json_object *object, const char *field, bool required, uint64_t most,
	uint64_t *ret_value, struct caisson_error *err)
{
	struct json_object *value;
	int r = get(object, field, required, json_type_int, &value, err);
	uint64_t number;

	if (r < 0 || value == NULL)
		return r;
	/* json-c gives 0 for a negative number asked for as unsigned. */
	number = json_object_get_uint64(value);
	if (json_object_get_int64(value) < 0 || number > most)
		return caisson_refuse(err, ERANGE, "the field '%s' is not a number from 0 to %llu",
			field, (unsigned long long)most);
	*ret_value = number;
	return 0;
}

int json_get_strings(struct json_object *object, const char *field, bool required,
	struct strv *list, struct caisson_error *err)
{
	struct json_object *array;
	int r = get(object, field, required, json_type_array, &array, err);

	if (r < 0 || array == NULL)
		return r;
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		struct json_object *value = json_object_array_get_idx(array, i);
		const char *text = NULL;

		if (!json_object_is_type(value, json_type_string))
			return caisson_refuse(
				err, EINVAL, "the field '%s' holds what is not a string", field);
		r = string_of(value, field, &text, err);
		if (r < 0)
			return r;
		strv_add(list, text);
	}
	return strv_ok(list) ? 0 : caisson_fail(err, ENOMEM, "read the field '%s'", field);
}

void json_wipe_string(struct json_object *object, const char *field)
{
	struct json_object *value;
	union {
		const char *given;
		char *writable;
	} text;

	if (!json_object_object_get_ex(object, field, &value) ||
		!json_object_is_type(value, json_type_string))
		return;
	/* json-c hands out its own buffer as const; nobody else holds this one. */
	text.given = json_object_get_string(value);
	explicit_bzero(text.writable, (size_t)json_object_get_string_len(value));
}

bool json_set(struct json_object *object, const char *field, struct json_object *value)
{
	if (value == NULL)
		return false;
	if (json_object_object_add(object, field, value) == 0)
		return true;
	json_object_put(value);
	return false;
}

bool json_append(struct json_object *array, struct json_object *value)
{
	if (value == NULL)
		return false;
	if (json_object_array_add(array, value) == 0)
		return true;
	json_object_put(value);
	return false;
}

static struct json_object *new_string(const char *value)
{
	_cleanup_free_ char *text = NULL;

	if (utf8_valid(value))
		return json_object_new_string(value);
	text = strdup(value);
	if (text == NULL)
		return NULL;
	utf8_force(text);
	return json_object_new_string(text);
}

bool json_set_string(struct json_object *object, const char *field, const char *value)
{
	return json_set(object, field, new_string(value));
}

bool json_set_uint(struct json_object *object, const char *field, uint64_t value)
{
	return json_set(object, field, json_object_new_uint64(value));
}

bool json_set_bool(struct json_object *object, const char *field, bool value)
{
	return json_set(object, field, json_object_new_boolean(value));
}

bool json_set_strings(struct json_object *object, const char *field, const struct strv *list)
{
	_cleanup_json_ struct json_object *array = json_object_new_array();

	if (array == NULL)
		return false;
	for (size_t i = 0; i < list->count; i++) {
		if (!json_append(array, new_string(list->items[i])))
			return false;
	}
	return json_set(object, field, take_ptr(array));
}
