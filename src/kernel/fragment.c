/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/fragment.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
	REASONS_MOST = 8, /* of one option */
	ENTRIES_MOST = 4096,
	VALUE_MOST = 1024,
};

/* One "FEATURE: REASON" of an annotation. */
struct want {
	unsigned int feature;
	bool optional;
	struct strbuf reason;
};

/* The annotation that the next lines belong to. */
struct annotation {
	struct want wants[REASONS_MOST];
	size_t count;
	struct strbuf module, alternatives;
	unsigned int since, until;
	bool on_demand;
	bool used; /* an option has stood below it: the next "#:" begins another */
};

struct reader {
	const char *name;
	unsigned int line;
	struct annotation annotation;
	struct strv *texts;
	struct caisson_error *err;
};

static int bad(struct reader *reader, const char *what, const char *word)
{
	return caisson_refuse(reader->err, EBADMSG, "%s:%u: %s%s%.64s%s", reader->name,
		reader->line, what, word != NULL ? ": \"" : "", word != NULL ? word : "",
		word != NULL ? "\"" : "");
}

static void annotation_done(struct annotation *annotation)
{
	for (size_t i = 0; i < annotation->count; i++)
		strbuf_done(&annotation->wants[i].reason);
	strbuf_done(&annotation->module);
	strbuf_done(&annotation->alternatives);
	*annotation = (struct annotation){0};
}

static const char *keep(struct reader *reader, const char *text)
{
	size_t before = reader->texts->count;

	strv_add(reader->texts, text);
	return reader->texts->count > before ? reader->texts->items[before] : NULL;
}

/* "5.18" */
static int parse_version(struct reader *reader, const char *text, unsigned int *ret_version)
{
	unsigned int version;
	const char *behind = kernel_version_parse(text, &version);

	if (behind == NULL || *behind != '\0')
		return bad(reader, "this is no version", text);
	*ret_version = version;
	return 0;
}

static bool is_option(const char *text, size_t length)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789_";

	return length > strlen("CONFIG_") && strncmp(text, "CONFIG_", strlen("CONFIG_")) == 0 &&
	       strspn(text, letters) == length;
}

static int add_alternative(struct reader *reader, const char *options)
{
	struct strbuf *to = &reader->annotation.alternatives;

	for (const char *word = options; *word != '\0';) {
		size_t length = strcspn(word, " ");

		if (!is_option(word, length))
			return bad(reader, "this is no list of options", options);
		word += length + strspn(word + length, " ");
	}
	if (to->size > 0)
		strbuf_add_char(to, '|');
	strbuf_add_string(to, options);
	return 0;
}

/* "volume: ..." or "volume?: ..." */
static int add_want(struct reader *reader, const char *text)
{
	struct annotation *annotation = &reader->annotation;
	const char *colon = strchr(text, ':');
	char name[32] = "";
	size_t length = colon != NULL ? (size_t)(colon - text) : 0;
	struct want *want = &annotation->wants[annotation->count];
	bool optional = length > 0 && text[length - 1] == '?';

	length -= optional;
	if (colon == NULL || colon[1] != ' ' || length == 0 || length >= sizeof(name))
		return bad(reader, "this is neither a reason nor a word that is known", text);
	memcpy(name, text, length);
	if (annotation->count == REASONS_MOST)
		return bad(reader, "these are too many reasons", NULL);
	*want = (struct want){kernel_feature_bits(name), optional, STRBUF_INIT};
	if (strcmp(name, "build") != 0 && (want->feature & (want->feature - 1)) != 0)
		want->feature = 0; /* a machine is no feature */
	if (want->feature == 0 && strcmp(name, "build") != 0)
		return bad(reader, "there is no feature of this name", name);
	strbuf_add_string(&want->reason, colon + 2);
	annotation->count++;
	return 0;
}

/* What stands behind "#:". */
static int read_annotation(struct reader *reader, char *text)
{
	struct annotation *annotation = &reader->annotation;

	if (annotation->used)
		annotation_done(annotation);
	if (strncmp(text, "  ", 2) == 0) {
		if (annotation->count == 0)
			return bad(reader, "this continues no reason", text);
		strbuf_add_string(&annotation->wants[annotation->count - 1].reason,
			text + 1 + strspn(text + 2, " "));
		return 0;
	}
	if (*text++ != ' ')
		return bad(reader, "a space belongs behind \"#:\"", NULL);
	if (strncmp(text, "module ", 7) == 0 || strncmp(text, "module? ", 8) == 0) {
		annotation->on_demand = text[6] == '?';
		strbuf_clear(&annotation->module);
		strbuf_add_string(&annotation->module, strchr(text, ' ') + 1);
		return 0;
	}
	if (strncmp(text, "or ", 3) == 0)
		return add_alternative(reader, text + 3);
	if (strncmp(text, "since ", 6) == 0)
		return parse_version(reader, text + 6, &annotation->since);
	if (strncmp(text, "until ", 6) == 0)
		return parse_version(reader, text + 6, &annotation->until);
	return add_want(reader, text);
}

