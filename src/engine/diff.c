// SPDX-License-Identifier: GPL-2.0-or-later
/* What a container changed in its root, and the whole of it: read by a child that may read all of it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "engine/container_parts.h"
#include "engine/inside.h"
#include "engine/lowers.h"
#include "engine/storage.h"
#include "layers/diff.h"
#include "os/fs.h"
#include "os/root.h"

/* Mount points that husk itself makes; what is in the image below them is hidden anyway. */
static const char *const own_paths[] = { "dev", "proc", "sys", "etc/resolv.conf" };

void container_diff_skip(const struct container_config *c, struct strv *ret)
{
    if (!c->no_hosts)
        strv_add(ret, "etc/hosts");
    if (!c->no_hostname)
        strv_add(ret, "etc/hostname");
    for (size_t i = 0; i < ARRAY_SIZE(own_paths) - (c->no_resolv ? 1 : 0); i++) /* the last one may be the image's */
        strv_add(ret, own_paths[i]);
}

struct lister {
    const struct container_config *config;
    const struct rootfs_source *root;
    int out, other;
    struct str text;
};

static err *add_change(void *ctx, enum diff_kind kind, const char *path)
{
    struct lister *l = ctx;
    str_add_char(&l->text, (char)kind);
    str_add_n(&l->text, path, strlen(path) + 1);
    if (l->text.len < 1 << 16)
        return NULL;
    TRY(fs_write_fd(l->out, l->text.text, l->text.len, "a pipe"));
    l->text.len = 0;
    return NULL;
}

static err *list(void *ctx)
{
    struct lister *l = ctx;
    own_strv struct strv skip = { 0 };
    close_now(&l->other);
    own_fd int upper = open(l->root->upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (upper < 0)
        return err_sys(errno, "open '%s'", l->root->upper);
    container_diff_skip(l->config, &skip);
    struct diff d = { .upper_fd = upper, .lowers = &l->root->lowers, .skip = &skip };
    TRY(diff_list(&d, add_change, l));
    return l->text.len ? fs_write_fd(l->out, l->text.text, l->text.len, "a pipe") : NULL;
}

static fallible read_all(int fd, struct str *ret)
{
    char buffer[1 << 14];
    ssize_t n;
    while ((n = read(fd, buffer, sizeof buffer)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(errno, "read the list of changes");
        str_add_n(ret, buffer, (size_t)n);
    }
    return NULL;
}

/* A directory that is told only because husk made a mount point in it: nothing in it is told. */
static bool is_ours(const char *path, const char *next)
{
    size_t n = strlen(path);
    if (next && strncmp(next, path, n) == 0 && (next[n] == '/' || n == 1))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(own_paths); i++)
        if (n == 1 || (strncmp(own_paths[i], path + 1, n - 1) == 0 && own_paths[i][n - 1] == '/'))
            return true;
    return false;
}

static fallible tell_all(const struct str *text, diff_tell *tell, void *ctx)
{
    const char *end = text->text + text->len;
    for (const char *p = text->text; text->len && p < end;) {
        const char *next = p + strlen(p) + 1;
        if (*p != DIFF_CHANGED || !is_ours(p + 1, next < end ? next + 1 : NULL))
            TRY(tell(ctx, (enum diff_kind) * p, p + 1));
        p = next;
    }
    return NULL;
}

/* Its image's layers and its changes as an upper directory over them: as if it were an overlay. */
static fallible vfs_root(struct container *c, struct rootfs_source *ret, struct storage_hold *ret_hold)
{
    struct rootfs_source root = { .kind = ROOTFS_OVERLAY };
    err *e = lowers_of(c->engine, &c->config->layers, &root.lowers);
    if (!e)
        e = storage_upper(c, &root.upper, ret_hold);
    if (e)
        rootfs_source_free(&root);
    else
        *ret = root;
    return e;
}

fallible container_diff(struct container *c, diff_tell *tell, void *ctx)
{
    struct rootfs_source root = { 0 };
    int ends[2];
    struct child_work child;
    own_str struct str text = { 0 };
    const struct container_config *config;
    struct storage_hold hold = STORAGE_HOLD_NONE;
    TRY(container_config(c, &config));
    TRY(container_root(c, &root));
    if (str_eq(config->storage, "vfs")) {
        rootfs_source_free(&root);
        TRY(vfs_root(c, &root, &hold));
    }
    if (root.kind != ROOTFS_OVERLAY) {
        rootfs_source_free(&root);
        return err_new(ERR_UNSUPPORTED, "container '%s' has a directory as its root, so nobody knows what it changed",
                       c->row.name);
    }
    err *e = pipe2(ends, O_CLOEXEC) < 0 ? err_sys(errno, "make a pipe") : NULL;
    if (e) {
        storage_upper_end(root.upper, &hold);
        rootfs_source_free(&root);
        return e;
    }
    own_fd int from = ends[0], to = ends[1];
    struct lister l = { .config = config, .root = &root, .out = to, .other = from };
    e = on_disk_begin(list, &l, &child);
    close_now(&to);
    if (!e) {
        err *reading = read_all(from, &text);
        close_now(&from);
        e = child_end(&child);
        if (!e)
            e = reading;
        else
            err_ignore(reading, "the child's error comes first");
    }
    storage_upper_end(root.upper, &hold);
    rootfs_source_free(&root);
    TRY(e);
    return tell_all(&text, tell, ctx);
}

/* ---- export ---- */

static err *write_out(void *ctx, const void *bytes, size_t n)
{
    return fs_write_fd(*(const int *)ctx, bytes, n, "the archive");
}

static err *export_root(int root_fd, void *ctx)
{
    own_fd int dir = -1;
    TRY(root_open(root_fd, "/", O_RDONLY | O_DIRECTORY, &dir));
    return diff_tar(&(struct diff){ .upper_fd = dir, .whole = true }, write_out, ctx);
}

fallible container_export(struct container *c, int fd)
{
    TRY(container_inside(c, INSIDE_ROOT, export_root, &fd));
    container_say(c, "export", NULL);
    return NULL;
}
