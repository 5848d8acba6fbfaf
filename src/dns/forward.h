/*
 * forward.h: a question that is not ours to answer goes to a server outside, and its answer comes back.
 *
 * Each attempt has a socket of its own, connected, so that its port is the kernel's choice and only that server's
 * packets arrive, and a random id. A server that is silent, refuses or fails is followed by the next, twice around.
 * A question that came over TCP goes on over TCP: whoever asks so wants the whole answer. The number of questions on
 * their way is bounded, in all and for one asker: what comes beyond is dropped, as a full socket would.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_DNS_FORWARD_H
#define HUSK_DNS_FORWARD_H

#include "dns/resolvers.h"
#include "dns/wire.h"
#include "os/loop.h"

enum { FORWARD_MAX = 512, FORWARD_MAX_OF_ONE = 128 };

struct forwarder;
fallible forwarder_new(struct loop *loop, struct forwarder **ret);
void forwarder_free(struct forwarder *f);
OWN_TYPE(forwarder, struct forwarder *, forwarder_free)

/* Who asked, kept with the question. */
struct forward_client {
    void *socket; /* the server's own */
    void *conn;   /* over TCP; else NULL */
    union resolver_address from;
    uint32_t flow; /* IPv6 scope and the like stay in from; this numbers the connection */
    char container[65];
};
/* bytes NULL: no server answered. Else the answer under the asker's own id, which may be changed in place. */
typedef void forward_done(void *ctx, const struct forward_client *client, const struct dns_query *q,
                          unsigned char *bytes, size_t n);
/**
 * forward_start - send it on.
 * @servers: copied. With none, done is called at once.
 * Answers false when there are too many already, of this asker or in all: it is dropped.
 */
bool forward_start(struct forwarder *f, const struct resolvers *servers, const unsigned char *bytes, size_t n,
                   const struct dns_query *q, const struct forward_client *client, forward_done *done, void *ctx);
/* The connection is closed: its questions are forgotten. */
void forward_forget(struct forwarder *f, const void *conn);
/* Whether one of the connection's is on its way. */
bool forward_waits(const struct forwarder *f, const void *conn);

#endif
