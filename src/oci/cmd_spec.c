/*
 * husk-oci spec: a config.json to begin with.
 * Compatible with: runc spec.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "oci/oci.h"
#include "os/fs.h"

struct spec_opts {
    const char *bundle, *file;
    bool rootless;
};
#define T struct spec_opts
static const struct opt spec_options[] = {
    OPT_STR('b', "bundle", T, bundle, "DIR", "The bundle (default: the working directory)"),
    OPT_STR('f', "file", T, file, "FILE", "Write FILE instead of the bundle's config.json"),
    OPT_FLAG(0, "rootless", T, rootless, "For an ordinary user: a user namespace, no network of its own, no limits"),
    OPT_END,
};
#undef T

static const struct {
    const char *destination, *type, *source;
    const char *options[9];
} mounts[] = {
    { "/proc", "proc", "proc", { NULL } },
    { "/dev", "tmpfs", "tmpfs", { "nosuid", "strictatime", "mode=755", "size=65536k" } },
    { "/dev/pts", "devpts", "devpts", { "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5" } },
    { "/dev/shm", "tmpfs", "shm", { "nosuid", "noexec", "nodev", "mode=1777", "size=65536k" } },
    { "/dev/mqueue", "mqueue", "mqueue", { "nosuid", "noexec", "nodev" } },
    { "/sys", "sysfs", "sysfs", { "nosuid", "noexec", "nodev", "ro" } },
    { "/sys/fs/cgroup", "cgroup", "cgroup", { "nosuid", "noexec", "nodev", "relatime", "ro" } },
};
/* With the host's network namespace the kernel gives an ordinary user no sysfs of their own. */
static const char *const sys_bind[] = { "rbind", "nosuid", "noexec", "nodev", "ro" };
static const char *const namespaces[] = { "pid", "network", "ipc", "uts", "mount", "cgroup" };
static const char *const masked[] = {
    "/proc/acpi",       "/proc/asound",      "/proc/kcore",       "/proc/keys",    "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
};
static const char *const readonly[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger" };
static const char *const capabilities[] = { "CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE" };

static void add_words(struct strv *to, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        strv_add(to, words[i]);
}

static struct oci_process *default_process(void)
{
    struct oci_process *p = mem_zalloc(sizeof *p);
    p->terminal = true;
    p->user = mem_zalloc(sizeof *p->user);
    p->cwd = mem_strdup("/");
    p->no_new_privileges = true;
    strv_add(&p->args, "sh");
    strv_add(&p->env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    strv_add(&p->env, "TERM=xterm");
    p->capabilities = mem_zalloc(sizeof *p->capabilities);
    add_words(&p->capabilities->bounding, capabilities, ARRAY_SIZE(capabilities));
    add_words(&p->capabilities->effective, capabilities, ARRAY_SIZE(capabilities));
    add_words(&p->capabilities->permitted, capabilities, ARRAY_SIZE(capabilities));
    p->rlimits = mem_zalloc(sizeof *p->rlimits);
    p->rlimits_n = 1;
    p->rlimits[0] = (struct oci_rlimit){ mem_strdup("RLIMIT_NOFILE"), 1024, 1024 };
    return p;
}

static void add_mounts(struct oci_spec *spec, bool rootless)
{
    for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
        struct oci_mount *m = oci_spec_add_mount(spec);
        bool sys = rootless && str_eq(mounts[i].destination, "/sys");
        m->destination = mem_strdup(mounts[i].destination);
        m->type = mem_strdup(sys ? "none" : mounts[i].type);
        m->source = mem_strdup(sys ? "/sys" : mounts[i].source);
        if (sys)
            add_words(&m->options, sys_bind, ARRAY_SIZE(sys_bind));
        for (size_t k = 0; !sys && mounts[i].options[k]; k++)
            if (!rootless || !str_starts(mounts[i].options[k], "gid="))
                strv_add(&m->options, mounts[i].options[k]);
    }
}

static struct oci_id_mapping *one_id(uint32_t host)
{
    struct oci_id_mapping *m = mem_zalloc(sizeof *m);
    *m = (struct oci_id_mapping){ .container_id = 0, .host_id = host, .size = 1 };
    return m;
}

static void add_linux(struct oci_spec *spec, bool rootless)
{
    for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++)
        if (!rootless || !str_eq(namespaces[i], "network"))
            oci_spec_add_namespace(spec, namespaces[i], NULL);
    struct oci_linux *l = spec->linux_;
    add_words(&l->masked_paths, masked, ARRAY_SIZE(masked));
    add_words(&l->readonly_paths, readonly, ARRAY_SIZE(readonly));
    if (rootless) {
        oci_spec_add_namespace(spec, "user", NULL);
        l->uid_mappings = one_id(geteuid());
        l->gid_mappings = one_id(getegid());
        l->uid_mappings_n = l->gid_mappings_n = 1;
        return;
    }
    l->resources = mem_zalloc(sizeof *l->resources);
    l->resources->devices = mem_zalloc(sizeof *l->resources->devices);
    l->resources->devices_n = 1;
    l->resources->devices[0] = (struct oci_device_cgroup){ .allow = false, .access = mem_strdup("rwm") };
}

static fallible spec_run(const void *opts, struct args args)
{
    (void)args;
    const struct spec_opts *o = opts;
    own(oci_spec) struct oci_spec *spec = mem_zalloc(sizeof *spec);
    const char *dir = o->bundle && *o->bundle ? o->bundle : ".";
    const char *file = o->file && *o->file ? o->file : "config.json";
    own_mem char *path = *file == '/' ? mem_strdup(file) : mem_printf("%s/%s", dir, file);
    spec->oci_version = mem_strdup(OCI_RUNTIME_VERSION);
    spec->process = default_process();
    spec->root = mem_zalloc(sizeof *spec->root);
    spec->root->path = mem_strdup("rootfs");
    spec->root->readonly = true;
    spec->hostname = mem_strdup("husk");
    add_mounts(spec, o->rootless);
    add_linux(spec, o->rootless);
    own_mem char *text = bind_write(&oci_spec_type, spec, BIND_INDENTED);
    own_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return err_sys(errno, "make '%s'", path);
    TRY(fs_write_fd(fd, text, strlen(text), path));
    return fs_write_fd(fd, "\n", 1, path);
}

const struct command oci_cmd_spec = {
    .name = "spec",
    .args = "",
    .summary = "Write a config.json to begin with",
    .opts = spec_options,
    .opts_size = sizeof(struct spec_opts),
    .max_args = 0,
    .fail_exit = 1,
    .run = spec_run,
};