static int add_requirement(struct reader *reader, struct fragment *fragment,
	const struct kernel_requirement *requirement)
{
	struct kernel_requirement *grown;

	if (fragment->count >= ENTRIES_MOST)
		return bad(reader, "these are too many options", NULL);
	grown = realloc(fragment->requirements, (fragment->count + 1) * sizeof(*grown));
	if (grown == NULL || !strv_ok(reader->texts))
		return caisson_fail(reader->err, ENOMEM, "read %s", reader->name);
	fragment->requirements = grown;
	grown[fragment->count++] = *requirement;
	return 0;
}

/* One requirement for each reason that the annotation gives. */
static int add_option(struct reader *reader, struct fragment *fragment, bool strict,
	const char *option, const char *value)
{
	struct annotation *annotation = &reader->annotation;
	struct kernel_requirement requirement = {.fragment = keep(reader, reader->name),
		.option = keep(reader, option),
		.value = keep(reader, value),
		.on_demand = annotation->on_demand,
		.since = annotation->since,
		.until = annotation->until};
	int r = 0;

	annotation->used = true;
	if (annotation->module.size > 0)
		requirement.module = keep(reader, annotation->module.data);
	if (annotation->alternatives.size > 0)
		requirement.alternatives = keep(reader, annotation->alternatives.data);
	if (annotation->count == 0 && strict)
		return bad(reader, "nothing says what this is for", option);
	if (annotation->count == 0) {
		requirement.reason = keep(reader, "it was asked for");
		return add_requirement(reader, fragment, &requirement);
	}
	for (size_t i = 0; r == 0 && i < annotation->count; i++) {
		const struct want *want = &annotation->wants[i];

		if (!strbuf_ok(&want->reason))
			return caisson_fail(reader->err, ENOMEM, "read %s", reader->name);
		requirement.feature = want->feature;
		requirement.optional = want->optional;
		requirement.reason = keep(reader, want->reason.data);
		r = add_requirement(reader, fragment, &requirement);
	}
	return r;
}

static bool is_value(const char *text)
{
	size_t length = strlen(text);

	if (length == 0 || length > VALUE_MOST)
		return false;
	if (text[0] == '"')
		return length >= 2 && text[length - 1] == '"';
	return strcmp(text, "y") == 0 || strcmp(text, "n") == 0 || strcmp(text, "m") == 0 ||
	       strspn(text, "0123456789abcdefABCDEFxX-") == length;
}

static int read_option(struct reader *reader, struct fragment *fragment, bool strict, char *line)
{
	static const char off[] = " is not set";
	char *is = strchr(line, '=');

	if (strncmp(line, "# CONFIG_", 9) == 0) {
		size_t length = strcspn(line + 2, " ");

		if (strcmp(line + 2 + length, off) != 0)
			return 0; /* prose that begins with an option's name */
		line[2 + length] = '\0';
		if (!is_option(line + 2, length))
			return bad(reader, "this is no option", line + 2);
		return add_option(reader, fragment, strict, line + 2, "n");
	}
	if (line[0] == '#')
		return 0;
	if (is == NULL || !is_option(line, (size_t)(is - line)) || !is_value(is + 1))
		return bad(reader, "this is no line of a .config", line);
	*is = '\0';
	return add_option(reader, fragment, strict, line, is + 1);
}

/* Copies the next line without its end. Returns 1, or 0 at the end. */
static int next_line(struct reader *reader, const char **text, const char *end, struct strbuf *line)
{
	const char *stop;
	size_t length;

	if (*text == end)
		return 0;
	stop = memchr(*text, '\n', (size_t)(end - *text));
	length = (size_t)((stop != NULL ? stop : end) - *text);
	reader->line++;
	strbuf_clear(line);
	strbuf_add(line, *text, length);
	strbuf_add_string(line, "");
	*text += length + (stop != NULL);
	if (!strbuf_ok(line))
		return caisson_fail(reader->err, ENOMEM, "read %s", reader->name);
	if (line->size > 0 && memchr(line->data, '\0', line->size) != NULL)
		return bad(reader, "this is no text", NULL);
	while (line->size > 0 && strchr(" \t\r", line->data[line->size - 1]) != NULL)
		line->data[--line->size] = '\0';
	return 1;
}

