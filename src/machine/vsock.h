/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vsock(7) on the host: a listener for one guest. */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stdint.h>

/* Whether this host can give a guest a vsock device. */
bool vsock_usable(void);
/* Opens the device that makes one, for QEMU, which may not open it itself. */
int vsock_open_device(struct caisson_error *err);
/* Listens on a free port. Returns the descriptor. */
int vsock_listen(unsigned int *ret_port, struct caisson_error *err);
/* Accepts one connection from guest @cid; others are closed. -EAGAIN when none was there. */
int vsock_accept(int listener, uint32_t cid, struct caisson_error *err);
/* A context ID that is likely to be free: 3 to 2^31. */
uint32_t vsock_random_cid(void);
