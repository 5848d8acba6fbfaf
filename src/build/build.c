// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/build.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/log.h"
#include "base/parse.h"
#include "build/build_parts.h"
#include "build/check.h"
#include "build/verify.h"
#include "codec/pool.h"
#include "engine/network.h"
#include "engine/paths.h"
#include "image/ref.h"
#include "os/fs.h"
#include "os/ids.h"
#include "os/proc.h"
#include "os/userns.h"

enum { SECRET_MAX = 500 << 10, TICK_MS = 100 };

/* ---- what others ask ---- */

err *build_at(const struct build *b, const struct df_instruction *i, err *e)
{
    if (!e)
        return NULL;
    if (!*err_text(e)) { /* whom we started said what went wrong, but not of which instruction */
        err_free(e);
        return err_new(ERR_CONFLICT, "%s:%d: %s failed: the line above says why", b->file->name, i->place.line,
                       df_kind_name(i->kind));
    }
    if (err_is(e, ERR_CANCELLED))
        return e;
    return err_wrap(e, "%s:%d", b->file->name, i->place.line);
}

struct expand build_expand(struct build *b, const struct stage_run *r)
{
    return (struct expand){ .env = { &r->state->config->config->env, &r->state->args },
                            .escape = b->file->escape,
                            .ret_unset = &b->unset };
}

/* Names that an instruction asked for and nobody set. */
static void warn_unset(struct build *b, const struct df_instruction *i)
{
    for (size_t k = 0; k < b->unset.n; k++)
        build_warn(b, i->place, "UndefinedVar", "nothing sets '$%s'", b->unset.items[k]);
    strv_free(&b->unset);
}

fallible build_expand_arg(struct build *b, const struct stage_run *r, const struct df_instruction *i, size_t arg,
                          char **ret)
{
    struct expand e = build_expand(b, r);
    return expand_word(&e, i->args.items[arg], ret);
}

int64_t build_newest(const struct build *b, const struct build_state *s)
{
    return b->epoch.set ? b->epoch.v : s->newest_s;
}

char *build_title(const struct build *b, const struct stage_run *r)
{
    char name[64];
    const struct df_instruction *i = r->items[r->next];
    own_mem char *text = mem_strdup(i->text);
    for (char *c = text; *c; c++)
        if (*c == '\n' || *c == '\t')
            *c = ' ';
    return mem_printf("[%s%s%s %zu/%zu] %s", b->platforms.n > 1 ? b->platform : "", b->platforms.n > 1 ? " " : "",
                      stage_title(b->stages, (size_t)(r - b->runs), name), r->next + 1, r->n, text);
}

/* ---- stages side by side ---- */

static bool is_ready(const struct build *b, size_t stage, const struct df_instruction *i)
{
    const struct stage *s = &b->stages->items[stage];
    if (!i)
        return s->base_kind != BASE_STAGE || b->runs[s->base].status == STAGE_DONE;
    for (size_t f = 0; f < i->flags_n; f++) {
        const struct df_flag *flag = &i->flags[f];
        own(build_mount) struct build_mount m = { 0 };
        const char *word = i->kind == DF_COPY && strcmp(flag->name, "from") == 0 ? flag->value : NULL;
        if (i->kind == DF_RUN && strcmp(flag->name, "mount") == 0) {
            err_ignore(build_mount_parse(flag->value, NULL, &m), "the step says so");
            word = m.from;
        }
        int other = word ? stages_find(b->stages, word, stage) : STAGE_NONE;
        if (other != STAGE_NONE && b->runs[other].status != STAGE_DONE)
            return false;
    }
    return true;
}

/* The instruction at which a stage is: one of ONBUILD is not in this file, its FROM is. */
static err *at_step(const struct build *b, size_t stage, err *e)
{
    const struct stage_run *r = &b->runs[stage];
    if (r->next >= r->triggers_n)
        return build_at(b, r->items[r->next], e);
    if (e && *err_text(e) && !err_is(e, ERR_CANCELLED))
        e = err_wrap(e, "ONBUILD %s of its base", df_kind_name(r->items[r->next]->kind));
    return build_at(b, b->stages->items[stage].from, e);
}

