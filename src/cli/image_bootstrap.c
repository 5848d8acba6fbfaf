/*
 * husk bootstrap: a Debian base image, made here from the system's own mirror.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "cli/image_common.h"
#include "cli/image_remote.h"
#include "image/change.h"
#include "image/ref.h"
#include "layers/bootstrap.h"
#include "layers/import.h"
#include "os/fs.h"
#include "os/proc.h"
#include "transport/trust.h"

struct bootstrap_opts {
    const char *variant, *tag, *components, *arch, *cache, *policy;
    struct strv include, mirror;
    bool quiet;
};

static const char *const variants[] = { "essential", "apt",         "minbase",  "buildd", "required",
                                        "important", "debootstrap", "standard", NULL };

#define T struct bootstrap_opts
static const struct opt bootstrap_rows[] = {
    OPT_STR(0, "variant", T, variant, "WORD",
            "Which packages: minbase (default), essential, apt, buildd, important ...", .words = variants),
    OPT_STRS(0, "include", T, include, "PACKAGE[,PACKAGE...]", "More packages"),
    OPT_STRS(0, "mirror", T, mirror, "URI|LINE", "Install from here (default: the system's own apt sources)"),
    OPT_STR(0, "components", T, components, "WORD[,WORD...]", "Parts of the archive (default: main)"),
    OPT_STR(0, "arch", T, arch, "WORD",
            "Debian's word for a machine (default: this one's); a foreign one needs qemu-user-static"),
    OPT_STR(0, "cache", T, cache, "DIR", "Use the .debs in this directory, and keep there what is fetched"),
    POLICY_OPTION(T),
    OPT_STR('t', "tag", T, tag, "NAME", "Name of the image (default: as the suite was named)"),
    OPT_FLAG('q', "quiet", T, quiet, "Print only the image's name"),
    OPT_END,
};
#undef T

/* Debian's words for what Go, and so an image, calls otherwise. */
static fallible platform_of_arch(const char *arch, const char **ret)
{
    static const struct {
        const char *debian, *platform;
    } words[] = {
        { "amd64", "linux/amd64" },     { "arm64", "linux/arm64" },     { "armhf", "linux/arm/v7" },
        { "armel", "linux/arm/v5" },    { "i386", "linux/386" },        { "ppc64el", "linux/ppc64le" },
        { "riscv64", "linux/riscv64" }, { "s390x", "linux/s390x" },     { "mips64el", "linux/mips64le" },
        { "mipsel", "linux/mipsle" },   { "loong64", "linux/loong64" },
    };
    *ret = NULL;
    for (size_t i = 0; arch && i < ARRAY_SIZE(words); i++)
        if (str_eq(words[i].debian, arch))
            *ret = words[i].platform;
    if (arch && !*ret)
        return err_new(ERR_INVALID, "--arch: '%s' is not one of Debian's architectures that images have a name for",
                       arch);
    return NULL;
}

/* mmdebstrap splits its hooks into words. */
static fallible check_words(const struct bootstrap_opts *opts)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._+-";
    if (!opts->cache)
        return NULL;
    if (opts->cache[0] != '/' || opts->cache[strspn(opts->cache, plain)])
        return err_new(ERR_INVALID, "--cache: '%s': give an absolute path of plain letters", opts->cache);
    return fs_mkdirs_at(AT_FDCWD, opts->cache, 0755);
}

static fallible make_plan(const struct bootstrap_opts *opts, const char *what, struct bootstrap *plan, char **ret_suite)
{
    own_mem char *distribution = NULL;
    plan->variant = opts->variant ? opts->variant : "minbase";
    plan->components = opts->components ? opts->components : "main";
    plan->quiet = opts->quiet;
    plan->architecture = opts->arch;
    const char *platform = NULL;
    TRY(platform_of_arch(opts->arch, &platform));
    TRY(check_words(opts));
    plan->cache = opts->cache;
    TRY(bootstrap_suite(what, &distribution, ret_suite));
    plan->suite = *ret_suite;
    strv_copy(&plan->include, opts->include.items, opts->include.n);
    strv_copy(&plan->mirrors, opts->mirror.items, opts->mirror.n);
    if (plan->mirrors.n)
        return NULL;
    own_mem char *components = mem_strdup(plan->components); /* apt writes them with spaces */
    for (char *comma; (comma = strchr(components, ','));)
        *comma = ' ';
    return bootstrap_mirrors("/etc/apt", distribution, plan->suite, components, &plan->mirrors);
}

