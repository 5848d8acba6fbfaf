// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/select.h"

#include <fcntl.h>
#include <string.h>

#include "os/fs.h"

enum { CIDFILE_MAX = 4096 };

static void add_once(struct strv *list, const char *item)
{
    if (!strv_has(list, item))
        strv_add(list, item);
}

static bool is_among(const struct container_state *s, enum select_among among)
{
    switch (among) {
    case SELECT_ALL:
        return true;
    case SELECT_RUNNING:
        return s->status == CONTAINER_RUNNING || s->status == CONTAINER_RESTARTING;
    case SELECT_PAUSED:
        return s->status == CONTAINER_PAUSED;
    case SELECT_NOT_RUNNING:
        return s->status == CONTAINER_CREATED || s->status == CONTAINER_EXITED || s->waits;
    }
    return false;
}

/* What holds a pod's namespaces is not meant by "all" of a removal or a start: it goes with the pod. */
static bool is_infra(const struct container *c)
{
    return c->row.pod && strstr(c->row.config, "\"infra\":true");
}

static fallible add_listed(struct engine *e, const struct list_options *o, enum select_among among, struct strv *ret)
{
    struct container_list list = { 0 };
    TRY(container_list(e, o, &list));
    for (size_t i = 0; i < list.n; i++)
        if (is_among(&list.states[i], among) &&
            (!is_infra(list.items[i]) || among == SELECT_RUNNING || among == SELECT_PAUSED))
            add_once(ret, list.items[i]->row.id);
    container_list_clear(&list);
    return NULL;
}

static fallible add_latest(struct engine *e, struct strv *ret)
{
    size_t before = ret->n;
    TRY(add_listed(e, &(struct list_options){ .last = 1 }, SELECT_ALL, ret));
    return ret->n > before ? NULL : err_new(ERR_NOT_FOUND, "--latest: there is no container");
}

static fallible add_cidfile(const char *path, struct strv *ret)
{
    own_mem char *text = NULL;
    TRY_AS(fs_read_at(AT_FDCWD, path, CIDFILE_MAX, &text, NULL), "--cidfile");
    text[strcspn(text, " \t\r\n")] = '\0';
    if (!*text)
        return err_new(ERR_INVALID, "--cidfile: '%s' is empty", path);
    add_once(ret, text);
    return NULL;
}

static fallible drop_missing(struct engine *e, struct strv *names)
{
    struct strv kept = { 0 };
    for (size_t i = 0; i < names->n; i++) {
        own(container) struct container *c = NULL;
        err *failed = container_find(e, names->items[i], &c);
        if (!err_is(failed, ERR_NOT_FOUND))
            strv_add(&kept, names->items[i]);
        err_ignore(failed, "asked for again by name, and said then");
    }
    strv_free(names);
    *names = kept;
    return NULL;
}

fallible container_select(struct engine *e, const struct container_selection *s, enum select_among among,
                          char *const *names, size_t n, struct strv *ret)
{
    own_strv struct strv list = { 0 };
    if (s->all && n)
        return err_new(ERR_INVALID, "--all and names exclude each other");
    if (!n && !s->all && !s->latest && !s->filter.n && !s->cidfile.n)
        return err_new(ERR_INVALID, "which container? Name one, or say --all or --latest");
    for (size_t i = 0; i < n; i++)
        add_once(&list, names[i]);
    for (size_t i = 0; i < s->cidfile.n; i++)
        TRY(add_cidfile(s->cidfile.items[i], &list));
    if (s->latest)
        TRY(add_latest(e, &list));
    if (s->all || s->filter.n)
        TRY(add_listed(e, &(struct list_options){ .all = true, .filters = &s->filter }, among, &list));
    if (s->ignore)
        TRY(drop_missing(e, &list));
    *ret = list;
    list = (struct strv){ 0 };
    return NULL;
}
