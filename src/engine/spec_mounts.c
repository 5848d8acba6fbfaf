// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/secret.h"
#include "engine/spec_parts.h"

static void add_mount(struct oci_spec *spec, const char *target, const char *type, const char *source,
                      const char *options)
{
    struct oci_mount *m = oci_spec_add_mount(spec);
    m->destination = mem_strdup(target);
    m->type = mem_strdup(type);
    m->source = mem_strdup(source);
    strv_split(&m->options, options, ',');
}

static bool user_has(const struct container_config *c, const char *target)
{
    for (size_t i = 0; i < c->mounts_n; i++)
        if (strcmp(c->mounts[i].target, target) == 0)
            return true;
    return false;
}

/* Its own group of cgroup v2 in place of all: it divides that, and in v1's hierarchies it could lift its limits. */
static fallible add_systemd_cgroup(const struct spec_input *in, struct oci_spec *spec)
{
    if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) < 0 &&
        access("/sys/fs/cgroup/unified/cgroup.procs", F_OK) < 0)
        return err_new(ERR_UNSUPPORTED, "--systemd: it divides a control group of cgroup v2, and this host has none: "
                                        "boot it with cgroup v2, or say --systemd=false");
    if (!in->limits)
        return err_new(ERR_DENIED, "--systemd: it divides its control group, and you may make none: have one delegated "
                                   "(with systemd: loginctl enable-linger, and run husk in the user's session)");
    add_mount(spec, "/sys/fs/cgroup", "cgroup2", "cgroup", "nosuid,noexec,nodev,relatime,rw");
    return NULL;
}

/* In a user namespace that does not own the network (or pid, ipc) namespace the kernel refuses a new sysfs (proc,
 * mqueue): then the host's own is bound, which shows the same. */
static void add_default_mounts(const struct spec_input *in, struct oci_spec *spec)
{
    const struct container_config *c = in->config;
    bool userns = in->uids || in->join_user;
    bool host_net = strcmp(c->network, "host") == 0, host_pid = strcmp(c->pid, "host") == 0;
    bool host_ipc = strcmp(c->ipc, "host") == 0, no_shm = strcmp(c->ipc, "none") == 0;
    bool gid5 = !in->gids || id_map_outside(in->gids, 5, &(uint32_t){ 0 });
    const char *ro = c->privileged ? "rw" : "ro";

    own_mem char *proc =
        mem_printf("nosuid,noexec,nodev%s%s", c->proc_options ? "," : "", c->proc_options ? c->proc_options : "");

    if (userns && host_pid)
        add_mount(spec, "/proc", "bind", "/proc", "rbind,nosuid,noexec,nodev");
    else
        add_mount(spec, "/proc", "proc", "proc", proc);
    add_mount(spec, "/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k");
    add_mount(spec, "/dev/pts", "devpts", "devpts",
              gid5 ? "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"
                   : "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620");
    own_mem char *sys = mem_printf("%snosuid,noexec,nodev,%s", userns && host_net ? "rbind," : "", ro);
    if (userns && host_net)
        add_mount(spec, "/sys", "bind", "/sys", sys);
    else
        add_mount(spec, "/sys", "sysfs", "sysfs", sys);
    own_mem char *cgroup = mem_printf("nosuid,noexec,nodev,relatime,%s", ro);
    if (!(userns && host_net) && !c->systemd)
        add_mount(spec, "/sys/fs/cgroup", "cgroup", "cgroup", cgroup);
    if (!host_ipc)
        add_mount(spec, "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev");
    else if (access("/dev/mqueue", F_OK) == 0)
        add_mount(spec, "/dev/mqueue", "bind", "/dev/mqueue", "rbind,nosuid,noexec,nodev");
    own_mem char *shm = mem_printf("nosuid,noexec,nodev,mode=1777,size=%lld", (long long)c->shm_bytes);
    if (user_has(c, "/dev/shm") || no_shm)
        return;
    if (in->join_ipc) { /* what was made with shm_open(3) belongs to the namespace as much as semaphores do */
        own_mem char *theirs = mem_printf("/proc/%d/root/dev/shm", (int)in->join_ipc);
        add_mount(spec, "/dev/shm", "bind", theirs, "bind,nosuid,noexec,nodev");
    } else if (host_ipc)
        add_mount(spec, "/dev/shm", "bind", "/dev/shm", "rbind,nosuid,noexec,nodev");
    else
        add_mount(spec, "/dev/shm", "tmpfs", "shm", shm);
}

/* Whose file it is: of the container whose network or name is joined, as with docker; its own when --add-host or --dns
 * make it another one. Caller frees. */
static char *generated_file(const struct spec_input *in, const char *name)
{
    const struct container_config *c = in->config;
    const char *mode = strcmp(name, "hostname") == 0 ? c->uts : c->network;
    bool own_words = strcmp(name, "hosts") == 0 ? c->add_hosts.n > 0 || c->hosts_file
                                                : c->dns.n || c->dns_search.n || c->dns_options.n;
    if (in->run && str_starts(mode, "container:") && !(own_words && strcmp(name, "hostname") != 0)) {
        own_mem char *theirs = mem_printf("%s/%s/%s", in->run, mode + strlen("container:"), name);
        if (access(theirs, F_OK) == 0)
            return take(theirs);
    }
    return mem_printf("%s/%s", in->dir, name);
}

