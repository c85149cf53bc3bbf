/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The manifest of what will be there: a placed plan, and what earlier bundles left. */
#pragma once

#include <caisson/error.h>

#include "bundle/manifest.h"
#include "bundle/place.h"

/* @place->old and @place->next may be NULL. */
int record_make(const struct place *place, const struct bundle_options *options,
	struct manifest *ret_manifest, struct caisson_error *err);
