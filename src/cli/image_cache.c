/*
 * husk-image build-cache: of a build's cache in a registry its records, on standard output, or those of its layers that
 * are named. For --cache-from: build/share.h.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>

#include "base/log.h"
#include "cli/image_common.h"
#include "cli/image_remote.h"
#include "layers/pull.h"
#include "transport/trust.h"

struct cache_opts {
    const char *policy;
    struct remote_opts remote;
};

#define T struct cache_opts
static const struct opt cache_rows[] = {
    POLICY_OPTION(T),
    REMOTE_OPTIONS(T),
    OPT_END,
};
#undef T

/* Whatever runs a program or reads the user's own files comes before the confinement. */
static fallible prepare(const struct cache_opts *o, const char *name, struct ref **ret_ref, struct remote **ret)
{
    own_strv struct strv names = { 0 };
    TRY(remote_resolve(name, &names));
    TRY(ref_parse(names.items[0], ret_ref));
    return remote_prepare(&o->remote, *ret_ref, REGISTRY_PULL, ret);
}

static fallible cache_run(const void *opts_, struct args args)
{
    const struct cache_opts *o = opts_;
    own(ref) struct ref *ref = NULL;
    own(remote) struct remote *remote = NULL;
    own(policy) struct policy *policy = NULL;
    own(image_session) struct image_session *s = NULL;
    own_strv struct strv layers = { 0 };
    own_mem char *config = NULL;
    TRY(prepare(o, args.v[0], &ref, &remote));
    TRY(policy_load(o->policy, &policy));
    if (policy)
        policy_read_all_keys(policy);
    TRY(image_session_open(&s));
    TRY(image_confine(s, -1));
    struct trust_pull admitting = { { policy, s->store }, ref, &remote->options };
    struct pull_options options = { .registry = remote->options,
                                    .admit = policy ? trust_admit_pull : NULL,
                                    .admit_ctx = &admitting };
    for (int i = 1; i < args.n; i++)
        strv_add(&layers, args.v[i]);
    err *e = pull_some(s->store, ref, &options, &layers, args.n == 1 ? &config : NULL);
    TRY(image_session_failed(s, ATTEMPT_RESUMED, e));
    if (config)
        puts(config);
    return NULL;
}

const struct command cmd_build_cache = {
    .name = "build-cache",
    .args = "IMAGE [DIFFID...]",
    .summary = "Fetch the records of a build's cache, or some of its layers",
    .opts = cache_rows,
    .opts_size = sizeof(struct cache_opts),
    .min_args = 1,
    .max_args = -1,
    .fail_exit = 1,
    .hidden = true,
    .run = cache_run,
};
