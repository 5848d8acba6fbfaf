// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/checkpoint_archive.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/bind.h"
#include "engine/container_parts.h"
#include "engine/copy.h"
#include "engine/db_trash.h"
#include "engine/unpacked.h"
#include "image/layout.h"
#include "layers/diff.h"
#include "layers/layer.h"
#include "layers/untar.h"
#include "os/fs.h"
#include "os/proc.h"

#define DOCUMENT "container.json"
#define ROOTFS   "rootfs.tar"
enum { VERSION = 1, DOCUMENT_MAX = 4 << 20 };

struct archived {
    int64_t version;
    char *id, *name, *image, *image_id, *manifest, *config;
    struct strv networks, ports; /* as --network and --publish take them */
};
#define T struct archived
static const struct bind_field archived_fields[] = {
    BIND_I64(T, version, "version"),
    BIND_STR(T, id, "id", .flags = BIND_REQUIRED),
    BIND_STR(T, name, "name", .flags = BIND_REQUIRED),
    BIND_STR(T, image, "image"),
    BIND_STR(T, image_id, "imageId"),
    BIND_STR(T, manifest, "manifest"),
    BIND_STR(T, config, "config", .flags = BIND_REQUIRED),
    BIND_STRS(T, networks, "networks"),
    BIND_STRS(T, ports, "ports"),
    BIND_END,
};
#undef T
static const struct bind_type archived_type = { "archive", sizeof(struct archived), archived_fields, false };
static void archived_free(struct archived *a)
{
    bind_free(&archived_type, a);
}
OWN_TYPE(archived, struct archived *, archived_free)

/* ---- export ---- */

fallible checkpoint_export_check(struct container *c, const struct checkpoint_archive *a)
{
    static const char *const forms[] = { "zstd", "gzip", "none" };
    const struct container_config *k;
    bool known = !a->compress;
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
        known |= str_eq(a->compress, forms[i]);
    if (!known)
        return err_new(ERR_INVALID, "--compress: '%s' is not one of zstd, gzip, none", a->compress);
    TRY(container_config(c, &k));
    if (k->rootfs)
        return err_new(ERR_UNSUPPORTED, "--export: container '%s' has a directory of the host as its root: carry that",
                       c->row.name);
    for (size_t i = 0; i < k->mounts_n; i++) {
        const struct container_mount *m = &k->mounts[i];
        if (!str_eq(m->type, "volume"))
            continue;
        if (m->anonymous)
            return err_new(
                ERR_UNSUPPORTED,
                "--export: container '%s' has a volume without a name on '%s', which nobody can carry along: "
                "give it one",
                c->row.name, m->target);
        if (!a->no_volumes)
            return err_new(
                ERR_UNSUPPORTED,
                "--export: container '%s' has the volume '%s', which is not put into the archive: carry it by "
                "`husk volume export`, and say --ignore-volumes",
                c->row.name, m->source);
    }
    return NULL;
}

/* "NAME:ip=,mac=,alias=,interface=" */
static fallible describe_network(struct db *db, const struct db_endpoint *e, struct strv *ret)
{
    own(db_network) struct db_network n = { 0 };
    own_str struct str text = { 0 };
    char ip[IP_TEXT];
    TRY(db_network_find(db, e->network, &n));
    str_printf(&text, "%s:interface=%s", n.name, e->interface);
    if (e->want_ip4.family)
        str_printf(&text, ",ip=%s", ip_text(&e->want_ip4, ip));
    if (e->want_ip6.family)
        str_printf(&text, ",ip6=%s", ip_text(&e->want_ip6, ip));
    if (e->want_mac)
        str_printf(&text, ",mac=%s", e->want_mac);
    for (size_t i = 0; i < e->aliases.n; i++)
        str_printf(&text, ",alias=%s", e->aliases.items[i]);
    strv_add_take(ret, str_take(&text));
    return NULL;
}

static void describe_port(const struct db_port *p, struct strv *ret)
{
    own_str struct str text = { 0 };
    bool six = strchr(p->host_ip, ':');
    if (*p->host_ip)
        str_printf(&text, "%s%s%s:", six ? "[" : "", p->host_ip, six ? "]" : "");
    if (p->want_port)
        str_printf(&text, "%d:", (int)p->want_port);
    else if (*p->host_ip)
        str_add_char(&text, ':');
    str_printf(&text, "%d/%s", (int)p->container_port, p->proto);
    strv_add_take(ret, str_take(&text));
}