/* As far as it goes without waiting. */
static fallible advance(struct build *b, size_t stage, size_t limit)
{
    struct stage_run *r = &b->runs[stage];
    if (!r->state) {
        bool waits = false;
        if (!is_ready(b, stage, NULL))
            return NULL;
        TRY(build_at(b, b->stages->items[stage].from, base_fetch_begin(b, stage, &waits)));
        if (waits)
            return NULL;
        TRY(build_at(b, b->stages->items[stage].from, build_from(b, stage)));
        r->status = STAGE_READY;
    }
    size_t stop = debug_stop(b, stage);
    for (; r->next < r->n; r->next++) {
        const struct df_instruction *i = r->items[r->next];
        bool done = false, works = false;
        if (r->next == stop)
            return NULL;
        TRY(at_step(b, stage, instruct(b, r, i, &done)));
        warn_unset(b, i);
        if (done)
            continue;
        if (!is_ready(b, stage, i) || b->working - b->fetches >= limit)
            return NULL;
        TRY(at_step(b, stage, step_begin(b, stage, i, &works)));
        warn_unset(b, i);
        if (works) {
            r->status = STAGE_WORKS;
            b->working++;
            return NULL;
        }
    }
    r->status = STAGE_DONE;
    return b->o->how.layers.set && !b->o->how.layers.v ? build_squash_stage(b, r) : NULL;
}

static bool drain(struct build *b, struct stage_run *r, int *fd, bool result)
{
    char buf[65536];
    ssize_t n = read(*fd, buf, sizeof buf);
    if (n < 0)
        return errno == EINTR;
    if (n == 0) {
        close_now(fd);
        return false;
    }
    if (result)
        str_add_n(&r->result, buf, (size_t)n);
    else
        progress_output(b->progress, r->number, buf, (size_t)n);
    return true;
}

static fallible finish(struct build *b, size_t stage)
{
    struct stage_run *r = &b->runs[stage];
    int status = 0;
    while (r->out_fd >= 0 && drain(b, r, &r->out_fd, false))
        ;
    close_now(&r->out_fd);
    while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR)
        ;
    r->pid = 0;
    b->working--;
    if (r->fetching)
        return base_fetch_end(b, stage);
    TRY(at_step(b, stage, step_end(b, stage, status)));
    r->next++;
    r->status = STAGE_READY;
    return NULL;
}

/* Waits until something happens at a step. */
static fallible wait_some(struct build *b, int signals)
{
    struct pollfd *fds = mem_zalloc((2 * b->stages->n + 1) * sizeof *fds);
    size_t n = 0;
    err *e = NULL;
    for (size_t i = 0; i < b->stages->n; i++) {
        fds[n++] = (struct pollfd){ .fd = b->runs[i].pid ? b->runs[i].result_fd : -1, .events = POLLIN };
        fds[n++] = (struct pollfd){ .fd = b->runs[i].pid ? b->runs[i].out_fd : -1, .events = POLLIN };
    }
    fds[n] = (struct pollfd){ .fd = signals, .events = POLLIN };
    if (poll(fds, n + 1, TICK_MS) < 0 && errno != EINTR)
        e = err_sys(errno, "wait for the steps");
    if (!e && fds[n].revents)
        e = err_new(ERR_CANCELLED, "the build was told to end");
    for (size_t i = 0; !e && i < b->stages->n; i++) {
        struct stage_run *r = &b->runs[i];
        if (fds[2 * i + 1].revents)
            (void)drain(b, r, &r->out_fd, false);
        if (fds[2 * i].revents && !drain(b, r, &r->result_fd, true))
            e = finish(b, i);
    }
    free(fds);
    progress_tick(b->progress);
    return e;
}

/* After an error: no step may live on. */
static void end_all(struct build *b)
{
    for (size_t i = 0; b->runs && i < b->stages->n; i++) {
        struct stage_run *r = &b->runs[i];
        if (!r->pid)
            continue;
        base_fetch_stop(r);
        (void)kill(r->pid, SIGTERM); /* a RUN step ends its container first */
        while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        close_now(&r->result_fd);
        close_now(&r->out_fd);
        r->pid = 0;
    }
}

static bool all_done(const struct build *b)
{
    for (size_t i = 0; i < b->stages->n; i++)
        if (b->stages->items[i].used && b->runs[i].status != STAGE_DONE)
            return false;
    return true;
}

