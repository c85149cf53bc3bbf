/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <caisson/error.h>
#include <stdint.h>

/* -ENOSPC with a sentence of @what when the file system of @folder has less than @need bytes left.
 */
int space_check(const char *folder, uint64_t need, const char *what, struct caisson_error *err);
/* Bytes that a folder takes on the disk; 0 when it is not there. */
uint64_t space_used(const char *folder);
