/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one program of a `scratch` image: it needs nothing around it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fail(const char *what)
{
	fprintf(stderr, "hello: %s: %s\n", what, strerror(errno));
	return 1;
}

static int write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	if (file == NULL)
		return fail(path);
	if (fprintf(file, "%s\n", text) < 0 || fflush(file) != 0 || fsync(fileno(file)) < 0) {
		int r = fail(path);

		fclose(file);
		return r;
	}
	return fclose(file) == 0 ? 0 : fail(path);
}

static int print_file(const char *path)
{
	FILE *file = fopen(path, "r");
	char chunk[4096];
	size_t size;

	if (file == NULL)
		return fail(path);
	while ((size = fread(chunk, 1, sizeof(chunk), file)) > 0)
		fwrite(chunk, 1, size, stdout);
	if (ferror(file)) {
		int r = fail(path);

		fclose(file);
		return r;
	}
	fclose(file);
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (strcmp(verb, "true") == 0)
		return 0;
	if (strcmp(verb, "exit") == 0 && argc == 3)
		return (int)strtol(argv[2], NULL, 10);
	if (strcmp(verb, "write") == 0 && argc == 4)
		return write_text(argv[2], argv[3]);
	if (strcmp(verb, "read") == 0 && argc == 3)
		return print_file(argv[2]);
	printf("hello, uid %u gid %u\n", (unsigned)getuid(), (unsigned)getgid());
	for (int i = 0; i < argc; i++)
		printf("argument %d: %s\n", i, argv[i]);
	return 0;
}