static fallible make_image(struct image_session *s, int tar_fd, const struct bootstrap *plan,
                           struct oci_descriptor **ret_target, char **ret_id)
{
    struct oci_image_run run = { 0 };
    own_mem char *by = mem_printf("husk bootstrap (mmdebstrap --variant=%s %s)", plan->variant, plan->suite);
    const char *platform = NULL;
    TRY(platform_of_arch(plan->architecture, &platform));
    err *e = change_apply("CMD [\"bash\"]", &run);
    if (!e)
        e = change_apply("ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", &run);
    struct import i = { .fd = tar_fd,
                        .run = &run,
                        .platform = platform,
                        .created_by = by,
                        .created_ns = (int64_t)time(NULL) * 1000000000 };
    if (!e)
        e = import_image(s->store, &i, ret_target, ret_id);
    strv_free(&run.cmd);
    strv_free(&run.env);
    return e;
}

/* A tar that ends early is mmdebstrap's trouble: its own error says more than ours. */
static fallible import_all(struct image_session *s, int *tar_fd, int pidfd, const struct bootstrap *plan,
                           struct oci_descriptor **ret_target, char **ret_id)
{
    own(err) err *ours = make_image(s, *tar_fd, plan, ret_target, ret_id);
    close_now(tar_fd);
    own(err) err *theirs = bootstrap_wait(pidfd);
    if (ours && !(theirs && (err_is(ours, ERR_CORRUPT) || err_is(ours, ERR_INVALID))))
        return take(ours);
    return take(theirs);
}

static fallible in_session(int *tar_fd, int pidfd, const struct bootstrap *plan, const char *name)
{
    own(image_session) struct image_session *s = NULL;
    own(import_target) struct oci_descriptor *target = NULL;
    own_mem char *id = NULL;
    TRY(image_session_open(&s));
    TRY(image_confine(s, -1));
    err *e = import_all(s, tar_fd, pidfd, plan, &target, &id);
    TRY(image_session_failed(s, ATTEMPT_WHOLE, e ? e : layout_set_name(s->store, name, target)));
    image_say(s, "import", id, name);
    return NULL;
}

static fallible run_plan(const struct bootstrap *plan, const char *name)
{
    own_fd int tar_fd = -1;
    own_fd int pidfd = -1;
    TRY(bootstrap_start(plan, &tar_fd, &pidfd));
    err *e = in_session(&tar_fd, pidfd, plan, name);
    if (e) /* it may run on still, and removes what it made when it is told */
        err_ignore(proc_signal(pidfd, SIGTERM), "it has ended");
    return e;
}

static fallible bootstrap_run(const void *opts_, struct args args)
{
    const struct bootstrap_opts *opts = opts_;
    const char *name = opts->tag ? opts->tag : args.v[0];
    own(ref) struct ref *ref = NULL;
    own(policy) struct policy *policy = NULL;
    own_mem char *suite = NULL;
    struct bootstrap plan = { 0 };
    TRY(ref_parse(name, &ref));
    if (ref->digest)
        return err_new(ERR_INVALID, "'%s': a new image's digest cannot be chosen", name);
    TRY(policy_load(opts->policy, &policy));
    if (policy)
        policy_read_all_keys(policy);
    TRY_AS(trust_admit_tar(policy), "'%s'", args.v[0]);
    own_mem char *full = ref_full(ref);
    own_mem char *familiar = ref_familiar(ref);
    err *e = make_plan(opts, args.v[0], &plan, &suite);
    if (!e)
        e = run_plan(&plan, full);
    strv_free(&plan.include);
    strv_free(&plan.mirrors);
    TRY_AS(e, "'%s'", args.v[0]);
    printf("%s\n", familiar);
    return NULL;
}

const struct command cmd_bootstrap = {
    .name = "bootstrap",
    .args = "debian:SUITE",
    .summary = "Make a Debian base image from the system's own mirror",
    .detail =
        "Runs Debian's mmdebstrap, as root or as an ordinary user, and imports what it makes. SUITE is a word or a\n"
        "release's number: debian:bookworm, debian:12. The image runs bash.",
    .opts = bootstrap_rows,
    .opts_size = sizeof(struct bootstrap_opts),
    .min_args = 1,
    .max_args = 1,
    .fail_exit = 1,
    .run = bootstrap_run,
};
