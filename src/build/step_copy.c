// SPDX-License-Identifier: GPL-2.0-or-later
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>

#include "build/add.h"
#include "build/build_parts.h"
#include "engine/lowers.h"
#include "engine/paths.h"
#include "engine/users.h"
#include "os/fs.h"

/* ---- owners ---- */

static fallible resolve_owner(struct build_step *s, const char *what)
{
    struct rootfs_source root = { .kind = ROOTFS_OVERLAY };
    struct container_user user = { 0 };
    s->owner = (struct copy_owner){ .keep = s->from_layers };
    if (!s->chown)
        return NULL;
    err *e = lowers_of(s->b->engine, &s->run->state->config->rootfs->diff_ids, &root.lowers);
    if (!e)
        e = users_resolve(&root, s->chown, NULL, &user);
    rootfs_source_free(&root);
    TRY_AS(e, "%s", what);
    s->owner = (struct copy_owner){ .set = true, .uid = user.uid, .gid = user.gid };
    /* "--chown=5" is 5:5, where USER 5 would have the group of /etc/passwd */
    if (!strchr(s->chown, ':') && strspn(s->chown, "0123456789") == strlen(s->chown))
        s->owner.gid = s->owner.uid;
    container_user_clear(&user);
    return NULL;
}

/* ---- what is asked for ---- */

static const struct df_heredoc *heredoc_of(const struct df_instruction *i, const char *word)
{
    own_mem char *name = df_heredoc_name(word);
    for (size_t k = 0; name && k < i->heredocs_n; k++)
        if (strcmp(i->heredocs[k].name, name) == 0)
            return &i->heredocs[k];
    return NULL;
}

static fallible add_text(struct build_step *s, const struct df_heredoc *h)
{
    own_mem char *text = NULL;
    struct expand e = build_expand(s->b, s->run);
    e.raw_quotes = true;
    if (h->expand)
        TRY(expand_word(&e, h->text, &text));
    else
        text = mem_strdup(h->text);
    strv_add(&s->texts, h->name);
    strv_add_take(&s->texts, take(text));
    return NULL;
}

static fallible read_words(struct build_step *s)
{
    const struct df_instruction *i = s->i;
    for (size_t k = 0; k + 1 < i->args.n; k++) {
        const struct df_heredoc *h = i->json ? NULL : heredoc_of(i, i->args.items[k]);
        own_mem char *word = NULL;
        if (h) {
            TRY(add_text(s, h));
            continue;
        }
        TRY(build_expand_arg(s->b, s->run, i, k, &word));
        strv_add_take(&s->patterns, take(word));
    }
    own_mem char *dest = NULL;
    TRY(build_expand_arg(s->b, s->run, i, i->args.n - 1, &dest));
    if (!*dest)
        return err_new(ERR_INVALID, "%s: the destination is empty: expected a path", df_kind_name(i->kind));
    size_t len = strlen(dest);
    s->dest_is_dir = dest[len - 1] == '/' || str_eq(dest, ".") || str_ends(dest, "/.") || str_ends(dest, "..");
    const char *workdir = s->run->state->config->config->working_dir;
    own_mem char *absolute =
        dest[0] == '/' ? mem_strdup(dest) : mem_printf("%s/%s", workdir && *workdir ? workdir : "/", dest);
    s->dest = paths_clean(absolute);
    return NULL;
}

static fallible read_flags(struct build_step *s)
{
    const struct df_instruction *i = s->i;
    struct expand e = build_expand(s->b, s->run);
    const struct df_flag *chown = df_flag(i, "chown"), *chmod = df_flag(i, "chmod");
    own_strv struct strv exclude = { 0 };
    if (chown)
        TRY(expand_word(&e, chown->value, &s->chown));
    if (chmod) {
        own_mem char *text = NULL;
        TRY(expand_word(&e, chmod->value, &text));
        TRY(copy_mode_parse(text, &s->mode));
    }
    for (size_t k = 0; k < i->flags_n; k++) {
        own_mem char *pattern = NULL;
        if (strcmp(i->flags[k].name, "exclude") != 0)
            continue;
        TRY(expand_word(&e, i->flags[k].value, &pattern));
        strv_add_take(&exclude, take(pattern));
    }
    return exclude.n ? ignore_of(&exclude, "--exclude", &s->exclude) : NULL;
}

