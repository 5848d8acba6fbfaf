// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A step that makes a layer: what goes into it is written down, looked up, and done in a child when nobody did it yet.
 * The child inherits all that we know; it answers with STEP_DONE or STEP_FETCHED and a cache entry in JSON, or an
 * encoded error.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>

#include "base/log.h"
#include "build/build_parts.h"
#include "engine/build_cache.h"
#include "layers/layer.h"
#include "os/fs.h"
#include "os/proc.h"

enum { STEP_DONE = 'D', STEP_FETCHED = 'F' };

void step_clear(struct build_step *s)
{
    strv_free(&s->exec.argv);
    strv_free(&s->exec.env);
    free(s->network);
    for (size_t i = 0; i < s->exec.mounts_n; i++) {
        build_mount_clear(&s->exec.mounts[i].mount);
        strv_free(&s->exec.mounts[i].lowers);
    }
    free(s->exec.mounts);
    free(s->exec.script);
    free(s->exec.script_target);
    strv_free(&s->remotes);
    free(s->checksum);
    strv_free(&s->patterns);
    strv_free(&s->from);
    strv_free(&s->texts);
    close_now(&s->source_fd);
    diff_stream_free(s->stream);
    free(s->dest);
    free(s->chown);
    ignore_free(s->exclude);
}

fallible step_from(struct build_step *s, const char *word, struct strv *ret_layers, struct build_context **ret_tree)
{
    *ret_tree = NULL;
    int other = stages_find(s->b->stages, word, s->stage);
    if (other != STAGE_NONE) {
        const struct strv *ids = &s->b->runs[other].state->config->rootfs->diff_ids;
        strv_copy(ret_layers, ids->items, ids->n);
        return NULL;
    }
    if (strcmp(word, "scratch") == 0)
        return NULL;
    own(image) struct image *image = NULL;
    TRY(context_named(s->b, word, ret_tree));
    if (*ret_tree)
        return NULL;
    TRY(build_find_image(s->b, word, NULL, &image));
    strv_copy(ret_layers, image->config->rootfs->diff_ids.items, image->config->rootfs->diff_ids.n);
    return NULL;
}

static fallible plan(struct build_step *s, struct step_parts *parts, char **ret_created_by)
{
    own_mem char *below = build_state_key(s->run->state);
    step_part(parts, "layers-below", "%s", below);
    const struct oci_image_config *config = s->run->state->config;
    step_part(parts, "platform", "%s/%s%s%s", config->os, config->architecture, config->variant ? "/" : "",
              config->variant ? config->variant : "");
    if (s->b->epoch.set)
        step_part(parts, s->b->o->image.timestamp.set ? "timestamp" : "source-date-epoch", "%lld",
                  (long long)s->b->epoch.v);
    s->newest_s = s->run->state->newest_s;
    if (s->i->kind == DF_RUN)
        return step_run_plan(s, parts, ret_created_by);
    if (s->i->kind == DF_WORKDIR)
        return step_workdir_plan(s, parts, ret_created_by);
    return step_copy_plan(s, parts, ret_created_by);
}

/* ---- the child ---- */

/* Nothing of what the store lies in may be in a layer: a group that directories give to what is made in them (S_ISGID),
 * or a default access list. */
static fallible inherit_nothing(int fd)
{
    static const char *const lists[] = { "system.posix_acl_default", "system.posix_acl_access" };
    struct stat st;
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        if (fremovexattr(fd, lists[i]) < 0 && errno != ENODATA && errno != ENOTSUP)
            return err_sys(errno, "take the access list of a step's directory away");
    if (fstat(fd, &st) < 0 || (st.st_gid != 0 && fchown(fd, 0, 0) < 0) ||
        ((st.st_mode & 07777) != 0755 && fchmod(fd, 0755) < 0))
        return err_sys(errno, "set the mode of a step's directory");
    return NULL;
}

