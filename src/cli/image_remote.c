// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/image_remote.h"

#include "image/auth.h"

const char *const remote_true_false[] = { "true", "false", NULL };

static fallible find_credentials(const struct remote_opts *opts, const struct ref *ref, struct credentials **ret)
{
    if (opts->creds) {
        TRY_AS(credentials_parse(opts->creds, ret), "--creds");
        return NULL;
    }
    return credentials_find(opts->authfile, ref->registry, ref->repository, ret);
}

fallible remote_prepare_with(const struct remote_opts *opts, const char *registry, enum registry_access access,
                             const struct credentials *auth, struct remote **ret)
{
    own(remote) struct remote *r = mem_zalloc(sizeof *r);
    r->options = (struct registry_options){
        .access = access,
        .insecure = str_eq(opts->tls_verify, "false"),
        .stall_ns = opts->timeout.v,
        .auth = auth,
    };
    *ret = take(r);
    return NULL;
}

fallible remote_prepare(const struct remote_opts *opts, const struct ref *ref, enum registry_access access,
                        struct remote **ret)
{
    own(credentials) struct credentials *auth = NULL;
    TRY(find_credentials(opts, ref, &auth));
    TRY(remote_prepare_with(opts, ref->registry, access, auth, ret));
    (*ret)->auth = take(auth);
    return NULL;
}

void remote_free(struct remote *r)
{
    if (!r)
        return;
    credentials_free(r->auth);
    free(r);
}
