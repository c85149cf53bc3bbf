/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/guest_config.h"

#include <errno.h>
#include <string.h>

#include "base/hex.h"
#include "base/json.h"
#include "base/path.h"

static struct json_object *volume_to_json(const struct guest_volume *volume)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	if (object != NULL && json_set_string(object, "name", volume->name) &&
		json_set_string(object, "serial", volume->serial) &&
		json_set_string(object, "mount", volume->mount) &&
		json_set_bool(object, "read_only", volume->read_only))
		return take_ptr(object);
	return NULL;
}

static struct json_object *volumes_to_json(const struct guest_config *config)
{
	_cleanup_json_ struct json_object *array = json_object_new_array();

	if (array == NULL)
		return NULL;
	for (size_t i = 0; i < config->volume_count; i++) {
		if (!json_append(array, volume_to_json(&config->volumes[i])))
			return NULL;
	}
	return take_ptr(array);
}

static struct json_object *workload_to_json(const struct guest_config *config)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	if (object != NULL && json_set_strings(object, "argv", &config->argv) &&
		json_set_strings(object, "environment", &config->environment) &&
		json_set_string(object, "directory", config->directory) &&
		json_set_string(object, "user", config->user) &&
		json_set_bool(object, "terminal", config->terminal) &&
		json_set_bool(object, "interactive", config->interactive) &&
		json_set_uint(object, "rows", config->rows) &&
		json_set_uint(object, "columns", config->columns))
		return take_ptr(object);
	return NULL;
}

static bool to_json(const struct guest_config *config, struct json_object *object)
{
	return json_set_uint(object, "version", GUEST_CONFIG_VERSION) &&
	       json_set_string(object, "machine", config->machine) &&
	       json_set_string(object, "image", config->image) &&
	       json_set_string(object, "image_serial", config->image_serial) &&
	       json_set_uint(object, "vsock_port", config->vsock_port) &&
	       json_set_uint(object, "vsock_key_port", config->vsock_key_port) &&
	       json_set_bool(object, "network", config->network) &&
	       json_set(object, "volumes", volumes_to_json(config)) &&
	       json_set(object, "workload", workload_to_json(config));
}

/*
 * The secret is put in front of json-c's text by hand, so that it never passes through memory that
 * json-c frees without wiping.
 */
int guest_config_write(
	const struct guest_config *config, struct strbuf *text, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	const char *json;

	if (object == NULL || !to_json(config, object))
		return caisson_fail(err, ENOMEM, "write the guest's configuration");
	json = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);
	if (json == NULL)
		return caisson_fail(err, ENOMEM, "write the guest's configuration");
	/* Room at once: a growing buffer would leave copies behind. */
	(void)strbuf_reserve(text, strlen(json) + 4 * (size_t)GUEST_SECRET_SIZE);
	if (config->secret != NULL)
		strbuf_add_format(text, "{\"secret\":\"%s\",%s", config->secret, json + 1);
	else
		strbuf_add_string(text, json);
	return strbuf_ok(text) ? 0 : caisson_fail(err, ENOMEM, "write the guest's configuration");
}

static int copy_string(
	struct json_object *object, const char *field, char **ret_copy, struct caisson_error *err)
{
	const char *text = NULL;
	int r = json_get_string(object, field, true, &text, err);

	if (r < 0)
		return r;
	free(*ret_copy);
	*ret_copy = strdup(text);
	return *ret_copy != NULL ? 0 : caisson_fail(err, ENOMEM, "read '%s'", field);
}

static int copy_number(struct json_object *object, const char *field, uint64_t most,
	unsigned int *ret_number, struct caisson_error *err)
{
	uint64_t number = 0;
	int r = json_get_uint(object, field, true, most, &number, err);

	if (r == 0)
		*ret_number = (unsigned int)number;
	return r;
}

static int check_absolute(const char *field, const char *path, struct caisson_error *err)
{
	const char *part = path;

	if (path[0] != '/')
		return caisson_refuse(err, EINVAL, "'%s' is not an absolute path: %s", field, path);
	while ((part = strstr(part, "/..")) != NULL) {
		part += 3;
		if (*part == '/' || *part == '\0')
			return caisson_refuse(
				err, EINVAL, "'%s' climbs with '..': %s", field, path);
	}
	return 0;
}

static int read_volume(
	struct json_object *object, struct guest_volume *volume, struct caisson_error *err)
{
	int r = copy_string(object, "name", &volume->name, err);

	if (r == 0)
		r = name_check("volume", volume->name, err);
	if (r == 0)
		r = copy_string(object, "serial", &volume->serial, err);
	if (r == 0)
		r = copy_string(object, "mount", &volume->mount, err);
	if (r == 0)
		r = check_absolute("mount", volume->mount, err);
	if (r == 0)
		r = json_get_bool(object, "read_only", true, &volume->read_only, err);
	return r;
}

static int read_volumes(
	struct json_object *object, struct guest_config *config, struct caisson_error *err)
{
	struct json_object *array = NULL;
	size_t count;
	int r = json_get_array(object, "volumes", true, &array, err);