static fallible prepare_dir(const struct build *b, const char *name)
{
    static const char *const parts[] = { "upper", "work" };
    if (mkdirat(b->dir_fd, name, 0700) < 0)
        return err_sys(errno, "make a directory for the step");
    own_fd int fd = openat(b->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        if (fd < 0 || mkdirat(fd, parts[i], 0755) < 0) /* upper's mode is what the root has */
            return err_sys(errno, "make a directory for the step");
        own_fd int part = openat(fd, parts[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (part < 0)
            return err_sys(errno, "open a directory of the step");
        TRY(inherit_nothing(part));
    }
    return NULL;
}

int64_t layer_newest(const struct build_step *s)
{
    return s->b->epoch.set ? s->b->epoch.v : s->newest_s > 0 ? s->newest_s : 1;
}

static fallible do_work(struct build_step *s, const char *name, struct build_layer *ret)
{
    struct build *b = s->b;
    own_mem char *relative = mem_printf("tmp/%s/%s", b->dir_name, name), *upper = mem_printf("%s/upper", relative);
    own_mem char *dir = mem_printf("%s/%s", b->layout->path, relative);
    TRY(prepare_dir(b, name));
    own_fd int upper_fd = openat(b->layout->fd, upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (upper_fd < 0)
        return err_sys(errno, "open '%s'", upper);
    own(settle) struct settle *settle = settle_new(upper_fd);
    int64_t begun_s = time(NULL);
    s->settle = settle;
    if (s->i->kind == DF_RUN) {
        err *e = step_run_work(s, dir);
        if (e && b->debug)
            debug_keep(s, relative);
        TRY(e);
    } else if (s->i->kind == DF_WORKDIR) {
        TRY(step_workdir_work(s, upper_fd));
    } else {
        TRY(step_copy_work(s, dir, upper_fd));
    }
    struct layer_input in = { .dir = relative,
                              .newest_s = layer_newest(s),
                              .files_in_time = s->files_in_time,
                              .begun_s = s->files_in_time ? 0 : begun_s, /* a source may be from days to come */
                              .all_at_once = s->b->o->image.timestamp.set,
                              .secrets = b->secrets,
                              .secrets_n = b->secrets_n,
                              .settle = settle,
                              .stream = s->stream };
    err *e = build_layer_make(b->layout, &in, ret);
    diff_stream_free(s->stream);
    s->stream = NULL;
    return e;
}

/* What a registry's cache has, else it is done. */
static fallible fetch_or_work(struct build_step *s, const char *name, struct build_layer *ret)
{
    if (!s->shared)
        return do_work(s, name, ret);
    err *e = share_fetch(s->b, s->shared, ret);
    if (!e) {
        s->newest_s = s->shared->entry->newest;
        return NULL;
    }
    if (*err_text(e))
        log_warn("--cache-from %s: %s", s->shared->from->place, err_text(e));
    err_ignore(e, "the step is done instead");
    s->shared = NULL;
    return do_work(s, name, ret);
}

static void child(struct build_step *s, int answer_fd) __attribute__((noreturn));
static void child(struct build_step *s, int answer_fd)
{
    struct build_layer layer = { 0 };
    char text[ERR_ENCODED_MAX], name[16];
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 0);
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    snprintf(name, sizeof name, "%d", s->run->number);
    err *e = fetch_or_work(s, name, &layer);
    size_t n = 0;
    if (e) {
        n = err_encode(e, text, sizeof text);
    } else {
        struct build_entry entry = { .diff_id = layer.diff_id,
                                     .digest = layer.digest,
                                     .media_type = layer.media_type,
                                     .size = layer.size,
                                     .tar_size = layer.tar_size,
                                     .newest = s->newest_s, /* what was fetched may be newer than was known */
                                     .empty = layer.empty };
        own_mem char *json = bind_write(&build_entry_type, &entry, BIND_COMPACT);
        n = (size_t)snprintf(text, sizeof text, "%c%s", s->shared ? STEP_FETCHED : STEP_DONE, json);
    }
    if (write(answer_fd, text, n) != (ssize_t)n)
        log_debug("build: nobody hears the answer");
    err_ignore(fs_remove_tree_at(s->b->dir_fd, name), "it goes with the build's own");
    _exit(e ? 1 : 0);
}

static fallible start(struct build_step *s)
{
    int answer[2], out[2];
    struct stage_run *r = s->run;
    if (pipe2(answer, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    own_fd int answer_read = answer[0], answer_write = answer[1];
    if (pipe2(out, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    own_fd int out_read = out[0], out_write = out[1];
    s->exec.out_fd = out_write;
    (void)fflush(NULL);
    r->pid = fork();
    if (r->pid < 0)
        return err_sys(errno, "fork");
    if (r->pid == 0) {
        close_now(&answer_read);
        close_now(&out_read);
        child(s, answer_write);
    }
    r->result_fd = take_fd(&answer_read);
    r->out_fd = take_fd(&out_read);
    return NULL;
}

/* ---- before and after it ---- */

static void use(struct build *b, struct stage_run *r, const struct build_layer *layer, int64_t newest_s)
{
    r->state->newest_s = newest_s;
    build_state_add(r->state, layer, r->created_by, build_newest(b, r->state));
}

/* The target's stage, or one that it stands on. */
static bool is_of_target(const struct build *b, size_t stage)
{
    size_t i = b->stages->target;
    while (i != stage && b->stages->items[i].base_kind == BASE_STAGE)
        i = (size_t)b->stages->items[i].base;
    return i == stage;
}

static bool may_use_cache(const struct build *b, size_t stage)
{
    char title[64];
    if (b->o->no_cache)
        return false;
    return !strv_has(&b->o->no_cache_filter, stage_title(b->stages, stage, title));
}

static fallible check_runs_here(const struct oci_image_config *c)
{
    own_mem char *platform = mem_printf("%s/%s%s%s", c->os ? c->os : "linux", c->architecture ? c->architecture : "",
                                        c->variant ? "/" : "", c->variant ? c->variant : "");
    return c->architecture ? emulate_check(platform) : NULL;
}

/* Another stage, or one of another platform's, that is at the same step now: its layer will be ours. WORKDIR costs
 * nothing.
 */
static const struct stage_run *find_twin(const struct build *b, const struct build_step *s)
{
    if (s->i->kind == DF_WORKDIR)
        return NULL;
    for (size_t p = 0; p < b->plans_n; p++)
        for (size_t i = 0; i < b->plans[p].stages->n; i++) {
            const struct stage_run *r = &b->plans[p].runs[i];
            if (r != s->run && r->pid && !r->fetching && r->key && str_eq(r->key, s->run->key))
                return r;
        }
    return NULL;
}

static fallible begin(struct build_step *s, bool *ret_works)
{
    struct build *b = s->b;
    struct stage_run *r = s->run;
    own(build_cached) struct build_cached found = { 0 };
    bool hit = false;
    own_mem char *why = NULL, *title = NULL;
    char stage[64];
    free(r->created_by);
    free(r->key);
    free(r->slot);
    step_parts_clear(&r->parts);
    r->created_by = r->key = r->slot = NULL;
    TRY(plan(s, &r->parts, &r->created_by));
    r->key = step_key(&r->parts);
    r->behind = find_twin(b, s);
    if (r->behind)
        return NULL;
    r->slot = mem_printf("%s\n%s\n%zu%s%s", b->file_path, stage_title(b->stages, s->stage, stage), r->next,
                         b->platforms.n > 1 ? "\n" : "", b->platforms.n > 1 ? b->platform : "");
    r->number = ++b->steps;
    title = build_title(b, r);
    if (may_use_cache(b, s->stage) || strv_has(&b->done, r->key))
        TRY(build_cache_find(&b->cache, r->key, &found, &hit));
    s->shared = !hit && may_use_cache(b, s->stage) ? share_find(b, r->key) : NULL;
    if (!hit && !s->shared && b->o->explain_cache)
        why = may_use_cache(b, s->stage) ? build_cache_why(&b->cache, r->slot, &r->parts) : mem_strdup("--no-cache");
    progress_step(b->progress, r->number, title);
    if (why) {
        own_mem char *text = mem_printf("#%d runs: %s", r->number, why);
        progress_note(b->progress, text);
    }
    if (!hit && !s->shared && s->i->kind == DF_RUN)
        TRY(check_runs_here(r->state->config));
    *ret_works = !hit;
    if (hit) {
        share_note(b, r->key, &found, is_of_target(b, s->stage));
        use(b, r, &found.layer, found.newest_s);
        progress_end(b->progress, r->number, PROGRESS_CACHED, NULL);
        return NULL;
    }
    r->state->newest_s = s->newest_s;
    return start(s);
}

fallible step_begin(struct build *b, size_t stage, const struct df_instruction *i, bool *ret_works)
{
    struct build_step s = { .b = b, .stage = stage, .run = &b->runs[stage], .i = i, .source_fd = -1 };
    *ret_works = false;
    err *e = begin(&s, ret_works);
    step_clear(&s);
    return e;
}

fallible step_end(struct build *b, size_t stage, int wait_status)
{
    struct stage_run *r = &b->runs[stage];
    void *read = NULL;
    err *e = NULL;
    if (r->result.len == 0)
        e = err_new(ERR_UNAVAILABLE, "the step's process ended without a word (status %d)",
                    proc_exit_code(wait_status));
    else if (r->result.text[0] != STEP_DONE && r->result.text[0] != STEP_FETCHED)
        e = err_decode(r->result.text, r->result.len);
    else
        e = bind_read(&build_entry_type, r->result.text + 1, r->result.len - 1, &read);
    bool fetched = r->result.len && r->result.text[0] == STEP_FETCHED;
    str_free(&r->result);
    if (e) {
        progress_end(b->progress, r->number, PROGRESS_FAILED, err_text(e));
        return e;
    }
    own(build_entry) struct build_entry *entry = read;
    if (entry->newest > r->state->newest_s)
        r->state->newest_s = entry->newest;
    struct build_cached cached = {
        .layer = { .diff_id = entry->diff_id,
                   .digest = entry->digest,
                   .media_type = entry->media_type,
                   .size = entry->size,
                   .tar_size = entry->tar_size,
                   .empty = entry->empty },
        .newest_s = fetched ? entry->newest : r->state->newest_s,
        .what = r->created_by,
        .made_s = time(NULL),
    };
    use(b, r, &cached.layer, cached.newest_s);
    share_note(b, r->key, &cached, is_of_target(b, stage));
    err_ignore(build_cache_put(&b->cache, r->key, &cached), "the next build does it again");
    strv_add(&b->done, r->key);
    build_cache_note(&b->cache, r->slot, &r->parts);
    progress_end(b->progress, r->number, fetched ? PROGRESS_CACHED : PROGRESS_DONE, NULL);
    return NULL;
}
