// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The options that say how an image is built. The words of docker and podman that name what husk does anyway are taken
 * with the value that is true, and refused with the other one.
 * Source: buildah-build(1), podman-build(1), docker-build(1), docker-buildx-build(1).
 */
#include <string.h>

#include "build/build_parts.h"

static fallible check_isolation(const char *word)
{
    if (!word || str_eq(word, "default") || str_eq(word, "oci"))
        return NULL;
    if (str_eq(word, "chroot") || str_eq(word, "rootless"))
        return err_new(ERR_UNSUPPORTED,
                       "--isolation %s: a RUN of husk's is always a whole container, also an ordinary "
                       "user's: leave it out, and give --network host for the host's network",
                       word);
    return err_new(ERR_INVALID, "--isolation: '%s' is not one of default, oci", word);
}

static fallible check_allow(const struct strv *words)
{
    for (size_t i = 0; i < words->n; i++)
        if (strcmp(words->items[i], "network.host") != 0 && strcmp(words->items[i], "security.insecure") != 0)
            return err_new(ERR_INVALID, "--allow: '%s' is not one of network.host, security.insecure", words->items[i]);
    return NULL;
}

static bool is_off(const struct opt_bool *o)
{
    return o->set && !o->v;
}

fallible how_check(const struct build *b)
{
    const struct build_run_options *h = &b->o->how;
    if (is_off(&h->rm) || is_off(&h->force_rm))
        return err_new(ERR_UNSUPPORTED, "--%s=false: no step leaves a container: --debug opens a failed step",
                       is_off(&h->rm) ? "rm" : "force-rm");
    if (h->userns && !str_eq(h->userns, "host"))
        return err_new(ERR_UNSUPPORTED,
                       "--userns %s: a step is in the build's own user namespace, or files would get "
                       "other owners: build as an ordinary user to have one",
                       h->userns);
    if (h->jobs.set && h->jobs.v < 0)
        return err_new(ERR_INVALID, "--jobs: expected 0 or more");
    if (h->logsplit.set && h->logsplit.v && !h->logfile)
        return err_new(ERR_INVALID, "--logsplit: it is for --logfile");
    if (h->stdin_too && (str_eq(b->o->context, "-") || str_eq(b->o->file, "-")))
        return err_new(ERR_INVALID, "--stdin: the %s is standard input already",
                       str_eq(b->o->context, "-") ? "context" : "Dockerfile");
    TRY(check_allow(&h->allow));
    return check_isolation(h->isolation);
}
