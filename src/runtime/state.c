// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "os/fs.h"
#include "runtime/start.h"

/* state.json as it is on disk: what the kernel cannot tell. Status is never stored: it is asked each time. */
struct file {
    char *oci_version, *id, *bundle, *rootfs, *cgroup, *cgroup_text, *scope;
    int64_t pid, created_ns;
    uint64_t start_time, namespaces, joined;
    bool rootless, no_new_keyring, scope_user, shares_mounts, starts_at_once;
    struct strmap annotations;
    char *listener_path, *listener_metadata;
    struct strv resctrl_dirs;
    char *resctrl_group, *resctrl_monitor;
    struct oci_hooks *hooks;
    json_t *rest;
};
#define T struct file
static const struct bind_field file_fields[] = {
    BIND_STR(T, oci_version, "ociVersion"),
    BIND_STR(T, id, "id", .flags = BIND_REQUIRED),
    BIND_I64(T, pid, "pid", .flags = BIND_ALWAYS),
    BIND_U64(T, start_time, "startTime"),
    BIND_STR(T, bundle, "bundle"),
    BIND_STR(T, rootfs, "rootfs"),
    BIND_STR(T, cgroup, "cgroup"),
    BIND_STR(T, cgroup_text, "cgroupText"),
    BIND_STR(T, scope, "scope"),
    BIND_BOOL(T, scope_user, "scopeUser"),
    BIND_I64(T, created_ns, "createdNs"),
    BIND_U64(T, namespaces, "namespaces"),
    BIND_U64(T, joined, "joined"),
    BIND_BOOL(T, rootless, "rootless"),
    BIND_BOOL(T, no_new_keyring, "noNewKeyring"),
    BIND_BOOL(T, shares_mounts, "sharesMounts"),
    BIND_BOOL(T, starts_at_once, "startsAtOnce"),
    BIND_MAP(T, annotations, "annotations"),
    BIND_STR(T, listener_path, "listenerPath"),
    BIND_STR(T, listener_metadata, "listenerMetadata"),
    BIND_STRS(T, resctrl_dirs, "resctrlDirs"),
    BIND_STR(T, resctrl_group, "resctrlGroup"),
    BIND_STR(T, resctrl_monitor, "resctrlMonitor"),
    BIND_OBJ(T, hooks, "hooks", oci_hooks_type),
    BIND_REST(T, rest),
    BIND_END,
};
#undef T
static const struct bind_type file_type = { .name = STATE_FILE, .size = sizeof(struct file), .fields = file_fields };

static const char *const words[] = {
    [RUNTIME_CREATING] = "creating", [RUNTIME_CREATED] = "created", [RUNTIME_RUNNING] = "running",
    [RUNTIME_PAUSED] = "paused",     [RUNTIME_STOPPED] = "stopped",
};

const char *runtime_status_word(enum runtime_status s)
{
    return words[s];
}

fallible state_write(int dir_fd, const struct runtime_state *s)
{
    char version[] = OCI_RUNTIME_VERSION;
    /* a view: everything is borrowed from *s */
    const struct file f = {
        .oci_version = version,
        .id = s->id,
        .bundle = s->bundle,
        .rootfs = s->rootfs,
        .cgroup = s->cgroup_path,
        .cgroup_text = s->cgroup_text,
        .scope = s->scope,
        .scope_user = s->scope_user,
        .pid = s->init.pid,
        .start_time = s->init.start_time,
        .created_ns = s->created_ns,
        .namespaces = s->namespaces,
        .joined = s->joined,
        .rootless = s->rootless,
        .no_new_keyring = s->no_new_keyring,
        .shares_mounts = s->shares_mounts,
        .starts_at_once = s->starts_at_once,
        .annotations = s->annotations,
        .listener_path = s->listener_path,
        .listener_metadata = s->listener_metadata,
        .resctrl_dirs = s->resctrl_dirs,
        .resctrl_group = s->resctrl_group,
        .resctrl_monitor = s->resctrl_monitor,
        .hooks = s->hooks,
        .rest = s->rest,
    };
    own_mem char *text = bind_write(&file_type, &f, BIND_COMPACT);
    return fs_replace_at(dir_fd, STATE_FILE, text, strlen(text), 0600, FS_SYNC_NONE);
}

