// SPDX-License-Identifier: GPL-2.0-or-later
/* The options that few containers have: each is built, or refused with its reason. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/engine.h"
#include "engine/grammar.h"
#include "engine/options_parts.h"
#include "engine/paths.h"
#include "os/ids.h"

extern char **environ;

/* ---- what husk does not have ---- */

static const struct refused {
    const char *option;
    size_t field; /* a const char * in create_options */
    const char *why;
} refused[] = {
#define REFUSED(option, name, why)                                                                                     \
    {                                                                                                                  \
        option, offsetof(struct create_options, refused.name), why                                                     \
    }
    REFUSED(
        "--gpus", gpus,
        "husk starts no vendor's hook: name the nodes with --device (/dev/nvidia0, /dev/nvidiactl, /dev/dri/...) and "
        "bind the driver's libraries"),
    REFUSED("--kernel-memory", kernel_memory, "Linux removed that limit in 5.16: --memory counts kernel memory too"),
    REFUSED("--runtime", runtime, "husk is its own runtime; its config.json runs under others: see husk explain"),
    REFUSED("--cpu-count", cpu_count, "it is for Windows containers: use --cpus"),
    REFUSED("--cpu-percent", cpu_percent, "it is for Windows containers: use --cpus"),
    REFUSED("--io-maxbandwidth", io_maxbandwidth, "it is for Windows containers: use --device-read-bps"),
    REFUSED("--io-maxiops", io_maxiops, "it is for Windows containers: use --device-read-iops"),
    REFUSED("--decryption-key", decryption_key, "husk reads no encrypted layers"),
    REFUSED("--sdnotify", sdnotify,
            "husk sends systemd no notification: a unit of Type=forking with --conmon-pidfile, or of Type=exec with "
            "'husk run' in front, follows a container"),
    REFUSED("--seccomp-policy", seccomp_policy, "an image does not choose its own filter: --security-opt seccomp=FILE"),
#undef REFUSED
};

static fallible refuse(const struct create_options *o)
{
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        const char *value = *(const char *const *)((const char *)o + refused[i].field);
        bool harmless = str_eq(value, "ignore") || str_eq(value, "default"); /* what husk does anyway */
        if (value && !harmless)
            return err_new(ERR_UNSUPPORTED, "%s: %s", refused[i].option, refused[i].why);
    }
    if (o->disable_content_trust.set && !o->disable_content_trust.v)
        return err_new(ERR_UNSUPPORTED, "--disable-content-trust=false: there is no Notary here: what has to be signed "
                                        "is said in policy.json, or with --signature-policy");
    if (o->refused.use_api_socket)
        return err_new(ERR_UNSUPPORTED, "--use-api-socket: there is no daemon whose socket could be handed in");
    return NULL;
}

/* ---- variables ---- */

static bool unset(const struct create_options *o, const char *assignment)
{
    size_t n = strcspn(assignment, "=");
    for (size_t i = 0; i < o->unsetenv.n; i++)
        if (strlen(o->unsetenv.items[i]) == n && strncmp(o->unsetenv.items[i], assignment, n) == 0)
            return true;
    return o->unsetenv_all;
}

/* "$NAME" and "${NAME}" of a variable that the container has so far; of none: nothing. */
static void expand(const struct strv *env, const char *text, struct str *out)
{
    for (const char *p = text; *p;) {
        bool brace = p[0] == '$' && p[1] == '{';
        const char *name = p + (brace ? 2 : 1);
        size_t n = p[0] == '$' ? strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") : 0;
        if (!n || (brace && name[n] != '}')) {
            str_add_char(out, *p++);
            continue;
        }
        own_mem char *key = mem_strndup(name, n);
        const char *value = strv_getenv(env, key);
        str_add(out, value ? value : "");
        p = name + n + brace;
    }
}

static fallible merge_expanded(const struct create_options *o, struct strv *env)
{
    for (size_t i = 0; i < o->env_merge.n; i++) {
        own_str struct str out = { 0 };
        if (!strchr(o->env_merge.items[i], '=') || o->env_merge.items[i][0] == '=')
            return err_new(ERR_INVALID, "--env-merge: '%s': it is KEY=VALUE", o->env_merge.items[i]);
        expand(env, o->env_merge.items[i], &out);
        strv_setenv(env, out.text);
    }
    return NULL;
}

static void add_proxies(struct strv *env)
{
    static const char *const names[] = { "http_proxy", "https_proxy", "ftp_proxy", "no_proxy",
                                         "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY" };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const char *value = getenv(names[i]);
        own_mem char *assignment = mem_printf("%s=%s", names[i], value ? value : "");
        if (value)
            strv_setenv(env, assignment);
    }
}

