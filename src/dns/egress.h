/*
 * egress.h: addresses that a name led to become ones that the asker may reach (network/egress.h), before it hears them;
 * and where what it sends is counted (network/flows.h), they get that name there.
 *
 * They stay in the firewall as long as the answer may be kept, a minute at least. Asked again, the time begins anew:
 * the kernel would leave an element's as it is, so the old one is taken out first, where this process put it in.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_DNS_EGRESS_H
#define HUSK_DNS_EGRESS_H

#include "dns/names.h"

enum { EGRESS_MIN_S = 60, EGRESS_MAX_S = 86400, EGRESS_KNOWN_MAX = 4096, EGRESS_CALLED_MAX = 1024 };

struct dns_egress;
struct dns_egress *dns_egress_new(void);
void dns_egress_free(struct dns_egress *e);
OWN_TYPE(dns_egress, struct dns_egress *, dns_egress_free)
/* The socket to the firewall; the last one is closed. */
void dns_egress_set_socket(struct dns_egress *e, int take_fd);
int dns_egress_socket(const struct dns_egress *e); /* borrowed; -1: none */
/* An answer from outside for a container: what it is allowed of it is put in, and what it is called. */
void dns_egress_learn(struct dns_egress *e, const struct dns_names *names, const char *container,
                      const struct dns_query *q, const unsigned char *bytes, size_t n);

#endif
