/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For the build: makes C tables of the fragments and profiles in kernel/.
 *
 *   make-tables OUTPUT FILE...    in the order in which modules are best loaded
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/path.h"
#include "kernel/fragment.h"

enum { FILES_MOST = 64, FILE_MOST = 1 << 20, INCLUDES_MOST = 8 };

struct input {
	char *name; /* "minimal" */
	struct fragment fragment;
	struct profile profile;
	bool is_profile;
};

struct maker {
	struct input inputs[FILES_MOST];
	size_t count;
	FILE *out;
	struct caisson_error err;
};

static int read_input(struct maker *maker, const char *path)
{
	struct input *input = &maker->inputs[maker->count];
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	const char *base = path_base(path), *dot = strrchr(base, '.');
	int r;

	if (maker->count == FILES_MOST || dot == NULL)
		return caisson_refuse(&maker->err, EINVAL, "%s: too many, or no suffix", path);
	input->name = format_string("%.*s", (int)(dot - base), base);
	input->is_profile = strcmp(dot, ".profile") == 0;
	if (input->name == NULL)
		return caisson_fail(&maker->err, ENOMEM, "read %s", path);
	maker->count++;
	r = read_file(path, FILE_MOST, &text, &maker->err);
	if (r == 0 && input->is_profile)
		r = profile_parse(path, text.data, text.size, &input->profile, &maker->err);
	else if (r == 0)
		r = fragment_parse(path, text.data, text.size, true, &input->fragment, &maker->err);
	return r;
}

static const struct input *find_input(const struct maker *maker, const char *name, bool is_profile)
{
	for (size_t i = 0; i < maker->count; i++) {
		if (maker->inputs[i].is_profile == is_profile &&
			strcmp(maker->inputs[i].name, name) == 0)
			return &maker->inputs[i];
	}
	return NULL;
}

static void write_string(FILE *out, const char *text)
{
	if (text == NULL) {
		fputs("NULL", out);
		return;
	}
	fputc('"', out);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		if ((unsigned char)*text < ' ')
			fprintf(out, "\\%03o", (unsigned int)(unsigned char)*text);
		else
			fputc(*text, out);
	}
	fputc('"', out);
}

static void write_requirements(const struct maker *maker)
{
	FILE *out = maker->out;

	fputs("static const struct kernel_requirement requirements[] = {\n", out);
	for (size_t i = 0; i < maker->count; i++) {
		const struct input *input = &maker->inputs[i];

		for (size_t j = 0; j < input->fragment.count; j++) {
			const struct kernel_requirement *one = &input->fragment.requirements[j];
			const char *texts[] = {input->name, one->option, one->value};

			fputs("\t{", out);
			for (size_t k = 0; k < ARRAY_SIZE(texts); k++) {
				write_string(out, texts[k]);
				fputs(", ", out);
			}
			fprintf(out, "0x%x, %s, ", one->feature, one->optional ? "true" : "false");
			write_string(out, one->module);
			fprintf(out, ", %s, ", one->on_demand ? "true" : "false");
			write_string(out, one->alternatives);
			fprintf(out, ", %u, %u, ", one->since, one->until);
			write_string(out, one->reason);
			fputs("},\n", out);
		}
	}
	fputs("};\n\n", out);
}

/* The lines of @profile of the kind @word, with those of the profiles that it includes in their
   place. */
static int write_lines(
	struct maker *maker, const struct input *input, enum profile_word word, unsigned int depth)
{
	const struct profile *profile = &input->profile;
	int r = 0;

	if (depth == INCLUDES_MOST)
		return caisson_refuse(&maker->err, ELOOP, "%s includes itself", input->name);
	for (size_t i = 0; r == 0 && i < profile->count; i++) {
		const struct profile_line *line = &profile->lines[i];
		const struct input *other =
			find_input(maker, line->value, line->word == PROFILE_INCLUDE);

		if (line->word != PROFILE_ARGUMENT && other == NULL)
			return caisson_refuse(&maker->err, ENOENT,
				"%s names %s, which is not there", input->name, line->value);
		if (line->word == PROFILE_INCLUDE) {
			r = write_lines(maker, other, word, depth + 1);
		} else if (line->word == word) {
			fputs(word == PROFILE_ARGUMENT ? "\t{" : "\t", maker->out);
			write_string(maker->out, line->value);
			if (word == PROFILE_ARGUMENT) {
				fprintf(maker->out, ", 0x%x, ", line->feature);
				write_string(maker->out, line->reason);
				fputc('}', maker->out);
			}
			fputs(",\n", maker->out);
		}
	}
	return r;
}

static int write_profiles(struct maker *maker)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < maker->count; i++) {
		const struct input *input = &maker->inputs[i];

		if (!input->is_profile)
			continue;
		fprintf(maker->out, "static const char *const fragments_%zu[] = {\n", i);
		r = write_lines(maker, input, PROFILE_FRAGMENT, 0);
		fprintf(maker->out, "};\nstatic const struct kernel_argument arguments_%zu[] = {\n",
			i);
		if (r == 0)
			r = write_lines(maker, input, PROFILE_ARGUMENT, 0);
		fputs("};\n", maker->out);
	}
	fputs("static const struct kernel_profile profiles[] = {\n", maker->out);
	for (size_t i = 0; r == 0 && i < maker->count; i++) {
		const struct input *input = &maker->inputs[i];

		if (!input->is_profile)
			continue;
		fputs("\t{", maker->out);
		write_string(maker->out, input->name);
		fputs(", ", maker->out);
		write_string(maker->out, input->profile.summary);
		fprintf(maker->out,
			", fragments_%zu, ARRAY_SIZE(fragments_%zu), arguments_%zu, "
			"ARRAY_SIZE(arguments_%zu)},\n",
			i, i, i, i);
	}
	fputs("};\n", maker->out);
	return r;
}

static int make(struct maker *maker, const char *output, char **files)
{
	int r = 0;

	for (; r == 0 && *files != NULL; files++)
		r = read_input(maker, *files);
	if (r < 0)
		return r;
	maker->out = fopen(output, "we");
	if (maker->out == NULL)
		return caisson_fail(&maker->err, errno, "open %s", output);
	fputs("/* Made of kernel/: see make_tables.c. */\n", maker->out);
	write_requirements(maker);
	r = write_profiles(maker);
	if (fclose(maker->out) != 0 && r == 0)
		r = caisson_fail(&maker->err, errno, "write %s", output);
	/* Half a table would be taken for a new one. */
	if (r < 0)
		(void)unlink(output);
	return r;
}

int main(int argc, char **argv)
{
	static struct maker maker;
	int r = argc > 2 ? make(&maker, argv[1], argv + 2)
			 : caisson_refuse(&maker.err, EINVAL, "usage: make-tables OUTPUT FILE...");

	for (size_t i = 0; i < maker.count; i++) {
		free(maker.inputs[i].name);
		fragment_done(&maker.inputs[i].fragment);
		profile_done(&maker.inputs[i].profile);
	}
	if (r < 0)
		fprintf(stderr, "%s\n", maker.err.message);
	return r < 0;
}
