/*
 * husk-build: `husk build` and `husk builder`; called as buildah, `bud` is another word for it.
 * Compatible with: docker build, docker buildx build, podman build, buildah bud.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/opt.h"
#include "build/build.h"
#include "cli/build_options.h"
#include "engine/image_remove.h"
#include "monitor/events.h"

struct build_opts {
    struct build_options build;
    const char *call;
    bool load;
};

static const char *const words_call[] = { "build", "check", NULL };
static const char *const words_progress[] = { "auto", "plain", "tty", "rawjson", "quiet", NULL };
static const char *const words_tls[] = { "true", "false", NULL };
static const char *const words_pull[] = { "always", "missing", "never", "newer", "ifmissing", "true", "false", NULL };

#define T struct build_opts
static const struct opt build_opts_table[] = {
    OPT_GROUP("What is built"),
    OPT_STR('f', "file", T, build.file, "FILE",
            "The Dockerfile (default: Dockerfile or Containerfile of the context); - for standard input"),
    OPT_STRS('t', "tag", T, build.tags, "NAME", "A name of the image; may be given several times"),
    OPT_STR(0, "target", T, build.target, "STAGE", "The stage to build (default: the last)"),
    OPT_STRS(0, "build-arg", T, build.build_args, "NAME[=VALUE]", "A value for ARG; without one, our own variable's"),
    OPT_STRS(0, "build-context", T, build.contexts, "NAME=PLACE",
             "What NAME means in FROM and --from: a directory, docker-image://IMAGE, oci-layout://DIR[:TAG], or a "
             "repository's or archive's URL"),
    OPT_STRS(0, "label", T, build.labels, "KEY=VALUE", "A label of the image"),
    OPT_STRS(0, "annotation", T, build.annotations, "[PLACE:]KEY=VALUE",
             "An annotation of the manifest; PLACE: index, manifest-descriptor, manifest[PLATFORM] and the like"),
    OPT_STRS(0, "platform", T, build.platforms, "OS/ARCH[,OS/ARCH]",
             "What it is built for (default: this machine's); of several platforms comes an index of images"),
    OPT_STRS(0, "secret", T, build.secrets, "id=NAME,src=FILE|env=NAME", "A secret for RUN --mount=type=secret"),
    OPT_STRS(0, "ssh", T, build.ssh, "default|ID=SOCKET|ID=KEY[,KEY]", "An agent, or keys, for RUN --mount=type=ssh"),
    BUILD_IMAGE_OPTIONS(T),
    OPT_GROUP("Where it goes, beside the store"),
    OPT_STRS('o', "output", T, build.outputs, "type=TYPE[,dest=PATH]",
             "local (a new or empty directory), tar, oci or docker (archives), image, or registry (pushed); a PATH "
             "alone is local's, - is a "
             "tar on standard output"),
    OPT_FLAG(0, "push", T, build.push, "Send it to the registries of its names"),
    OPT_STR(0, "provenance", T, build.provenance, "mode=min|max",
            "Say beside the image what it was made of (SLSA); mode=max: with the build's arguments", .bare = "true"),
    OPT_STR(0, "sbom", T, build.sbom, "spdx|cyclonedx", "Say beside the image which packages are in it (dpkg, apk)",
            .bare = "true"),
    OPT_STRS(0, "attest", T, build.attests, "type=sbom|provenance[,mode=max]", "The same, by docker's general word"),
    BUILD_TO_OPTIONS(T),
    OPT_FLAG(0, "squash", T, build.squash, "One layer of all that the build adds to its base image"),
    OPT_FLAG(0, "squash-all", T, build.squash_all, "One layer of all, the base image's with it"),
    OPT_FLAG(0, "load", T, load, "It goes into the store: it always does"),
    OPT_STR(0, "authfile", T, build.create.authfile, "FILE", "Credentials of registries are in this file"),
    OPT_STR(0, "cert-dir", T, build.create.cert_dir, "DIR", "Certificates of registries are in this folder"),
    OPT_STR(0, "creds", T, build.create.creds, "USER:PASSWORD", "Log in to registries with these"),
    OPT_SWITCH(0, "disable-content-trust", T, build.create.disable_content_trust,
               "Always true: there is no Notary; signatures are asked for by policy.json"),
    OPT_STR(0, "tls-verify", T, build.create.tls_verify, "true|false", "Check registries' certificates",
            .words = words_tls),
    OPT_STR(0, "metadata-file", T, build.metadata_file, "FILE",
            "Write the image's digests and names to a file, as JSON"),
    OPT_GROUP("The cache"),
    OPT_FLAG(0, "no-cache", T, build.no_cache, "Do every step again"),
    OPT_STRS(0, "no-cache-filter", T, build.no_cache_filter, "STAGE", "Do every step of this stage again"),
    OPT_STR(
        0, "pull", T, build.pull_policy, "POLICY",
        "Fetch the images of FROM always; --pull=missing (default), never, or newer: always, where the registry has "
        "it",
        .words = words_pull, .bare = "always"),
    OPT_STRS(0, "cache-from", T, build.cache_from, "IMAGE|type=local,src=DIR",
             "Take steps from a cache that another build gave: a registry's image, or a directory"),
    OPT_STRS(0, "cache-to", T, build.cache_to, "type=registry,ref=IMAGE|type=local,dest=DIR|inline",
             "Give the steps away: as an image of a registry, into a directory, or inside the image; mode=max: of all "
             "stages"),
    OPT_DURATION(0, "cache-ttl", T, build.how.cache_ttl, "DURATION",
                 "Steps that were made longer ago are done again; 0: all are"),
    OPT_FLAG(0, "explain-cache", T, build.explain_cache, "Say of each step that runs why it was not in the cache"),
    OPT_GROUP("What it says"),
    OPT_STR(
        0, "progress", T, build.progress, "KIND",
        "auto (default, or what BUILDKIT_PROGRESS says), plain, tty, rawjson (a status of BuildKit's a line) or quiet",
        .words = words_progress),
    OPT_FLAG('q', "quiet", T, build.quiet, "Print the image's ID alone"),
    OPT_STR(0, "iidfile", T, build.iidfile, "FILE", "Write the image's ID to a file"),
    OPT_STR(0, "verify", T, build.verify, "IMAGE", "Build it again and compare: the first file that differs is told"),
    OPT_STR(0, "debug", T, build.debug, "[STAGE:]N",
            "A shell in a step that fails, as it left its files; --debug=[STAGE:]N: behind step N of a stage (of the "
            "last one), and then no image",
            .bare = ""),
    OPT_FLAG(0, "check", T, build.check, "Look for mistakes and build nothing"),
    OPT_STR(0, "call", T, call, "WHAT", "build (default), or check: the same as --check", .words = words_call),
    OPT_GROUP("The containers of RUN"),
    OPT_STR(0, "network", T, build.network, "MODE",
            "default (root: the bridge, as of husk run; else a network of its own, by pasta), host, none, or root's "
            "network of that name"),
    OPT_STR(0, "net", T, build.network, "MODE", "The same as --network"),
    OPT_STRS(0, "add-host", T, build.create.add_host, "NAME:IP", "A line of /etc/hosts"),
    OPT_STRS(0, "dns", T, build.create.dns, "IP", "A name server, instead of the host's"),
    BUILD_HOW_OPTIONS(T),
    OPT_GROUP("The rights and limits of RUN's containers"),
    OPT_STRS(0, "cap-add", T, build.create.cap_add, "CAPABILITY", "One more capability"),
    OPT_STRS(0, "cap-drop", T, build.create.cap_drop, "CAPABILITY", "One capability less"),
    OPT_STRS(0, "device", T, build.create.device, "HOST[:PATH][:rwm]", "A device of the host"),
    OPT_STRS('v', "volume", T, build.create.volume, "DIR:TARGET[:OPTIONS]", "A directory of the host"),
    OPT_STRS(0, "security-opt", T, build.create.security_opt, "OPTION", "As of husk run"),
    OPT_STRS(0, "ulimit", T, build.create.ulimit, "NAME=SOFT[:HARD]", "A limit of its processes"),
    OPT_BYTES(0, "shm-size", T, build.create.shm_size, "BYTES", "Size of /dev/shm (default 64m)"),
    OPT_BYTES('m', "memory", T, build.create.memory, "BYTES", "Memory"),
    OPT_BYTES(0, "memory-swap", T, build.create.memory_swap, "BYTES",
              "Memory and swap together; -1: swap without limit"),
    OPT_I64('c', "cpu-shares", T, build.create.cpu_shares, "N", "Its weight among others"),
    OPT_I64(0, "cpu-period", T, build.create.cpu_period, "MICROSECONDS", "Period of the CPU quota"),
    OPT_I64(0, "cpu-quota", T, build.create.cpu_quota, "MICROSECONDS", "Time it may run in each period"),
    OPT_STR(0, "cpuset-cpus", T, build.create.cpuset_cpus, "LIST", "The processors it may run on"),
    OPT_STR(0, "cpuset-mems", T, build.create.cpuset_mems, "LIST", "The memory nodes it may use"),
    OPT_STR(0, "cgroup-parent", T, build.create.cgroup_parent, "PATH", "The control group above its own"),
    BUILD_REFUSED_OPTIONS(T),
    OPT_END,
};
#undef T

static fallible build_cmd(const void *opts_, struct args args)
{
    struct build_options o = ((const struct build_opts *)opts_)->build;
    if (o.create.disable_content_trust.set && !o.create.disable_content_trust.v)
        return err_new(ERR_UNSUPPORTED, "--disable-content-trust=false: there is no Notary here: what has to be signed "
                                        "is said in policy.json");
    o.context = args.n ? args.v[0] : ".";
    o.check |= str_eq(((const struct build_opts *)opts_)->call, "check");
    const char **worlds[] = { &o.create.ipc, &o.create.pid, &o.create.uts, &o.create.cgroupns };
    for (size_t i = 0; i < ARRAY_SIZE(worlds); i++)
        if (str_eq(*worlds[i], "container")) /* buildah's word for it */
            *worlds[i] = "private";
    static const char *const same[][2] = { { "true", "always" }, { "false", "missing" }, { "ifmissing", "missing" } };
    for (size_t i = 0; o.pull_policy && i < ARRAY_SIZE(same); i++)
        if (strcmp(o.pull_policy, same[i][0]) == 0)
            o.pull_policy = same[i][1];
    return build_run_all(&o);
}

