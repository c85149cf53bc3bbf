/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/io.h"
#include "cli/commands.h"

#define PATIENCE_USEC 1000000u
#define BAR_WIDTH     40

static void ignore(uint64_t done _unused_, uint64_t total _unused_, void *userdata _unused_)
{
}

static const char full[] = "########################################";

static void draw(struct cli_progress *progress, uint64_t done, uint64_t total)
{
	uint64_t spent = now_usec() - progress->began;
	char size[32], speed[32];

	if (spent < PATIENCE_USEC)
		return;
	cli_format_size(done, size, sizeof(size));
	cli_format_size(done * 1000 / (spent / 1000), speed, sizeof(speed));
	if (total > 0 && done <= total) {
		int part = (int)((double)done / (double)total * BAR_WIDTH);

		fprintf(stderr, "\r[%-*.*s] %3d %%  %s, %s/s\033[K", BAR_WIDTH, part, full,
			(int)((double)done / (double)total * 100), size, speed);
	} else {
		fprintf(stderr, "\r%s, %s/s\033[K", size, speed);
	}
	fflush(stderr);
	progress->shown = true;
}

void cli_progress_step(
	struct cli_progress *progress, unsigned int done, unsigned int total, const char *what)
{
	uint64_t spent = now_usec() - progress->began;
	unsigned int seconds = (unsigned int)(spent / 1000000);

	if (progress->progress.tell == ignore || spent < PATIENCE_USEC)
		return;
	fputc('\r', stderr);
	if (total > 0 && done <= total) {
		int part = (int)((uint64_t)done * BAR_WIDTH / total);

		fprintf(stderr, "[%-*.*s] %3u %%  ", BAR_WIDTH, part, full,
			(unsigned int)((uint64_t)done * 100 / total));
	} else {
		fprintf(stderr, "%u steps  ", done);
	}
	fprintf(stderr, "%u:%02u  %.30s\033[K", seconds / 60, seconds % 60, what);
	fflush(stderr);
	progress->shown = true;
}

static void tell(uint64_t done, uint64_t total, void *userdata)
{
	draw(userdata, done, total);
}

void cli_progress_init(struct cli_progress *progress, const struct cli_command *command,
	const struct cli_context *context)
{
	bool wanted = isatty(STDERR_FILENO) && cli_common(command, context, CLI_QUIET)->count == 0;

	*progress = (struct cli_progress){
		.progress = {.tell = wanted ? tell : ignore, .userdata = progress},
		.began = now_usec()};
}

void cli_progress_next(struct cli_progress *progress)
{
	cli_progress_done(progress);
	progress->shown = false;
	progress->began = now_usec();
}

void cli_progress_done(struct cli_progress *progress)
{
	if (progress->shown)
		fputs("\r\033[K", stderr);
}
