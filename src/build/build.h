/*
 * build.h: a Dockerfile becomes an image.
 *
 * Stages are walked side by side, each instruction in its order; what only changes the config is done at once, what
 * makes a layer is looked up in the cache (build/cache.h) or done in a process of its own (build/step.h), as many at a
 * time as there are cores. Stages that the target does not need are not touched. docs/design/build.md has the whole.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_BUILD_H
#define HUSK_BUILD_BUILD_H

#include "engine/engine.h"
#include "engine/options.h"

/* What the image's documents say beside the Dockerfile: build/final.c, but for what is said to be elsewhere. */
struct build_image_options {
    const char *from;                /* the first FROM's image; stages.c */
    struct strv env;                 /* "NAME=VALUE", or "NAME": ours; base.c */
    const char *arch, *os, *variant; /* as --platform; build.c */
    struct opt_i64 timestamp, epoch; /* seconds; build.c */
    struct strv unset_env, unset_labels, unset_annotations, os_features;
    const char *os_version, *format;                                         /* "oci", "docker"; NULL: oci */
    struct opt_bool inherit_labels, inherit_annotations, created_annotation; /* unset: true, true, false */
    struct opt_bool rewrite_timestamp, identity_label;
    struct opt_bool plain_layers; /* --disable-compression */
    bool omit_history;
};

/* How it is built: none of it is in the image. */
struct build_run_options {
    struct strv arg_files; /* of --build-arg; build.c */
    const char *ignore_file, *logfile;
    struct strv allow;        /* entitlements; step_run.c */
    struct opt_i64 jobs;      /* steps at a time; 0: as many as there are */
    struct opt_u64 cache_ttl; /* nanoseconds */
    struct opt_bool logsplit, layers, skip_unused;
    const char *isolation, *userns;
    bool stdin_too, compat_volumes;
    struct opt_bool rm, force_rm;
    bool compress, all_platforms;
};

/* What husk does not do: build/how.c says why. */
struct build_refused {
    const char *builder, *layer_label, *cw, *cpp_flag, *decryption_key, *hooks_dir, *runtime, *runtime_flag, *sign_by,
        *uid_map, *gid_map, *uid_map_user, *gid_map_group, *scanner_image, *scanner_command, *merge_strategy, *in_image,
        *purl_in_image;
};

struct build_options {
    const char
        *context;     /* a directory; "-": a tar (or a Dockerfile) on standard input; a repository's or archive's URL */
    const char *file; /* NULL: Dockerfile or Containerfile of the context; "-": standard input */
    const char *target, *iidfile, *progress, *verify;
    struct strv platforms;                /* "OS/ARCH,..." each; none: this machine's; several: an index of images */
    const char *metadata_file, *manifest; /* a file; a list */
    const char *provenance, *sbom;        /* build/attest.h */
    const char *sbom_file, *purl_file;
    struct strv attests;
    const char *debug;   /* "": a shell in a step that fails; "[STAGE:]N": behind that one; NULL: none */
    const char *network; /* of RUN: default, host, none, or a network's name; NULL: default */
    struct strv tags, build_args, labels, annotations, secrets, ssh, no_cache_filter, contexts;
    struct strv outputs;              /* build/deliver.h */
    struct strv cache_from, cache_to; /* build/share.h */
    bool push, squash, squash_all;
    bool no_cache, quiet, pull, check, explain_cache;
    struct build_image_options image;
    struct build_run_options how;
    struct build_refused refused;
    const char *pull_policy;      /* always, missing, never; NULL: missing, or always with pull */
    struct create_options create; /* of RUN's containers: hosts, limits, rights */
};
/* Prints what it does on stderr and the image's ID on stdout. Must be called before any thread exists: an ordinary user
 * becomes root of their user namespace. */
fallible build_run_all(const struct build_options *o);

/* What the cache takes: husk builder du. */
struct build_usage {
    uint64_t bytes, mount_bytes;
    size_t entries, mounts;
};
fallible build_usage(struct engine *e, struct build_usage *ret);
struct build_prune_wish {
    bool steps, mounts; /* entries of the cache, cache mounts that nobody uses now */
    bool dry_run;
    int64_t unused_since_s; /* only what no build used since then; 0: all */
    /* The longest unused go, until no more than max_used is left and min_free is free on the store's file system, but
     * no more than that leaves reserved; with none of them all go. Bytes. */
    struct opt_i64 max_used, min_free, reserved;
};
/* Their layers go with the next sweep, if no image has them. */
fallible build_prune(struct engine *e, const struct build_prune_wish *wish, struct build_usage *ret_removed);

#endif
