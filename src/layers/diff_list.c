// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <string.h>

#include "layers/diff_walk.h"

/* A directory is told when something below it is told, so the ones around an entry wait until then. */
struct waiting {
    char *path;
    bool told;
};
struct change {
    enum diff_kind kind;
    char *path;
};
struct list {
    const struct diff *d;
    struct change *changes;
    size_t changes_n, changes_room;
    struct waiting *dirs; /* those around the entry at hand, the root first */
    size_t n, room;
};

static void note(struct list *l, enum diff_kind kind, const char *path)
{
    if (l->changes_n == l->changes_room) {
        l->changes_room = l->changes_room ? l->changes_room * 2 : 64;
        l->changes = mem_array(l->changes, l->changes_room, sizeof *l->changes);
    }
    l->changes[l->changes_n++] = (struct change){ kind, mem_strdup(path) };
}

static void note_with_parents(struct list *l, enum diff_kind kind, const char *path)
{
    own_mem char *full = mem_printf("/%s", path);
    for (size_t i = 0; i < l->n; i++) {
        if (!l->dirs[i].told)
            note(l, DIFF_CHANGED, l->dirs[i].path);
        l->dirs[i].told = true;
    }
    note(l, kind, full);
}

static bool same_dir(const struct stat *a, const struct stat *b)
{
    return a->st_mode == b->st_mode && a->st_uid == b->st_uid && a->st_gid == b->st_gid &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void push(struct list *l, const char *path, bool told)
{
    if (l->n == l->room) {
        l->room = l->room ? l->room * 2 : 32;
        l->dirs = mem_array(l->dirs, l->room, sizeof *l->dirs);
    }
    l->dirs[l->n++] = (struct waiting){ mem_printf("/%s", path), told };
}

/* What the lowers have in a directory that hides it, and that it has not made anew. */
static fallible tell_hidden(struct list *l, const struct diff_entry *e)
{
    own_strv struct strv names = { 0 };
    for (size_t i = 0; i < e->under->n; i++)
        TRY(diff_names(e->under->fds[i], &names));
    for (size_t i = 0; i < names.n; i++) {
        struct stat st;
        if (fstatat(e->fd, names.items[i], &st, AT_SYMLINK_NOFOLLOW) == 0 ||
            !diff_below_has(e->under, names.items[i], &st, NULL))
            continue;
        if (i > 0 && str_eq(names.items[i], names.items[i - 1]))
            continue;
        own_mem char *path = mem_printf("%s%s%s", e->path, *e->path ? "/" : "", names.items[i]);
        note_with_parents(l, DIFF_DELETED, path);
    }
    return NULL;
}

static fallible enter_dir(struct list *l, const struct diff_entry *e, bool was, const struct stat *below)
{
    bool merged = was && S_ISDIR(below->st_mode);
    bool changed = !merged || e->opaque || !same_dir(&e->st, below);
    if (changed)
        note_with_parents(l, was ? DIFF_CHANGED : DIFF_ADDED, e->path);
    push(l, e->path, changed);
    return e->hides && merged ? tell_hidden(l, e) : NULL;
}

static fallible enter(void *ctx, const struct diff_entry *e)
{
    struct list *l = ctx;
    struct stat below;
    if (!*e->path) {
        push(l, "", true); /* never told: as docker */
        return e->opaque ? tell_hidden(l, e) : NULL;
    }
    bool was = diff_below_has(e->below, e->name, &below, NULL);
    if (S_ISDIR(e->st.st_mode))
        return enter_dir(l, e, was, &below);
    if (!e->whiteout)
        note_with_parents(l, was ? DIFF_CHANGED : DIFF_ADDED, e->path);
    else if (was || !l->d->lowers)
        note_with_parents(l, DIFF_DELETED, e->path);
    return NULL;
}

static fallible leave(void *ctx, const struct diff_entry *e)
{
    struct list *l = ctx;
    (void)e;
    free(l->dirs[--l->n].path);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct change *)a)->path, ((const struct change *)b)->path);
}

static fallible list(struct list *l, diff_tell *tell, void *ctx)
{
    TRY(diff_walk(l->d, &(struct diff_visitor){ enter, leave, l }));
    if (l->changes_n > 1)
        qsort(l->changes, l->changes_n, sizeof *l->changes, compare);
    for (size_t i = 0; i < l->changes_n; i++)
        TRY(tell(ctx, l->changes[i].kind, l->changes[i].path));
    return NULL;
}

fallible diff_list(const struct diff *d, diff_tell *tell, void *ctx)
{
    struct list l = { .d = d };
    err *e = list(&l, tell, ctx);
    while (l.n > 0)
        free(l.dirs[--l.n].path);
    free(l.dirs);
    for (size_t i = 0; i < l.changes_n; i++)
        free(l.changes[i].path);
    free(l.changes);
    return e;
}
