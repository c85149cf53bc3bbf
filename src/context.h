/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the library's context is inside, for the library's other files and the command line's
   doctor, which looks at the parts. */
#pragma once

#include <caisson/caisson.h>

#include "base/state.h"

const struct state *caisson_state(const struct caisson *caisson);
const struct caisson_log *caisson_log(const struct caisson *caisson);
