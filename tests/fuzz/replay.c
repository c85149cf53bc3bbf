/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs a fuzz target over every file of its corpus, and over cut and flipped forms of each, so that
   the ordinary test run also walks the error paths. Deterministic. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/path.h"
#include "base/strbuf.h"
#include "fuzz.h"

enum { MUTATIONS = 64 };

static void run_exact(const void *data, size_t size)
{
	/* A block of exactly this size, so that sanitizers and valgrind see a step past the end. */
	uint8_t *copy = malloc(size > 0 ? size : 1);

	if (copy == NULL)
		abort();
	memcpy(copy, data, size);
	(void)LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void run_mutated(struct strbuf *input)
{
	uint32_t state = 0x9e3779b9u ^ (uint32_t)input->size;

	for (int i = 0; i < MUTATIONS && input->size > 0; i++) {
		size_t at;
		char saved;

		state = state * 1664525u + 1013904223u;
		at = (state >> 8) % input->size;
		run_exact(input->data, at);
		saved = input->data[at];
		input->data[at] = (char)(saved ^ (1u << (state & 7)));
		run_exact(input->data, input->size);
		input->data[at] = saved;
	}
}

int main(int argc, char **argv)
{
	_cleanup_strv_ struct strv names = STRV_INIT;
	_cleanup_closedir_ DIR *folder = NULL;
	struct dirent *entry;

	if (argc != 2 || (folder = opendir(argv[1])) == NULL) {
		printf("1..0\nBail out! no corpus at %s\n", argc == 2 ? argv[1] : "(no argument)");
		return 1;
	}
	while ((entry = readdir(folder)) != NULL) {
		if (entry->d_name[0] != '.')
			strv_add(&names, entry->d_name);
	}
	strv_sort(&names);
	if (names.count == 0) {
		printf("1..0\nBail out! the corpus %s is empty\n", argv[1]);
		return 1;
	}
	printf("1..%zu\n", names.count);
	for (size_t i = 0; i < names.count; i++) {
		_cleanup_free_ char *path = path_join(argv[1], names.items[i]);
		_cleanup_strbuf_ struct strbuf input = STRBUF_INIT;
		struct caisson_error err = {0};

		if (path == NULL || read_file(path, 16 << 20, &input, &err) < 0) {
			printf("not ok %zu - %s: %s\n", i + 1, names.items[i], err.message);
			return 1;
		}
		strbuf_add(&input, "", 0);
		run_exact(input.data, input.size);
		run_mutated(&input);
		printf("ok %zu - %s\n", i + 1, names.items[i]);
		fflush(stdout);
	}
	return 0;
}