#define BUILD_COMMAND(id, word)                                                                                        \
    static const struct command id = {                                                                                 \
        .name = word,                                                                                                  \
        .args = "[CONTEXT]",                                                                                           \
        .summary = "Make an image of a Dockerfile",                                                                    \
        .detail =                                                                                                      \
            "CONTEXT is the directory that COPY takes files from (default: .), - for a tar on standard input, a "      \
            "git repository (URL.git#REF:DIR) or an archive (http, https). Files of a directory are read in "          \
            "place; what .dockerignore names is not there.",                                                           \
        .opts = build_opts_table,                                                                                      \
        .opts_size = sizeof(struct build_opts),                                                                        \
        .max_args = 1,                                                                                                 \
        .complete_args = COMPLETE_FILE,                                                                                \
        .fail_exit = 1,                                                                                                \
        .run = build_cmd,                                                                                              \
    }
BUILD_COMMAND(cmd_build, "build");

/* ---- husk builder ---- */

struct prune_opts {
    bool all, force, dry_run;
    struct strv filter;
    struct opt_i64 max_used, min_free, reserved;
};
#define T struct prune_opts
static const struct opt prune_options[] = {
    OPT_FLAG('a', "all", T, all, "Cache mounts (RUN --mount=type=cache) too"),
    OPT_STRS(0, "filter", T, filter, "KEY=VALUE",
             "Only what no build used for so long: until=24h; or of one type: regular (steps), exec.cachemount"),
    OPT_BYTES(0, "max-used-space", T, max_used, "BYTES", "Only until no more than this is left: the longest unused go"),
    OPT_BYTES(0, "min-free-space", T, min_free, "BYTES", "Only until this is free on the store's file system"),
    OPT_BYTES(0, "reserved-space", T, reserved, "BYTES", "Leave so much in any case, of what was used last"),
    OPT_BYTES(0, "keep-storage", T, reserved, "BYTES", "The same as --reserved-space"),
    OPT_FLAG('f', "force", T, force, "Do not ask"),
    OPT_FLAG(0, "dry-run", T, dry_run, "Only say what would be forgotten, and the room that would make"),
    OPT_END,
};
#undef T
static const struct opt no_options[] = { OPT_END };

