// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/clone.h"
#include "engine/container_parts.h"
#include "engine/grammar.h"
#include "engine/image_mount.h"
#include "engine/link.h"
#include "engine/names.h"
#include "engine/network_start.h"
#include "engine/paths.h"
#include "engine/pod_parts.h"
#include "engine/secret.h"
#include "engine/spec.h"
#include "engine/storage.h"
#include "engine/userns.h"
#include "engine/volume.h"
#include "layers/layer.h"
#include "os/fs.h"
#include "os/quota.h"
#include "usernet/usernet.h"

enum { NAME_ATTEMPTS = 50 };

fallible name_check(const char *name)
{
    return grammar_name("container name", name);
}

/* --storage-opt size=: one project for both directories, between which overlayfs renames. */
static fallible limit_storage(struct container *c)
{
    static const char *const parts[] = { "upper", "work" };
    char hex[9];
    if (!c->config->storage_bytes)
        return NULL;
    random_hex(hex, 4);
    c->config->storage_project = (int64_t)(strtoul(hex, NULL, 16) | 0x10000);
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        own_fd int fd = openat(c->lock_fd, parts[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            return err_sys(errno, "open '%s/%s'", c->dir, parts[i]);
        TRY_AS(quota_set(fd, (uint32_t)c->config->storage_project, (uint64_t)c->config->storage_bytes, 0),
               "--storage-opt");
    }
    return NULL;
}

/* The folder with its lock held from its first moment, so that nobody sweeps it while it has no row yet. */
static fallible make_folder(struct container *c)
{
    static const char *const parts[] = { "upper", "work" };
    own_mem char *parent = mem_printf("%s/containers", c->engine->root);
    if (mkdir(c->dir, 0700) < 0) {
        if (errno != ENOENT)
            return err_sys(errno, "make '%s'", c->dir);
        TRY(fs_mkdirs_at(AT_FDCWD, parent, 0700));
        if (mkdir(c->dir, 0700) < 0)
            return err_sys(errno, "make '%s'", c->dir);
    }
    TRY(container_lock(c));
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        if (mkdirat(c->lock_fd, parts[i], 0755) < 0) /* upper's mode is what the container's / has */
            return err_sys(errno, "make '%s/%s'", c->dir, parts[i]);
    TRY(limit_storage(c));
    uid_t owner = (uid_t)c->config->userns_first; /* of the container's / */
    gid_t group = c->config->userns_first_gid ? (gid_t)c->config->userns_first_gid : owner;
    if (owner && fchownat(c->lock_fd, "upper", owner, group, 0) < 0)
        return err_sys(errno, "give '%s/upper' to the container", c->dir);
    return NULL;
}

static void volumes_used(const struct container_config *config, struct strv *ret)
{
    for (size_t i = 0; i < config->mounts_n; i++)
        if (strcmp(config->mounts[i].type, "volume") == 0)
            strv_add(ret, config->mounts[i].source);
}

/* A name that was asked for, or random ones until one is free. */
struct more_rows {
    struct container *container;
    struct network_wishes *networks;
    struct pod *infra_of; /* whose row is made with it */
};

static err *add_more(void *ctx)
{
    const struct more_rows *m = ctx;
    struct db *db;
    TRY(engine_db(m->container->engine, &db));
    if (m->infra_of)
        TRY(pod_add_row(m->infra_of));
    else if (m->container->row.pod)
        TRY(db_pod_must_exist(db, m->container->row.pod));
    return network_add_rows(m->container->engine, m->container->row.id, m->networks);
}

static fallible add_row(struct container *c, const struct create_options *o, struct network_wishes *networks)
{
    const char *name = o->name;
    struct more_rows rows = { c, networks, (struct pod *)o->infra_of };
    db_more *more = networks->networks.n || networks->ports.n || c->row.pod ? add_more : NULL;
    struct db *db;
    own_strv struct strv volumes = { 0 };
    volumes_used(c->config, &volumes);
    TRY(engine_db(c->engine, &db));
    if (name) {
        c->row.name = mem_strdup(name);
        return db_container_add(db, &c->row, &volumes, more, &rows);
    }
    for (int attempt = 0;; attempt++) {
        free(c->row.name);
        c->row.name = names_random(attempt);
        err *e = db_container_add(db, &c->row, &volumes, more, &rows);
        if (!err_is(e, ERR_EXISTS) || attempt == NAME_ATTEMPTS)
            return e;
        err_free(e);
    }
}

void container_keep(struct container *c)
{
    own_mem char *folder = mem_printf("containers/%s", c->row.id);
    engine_settle(c->engine, folder);
}

static int64_t now_ns(void)
{
    struct timespec t = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The modes with a container in them are kept by ID: a name may go to another. */
static fallible pin_container(struct engine *e, const char *option, char **mode)
{
    own(container) struct container *other = NULL;
    if (!str_starts(*mode, "container:"))
        return NULL;
    TRY_AS(container_find(e, *mode + strlen("container:"), &other), "%s", option);
    free(*mode);
    *mode = mem_printf("container:%s", other->row.id);
    return NULL;
}

/* As docker: who joins a network reads that container's /etc/hosts, where its own ID has no line; so it goes by the
 * name that has one. */
static fallible take_name(struct container *c)
{
    own(container) struct container *other = NULL;
    const struct container_config *theirs;
    if (c->config->hostname || !str_eq(c->config->uts, "private") || !str_starts(c->config->network, "container:"))
        return NULL;
    TRY(container_find(c->engine, c->config->network + strlen("container:"), &other));
    TRY(container_config(other, &theirs));
    c->config->hostname = spec_hostname(other->row.id, theirs);
    return NULL;
}

static void undo(struct container *c, const struct strv *volumes)
{
    for (size_t i = 0; i < volumes->n; i++)
        err_ignore(volume_remove(c->engine, volumes->items[i]), "undoing; the first error says what went wrong");
    err_ignore(engine_remove_tree(c->dir), "undoing; the first error says what went wrong");
}

/* A file that a script waits for must never be seen half written, nor replace a container's that still is. */
static fallible write_cidfile(const char *path, const char *id)
{
    own_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 && errno == EEXIST)
        return err_new(ERR_EXISTS, "--cidfile: '%s' exists: remove it, or name another", path);
    if (fd < 0)
        return err_sys(errno, "--cidfile: make '%s'", path);
    return fs_write_fd(fd, id, strlen(id), path);
}

static fallible check_rootfs(const struct container_config *config)
{
    struct stat st;
    if (!config->rootfs)
        return NULL;
    if (stat(config->rootfs, &st) < 0)
        return err_sys(errno, "--rootfs '%s'", config->rootfs);
    if (!S_ISDIR(st.st_mode))
        return err_new(ERR_INVALID, "--rootfs '%s': it is no directory", config->rootfs);
    return NULL;
}

/* As late as it can be: what is wrong with the new one is found while the old one runs. */
static fallible remove_old(struct engine *e, const char *name, bool *ret_removed)
{
    own(container) struct container *old = NULL;
    err *missing = container_find(e, name, &old);
    if (err_is(missing, ERR_NOT_FOUND)) {
        err_free(missing);
        return NULL;
    }
    TRY(missing);
    if (strcmp(old->row.name, name) != 0)
        return NULL; /* its ID begins so: another's */
    TRY_AS(container_remove(old, &(struct remove_options){ .force = true }), "--replace");
    *ret_removed = true;
    return NULL;
}

static fallible fill(struct container *c, const struct create_options *o, struct network_wishes *networks,
                     struct strv *made)
{
    const char *cidfile = o->cidfile;
    struct rootfs_source root = { 0 };
    bool replaced = false;
    TRY(make_folder(c));
    if (str_eq(c->config->storage, "vfs"))
        TRY_AS(storage_copy(c), "copy the image");
    TRY(container_root(c, &root));
    free(root.upper);
    free(root.work);
    root.upper = root.work = NULL;
    err *e = userns_shift(c->config, &root);
    if (!e && (c->config->systemd || c->config->init))
        e = container_find_init(c->config, &root);
    if (!e)
        e = container_write_machine_id(c);
    if (!e)
        e = volumes_prepare(c->engine, c->config, &root, made);
    rootfs_source_free(&root);
    TRY(e);
    if (cidfile)
        TRY(write_cidfile(cidfile, c->row.id));
    c->row.config = bind_write(&container_config_type, c->config, BIND_COMPACT);
    const char *name = o->infra_of ? o->infra_of->row.name : o->name;
    if (o->replace && name)
        e = o->infra_of ? pod_remove_old(c->engine, name, &replaced) : remove_old(c->engine, name, &replaced);
    if (!e)
        e = add_row(c, o, networks);
    if (e && cidfile)
        (void)unlink(cidfile);
    return e && replaced ? err_wrap(e, "'%s' was removed, but not replaced", name) : e;
}

static fallible check_layers(struct engine *e, const struct container_config *config)
{
    struct layout *layout;
    TRY(engine_layout(e, &layout));
    for (size_t i = 0; i < config->layers.n; i++)
        if (!layer_exists(layout, config->layers.items[i]))
            return err_new(ERR_NOT_FOUND, "the image's layer %s is not in the store: pull the image again",
                           config->layers.items[i]);
    return NULL;
}

static fallible copy_mount(const struct container_mount *from, struct container_mount *to)
{
    own_json json_t *doc = bind_write_json(&container_mount_type, from);
    void *copy = NULL;
    TRY(bind_read_json(&container_mount_type, doc, &copy));
    *to = *(struct container_mount *)copy;
    free(copy);
    return NULL;
}

/* One of another container's mounts: the user's own at the same place stands, an image's volume gives way. */
static fallible take_mount(struct container_config *c, const struct container_mount *from, const struct strv *words)
{
    struct container_mount *to = NULL;
    for (size_t i = 0; i < c->mounts_n; i++)
        if (strcmp(c->mounts[i].target, from->target) == 0)
            to = &c->mounts[i];
    if (to && !to->from_image)
        return NULL;
    if (to)
        container_mount_clear(to);
    else
        to = container_config_add_mount(c);
    TRY(copy_mount(from, to));
    to->from_image = false;
    to->nocopy = true; /* it has been filled where it comes from */
    for (size_t i = 0; i < words->n; i++)
        if (strcmp(words->items[i], "ro") == 0)
            to->read_only = true;
    return NULL;
}

static fallible volumes_from(struct engine *e, const char *text, struct container_config *c)
{
    const char *colon = strchr(text, ':');
    own_mem char *name = colon ? mem_strndup(text, (size_t)(colon - text)) : mem_strdup(text);
    own_strv struct strv words = { 0 };
    own(container) struct container *other = NULL;
    const struct container_config *theirs;
    if (colon)
        strv_split(&words, colon + 1, ',');
    for (size_t i = 0; i < words.n; i++)
        if (strcmp(words.items[i], "ro") != 0 && strcmp(words.items[i], "rw") != 0 &&
            strcmp(words.items[i], "z") != 0 && strcmp(words.items[i], "Z") != 0)
            return err_new(ERR_INVALID, "'%s': '%s' is not one of ro, rw, z, Z", text, words.items[i]);
    TRY(container_find(e, name, &other));
    TRY(container_config(other, &theirs));
    for (size_t i = 0; i < theirs->mounts_n; i++)
        if (theirs->mounts[i].source && strcmp(theirs->mounts[i].target, POD_HOLDER) != 0) /* a tmpfs is its own */
            TRY(take_mount(c, &theirs->mounts[i], &words));
    return NULL;
}

static fallible choose_storage(struct container *c)
{
    enum settings_driver driver;
    if (c->config->rootfs && !c->config->rootfs_overlay)
        return NULL;
    TRY(storage_driver(c->engine, &driver, NULL));
    if (driver == SETTINGS_DRIVER_VFS && c->config->rootfs)
        return err_new(ERR_UNSUPPORTED,
                       "--rootfs '%s:O': nothing can be mounted over it here (storage driver vfs): leave "
                       "out ':O', or copy it",
                       c->config->rootfs);
    if (driver != SETTINGS_DRIVER_OVERLAY)
        c->config->storage = mem_strdup(settings_driver_words[driver]);
    return NULL;
}

static void copy_maps(struct container *c, const struct container_config *theirs)
{
    struct container_config *k = c->config;
    k->userns_first = theirs->userns_first;
    k->userns_first_gid = theirs->userns_first_gid;
    k->userns_size = theirs->userns_size;
    strv_free(&k->uid_map);
    strv_free(&k->gid_map);
    strv_copy(&k->uid_map, theirs->uid_map.items, theirs->uid_map.n);
    strv_copy(&k->gid_map, theirs->gid_map.items, theirs->gid_map.n);
}

/* The same ids as another container's, which both have from now on. Namespaces of their own: what one may, it may in
 * its own world. */
static fallible join_userns(struct container *c)
{
    own(container) struct container *other = NULL;
    const struct container_config *theirs;
    if (!str_starts(c->config->userns, "container:"))
        return NULL;
    TRY_AS(container_find(c->engine, c->config->userns + strlen("container:"), &other), "--userns");
    TRY(container_config(other, &theirs));
    if (!theirs->userns_first && !engine_is_rootless())
        return err_new(ERR_INVALID, "--userns: container '%s' has no user namespace", other->row.name);
    copy_maps(c, theirs);
    free(c->config->userns);
    c->config->userns = mem_printf("container:%s", other->row.id);
    return NULL;
}

/* An ordinary user's container that joins another's namespaces lives in its user namespace, with its ids. */
static fallible live_with(struct container *c, bool *ret)
{
    const char *const modes[] = { c->config->network, c->config->pid, c->config->uts };
    for (size_t i = 0; engine_is_rootless() && i < ARRAY_SIZE(modes); i++) {
        own(container) struct container *other = NULL;
        const struct container_config *theirs;
        if (!modes[i] || !str_starts(modes[i], "container:"))
            continue;
        TRY(container_find(c->engine, modes[i] + strlen("container:"), &other));
        TRY(container_config(other, &theirs));
        copy_maps(c, theirs);
        *ret = true;
        return NULL;
    }
    return NULL;
}

static fallible settle_userns(struct container *c, int *ret_lock)
{
    bool joined = false;
    TRY(live_with(c, &joined));
    if (!joined && strcmp(c->config->userns, "auto") == 0)
        TRY(userns_allocate(c, ret_lock));
    if (!joined)
        TRY(userns_keep_user(c));
    return userns_choose_storage(c);
}

/* The root that another container has when it does not run, with a layer of ours over it: nothing of it is changed. */
static fallible show_stopped(struct container *c, const char *id)
{
    own(container) struct container *other = NULL;
    struct rootfs_source root = { 0 };
    TRY(container_find(c->engine, id, &other));
    TRY(container_root(other, &root));
    struct container_mount *m = container_config_add_mount(c->config);
    m->type = mem_strdup("bind");
    m->target = mem_strdup("/container");
    m->overlay = true;
    m->source = mem_strdup(root.kind == ROOTFS_DIR ? root.dir : root.upper);
    if (root.kind == ROOTFS_OVERLAY)
        strv_copy(&m->lowers, root.lowers.items, root.lowers.n);
    rootfs_source_free(&root);
    return NULL;
}

static fallible configure(struct container *c, const struct create_options *o, const struct image *image,
                          char *const *args, size_t args_n)
{
    if (o->clone_of) {
        TRY(clone_configure(c, o, image));
        TRY(check_layers(c->engine, c->config));
        TRY(join_userns(c));
        return choose_storage(c);
    }
    TRY(options_merge(o, image, args, args_n, &c->config));
    if (image && o->policy && !(c->config->signature_policy = realpath(o->policy, NULL)))
        return err_sys(errno, "find '%s'", o->policy);
    for (size_t i = 0; i < o->volumes_from.n; i++)
        TRY_AS(volumes_from(c->engine, o->volumes_from.items[i], c->config), "--volumes-from");
    for (size_t i = 0; i < c->config->secrets_n; i++) {
        own(secret) struct secret s = { 0 };
        TRY_AS(secret_find(c->engine, c->config->secrets[i].name, &s), "--secret");
    }
    TRY(check_rootfs(c->config));
    TRY(check_layers(c->engine, c->config));
    TRY(choose_storage(c));
    TRY(image_mount_resolve(c->engine, c->config));
    for (size_t i = 0; i < c->config->requires.n; i++) {
        own(container) struct container *other = NULL;
        TRY_AS(container_find(c->engine, c->config->requires.items[i], &other), "--requires");
        free(c->config->requires.items[i]);
        c->config->requires.items[i] = mem_strdup(other->row.id);
    }
    TRY(join_userns(c));
    c->config->infra = o->infra_of != NULL;
    c->config->init_ctr = mem_strdup(o->init_ctr);
    const struct pod *pod = o->infra_of ? o->infra_of : o->member_of;
    if (pod)
        TRY(pod_join(pod, c->config));
    if (o->debug_of)
        TRY(show_stopped(c, o->debug_of));
    TRY(pin_container(c->engine, "--uts", &c->config->uts));
    TRY(pin_container(c->engine, "--ipc", &c->config->ipc));
    return pin_container(c->engine, "--pid", &c->config->pid);
}

/* Why there is no network: to a person, once for a run-time folder. */
static void hint_once(struct engine *e)
{
    own_fd int run = -1;
    if (!isatty(STDERR_FILENO))
        return;
    err_ignore(paths_open_run(e->run, &run), "then it is not said");
    own_fd int mark = run < 0 ? -1 : openat(run, "hint.network", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (mark >= 0)
        log_warn("the container has no network: %s", pasta_missing());
}

/* A jail has the host's network, as was said when it was configured. */
static fallible plan_networks(struct container *c, const struct create_options *o, struct network_wishes *ret)
{
    if (o->with_id) {
        if (!o->network.n || !network_mode_is_ours(c->config->network))
            return NULL;
        TRY(network_wishes_read(o, &c->config->exposed, ret));
        return network_resolve(c->engine, ret);
    }
    if (o->clone_of)
        return clone_networks(o->clone_of, ret);
    if (c->config->network)
        return NULL;
    TRY(network_wishes_read(o, &c->config->exposed, ret));
    if (ret->fell_back)
        hint_once(c->engine);
    TRY(network_resolve(c->engine, ret));
    c->config->network = mem_strdup(ret->mode);
    for (size_t i = 0; i < ret->networks.n; i++)
        network_sysctls(&ret->networks.items[i], &c->config->sysctl);
    for (size_t i = 0; i < o->link.n; i++) {
        char *link;
        if (!network_mode_is_ours(ret->mode))
            return err_new(ERR_INVALID, "--link: with --network %s husk's resolver is not asked for names", ret->mode);
        TRY_AS(link_read(c->engine, o->link.items[i], &link), "--link");
        strv_add_take(&c->config->links, link);
    }
    if (c->config->net_rate && !network_mode_is_ours(ret->mode) && !network_cni(ret->mode))
        return err_new(ERR_INVALID, "--net-rate: with --network %s there is no interface of husk's to limit",
                       ret->mode);
    if (c->config->egress.n && !network_mode_is_ours(ret->mode))
        return err_new(ERR_INVALID, "--egress: with --network %s there is no bridge of husk's that could keep it in",
                       ret->mode);
    TRY(pin_container(c->engine, "--network", &c->config->network));
    return o->member_of ? NULL : take_name(c); /* a pod says whose name its members have */
}

/* The image that is asked for, pulled where it has to be: none for a root that is there, and for what is like another
 * container. With it, and with what may name images, the store is held. */
static fallible find_image(struct engine *e, const struct create_options *o, const char *name, size_t args_n,
                           struct image **ret, int *ret_store_lock)
{
    own_mem char *platform = NULL;
    if ((o->arch || o->os || o->variant) && o->platform)
        return err_new(ERR_INVALID, "--platform and --os, --arch, --variant exclude each other");
    TRY_AS(platform_of_words(o->os, o->arch, o->variant, &platform), "--arch");
    if (o->platform)
        TRY_AS(platform_parse(o->platform, &platform), "--platform");
    if (!o->rootfs && !o->infra_of && (!o->clone_of || args_n)) {
        struct image_wish wish = { .name = name,
                                   .platform = platform,
                                   .pull = o->pull,
                                   .policy = o->policy,
                                   .quiet = o->quiet,
                                   .authfile = o->authfile,
                                   .cert_dir = o->cert_dir,
                                   .creds = o->creds,
                                   .tls_verify = o->tls_verify,
                                   .retry = o->retry,
                                   .retry_delay = o->retry_delay };
        TRY(image_for_container(e, &wish, ret, ret_store_lock));
    }
    if (*ret_store_lock < 0 && (o->mount.n || o->clone_of)) { /* of images, perhaps */
        struct layout *l;
        TRY(engine_layout(e, &l));
        TRY(layout_lock(l, LAYOUT_ADDING, ret_store_lock));
    }
    return NULL;
}

/* image and name: NULL for none. */
static struct db_container new_row(const struct create_options *o, const struct image *image, const char *name)
{
    const struct db_container *other = o->clone_of ? &o->clone_of->row : NULL;
    const struct pod *pod = o->infra_of ? o->infra_of : o->member_of;
    char id[65];
    if (o->with_id)
        (void)snprintf(id, sizeof id, "%s", o->with_id);
    else
        random_hex(id, 32);
    if (o->infra_of) {
        struct pod *made_for = (struct pod *)o->infra_of;
        made_for->row.infra = mem_strdup(id);
    }
    return (struct db_container){
        .id = mem_strdup(id),
        .image = image   ? mem_strdup(name)
                 : other ? mem_strdup(other->image)
                         : NULL,
        .image_id = image   ? mem_strdup(image->id)
                    : other ? mem_strdup(other->image_id)
                            : NULL,
        .manifest = image   ? mem_strdup(image->manifest_digest)
                    : other ? mem_strdup(other->manifest)
                            : NULL,
        .created_ns = now_ns(),
        .pod = pod     ? mem_strdup(pod->row.id)
               : other ? mem_strdup(other->pod)
                       : NULL,
    };
}

fallible container_create(struct engine *e, const struct create_options *o, char *const *args, size_t args_n,
                          struct container **ret)
{
    own(image) struct image *image = NULL;
    own_fd int store_lock = -1, userns_lock = -1;
    own_strv struct strv made = { 0 };
    if (o->pod || o->pod_id_file || (o->init_ctr && !o->member_of))
        return pod_create_member(e, o, args, args_n, ret);
    if (o->name)
        TRY_AS(name_check(o->name), "--name");
    TRY(find_image(e, o, args_n ? *args : NULL, args_n, &image, &store_lock));
    const char *name = image ? *args : NULL; /* and what follows it is the command */
    struct db_container row = new_row(o, image, name);
    args += image != NULL;
    args_n -= image != NULL;
    own(container) struct container *c = container_new(e, &row);
    own(network_wishes) struct network_wishes networks = { 0 };
    TRY(configure(c, o, image, args, args_n));
    TRY(plan_networks(c, o, &networks));
    TRY(settle_userns(c, &userns_lock));
    err *failed = fill(c, o, &networks, &made);
    if (failed) {
        undo(c, &made);
        return failed;
    }
    container_say(c, "create", NULL);
    c->admitted = true;
    *ret = take(c);
    return NULL;
}
