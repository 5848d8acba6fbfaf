/*
 * inside.h: what registry.c, fetch.c, tags.c and push.c share: the servers behind one registry. Inside the chapter
 * only.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_IMAGE_INSIDE_H
#define HUSK_IMAGE_INSIDE_H

#include "image/registry.h"
#include "image/server.h"

enum { REGISTRY_SERVERS_MAX = 20 };

struct registry {
    struct server *servers[REGISTRY_SERVERS_MAX];
    enum place_for uses[REGISTRY_SERVERS_MAX];
    size_t n;
    struct server *server; /* who is asked: the last one, until registry_try_each() has chosen another */
};

/**
 * registry_try_each - ask one server after the other, as what is asked for allows, until one gives an answer. That one
 * is asked from then on.
 * @by_digest: it is asked for by digest.
 * @ask: uses r->server.
 * Errors: the last server's: it is the registry itself, not a mirror. Call before there are threads.
 */
fallible registry_try_each(struct registry *r, bool by_digest, err *(*ask)(struct registry *r, void *ctx), void *ctx);

/* "REPOSITORY/manifests/1": the target of a request. Caller frees. */
char *registry_target(const struct server *s, const char *kind, const char *what);

/* Link: </v2/x/tags/list?last=b&n=2>; rel="next". NULL: that was the last page. Only URLs of the same server. */
char *registry_next_page(const struct server *s, const struct http_answer *a);

/* push.c, referrers.c: a manifest without a look at its subject; and what is done for its subject when the registry
 * does not do it (nothing, when it has none). */
fallible registry_put_manifest_alone(struct registry *r, const char *tag_or_digest, const char *media_type,
                                     const char *text, size_t len, bool *ret_lists_referrers);
fallible registry_add_referrer(struct registry *r, const char *digest, const char *media_type, const char *text,
                               size_t len);

#endif
