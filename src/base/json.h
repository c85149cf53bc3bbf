/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON from outside, through json-c: bounded in size and depth, read strictly, with an error that
 * names the field. Not for key material: json-c does not wipe what it frees.
 */
#pragma once

#include <caisson/error.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/strbuf.h"

static inline void json_putp(struct json_object **object)
{
	if (*object != NULL)
		json_object_put(*object);
}

#define _cleanup_json_ _cleanup_(json_putp)

/* One JSON value and nothing behind it; at most 32 levels deep, no repeated keys needed. @what
   names the text in errors. Ownership goes to the caller (json_object_put). */
int json_parse(const char *text, size_t size, const char *what, struct json_object **ret_object,
	struct caisson_error *err);

/* The getters below leave *ret at what the caller set when the field is absent or null and
   @required is false; a wrong type is always -EINVAL. Borrowed pointers live as long as @object. */
int json_get_string(struct json_object *object, const char *field, bool required,
	const char **ret_value, struct caisson_error *err);
int json_get_object(struct json_object *object, const char *field, bool required,
	struct json_object **ret_value, struct caisson_error *err);
int json_get_array(struct json_object *object, const char *field, bool required,
	struct json_object **ret_value, struct caisson_error *err);
int json_get_bool(struct json_object *object, const char *field, bool required, bool *ret_value,
	struct caisson_error *err);
/* 0 to @most. */
int json_get_uint(struct json_object *object, const char *field, bool required, uint64_t most,
	uint64_t *ret_value, struct caisson_error *err);
/* An array of strings without NUL bytes; appended to @list. */
int json_get_strings(struct json_object *object, const char *field, bool required,
	struct strv *list, struct caisson_error *err);

/* Overwrites the string in json-c's own memory, for the one secret that has to come as JSON. */
void json_wipe_string(struct json_object *object, const char *field);

/* Setters that say whether memory ran out; they chain with &&. */
bool json_set_string(struct json_object *object, const char *field, const char *value);
bool json_set_uint(struct json_object *object, const char *field, uint64_t value);
bool json_set_bool(struct json_object *object, const char *field, bool value);
bool json_set_strings(struct json_object *object, const char *field, const struct strv *list);
/* Takes @value, also when it fails; NULL is a failure. */
bool json_set(struct json_object *object, const char *field, struct json_object *value);
bool json_append(struct json_object *array, struct json_object *value);