static void add_generated_files(const struct spec_input *in, struct oci_spec *spec)
{
    static const char *const files[] = { "resolv.conf", "hostname", "hosts" };
    const bool images[] = { in->config->no_resolv, in->config->no_hostname, in->config->no_hosts };
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        own_mem char *target = mem_printf("/etc/%s", files[i]);
        if (images[i])
            continue;
        own_mem char *source = generated_file(in, files[i]);
        if (!user_has(in->config, target))
            add_mount(spec, target, "bind", source, "rbind,rprivate");
        for (size_t k = 0; k < in->config->chrootdirs.n; k++) {
            own_mem char *there = mem_printf("%s%s", in->config->chrootdirs.items[k], target);
            add_mount(spec, there, "bind", source, "rbind,rprivate");
        }
    }
    static const char *const accounts[] = { "passwd", "group" };
    for (size_t i = 0; container_has_accounts(in->config) && i < ARRAY_SIZE(accounts); i++) {
        own_mem char *target = mem_printf("/etc/%s", accounts[i]);
        own_mem char *source = mem_printf("%s/%s", in->dir, accounts[i]);
        if (!user_has(in->config, target))
            add_mount(spec, target, "bind", source, "rbind,rprivate");
    }
}

/* tmpfs, ramfs, devpts */
static void add_new_fs(struct oci_spec *spec, struct oci_mount *to, const struct container_mount *m)
{
    to->type = mem_strdup(m->type);
    to->source = mem_strdup(m->type);
    strv_copy(&to->options, m->options.items, m->options.n);
    if (m->read_only && !strv_has(&to->options, "ro"))
        strv_add(&to->options, "ro");
    if (m->chown) {
        strv_add_printf(&to->options, "uid=%u", spec->process->user->uid);
        strv_add_printf(&to->options, "gid=%u", spec->process->user->gid);
    }
    if (strcmp(m->type, "devpts") == 0)
        strv_add(&to->options, "newinstance");
}

/* The container's own layer over it: made by container_prepare_mounts(), or overlays_make(). */
static void add_overlay(const struct spec_input *in, struct oci_mount *to, const struct container_mount *m,
                        const char *source)
{
    size_t i = (size_t)(m - in->config->mounts);
    own_mem char *own = overlay_dir(in->folder, i);
    to->type = mem_strdup("overlay");
    to->source = mem_strdup("overlay");
    strv_add_printf(&to->options, "lowerdir=%s", source);
    for (size_t k = 0; k < m->lowers.n; k++)
        strv_add_printf(&to->options, "lowerdir=%s", m->lowers.items[k]);
    strv_add_take(&to->options, m->upper ? mem_printf("upperdir=%s", m->upper) : mem_printf("upperdir=%s/upper", own));
    strv_add_take(&to->options, m->work ? mem_printf("workdir=%s", m->work) : mem_printf("workdir=%s/work", own));
    if (((strcmp(m->type, "volume") == 0 && !m->device) || strcmp(m->type, "image") == 0) && in->config->userns_first)
        strv_add(&to->options, "idmap"); /* as with a bind of it */
    strv_copy(&to->options, m->options.items, m->options.n);
    if (m->read_only)
        strv_add(&to->options, "ro");
}

/* An image: one directory is bound, several and one to write into are an overlay. */
static void add_image(const struct spec_input *in, struct oci_mount *to, const struct container_mount *m)
{
    const struct strv *lowers = &in->image_lowers[m - in->config->mounts];
    own_str struct str all = { 0 };
    for (size_t i = 0; i < lowers->n; i++)
        str_printf(&all, "%s%s", i ? ":" : "", lowers->items[i]);
    if (m->overlay) {
        add_overlay(in, to, m, all.text);
    } else if (lowers->n > 1) {
        to->type = mem_strdup("overlay");
        to->source = mem_strdup("overlay");
        strv_add_printf(&to->options, "lowerdir=%s", all.text);
        strv_add(&to->options, "ro");
    } else {
        to->type = mem_strdup("bind");
        to->source = str_take(&all);
        strv_add(&to->options, "bind");
        strv_add(&to->options, "rprivate");
        strv_add(&to->options, "ro");
    }
    if (in->config->userns_first && !m->overlay)
        strv_add(&to->options, "idmap");
}

static void add_bind(const struct spec_input *in, struct oci_mount *to, const struct container_mount *m)
{
    bool volume = strcmp(m->type, "volume") == 0;
    strv_add(&to->options, m->non_recursive ? "bind" : "rbind");
    strv_add(&to->options, m->propagation ? m->propagation : "rprivate");
    if ((volume && !m->device && in->config->userns_first) || m->idmap)
        strv_add(&to->options, m->non_recursive ? "idmap" : "ridmap"); /* its files keep the ids of the container */
    strv_copy(&to->options, m->options.items, m->options.n);
    if (m->read_only) /* with what is mounted below it as well: "ro" alone would leave that writable */
        strv_add(&to->options, m->non_recursive || m->below_writable ? "ro" : "rro");
}

