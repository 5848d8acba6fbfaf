// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/image_remote.h"

#include <string.h>

#include "image/auth.h"
#include "image/certs.h"

const char *const remote_true_false[] = { "true", "false", NULL };

/* Only the registry that was named gets what the command line gives: a mirror has its own credentials or none. */
static fallible find_credentials(const struct remote_opts *opts, const struct registries *r,
                                 const struct registry_place *place, struct credentials **ret)
{
    if (opts->creds && !place->mirror) {
        TRY_AS(credentials_parse(opts->creds, ret), "--creds");
        return NULL;
    }
    TRY(credentials_find(opts->authfile, place->registry, place->repository, ret));
    const struct strv *helpers = registries_helpers(r);
    for (size_t i = 0; !*ret && i < helpers->n; i++)
        if (strcmp(helpers->items[i], "containers-auth.json") != 0)
            TRY(credentials_from_helper(helpers->items[i], place->registry, ret));
    return NULL;
}

static fallible prepare(const struct remote_opts *opts, const struct registries *registries, const struct ref *ref,
                        enum registry_access access, const struct credentials *given, struct remote *r)
{
    TRY(access == REGISTRY_PULL && !given ? registries_places(registries, ref, &r->places)
                                          : registries_push_place(registries, ref, &r->places));
    size_t n = r->places.n;
    r->auths = mem_zalloc(n * sizeof *r->auths);
    r->certs = mem_zalloc(n * sizeof *r->certs);
    r->endpoints = mem_zalloc(n * sizeof *r->endpoints);
    for (size_t i = 0; i < n; i++) {
        if (!given)
            TRY(find_credentials(opts, registries, &r->places.items[i], &r->auths[i]));
        TRY_AS(certs_find(opts->cert_dir, r->places.items[i].registry, &r->certs[i]), "certificates");
        r->endpoints[i] = (struct registry_endpoint){
            .place = &r->places.items[i],
            .auth = given ? given : r->auths[i],
            .certs = r->certs[i],
        };
    }
    r->options = (struct registry_options){
        .access = access,
        .insecure = str_eq(opts->tls_verify, "false"),
        .stall_ns = opts->timeout.v,
        .auth = r->endpoints[n - 1].auth,
        .endpoints = r->endpoints,
        .endpoints_n = n,
    };
    return NULL;
}

static fallible make(const struct remote_opts *opts, const struct ref *ref, enum registry_access access,
                     const struct credentials *given, struct remote **ret)
{
    own(remote) struct remote *r = mem_zalloc(sizeof *r);
    own(registries) struct registries *registries = NULL;
    TRY(registries_load(&registries));
    TRY(prepare(opts, registries, ref, access, given, r));
    *ret = take(r);
    return NULL;
}

fallible remote_prepare(const struct remote_opts *opts, const struct ref *ref, enum registry_access access,
                        struct remote **ret)
{
    if (opts->disable_content_trust.set && !opts->disable_content_trust.v)
        return err_new(ERR_UNSUPPORTED, "--disable-content-trust=false: there is no Notary here: what has to be signed "
                                        "is said in policy.json");
    return make(opts, ref, access, NULL, ret);
}

fallible remote_prepare_login(const struct remote_opts *opts, const char *registry, const struct credentials *auth,
                              struct remote **ret)
{
    own(ref) struct ref *ref = NULL;
    own_mem char *any = mem_printf("%s/x", registry);
    TRY(ref_parse(any, &ref));
    return make(opts, ref, REGISTRY_PULL, auth, ret);
}

fallible remote_resolve(const char *text, struct strv *ret_names)
{
    own(registries) struct registries *registries = NULL;
    own(ref) struct ref *ref = NULL;
    TRY(ref_parse(text, &ref));
    if (!ref->is_short) { /* most have no need of the files */
        strv_add_take(ret_names, ref_full(ref));
        return NULL;
    }
    TRY(registries_load(&registries));
    return registries_resolve(registries, text, ret_names);
}

fallible remote_search_list(struct strv *ret_registries)
{
    own(registries) struct registries *registries = NULL;
    TRY(registries_load(&registries));
    const struct strv *list = registries_search_list(registries);
    if (!list->n)
        strv_add(ret_registries, "docker.io");
    strv_copy(ret_registries, list->items, list->n);
    return NULL;
}

void remote_free(struct remote *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->places.n; i++) {
        if (r->auths)
            credentials_free(r->auths[i]);
        if (r->certs)
            certs_free(r->certs[i]);
    }
    free(r->auths);
    free(r->certs);
    free(r->endpoints);
    registry_places_clear(&r->places);
    free(r);
}
