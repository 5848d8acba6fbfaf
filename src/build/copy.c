// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

#include "build/batch.h"
#include "layers/diff_walk.h"
#include "layers/view.h"
#include "os/fs.h"

enum { LINKS_MAX = 40, PIECE = BATCH_BUFFER };

/* A file with several names, by where it was: later names become links to the first. */
struct inode {
    dev_t dev;
    ino_t ino;
    char *path;
};
struct copy_target {
    int upper_fd;
    struct view *view; /* NULL: nothing is below */
    struct inode *inodes;
    size_t inodes_n;
    unsigned char *buffer;
    struct strv made;    /* directories on the way to a destination: nobody says what time they have */
    bool no_clone;       /* the file systems cannot; set by whichever thread sees it first */
    bool groups_inherit; /* some directory has S_ISGID: what is made in it has its group, unless it is given another */
};

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

/* ---- what is at a path ---- */

enum at_kind { AT_NOTHING, AT_DIR, AT_LINK, AT_FILE };
struct at {
    enum at_kind kind;
    bool in_upper;
    char *link;
    struct stat st; /* of a directory */
};

static enum at_kind kind_of(mode_t mode)
{
    return S_ISDIR(mode) ? AT_DIR : S_ISLNK(mode) ? AT_LINK : AT_FILE;
}

