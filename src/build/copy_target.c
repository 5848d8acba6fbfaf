// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/copy_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "layers/view.h"

enum { LINKS_MAX = 40 };

fallible copy_target_open(struct layout *l, int upper_fd, const struct strv *below, struct copy_target **ret)
{
    own(copy_target) struct copy_target *t = mem_zalloc(sizeof *t);
    t->upper_fd = upper_fd;
    (void)umask(0);
    if (below && below->n) { /* a view wants an image; only its layers count */
        struct oci_rootfs rootfs = { .diff_ids = *below };
        struct oci_image_config config = { .rootfs = &rootfs };
        struct image image = { .config = &config };
        TRY(view_open(l, &image, &t->view));
    }
    *ret = take(t);
    return NULL;
}

void copy_target_free(struct copy_target *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->inodes_n; i++)
        free(t->inodes[i].path);
    free(t->inodes);
    strv_free(&t->made);
    free(t->buffer);
    view_free(t->view);
    free(t);
}

void copy_place_clear(struct copy_place *p)
{
    free(take(p->base));
    free(take(p->file));
}

char *copy_path(const struct copy_place *p, const char *name)
{
    if (!*name)
        return mem_strdup(p->base);
    return str_eq(p->base, ".") ? mem_strdup(name) : mem_printf("%s/%s", p->base, name);
}

/* ---- what is at a path ---- */

static enum copy_at_kind kind_of(mode_t mode)
{
    return S_ISDIR(mode) ? COPY_DIR : S_ISLNK(mode) ? COPY_LINK : COPY_FILE;
}

fallible copy_look(struct copy_target *t, const char *path, bool fresh, struct copy_at *ret)
{
    char target[4096];
    *ret = (struct copy_at){ 0 };
    if (fstatat(t->upper_fd, path, &ret->st, AT_SYMLINK_NOFOLLOW) == 0) {
        ret->in_upper = true;
        ret->kind = kind_of(ret->st.st_mode);
        ssize_t n = ret->kind == COPY_LINK ? readlinkat(t->upper_fd, path, target, sizeof target - 1) : 0;
        if (n < 0)
            return err_sys(errno, "read the link '/%s'", path);
        ret->link = ret->kind == COPY_LINK ? mem_strndup(target, (size_t)n) : NULL;
        return NULL;
    }
    if (errno != ENOENT && errno != ENOTDIR)
        return err_sys(errno, "look at '/%s'", path);
    if (fresh || !t->view)
        return NULL;
    own(view_place) struct view_place place = { 0 };
    own_mem char *absolute = mem_printf("/%s", path);
    err *e = view_find(t->view, absolute, VIEW_NO_FOLLOW, VIEW_VISIBLE, &place);
    if (err_is(e, ERR_NOT_FOUND) || err_is(e, ERR_INVALID)) { /* a file stands where a directory should */
        err_free(e);
        return NULL;
    }
    TRY(e);
    const struct view_version *v = view_visible(&place.versions);
    if (!v)
        return NULL;
    ret->st = v->st;
    ret->kind = kind_of(v->st.st_mode);
    return ret->kind == COPY_LINK ? view_read_link(place.name, v, &ret->link) : NULL;
}

/* ---- directories ---- */