fallible options_base_env(const struct create_options *o, const char *path, const struct strv *image, struct strv *env)
{
    if (!unset(o, path))
        strv_add(env, path);
    for (size_t i = 0; i < image->n; i++)
        if (!unset(o, image->items[i]))
            strv_setenv(env, image->items[i]);
    if (o->http_proxy)
        add_proxies(env);
    for (char **e = environ; o->env_host && *e; e++)
        strv_setenv(env, *e);
    return merge_expanded(o, env);
}

/* ---- limits ---- */

static fallible check_device_rule(const char *text, bool bytes)
{
    const char *colon = strrchr(text, ':');
    int64_t n;
    if (text[0] != '/' || !colon || !colon[1])
        return err_new(ERR_INVALID, "'%s': it is /dev/NAME:RATE", text);
    TRY_AS(bytes ? parse_bytes(colon + 1, &n) : parse_i64(colon + 1, 1, INT64_MAX, &n), "'%s'", text);
    return n > 0 ? NULL : err_new(ERR_INVALID, "'%s': the rate must be more than 0", text);
}

static fallible merge_devices(const struct strv *from, const char *option, bool bytes, struct strv *to)
{
    for (size_t i = 0; i < from->n; i++)
        TRY_AS(check_device_rule(from->items[i], bytes), "%s", option);
    strv_copy(to, from->items, from->n);
    return NULL;
}

fallible options_more_limits(const struct create_options *o, struct container_resources *r)
{
    if (o->blkio_weight.set && o->blkio_weight.v && (o->blkio_weight.v < 10 || o->blkio_weight.v > 1000))
        return err_new(ERR_INVALID, "--blkio-weight: it is from 10 to 1000");
    if (o->blkio_weight.v)
        r->blkio_weight = o->blkio_weight;
    TRY(merge_devices(&o->blkio_weight_device, "--blkio-weight-device", false, &r->blkio_weight_device));
    TRY(merge_devices(&o->device_read_bps, "--device-read-bps", true, &r->device_read_bps));
    TRY(merge_devices(&o->device_write_bps, "--device-write-bps", true, &r->device_write_bps));
    TRY(merge_devices(&o->device_read_iops, "--device-read-iops", false, &r->device_read_iops));
    TRY(merge_devices(&o->device_write_iops, "--device-write-iops", false, &r->device_write_iops));
    r->cpu_rt_period = o->cpu_rt_period;
    r->cpu_rt_runtime = o->cpu_rt_runtime;
    r->oom_kill_disable = o->oom_kill_disable;
    if (o->oom_kill_disable && !o->memory.set)
        return err_new(ERR_INVALID, "--oom-kill-disable: without --memory it would stop the host instead: give both");
    for (size_t i = 0; i < o->cgroup_conf.n; i++)
        TRY_AS(grammar_label(o->cgroup_conf.items[i], &r->unified), "--cgroup-conf");
    return NULL;
}

/* ---- the program and its world ---- */

static fallible merge_umask(const struct create_options *o, struct container_config *c)
{
    if (!o->umask)
        return NULL;
    size_t n = strlen(o->umask);
    if (!n || n > 4 || strspn(o->umask, "01234567") != n)
        return err_new(ERR_INVALID, "--umask: '%s' is no octal number", o->umask);
    c->umask = (struct opt_i64){ true, strtol(o->umask, NULL, 8) };
    return NULL;
}

static struct container_mount *add_bind(struct container_config *c, const char *source, const char *target)
{
    struct container_mount *m = container_config_add_mount(c);
    m->type = mem_strdup("bind");
    m->source = mem_strdup(source);
    m->target = mem_strdup(target);
    m->read_only = true;
    return m;
}

static fallible merge_timezone(const struct create_options *o, struct container_config *c)
{
    if (!o->tz)
        return NULL;
    own_mem char *named = mem_printf("/usr/share/zoneinfo/%s", o->tz);
    const char *path = str_eq(o->tz, "local") ? "/etc/localtime" : named;
    own_mem char *real = realpath(path, NULL);
    if (!real || strstr(o->tz, ".."))
        return err_new(ERR_NOT_FOUND,
                       "--tz: this host knows no time zone '%s': install tzdata, or see "
                       "/usr/share/zoneinfo",
                       o->tz);
    (void)add_bind(c, real, "/etc/localtime");
    /* Without TZ that file is asked; a name there an image without tzdata takes for one of UTC's. */
    if (strv_getenv(&c->env, "TZ"))
        strv_setenv(&c->env, "TZ=:/etc/localtime");
    return NULL;
}

