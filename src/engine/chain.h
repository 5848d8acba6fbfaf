/*
 * chain.h: --init-chain: programs that each execute the next, the container's own last.
 *
 * A process is called as what it executed last (/proc/PID/comm, 15 bytes): that tells which helper it has come to.
 * Where a helper is called as the program or as another helper, and with --init, whose first process is husk's, it is
 * not known, and then nothing is said.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_CHAIN_H
#define HUSK_ENGINE_CHAIN_H

#include "engine/config.h"
#include "engine/container.h"

/* The helper that a first process of this name is, and not the program; NULL: none, or not known. task may be NULL. */
const char *chain_helper(const struct container_config *config, const char *task);

/* After its end, before it is removed: an error that names the helper which ended and did not execute the next, and
 * its exit code in *ret_code. NULL: it came to its program, or it is not known. */
fallible chain_ended(struct container *c, int *ret_code);

/* After a start that nobody is attached to: waits until the program has been executed, or chain_ended() says why not.
 * Costs nothing without a chain. */
fallible chain_await(struct container *c, int *ret_code);

#endif