fallible copy_set_owner(const struct copy_target *t, const char *name, uint32_t uid, uint32_t gid)
{
    if ((uid || gid || t->groups_inherit) && fchownat(t->upper_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(errno, "give '/%s' to %u:%u", name, uid, gid);
    return NULL;
}

fallible copy_set_dir_mode(struct copy_target *t, const char *path, uint32_t mode)
{
    t->groups_inherit |= (mode & S_ISGID) != 0;
    return fchmodat(t->upper_fd, path, mode & 07777, 0) < 0 ? err_sys(errno, "set the mode of '/%s'", path) : NULL;
}

fallible copy_up_dir(struct copy_target *t, const char *path, const struct stat *st)
{
    if (mkdirat(t->upper_fd, path, 0700) < 0)
        return err_sys(errno, "make '/%s'", path);
    TRY(copy_set_owner(t, path, st->st_uid, st->st_gid));
    return copy_set_dir_mode(t, path, st->st_mode);
}

static fallible new_dir(struct copy_target *t, const char *path, uint32_t mode, const struct copy_owner *owner)
{
    bool set = owner && owner->set;
    if (mkdirat(t->upper_fd, path, mode) < 0)
        return err_sys(errno, "make '/%s'", path);
    TRY(copy_set_owner(t, path, set ? owner->uid : 0, set ? owner->gid : 0));
    return t->groups_inherit ? copy_set_dir_mode(t, path, mode) : NULL; /* it inherits S_ISGID, too */
}

/* A path that is followed part by part. */
struct way {
    struct copy_target *t;
    const char *path;
    struct str done; /* how far it is, relative; links are behind us */
    char *rest;      /* what is yet to come */
    int links;
    bool fresh, made; /* as in struct copy_place */
};

/* The next part, or NULL at the end; the caller frees. */
static char *way_part(struct way *w)
{
    const char *next = w->rest + strspn(w->rest, "/");
    size_t n = strcspn(next, "/");
    if (n == 0)
        return NULL;
    char *part = mem_strndup(next, n), *after = mem_strdup(next + n);
    free(w->rest);
    w->rest = after;
    return part;
}

static void way_back(struct way *w, size_t len)
{
    w->done.len = len;
    w->done.text[len] = '\0';
    w->fresh = !w->t->view;
}

static fallible way_link(struct way *w, const char *link, size_t before)
{
    if (++w->links > LINKS_MAX)
        return err_new(ERR_INVALID, "'%s' leads through more than %d links", w->path, LINKS_MAX);
    way_back(w, link[0] == '/' ? 0 : before);
    char *joined = mem_printf("%s%s", link, w->rest);
    free(w->rest);
    w->rest = joined;
    return NULL;
}

static fallible way_into(struct way *w, const char *part, const struct copy_owner *owner)
{
    struct copy_at at;
    size_t before = w->done.len;
    str_printf(&w->done, "%s%s", before ? "/" : "", part);
    TRY(copy_look(w->t, w->done.text, w->fresh, &at));
    own_mem char *link = at.link;
    w->made = at.kind == COPY_NOTHING;
    if (at.kind == COPY_LINK)
        return way_link(w, link, before);
    if (at.kind == COPY_FILE)
        return err_new(ERR_INVALID, "'/%s' is no directory in the image", w->done.text);
    if (at.kind == COPY_DIR && !at.in_upper)
        TRY(copy_up_dir(w->t, w->done.text, &at.st));
    if (w->made)
        TRY(new_dir(w->t, w->done.text, 0755, owner));
    w->fresh |= w->made;
    if (!at.in_upper)
        strv_add(&w->t->made, w->done.text);
    return NULL;
}

static fallible way_follow(struct way *w, const struct copy_owner *owner)
{
    char *next;
    while ((next = way_part(w))) {
        own_mem char *part = next;
        const char *slash = strrchr(w->done.text, '/');
        if (str_eq(part, ".."))
            way_back(w, slash ? (size_t)(slash - w->done.text) : 0);
        else if (!str_eq(part, "."))
            TRY(way_into(w, part, owner));
    }
    return NULL;
}

fallible copy_make_dirs(struct copy_target *t, const char *path, const struct copy_owner *owner, struct copy_place *ret)
{
    struct way w = { .t = t, .path = path, .rest = mem_strdup(path), .fresh = !t->view };
    str_add(&w.done, "");
    err *e = way_follow(&w, owner);
    if (!e)
        *ret =
            (struct copy_place){ .base = mem_strdup(w.done.len ? w.done.text : "."), .fresh = w.fresh, .made = w.made };
    str_free(&w.done);
    free(w.rest);
    return e;
}

fallible copy_make_dir(struct copy_target *t, const char *dest, const struct copy_owner *owner, bool *ret_made)
{
    own(copy_place) struct copy_place place = { 0 };
    TRY(copy_make_dirs(t, dest, owner, &place));
    *ret_made = place.made;
    return NULL;
}

fallible copy_target_has_dir(struct copy_target *t, const char *dest, bool *ret)
{
    *ret = strcmp(dest, "/") == 0;
    if (*ret || !t->view)
        return NULL;
    own(view_place) struct view_place place = { 0 };
    err *e = view_find(t->view, dest, VIEW_FOLLOW, VIEW_VISIBLE, &place);
    if (err_is(e, ERR_NOT_FOUND) || err_is(e, ERR_INVALID)) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    const struct view_version *v = view_visible(&place.versions);
    *ret = v && v->kind == VIEW_DIR;
    return NULL;
}
/* ---- the destination ---- */

fallible copy_find_file(struct copy_target *t, const char *dest, const struct copy_owner *owner, struct copy_place *ret)
{
    const char *slash = strrchr(dest, '/');
    own_mem char *dir = mem_strndup(dest, (size_t)(slash - dest) + 1);
    TRY(copy_make_dirs(t, dir, owner, ret));
    ret->file = mem_strdup(slash + 1);
    own_mem char *path = copy_path(ret, ret->file);
    struct copy_at at;
    TRY(copy_look(t, path, ret->fresh, &at));
    own_mem char *link = at.link;
    if (at.kind != COPY_LINK)
        return NULL;
    own_mem char *beside = copy_path(ret, link);
    own_mem char *next = link[0] == '/' ? mem_strdup(link) : mem_printf("/%s", beside);
    size_t depth = strlen(dest) + 1;
    if (depth > 4096 || str_eq(next, dest))
        return err_new(ERR_INVALID, "'%s' is a link to itself", dest);
    copy_place_clear(ret);
    return strrchr(next, '/')[1] ? copy_find_file(t, next, owner, ret)
                                 : err_new(ERR_INVALID, "'%s' is a directory", dest);
}

/* ---- times ---- */

void copy_forget_made(struct copy_target *t, const char *path)
{
    for (size_t i = 0; i < t->made.n; i++)
        if (strcmp(t->made.items[i], path) == 0)
            *t->made.items[i] = '\0';
}

fallible copy_set_times(struct copy_target *t, int64_t newest_s)
{
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = newest_s } };
    for (size_t i = 0; i < t->made.n; i++)
        if (*t->made.items[i] && utimensat(t->upper_fd, t->made.items[i], times, AT_SYMLINK_NOFOLLOW) < 0)
            return err_sys(errno, "set the time of '/%s'", t->made.items[i]);
    return NULL;
}