static fallible walk(struct build *b, int signals)
{
    const struct opt_i64 *jobs = &b->o->how.jobs;
    size_t limit = !jobs->set ? pool_cores() + 1 /* one more: steps wait for disks and networks */
                   : jobs->v  ? (size_t)jobs->v
                              : SIZE_MAX;
    for (;;) {
        for (size_t i = 0; i < b->stages->n; i++)
            if (b->stages->items[i].used && b->runs[i].status != STAGE_DONE && b->runs[i].status != STAGE_WORKS)
                TRY(advance(b, i, limit));
        for (size_t i = 0; b->debug && !b->debugged && i < b->stages->n; i++)
            TRY(debug_reached(b, i));
        if (b->debugged)
            return NULL;
        if (all_done(b))
            return NULL;
        if (b->working)
            TRY(wait_some(b, signals));
    }
}

static fallible walk_all(struct build *b)
{
    sigset_t set, old;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, &old);
    own_fd int signals = signalfd(-1, &set, SFD_CLOEXEC);
    err *e = walk(b, signals);
    end_all(b);
    (void)sigprocmask(SIG_SETMASK, &old, NULL);
    return e;
}

/* ---- what the options bring ---- */

#define SECONDS_MAX INT64_C(253402300799) /* the year 9999 */

static fallible check_seconds(const char *option, int64_t s)
{
    if (s < 0 || s > SECONDS_MAX)
        return err_new(ERR_INVALID, "%s: expected seconds since 1970, from 0 to %lld", option, (long long)SECONDS_MAX);
    return NULL;
}

static fallible add_build_arg(struct build *b, const char *option, const char *text)
{
    const char *equals = strchr(text, '='), *value = equals ? NULL : getenv(text);
    if (equals == text || !*text)
        return err_new(ERR_INVALID, "%s '%s': expected NAME=VALUE", option, text);
    own_mem char *pair = value ? mem_printf("%s=%s", text, value) : NULL;
    if (equals || pair)
        strv_setenv(&b->build_args, equals ? text : pair);
    return NULL;
}

/* A line each, as --build-arg takes it; empty ones and comments are none. */
static fallible read_arg_file(struct build *b, const char *path)
{
    own_mem char *text = NULL, *option = NULL;
    own_strv struct strv lines = { 0 };
    size_t len = 0;
    TRY_AS(fs_read_at(AT_FDCWD, path, DOCKERFILE_MAX, &text, &len), "--build-arg-file");
    strv_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.n; i++) {
        char *line = lines.items[i] + strspn(lines.items[i], " \t");
        size_t n = strlen(line);
        while (n && strchr(" \t\r", line[n - 1]))
            line[--n] = '\0';
        if (!n || *line == '#')
            continue;
        option = mem_printf("--build-arg-file '%s': line %zu:", path, i + 1);
        TRY(add_build_arg(b, option, line));
        free(take(option));
    }
    return NULL;
}

static fallible read_build_args(struct build *b)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    for (size_t i = 0; i < b->o->how.arg_files.n; i++)
        TRY(read_arg_file(b, b->o->how.arg_files.items[i]));
    for (size_t i = 0; i < b->o->build_args.n; i++)
        TRY(add_build_arg(b, "--build-arg", b->o->build_args.items[i]));
    const struct build_image_options *image = &b->o->image;
    if (image->epoch.set && image->timestamp.set)
        return err_new(ERR_INVALID, "--timestamp and --source-date-epoch exclude each other");
    if (image->epoch.set) {
        own_mem char *pair = mem_printf("SOURCE_DATE_EPOCH=%lld", (long long)image->epoch.v);
        strv_setenv(&b->build_args, pair);
    }
    if (strv_getenv(&b->build_args, "SOURCE_DATE_EPOCH"))
        epoch = strv_getenv(&b->build_args, "SOURCE_DATE_EPOCH");
    if (image->timestamp.set) {
        b->epoch = image->timestamp;
        return check_seconds("--timestamp", image->timestamp.v);
    }
    if (!epoch || !*epoch)
        return NULL;
    b->epoch.set = true;
    TRY_AS(parse_i64(epoch, 0, SECONDS_MAX, &b->epoch.v), "SOURCE_DATE_EPOCH");
    strv_add(&b->used_args, "SOURCE_DATE_EPOCH");
    return NULL;
}

static void add_platform(struct build *b, const char *prefix, const char *platform)
{
    own_strv struct strv parts = { 0 };
    strv_split(&parts, platform, '/');
    strv_add_printf(&b->platform_args, "%sPLATFORM=%s", prefix, platform);
    strv_add_printf(&b->platform_args, "%sOS=%s", prefix, parts.items[0]);
    strv_add_printf(&b->platform_args, "%sARCH=%s", prefix, parts.n > 1 ? parts.items[1] : "");
    strv_add_printf(&b->platform_args, "%sVARIANT=%s", prefix, parts.n > 2 ? parts.items[2] : "");
}