/* "until=24h", "unused-for=24h", "type=regular". */
static fallible read_filter(const char *text, struct build_prune_wish *w)
{
    const char *value = strchr(text, '=') ? strchr(text, '=') + 1 : "";
    uint64_t ns = 0;
    if (str_starts(text, "until=") || str_starts(text, "unused-for=")) {
        TRY_AS(parse_duration_ns(value, &ns), "--filter %s", text);
        w->unused_since_s = (int64_t)time(NULL) - (int64_t)(ns / 1000000000) + (ns == 0);
        return NULL;
    }
    if (strcmp(text, "type=regular") == 0)
        w->mounts = false;
    else if (strcmp(text, "type=exec.cachemount") == 0)
        w->steps = false, w->mounts = true;
    else
        return err_new(ERR_INVALID, "--filter '%s': expected until=DURATION, type=regular or type=exec.cachemount",
                       text);
    return NULL;
}

static fallible read_wish(const struct prune_opts *o, struct build_prune_wish *ret)
{
    *ret = (struct build_prune_wish){ .steps = true, .mounts = o->all, .dry_run = o->dry_run };
    const struct {
        const char *name;
        const struct opt_i64 *said;
        struct opt_i64 *to;
    } bounds[] = { { "--max-used-space", &o->max_used, &ret->max_used },
                   { "--min-free-space", &o->min_free, &ret->min_free },
                   { "--reserved-space", &o->reserved, &ret->reserved } };
    for (size_t i = 0; i < ARRAY_SIZE(bounds); i++) {
        if (bounds[i].said->set && bounds[i].said->v < 0)
            return err_new(ERR_INVALID, "%s: expected 0 or more", bounds[i].name);
        *bounds[i].to = *bounds[i].said;
    }
    for (size_t i = 0; i < o->filter.n; i++)
        TRY(read_filter(o->filter.items[i], ret));
    return NULL;
}

