// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/budget.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/parse.h"
#include "engine/container.h"
#include "engine/image_remove.h"
#include "engine/trash.h"
#include "engine/usage.h"
#include "image/settings.h"

struct candidate {
    char *name, *id; /* name: NULL: none */
    int64_t used_ns;
};

static int64_t used_ns(struct layout *l, const char *manifest)
{
    own_mem char *path = layout_blob_path(manifest);
    struct stat st;
    return fstatat(l->fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0
               ? 0
               : (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

static bool is_used(const struct container_list *list, const char *id)
{
    for (size_t i = 0; i < list->n; i++)
        if (str_eq(list->items[i]->row.image_id, id))
            return true;
    return false;
}

/* Those without a name first, then those used longest ago. */
static int compare(const void *a_, const void *b_)
{
    const struct candidate *a = a_, *b = b_;
    if (!a->name != !b->name)
        return a->name ? 1 : -1;
    return a->used_ns < b->used_ns ? -1 : a->used_ns > b->used_ns;
}

static fallible find_candidates(struct engine *e, int64_t since_ns, struct candidate **ret, size_t *ret_n)
{
    struct image **images = NULL;
    struct layout *l;
    struct container_list list;
    size_t n = 0;
    TRY(engine_layout(e, &l));
    TRY(container_list(e, &(struct list_options){ .all = true }, &list));
    err *failed = image_list(l, &images, &n);
    struct candidate *all = mem_array(NULL, n + 1, sizeof *all);
    *ret_n = 0;
    for (size_t i = 0; !failed && i < n; i++) {
        int64_t used = used_ns(l, images[i]->manifest_digest);
        if (used < since_ns && !is_used(&list, images[i]->id))
            all[(*ret_n)++] = (struct candidate){ mem_strdup(images[i]->name), mem_strdup(images[i]->id), used };
        image_free(images[i]);
    }
    free(images);
    container_list_clear(&list);
    if (*ret_n > 1)
        qsort(all, *ret_n, sizeof *all, compare);
    *ret = all;
    return failed;
}

static fallible evict(struct engine *e, const struct candidate *c)
{
    char when[40];
    own_strv struct strv lines = { 0 };
    err *failed = image_remove(e, c->name ? c->name : c->id, true, NULL, &lines);
    if (err_is(failed, ERR_NOT_FOUND)) { /* it went with another name of it, or somebody else was faster */
        err_free(failed);
        return NULL;
    }
    TRY(failed);
    log_warn("the images are over their budget: image %s, last used %s, was removed", c->name ? c->name : c->id,
             format_time_ns(c->used_ns, when));
    return NULL;
}

/* Images that were removed go before those that were not. */
static fallible empty_trash(struct engine *e, uint64_t budget)
{
    own(db_trash_list) struct db_trash_list l = { 0 };
    struct db *db = NULL;
    uint64_t bytes = 0;
    bool sweep = false;
    TRY(engine_db_if_there(e, &db));
    if (db)
        TRY(db_trash_list(db, &l));
    for (size_t i = 0; i < l.n; i++) {
        if (!l.items[i].images)
            continue;
        TRY(usage_images(e, &bytes));
        if (bytes <= budget)
            return NULL;
        TRY(trash_purge(e, l.items[i].id, &sweep));
        TRY(image_sweep(e, false, NULL));
    }
    return NULL;
}

static fallible evict_until(struct engine *e, const struct candidate *all, size_t n, uint64_t budget)
{
    uint64_t bytes = 0;
    char is[32], may[32];
    TRY(empty_trash(e, budget));
    for (size_t i = 0;; i++) {
        TRY(usage_images(e, &bytes));
        if (bytes <= budget)
            return NULL;
        if (i == n)
            break;
        TRY(evict(e, &all[i]));
    }
    log_warn("the images take %s, their budget is %s, and all that is left is in use", format_bytes(bytes, is),
             format_bytes(budget, may));
    return NULL;
}

fallible budget_settle(struct engine *e, int64_t since_ns)
{
    struct settings settings;
    struct candidate *all = NULL;
    size_t n = 0;
    uint64_t bytes = 0;
    TRY(settings_read(&settings));
    if (settings.keep_blobs && settings.budget == 0)
        return NULL;
    TRY(image_sweep(e, false, NULL));
    if (settings.budget > 0)
        TRY(usage_images(e, &bytes));
    if (bytes <= (uint64_t)settings.budget)
        return NULL;
    err *failed = find_candidates(e, since_ns, &all, &n);
    if (!failed)
        failed = evict_until(e, all, n, (uint64_t)settings.budget);
    for (size_t i = 0; i < n; i++) {
        free(all[i].name);
        free(all[i].id);
    }
    free(all);
    return failed;
}
