// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"
#include "codec/digest.h"
#include "engine/build_cache.h"
#include "layers/diff_walk.h"
#include "layers/layer.h"
#include "os/fs.h"

enum { ENTRY_MAX = 1 << 20, PARTS_MAX = 64 << 20, CONTEXTS_MAX = 64, SLOTS_MAX = 2000 };

void step_part(struct step_parts *p, const char *name, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    own_mem char *value = mem_vprintf(format, ap);
    va_end(ap);
    for (char *c = value; *c; c++)
        if (*c == '\n')
            *c = '\r'; /* one line each; a text has no carriage return that would make two texts the same */
    strv_add_printf(&p->lines, "%s %s", name, value);
}

void step_parts_clear(struct step_parts *p)
{
    strv_free(&p->lines);
    strv_free(&p->notes);
}

static char *hex_of(const char *text, size_t n)
{
    own_mem char *digest = digest_of(text, n);
    return mem_strdup(digest_hex(digest));
}

char *step_key(const struct step_parts *p)
{
    own_str struct str text = { 0 };
    str_add(&text, "husk build 1\n");
    for (size_t i = 0; i < p->lines.n; i++)
        str_printf(&text, "%s\n", p->lines.items[i]);
    return hex_of(text.text, text.len);
}

static fallible open_dir(int at, const char *name, int *ret)
{
    if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
        return err_sys(errno, "make '%s' in the store", name);
    *ret = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *ret < 0 ? err_sys(errno, "open '%s' in the store", name) : NULL;
}

fallible build_cache_open(struct layout *l, struct build_cache *ret)
{
    *ret = (struct build_cache){ .layout = l, .fd = -1, .cache_fd = -1, .last_fd = -1, .files_fd = -1 };
    TRY(open_dir(l->fd, "build", &ret->fd));
    TRY(open_dir(ret->fd, "cache", &ret->cache_fd));
    TRY(open_dir(ret->fd, "last", &ret->last_fd));
    return open_dir(ret->fd, "files", &ret->files_fd);
}

void build_cache_close(struct build_cache *c)
{
    close_now(&c->fd);
    close_now(&c->cache_fd);
    close_now(&c->last_fd);
    close_now(&c->files_fd);
}

void build_cached_clear(struct build_cached *c)
{
    build_layer_clear(&c->layer);
    free(c->what);
    *c = (struct build_cached){ 0 };
}

fallible build_cache_find(struct build_cache *c, const char *key, struct build_cached *ret, bool *ret_hit)
{
    own(build_entry) struct build_entry *entry = NULL;
    own_mem char *text = NULL;
    size_t len = 0;
    void *read = NULL;
    *ret_hit = false;
    err *e = fs_read_at(c->cache_fd, key, ENTRY_MAX, &text, &len);
    if (!e)
        e = bind_read(&build_entry_type, text, len, &read);
    if (e) {
        if (!err_is(e, ERR_NOT_FOUND))
            log_debug("a cache entry that cannot be read: %s", err_text(e));
        err_free(e);
        return NULL;
    }
    entry = read;
    if (entry->made < c->since_s)
        return NULL;
    if (!entry->empty && (!entry->diff_id || !entry->digest || !digest_valid(entry->diff_id) ||
                          !digest_valid(entry->digest) || !layer_use(c->layout, entry->diff_id)))
        return NULL;
    if (!entry->empty)
        (void)layout_use_blob(c->layout, entry->digest, entry->size); /* it may be gone: it is packed again at need */
    (void)utimensat(c->cache_fd, key, NULL, 0);
    *ret = (struct build_cached){
        .layer = { .size = entry->size, .tar_size = entry->tar_size, .empty = entry->empty },
        .newest_s = entry->newest,
        .made_s = entry->made,
    };
    ret->layer.diff_id = take(entry->diff_id);
    ret->layer.digest = take(entry->digest);
    ret->layer.media_type = take(entry->media_type);
    ret->what = take(entry->what);
    *ret_hit = true;
    return NULL;
}

fallible build_cache_put(struct build_cache *c, const char *key, const struct build_cached *what)
{
    struct build_entry entry = {
        .diff_id = what->layer.diff_id,
        .digest = what->layer.digest,
        .media_type = what->layer.media_type,
        .what = what->what,
        .size = what->layer.size,
        .tar_size = what->layer.tar_size,
        .newest = what->newest_s,
        .made = what->made_s,
        .empty = what->layer.empty,
    };
    own_mem char *text = bind_write(&build_entry_type, &entry, BIND_COMPACT);
    return fs_replace_at(c->cache_fd, key, text, strlen(text), 0600, FS_SYNC_NONE);
}