static fallible say_prune(struct engine *e, const struct build_prune_wish *w)
{
    struct build_usage u = { 0 };
    uint64_t layers = 0;
    char bytes[32];
    bool all = w->steps && !w->unused_since_s && !w->max_used.set && !w->min_free.set && !w->reserved.set;
    TRY(build_prune(e, w, &u));
    TRY(image_sweep_of_builds(e, &layers));
    printf("steps\t%zu\n", u.entries);
    if (w->mounts)
        printf("cache mounts\t%zu\t%s\n", u.mounts, format_bytes(u.mount_bytes, bytes));
    if (!all && u.bytes < layers) /* no more than what these steps left; of all it is known which an image has */
        layers = u.bytes;
    printf("Would be reclaimed: %s\n", format_bytes(layers + u.mount_bytes, bytes));
    return NULL;
}

static fallible prune_run(const void *opts_, struct args args)
{
    const struct prune_opts *o = opts_;
    own(engine) struct engine *e = NULL;
    struct build_prune_wish wish;
    struct build_usage u = { 0 };
    struct sweep_result swept = { 0 };
    char bytes[32];
    (void)args;
    TRY(read_wish(o, &wish));
    if (o->dry_run) {
        TRY(engine_open(&e));
        return say_prune(e, &wish);
    }
    if (!o->force && isatty(STDIN_FILENO)) {
        fputs("The build cache will be removed. Go on? [y/N] ", stderr);
        int c = getchar();
        if (c != 'y' && c != 'Y')
            return NULL;
    }
    TRY(engine_open(&e));
    TRY(build_prune(e, &wish, &u));
    TRY(image_sweep(e, false, &swept));
    event_say_pruned(e->run, "builder", u.mount_bytes + swept.bytes);
    printf("Total reclaimed space: %s\n", format_bytes(u.mount_bytes + swept.bytes, bytes));
    return NULL;
}

static fallible du_run(const void *opts_, struct args args)
{
    own(engine) struct engine *e = NULL;
    struct build_usage u = { 0 };
    char layers[32], mounts[32];
    (void)opts_;
    (void)args;
    TRY(engine_open(&e));
    TRY(build_usage(e, &u));
    printf("%-12s %8s  %s\n", "TYPE", "COUNT", "SIZE");
    printf("%-12s %8zu  %s\n", "steps", u.entries, format_bytes(u.bytes, layers));
    printf("%-12s %8zu  %s\n", "cache mounts", u.mounts, format_bytes(u.mount_bytes, mounts));
    return NULL;
}

static const struct command cmd_prune = {
    .name = "prune",
    .summary = "Forget what builds made",
    .detail = "Layers that an image or a container has stay.",
    .opts = prune_options,
    .opts_size = sizeof(struct prune_opts),
    .max_args = 0,
    .fail_exit = 1,
    .run = prune_run,
};
static const struct command cmd_du = { .name = "du",
                                       .summary = "Show what the build cache takes",
                                       .opts = no_options,
                                       .opts_size = 1,
                                       .fail_exit = 1,
                                       .run = du_run };
static const struct command *const builder_sub[] = { &cmd_build, &cmd_du, &cmd_prune, NULL };
static const struct command cmd_builder = {
    .name = "builder", .args = "COMMAND", .summary = "Manage the build cache", .sub = builder_sub
};

BUILD_COMMAND(cmd_bud, "bud");

static const struct command *const commands[] = { &cmd_build, &cmd_builder, &cmd_bud, NULL };

int main(int argc, char **argv)
{
    (void)umask(022);
    const struct command_program husk = {
        .name = "husk", .summary = "Make images of Dockerfiles", .commands = commands, .wrong_option_exit = 125
    };
    return command_main(&husk, argc, argv);
}