static int read_fragment(struct reader *reader, const char *text, size_t size, bool strict,
	struct fragment *fragment)
{
	_cleanup_strbuf_ struct strbuf line = STRBUF_INIT;
	const char *end = text + size;
	int r;

	while ((r = next_line(reader, &text, end, &line)) > 0) {
		if (line.size == 0)
			annotation_done(&reader->annotation);
		else if (strncmp(line.data, "#:", 2) == 0)
			r = read_annotation(reader, line.data + 2);
		else
			r = read_option(reader, fragment, strict, line.data);
		if (r < 0)
			return r;
	}
	return r;
}

int fragment_parse(const char *name, const char *text, size_t size, bool strict,
	struct fragment *ret_fragment, struct caisson_error *err)
{
	_cleanup_fragment_ struct fragment fragment = FRAGMENT_NONE;
	struct reader reader = {.name = name, .texts = &fragment.texts, .err = err};
	int r = read_fragment(&reader, text, size, strict, &fragment);

	annotation_done(&reader.annotation);
	if (r == 0 && !strv_ok(&fragment.texts))
		r = caisson_fail(err, ENOMEM, "read %s", name);
	if (r < 0)
		return r;
	*ret_fragment = fragment;
	fragment = FRAGMENT_NONE;
	return 0;
}

void fragment_done(struct fragment *fragment)
{
	free(fragment->requirements);
	strv_done(&fragment->texts);
	*fragment = FRAGMENT_NONE;
}

static int read_profile_line(struct reader *reader, struct profile *profile, const char *line)
{
	static const char *const words[] = {"fragment ", "include ", "argument "};
	const struct annotation *annotation = &reader->annotation;
	struct profile_line *grown, entry = {.value = NULL};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strncmp(line, words[i], strlen(words[i])) == 0) {
			entry.word = (enum profile_word)i;
			entry.value = keep(reader, line + strlen(words[i]));
		}
	}
	if (entry.value == NULL)
		return bad(reader, "this is no line of a profile", line);
	if (entry.word == PROFILE_ARGUMENT) {
		if (annotation->count != 1)
			return bad(reader, "one reason belongs to an argument", line);
		reader->annotation.used = true;
		entry.feature = annotation->wants[0].feature;
		entry.reason = keep(reader, annotation->wants[0].reason.data);
	}
	if (profile->count >= ENTRIES_MOST)
		return bad(reader, "these are too many lines", NULL);
	grown = realloc(profile->lines, (profile->count + 1) * sizeof(*grown));
	if (grown == NULL)
		return caisson_fail(reader->err, ENOMEM, "read %s", reader->name);
	profile->lines = grown;
	grown[profile->count++] = entry;
	return 0;
}

static int read_profile(
	struct reader *reader, const char *text, size_t size, struct profile *profile)
{
	_cleanup_strbuf_ struct strbuf line = STRBUF_INIT;
	const char *end = text + size;
	int r;

	while ((r = next_line(reader, &text, end, &line)) > 0) {
		if (line.size == 0)
			annotation_done(&reader->annotation);
		else if (strncmp(line.data, "#:", 2) == 0)
			r = read_annotation(reader, line.data + 2);
		else if (line.data[0] != '#')
			r = read_profile_line(reader, profile, line.data);
		/* The first line of prose behind the licence is the summary. */
		else if (profile->summary == NULL && strncmp(line.data, "# ", 2) == 0 &&
			 strncmp(line.data, "# SPDX", 6) != 0)
			profile->summary = keep(reader, line.data + 2);
		if (r < 0)
			return r;
	}
	return r;
}

int profile_parse(const char *name, const char *text, size_t size, struct profile *ret_profile,
	struct caisson_error *err)
{
	_cleanup_profile_ struct profile profile = PROFILE_NONE;
	struct reader reader = {.name = name, .texts = &profile.texts, .err = err};
	int r = read_profile(&reader, text, size, &profile);

	annotation_done(&reader.annotation);
	if (r == 0 && profile.summary == NULL)
		r = caisson_refuse(err, EBADMSG, "%s: nothing says what it is for", name);
	if (r == 0 && !strv_ok(&profile.texts))
		r = caisson_fail(err, ENOMEM, "read %s", name);
	if (r < 0)
		return r;
	*ret_profile = profile;
	profile = PROFILE_NONE;
	return 0;
}

void profile_done(struct profile *profile)
{
	free(profile->lines);
	strv_done(&profile->texts);
	*profile = PROFILE_NONE;
}
