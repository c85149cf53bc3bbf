/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdio.h>

/* The generated part of docs/kernel.md: every option with its reason, and the profiles. */
void cli_print_kernel_tables(FILE *to);
