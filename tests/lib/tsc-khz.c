/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests alone, and never installed: prints the frequency of the time stamp counter in kHz, for
 * the command line of a kernel that is emulated (its own calibration can hang on a busy host).
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#if defined(__x86_64__)
#include <x86intrin.h>

static uint64_t nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int main(void)
{
	const struct timespec pause = {.tv_nsec = 50000000};
	uint64_t began = nanoseconds(), ticks = __rdtsc();

	nanosleep(&pause, NULL);
	ticks = __rdtsc() - ticks;
	printf("%llu\n", (unsigned long long)(ticks * 1000000 / (nanoseconds() - began)));
	return 0;
}
#else
int main(void)
{
	return 1;
}
#endif
