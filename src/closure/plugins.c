/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "closure/plugins.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "base/path.h"
#include "closure/config.h"
#include "closure/dlopen.h"

enum {
	WORD_MOST = 128,       /* bytes of a word in a configuration file */
	LIBRARIES_MOST = 2048, /* that one rule may name */
};

static int out_of_memory(struct caisson_error *err)
{
	return caisson_fail(err, ENOMEM, "follow what is dlopened");
}

/* Replaces "{lib}" and "%s"; owned by the caller. */
static char *fill_in(const char *text, const char *lib, const char *word)
{
	_cleanup_strbuf_ struct strbuf out = STRBUF_INIT;

	while (*text != '\0') {
		if (strncmp(text, "{lib}", 5) == 0) {
			strbuf_add_string(&out, lib);
			text += 5;
		} else if (strncmp(text, "%s", 2) == 0) {
			strbuf_add_string(&out, word);
			text += 2;
		} else {
			strbuf_add_char(&out, *text++);
		}
	}
	return strbuf_take(&out);
}

/* The folder that @caller stands in, and the one below /usr: of libc in /lib, the plug-ins stand in
   /usr/lib. */
struct homes {
	char *folders[2];
	size_t count;
};

static void homes_done(struct homes *homes)
{
	for (size_t i = 0; i < homes->count; i++)
		free(homes->folders[i]);
}

static int find_homes(struct library_set *set, const struct location *caller, struct homes *homes,
	struct caisson_error *err)
{
	char *folder = root_path(&set->root, caller->node->parent);

	if (folder == NULL)
		return out_of_memory(err);
	homes->folders[homes->count++] = folder;
	if (strncmp(folder, "/lib", 4) != 0)
		return 0;
	homes->folders[homes->count] = format_string("/usr%s", folder);
	if (homes->folders[homes->count] == NULL)
		return out_of_memory(err);
	homes->count++;
	return 0;
}

/* Appends what @pattern, with @word in it, leads to: a soname as it is, or the paths that are
 * there. */
static int find_pattern(struct library_set *set, const char *pattern, const struct homes *homes,
	const char *word, struct strv *found, struct caisson_error *err)
{
	int r = 0;

	for (size_t i = 0; i < homes->count && r >= 0; i++) {
		_cleanup_free_ char *text =
			word[0] == '/' ? strdup(word) : fill_in(pattern, homes->folders[i], word);

		if (text == NULL)
			return out_of_memory(err);
		if (strchr(text, '/') != NULL)
			r = config_find(set, text, found, err);
		else if (!strv_contains(found, text))
			strv_add(found, text);
		if (found->count > LIBRARIES_MOST)
			return caisson_refuse(
				err, E2BIG, "%s: more than %d files", pattern, (int)LIBRARIES_MOST);
	}
	if (r >= 0 && !strv_ok(found))
		r = out_of_memory(err);
	return r;
}

/* Behind "KEY:", where @keys names KEY; the line itself when there are none; else NULL. */
static char *behind_key(char *line, const char *keys)
{
	size_t length = strcspn(line, ": \t");
	char *colon = line + length + strspn(line + length, " \t");

	if (keys == NULL)
		return line;
	if (*colon != ':')
		return NULL;
	while (*keys != '\0') {
		size_t key = strcspn(keys, " ");

		if (key == length && memcmp(keys, line, key) == 0)
			return colon + 1;
		keys += key + (keys[key] == ' ');
	}
	return NULL;
}

/* Words in a line, without "[NOTFOUND=return]". */
static int take_words(struct library_set *set, const struct dlopen_rule *rule, char *line,
	const struct homes *homes, struct strv *found, struct caisson_error *err)
{
	char *word;
	int r = 0;

	while (r >= 0 && (word = strsep(&line, " \t")) != NULL) {
		if (*word == '[') {
			while (word != NULL && strchr(word, ']') == NULL)
				word = strsep(&line, " \t");
			continue;
		}
		if (*word == '\0' || strlen(word) >= WORD_MOST || strstr(word, "..") != NULL ||
			(strchr(word, '/') != NULL && word[0] != '/') ||
			strpbrk(word, "*?[") != NULL || fnmatch(rule->words.pattern, word, 0) != 0)
			continue;
		r = find_pattern(set, rule->library, homes, word, found, err);
	}
	return r;
}

