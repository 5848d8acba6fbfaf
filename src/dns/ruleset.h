/*
 * ruleset.h: the firewall's table is watched: `nft flush ruleset`, which a reload of the host's firewall is, takes it.
 *
 * The kernel tells of each change to who listens. When the table is gone, and is not there again a moment later, fn is
 * called: this process cannot make it anew, but it can end, and those who bring it back look after the table.
 * Source: linux/netfilter/nfnetlink.h, NFNLGRP_NFTABLES.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_DNS_RULESET_H
#define HUSK_DNS_RULESET_H

#include "os/loop.h"

enum { RULESET_MOMENT_MS = 300 };

struct ruleset;
typedef err *ruleset_lost(void *ctx);
/* filter_fd: a socket to the firewall, borrowed: the last one given counts. */
fallible ruleset_new(struct loop *loop, int take_listening_fd, int filter_fd, ruleset_lost *fn, void *ctx,
                     struct ruleset **ret);
void ruleset_free(struct ruleset *r);
OWN_TYPE(ruleset, struct ruleset *, ruleset_free)
/* Whether bytes of the kernel's say that our table is removed. */
bool ruleset_is_removal(const void *bytes, size_t n);

#endif
