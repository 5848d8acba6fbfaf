/*
 * rate.h: how many bytes a second pass an interface outwards: a token bucket (tbf) as its queue. Source: tc-tbf(8),
 * rtnetlink(7), linux/pkt_sched.h.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_NETWORK_RATE_H
#define HUSK_NETWORK_RATE_H

#include <stdint.h>

#include "base/err.h"

/* In bits a second, in and out; 0: no limit. */
struct rate {
    uint64_t in, out;
};
/* "10mbit", "1.5gbit" for both ways, "in=10mbit,out=500kbit" for each; units of 1000: bit, kbit, mbit, gbit. INVALID.
 */
fallible rate_parse(const char *text, struct rate *ret);
/* sock: of the namespace that the interface is in. UNSUPPORTED where the kernel has no tbf. */
fallible rate_set(int sock, unsigned index, uint64_t bits_per_second);

#endif
