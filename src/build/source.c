// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/source.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>

#include "build/batch.h"
#include "build/hashes.h"
#include "codec/tar.h"
#include "engine/paths.h"
#include "layers/diff_walk.h"
#include "os/root.h"

struct walk {
    const struct sources *s;
    const struct source_visitor *v;
    bool only_count;
    size_t found, found_dirs;
};

static char *join(const char *dir, const char *name)
{
    return *dir ? mem_printf("%s/%s", dir, name) : mem_strdup(name);
}

/* to: --exclude is about the names below the destination. */
static bool kept_out(const struct sources *s, const char *path, const char *to, bool *ret_may_enter)
{
    bool ignored = ignore_matches(s->ignore, path), excluded = ignore_matches(s->exclude, to);
    *ret_may_enter = (!ignored || ignore_may_enter(s->ignore, path)) && (!excluded || ignore_may_enter(s->exclude, to));
    return ignored || excluded;
}

fallible source_open(const struct source_entry *e, int *ret_fd)
{
    char self[40];
    snprintf(self, sizeof self, "/proc/self/fd/%d", e->dir_fd);
    int fd = *e->name ? openat(e->dir_fd, e->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
                      : open(self, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open '%s'", e->path);
    *ret_fd = fd;
    return NULL;
}

/* ---- into directories ---- */

/* A directory that is kept out itself is told when the first file in it is not. */
struct pending {
    struct pending *above;
    const struct source_entry *entry;
    bool told;
};

static fallible tell_pending(struct walk *w, struct pending *p)
{
    if (!p || p->told)
        return NULL;
    TRY(tell_pending(w, p->above));
    p->told = true;
    return w->v->enter(w->v->ctx, p->entry);
}

static fallible walk_dir(struct walk *w, int dir_fd, const char *path, const char *to, struct pending *above);

static fallible walk_entry(struct walk *w, const struct source_entry *e, struct pending *above)
{
    bool may_enter, out = kept_out(w->s, e->path, e->to, &may_enter), dir = S_ISDIR(e->st.st_mode);
    if (out && (!dir || !may_enter))
        return NULL;
    if (dir && w->s->without && w->s->without->st_ino == e->st.st_ino && w->s->without->st_dev == e->st.st_dev)
        return NULL;
    struct pending here = { above, e, false };
    if (!out)
        TRY(tell_pending(w, &here));
    if (!dir)
        return NULL;
    /* a source by itself has no name: it is dir_fd */
    own_fd int fd = openat(e->dir_fd, *e->name ? e->name : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open '%s' of %s", e->path, w->s->what);
    TRY(walk_dir(w, fd, e->path, e->to, &here));
    return here.told && w->v->leave ? w->v->leave(w->v->ctx, e) : NULL;
}

static fallible walk_dir(struct walk *w, int dir_fd, const char *path, const char *to, struct pending *above)
{
    own_strv struct strv names = { 0 };
    TRY_AS(diff_names(dir_fd, &names), "read '%s' of %s", *path ? path : ".", w->s->what);
    for (size_t i = 0; i < names.n; i++) {
        own_mem char *child = join(path, names.items[i]), *child_to = join(to, names.items[i]);
        struct source_entry e = { .dir_fd = dir_fd, .name = names.items[i], .path = child, .to = child_to };
        if (fstatat(dir_fd, names.items[i], &e.st, AT_SYMLINK_NOFOLLOW) < 0)
            return err_sys(errno, "look at '%s' of %s", child, w->s->what);
        TRY(walk_entry(w, &e, above));
    }
    return NULL;
}

/* ---- sources ---- */

static fallible tell_top(struct walk *w, int dir_fd, const char *name, const char *path, const char *to,
                         const struct stat *st, struct pending *above)
{
    struct source_entry e = { .dir_fd = dir_fd, .name = name, .path = path, .to = to, .st = *st, .top = true };
    return walk_entry(w, &e, above);
}

/* The directories that --parents takes along, from the pivot "/./" on. */
static fallible tell_parents(struct walk *w, const char *path, size_t from, struct pending *above, size_t at,
                             int dir_fd, const char *name, const struct stat *st)
{
    const char *slash = strchr(path + at, '/');
    if (!slash)
        return tell_top(w, dir_fd, name, path, path + from, st, above);
    size_t end = (size_t)(slash - path);
    own_mem char *part = mem_strndup(path, end);
    own_fd int fd = -1;
    struct source_entry e = { .dir_fd = -1, .name = "", .path = part, .to = part + (from < end ? from : end) };
    TRY(root_open(w->s->root_fd, part, O_PATH, &fd));
    if (fstat(fd, &e.st) < 0)
        return err_sys(errno, "look at '%s'", part);
    e.dir_fd = fd;
    e.name = ".";
    struct pending here = { above, &e, end <= from };
    TRY(tell_parents(w, path, from, &here, end + 1, dir_fd, name, st));
    return here.told && end > from && w->v->leave ? w->v->leave(w->v->ctx, &e) : NULL;
}

/* path: clean, relative, without wildcards; "" is the root of the tree. */
static fallible one_source(struct walk *w, const char *path, size_t pivot)
{
    own_fd int fd = -1;
    struct stat st;
    bool may_enter, out = *path && kept_out(w->s, path, "", &may_enter);
    err *e = root_open(w->s->root_fd, *path ? path : "/", O_PATH, &fd);
    if (err_is(e, ERR_NOT_FOUND) || (!e && out && !may_enter)) {
        err_free(e);
        return NULL; /* not counted */
    }
    TRY(e);
    if (fstat(fd, &st) < 0)
        return err_sys(errno, "look at '%s' of %s", path, w->s->what);
    if (out && !S_ISDIR(st.st_mode))
        return NULL;
    w->found++;
    w->found_dirs += S_ISDIR(st.st_mode);
    if (w->only_count)
        return NULL;
    if (w->s->parents && *path)
        return tell_parents(w, path, pivot, NULL, pivot, fd, "", &st);
    if (!S_ISDIR(st.st_mode)) {
        const char *slash = strrchr(path, '/');
        return tell_top(w, fd, "", path, slash ? slash + 1 : path, &st, NULL);
    }
    own_fd int dir = -1;
    TRY(root_open(w->s->root_fd, *path ? path : "/", O_RDONLY | O_DIRECTORY, &dir));
    struct source_entry top = { .dir_fd = dir, .name = ".", .path = path, .to = "", .st = st, .top = true };
    TRY(w->v->enter(w->v->ctx, &top));
    struct pending told = { NULL, &top, true };
    TRY(walk_dir(w, dir, path, "", &told));
    return w->v->leave ? w->v->leave(w->v->ctx, &top) : NULL;
}

/* ---- wildcards ---- */

static fallible expand_parts(struct walk *w, const char *done, const char *rest, size_t pivot, int depth)
{
    size_t n = strcspn(rest, "/");
    const char *next = rest[n] ? rest + n + 1 : NULL;
    own_mem char *part = mem_strndup(rest, n);
    bool deep = w->s->parents && strcmp(part, "**") == 0;
    if (depth > 256)
        return err_new(ERR_INVALID, "'%s' is nested too deep", done);
    if (deep && next) /* no directory at all */
        TRY(expand_parts(w, done, next, pivot, depth + 1));
    if (!deep && !glob_has_wildcards(part)) {
        own_mem char *path = join(done, part);
        return next ? expand_parts(w, path, next, pivot, depth + 1) : one_source(w, path, pivot);
    }
    own_fd int dir = -1;
    own_strv struct strv names = { 0 };
    err *e = root_open(w->s->root_fd, *done ? done : "/", O_RDONLY | O_DIRECTORY, &dir);
    if (err_is(e, ERR_NOT_FOUND) || err_errno(e) == ENOTDIR) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    TRY(diff_names(dir, &names));
    for (size_t i = 0; i < names.n; i++) {
        if (!deep && !glob_match(part, names.items[i], NULL))
            continue;
        own_mem char *path = join(done, names.items[i]);
        struct stat st;
        bool is_dir = fstatat(dir, names.items[i], &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
        if (deep && is_dir)
            TRY(expand_parts(w, path, rest, pivot, depth + 1));
        else if (!next)
            TRY(one_source(w, path, pivot));
        if (!deep && next)
            TRY(expand_parts(w, path, next, pivot, depth + 1));
    }
    return NULL;
}

/* "a/./b": what stands before the pivot is not taken along by --parents. */
static size_t pivot_of(const struct sources *s, const char *pattern)
{
    const char *dot = s->parents ? strstr(pattern, "/./") : NULL;
    if (!dot)
        return 0;
    own_mem char *front = mem_printf("/%.*s", (int)(dot - pattern), pattern);
    own_mem char *clean = paths_clean(front);
    return strlen(clean); /* with the leading slash of clean for the one behind it */
}

static fallible one_pattern(struct walk *w, const char *pattern)
{
    own_mem char *absolute = mem_printf("/%s", pattern);
    own_mem char *clean = paths_clean(absolute);
    size_t before = w->found;
    if (glob_has_wildcards(clean))
        TRY(expand_parts(w, "", clean + 1, pivot_of(w->s, pattern), 0));
    else
        TRY(one_source(w, clean + 1, pivot_of(w->s, pattern)));
    if (w->found > before)
        return NULL;
    if (!glob_has_wildcards(clean) && ignore_matches(w->s->ignore, clean + 1))
        return err_new(ERR_NOT_FOUND, "'%s' is not in %s: .dockerignore keeps it out", pattern, w->s->what);
    return err_new(ERR_NOT_FOUND, "'%s' is not in %s", pattern, w->s->what);
}

fallible sources_walk(const struct sources *s, const struct source_visitor *v)
{
    struct walk w = { .s = s, .v = v };
    for (size_t i = 0; i < s->patterns->n; i++)
        TRY(one_pattern(&w, s->patterns->items[i]));
    return NULL;
}

fallible sources_count(const struct sources *s, size_t *ret_n, bool *ret_dir)
{
    struct walk w = { .s = s, .only_count = true };
    for (size_t i = 0; i < s->patterns->n; i++)
        TRY(one_pattern(&w, s->patterns->items[i]));
    *ret_n = w.found;
    *ret_dir = w.found == 1 && w.found_dirs == 1;
    return NULL;
}

/* ---- the digest ---- */

struct summing {
    EVP_MD_CTX *md;
    struct hashes *hashes;
    struct batch *batch;
    int64_t newest_s;
    struct strv *list;
};

static fallible sum_contents(void *ctx, struct batch_item *item, unsigned char *buffer)
{
    own_fd int fd = -1;
    (void)ctx;
    TRY(source_open(&item->entry, &fd));
    return hashes_sum(fd, item->entry.path, buffer, BATCH_BUFFER, item->hash);
}

/* In the order of the walk, when the contents are known. */
static fallible sum_item(void *ctx, struct batch_item *item)
{
    struct summing *d = ctx;
    const struct source_entry *e = &item->entry;
    const unsigned char *hash = item->hash;
    if (item->work)
        hashes_remember(d->hashes, &e->st, hash);
    uint32_t mode = S_ISLNK(e->st.st_mode) ? S_IFLNK : e->st.st_mode;
    EVP_DigestUpdate(d->md, e->to, strlen(e->to) + 1);
    EVP_DigestUpdate(d->md, &mode, sizeof mode);
    EVP_DigestUpdate(d->md, hash, HASH_SIZE);
    if (item->dest)
        EVP_DigestUpdate(d->md, item->dest, strlen(item->dest));
    if (S_ISCHR(e->st.st_mode) || S_ISBLK(e->st.st_mode))
        EVP_DigestUpdate(d->md, &e->st.st_rdev, sizeof e->st.st_rdev);
    if (d->list)
        strv_add_printf(d->list, "%s %02x%02x%02x%02x%02x%02x%02x%02x %o", *e->path ? e->path : ".", hash[0], hash[1],
                        hash[2], hash[3], hash[4], hash[5], hash[6], hash[7], mode);
    return NULL;
}

static fallible sum_entry(void *ctx, const struct source_entry *e)
{
    struct summing *d = ctx;
    unsigned char hash[HASH_SIZE] = { 0 };
    char target[TAR_NAME_MAX + 1];
    if (!S_ISDIR(e->st.st_mode) && e->st.st_mtim.tv_sec > d->newest_s)
        d->newest_s = e->st.st_mtim.tv_sec; /* a directory's own time says when something was added or removed */
    bool read = S_ISREG(e->st.st_mode) && d->hashes && !hashes_known(d->hashes, &e->st, hash);
    ssize_t n = S_ISLNK(e->st.st_mode) ? readlinkat(e->dir_fd, e->name, target, sizeof target) : 0;
    if (n < 0)
        return err_sys(errno, "read the link '%s'", e->path);
    TRY(batch_add(d->batch, e, n ? mem_strndup(target, (size_t)n) : NULL, read));
    memcpy(batch_last(d->batch)->hash, hash, HASH_SIZE);
    return NULL;
}

fallible sources_digest(const struct sources *s, struct hashes *h, char **ret_digest, int64_t *ret_newest_s,
                        struct strv *ret_list)
{
    unsigned char out[HASH_SIZE];
    own_str struct str text = { 0 };
    struct summing d = { .md = EVP_MD_CTX_new(), .hashes = h, .list = ret_list };
    if (!d.md || EVP_DigestInit_ex(d.md, EVP_sha256(), NULL) != 1)
        return err_new(ERR_INTERNAL, "begin a sha256");
    d.batch = batch_new(sum_contents, sum_item, &d);
    err *e = sources_walk(s, &(struct source_visitor){ .enter = sum_entry, .ctx = &d });
    if (!e)
        e = batch_run(d.batch);
    batch_free(d.batch);
    EVP_DigestFinal_ex(d.md, out, NULL);
    EVP_MD_CTX_free(d.md);
    TRY(e);
    for (size_t i = 0; i < sizeof out; i++)
        str_printf(&text, "%02x", out[i]);
    *ret_digest = str_take(&text);
    *ret_newest_s = d.newest_s;
    return NULL;
}