static void describe(struct build_step *s, struct step_parts *parts, char **ret_created_by)
{
    const struct df_instruction *i = s->i;
    own_str struct str text = { 0 };
    str_add(&text, df_kind_name(i->kind));
    for (size_t k = 0; k < i->flags_n; k++)
        str_printf(&text, " --%s%s%s", i->flags[k].name, i->flags[k].value ? "=" : "",
                   i->flags[k].value ? i->flags[k].value : "");
    for (size_t k = 0; k < s->texts.n; k += 2)
        str_printf(&text, " <<%s", s->texts.items[k]);
    for (size_t k = 0; k < s->patterns.n; k++)
        str_printf(&text, " %s", s->patterns.items[k]);
    str_printf(&text, " %s%s", s->dest, s->dest_is_dir && strcmp(s->dest, "/") != 0 ? "/" : "");
    step_part(parts, "instruction", "%s", text.text);
    step_part(parts, "owner", "%s", s->chown ? s->chown : "");
    for (size_t k = 0; k < s->texts.n; k++)
        step_part(parts, "text", "%s", s->texts.items[k]);
    *ret_created_by = str_take(&text);
}

static const struct build_context *tree_of(const struct build_step *s)
{
    return s->tree ? s->tree : &s->b->context;
}

static void set_sources(struct build_step *s, int root_fd)
{
    bool store = fstat(s->b->layout->fd, &s->store) == 0;
    s->sources = (struct sources){
        .root_fd = root_fd,
        .ignore = s->from_layers ? NULL : tree_of(s)->ignore,
        .exclude = s->exclude,
        .patterns = &s->patterns,
        .parents = df_flag_is_on(s->i, "parents"),
        .what = s->from_layers || s->tree ? df_flag(s->i, "from")->value : "the context",
        .without = store ? &s->store : NULL,
    };
}

static fallible sum_files(struct build_step *s, struct step_parts *parts)
{
    own_mem char *digest = NULL;
    own_strv struct strv list = { 0 };
    int64_t newest = 0;
    set_sources(s, tree_of(s)->fd);
    TRY_AS(sources_digest(&s->sources, tree_of(s)->hashes, &digest, &newest, &list), "%s", df_kind_name(s->i->kind));
    step_part(parts, "files", "%s", digest);
    for (size_t i = 0; i < list.n; i++)
        strv_add_printf(&parts->notes, "file %s", list.items[i]);
    if (newest > s->newest_s)
        s->newest_s = newest;
    return NULL;
}

fallible step_copy_plan(struct build_step *s, struct step_parts *parts, char **ret_created_by)
{
    const struct df_flag *from = df_flag(s->i, "from");
    s->from_layers = from != NULL;
    TRY(read_flags(s));
    TRY(read_words(s));
    describe(s, parts, ret_created_by);
    if (s->i->kind == DF_ADD)
        TRY(add_plan(s, parts));
    if (from) {
        TRY(step_from(s, from->value, &s->from, &s->tree));
        s->from_layers = !s->tree;
        if (s->tree)
            return s->patterns.n ? sum_files(s, parts) : NULL;
        for (size_t i = 0; i < s->from.n; i++)
            step_part(parts, "from-layer", "%s", s->from.items[i]);
        int other = stages_find(s->b->stages, from->value, s->stage);
        if (other != STAGE_NONE && s->b->runs[other].state->newest_s > s->newest_s)
            s->newest_s = s->b->runs[other].state->newest_s;
        return NULL;
    }
    return s->patterns.n ? sum_files(s, parts) : NULL;
}

/* ---- the work ---- */

/* The tree of --from: its one layer as it is, or all of them in one view. */
static fallible open_from(struct build_step *s, const char *dir)
{
    own_strv struct strv lowers = { 0 };
    own_mem char *root = NULL, *at = mem_printf("%s/from", dir);
    TRY(lowers_of(s->b->engine, &s->from, &lowers));
    if (lowers.n == 1) {
        root = mem_strdup(lowers.items[0]);
    } else {
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
            return err_sys(errno, "make a mount namespace for the step");
        TRY(fs_mkdirs_at(AT_FDCWD, at, 0700));
        TRY(build_mount_layers(s->b->engine, &s->from, at, false, &root));
    }
    s->source_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return s->source_fd < 0 ? err_sys(errno, "open '%s'", root) : NULL;
}

fallible step_put_texts(struct build_step *s, struct copy_target *t, bool into_dir)
{
    for (size_t k = 0; k + 1 < s->texts.n; k += 2) {
        own_mem char *path = into_dir ? mem_printf("%s/%s", strcmp(s->dest, "/") == 0 ? "" : s->dest, s->texts.items[k])
                                      : mem_strdup(s->dest);
        TRY(copy_text(t, path, s->texts.items[k + 1], strlen(s->texts.items[k + 1]), &s->owner, &s->mode));
    }
    return NULL;
}