/* ---- bounds ---- */

struct aged {
    char *name;
    int64_t used_ns;
};

static int oldest_first(const void *a, const void *b)
{
    const struct aged *x = a, *y = b;
    return x->used_ns < y->used_ns ? -1 : x->used_ns > y->used_ns;
}

static void trim(int dir_fd, size_t max)
{
    own_strv struct strv names = { 0 };
    err *e = diff_names(dir_fd, &names);
    if (e || names.n <= max) {
        err_ignore(e, "it is tried again after the next build");
        return;
    }
    struct aged *all = mem_zalloc(names.n * sizeof *all);
    for (size_t i = 0; i < names.n; i++) {
        struct stat st = { 0 };
        (void)fstatat(dir_fd, names.items[i], &st, AT_SYMLINK_NOFOLLOW);
        all[i] = (struct aged){ names.items[i], (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec };
    }
    qsort(all, names.n, sizeof *all, oldest_first);
    for (size_t i = 0; i < names.n - max; i++)
        (void)unlinkat(dir_fd, all[i].name, 0);
    free(all);
}

void build_cache_trim(struct build_cache *c)
{
    trim(c->cache_fd, BUILD_CACHE_MAX);
    trim(c->last_fd, SLOTS_MAX);
    trim(c->files_fd, CONTEXTS_MAX);
}

/* ---- why ---- */

static const char *after_word(const char *line)
{
    const char *space = strchr(line, ' ');
    return space ? space + 1 : "";
}

/* The files come last and are many: the first that differs, that is new or that is gone. */
static char *why_files(const struct strv *old, size_t o, const struct strv *now, size_t n)
{
    const char *was = o < old->n ? after_word(old->items[o]) : NULL;
    const char *is = n < now->n ? after_word(now->items[n]) : NULL;
    size_t was_n = was ? strcspn(was, " ") : 0, is_n = is ? strcspn(is, " ") : 0;
    if (was && is && was_n == is_n && strncmp(was, is, is_n) == 0)
        return mem_printf("file '%.*s' changed", (int)is_n, is);
    if (is && (!was || strncmp(was, is, was_n < is_n ? was_n : is_n) > 0 || now->n > old->n))
        return mem_printf("file '%.*s' is new", (int)is_n, is);
    return was ? mem_printf("file '%.*s' is gone", (int)was_n, was) : mem_strdup("its files changed");
}

static void all_lines(const struct step_parts *p, struct strv *ret)
{
    strv_copy(ret, p->lines.items, p->lines.n);
    strv_copy(ret, p->notes.items, p->notes.n);
}

char *build_cache_why(struct build_cache *c, const char *slot, const struct step_parts *now)
{
    own_mem char *text = NULL, *name = hex_of(slot, strlen(slot));
    own_strv struct strv old = { 0 };
    size_t len = 0;
    err *e = fs_read_at(c->last_fd, name, PARTS_MAX, &text, &len);
    if (e) {
        err_free(e);
        return mem_strdup("it was never built here");
    }
    strv_split(&old, text, '\n');
    if (old.n && !*old.items[old.n - 1])
        strv_pop(&old);
    own_strv struct strv all = { 0 };
    all_lines(now, &all);
    for (size_t i = 0; i < all.n || i < old.n; i++) {
        const char *was = i < old.n ? old.items[i] : NULL, *is = i < all.n ? all.items[i] : NULL;
        if (was && is && strcmp(was, is) == 0)
            continue;
        if ((was && str_starts(was, "file ")) || (is && str_starts(is, "file ")))
            return why_files(&old, i, &all, i);
        if (is && str_starts(is, "files ") && now->notes.n)
            continue; /* the digest of all: a line below says which */
        const char *line = is ? is : was;
        size_t n = strcspn(line, " ");
        return mem_printf("%.*s changed from '%.120s' to '%.120s'", (int)n, line, was ? after_word(was) : "",
                          is ? after_word(is) : "");
    }
    return mem_strdup("what it made is no longer in the store");
}

void build_cache_note(struct build_cache *c, const char *slot, const struct step_parts *now)
{
    own_str struct str text = { 0 };
    own_mem char *name = hex_of(slot, strlen(slot));
    own_strv struct strv all = { 0 };
    all_lines(now, &all);
    for (size_t i = 0; i < all.n; i++)
        str_printf(&text, "%s\n", all.items[i]);
    err_ignore(fs_replace_at(c->last_fd, name, text.text, text.len, 0600, FS_SYNC_NONE),
               "only --explain-cache reads it");
}
