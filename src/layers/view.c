// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/view.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/xattr.h>

#include "layers/layer.h"

enum { LINKS_MAX = 40, DEPTH_MAX = 2048 };

struct view {
    struct strv diff_ids;
    int *fds; /* roots, lowest first */
};

void view_free(struct view *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < v->diff_ids.n; i++)
        if (v->fds[i] >= 0)
            (void)close(v->fds[i]);
    free(v->fds);
    strv_free(&v->diff_ids);
    free(v);
}

fallible view_open(struct layout *l, const struct image *image, struct view **ret)
{
    const struct strv *ids = &image->config->rootfs->diff_ids;
    own(view) struct view *v = mem_zalloc(sizeof *v);
    v->fds = mem_array(NULL, ids->n + 1, sizeof *v->fds);
    for (size_t i = 0; i < ids->n; i++) {
        v->fds[i] = -1;
        strv_add(&v->diff_ids, ids->items[i]);
        TRY(layer_open(l, ids->items[i], &v->fds[i]));
    }
    *ret = take(v);
    return NULL;
}

size_t view_layers(const struct view *v)
{
    return v->diff_ids.n;
}

const char *view_diff_id(const struct view *v, size_t layer)
{
    return v->diff_ids.items[layer];
}

int view_root(const struct view *v, size_t layer)
{
    return v->fds[layer];
}

/* ---- directories ---- */

void view_dir_clear(struct view_dir *d)
{
    for (size_t i = 0; i < d->n; i++)
        (void)close(d->at[i].fd);
    free(d->at);
    *d = (struct view_dir){ 0 };
}

static void add_at(struct view_dir *d, int fd, size_t layer, size_t hidden_by)
{
    d->at = mem_array(d->at, d->n + 1, sizeof *d->at);
    d->at[d->n++] = (struct view_at){ fd, layer, hidden_by };
}

fallible view_top(struct view *v, struct view_dir *ret)
{
    own(view_dir) struct view_dir top = { 0 };
    for (size_t i = v->diff_ids.n; i-- > 0;) {
        int fd = fcntl(v->fds[i], F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
            return err_sys(errno, "keep a layer open");
        add_at(&top, fd, i, VIEW_NOT_HIDDEN);
    }
    *ret = top;
    top = (struct view_dir){ 0 };
    return NULL;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static fallible read_names(int dir_fd, struct strv *names, size_t *room)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return err_sys(errno, "read a directory of a layer");
    for (const struct dirent *e; (e = readdir(dir));) {
        if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
            continue;
        if (names->n + 1 >= *room) /* a list that grows by one at a time is slow with 100,000 names */
            names->items = mem_array(names->items, *room = *room * 2 + 64, sizeof *names->items);
        names->items[names->n++] = mem_strdup(e->d_name);
    }
    return NULL;
}

fallible view_names(const struct view_dir *d, struct strv *ret)
{
    own_strv struct strv names = { 0 };
    size_t room = 0, kept = 0;
    for (size_t i = 0; i < d->n; i++)
        TRY(read_names(d->at[i].fd, &names, &room));
    if (names.n)
        qsort(names.items, names.n, sizeof *names.items, by_text);
    for (size_t i = 0; i < names.n; i++)
        if (kept && strcmp(names.items[kept - 1], names.items[i]) == 0)
            free(names.items[i]);
        else
            names.items[kept++] = names.items[i];
    names.n = kept;
    if (names.items)
        names.items[kept] = NULL;
    *ret = names;
    names = (struct strv){ 0 };
    return NULL;
}

/* ---- one name ---- */

static bool is_opaque(int dir_fd, const char *name)
{
    char value[4];
    own_mem char *path = mem_printf("/proc/self/fd/%d/%s", dir_fd, name);
    return lgetxattr(path, "trusted.overlay.opaque", value, sizeof value) == 1 ||
           lgetxattr(path, "user.overlay.opaque", value, sizeof value) == 1;
}

static enum view_kind kind_of(const struct stat *st)
{
    return S_ISDIR(st->st_mode) ? VIEW_DIR : S_ISCHR(st->st_mode) && st->st_rdev == 0 ? VIEW_WHITEOUT : VIEW_OTHER;
}

fallible view_look(const struct view_dir *d, const char *name, enum view_depth depth, struct view_versions *ret)
{
    own(view_versions) struct view_versions found = { 0 };
    size_t cover = VIEW_NOT_HIDDEN; /* from here on everything is hidden by this layer */
    size_t top_dir = VIEW_NOT_HIDDEN;
    for (size_t i = 0; i < d->n; i++) {
        const struct view_at *at = &d->at[i];
        struct view_version v = { .layer = at->layer, .dir_fd = at->fd };
        if (depth == VIEW_VISIBLE && (at->hidden_by != VIEW_NOT_HIDDEN || cover != VIEW_NOT_HIDDEN))
            break;
        if (fstatat(at->fd, name, &v.st, AT_SYMLINK_NOFOLLOW) < 0) {
            if (errno == ENOENT)
                continue;
            return err_sys(errno, "look at '%s' in a layer", name);
        }
        v.kind = kind_of(&v.st);
        v.hidden_by = at->hidden_by != VIEW_NOT_HIDDEN                   ? at->hidden_by
                      : cover != VIEW_NOT_HIDDEN                         ? cover
                      : v.kind != VIEW_DIR && top_dir != VIEW_NOT_HIDDEN ? top_dir
                                                                         : VIEW_NOT_HIDDEN;
        if (v.hidden_by == VIEW_NOT_HIDDEN && v.kind == VIEW_DIR && top_dir == VIEW_NOT_HIDDEN)
            top_dir = v.layer;
        if (cover == VIEW_NOT_HIDDEN && at->hidden_by == VIEW_NOT_HIDDEN &&
            (v.kind != VIEW_DIR || (i + 1 < d->n && is_opaque(at->fd, name))))
            cover = v.layer;
        if (depth == VIEW_VISIBLE && v.hidden_by != VIEW_NOT_HIDDEN)
            break;
        found.items = mem_array(found.items, found.n + 1, sizeof *found.items);
        found.items[found.n++] = v;
    }
    *ret = found;
    found = (struct view_versions){ 0 };
    return NULL;
}

const struct view_version *view_visible(const struct view_versions *v)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->items[i].hidden_by == VIEW_NOT_HIDDEN)
            return v->items[i].kind == VIEW_WHITEOUT ? NULL : &v->items[i];
    return NULL;
}

