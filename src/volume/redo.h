/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changes to a container that are all there or not there at all, whenever the power goes.
 *
 * What is written through redo_blocks() goes to a journal beside the container, as it will stand in
 * it (encrypted, where it is payload). redo_commit() syncs the journal and gives it its name: from
 * then on the changes will be made, by this process or by redo_recover() in the next one. Without
 * it they never were. Formats: docs/state.md.
 */
#pragma once

#include "base/blocks.h"

struct redo;

/* Over @container (borrowed), for a journal in @folder. @size: what the container shall have; a
   device keeps its own. @secret: the journal is overwritten before it is deleted (keyslots). */
int redo_new(struct blocks *container, const char *folder, uint64_t size, bool secret,
	struct redo **ret_redo, struct caisson_error *err);
/* The container as it will be; lives as long as @redo. */
struct blocks *redo_blocks(struct redo *redo);
/* Another size for it: what lies beyond is cut off when all is committed. */
void redo_set_size(struct redo *redo, uint64_t size);
/* @container: open for writing on what redo_new() got. All is on the disk when it returns. After a
   failure the changes are made by redo_recover(), or were never made. */
int redo_commit(struct redo *redo, int container, struct caisson_error *err);
/* Drops what was not committed. */
void redo_free(struct redo *redo);
DEFINE_CLEANUP(struct redo *, redo_free);

/* Makes the changes of a journal that was committed in @folder, and removes it. 1 when there was
   one. The container must be locked. */
int redo_recover(const char *folder, int container, struct caisson_error *err);
/* Wipes what killed commands left of secret changes: before staging_sweep(), which only deletes.
   The container must be locked. */
void redo_sweep(const char *folder);
/* The same with a journal that waits: its change is never made. */
void redo_drop(const char *folder);
/* Whether one is waiting. */
bool redo_waits(const char *folder);