	if (r < 0)
		return r;
	count = json_object_array_length(array);
	if (count > GUEST_VOLUMES_MOST)
		return caisson_refuse(err, EINVAL,
			"%zu volumes are more than the %d that a "
			"machine can have",
			count, GUEST_VOLUMES_MOST);
	config->volumes = calloc(count > 0 ? count : 1, sizeof(*config->volumes));
	if (config->volumes == NULL)
		return caisson_fail(err, ENOMEM, "read the volumes");
	for (config->volume_count = 0; config->volume_count < count; config->volume_count++) {
		struct guest_volume *volume = &config->volumes[config->volume_count];

		r = read_volume(
			json_object_array_get_idx(array, config->volume_count), volume, err);
		if (r < 0) {
			config->volume_count++; /* what was read of it is freed with the rest */
			return r;
		}
	}
	return 0;
}

static int read_workload(
	struct json_object *object, struct guest_config *config, struct caisson_error *err)
{
	struct json_object *workload = NULL;
	int r = json_get_object(object, "workload", true, &workload, err);

	if (r == 0)
		r = json_get_strings(workload, "argv", true, &config->argv, err);
	if (r == 0 && config->argv.count == 0)
		r = caisson_refuse(err, EINVAL, "there is no command to run");
	if (r == 0)
		r = json_get_strings(workload, "environment", true, &config->environment, err);
	if (r == 0)
		r = copy_string(workload, "directory", &config->directory, err);
	if (r == 0)
		r = check_absolute("directory", config->directory, err);
	if (r == 0)
		r = copy_string(workload, "user", &config->user, err);
	if (r == 0)
		r = json_get_bool(workload, "terminal", true, &config->terminal, err);
	if (r == 0)
		r = json_get_bool(workload, "interactive", true, &config->interactive, err);
	if (r == 0)
		r = copy_number(workload, "rows", UINT16_MAX, &config->rows, err);
	if (r == 0)
		r = copy_number(workload, "columns", UINT16_MAX, &config->columns, err);
	return r;
}

static int read_secret(
	struct json_object *object, struct guest_config *config, struct caisson_error *err)
{
	uint8_t raw[GUEST_SECRET_SIZE];
	const char *text = NULL;
	int r = json_get_string(object, "secret", config->volume_count > 0, &text, err);

	if (r < 0 || text == NULL)
		return r;
	r = hex_decode(text, strlen(text), raw, sizeof(raw));
	explicit_bzero(raw, sizeof(raw));
	if (r < 0)
		return caisson_refuse(
			err, EINVAL, "'secret' is not %d bytes in hexadecimal", GUEST_SECRET_SIZE);
	config->secret = strdup(text);
	if (config->secret == NULL)
		return caisson_fail(err, ENOMEM, "read 'secret'");
	json_wipe_string(object, "secret");
	return 0;
}

static int from_json(
	struct json_object *object, struct guest_config *config, struct caisson_error *err)
{
	unsigned int version = 0;
	int r = copy_number(object, "version", UINT32_MAX, &version, err);

	if (r == 0 && version != GUEST_CONFIG_VERSION)
		r = caisson_refuse(err, EPROTO, "version %u is not the %d that this guest reads",
			version, GUEST_CONFIG_VERSION);
	if (r == 0)
		r = copy_string(object, "machine", &config->machine, err);
	if (r == 0)
		r = name_check("machine", config->machine, err);
	if (r == 0)
		r = copy_string(object, "image", &config->image, err);
	if (r == 0)
		r = copy_string(object, "image_serial", &config->image_serial, err);
	if (r == 0)
		r = copy_number(object, "vsock_port", UINT32_MAX, &config->vsock_port, err);
	if (r == 0)
		r = copy_number(object, "vsock_key_port", UINT32_MAX, &config->vsock_key_port, err);
	if (r == 0)
		r = json_get_bool(object, "network", true, &config->network, err);
	if (r == 0)
		r = read_volumes(object, config, err);
	if (r == 0)
		r = read_secret(object, config, err);
	if (r == 0)
		r = read_workload(object, config, err);
	return r;
}

int guest_config_read(
	const char *text, size_t size, struct guest_config *ret_config, struct caisson_error *err)
{
	_cleanup_guest_config_ struct guest_config config = GUEST_CONFIG_NONE;
	_cleanup_json_ struct json_object *object = NULL;
	int r;

	if (size > GUEST_CONFIG_MOST)
		return caisson_refuse(err, EFBIG, "the guest's configuration is too large");
	r = json_parse(text, size, "the guest's configuration", &object, err);
	if (r < 0)
		return r;
	r = from_json(object, &config, err);
	if (r < 0)
		return caisson_wrap(err, "the guest's configuration");
	*ret_config = config;
	config = GUEST_CONFIG_NONE;
	return 0;
}

void guest_config_done(struct guest_config *config)
{
	if (config->secret != NULL)
		explicit_bzero(config->secret, strlen(config->secret));
	for (size_t i = 0; i < config->volume_count; i++) {
		free(config->volumes[i].name);
		free(config->volumes[i].serial);
		free(config->volumes[i].mount);
	}
	free(config->volumes);
	free(config->machine);
	free(config->image);
	free(config->image_serial);
	free(config->secret);
	free(config->directory);
	free(config->user);
	strv_done(&config->argv);
	strv_done(&config->environment);
	*config = GUEST_CONFIG_NONE;
}