/* Can the layer's tar be made on the way? Its entries must come in the order of the source. */
static fallible begin_stream(struct build_step *s, int upper_fd, bool one_dir)
{
    bool fits = one_dir && s->i->kind == DF_COPY && s->patterns.n == 1 && s->texts.n == 0 && !s->sources.parents;
    return fits && !build_layer_has_secrets(s->b->secrets, s->b->secrets_n)
               ? build_layer_stream(s->b->layout, upper_fd, &s->stream)
               : NULL;
}

fallible step_copy_work(struct build_step *s, const char *dir, int upper_fd)
{
    own(copy_target) struct copy_target *t = NULL;
    bool one_dir = false, there = false;
    size_t n = 0;
    if (s->from_layers)
        TRY(open_from(s, dir));
    set_sources(s, s->from_layers ? s->source_fd : tree_of(s)->fd);
    TRY(resolve_owner(s, "--chown"));
    TRY(copy_target_open(s->b->layout, upper_fd,
                         df_flag_is_on(s->i, "link") ? NULL : &s->run->state->config->rootfs->diff_ids, &t));
    TRY_AS(s->patterns.n ? sources_count(&s->sources, &n, &one_dir) : NULL, "%s", df_kind_name(s->i->kind));
    size_t all = n + s->texts.n / 2 + s->remotes.n;
    if (all > 1 && !s->dest_is_dir && !(s->i->kind == DF_COPY && df_flag_is_on(s->i, "parents")))
        return err_new(ERR_INVALID,
                       "%s: there are %zu sources, so the destination must be a directory and end with a slash: '%s/'",
                       df_kind_name(s->i->kind), all, s->dest);
    TRY(copy_target_has_dir(t, s->dest, &there));
    bool into_dir = s->dest_is_dir || there || s->sources.parents;
    struct copy_job job = { .sources = &s->sources,
                            .dest = s->dest,
                            .dest_is_dir = into_dir || one_dir,
                            .owner = &s->owner,
                            .mode = &s->mode,
                            .settle = s->settle,
                            .clamps = true,
                            .newest_s = layer_newest(s),
                            .all_at_once = s->b->o->image.timestamp.set };
    s->files_in_time = s->i->kind == DF_COPY && s->texts.n == 0;
    if (s->i->kind == DF_ADD)
        return add_work(s, t, &job, dir, into_dir);
    TRY(begin_stream(s, upper_fd, one_dir));
    job.stream = &s->stream;
    if (s->patterns.n)
        TRY_AS(copy_run(t, &job), "COPY");
    TRY(step_put_texts(s, t, into_dir));
    return copy_set_times(t, job.newest_s);
}

/* ---- WORKDIR ---- */

fallible step_workdir_plan(struct build_step *s, struct step_parts *parts, char **ret_created_by)
{
    struct oci_image_run *run = s->run->state->config->config;
    own_mem char *path = NULL;
    TRY(build_expand_arg(s->b, s->run, s->i, 0, &path)); /* an empty one is where we are, as with BuildKit */
    own_mem char *absolute =
        path[0] == '/' ? mem_strdup(path) : mem_printf("%s/%s", run->working_dir ? run->working_dir : "", path);
    s->dest = paths_clean(absolute);
    free(run->working_dir);
    run->working_dir = mem_strdup(s->dest);
    step_part(parts, "instruction", "WORKDIR %s", s->dest);
    if (run->user && *run->user) { /* what it makes is the user's, as with BuildKit: RUN may write there */
        s->chown = mem_strdup(run->user);
        step_part(parts, "owner", "%s", s->chown);
    }
    *ret_created_by = mem_printf("WORKDIR %s", s->dest);
    return NULL;
}

fallible step_workdir_work(struct build_step *s, int upper_fd)
{
    own(copy_target) struct copy_target *t = NULL;
    bool there = false, made;
    TRY(copy_target_open(s->b->layout, upper_fd, &s->run->state->config->rootfs->diff_ids, &t));
    TRY(copy_target_has_dir(t, s->dest, &there));
    if (there)
        return NULL;
    TRY(resolve_owner(s, "WORKDIR: the owner, as of USER"));
    return copy_make_dir(t, s->dest, &s->owner, &made);
}
