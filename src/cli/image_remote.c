// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/image_remote.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "image/auth.h"
#include "image/certs.h"
#include "os/fs.h"

const char *const remote_true_false[] = { "true", "false", NULL };

enum { CREDS_MAX = 64 * 1024, RETRIES_MAX = 1000 };
static const uint64_t retry_delay_max_ns = 3600ull * 1000000000;

fallible remote_given(const struct remote_opts *opts, struct credentials **ret)
{
    own_mem char *text = NULL;
    size_t len = 0;
    if (opts->creds && opts->creds_file)
        return err_new(ERR_INVALID, "--creds and --creds-file say the same: give one of them");
    if (opts->creds) {
        TRY_AS(credentials_parse(opts->creds, ret), "--creds");
    } else if (opts->creds_file) {
        TRY_AS(fs_read_at(AT_FDCWD, opts->creds_file, CREDS_MAX, &text, &len), "--creds-file");
        text[strcspn(text, "\r\n")] = '\0';
        err *e = credentials_parse(text, ret);
        explicit_bzero(text, len);
        TRY_AS(e, "--creds-file '%s'", opts->creds_file);
    }
    return NULL;
}

/* Only the registry that was named gets what the command line gives: a mirror has its own credentials or none. */
static fallible find_credentials(const struct remote_opts *opts, const struct registries *r,
                                 const struct registry_place *place, struct credentials **ret)
{
    if (!place->mirror)
        TRY(remote_given(opts, ret));
    if (*ret)
        return NULL;
    TRY(credentials_find(opts->authfile, place->registry, place->repository, opts->timeout.v, ret));
    const struct strv *helpers = registries_helpers(r);
    for (size_t i = 0; !*ret && i < helpers->n; i++)
        if (strcmp(helpers->items[i], "containers-auth.json") != 0)
            TRY(credentials_from_helper(helpers->items[i], place->registry, opts->timeout.v, ret));
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
        .attempts = opts->retry.set ? (int)opts->retry.v + 1 : 0,
        .retry_delay_ns = opts->retry_delay.v,
        .auth = r->endpoints[n - 1].auth,
        .endpoints = r->endpoints,
        .endpoints_n = n,
    };
    return NULL;
}

static fallible check_retry(const struct remote_opts *opts)
{
    if (opts->retry.set && (opts->retry.v < 0 || opts->retry.v > RETRIES_MAX))
        return err_new(ERR_INVALID, "--retry: %lld is not 0 to %d", (long long)opts->retry.v, RETRIES_MAX);
    if (opts->retry_delay.set && (opts->retry_delay.v < 1000000 || opts->retry_delay.v > retry_delay_max_ns))
        return err_new(ERR_INVALID, "--retry-delay: from 1ms to 1h");
    return NULL;
}

static fallible make(const struct remote_opts *opts, const struct ref *ref, enum registry_access access,
                     const struct credentials *given, struct remote **ret)
{
    own(remote) struct remote *r = mem_zalloc(sizeof *r);
    own(registries) struct registries *registries = NULL;
    TRY(check_retry(opts));
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

fallible digestfile_open(const char *path, int *ret_fd)
{
    if (!path)
        return NULL;
    *ret_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    return *ret_fd < 0 ? err_sys(errno, "--digestfile '%s'", path) : NULL;
}