void state_clear(struct runtime_state *s)
{
    free(s->id);
    free(s->bundle);
    free(s->rootfs);
    free(s->cgroup_path);
    free(s->cgroup_text);
    free(s->scope);
    strmap_free(&s->annotations);
    free(s->listener_path);
    free(s->listener_metadata);
    strv_free(&s->resctrl_dirs);
    free(s->resctrl_group);
    free(s->resctrl_monitor);
    bind_free(&oci_hooks_type, s->hooks);
    json_decref(s->rest);
    *s = (struct runtime_state){ 0 };
}

void runtime_state_free(struct runtime_state *s)
{
    if (!s)
        return;
    state_clear(s);
    free(s);
}

fallible state_cgroup(const struct runtime_state *s, struct cgroup **ret)
{
    own(cgroup_host) struct cgroup_host *host = NULL;
    *ret = NULL;
    if (!s->cgroup_path)
        return NULL;
    if (s->cgroup_text) {
        TRY(cgroup_of_text(s->cgroup_text, ret));
        if (cgroup_there(*ret))
            return NULL;
        cgroup_free(take(*ret)); /* gone, or its hierarchies were mounted elsewhere since */
    }
    TRY(cgroup_host_open(&host));
    if (s->scope)
        cgroup_host_use(host, s->cgroup_path);
    return cgroup_open(host, s->cgroup_path, ret);
}

enum scope_manager state_manager(const struct runtime_state *s)
{
    return s->scope_user ? SCOPE_USER : SCOPE_SYSTEM;
}

/* "user@1000.service" of "/user.slice/user-1000.slice/user@1000.service/husk/ID", and in *ret_below "/husk/ID". NULL:
 * it is not below a user's systemd. */
static char *users_systemd(const char *path, const char **ret_below)
{
    const char *at = path ? strstr(path, "/user@") : NULL;
    size_t n = at ? strcspn(at + 1, "/") : 0;
    own_mem char *unit = at ? mem_strndup(at + 1, n) : NULL;
    if (!unit || !str_ends(unit, ".service"))
        return NULL;
    *ret_below = at + 1 + n;
    return take(unit);
}

bool state_clones_into(const struct runtime_state *s)
{
    own(cgroup_host) struct cgroup_host *host = NULL;
    const char *why = NULL, *below;
    own_mem char *unit = users_systemd(s->cgroup_path, &below);
    if (!s->cgroup_path || (!s->scope && !unit))
        return true;
    err *e = cgroup_host_open(&host);
    bool can = !e && cgroup_host_usable(host, &why) && str_starts(s->cgroup_path, cgroup_host_base(host));
    err_ignore(e, "then the longer way");
    return can;
}

char *state_group_of_init(const struct runtime_state *s, const struct cgroup *g)
{
    const char *own = cgroup_path(g);
    own_mem char *path = mem_printf("/proc/%d/cgroup", (int)s->init.pid), *text = NULL;
    size_t n = strlen(own);
    err *e = fs_read_at(AT_FDCWD, path, 1 << 16, &text, NULL);
    if (e) {
        err_ignore(e, "it has ended, and the caller's own error says what went wrong");
        return NULL;
    }
    const char *at = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    if (!at)
        return NULL;
    at += *at == '\n' ? 4 : 3;
    size_t len = strcspn(at, "\n");
    return len > n + 1 && strncmp(at, own, n) == 0 && at[n] == '/' ? mem_strndup(at + n, len - n) : NULL;
}

/* Where in the scope a process goes: the group that was asked for below it, else where the first process is, since a
 * scope that its init has divided takes no process itself. NULL: the scope. */