static fallible merge_init_path(const struct create_options *o, struct container_config *c)
{
    own_mem char *path = NULL;
    struct stat st;
    if (!o->init_path)
        return NULL;
    if (!o->init)
        return err_new(ERR_INVALID, "--init-path: it is for --init");
    TRY(paths_absolute(o->init_path, &path));
    if (stat(path, &st) < 0)
        return err_sys(errno, "--init-path '%s'", path);
    if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111))
        return err_new(ERR_INVALID, "--init-path '%s': it is no program", path);
    (void)add_bind(c, path, "/run/husk-init-path");
    struct strv whole = { 0 };
    strv_add(&whole, "/run/husk-init-path");
    strv_add(&whole, "--");
    strv_copy(&whole, c->entrypoint.items, c->entrypoint.n);
    strv_free(&c->entrypoint);
    c->entrypoint = whole;
    c->init = false; /* that one is PID 1 */
    return NULL;
}

static fallible merge_storage(const struct create_options *o, struct container_config *c)
{
    for (size_t i = 0; i < o->storage_opt.n; i++) {
        const char *text = o->storage_opt.items[i];
        if (!str_starts(text, "size="))
            return err_new(ERR_INVALID, "--storage-opt: '%s' is not size=BYTES", text);
        TRY_AS(parse_bytes(text + 5, &c->storage_bytes), "--storage-opt size");
        if (c->storage_bytes <= 0)
            return err_new(ERR_INVALID, "--storage-opt: '%s': it must be more than 0", text);
    }
    return c->storage_bytes && c->rootfs
               ? err_new(ERR_INVALID, "--storage-opt: with --rootfs there is no layer of its own to limit")
               : NULL;
}

static bool has_target(const struct container_config *c, const char *target)
{
    for (size_t i = 0; i < c->mounts_n; i++)
        if (strcmp(c->mounts[i].target, target) == 0)
            return true;
    return false;
}

void options_add_tmpfs(struct container_config *c, const char *target, const char *mode, const char *size)
{
    if (has_target(c, target))
        return;
    struct container_mount *m = container_config_add_mount(c);
    m->type = mem_strdup("tmpfs");
    m->target = mem_strdup(target);
    strv_add(&m->options, "nosuid");
    strv_add(&m->options, "nodev");
    strv_add_printf(&m->options, "mode=%s", mode);
    if (size)
        strv_add_printf(&m->options, "size=%s", size);
}

static void merge_read_only_tmpfs(const struct create_options *o, struct container_config *c)
{
    if (!c->read_only || !o->read_only_tmpfs.set || !o->read_only_tmpfs.v)
        return;
    options_add_tmpfs(c, "/run", "755", NULL);
    options_add_tmpfs(c, "/tmp", "1777", NULL);
    options_add_tmpfs(c, "/var/tmp", "1777", NULL);
}

static fallible merge_image_volumes(const struct create_options *o, struct container_config *c)
{
    const char *how = o->image_volume ? o->image_volume : "anonymous";
    if (str_eq(how, "anonymous") || str_eq(how, "bind"))
        return NULL;
    if (!str_eq(how, "ignore") && !str_eq(how, "tmpfs"))
        return err_new(ERR_INVALID, "--image-volume: '%s' is not one of anonymous, bind, tmpfs, ignore", how);
    for (size_t i = c->mounts_n; i-- > 0;) {
        struct container_mount *m = &c->mounts[i];
        if (!m->from_image)
            continue;
        own_mem char *target = take(m->target);
        container_mount_clear(m);
        memmove(m, m + 1, (--c->mounts_n - i) * sizeof *m);
        if (str_eq(how, "tmpfs"))
            options_add_tmpfs(c, target, "755", NULL);
    }
    return NULL;
}

static fallible merge_cgroups(const struct create_options *o, struct container_config *c)
{
    const char *how = o->cgroups ? o->cgroups : "enabled";
    if (str_eq(how, "enabled") || str_eq(how, "no-conmon")) /* husk's monitor is in no container's group */
        return NULL;
    if (!str_eq(how, "disabled"))
        return err_new(ERR_UNSUPPORTED, "--cgroups: '%s' is not one of enabled, disabled, no-conmon", how);
    c->no_cgroup = true;
    return NULL;
}

static fallible merge_paths(const struct create_options *o, struct container_config *c)
{
    for (size_t i = 0; i < o->chrootdirs.n; i++) {
        if (o->chrootdirs.items[i][0] != '/')
            return err_new(ERR_INVALID, "--chrootdirs: '%s' must be absolute", o->chrootdirs.items[i]);
        strv_add_take(&c->chrootdirs, paths_clean(o->chrootdirs.items[i]));
    }
    if (o->pidfile)
        TRY(paths_absolute(o->pidfile, &c->pidfile));
    if (o->conmon_pidfile)
        TRY(paths_absolute(o->conmon_pidfile, &c->monitor_pidfile));
    strv_copy(&c->requires, o->requires.items, o->requires.n);
    return NULL;
}