/* path: relative, its parents are no links. */
static fallible look(struct copy_target *t, const char *path, bool fresh, struct at *ret)
{
    char target[4096];
    *ret = (struct at){ 0 };
    if (fstatat(t->upper_fd, path, &ret->st, AT_SYMLINK_NOFOLLOW) == 0) {
        ret->in_upper = true;
        ret->kind = kind_of(ret->st.st_mode);
        ssize_t n = ret->kind == AT_LINK ? readlinkat(t->upper_fd, path, target, sizeof target - 1) : 0;
        if (n < 0)
            return err_sys(errno, "read the link '/%s'", path);
        ret->link = ret->kind == AT_LINK ? mem_strndup(target, (size_t)n) : NULL;
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
    return ret->kind == AT_LINK ? view_read_link(place.name, v, &ret->link) : NULL;
}

/* ---- directories ---- */

static fallible set_owner(const struct copy_target *t, const char *name, uint32_t uid, uint32_t gid)
{
    if ((uid || gid || t->groups_inherit) && fchownat(t->upper_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(errno, "give '/%s' to %u:%u", name, uid, gid);
    return NULL;
}

static fallible set_dir_mode(struct copy_target *t, const char *path, uint32_t mode)
{
    t->groups_inherit |= (mode & S_ISGID) != 0;
    return fchmodat(t->upper_fd, path, mode & 07777, 0) < 0 ? err_sys(errno, "set the mode of '/%s'", path) : NULL;
}

/* A directory of the layers below, again in this one: as the kernel would copy it up. */
static fallible copy_up_dir(struct copy_target *t, const char *path, const struct stat *st)
{
    if (mkdirat(t->upper_fd, path, 0700) < 0)
        return err_sys(errno, "make '/%s'", path);
    TRY(set_owner(t, path, st->st_uid, st->st_gid));
    return set_dir_mode(t, path, st->st_mode);
}

static fallible new_dir(struct copy_target *t, const char *path, uint32_t mode, const struct copy_owner *owner)
{
    bool set = owner && owner->set;
    if (mkdirat(t->upper_fd, path, mode) < 0)
        return err_sys(errno, "make '/%s'", path);
    TRY(set_owner(t, path, set ? owner->uid : 0, set ? owner->gid : 0));
    return t->groups_inherit ? set_dir_mode(t, path, mode) : NULL; /* it inherits S_ISGID, too */
}

/*
 * Follows a path and makes what is missing. *ret: where it really is, relative; *ret_fresh: nothing of the layers below
 * is there; *ret_made: the last part is new.
 */
static fallible make_dirs(struct copy_target *t, const char *path, const struct copy_owner *owner, char **ret,
                          bool *ret_fresh, bool *ret_made)
{
    own_str struct str done = { 0 };
    own_mem char *rest = mem_strdup(path);
    bool fresh = !t->view;
    int links = 0;
    *ret_made = false;
    str_add(&done, "");
    for (;;) {
        char *next = rest + strspn(rest, "/");
        size_t n = strcspn(next, "/");
        if (n == 0)
            break;
        own_mem char *part = mem_strndup(next, n);
        own_mem char *after = mem_strdup(next + n);
        size_t before = done.len;
        if (str_eq(part, "..")) {
            char *slash = done.text ? strrchr(done.text, '/') : NULL;
            done.len = slash ? (size_t)(slash - done.text) : 0;
            if (done.text)
                done.text[done.len] = '\0';
            fresh = !t->view;
            free(rest);
            rest = take(after);
            continue;
        }
        if (str_eq(part, ".")) {
            free(rest);
            rest = take(after);
            continue;
        }
        str_printf(&done, "%s%s", done.len ? "/" : "", part);
        struct at at;
        TRY(look(t, done.text, fresh, &at));
        own_mem char *link = at.link;
        *ret_made = false;
        if (at.kind == AT_LINK) {
            if (++links > LINKS_MAX)
                return err_new(ERR_INVALID, "'%s' leads through more than %d links", path, LINKS_MAX);
            done.len = link[0] == '/' ? 0 : before;
            done.text[done.len] = '\0';
            char *joined = mem_printf("%s%s", link, after);
            free(rest);
            rest = joined;
            fresh = !t->view;
            continue;
        }
        if (at.kind == AT_FILE)
            return err_new(ERR_INVALID, "'/%s' is no directory in the image", done.text);
        if (at.kind == AT_DIR && !at.in_upper)
            TRY(copy_up_dir(t, done.text, &at.st));
        if (at.kind == AT_NOTHING) {
            TRY(new_dir(t, done.text, 0755, owner));
            fresh = true;
            *ret_made = true;
        }
        if (!at.in_upper)
            strv_add(&t->made, done.text);
        free(rest);
        rest = take(after);
    }
    *ret = done.len ? mem_strdup(done.text) : mem_strdup(".");
    *ret_fresh = fresh;
    return NULL;
}

fallible copy_make_dir(struct copy_target *t, const char *dest, const struct copy_owner *owner, bool *ret_made)
{
    own_mem char *real = NULL;
    bool fresh;
    return make_dirs(t, dest, owner, &real, &fresh, ret_made);
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

/* ---- files ---- */

/*
 * size: what it is believed to have. *ret_held: the buffer holds all of the file, so many bytes; -1: it does not.
 * A file of /proc and the like has more than its size says, so 0 bytes are read for.
 */
static fallible by_hand(int from, int to, off_t size, const char *name, unsigned char *buffer, ssize_t *ret_held)
{
    for (size_t pieces = 0;; pieces++) {
        ssize_t n = read(from, buffer, PIECE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(errno, "read '%s'", name);
        if (n > 0)
            TRY(fs_write_fd(to, buffer, (size_t)n, name));
        *ret_held = pieces ? -1 : n;
        if (n == 0 || (pieces == 0 && n == size && n < PIECE))
            return NULL;
    }
}

static fallible copy_bytes(struct copy_target *t, int from, int to, off_t size, const char *name, unsigned char *buffer,
                           ssize_t *ret_held)
{
    *ret_held = -1;
    if (size > 0 && !__atomic_load_n(&t->no_clone, __ATOMIC_RELAXED)) {
        if (ioctl(to, FICLONE, from) == 0)
            return NULL;
        if (errno == EOPNOTSUPP || errno == ENOTTY)
            __atomic_store_n(&t->no_clone, true, __ATOMIC_RELAXED);
    }
    if (size < BATCH_SMALL) /* one read and one write are less than what copy_file_range() does for a small file */
        return by_hand(from, to, size, name, buffer, ret_held);
    for (;;) {
        ssize_t n = copy_file_range(from, NULL, to, NULL, 1 << 30, 0);
        if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS || errno == EBADF))
            break;
        if (n < 0 && errno != EINTR)
            return err_sys(errno, "copy '%s'", name);
        if (n == 0)
            break;
    }
    TRY(by_hand(from, to, size, name, buffer, ret_held)); /* files of /proc and the like say 0 first */
    *ret_held = -1;                                       /* what came before is not in the buffer */
    return NULL;
}

static bool kept_attribute(const char *name)
{
    return strcmp(name, "security.capability") == 0 ||
           (strncmp(name, "user.", 5) == 0 && strncmp(name, "user.overlay.", 13) != 0);
}

static fallible copy_attributes(int from, int to, const char *name)
{
    char names[4096], value[4096];
    ssize_t n = flistxattr(from, names, sizeof names);
    for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1) {
        if (!kept_attribute(names + at))
            continue;
        ssize_t len = fgetxattr(from, names + at, value, sizeof value);
        if (len >= 0 && fsetxattr(to, names + at, value, (size_t)len, 0) < 0 && errno != ENOTSUP)
            return err_sys(errno, "set the attribute '%s' of '%s'", names + at, name);
    }
    return NULL;
}

/* What stood there goes: a file of this layer that an earlier source put. */
static fallible create(struct copy_target *t, const char *path, mode_t mode, int *ret_fd)
{
    for (int attempt = 0;; attempt++) {
        *ret_fd = openat(t->upper_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
        if (*ret_fd >= 0)
            return NULL;
        if (errno != EEXIST || attempt)
            return err_sys(errno, "make '/%s'", path);
        if (unlinkat(t->upper_fd, path, 0) < 0)
            return errno == EISDIR || errno == EPERM
                       ? err_new(ERR_INVALID, "'/%s' is a directory: a file cannot take its place", path)
                       : err_sys(errno, "replace '/%s'", path);
    }
}

static void owner_of(const struct copy_owner *o, const struct stat *st, uint32_t *uid, uint32_t *gid)
{
    *uid = o->set ? o->uid : o->keep ? st->st_uid : 0;
    *gid = o->set ? o->gid : o->keep ? st->st_gid : 0;
}

/* As layer.c's clamp() does it for all that was not made here. */
static struct timespec time_of(const struct copy_job *job, struct timespec t)
{
    if (!job->clamps)
        return t;
    return (struct timespec){ .tv_sec = t.tv_sec < job->newest_s && !job->all_at_once ? t.tv_sec : job->newest_s };
}

/* A second name of a file that is there already. *ret_done. */
static fallible link_again(struct copy_target *t, const struct source_entry *e, const char *path, bool *ret_done)
{
    *ret_done = false;
    if (e->st.st_nlink < 2)
        return NULL;
    for (size_t i = 0; i < t->inodes_n; i++) {
        if (t->inodes[i].ino != e->st.st_ino || t->inodes[i].dev != e->st.st_dev)
            continue;
        (void)unlinkat(t->upper_fd, path, 0);
        if (linkat(t->upper_fd, t->inodes[i].path, t->upper_fd, path, 0) < 0)
            return errno == ENOENT ? NULL : err_sys(errno, "link '/%s'", path);
        *ret_done = true;
        return NULL;
    }
    t->inodes = mem_array(t->inodes, t->inodes_n + 1, sizeof *t->inodes);
    t->inodes[t->inodes_n++] = (struct inode){ e->st.st_dev, e->st.st_ino, mem_strdup(path) };
    return NULL;
}

/* What a file became, for the layer's tar. */
struct filled {
    struct stat st;
    bool whole; /* bytes are all that a layer says of it beside st */
    unsigned char bytes[];
};

static bool has_attributes(int fd)
{
    char names[4096];
    ssize_t n = flistxattr(fd, names, sizeof names);
    for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1)
        if (diff_keeps_xattr(names + at))
            return true;
    return n < 0 && errno != ENOTSUP;
}

static fallible note_filled(const struct source_entry *e, int fd, const unsigned char *bytes, ssize_t held,
                            struct filled **ret)
{
    bool whole = held >= 0 && held < BATCH_SMALL;
    struct filled *f = mem_alloc(sizeof *f + (whole ? (size_t)held : 0));
    *ret = f;
    if (fstat(fd, &f->st) < 0)
        return err_sys(errno, "look at what '%s' became", e->path);
    f->whole = whole && f->st.st_size == held && !has_attributes(fd);
    f->st.st_nlink = e->st.st_nlink; /* the other names come later */
    if (f->whole)
        memcpy(f->bytes, bytes, (size_t)held);
    return NULL;
}

/* In any thread: nothing else knows of this file. ret: NULL, or what it became; the caller frees. */
static fallible fill_regular(struct copy_target *t, const struct copy_job *job, const struct source_entry *e,
                             const char *path, unsigned char *buffer, struct filled **ret)
{
    own_fd int from = -1, to = -1;
    uint32_t uid, gid, mode = copy_mode_apply(job->mode, e->st.st_mode);
    ssize_t held;
    TRY(source_open(e, &from));
    TRY(create(t, path, mode & 0777, &to));
    TRY(copy_bytes(t, from, to, e->st.st_size, e->path, buffer, &held));
    owner_of(job->owner, &e->st, &uid, &gid);
    if ((uid || gid || t->groups_inherit) && fchown(to, uid, gid) < 0)
        return err_sys(errno, "give '/%s' to %u:%u", path, uid, gid);
    if ((mode & 07000) && fchmod(to, mode) < 0)
        return err_sys(errno, "set the mode of '/%s'", path);
    TRY(copy_attributes(from, to, path));
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, time_of(job, e->st.st_mtim) };
    if (futimens(to, times) < 0)
        return err_sys(errno, "set the time of '/%s'", path);
    return ret ? note_filled(e, to, buffer, held, ret) : NULL;
}

static fallible put_special(struct copy_target *t, const struct copy_job *job, const struct source_entry *e,
                            const char *path)
{
    uint32_t uid, gid;
    char target[4097];
    (void)unlinkat(t->upper_fd, path, 0);
    if (S_ISLNK(e->st.st_mode)) {
        ssize_t n = readlinkat(e->dir_fd, e->name, target, sizeof target - 1);
        if (n < 0)
            return err_sys(errno, "read the link '%s'", e->path);
        target[n] = '\0';
        if (symlinkat(target, t->upper_fd, path) < 0)
            return err_sys(errno, "make the link '/%s'", path);
    } else if (S_ISSOCK(e->st.st_mode)) {
        return NULL; /* nobody listens on a copy */
    } else if (mknodat(t->upper_fd, path, (e->st.st_mode & S_IFMT) | copy_mode_apply(job->mode, e->st.st_mode),
                       e->st.st_rdev) < 0) {
        return err_sys(errno, "make '/%s'", path);
    }
    owner_of(job->owner, &e->st, &uid, &gid);
    TRY(set_owner(t, path, uid, gid));
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, time_of(job, e->st.st_mtim) };
    if (utimensat(t->upper_fd, path, times, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(errno, "set the time of '/%s'", path);
    return NULL;
}

/* ---- the walk ---- */

struct put {
    struct copy_target *t;
    const struct copy_job *job;
    char *base; /* where the destination really is, relative */
    bool base_fresh, base_made;
    char *file;          /* the name of the one file, when the destination is none */
    struct strv fresh;   /* directories on the way down that are new: nothing is below them */
    size_t filled;       /* since something was written early */
    struct batch *batch; /* files to be filled, and what has its turn behind them */
};
/* Of the batch's items: a file to be filled; a directory that is complete; and, where the layer's tar is made as well,
 * everything else that has an entry there. */
enum { ITEM_FILE, ITEM_LEAVE, ITEM_ENTER, ITEM_NAME };

static struct diff_stream *stream_of(const struct put *p)
{
    return p->job->stream ? *p->job->stream : NULL;
}

/* The tar is made of the whole tree in the end, as that of any other step. */
static void stream_drop(const struct put *p)
{
    diff_stream_free(*p->job->stream);
    *p->job->stream = NULL;
}

static bool fits_stream(const struct source_entry *e, const char *path)
{
    const char *slash = strrchr(path, '/');
    return (S_ISREG(e->st.st_mode) || S_ISDIR(e->st.st_mode) || S_ISLNK(e->st.st_mode)) &&
           !str_starts(slash ? slash + 1 : path, ".wh.") && strlen(path) <= DIFF_MADE_PATH_MAX;
}

/* Something that is there already gets its turn. */
static fallible put_later(struct put *p, const struct source_entry *e, const char *path, int kind)
{
    TRY(batch_add(p->batch, e, mem_strdup(path), false));
    batch_last(p->batch)->kind = kind;
    return NULL;
}

static char *place_of(const struct put *p, const struct source_entry *e)
{
    const char *name = p->file ? p->file : e->to;
    if (!*name)
        return mem_strdup(p->base);
    return strcmp(p->base, ".") == 0 ? mem_strdup(name) : mem_printf("%s/%s", p->base, name);
}

static bool is_fresh(const struct put *p, const char *path)
{
    const char *last = p->fresh.n ? p->fresh.items[p->fresh.n - 1] : NULL;
    size_t n = last ? strlen(last) : 0;
    return p->base_fresh || (last && strncmp(path, last, n) == 0 && path[n] == '/');
}

static fallible put_dir(struct put *p, const struct source_entry *e, const char *path)
{
    struct at at;
    uint32_t uid, gid;
    if (!*e->to && !p->base_made)
        return NULL; /* the destination was there: what is copied is in it */
    TRY(look(p->t, path, is_fresh(p, path), &at));
    free(at.link);
    if (at.kind == AT_LINK || at.kind == AT_FILE)
        return err_new(ERR_INVALID, "'/%s' is no directory in the image: '%s' cannot be put over it", path, e->path);
    if (at.kind == AT_DIR && !at.in_upper)
        return copy_up_dir(p->t, path, &at.st);
    if (at.kind == AT_DIR && *e->to)
        return NULL;
    if (at.kind == AT_NOTHING) {
        bool fresh_already = is_fresh(p, path);
        if (mkdirat(p->t->upper_fd, path, 0700) < 0)
            return err_sys(errno, "make '/%s'", path);
        if (!fresh_already)
            strv_add(&p->fresh, path);
    }
    owner_of(p->job->owner, &e->st, &uid, &gid);
    TRY(set_owner(p->t, path, uid, gid));
    return set_dir_mode(p->t, path, copy_mode_apply(p->job->mode, e->st.st_mode));
}

/* Files are filled later, side by side. Those with several names are not: the next name becomes a link to this one. */
static fallible put_regular(struct put *p, const struct source_entry *e, const char *path)
{
    bool done;
    TRY(link_again(p->t, e, path, &done));
    if (done)
        return stream_of(p) ? put_later(p, e, path, ITEM_NAME) : NULL;
    TRY(batch_add(p->batch, e, mem_strdup(path), true));
    return e->st.st_nlink > 1 ? batch_run(p->batch) : NULL;
}

static fallible enter_dir(struct put *p, const struct source_entry *e, const char *path)
{
    TRY(put_dir(p, e, path));
    return stream_of(p) && (*e->to || p->base_made) ? put_later(p, e, path, ITEM_ENTER) : NULL;
}

static fallible enter(void *ctx, const struct source_entry *e)
{
    struct put *p = ctx;
    own_mem char *path = place_of(p, e);
    if (e->top) /* it may take the place of what an earlier source put there */
        TRY(batch_run(p->batch));
    if (stream_of(p) && !fits_stream(e, path))
        stream_drop(p);
    if (S_ISDIR(e->st.st_mode))
        return enter_dir(p, e, path);
    if (!is_fresh(p, path)) {
        struct at at;
        TRY(look(p->t, path, false, &at));
        free(at.link);
        if (at.kind == AT_DIR)
            return err_new(ERR_INVALID, "'/%s' is a directory in the image: the file '%s' cannot take its place", path,
                           e->path);
    }
    if (S_ISREG(e->st.st_mode))
        return put_regular(p, e, path);
    TRY(put_special(p->t, p->job, e, path));
    return stream_of(p) ? put_later(p, e, path, ITEM_NAME) : NULL;
}

static fallible leave(void *ctx, const struct source_entry *e)
{
    struct put *p = ctx;
    own_mem char *path = place_of(p, e);
    if (!*e->to && !p->base_made)
        return NULL;
    if (p->fresh.n && strcmp(p->fresh.items[p->fresh.n - 1], path) == 0)
        strv_pop(&p->fresh);
    return put_later(p, e, path, ITEM_LEAVE);
}

static fallible fill_item(void *ctx, struct batch_item *item, unsigned char *buffer)
{
    const struct put *p = ctx;
    struct filled *made = NULL;
    err *e = fill_regular(p->t, p->job, &item->entry, item->dest, buffer, stream_of(p) ? &made : NULL);
    item->made = made;
    return e;
}

/* An entry of the tar: its files' bytes are at hand, or it is looked at. */
static fallible tell(struct put *p, const struct batch_item *item)
{
    const struct filled *f = item->made;
    struct diff_made made = { .path = item->dest };
    if (f) {
        made.st = f->st;
        made.bytes = f->whole ? f->bytes : NULL;
    } else if (fstatat(p->t->upper_fd, item->dest, &made.st, AT_SYMLINK_NOFOLLOW) < 0) {
        return err_sys(errno, "look at '/%s'", item->dest);
    }
    if (item->kind == ITEM_ENTER)
        made.st.st_mtim = time_of(p->job, item->entry.st.st_mtim); /* it has that when it is complete */
    return diff_stream_add(stream_of(p), &made);
}

/* Somebody says now what time a directory on the way has. */
static void forget_made(struct copy_target *t, const char *path)
{
    for (size_t i = 0; i < t->made.n; i++)
        if (strcmp(t->made.items[i], path) == 0)
            *t->made.items[i] = '\0';
}

/* When all files of the batch are filled. */
static fallible left_item(void *ctx, struct batch_item *item)
{
    struct put *p = ctx;
    if (item->kind == ITEM_FILE && ++p->filled % (2 * SETTLE_FILES) == 0)
        settle_some(p->job->settle);
    if (item->kind != ITEM_LEAVE)
        return stream_of(p) ? tell(p, item) : NULL;
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, time_of(p->job, item->entry.st.st_mtim) };
    if (utimensat(p->t->upper_fd, item->dest, times, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(errno, "set the time of '/%s'", item->dest);
    if (!*item->entry.to)
        forget_made(p->t, item->dest);
    return NULL;
}

fallible copy_set_times(struct copy_target *t, int64_t newest_s)
{
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = newest_s } };
    for (size_t i = 0; i < t->made.n; i++)
        if (*t->made.items[i] && utimensat(t->upper_fd, t->made.items[i], times, AT_SYMLINK_NOFOLLOW) < 0)
            return err_sys(errno, "set the time of '/%s'", t->made.items[i]);
    return NULL;
}

/* ---- the layer's tar ---- */

/* One name in a directory, and which; or none. */
static fallible only_name(int upper_fd, const char *path, char **ret, bool *ret_more)
{
    own_strv struct strv names = { 0 };
    own_fd int fd = openat(upper_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open '/%s'", path);
    TRY(diff_names(fd, &names));
    *ret_more = names.n > 1;
    *ret = names.n == 1 ? mem_strdup(names.items[0]) : NULL;
    return NULL;
}

/*
 * The directories that lead to the destination come first. They are all that the layer has by now, in the order of its
 * tar: where a link led elsewhere there is more. *ret_fits false: then the tar cannot be begun here.
 */
static fallible tell_way(struct put *p, bool *ret_fits)
{
    own_mem char *at = mem_strdup("."), *name = NULL;
    *ret_fits = false;
    for (bool more = false;;) {
        free(take(name));
        TRY(only_name(p->t->upper_fd, at, &name, &more));
        if (more || (name && (strcmp(at, p->base) == 0 || str_starts(name, ".wh."))))
            return NULL;
        if (!name)
            break;
        char *next = strcmp(at, ".") == 0 ? mem_strdup(name) : mem_printf("%s/%s", at, name);
        free(at);
        at = next;
        struct diff_made made = { .path = at };
        if (strlen(at) > DIFF_MADE_PATH_MAX)
            return NULL;
        if (strcmp(at, p->base) == 0 && p->base_made)
            continue; /* what is copied has more to say of it */
        if (fstatat(p->t->upper_fd, at, &made.st, AT_SYMLINK_NOFOLLOW) < 0)
            return err_sys(errno, "look at '/%s'", at);
        made.st.st_mtim = (struct timespec){ .tv_sec = p->job->newest_s }; /* copy_set_times() */
        TRY(diff_stream_add(stream_of(p), &made));
    }
    *ret_fits = strcmp(at, p->base) == 0;
    return NULL;
}

static fallible begin_stream(struct put *p)
{
    bool fits = false;
    if (!stream_of(p))
        return NULL;
    TRY(tell_way(p, &fits));
    if (!fits)
        stream_drop(p);
    return NULL;
}

/* ---- the destination ---- */

/* The directory that the file is put in, and its name there. A link of that name is followed. */
static fallible split_dest(struct copy_target *t, const char *dest, const struct copy_owner *owner, struct put *p)
{
    const char *slash = strrchr(dest, '/');
    own_mem char *dir = mem_strndup(dest, (size_t)(slash - dest) + 1);
    bool made;
    TRY(make_dirs(t, dir, owner, &p->base, &p->base_fresh, &made));
    p->file = mem_strdup(slash + 1);
    own_mem char *path = strcmp(p->base, ".") == 0 ? mem_strdup(p->file) : mem_printf("%s/%s", p->base, p->file);
    struct at at;
    TRY(look(t, path, p->base_fresh, &at));
    own_mem char *link = at.link;
    if (at.kind != AT_LINK)
        return NULL;
    own_mem char *next = link[0] == '/'              ? mem_strdup(link)
                         : strcmp(p->base, ".") == 0 ? mem_printf("/%s", link)
                                                     : mem_printf("/%s/%s", p->base, link);
    size_t depth = strlen(dest) + 1;
    if (depth > 4096 || str_eq(next, dest))
        return err_new(ERR_INVALID, "'%s' is a link to itself", dest);
    free(take(p->base));
    free(take(p->file));
    return strrchr(next, '/')[1] ? split_dest(t, next, owner, p) : err_new(ERR_INVALID, "'%s' is a directory", dest);
}

static void put_clear(struct put *p)
{
    free(p->base);
    free(p->file);
    strv_free(&p->fresh);
    batch_free(p->batch);
}

fallible copy_run(struct copy_target *t, const struct copy_job *job)
{
    struct put p = { .t = t, .job = job };
    p.batch = batch_new(fill_item, left_item, &p);
    err *e = job->dest_is_dir ? make_dirs(t, job->dest, job->owner, &p.base, &p.base_fresh, &p.base_made)
                              : split_dest(t, job->dest, job->owner, &p);
    if (!e)
        e = begin_stream(&p);
    if (!e)
        e = sources_walk(job->sources, &(struct source_visitor){ .enter = enter, .leave = leave, .ctx = &p });
    if (!e)
        e = batch_run(p.batch);
    put_clear(&p);
    return e;
}

fallible copy_file(struct copy_target *t, const char *dest, int fd, uint32_t file_mode, int64_t mtime_s,
                   const struct copy_owner *owner, const struct copy_mode *mode)
{
    struct put p = { .t = t };
    own_fd int to = -1;
    err *e = split_dest(t, dest, owner, &p);
    own_mem char *path = e ? NULL : strcmp(p.base, ".") == 0 ? mem_strdup(p.file) : mem_printf("%s/%s", p.base, p.file);
    put_clear(&p);
    TRY(e);
    uint32_t bits = copy_mode_apply(mode, S_IFREG | file_mode);
    TRY(create(t, path, bits & 0777, &to));
    if (!t->buffer)
        t->buffer = mem_alloc(PIECE);
    ssize_t held;
    TRY(by_hand(fd, to, -1, dest, t->buffer, &held));
    uint32_t uid = owner->set ? owner->uid : 0, gid = owner->set ? owner->gid : 0;
    if ((owner->set || t->groups_inherit) && fchown(to, uid, gid) < 0)
        return err_sys(errno, "give '%s' to %u:%u", dest, uid, gid);
    if ((bits & 07000) && fchmod(to, bits) < 0)
        return err_sys(errno, "set the mode of '%s'", dest);
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = mtime_s } };
    if (mtime_s && futimens(to, times) < 0)
        return err_sys(errno, "set the time of '%s'", dest);
    return NULL;
}

fallible copy_text(struct copy_target *t, const char *dest, const char *text, size_t n, const struct copy_owner *owner,
                   const struct copy_mode *mode)
{
    own_fd int fd = -1;
    TRY(fs_memfd("here-document", &fd));
    TRY(fs_write_fd(fd, text, n, "here-document"));
    if (lseek(fd, 0, SEEK_SET) < 0)
        return err_sys(errno, "read a here-document");
    return copy_file(t, dest, fd, 0644, 0, owner, mode);
}
