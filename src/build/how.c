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

static const struct refused {
    const char *option;
    size_t field; /* a const char * in build_refused */
    const char *why;
} refused[] = {
#define REFUSED(option, name, why)                                                                                     \
    {                                                                                                                  \
        option, offsetof(struct build_refused, name), why                                                              \
    }
#define OWNERS  "files have the owners that the image says: build as an ordinary user to have a user namespace"
#define SCANNER "husk reads the package databases itself: --sbom spdx or cyclonedx"
#define BESIDE  "an image cannot tell what is in it without being another one: --sbom puts it beside the image"
    REFUSED("--builder", builder, "there is none to choose: husk builds here, in this command"),
    REFUSED("--layer-label", layer_label, "there are no images between the steps: the cache has layers alone"),
    REFUSED("--cw", cw, "husk makes no images for confidential machines: `buildah mkcw` makes one of a finished image"),
    REFUSED("--cpp-flag", cpp_flag,
            "no preprocessor is run: give the output of `cpp -E -traditional -undef` with --file -"),
    REFUSED("--decryption-key", decryption_key,
            "husk reads no encrypted layers: `skopeo copy --decryption-key` makes a plain image of one"),
    REFUSED("--hooks-dir", hooks_dir, "a step has no hooks: give what it needs with --volume and --device"),
    REFUSED("--runtime", runtime, "husk is its own runtime"),
    REFUSED("--runtime-flag", runtime_flag, "husk is its own runtime: --log-level of other runtimes has no meaning"),
    REFUSED("--sign-by", sign_by, "`husk image sign` signs what was built"),
    REFUSED("--userns-uid-map", uid_map, OWNERS),
    REFUSED("--userns-gid-map", gid_map, OWNERS),
    REFUSED("--userns-uid-map-user", uid_map_user, OWNERS),
    REFUSED("--userns-gid-map-group", gid_map_group, OWNERS),
    REFUSED("--sbom-scanner-image", scanner_image, SCANNER),
    REFUSED("--sbom-scanner-command", scanner_command, SCANNER),
    REFUSED("--sbom-merge-strategy", merge_strategy, SCANNER),
    REFUSED("--sbom-image-output", in_image, BESIDE),
    REFUSED("--sbom-image-purl-output", purl_in_image, BESIDE),
#undef REFUSED
#undef OWNERS
#undef SCANNER
#undef BESIDE
};

static fallible refuse(const struct build_refused *r)
{
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        const char *value = *(const char *const *)((const char *)r + refused[i].field);
        if (value && !(strcmp(refused[i].option, "--builder") == 0 && strcmp(value, "default") == 0))
            return err_new(ERR_UNSUPPORTED, "%s: %s", refused[i].option, refused[i].why);
    }
    return NULL;
}

static bool is_off(const struct opt_bool *o)
{
    return o->set && !o->v;
}

fallible how_check(const struct build *b)
{
    const struct build_run_options *h = &b->o->how;
    TRY(refuse(&b->o->refused));
    if (h->all_platforms && (b->platforms.n || b->o->verify || b->o->sbom_file || b->o->purl_file))
        return err_new(ERR_INVALID, "--all-platforms and %s exclude each other",
                       b->platforms.n    ? "--platform"
                       : b->o->verify    ? "--verify"
                       : b->o->sbom_file ? "--sbom-output"
                                         : "--sbom-purl-output");
    if (h->all_platforms && b->o->create.creds)
        return err_new(ERR_UNSUPPORTED, "--all-platforms: --creds are not for it: `husk login` first");
    if (h->logfile && (b->o->debug || deliver_takes_stdout(b->delivers, b->delivers_n)))
        return err_new(ERR_INVALID, "--logfile and %s exclude each other: both want the standard output",
                       b->o->debug ? "--debug" : "--output -");
    if ((b->o->sbom_file || b->o->purl_file) && b->platforms.n > 1)
        return err_new(ERR_INVALID, "--%s tells of one image: give one --platform",
                       b->o->sbom_file ? "sbom-output" : "sbom-purl-output");
    if (b->o->manifest && b->o->verify)
        return err_new(ERR_INVALID, "--verify compares alone: leave --manifest out");
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
    TRY(check_isolation(h->isolation));
    return build_run_check(&b->o->create);
}
