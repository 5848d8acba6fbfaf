// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/build.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "build/build_parts.h"
#include "build/check.h"
#include "build/verify.h"
#include "engine/network.h"
#include "engine/paths.h"
#include "image/room.h"
#include "os/fs.h"
#include "os/ids.h"
#include "os/userns.h"

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
    debug_sweep(b);
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

static void plans_clear(struct build *b)
{
    for (size_t p = 0; p < b->plans_n; p++) {
        struct build_plan *plan = &b->plans[p];
        for (size_t i = 0; plan->runs && i < plan->stages->n; i++)
            run_clear(&plan->runs[i]);
        free(plan->runs);
        stages_free(plan->stages);
    }
    free(b->plans);
    b->plans = NULL;
    b->plans_n = 0;
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
    for (size_t p = 0; p < b->plans_n; p++)
        for (size_t i = 0; i < b->plans[p].stages->n; i++) {
            const struct stage_run *r = &b->plans[p].runs[i];
            const char *tail = progress_tail(b->progress, r->number);
            if (tail && r->status == STAGE_WORKS)
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

/* ---- platforms ---- */

void build_use_plan(struct build *b, size_t plan)
{
    const struct build_plan *p = &b->plans[plan];
    if (!b->platform || !str_eq(b->platform, p->platform) || !b->platform_args.n)
        build_choose_platform(b, p->platform);
    b->stages = p->stages;
    b->runs = p->runs;
}

static fallible add_plan(struct build *b, const char *platform, const struct strv *contexts)
{
    build_choose_platform(b, platform);
    struct stages_input in = input_of(b, contexts);
    b->plans = mem_array(b->plans, b->plans_n + 1, sizeof *b->plans);
    struct build_plan *p = &b->plans[b->plans_n];
    *p = (struct build_plan){ .platform = platform };
    TRY(stages_of(b->file, &in, &p->stages));
    p->runs = mem_zalloc(p->stages->n * sizeof *p->runs);
    for (size_t i = 0; i < p->stages->n; i++)
        p->runs[i].result_fd = p->runs[i].out_fd = -1;
    b->plans_n++;
    return NULL;
}

/* All plans, and then their images, in the order in which they were asked for. */
static fallible build_plans(struct build *b)
{
    err *e = build_walk(b);
    save_hashes(b);
    if (e) {
        show_tails(b);
        if (b->debug)
            debug_failed(b);
        return e;
    }
    for (size_t p = 0; !b->debugged && p < b->plans_n; p++) {
        build_use_plan(b, p);
        TRY(build_make_image(b, take(b->runs[b->stages->target].state)));
    }
    return NULL;
}

static fallible build_platforms(struct build *b)
{
    own_strv struct strv names = { 0 };
    for (size_t i = 0; i < b->named_n; i++)
        strv_add(&names, b->named[i].name);
    struct stages_input in = input_of(b, &names);
    if (b->o->how.all_platforms)
        TRY(build_all_platforms(b, &in));
    /* a shell, and a log for each, want them one after the other */
    bool apart = b->debug || (b->o->how.logsplit.set && b->o->how.logsplit.v);
    for (size_t i = 0; i < b->platforms.n || i == 0; i++) {
        const char *platform = b->platforms.n ? b->platforms.items[i] : b->platform;
        if (apart)
            plans_clear(b);
        TRY(add_plan(b, platform, &names));
        if (!apart && i + 1 < b->platforms.n)
            continue;
        TRY(build_log_platform(b, platform));
        TRY(build_plans(b));
        if (b->debugged)
            return NULL;
    }
    return NULL; /* the last ones stay: who asks later what the stages were finds them */
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
    build_warn_unused(b);
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
    plans_clear(b);
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
    strv_free(&b->done);
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
        e = build_read_options(&b);
    if (!e)
        e = engine_open(&b.engine);
    if (!e)
        e = build_here(&b);
    own_mem char *root = b.engine ? mem_strdup(b.engine->root) : NULL;
    build_close(&b);
    build_log_close(&b);
    return root ? room_say(root, e) : e;
}