const char *build_wanted_platform(const struct build *b)
{
    return b->platforms.n ? b->platform : NULL;
}

static void choose_platform(struct build *b, const char *platform)
{
    b->platform = platform;
    strv_free(&b->platform_args);
    add_platform(b, "TARGET", platform);
    add_platform(b, "BUILD", platform_of_host());
}

/* --os, --arch and --variant: what is not said is this machine's. */
static fallible read_arch(struct build *b)
{
    const struct build_image_options *i = &b->o->image;
    own_mem char *one = NULL;
    if (!i->os && !i->arch && !i->variant)
        return NULL;
    if (b->o->platforms.n)
        return err_new(ERR_INVALID, "--platform and %s exclude each other",
                       i->arch ? "--arch"
                       : i->os ? "--os"
                               : "--variant");
    own_strv struct strv host = { 0 };
    strv_split(&host, platform_of_host(), '/');
    own_mem char *text = mem_printf("%s/%s%s%s", i->os ? i->os : host.items[0], i->arch ? i->arch : host.items[1],
                                    i->variant ? "/" : "", i->variant ? i->variant : "");
    TRY_AS(platform_parse(text, &one), "--os, --arch and --variant");
    strv_add(&b->platforms, one);
    return NULL;
}

static fallible read_platforms(struct build *b)
{
    TRY(read_arch(b));
    for (size_t i = 0; i < b->o->platforms.n; i++) {
        own_strv struct strv words = { 0 };
        strv_split(&words, b->o->platforms.items[i], ',');
        for (size_t k = 0; k < words.n; k++) {
            own_mem char *one = NULL;
            TRY_AS(platform_parse(words.items[k], &one), "--platform");
            if (!strv_has(&b->platforms, one))
                strv_add(&b->platforms, one);
        }
    }
    choose_platform(b, b->platforms.n ? b->platforms.items[0] : platform_of_host());
    if (b->platforms.n > 1 && b->o->verify)
        return err_new(ERR_INVALID, "--verify compares one image: give one --platform");
    return NULL;
}

static void add_secret(struct build *b, const char *id, char *take_bytes, size_t n)
{
    b->secrets = mem_array(b->secrets, b->secrets_n + 1, sizeof *b->secrets);
    b->secrets[b->secrets_n++] = (struct build_secret){ mem_strdup(id), take_bytes, n };
}

/* "id=NAME[,src=FILE][,env=NAME][,type=file|env]" */
static fallible read_secret(struct build *b, const char *text)
{
    own_strv struct strv parts = { 0 };
    const char *id = NULL, *file = NULL, *env = NULL;
    char *bytes = NULL;
    size_t n = 0;
    strv_split(&parts, text, ',');
    for (size_t i = 0; i < parts.n; i++) {
        const char *p = parts.items[i], *value = strchr(p, '=');
        if (!value)
            return err_new(ERR_INVALID, "--secret '%s': expected id=NAME,src=FILE or id=NAME,env=NAME", text);
        value++;
        if (str_starts(p, "id="))
            id = value;
        else if (str_starts(p, "src=") || str_starts(p, "source="))
            file = value;
        else if (str_starts(p, "env="))
            env = value;
        else if (!str_starts(p, "type="))
            return err_new(ERR_INVALID, "--secret '%s': unknown key '%s': expected id, src, env or type", text, p);
    }
    if (!id)
        id = file ? strrchr(file, '/') ? strrchr(file, '/') + 1 : file : env;
    if (!id || !*id)
        return err_new(ERR_INVALID, "--secret '%s': expected id=NAME", text);
    if (file && env)
        return err_new(ERR_INVALID, "--secret '%s': expected src or env, not both", text);
    if (!file) {
        const char *value = getenv(env ? env : id);
        if (!value && env)
            return err_new(ERR_NOT_FOUND, "--secret: there is no environment variable '%s'", env);
        if (value) {
            add_secret(b, id, mem_strdup(value), strlen(value));
            return NULL;
        }
        file = id;
    }
    TRY_AS(fs_read_at(AT_FDCWD, file, SECRET_MAX, &bytes, &n), "--secret '%s'", id);
    add_secret(b, id, bytes, n);
    return NULL;
}