static int find_by_words(struct library_set *set, const struct dlopen_rule *rule,
	const struct homes *homes, struct strv *found, struct caisson_error *err)
{
	_cleanup_strv_ struct strv files = STRV_INIT;
	int r = config_find(set, rule->words.files, &files, err);

	for (size_t i = 0; i < files.count && r >= 0; i++) {
		_cleanup_strv_ struct strv lines = STRV_INIT;

		r = config_lines(set, files.items[i], &lines, err);
		for (size_t l = 0; l < lines.count && r >= 0; l++) {
			char *line = behind_key(lines.items[l], rule->words.keys);

			if (line != NULL)
				r = take_words(set, rule, line, homes, found, err);
		}
	}
	return r;
}

static int find_patterns(struct library_set *set, const char *const patterns[],
	const struct homes *homes, struct strv *found, struct caisson_error *err)
{
	int r = 0;

	for (size_t i = 0; i < DLOPEN_PATTERNS_MOST && patterns[i] != NULL && r >= 0; i++)
		r = find_pattern(set, patterns[i], homes, "", found, err);
	return r;
}

static void answer_done(struct plugin_answer *answer)
{
	strv_done(&answer->libraries);
	strv_done(&answer->data);
	strv_done(&answer->config);
}

static int find_answer(
	struct library_set *set, struct plugin_answer *answer, struct caisson_error *err)
{
	const struct dlopen_rule *rule = answer->rule;
	_cleanup_(homes_done) struct homes homes = {.count = 0};
	int r;

	r = find_homes(set, answer->caller, &homes, err);
	if (r >= 0 && rule->words.files != NULL)
		r = find_by_words(set, rule, &homes, &answer->libraries, err);
	else if (r >= 0)
		r = find_pattern(set, rule->library, &homes, "", &answer->libraries, err);
	if (r >= 0)
		r = find_patterns(set, rule->data, &homes, &answer->data, err);
	if (r >= 0)
		r = find_patterns(set, rule->config, &homes, &answer->config, err);
	return r;
}

/* Known already, or found out now. Valid until the next call. */
static int ask(struct plugins *plugins, struct library_set *set, const struct dlopen_rule *rule,
	const struct location *caller, const struct plugin_answer **ret_answer,
	struct caisson_error *err)
{
	struct plugin_answer answer = {.rule = rule, .caller = caller}, *bigger;
	int r;

	for (size_t i = 0; i < plugins->count; i++) {
		if (plugins->answers[i].rule == rule && plugins->answers[i].caller == caller) {
			*ret_answer = &plugins->answers[i];
			return 0;
		}
	}
	bigger = reallocarray(plugins->answers, plugins->count + 1, sizeof(*bigger));
	if (bigger == NULL)
		return out_of_memory(err);
	plugins->answers = bigger;
	r = find_answer(set, &answer, err);
	if (r < 0) {
		answer_done(&answer);
		return r;
	}
	bigger[plugins->count] = answer;
	*ret_answer = &bigger[plugins->count++];
	return 0;
}