static fallible describe(struct container *c, struct archived *a)
{
    own(db_endpoints) struct db_endpoints networks = { 0 };
    own(db_ports) struct db_ports ports = { 0 };
    struct db *db;
    TRY(engine_db(c->engine, &db));
    TRY(db_endpoint_list(db, c->row.id, NULL, &networks));
    TRY(db_port_list(db, c->row.id, &ports));
    for (size_t i = 0; i < networks.n; i++)
        TRY(describe_network(db, &networks.items[i], &a->networks));
    for (size_t i = 0; i < ports.n; i++)
        describe_port(&ports.items[i], &a->ports);
    a->version = VERSION;
    a->id = mem_strdup(c->row.id);
    a->name = mem_strdup(c->row.name);
    a->image = mem_strdup(c->row.image);
    a->image_id = mem_strdup(c->row.image_id);
    a->manifest = mem_strdup(c->row.manifest);
    a->config = mem_strdup(c->row.config);
    return NULL;
}

static fallible write_document(struct container *c, int dir)
{
    own(archived) struct archived *a = mem_zalloc(sizeof *a);
    TRY(describe(c, a));
    own_mem char *text = bind_write(&archived_type, a, BIND_INDENTED);
    return fs_replace_at(dir, DOCUMENT, text, strlen(text), 0600, FS_SYNC_NONE);
}

static err *write_out(void *ctx, const void *bytes, size_t n)
{
    return fs_write_fd(*(const int *)ctx, bytes, n, "the archive");
}