static fallible check_names(const struct build_options *o)
{
    for (size_t i = 0; i < o->tags.n; i++) {
        own(ref) struct ref *ref = NULL;
        TRY_AS(ref_parse(o->tags.items[i], &ref), "--tag");
        if (ref->digest)
            return err_new(ERR_INVALID, "--tag: '%s': a new image's digest cannot be chosen", o->tags.items[i]);
    }
    return NULL;
}

static fallible read_options(struct build *b)
{
    own_strv struct strv cache_to = { 0 };
    TRY(check_names(b->o));
    TRY(final_check(b->o));
    TRY(progress_out_new(b->o->quiet ? "quiet" : b->o->progress, &b->progress));
    TRY(read_build_args(b));
    TRY(read_platforms(b));
    TRY(how_check(b));
    TRY(contexts_read(b));
    TRY(attest_parse(b->o->provenance, b->o->sbom, &b->o->attests, &b->attest));
    TRY(builtin_args_read(b, &cache_to));
    TRY(annotations_check(b));
    TRY(share_parse("--cache-from", &b->o->cache_from, &b->imports, &b->imports_n));
    TRY(share_parse("--cache-to", &cache_to, &b->exports, &b->exports_n));
    for (size_t i = 0; i < b->o->secrets.n; i++)
        TRY(read_secret(b, b->o->secrets.items[i]));
    return NULL;
}

static const char *const known_args[] = { "HTTP_PROXY", "http_proxy", "HTTPS_PROXY",      "https_proxy",
                                          "FTP_PROXY",  "ftp_proxy",  "NO_PROXY",         "no_proxy",
                                          "ALL_PROXY",  "all_proxy",  "SOURCE_DATE_EPOCH" };

static void warn_unused(struct build *b)
{
    for (size_t i = 0; i < b->build_args.n; i++) {
        own_mem char *name = mem_strndup(b->build_args.items[i], strcspn(b->build_args.items[i], "="));
        bool known =
            strv_has(&b->used_args, name) || strv_getenv(&b->stages->globals, name) || str_starts(name, "BUILDKIT_");
        for (size_t k = 0; k < ARRAY_SIZE(known_args); k++)
            known = known || strcmp(known_args[k], name) == 0;
        if (known)
            continue;
        own_mem char *text = mem_printf("warning: no ARG took --build-arg %s", name);
        progress_note(b->progress, text);
    }
}

/* ---- from beginning to end ---- */

static fallible check_network(struct build *b)
{
    const char *network = b->o->network;
    own(network) struct network *found = NULL;
    if (!network || strcmp(network, "default") == 0 || strcmp(network, "none") == 0 || strcmp(network, "host") == 0)
        return NULL;
    if (b->ordinary)
        return err_new(ERR_UNSUPPORTED, "--network %s: an ordinary user's RUN has default, host or none", network);
    own(engine) struct engine *e = NULL; /* with a database that is closed again before steps are forked */
    TRY(engine_open(&e));
    return err_wrap(network_find(e, network, &found), "--network");
}

static fallible open_store(struct build *b)
{
    own_mem char *name = layout_stage_name("build");
    if (setenv("HUSK_ROOT", b->engine->root, 1) < 0 || setenv("HUSK_RUN", b->engine->run, 1) < 0)
        return err_sys(errno, "set the environment"); /* of the programs that we run as root of our namespace */
    b->ordinary = !userns_is_root();
    b->no_netns = b->ordinary && geteuid() == 0 && !ids_may_clone(CLONE_NEWUSER | CLONE_NEWNET);
    TRY(check_network(b));
    TRY(debug_open(b));
    TRY(userns_enter());
    TRY(engine_layout(b->engine, &b->layout));
    TRY(layout_begin_adding(b->layout, &b->adding, &b->adding_fd));
    TRY(layout_sweep_staging(b->layout, 24 * 3600));
    TRY(build_run_sweep(b->engine));
    TRY(build_cache_open(b->layout, &b->cache));
    if (b->o->how.cache_ttl.set)
        b->cache.since_s = time(NULL) - (int64_t)(b->o->how.cache_ttl.v / 1000000000);
    TRY(layout_stage(b->layout, name, LAYOUT_STAGE_DIR, &b->dir_fd));
    b->dir_name = take(name);
    for (size_t i = 0; i < b->o->ssh.n; i++)
        TRY(ssh_read(b, b->o->ssh.items[i]));
    return NULL;
}