static int load_libraries(struct load *load, const struct dlopen_rule *rule, struct loaded *caller,
	const struct strv *libraries, struct caisson_error *err)
{
	struct demand demand = {.requester = caller,
		.reason = rule->reason,
		.rule = "dlopen",
		.role = CLOSURE_PLUGIN,
		.optional = rule->priority != CLOSURE_DLOPEN_REQUIRED};

	for (size_t i = 0; i < libraries->count; i++) {
		const char *name = libraries->items[i];
		int r;

		demand.name = atom_intern(&load->search.set->atoms, name, strlen(name));
		if (demand.name == NULL)
			return out_of_memory(err);
		r = load_more(load, &demand, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int keep_files(struct load *load, const struct strv *paths, const struct loaded *caller,
	const char *rule, struct caisson_error *err)
{
	int r = 0;

	for (size_t i = 0; i < paths->count && r >= 0; i++)
		r = load_add_file(load, paths->items[i], caller, rule, err);
	return r;
}

/* One rule for every object from @from on that is its caller. */
static int apply_rule(struct plugins *plugins, struct load *load, size_t index, size_t from,
	struct caisson_error *err)
{
	const struct dlopen_rule *rule = &dlopen_rules[index];

	for (size_t i = from; i < load->object_count; i++) {
		struct loaded *caller = load->objects[i];
		const struct plugin_answer *answer = NULL;
		int r;

		if ((caller->object->rules >> index & 1) == 0)
			continue;
		r = ask(plugins, load->search.set, rule, caller->location, &answer, err);
		if (r >= 0)
			r = load_libraries(load, rule, caller, &answer->libraries, err);
		if (r >= 0 && answer->libraries.count > 0)
			r = keep_files(load, &answer->data, caller, "data", err);
		if (r >= 0 && load->config)
			r = keep_files(load, &answer->config, caller, "configuration", err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int grant(struct load *load, struct loaded *caller, const struct library_wish *wish,
	struct caisson_error *err)
{
	struct demand demand = {.requester = caller,
		.reason = "to be dlopened",
		.rule = "dlopen note",
		.role = CLOSURE_PLUGIN};

	/* The first that is there; what is missing of all of them is told of the last. */
	for (size_t i = 0; i < wish->names.count; i++) {
		const char *name = wish->names.items[i];
		int r;

		demand.optional =
			i + 1 < wish->names.count || wish->priority != CLOSURE_DLOPEN_REQUIRED;
		demand.name = atom_intern(&load->search.set->atoms, name, strlen(name));
		if (demand.name == NULL)
			return out_of_memory(err);
		r = load_more(load, &demand, err);
		if (r != 0)
			return r;
	}
	return 0;
}

static int grant_wishes(struct load *load, size_t from, struct caisson_error *err)
{
	for (size_t i = from; i < load->object_count; i++) {
		const struct object *object = load->objects[i]->object;

		for (size_t w = 0; w < object->wish_count; w++) {
			int r = 0;

			if (object->wishes[w].priority <= load->dlopen)
				r = grant(load, load->objects[i], &object->wishes[w], err);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static bool applies(const struct load *load, size_t index)
{
	const struct dlopen_rule *rule = &dlopen_rules[index];

	return (load->rules >> index & 1) != 0 &&
	       (rule->imports == 0 || (load->imports & rule->imports) != 0);
}

/* Applies what is new since the last round; @done says how far each rule has come. */
static int add_round(
	struct plugins *plugins, struct load *load, size_t *done, struct caisson_error *err)
{
	for (size_t i = 0; i < dlopen_rule_count; i++) {
		size_t count = load->object_count;
		int r = 0;

		if (!applies(load, i))
			continue;
		if (dlopen_rules[i].priority > load->dlopen)
			plugins->left_out |= UINT64_C(1) << i;
		else
			r = apply_rule(plugins, load, i, done[i], err);
		if (r < 0)
			return r;
		done[i] = count;
	}
	return 0;
}

int plugins_add(struct plugins *plugins, struct load *load, struct caisson_error *err)
{
	size_t done[64] = {0}, wishes = 0, before;

	if (load->dlopen == CLOSURE_DLOPEN_NONE)
		return 0;
	/* Each round may bring callers for the next one. */
	do {
		int r;

		before = load->object_count;
		r = add_round(plugins, load, done, err);
		if (r >= 0)
			r = grant_wishes(load, wishes, err);
		if (r < 0)
			return r;
		wishes = before;
	} while (load->object_count > before);
	return 0;
}

void plugins_done(struct plugins *plugins)
{
	for (size_t i = 0; i < plugins->count; i++)
		answer_done(&plugins->answers[i]);
	free(plugins->answers);
}