/* What a bind or a volume shows. Caller frees. */
static char *source_of(const struct spec_input *in, const struct container_mount *m)
{
    return strcmp(m->type, "volume") != 0 ? mem_strdup(m->source)
           : m->device                    ? mem_strdup(m->device)
                                          : mem_printf("%s/%s/_data", in->volumes, m->source);
}

static void add_user_mount(const struct spec_input *in, struct oci_spec *spec, const struct container_mount *m)
{
    struct oci_mount *to = oci_spec_add_mount(spec);
    to->destination = mem_strdup(m->target);
    if (!m->source) {
        add_new_fs(spec, to, m);
        return;
    }
    if (strcmp(m->type, "image") == 0) {
        add_image(in, to, m);
        return;
    }
    own_mem char *source = source_of(in, m);
    if (m->overlay) {
        add_overlay(in, to, m, source);
        return;
    }
    to->type = mem_strdup("bind");
    to->source = m->subpath ? mem_printf("%s/%s", source, m->subpath) : mem_strdup(source);
    to->beneath = m->subpath ? take(source) : NULL;
    add_bind(in, to, m);
}

static size_t depth(const char *path)
{
    size_t n = 0;
    for (; *path; path++)
        n += *path == '/';
    return n;
}

static int by_depth(const void *a, const void *b)
{
    const struct container_mount *x = *(const struct container_mount *const *)a;
    const struct container_mount *y = *(const struct container_mount *const *)b;
    size_t dx = depth(x->target), dy = depth(y->target);
    return dx < dy ? -1 : dx > dy ? 1 : strcmp(x->target, y->target);
}

/* A user namespace's root makes no device nodes: the host's own node is bound. */
static fallible add_device_binds(const struct spec_input *in, struct oci_spec *spec)
{
    const struct container_config *c = in->config;
    for (size_t i = 0; (in->uids || in->join_user) && i < c->devices_n; i++) {
        const struct container_device *d = &c->devices[i];
        if (strcmp(d->access, "rwm") != 0)
            return err_new(ERR_UNSUPPORTED,
                           "--device '%s': access '%s' needs a device control group, which a user namespace has not: "
                           "leave it out, and the node's own mode counts",
                           d->host, d->access);
        add_mount(spec, d->path, "bind", d->host, "bind,rprivate,nosuid,noexec");
    }
    return NULL;
}

/* A mount of the user's on /etc, in which the container's own files can be shown: they are there, or can be made. One
 * that is read-only and has none, or has links that lead nowhere, stays as it is. */
static bool has_room_for_files(const struct spec_input *in, const struct container_mount *m)
{
    static const char *const files[] = { "resolv.conf", "hostname", "hosts" };
    struct stat st;
    if (strcmp(m->target, "/etc") != 0 || (strcmp(m->type, "image") == 0 && !m->overlay))
        return false;
    if (!m->source || strcmp(m->type, "image") == 0)
        return !m->read_only;
    own_mem char *source = source_of(in, m);
    own_mem char *dir = m->subpath ? mem_printf("%s/%s", source, m->subpath) : take(source);
    bool ours = m->overlay || strcmp(m->type, "volume") == 0 || access(dir, W_OK) == 0;
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        own_mem char *path = mem_printf("%s/%s", dir, files[i]);
        if (access(path, F_OK) < 0 && (lstat(path, &st) == 0 || m->read_only || !ours))
            return false;
    }
    return true;
}

fallible spec_add_mounts(const struct spec_input *in, struct oci_spec *spec)
{
    const struct container_config *c = in->config;
    const struct container_mount *etc = NULL;
    add_default_mounts(in, spec);
    if (c->systemd)
        TRY(add_systemd_cgroup(in, spec));
    for (size_t i = 0; i < c->mounts_n && !etc; i++)
        etc = has_room_for_files(in, &c->mounts[i]) ? &c->mounts[i] : NULL;
    if (!etc)
        add_generated_files(in, spec);
    TRY(add_device_binds(in, spec));
    const struct container_mount **sorted = mem_array(NULL, c->mounts_n + 1, sizeof *sorted);
    for (size_t i = 0; i < c->mounts_n; i++)
        sorted[i] = &c->mounts[i];
    qsort(sorted, c->mounts_n, sizeof *sorted, by_depth);
    for (size_t i = 0; i < c->mounts_n; i++) {
        add_user_mount(in, spec, sorted[i]);
        if (sorted[i] == etc)
            add_generated_files(in, spec);
    }
    free(sorted);
    for (size_t i = 0; i < c->secrets_n; i++) {
        own_mem char *file = secret_file(in->dir, i);
        if (strcmp(c->secrets[i].type, "mount") == 0)
            add_mount(spec, c->secrets[i].target, "bind", file, "bind,rprivate,ro,nosuid,nodev,noexec");
    }
    return NULL;
}
