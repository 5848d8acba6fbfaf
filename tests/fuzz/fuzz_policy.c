/*
 * Any bytes as a policy.json and as a signature's document: understood whole or refused; whatever was understood
 * answers for every scope.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>

#include "image/policy.h"
#include "image/sigstore.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void ask(struct policy *p, const char *transport, const char *scope)
{
    const struct policy_rules *r = policy_find(p, transport, scope);
    if (!r || !r->n)
        abort();
    for (size_t i = 0; i < r->n; i++) {
        own_mem char *text = policy_rule_text(&r->items[i]);
        if (!*text)
            abort();
        (void)policy_identity_fits(&r->items[i], scope, "docker.io/library/a:1");
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    own(policy) struct policy *p = NULL;
    own(sigstore_payload) struct sigstore_payload *payload = NULL;
    own(err) err *e = policy_parse("fuzz", (const char *)data, size, &p);
    if (!e != !!p)
        abort();
    if (p) {
        ask(p, "docker", "docker.io/library/a:1");
        ask(p, "docker", "a.b.c:5000/x/y@sha256:0123456789012345678901234567890123456789012345678901234567890123");
        ask(p, "dir", "/a/b");
        ask(p, "oci", "");
    }
    own(err) err *e2 = sigstore_payload_read((const char *)data, size, &payload);
    if (!e2 != !!payload || (payload && (!payload->digest || !payload->reference)))
        abort();
    return 0;
}
