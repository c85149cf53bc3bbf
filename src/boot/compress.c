/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "boot/compress.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "base/io.h"
#include "boot/compress_engine.h"
#include "kernel/config.h"

static const struct compress_engine compress_none;

/* By enum compression. */
static const struct kind {
	const char *word;
	const char *option; /* of the kernel that unpacks it */
	int least, most, standard;
	const struct compress_engine *engine;
} kinds[] = {
	[COMPRESSION_AUTO] = {"zstd", "CONFIG_RD_ZSTD", 1, 19, 3, &compress_zstd},
	[COMPRESSION_ZSTD] = {"zstd", "CONFIG_RD_ZSTD", 1, 19, 3, &compress_zstd},
	[COMPRESSION_GZIP] = {"gzip", "CONFIG_RD_GZIP", 1, 9, 6, &compress_gzip},
	[COMPRESSION_XZ] = {"xz", "CONFIG_RD_XZ", 0, 9, 6, &compress_xz},
	[COMPRESSION_LZ4] = {"lz4", "CONFIG_RD_LZ4", 1, 12, 9, &compress_lz4},
	[COMPRESSION_NONE] = {"none", NULL, 0, 0, 0, &compress_none},
};

const char *compression_word(enum compression kind)
{
	return kinds[kind].word;
}

int compression_level(enum compression kind, int level, int *ret_level, struct caisson_error *err)
{
	const struct kind *k = &kinds[kind];
	int used = level == 0 ? k->standard : level == COMPRESSION_LEVEL_ZERO ? 0 : level;

	/* None has no levels, whatever was said. */
	if (kind == COMPRESSION_NONE)
		used = 0;
	if (used < k->least || used > k->most)
		return caisson_refuse(err, EINVAL, "%s has the levels %d to %d, not %d", k->word,
			k->least, k->most, used);
	*ret_level = used;
	return 0;
}

/* Digits alone, few enough for an int. */
static int parse_level(const char *text, int *ret_level)
{
	size_t length = strspn(text, "0123456789");

	if (length == 0 || length > 4 || text[length] != '\0')
		return -EINVAL;
	*ret_level = atoi(text);
	return 0;
}

int compression_parse(
	const char *text, struct compression_choice *ret_choice, struct caisson_error *err)
{
	size_t length = strcspn(text, ":");
	int level = 0, used;

	for (size_t i = COMPRESSION_ZSTD; i < ARRAY_SIZE(kinds); i++) {
		int r;

		if (strlen(kinds[i].word) != length || strncmp(kinds[i].word, text, length) != 0)
			continue;
		if (text[length] == ':') {
			if (i == COMPRESSION_NONE || parse_level(text + length + 1, &level) < 0)
				return caisson_refuse(err, EINVAL, "'%s' is no level of %s",
					text + length + 1, kinds[i].word);
			level = level == 0 ? COMPRESSION_LEVEL_ZERO : level;
		}
		r = compression_level((enum compression)i, level, &used, err);
		if (r < 0)
			return r;
		*ret_choice = (struct compression_choice){(enum compression)i, level};
		return 0;
	}
	return caisson_refuse(err, EINVAL,
		"'%s' is no compression: there are zstd[:1-19], gzip[:1-9], xz[:0-9], lz4[:1-12] "
		"and none",
		text);
}

int compression_settle(const struct kernel *kernel, enum compression wanted,
	enum compression *ret_kind, struct caisson_error *err)
{
	const struct kernel_requirement needed = {.option = kinds[wanted].option,
		.value = "y",
		.feature = KERNEL_BASE,
		.reason = "the boot archive cannot be unpacked in the form that was asked for"};
	_cleanup_kernel_papers_ struct kernel_papers papers = {0};
	enum compression kind = wanted == COMPRESSION_AUTO ? COMPRESSION_ZSTD : wanted;
	int r;

	if (kernel != NULL && needed.option != NULL) {
		r = kernel_papers_read(kernel, &papers, err);
		if (r < 0)
			return r;
		if (!kernel_meets(kernel, &papers, &needed)) {
			if (wanted != COMPRESSION_AUTO)
				return kernel_refuse(kernel, &papers, &needed, err);
			kind = COMPRESSION_NONE;
		}
	}
	*ret_kind = kind;
	return 0;
}

static int file_write(void *userdata, const void *data, size_t size, struct caisson_error *err)
{
	struct file_sink *file = userdata;

	file->written += size;
	return write_all(file->fd, data, size, file->what, err);
}

struct sink file_sink(struct file_sink *file)
{
	return (struct sink){file_write, file};
}

static unsigned int processors(void)
{
	cpu_set_t set;
	int count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

	return (unsigned int)MAX(count, 1);
}

int compressor_new(struct compressor **ret_compressor, const struct compressor_options *options,
	struct sink to, struct caisson_error *err)
{
	struct compressor_options used = *options;
	int r = compression_level(options->kind, options->level, &used.level, err);

	if (r < 0)
		return r;
	if (used.threads == 0)
		used.threads = processors();
	used.threads = MIN(used.threads, (unsigned int)COMPRESS_THREADS_MOST);
	r = kinds[used.kind].engine->open(ret_compressor, &used, err);
	if (r < 0)
		return r;
	(*ret_compressor)->engine = kinds[used.kind].engine;
	(*ret_compressor)->to = to;
	return 0;
}

static int write_to(void *userdata, const void *data, size_t size, struct caisson_error *err)
{
	struct compressor *compressor = userdata;

	return compressor->engine->write(compressor, data, size, err);
}

struct sink compressor_sink(struct compressor *compressor)
{
	return (struct sink){write_to, compressor};
}

int compressor_finish(struct compressor *compressor, struct caisson_error *err)
{
	return compressor->engine->finish(compressor, err);
}

void compressor_free(struct compressor *compressor)
{
	if (compressor != NULL)
		compressor->engine->free(compressor);
}

/* ---- none: what comes in goes out ---- */

static int none_open(struct compressor **ret_compressor,
	const struct compressor_options *options _unused_, struct caisson_error *err)
{
	struct compressor *compressor = calloc(1, sizeof(*compressor));

	if (compressor == NULL)
		return caisson_fail(err, ENOMEM, "write a boot archive");
	*ret_compressor = compressor;
	return 0;
}

static int none_finish(struct compressor *compressor _unused_, struct caisson_error *err _unused_)
{
	return 0;
}

static void none_free(struct compressor *compressor)
{
	free(compressor);
}

static const struct compress_engine compress_none = {
	none_open, compress_emit, none_finish, none_free};