static fallible write_rootfs(struct container *c, int dir)
{
    struct rootfs_source root = { 0 };
    TRY(container_root(c, &root));
    own_fd int upper = open(root.upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_fd int to = upper < 0 ? -1 : openat(dir, ROOTFS, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    err *e = to < 0 ? err_sys(errno, "open the writable layer and a place for it")
                    : diff_tar(&(struct diff){ .upper_fd = upper, .lowers = &root.lowers }, write_out, &to);
    rootfs_source_free(&root);
    return e;
}

/* husk-image packs, which has the libraries. What ends it, such as a full disk, it says by itself: that our pipe is
 * broken then is no more than what follows. */
static fallible pack(int dir, const char *form, int out)
{
    int ends[2], status = 0;
    own_mem char *program = NULL, *word = mem_strdup(form);
    own_fd int pidfd = -1;
    TRY(self_find_program("husk-image", &program));
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    own_fd int in = ends[0];
    own_fd int ours = ends[1];
    char *argv[] = { program, (char[]){ "pack-stream" }, word, NULL };
    TRY(spawn_start(&(struct spawn){ .argv = argv, .stdin_fd = in, .stdout_fd = out, .stderr_fd = -1 }, &pidfd));
    close_now(&in);
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    err *e = diff_tar(&(struct diff){ .upper_fd = dir, .whole = true }, write_out, &ours);
    close_now(&ours);
    (void)signal(SIGPIPE, before);
    err *failed = proc_wait(pidfd, -1, &status);
    if (!failed && proc_exit_code(status) != 0)
        failed = err_exit(125); /* it has said why */
    if (failed)
        err_ignore(e, "it is what ended the packer");
    return failed ? failed : e;
}

fallible checkpoint_export(struct container *c, const char *name, const struct checkpoint_archive *a, int out)
{
    own_mem char *path = checkpoint_path(c, name ? name : CHECKPOINT_DEFAULT);
    own_fd int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_sys(errno, "open '%s'", path);
    TRY(write_document(c, dir));
    if (!a->no_rootfs)
        TRY_AS(write_rootfs(c, dir), "--export");
    const char *form = a->compress ? a->compress : "zstd";
    err *e = str_eq(form, "none") ? diff_tar(&(struct diff){ .upper_fd = dir, .whole = true }, write_out, &out)
                                  : pack(dir, form, out);
    (void)unlinkat(dir, ROOTFS, 0);
    TRY_AS(e, "--export '%s'", a->file);
    return NULL;
}

/* ---- import ---- */

/* Locked, as all that is at work in staging. */
static fallible make_stage(struct engine *e, char **ret, int *ret_fd)
{
    char digits[17];
    random_hex(digits, 8);
    own_mem char *path = mem_printf("%s/tmp/import-%s", e->root, digits);
    TRY(fs_mkdirs_at(AT_FDCWD, path, 0700));
    *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*ret_fd < 0 || flock(*ret_fd, LOCK_EX) < 0)
        return err_sys(errno, "open '%s'", path);
    *ret = take(path);
    return NULL;
}

static fallible unpack(const char *file, int stage)
{
    struct unpacked u;
    own_fd int in = open(file, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return err_sys(errno, "open '%s'", file);
    TRY(unpacked_begin(in, &u));
    const struct copy_into into = { .path = "/", .as_is = true, .unpacked = &u };
    return unpacked_end(&u, copy_in(stage, &into, u.fd));
}

static fallible read_document(const char *file, int stage, struct archived **ret)
{
    own_mem char *text = NULL;
    size_t n = 0;
    void *read = NULL;
    err *e = fs_read_at(stage, DOCUMENT, DOCUMENT_MAX, &text, &n);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return err_new(ERR_INVALID, "'%s' is no archive of `husk container checkpoint --export`: it has no " DOCUMENT,
                       file);
    }
    TRY(e);
    TRY_AS(bind_read(&archived_type, text, n, &read), "'%s': " DOCUMENT, file);
    own(archived) struct archived *a = read;
    if (a->version != VERSION)
        return err_new(ERR_UNSUPPORTED, "'%s' is an archive of version %d: a newer husk reads it", file,
                       (int)a->version);
    if (strlen(a->id) != 64 || strspn(a->id, "0123456789abcdef") != 64)
        return err_new(ERR_INVALID, "'%s': " DOCUMENT ": id: '%s' is no ID", file, a->id);
    *ret = take(a);
    return NULL;
}

static fallible must_be_gone(struct engine *e, const struct archived *a)
{
    own(container) struct container *there = NULL;
    struct db *db;
    TRY(engine_db(e, &db));
    err *missing = container_find(e, a->id, &there);
    if (!missing)
        return err_new(
            ERR_EXISTS,
            "container '%s' of the archive is here (%.12s): `husk container restore` lets it go on, or remove "
            "it first",
            there->row.name, a->id);
    if (!err_is(missing, ERR_NOT_FOUND))
        return missing;
    err_free(missing);
    if (db_trash_has_container(db, a->id))
        return err_new(ERR_EXISTS,
                       "container '%s' of the archive is in the trash: `husk undo` brings it back, or empty that",
                       a->name);
    return NULL;
}

/* By its layers: the name may be another image's by now. */
static fallible want_image(struct engine *e, const struct archived *a)
{
    own(image) struct image *image = NULL;
    own_fd int lock = -1;
    void *read = NULL;
    struct layout *l;
    bool all = true;
    TRY(bind_read(&container_config_type, a->config, strlen(a->config), &read));
    struct container_config *k = read;
    err *failed = engine_layout(e, &l);
    for (size_t i = 0; !failed && i < k->layers.n; i++)
        all &= layer_exists(l, k->layers.items[i]);
    container_config_free(k);
    TRY(failed);
    if (all || !a->image)
        return NULL;
    return image_for_container(e, &(struct image_wish){ .name = a->image, .pull = "missing" }, &image, &lock);
}

/* "NAME:interface=eth0,ip=,mac=", as describe_network() writes it. */
static void networks_of(const struct archived *a, const struct checkpoint_archive *how, struct strv *ret)
{
    for (size_t i = 0; i < a->networks.n; i++) {
        own_str struct str kept = { 0 };
        const char *word = a->networks.items[i];
        for (size_t n; *word; word += n + (word[n] == ',')) {
            n = strcspn(word, ",");
            bool ip = str_starts(word, "ip=") || str_starts(word, "ip6="), mac = str_starts(word, "mac=");
            if ((ip && how->no_static_ip) || (mac && how->no_static_mac))
                continue;
            str_printf(&kept, "%s%.*s", kept.len ? "," : "", (int)n, word);
        }
        strv_add_take(ret, str_take(&kept));
    }
}

static fallible create(struct engine *e, const struct archived *a, const struct checkpoint_archive *how,
                       struct container **ret)
{
    own_strv struct strv networks = { 0 };
    networks_of(a, how, &networks);
    struct container as = { .engine = e,
                            .row = { .id = a->id,
                                     .name = a->name,
                                     .image = a->image,
                                     .image_id = a->image_id,
                                     .manifest = a->manifest,
                                     .config = a->config },
                            .lock_fd = -1 };
    const struct create_options o = { .name = how->name ? how->name : a->name,
                                      .clone_of = &as,
                                      .with_id = a->id,
                                      .network = networks,
                                      .publish = how->publish.n ? how->publish : a->ports };
    return container_create(e, &o, NULL, 0, ret);
}

struct file_source {
    int fd;
    unsigned char buffer[1 << 16];
};
static err *next_bytes(void *ctx, const unsigned char **ret_bytes, size_t *ret_n)
{
    struct file_source *f = ctx;
    ssize_t n;
    while ((n = read(f->fd, f->buffer, sizeof f->buffer)) < 0 && errno == EINTR)
        ;
    if (n < 0)
        return err_sys(errno, "read '" ROOTFS "'");
    *ret_bytes = f->buffer;
    *ret_n = (size_t)n;
    return NULL;
}

/* A layer's tar: its whiteouts become overlayfs's. */
static fallible fill_upper(struct container *c, int stage)
{
    struct untar_limits limits = { 0 };
    struct rootfs_source root = { 0 };
    own_mem struct file_source *f = mem_zalloc(sizeof *f);
    own_fd int in = openat(stage, ROOTFS, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (in < 0)
        return errno == ENOENT ? NULL : err_sys(errno, "open '" ROOTFS "'");
    f->fd = in;
    TRY(container_root(c, &root));
    own_fd int upper = root.upper ? open(root.upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    rootfs_source_free(&root);
    if (upper < 0)
        return err_sys(errno, "open the writable layer");
    own(tar) struct tar *t = tar_new((struct tar_source){ next_bytes, f });
    TRY(untar_limits_fill(&limits));
    TRY_AS(untar(t, upper, &limits), ROOTFS);
    (void)unlinkat(stage, ROOTFS, 0);
    return NULL;
}

static fallible take_checkpoint(struct container *c, const char *stage)
{
    own_mem char *all = mem_printf("%s/checkpoints", c->dir), *to = checkpoint_path(c, CHECKPOINT_DEFAULT);
    TRY(fs_mkdirs_at(AT_FDCWD, all, 0700));
    return rename(stage, to) < 0 ? err_sys(errno, "move the checkpoint to '%s'", to) : NULL;
}

static fallible import_staged(struct engine *e, const struct checkpoint_archive *a, const char *stage, int stage_fd,
                              struct container **ret)
{
    own(archived) struct archived *doc = NULL;
    own(container) struct container *c = NULL;
    TRY(unpack(a->file, stage_fd));
    TRY(read_document(a->file, stage_fd, &doc));
    TRY(must_be_gone(e, doc));
    TRY(want_image(e, doc));
    TRY(create(e, doc, a, &c));
    err *failed = a->no_rootfs ? NULL : fill_upper(c, stage_fd);
    if (!failed)
        failed = take_checkpoint(c, stage);
    if (failed) {
        err_ignore(container_remove(c, &(struct remove_options){ .force = true }),
                   "the first error says what went wrong");
        return failed;
    }
    *ret = take(c);
    return NULL;
}

fallible checkpoint_import(struct engine *e, const struct checkpoint_archive *a, struct container **ret)
{
    own_mem char *stage = NULL;
    own_fd int fd = -1;
    if (geteuid() != 0)
        return err_new(ERR_DENIED, "cannot restore '%s': CRIU needs root: run husk as root", a->file);
    TRY(make_stage(e, &stage, &fd));
    err *failed = import_staged(e, a, stage, fd, ret);
    err_ignore(engine_remove_tree(stage), "a sweep of staging does");
    return failed;
}
