/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The order that PID 1 gives caisson-unlock on its standard input:
 *
 *   MACHINE \n VSOCK-PORT (0: virtio-serial) \n SECRET (hexadecimal) \n
 *   VOLUME DEVICE READ-ONLY (0 or 1) \n, once a volume
 *
 * It opens each as /dev/mapper/caisson-VOLUME and ends with status 0, or says why not on its
 * standard error: a sentence, a line feed, a hint (which may be empty), a line feed.
 */
#pragma once

#define UNLOCK_PROGRAM    "/sbin/caisson-unlock"
#define UNLOCK_PREFIX     "caisson-"
#define UNLOCK_ORDER_MOST 16384
