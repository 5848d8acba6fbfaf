// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build/batch.h"
#include "build/copy_parts.h"
#include "layers/diff_walk.h"

/* ---- the walk ---- */

struct put {
    struct copy_target *t;
    const struct copy_job *job;
    struct copy_place dest;
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
    return copy_path(&p->dest, p->dest.file ? p->dest.file : e->to);
}

static bool is_fresh(const struct put *p, const char *path)
{
    const char *last = p->fresh.n ? p->fresh.items[p->fresh.n - 1] : NULL;
    size_t n = last ? strlen(last) : 0;
    return p->dest.fresh || (last && strncmp(path, last, n) == 0 && path[n] == '/');
}

static fallible put_dir(struct put *p, const struct source_entry *e, const char *path)
{
    struct copy_at at;
    uint32_t uid, gid;
    if (!*e->to && !p->dest.made)
        return NULL; /* the destination was there: what is copied is in it */
    TRY(copy_look(p->t, path, is_fresh(p, path), &at));
    free(at.link);
    if (at.kind == COPY_LINK || at.kind == COPY_FILE)
        return err_new(ERR_INVALID, "'/%s' is no directory in the image: '%s' cannot be put over it", path, e->path);
    if (at.kind == COPY_DIR && !at.in_upper)
        return copy_up_dir(p->t, path, &at.st);
    if (at.kind == COPY_DIR && *e->to)
        return NULL;
    if (at.kind == COPY_NOTHING) {
        bool fresh_already = is_fresh(p, path);
        if (mkdirat(p->t->upper_fd, path, 0700) < 0)
            return err_sys(errno, "make '/%s'", path);
        if (!fresh_already)
            strv_add(&p->fresh, path);
    }
    copy_owner_of(p->job->owner, &e->st, &uid, &gid);
    TRY(copy_set_owner(p->t, path, uid, gid));
    return copy_set_dir_mode(p->t, path, copy_mode_apply(p->job->mode, e->st.st_mode));
}

/* Files are filled later, side by side. Those with several names are not: the next name becomes a link to this one. */
static fallible put_regular(struct put *p, const struct source_entry *e, const char *path)
{
    bool done;
    TRY(copy_link_again(p->t, e, path, &done));
    if (done)
        return stream_of(p) ? put_later(p, e, path, ITEM_NAME) : NULL;
    TRY(batch_add(p->batch, e, mem_strdup(path), true));
    return e->st.st_nlink > 1 ? batch_run(p->batch) : NULL;
}

static fallible enter_dir(struct put *p, const struct source_entry *e, const char *path)
{
    TRY(put_dir(p, e, path));
    return stream_of(p) && (*e->to || p->dest.made) ? put_later(p, e, path, ITEM_ENTER) : NULL;
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
        struct copy_at at;
        TRY(copy_look(p->t, path, false, &at));
        free(at.link);
        if (at.kind == COPY_DIR)
            return err_new(ERR_INVALID, "'/%s' is a directory in the image: the file '%s' cannot take its place", path,
                           e->path);
    }
    if (S_ISREG(e->st.st_mode))
        return put_regular(p, e, path);
    TRY(copy_put_special(p->t, p->job, e, path));
    return stream_of(p) ? put_later(p, e, path, ITEM_NAME) : NULL;
}

static fallible leave(void *ctx, const struct source_entry *e)
{
    struct put *p = ctx;
    own_mem char *path = place_of(p, e);
    if (!*e->to && !p->dest.made)
        return NULL;
    if (p->fresh.n && strcmp(p->fresh.items[p->fresh.n - 1], path) == 0)
        strv_pop(&p->fresh);
    return put_later(p, e, path, ITEM_LEAVE);
}

static fallible fill_item(void *ctx, struct batch_item *item, unsigned char *buffer)
{
    const struct put *p = ctx;
    struct copy_filled *made = NULL;
    err *e = copy_fill_regular(p->t, p->job, &item->entry, item->dest, buffer, stream_of(p) ? &made : NULL);
    item->made = made;
    return e;
}

/* An entry of the tar: its files' bytes are at hand, or it is looked at. */
static fallible tell(struct put *p, const struct batch_item *item)
{
    const struct copy_filled *f = item->made;
    struct diff_made made = { .path = item->dest };
    if (f) {
        made.st = f->st;
        made.bytes = f->whole ? f->bytes : NULL;
    } else if (fstatat(p->t->upper_fd, item->dest, &made.st, AT_SYMLINK_NOFOLLOW) < 0) {
        return err_sys(errno, "look at '/%s'", item->dest);
    }
    if (item->kind == ITEM_ENTER)
        made.st.st_mtim = copy_time_of(p->job, item->entry.st.st_mtim); /* it has that when it is complete */
    return diff_stream_add(stream_of(p), &made);
}

/* When all files of the batch are filled. */
static fallible left_item(void *ctx, struct batch_item *item)
{
    struct put *p = ctx;
    if (item->kind == ITEM_FILE && ++p->filled % (2 * SETTLE_FILES) == 0)
        settle_some(p->job->settle);
    if (item->kind != ITEM_LEAVE)
        return stream_of(p) ? tell(p, item) : NULL;
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, copy_time_of(p->job, item->entry.st.st_mtim) };
    if (utimensat(p->t->upper_fd, item->dest, times, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(errno, "set the time of '/%s'", item->dest);
    if (!*item->entry.to)
        copy_forget_made(p->t, item->dest);
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
        if (more || (name && (strcmp(at, p->dest.base) == 0 || str_starts(name, ".wh."))))
            return NULL;
        if (!name)
            break;
        char *next = strcmp(at, ".") == 0 ? mem_strdup(name) : mem_printf("%s/%s", at, name);
        free(at);
        at = next;
        struct diff_made made = { .path = at };
        if (strlen(at) > DIFF_MADE_PATH_MAX)
            return NULL;
        if (strcmp(at, p->dest.base) == 0 && p->dest.made)
            continue; /* what is copied has more to say of it */
        if (fstatat(p->t->upper_fd, at, &made.st, AT_SYMLINK_NOFOLLOW) < 0)
            return err_sys(errno, "look at '/%s'", at);
        made.st.st_mtim = (struct timespec){ .tv_sec = p->job->newest_s }; /* copy_set_times() */
        TRY(diff_stream_add(stream_of(p), &made));
    }
    *ret_fits = strcmp(at, p->dest.base) == 0;
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

static void put_clear(struct put *p)
{
    copy_place_clear(&p->dest);
    strv_free(&p->fresh);
    batch_free(p->batch);
}

fallible copy_run(struct copy_target *t, const struct copy_job *job)
{
    struct put p = { .t = t, .job = job };
    p.batch = batch_new(fill_item, left_item, &p);
    err *e = job->dest_is_dir ? copy_make_dirs(t, job->dest, job->owner, &p.dest)
                              : copy_find_file(t, job->dest, job->owner, &p.dest);
    if (!e)
        e = begin_stream(&p);
    if (!e)
        e = sources_walk(job->sources, &(struct source_visitor){ .enter = enter, .leave = leave, .ctx = &p });
    if (!e)
        e = batch_run(p.batch);
    put_clear(&p);
    return e;
}