fallible view_enter(const char *name, const struct view_versions *v, struct view_dir *ret)
{
    own(view_dir) struct view_dir d = { 0 };
    for (size_t i = 0; i < v->n; i++) {
        if (v->items[i].kind != VIEW_DIR)
            continue;
        int fd = openat(v->items[i].dir_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            return err_sys(errno, "open directory '%s' of a layer", name);
        add_at(&d, fd, v->items[i].layer, v->items[i].hidden_by);
    }
    *ret = d;
    d = (struct view_dir){ 0 };
    return NULL;
}

fallible view_open_file(const char *name, const struct view_version *v, int *ret_fd)
{
    struct stat st;
    own_fd int fd = openat(v->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(errno, "open '%s'", name);
    if (!S_ISREG(st.st_mode))
        return err_new(ERR_INVALID, "'%s' is not a regular file", name);
    *ret_fd = take_fd(&fd);
    return NULL;
}

fallible view_read_link(const char *name, const struct view_version *v, char **ret)
{
    char text[PATH_MAX];
    ssize_t n = readlinkat(v->dir_fd, name, text, sizeof text - 1);
    if (n < 0)
        return err_sys(errno, "read link '%s'", name);
    *ret = mem_strndup(text, (size_t)n);
    return NULL;
}

/* ---- paths ---- */

void view_place_clear(struct view_place *p)
{
    view_dir_clear(&p->parent);
    free(p->name);
    free(p->path);
    free(p->versions.items);
    *p = (struct view_place){ 0 };
}

/* The directories from the root to where a walk has come, for "..": trail[0] holds the root. */
struct trail {
    struct view_dir *dirs;
    struct strv names; /* of dirs[1], dirs[2] ... */
    size_t n;
};
static void own_drop_trail(struct trail *t)
{
    for (size_t i = 0; i < t->n; i++)
        view_dir_clear(&t->dirs[i]);
    free(t->dirs);
    strv_free(&t->names);
}

static void push_dir(struct trail *t, const struct view_dir *take_dir, const char *name)
{
    t->dirs = mem_array(t->dirs, t->n + 1, sizeof *t->dirs);
    t->dirs[t->n++] = *take_dir;
    if (name)
        strv_add(&t->names, name);
}

static void pop_dir(struct trail *t)
{
    view_dir_clear(&t->dirs[--t->n]);
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): one was pushed for each
    free(t->names.items[--t->names.n]);
    t->names.items[t->names.n] = NULL;
}

static fallible push_root(struct view *v, struct trail *t)
{
    own(view_dir) struct view_dir top = { 0 };
    own(view_versions) struct view_versions root = { 0 };
    struct view_dir dir = { 0 };
    TRY(view_top(v, &top));
    TRY(view_look(&top, ".", VIEW_ALL, &root));
    TRY(view_enter(".", &root, &dir));
    push_dir(t, &dir, NULL);
    return NULL;
}

static char *path_of(const struct trail *t, const char *name)
{
    struct str path = { 0 };
    for (size_t i = 0; i < t->names.n; i++)
        str_printf(&path, "/%s", t->names.items[i]);
    if (name)
        str_printf(&path, "/%s", name);
    if (!path.len)
        str_add_char(&path, '/');
    return str_take(&path);
}

/* The place of the trail's last directory (name NULL) or of a name in it. */
static fallible finish(struct view *v, struct trail *t, const char *name, enum view_depth depth, struct view_place *ret)
{
    own(view_place) struct view_place p = { .path = path_of(t, name) };
    const char *last = name ? name : t->names.n ? t->names.items[t->names.n - 1] : ".";
    size_t parent = name ? t->n - 1 : t->n - 2;
    p.name = mem_strdup(last);
    if (!name && t->n == 1) {
        TRY(view_top(v, &p.parent));
    } else {
        p.parent = t->dirs[parent];
        t->dirs[parent] = (struct view_dir){ 0 };
    }
    TRY(view_look(&p.parent, last, depth, &p.versions));
    *ret = p;
    p = (struct view_place){ 0 };
    return NULL;
}

static fallible follow(struct trail *t, const char *name, const struct view_version *link, const char *rest,
                       struct str *left)
{
    own_mem char *target = NULL;
    TRY(view_read_link(name, link, &target));
    while (target[0] == '/' && t->n > 1)
        pop_dir(t);
    own_mem char *next = mem_printf("%s%s", target, rest);
    if (strlen(next) >= 2 * PATH_MAX)
        return err_new(ERR_INVALID, "the links make the path too long");
    str_free(left);
    str_add(left, next);
    return NULL;
}

static fallible find(struct view *v, struct trail *t, const char *path, enum view_link last, enum view_depth depth,
                     struct view_place *ret)
{
    own_str struct str left = { 0 };
    int links = 0;
    TRY(push_root(v, t));
    str_add(&left, path);
    for (size_t at = 0;;) {
        at += strspn(left.text + at, "/");
        if (!left.text[at])
            return finish(v, t, NULL, depth, ret);
        size_t n = strcspn(left.text + at, "/");
        own_mem char *name = mem_strndup(left.text + at, n);
        at += n;
        bool is_last = !left.text[at + strspn(left.text + at, "/")], slash = left.text[at] == '/';
        if (str_eq(name, "."))
            continue;
        if (str_eq(name, "..")) {
            if (t->n > 1)
                pop_dir(t);
            continue;
        }
        own(view_versions) struct view_versions found = { 0 };
        TRY(view_look(&t->dirs[t->n - 1], name, depth, &found));
        const struct view_version *seen = view_visible(&found);
        if (!seen && !(depth == VIEW_ALL && found.n))
            return err_new(ERR_NOT_FOUND, "there is no '%s' in the image", path);
        if (seen && S_ISLNK(seen->st.st_mode) && (!is_last || last == VIEW_FOLLOW || slash)) {
            if (++links > LINKS_MAX)
                return err_new(ERR_INVALID, "'%s': too many links", path);
            own_mem char *rest = mem_strdup(left.text + at);
            TRY(follow(t, name, seen, rest, &left));
            at = 0;
            continue;
        }
        struct view_dir dir = { 0 };
        TRY(view_enter(name, &found, &dir));
        if (is_last && (!slash || dir.n)) {
            view_dir_clear(&dir);
            return finish(v, t, name, depth, ret);
        }
        if (!dir.n)
            return err_new(ERR_INVALID, "'%s': '%s' is not a directory", path, name);
        if (t->n >= DEPTH_MAX) {
            view_dir_clear(&dir);
            return err_new(ERR_INVALID, "'%.200s ...': too deep", path);
        }
        push_dir(t, &dir, name);
    }
}

fallible view_find(struct view *v, const char *path, enum view_link last, enum view_depth depth, struct view_place *ret)
{
    own(trail) struct trail t = { 0 };
    if (strlen(path) >= PATH_MAX)
        return err_new(ERR_INVALID, "the path is too long");
    return find(v, &t, path, last, depth, ret);
}

/* ---- walks ---- */

static fallible walk(const struct view_dir *d, const char *path, int depth, view_fn *fn, void *ctx)
{
    own_strv struct strv names = { 0 };
    if (depth > DEPTH_MAX)
        return err_new(ERR_INVALID, "'%.200s ...': more than %d directories deep", path, DEPTH_MAX);
    TRY(view_names(d, &names));
    for (size_t i = 0; i < names.n; i++) {
        own(view_versions) struct view_versions found = { 0 };
        TRY(view_look(d, names.items[i], VIEW_VISIBLE, &found));
        const struct view_version *seen = view_visible(&found);
        if (!seen)
            continue;
        own_mem char *child = mem_printf("%s/%s", path, names.items[i]);
        TRY(fn(ctx, child, names.items[i], &found));
        if (seen->kind != VIEW_DIR)
            continue;
        own(view_dir) struct view_dir dir = { 0 };
        TRY(view_enter(names.items[i], &found, &dir));
        TRY(walk(&dir, child, depth + 1, fn, ctx));
    }
    return NULL;
}

fallible view_walk(const struct view_dir *d, const char *path, view_fn *fn, void *ctx)
{
    return walk(d, path, 0, fn, ctx);
}