static char *group_in_scope(const struct runtime_state *s, const struct cgroup *g)
{
    const char *own = cgroup_path(g), *name = NULL, *dir = NULL;
    bool v2 = false;
    for (size_t i = 0; cgroup_dir(g, i, &name, &dir, &v2); i++) {
        const char *at = v2 ? strstr(dir, own) : NULL;
        if (at && at[strlen(own)] == '/')
            return mem_strdup(at + strlen(own));
    }
    return state_group_of_init(s, g);
}

fallible state_join(const struct runtime_state *s, const struct cgroup *g, pid_t pid)
{
    const char *rest = NULL;
    err *e = cgroup_add(g, pid);
    if (!err_is(e, ERR_DENIED))
        return e;
    /* From a user's login session into what his systemd has: the group above both is root's, and systemd must do it. */
    own_mem char *unit = s->scope ? NULL : users_systemd(cgroup_path(g), &rest);
    if (!s->scope && !unit)
        return e;
    err_free(e);
    own_mem char *below = s->scope ? group_in_scope(s, g) : state_group_of_init(s, g);
    if (s->scope)
        return scope_attach(state_manager(s), s->scope, below, pid);
    own_mem char *whole = mem_printf("%s%s", rest, below ? below : "");
    return scope_attach(SCOPE_SYSTEM, unit, whole, pid);
}

/* *ret_g: the container's group when it had to be opened to know; else it stays NULL. */
static fallible is_paused(const struct runtime_state *s, bool *ret, struct cgroup **ret_g)
{
    *ret = false;
    if (s->cgroup_text && cgroup_text_frozen(s->cgroup_text, ret))
        return NULL;
    TRY(state_cgroup(s, ret_g));
    return *ret_g ? cgroup_frozen(*ret_g, ret) : NULL;
}

/* ret_pidfd may be NULL. It is opened first, so that who is found alive after that is who it names. */
static fallible find_status(int dir_fd, struct runtime_state *s, struct cgroup **ret_g, int *ret_pidfd)
{
    bool paused = false;
    if (s->init.pid && ret_pidfd)
        err_ignore(proc_pidfd(s->init.pid, ret_pidfd), "then it has ended");
    if (s->init.pid == 0) {
        s->status = RUNTIME_CREATING;
    } else if (!proc_alive(s->init)) {
        s->status = RUNTIME_STOPPED;
    } else {
        bool waits = !s->starts_at_once && faccessat(dir_fd, START_SOCKET, F_OK, 0) == 0;
        TRY(is_paused(s, &paused, ret_g)); /* what waits too: frozen it can't start, nor die, and is to be resumed */
        s->status = paused ? RUNTIME_PAUSED : waits ? RUNTIME_CREATED : RUNTIME_RUNNING;
    }
    return NULL;
}

/* ret_dir_fd NULL: nothing else is wanted of the folder, and it is not opened. */
static fallible read_state(const char *state_dir, struct runtime_state **ret, int *ret_dir_fd)
{
    own_fd int dir = -1;
    own_mem char *text = NULL, *path = ret_dir_fd ? NULL : mem_printf("%s/" STATE_FILE, state_dir);
    own(runtime_state) struct runtime_state *s = mem_zalloc(sizeof *s);
    size_t len = 0;
    void *read = NULL;
    if (ret_dir_fd)
        TRY(fs_open_dir_at(AT_FDCWD, state_dir, FS_MUST_EXIST, &dir));
    TRY(fs_read_at(ret_dir_fd ? dir : AT_FDCWD, ret_dir_fd ? STATE_FILE : path, 1 << 20, &text, &len));
    TRY(bind_read(&file_type, text, len, &read));
    struct file *f = read;
    s->id = take(f->id);
    s->bundle = take(f->bundle);
    s->rootfs = take(f->rootfs);
    s->cgroup_path = take(f->cgroup);
    s->cgroup_text = take(f->cgroup_text);
    s->scope = take(f->scope);
    s->scope_user = f->scope_user;
    s->init = (struct proc_id){ .pid = (pid_t)f->pid, .start_time = f->start_time };
    s->created_ns = f->created_ns;
    s->namespaces = f->namespaces;
    s->joined = f->joined;
    s->rootless = f->rootless;
    s->no_new_keyring = f->no_new_keyring;
    s->shares_mounts = f->shares_mounts;
    s->starts_at_once = f->starts_at_once;
    s->annotations = f->annotations;
    f->annotations = (struct strmap){ 0 };
    s->listener_path = take(f->listener_path);
    s->listener_metadata = take(f->listener_metadata);
    s->resctrl_dirs = f->resctrl_dirs;
    f->resctrl_dirs = (struct strv){ 0 };
    s->resctrl_group = take(f->resctrl_group);
    s->resctrl_monitor = take(f->resctrl_monitor);
    s->hooks = take(f->hooks);
    s->rest = take(f->rest);
    bind_free(&file_type, f);
    *ret = take(s);
    if (ret_dir_fd)
        *ret_dir_fd = take_fd(&dir);
    return NULL;
}

