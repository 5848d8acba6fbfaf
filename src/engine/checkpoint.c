// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/container_parts.h"
#include "engine/grammar.h"
#include "os/fs.h"
#include "os/ids.h"
#include "process/landlock.h"
#include "runtime/criu.h"

#define BEING_WRITTEN ".new"
/* CRIU's logs and statistics. */
#define DUMP_LOG      "dump.log"
#define DUMP_STATS    "stats-dump"
#define RESTORE_STATS "stats-restore"

static char *path_of(const struct container *c, const char *dir, const char *name)
{
    return dir ? mem_printf("%s/%s", dir, name) : mem_printf("%s/checkpoints/%s", c->dir, name);
}

static int64_t now_us(void)
{
    struct timespec t = { 0 };
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- what cannot be ---- */

char *checkpoint_path(const struct container *c, const char *name)
{
    return path_of(c, NULL, name);
}

static fallible check_config(const struct container *c, const struct container_config *k, const char *act)
{
    const char *why = NULL;
    if (geteuid() != 0 || ids_in_userns())
        return err_new(ERR_DENIED, "cannot %s container '%s': CRIU needs root: run husk as root, outside of containers",
                       act, c->row.name);
    if (k->uid_map.n || k->userns_first || str_starts(k->userns, "ns:"))
        why = "CRIU has no mounts that show other owners, as its user namespace needs: make it with --userns host";
    else if (k->init)
        why = "its first process is husk-init, whose program is in memory alone: make it without --init";
    else if (str_starts(k->network, "pasta") || str_starts(k->network, "slirp4netns"))
        why = "its network is a program of its own: make it with another --network";
    else if (str_starts(k->network, "container:") || str_starts(k->network, "ns:") ||
             str_starts(k->ipc, "container:") || str_starts(k->pid, "container:") || str_starts(k->uts, "container:") ||
             c->row.pod)
        why = "it has namespaces of another container, which is not written down with it";
    else if (str_eq(k->log->driver, "passthrough"))
        why = "its standard streams are the caller's: make it with another --log-driver";
    else if (k->no_new_privileges)
        why = "CRIU would restore it without its no-new-privileges: make it without that";
    else if (strmap_get(&k->annotations, LANDLOCK_ANNOTATION))
        why = "CRIU would restore it without its Landlock rules: make it without those";
    for (size_t i = 0; i < k->mounts_n && !why; i++)
        if (k->mounts[i].overlay || str_eq(k->mounts[i].type, "image"))
            why = "what it has with O, or of an image, is an overlay, which CRIU does not mount again: make it with a "
                  "volume or a bind";
    return why ? err_new(ERR_UNSUPPORTED, "cannot %s container '%s': %s", act, c->row.name, why) : NULL;
}

static fallible check_name(const char *name)
{
    return grammar_name("checkpoint name", name);
}

/* ---- CRIU's statistics ---- */

static void read_stats(const char *dir, const char *file, unsigned message, int64_t *const fields[], size_t n)
{
    own_mem char *path = mem_printf("%s/%s", dir, file), *text = NULL;
    size_t len = 0;
    err_ignore(fs_read_at(AT_FDCWD, path, 65536, &text, &len), "CRIU wrote none: the numbers stay 0");
    if (text)
        criu_read_stats(text, len, message, fields, n);
}

static void dump_stats(const char *dir, struct checkpoint_stats *s)
{
    int64_t *const fields[] = { NULL,           &s->freezing_us,  &s->frozen_us,
                                &s->memdump_us, &s->memwrite_us,  &s->pages_scanned,
                                NULL,           &s->pages_written };
    read_stats(dir, DUMP_STATS, 1, fields, ARRAY_SIZE(fields));
}

static void restore_stats(const char *dir, struct checkpoint_stats *s)
{
    int64_t *const fields[] = { NULL, NULL, NULL, &s->forking_us, &s->restore_us, &s->pages_restored };
    read_stats(dir, RESTORE_STATS, 2, fields, ARRAY_SIZE(fields));
}

/* ---- writing ---- */

struct writing {
    const char *from, *to;
    bool replace, mark;
    struct container *c;
};

/* Whole, and nothing has ended yet: from here on it has its name. */
static err *written(void *ctx)
{
    const struct writing *w = ctx;
    if (w->replace)
        TRY(engine_remove_tree(w->to));
    if (rename(w->from, w->to) < 0)
        return err_sys(errno, "name the checkpoint '%s'", w->to);
    return w->mark ? container_mark_stopped(w->c) : NULL; /* its policy is not to start it again */
}

static fallible dump(struct container *c, const struct checkpoint_options *o, struct writing *w, bool running)
{
    own_fd int images = open(w->from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (images < 0)
        return err_sys(errno, "open '%s'", w->from);
    const struct runtime_criu how = {
        .images_fd = images,
        .work_fd = images,
        .parent = o->with_previous ? "../" CHECKPOINT_BEFORE : NULL,
        .leave_running = running,
        .pre_dump = o->pre_dump,
        .tcp_established = o->tcp_established,
        .file_locks = o->file_locks,
        .link_remap = true,
        .status_fd = -1,
        .anew = true,
        .written = o->pre_dump ? NULL : written, /* of memory alone CRIU tells nothing */
        .ctx = w,
    };
    TRY(runtime_checkpoint(c->state_dir, &how));
    return o->pre_dump ? written(w) : NULL;
}

static fallible make_dir(const char *path)
{
    TRY(engine_remove_tree(path));
    return fs_mkdirs_at(AT_FDCWD, path, 0700);
}

static fallible await_end(struct container *c, const struct container_state *s)
{
    own_fd int pidfd = -1;
    bool gone = false;
    TRY(container_await(s, -1, &gone, &pidfd));
    return container_settle(c, pidfd);
}

static fallible checkpoint(struct container *c, const struct checkpoint_options *o, const struct container_state *s,
                           struct checkpoint_stats *ret)
{
    const char *name = o->pre_dump ? CHECKPOINT_BEFORE : o->name ? o->name : CHECKPOINT_DEFAULT;
    own_mem char *from = path_of(c, o->dir, BEING_WRITTEN), *to = path_of(c, o->dir, name);
    own_mem char *before = path_of(c, o->dir, CHECKPOINT_BEFORE);
    bool running = o->leave_running || o->pre_dump;
    struct writing w = { from, to, !o->name || o->pre_dump, !running && container_may_restart(c), c };
    int64_t began = now_us();
    if (o->with_previous && access(before, F_OK) < 0)
        return err_new(ERR_NOT_FOUND, "container '%s' has no earlier checkpoint: make it with --pre-checkpoint",
                       c->row.name);
    if (!w.replace && access(to, F_OK) == 0)
        return err_new(ERR_EXISTS,
                       "container '%s' has a checkpoint '%s' already: remove it first, or choose another name",
                       c->row.name, name);
    TRY(make_dir(from));
    if (!running)
        container_note_sender(c, "checkpoint", SIGKILL, 0, 0);
    err *e = dump(c, o, &w, running);
    if (e) {
        err_ignore(engine_remove_tree(from), "the next one does");
        if (w.mark)
            container_unmark_stopped(c);
        return e;
    }
    dump_stats(to, ret);
    ret->whole_us = now_us() - began;
    own_mem char *log = mem_printf("%s/" DUMP_LOG, to);
    if (!o->keep)
        (void)unlink(log);
    container_say(c, "checkpoint", "checkpoint", name, NULL);
    return running ? NULL : await_end(c, s);
}

fallible container_checkpoint(struct container *c, const struct checkpoint_options *o, struct checkpoint_stats *ret)
{
    const struct container_config *config;
    struct container_state s = { 0 };
    *ret = (struct checkpoint_stats){ 0 };
    if (o->name)
        TRY(check_name(o->name));
    TRY(container_lock(c));
    TRY(container_config(c, &config));
    TRY(container_state(c, &s));
    bool runs = (s.status == CONTAINER_RUNNING || s.status == CONTAINER_PAUSED) && !s.waits;
    err *e = runs ? check_config(c, config, "checkpoint")
                  : err_new(ERR_CONFLICT, "cannot checkpoint container '%s': it is not running", c->row.name);
    if (!e && config->auto_remove && !o->leave_running && !o->pre_dump && !o->dir)
        e = err_new(ERR_CONFLICT,
                    "cannot checkpoint container '%s': it goes when it ends (--rm), and the checkpoint with it: say "
                    "--leave-running, or make it without --rm",
                    c->row.name);
    if (!e)
        e = checkpoint(c, o, &s, ret);
    container_state_clear(&s);
    return e;
}

/* ---- and back ---- */

fallible container_restore(struct container *c, const struct checkpoint_options *o, int *ret_sock,
                           struct checkpoint_stats *ret)
{
    const struct container_config *config;
    const char *name = o->name ? o->name : CHECKPOINT_DEFAULT;
    own_mem char *from = path_of(c, o->dir, name);
    int64_t began = now_us();
    *ret = (struct checkpoint_stats){ 0 };
    TRY(check_name(name));
    TRY(container_config(c, &config));
    TRY(check_config(c, config, "restore"));
    own_fd int images = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (images < 0 && errno == ENOENT)
        return err_new(ERR_NOT_FOUND, "container '%s' has no checkpoint '%s': see `husk checkpoint ls`", c->row.name,
                       name);
    if (images < 0)
        return err_sys(errno, "open '%s'", from);
    const struct runtime_criu how = { .images_fd = images,
                                      .work_fd = images,
                                      .tcp_established = o->tcp_established,
                                      .tcp_close = o->tcp_close,
                                      .file_locks = o->file_locks,
                                      .status_fd = -1,
                                      .anew = true };
    c->restore = &how;
    err *e = container_start(c, ret_sock);
    c->restore = NULL;
    if (err_is(e, ERR_UNCHANGED)) {
        err_free(e);
        return err_new(ERR_CONFLICT, "cannot restore container '%s': it is running", c->row.name);
    }
    TRY(e);
    restore_stats(from, ret);
    ret->whole_us = now_us() - began;
    return NULL;
}

/* ---- those that are there ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

fallible checkpoint_list(const struct container *c, const char *dir, struct strv *ret)
{
    own_mem char *all = dir ? mem_strdup(dir) : mem_printf("%s/checkpoints", c->dir);
    own_dir DIR *d = opendir(all);
    if (!d && (errno != ENOENT || dir))
        return err_sys(errno, "open '%s'", all);
    for (const struct dirent *entry; d && (entry = readdir(d));)
        if (entry->d_name[0] != '.' && checkpoint_exists(c, dir, entry->d_name))
            strv_add(ret, entry->d_name);
    if (ret->n)
        qsort(ret->items, ret->n, sizeof *ret->items, by_name);
    return NULL;
}

bool checkpoint_exists(const struct container *c, const char *dir, const char *name)
{
    own_mem char *path = path_of(c, dir, name), *inventory = mem_printf("%s/inventory.img", path);
    return access(inventory, F_OK) == 0;
}

fallible checkpoint_remove(struct container *c, const char *dir, const char *name)
{
    own_mem char *path = path_of(c, dir, name);
    TRY(check_name(name));
    TRY(container_lock(c));
    if (!checkpoint_exists(c, dir, name)) /* and nothing else is removed by this */
        return err_new(ERR_NOT_FOUND, "container '%s' has no checkpoint '%s'", c->row.name, name);
    if (str_eq(name, CHECKPOINT_DEFAULT)) { /* what it was made on top of */
        own_mem char *before = path_of(c, dir, CHECKPOINT_BEFORE);
        TRY(engine_remove_tree(before));
    }
    return engine_remove_tree(path);
}
