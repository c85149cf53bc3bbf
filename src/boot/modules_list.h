/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where the guest finds the list of modules: one absolute path a line, in load order, with the
   module's parameters (if any) behind a space. Lines starting with '#' are comments.
   A driver for a processor feature that this one lacks (aesni_intel) refuses with ENODEV: no
   failure. */
#define INITRAMFS_MODULES_LIST "/etc/caisson/modules"
