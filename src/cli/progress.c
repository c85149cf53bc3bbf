/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/io.h"
#include "cli/commands.h"

#define PATIENCE_USEC 1000000u
#define BAR_WIDTH     40

static void draw(struct cli_progress *progress, uint64_t done, uint64_t total)
{
	static const char full[] = "########################################";
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

static void tell(uint64_t done, uint64_t total, void *userdata)
{
	draw(userdata, done, total);
}

static void ignore(uint64_t done _unused_, uint64_t total _unused_, void *userdata _unused_)
{
}

void cli_progress_init(struct cli_progress *progress, const struct cli_command *command,
	const struct cli_context *context)
{
	bool wanted = isatty(STDERR_FILENO) && cli_common(command, context, CLI_QUIET)->count == 0;

	*progress = (struct cli_progress){
		.progress = {.tell = wanted ? tell : ignore, .userdata = progress},
		.began = now_usec()};
}

void cli_progress_done(struct cli_progress *progress)
{
	if (progress->shown)
		fputs("\r\033[K", stderr);
}
