/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests to the volume plug-in, as a stranger at its socket would send them: a line each, the
   call and, behind a space, its body. A line that begins with '!' is the record that the service
   finds of the volume "a". Above a double of the public API, which aborts when it gets a name that
   none may have. */
#include <stdlib.h>
#include <string.h>

#include "../unit/fake-volume.h"
#include "base/io.h"
#include "base/json.h"
#include "base/path.h"
#include "fuzz.h"
#include "plugin/driver.h"
#include "plugin/sessions.h"

#define LINES_MOST 32

static char folder[] = "/tmp/caisson-fuzz-XXXXXX";

static void remove_folder(void)
{
	(void)remove_tree(folder, NULL);
}

static void make_folder(void)
{
	static bool made;

	if (made)
		return;
	if (mkdtemp(folder) == NULL)
		abort();
	made = true;
	(void)atexit(remove_folder);
}

static void put_record(const char *text, size_t size)
{
	_cleanup_free_ char *path = format_string("%s/plugin", folder);
	_cleanup_free_ char *file = format_string("%s/plugin/a.json", folder);
	_cleanup_session_ struct session session = SESSION_NONE;
	_cleanup_fclose_ FILE *to = NULL;

	if (path == NULL || file == NULL || make_directories(path, 0700, NULL) < 0 ||
		(to = fopen(file, "we")) == NULL)
		abort();
	fwrite(text, 1, size, to);
	/* What can be read is written and read again. */
	if (session_parse(text, size, "a record", &session, NULL) == 0 &&
		session_save(folder, "b", &session, NULL) < 0)
		abort();
}

/* Every answer is JSON with "Err", which is empty when all went well. */
static void ask(const char *line, size_t size)
{
	const struct driver driver = {.state = folder, .config = folder, .default_size = 1 << 30};
	const char *space = memchr(line, ' ', size);
	size_t length = space != NULL ? (size_t)(space - line) : size;
	_cleanup_free_ char *path = strndup(line, length);
	_cleanup_strbuf_ struct strbuf answer = STRBUF_INIT;
	_cleanup_json_ struct json_object *object = NULL;
	const char *body = space != NULL ? space + 1 : "", *text = "";
	unsigned int status;

	if (path == NULL)
		abort();
	status = driver_answer(&driver, path, body, space != NULL ? size - length - 1 : 0, &answer);
	if (json_parse(answer.data, answer.size, "an answer", &object, NULL) < 0 ||
		json_get_string(object, "Err", true, &text, NULL) < 0 ||
		(status == 200) != (text[0] == '\0') || fake()->contexts != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *line = (const char *)data, *end = line + size;

	make_folder();
	fake_clear();
	for (int i = 0; i < LINES_MOST && line < end; i++) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));

		if (stop == NULL)
			stop = end;
		if (line[0] == '!')
			put_record(line + 1, (size_t)(stop - line - 1));
		else if (line < stop)
			ask(line, (size_t)(stop - line));
		line = stop + (stop < end);
	}
	return 0;
}