static fallible merge_accounts(const struct create_options *o, struct container_config *c)
{
    if (o->passwd.set && !o->passwd.v && (o->passwd_entry || o->group_entry || o->hostuser.n))
        return err_new(ERR_INVALID, "--passwd=false and --passwd-entry, --group-entry, --hostuser exclude each other");
    c->passwd_entry = mem_strdup(o->passwd_entry);
    c->group_entry = mem_strdup(o->group_entry);
    strv_copy(&c->hostusers, o->hostuser.items, o->hostuser.n);
    return NULL;
}

static fallible merge_hosts(const struct create_options *o, struct container_config *c)
{
    struct stat st;
    if (o->no_hosts && (o->add_host.n || o->hosts_file))
        return err_new(ERR_INVALID, "--no-hosts and %s exclude each other",
                       o->hosts_file ? "--hosts-file" : "--add-host");
    c->no_hosts = o->no_hosts;
    c->no_hostname = o->no_hostname;
    if (!o->hosts_file)
        return NULL;
    if (str_eq(o->hosts_file, "image") || str_eq(o->hosts_file, "none")) {
        c->hosts_file = mem_strdup(o->hosts_file);
        return NULL;
    }
    if (!*o->hosts_file)
        return err_new(ERR_INVALID, "--hosts-file: it is a file, image or none");
    TRY(paths_absolute(o->hosts_file, &c->hosts_file));
    if (stat(c->hosts_file, &st) < 0)
        return err_sys(errno, "--hosts-file '%s'", c->hosts_file);
    return S_ISREG(st.st_mode) ? NULL : err_new(ERR_INVALID, "--hosts-file '%s': it is no file", c->hosts_file);
}

static fallible merge_systemd(const struct create_options *o, struct container_config *c)
{
    const char *how = o->systemd ? o->systemd : "auto";
    bool on = true;
    if (!str_eq(how, "auto") && !str_eq(how, "always"))
        TRY_AS(parse_bool(how, &on), "--systemd: auto, always or false");
    c->systemd = on ? mem_strdup(str_eq(how, "always") ? "always" : "auto") : NULL;
    c->systemd_shm_bytes = o->shm_size_systemd.v;
    return NULL;
}

/* A,B: A runs B runs the program. Each is a path in the container, with its arguments after it. */
static fallible merge_init_chain(const struct create_options *o, struct container_config *c)
{
    own_strv struct strv words = { 0 };
    if (!o->init_chain)
        return NULL;
    strv_split(&words, o->init_chain, ',');
    for (size_t i = 0; i < words.n; i++) {
        if (words.items[i][0] != '/')
            return err_new(ERR_INVALID, "--init-chain: '%s' must be an absolute path in the container", words.items[i]);
        strv_add(&c->init_chain, words.items[i]);
    }
    return NULL;
}

/* What a container engine inside needs of the kernel: a whole /proc (a new one may be mounted only where nothing hides
 * parts of the old), every capability of its own user namespace, and the calls that make namespaces and change roots.
 * All of it is worth nothing outside of that user namespace, so there must be one. */
static fallible merge_nested(const struct create_options *o, struct container_config *c)
{
    if (!o->nested)
        return NULL;
    if (!engine_is_rootless() && !c->uid_map.n && strcmp(c->userns, "auto") != 0 && !ids_in_userns())
        return err_new(ERR_INVALID, "--nested: as root it needs a user namespace, or what runs in there could change "
                                    "the host: give --userns auto or --uidmap");
    strv_add(&c->cap_add, "ALL");
    c->unmask = true;
    if (!c->seccomp)
        c->seccomp_unconfined = true;
    return NULL;
}

fallible options_merge_more(const struct create_options *o, struct container_config *c)
{
    TRY(refuse(o));
    TRY(merge_umask(o, c));
    TRY(merge_timezone(o, c));
    TRY(merge_storage(o, c));
    TRY(merge_image_volumes(o, c));
    merge_read_only_tmpfs(o, c);
    TRY(merge_cgroups(o, c));
    TRY(merge_paths(o, c));
    TRY(merge_accounts(o, c));
    TRY(merge_hosts(o, c));
    if (o->personality && !str_eq(o->personality, "LINUX") && !str_eq(o->personality, "LINUX32"))
        return err_new(ERR_INVALID, "--personality: '%s' is not one of LINUX, LINUX32", o->personality);
    c->personality = mem_strdup(o->personality);
    c->rdt_class = mem_strdup(o->rdt_class);
    if (o->replace && !o->name)
        return err_new(ERR_INVALID, "--replace: it is for a container with a name: give --name");
    TRY(merge_nested(o, c));
    TRY(merge_systemd(o, c));
    TRY(merge_init_chain(o, c));
    return merge_init_path(o, c);
}