fallible state_open_group(const char *state_dir, struct runtime_state **ret, int *ret_dir_fd, struct cgroup **ret_g,
                          int *ret_pidfd)
{
    own(runtime_state) struct runtime_state *s = NULL;
    own(cgroup) struct cgroup *g = NULL;
    own_fd int dir = -1;
    TRY(read_state(state_dir, &s, &dir));
    TRY(find_status(dir, s, &g, ret_pidfd));
    if (!g)
        TRY(state_cgroup(s, &g));
    *ret = take(s);
    *ret_dir_fd = take_fd(&dir);
    *ret_g = take(g);
    return NULL;
}

fallible state_open(const char *state_dir, struct runtime_state **ret, int *ret_dir_fd)
{
    own(runtime_state) struct runtime_state *s = NULL;
    own(cgroup) struct cgroup *g = NULL;
    own_fd int dir = -1;
    TRY(read_state(state_dir, &s, &dir));
    TRY(find_status(dir, s, &g, NULL));
    *ret = take(s);
    *ret_dir_fd = take_fd(&dir);
    return NULL;
}

fallible runtime_bundle(const char *state_dir, char **ret)
{
    own(runtime_state) struct runtime_state *s = NULL;
    own_fd int dir = -1;
    TRY(read_state(state_dir, &s, &dir));
    *ret = s->bundle ? take(s->bundle) : mem_strdup("");
    return NULL;
}

fallible runtime_state_read(const char *state_dir, struct runtime_state **ret)
{
    own(runtime_state) struct runtime_state *s = NULL;
    own(cgroup) struct cgroup *g = NULL;
    own_fd int dir = -1;
    TRY(read_state(state_dir, &s, NULL));
    if (!s->starts_at_once)
        TRY(fs_open_dir_at(AT_FDCWD, state_dir, FS_MUST_EXIST, &dir));
    TRY(find_status(dir, s, &g, NULL));
    *ret = take(s);
    return NULL;
}

json_t *state_json(const struct runtime_state *s)
{
    json_t *doc = json_object();
    json_object_set_new(doc, "ociVersion", json_string(OCI_RUNTIME_VERSION));
    json_object_set_new(doc, "id", json_string(s->id));
    json_object_set_new(doc, "status", json_string(words[s->status]));
    if (s->status != RUNTIME_STOPPED && s->init.pid)
        json_object_set_new(doc, "pid", json_integer(s->init.pid));
    json_object_set_new(doc, "bundle", json_string(s->bundle ? s->bundle : ""));
    if (s->annotations.n) {
        json_t *map = json_object();
        for (size_t i = 0; i < s->annotations.n; i++)
            json_object_set_new(map, s->annotations.items[i].key, json_string(s->annotations.items[i].value));
        json_object_set_new(doc, "annotations", map);
    }
    return doc;
}

char *runtime_state_text(const struct runtime_state *s)
{
    own_json json_t *doc = state_json(s);
    return json_text(doc, BIND_COMPACT);
}