static fallible verify(struct build *b, const char *id)
{
    own(image) struct image *image = NULL;
    TRY_AS(image_find(b->layout, b->o->verify, build_wanted_platform(b), &image), "--verify");
    return build_verify(b->layout, image, b->made[0].state, id);
}

static void run_clear(struct stage_run *r)
{
    free(r->items);
    for (size_t i = 0; i < r->triggers_n; i++)
        dockerfile_free(r->triggers[i]);
    free(r->triggers);
    build_state_free(r->state);
    str_free(&r->result);
    free(r->fetching);
    free(r->key);
    free(r->created_by);
    free(r->slot);
    step_parts_clear(&r->parts);
}

static void runs_clear(struct build *b)
{
    for (size_t i = 0; b->runs && i < b->stages->n; i++)
        run_clear(&b->runs[i]);
    free(b->runs);
    stages_free(b->stages);
    b->runs = NULL;
    b->stages = NULL;
}

static void save_hashes(struct build *b)
{
    hashes_save(b->context.hashes);
    for (size_t i = 0; i < b->named_n; i++)
        if (b->named[i].tree.hashes)
            hashes_save(b->named[i].tree.hashes);
}

/* What a failed step printed, where it was not shown. */
static void show_tails(struct build *b)
{
    for (size_t i = 0; i < b->stages->n; i++) {
        const char *tail = progress_tail(b->progress, b->runs[i].number);
        if (tail && b->runs[i].status == STAGE_WORKS)
            fprintf(stderr, "%s%s", tail, tail[strlen(tail) - 1] == '\n' ? "" : "\n");
    }
}

static struct stages_input input_of(const struct build *b, const struct strv *contexts)
{
    return (struct stages_input){ .build_args = &b->build_args,
                                  .platform_args = &b->platform_args,
                                  .target = b->o->target,
                                  .contexts = contexts,
                                  .all = b->o->how.skip_unused.set && !b->o->how.skip_unused.v,
                                  .from = b->o->image.from };
}

static fallible build_platform(struct build *b, const char *platform, const struct strv *contexts)
{
    choose_platform(b, platform);
    struct stages_input in = input_of(b, contexts);
    TRY(stages_of(b->file, &in, &b->stages));
    b->runs = mem_zalloc(b->stages->n * sizeof *b->runs);
    for (size_t i = 0; i < b->stages->n; i++)
        b->runs[i].result_fd = b->runs[i].out_fd = -1;
    err *e = walk_all(b);
    save_hashes(b);
    if (e) {
        show_tails(b);
        if (b->debug)
            debug_failed(b);
        return e;
    }
    if (b->debugged)
        return NULL;
    struct build_state *state = take(b->runs[b->stages->target].state);
    return build_make_image(b, state);
}

static fallible build_platforms(struct build *b)
{
    own_strv struct strv names = { 0 };
    for (size_t i = 0; i < b->named_n; i++)
        strv_add(&names, b->named[i].name);
    struct stages_input in = input_of(b, &names);
    if (b->o->how.all_platforms)
        TRY(build_all_platforms(b, &in));
    for (size_t i = 0; i < b->platforms.n || i == 0; i++) {
        runs_clear(b);
        TRY(build_log_platform(b, b->platforms.n ? b->platforms.items[i] : b->platform));
        TRY(build_platform(b, b->platforms.n ? b->platforms.items[i] : b->platform, &names));
        if (b->debugged)
            return NULL;
    }
    return NULL;
}

static fallible build_here(struct build *b)
{
    own_mem char *id = NULL;
    bool stop = false;
    TRY(open_store(b));
    TRY(build_context_open(b));
    TRY(check_file(b, &stop));
    if (stop)
        return NULL;
    TRY(b->o->no_cache ? NULL : share_import(b));
    TRY(build_platforms(b));
    TRY(build_log_platform(b, NULL));
    if (b->debugged)
        return NULL;
    warn_unused(b);
    TRY(build_output(b, &id));
    if (b->o->verify)
        TRY(verify(b, id));
    build_cache_trim(&b->cache);
    fprintf(deliver_takes_stdout(b->delivers, b->delivers_n) ? stderr : stdout, "%s\n", id);
    return NULL;
}

static void build_close(struct build *b)
{
    debug_close(b);
    runs_clear(b);
    for (size_t i = 0; i < b->made_n; i++) {
        build_state_free(b->made[i].state);
        free(b->made[i].id);
        free(b->made[i].digest);
    }
    free(b->made);
    strv_free(&b->platforms);
    strv_free(&b->attest.materials);
    build_context_close(b);
    contexts_close(b);
    ssh_close(b);
    if (b->dir_name) {
        own_mem char *path = mem_printf("tmp/%s", b->dir_name);
        err_ignore(fs_remove_tree_at(b->layout->fd, path), "a sweep will remove it");
    }
    free(b->dir_name);
    close_now(&b->dir_fd);
    build_cache_close(&b->cache);
    if (b->adding)
        layout_end_adding(b->layout, b->adding, &b->adding_fd);
    free(b->adding);
    strv_free(&b->platform_args);
    strv_free(&b->build_args);
    strv_free(&b->used_args);
    strv_free(&b->ssh);
    strv_free(&b->unset);
    strv_free(&b->fetched);
    strv_free(&b->skip_checks);
    for (size_t i = 0; i < b->secrets_n; i++) {
        free((char *)(uintptr_t)b->secrets[i].id);
        free((char *)(uintptr_t)b->secrets[i].bytes);
    }
    free(b->secrets);
    progress_out_free(b->progress);
    deliver_clear(b->delivers, b->delivers_n);
    share_clear(b->imports, b->imports_n);
    share_clear(b->exports, b->exports_n);
    share_drop_notes(b);
    engine_free(b->engine);
}

/* What --output says of the image's form and what other options do must agree. */
static fallible output_form(struct build_options *o, const struct build_packing *p)
{
    if (p->set && o->image.plain_layers.set && o->image.plain_layers.v != (p->form == STREAM_PLAIN))
        return err_new(ERR_INVALID, "--disable-compression and --output compression= contradict each other");
    if (p->docker && o->image.format && str_eq(o->image.format, "oci"))
        return err_new(ERR_INVALID, "--format oci and --output oci-mediatypes=false contradict each other");
    if (p->docker)
        o->image.format = "docker";
    if (p->set && p->form == STREAM_ZSTD && o->image.format && !str_eq(o->image.format, "oci"))
        return err_new(ERR_INVALID, "--format %s: docker's form has no zstd: say --output compression=gzip",
                       o->image.format);
    return NULL;
}

fallible build_run_all(const struct build_options *given)
{
    struct build_options with = *given, *o = &with;
    if (o->verify && o->tags.n)
        return err_new(ERR_INVALID, "--verify gives no names: leave --tag out");
    o->no_cache = o->no_cache || o->verify || (o->how.layers.set && !o->how.layers.v) ||
                  (o->how.cache_ttl.set && !o->how.cache_ttl.v);
    struct deliver *delivers = NULL;
    size_t delivers_n = 0;
    own_strv struct strv tags = { 0 };
    for (size_t i = 0; i < o->tags.n; i++)
        strv_add(&tags, o->tags.items[i]);
    struct build_packing packing = { 0 };
    TRY(deliver_parse(&o->outputs, &tags, &packing, &delivers, &delivers_n));
    o->tags = tags;
    err *bad = output_form(o, &packing);
    if (bad) {
        deliver_clear(delivers, delivers_n);
        return bad;
    }
    bool push = o->push;
    for (size_t i = 0; i < delivers_n; i++)
        push = push || delivers[i].push;
    if ((push && !tags.n) || (o->verify && delivers_n + push)) {
        deliver_clear(delivers, delivers_n);
        return o->verify ? err_new(ERR_INVALID, "--verify compares alone: leave --output and --push out")
                         : err_new(ERR_INVALID, "--push: where to is the image's name: give it with --tag");
    }
    struct build b = { .o = o,
                       .packing = packing,
                       .delivers = delivers,
                       .delivers_n = delivers_n,
                       .adding_fd = -1,
                       .dir_fd = -1,
                       .kept_out = { -1, -1 },
                       .context = { .fd = -1 },
                       .cache = { .fd = -1, .cache_fd = -1, .last_fd = -1, .files_fd = -1 } };
    err *e = build_log_open(&b);
    if (!e)
        e = read_options(&b);
    if (!e)
        e = engine_open(&b.engine);
    if (!e)
        e = build_here(&b);
    build_close(&b);
    build_log_close(&b);
    return e;
}
