// SPDX-License-Identifier: GPL-2.0-or-later
#include "spec/oci_check.h"

#include <inttypes.h>
#include <string.h>

/* What the schema says beyond types, one rule a function: each answers the first thing wrong. */

static fallible check_version(const struct oci_spec *s)
{
    const char *v = s->oci_version;
    if ((v[0] == '0' || v[0] == '1') && v[1] == '.' && v[2] >= '0' && v[2] <= '9')
        return NULL;
    return err_new(ERR_INVALID, "ociVersion: '%s' is not a version that husk knows: 0.x and 1.x", s->oci_version);
}

static fallible check_user(const struct oci_user *u)
{
    /* (uid_t)-1 means "leave it" to setuid(2): the program would stay root. */
    if (u->uid == UINT32_MAX || u->gid == UINT32_MAX)
        return err_new(ERR_INVALID, "4294967295 is not a user or group id");
    if (u->umask.set && u->umask.v > 0777)
        return err_new(ERR_INVALID, "umask: %" PRIu64 " is out of range: 0 to 511", u->umask.v);
    if (!u->additional_gids)
        return NULL;
    if (!json_is_array(u->additional_gids))
        return err_new(ERR_INVALID, "additionalGids: expected an array");
    for (size_t i = 0; i < json_array_size(u->additional_gids); i++) {
        const json_t *gid = json_array_get(u->additional_gids, i);
        if (!json_is_integer(gid) || json_integer_value(gid) < 0 || json_integer_value(gid) >= UINT32_MAX)
            return err_new(ERR_INVALID, "additionalGids[%zu]: not a group id", i);
    }
    return NULL;
}

static fallible check_process(const struct oci_process *p)
{
    if (p->user)
        TRY_AS(check_user(p->user), "user");
    if (p->cwd[0] != '/')
        return err_new(ERR_INVALID, "cwd: '%s' is not an absolute path", p->cwd);
    for (size_t i = 0; i < p->rlimits_n; i++)
        for (size_t k = i + 1; k < p->rlimits_n; k++)
            if (str_eq(p->rlimits[i].type, p->rlimits[k].type))
                return err_new(ERR_INVALID, "rlimits: '%s' is there twice", p->rlimits[i].type);
    return NULL;
}

enum { MAPPINGS_MAX = 340 }; /* user_namespaces(7) */

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    return a < b + b_size && b < a + a_size;
}

static fallible check_mappings(const char *what, const struct oci_id_mapping *m, size_t n)
{
    if (n > MAPPINGS_MAX)
        return err_new(ERR_INVALID, "%s: %zu ranges: the kernel takes %d", what, n, MAPPINGS_MAX);
    for (size_t i = 0; i < n; i++)
        if (m[i].size == 0 || (uint64_t)m[i].container_id + m[i].size > UINT32_MAX ||
            (uint64_t)m[i].host_id + m[i].size > UINT32_MAX)
            return err_new(ERR_INVALID, "%s[%zu]: the range is empty or beyond 4294967294", what, i);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++)
            if (overlap(m[i].container_id, m[i].size, m[k].container_id, m[k].size) ||
                overlap(m[i].host_id, m[i].size, m[k].host_id, m[k].size))
                return err_new(ERR_INVALID, "%s[%zu]: the range overlaps that of [%zu]", what, i, k);
    return NULL;
}

static fallible check_mounts(const struct oci_spec *s)
{
    if (s->root && !s->root->path[0])
        return err_new(ERR_INVALID, "root: path: empty");
    for (size_t i = 0; i < s->mounts_n; i++) {
        const struct oci_mount *m = &s->mounts[i];
        if (!m->destination[0])
            return err_new(ERR_INVALID, "mounts[%zu]: destination: empty", i);
        if (!m->uid_mappings_n != !m->gid_mappings_n)
            return err_new(ERR_INVALID, "mounts[%zu]: uidMappings and gidMappings belong together", i);
        TRY_AS(check_mappings("uidMappings", m->uid_mappings, m->uid_mappings_n), "mounts[%zu]", i);
        TRY_AS(check_mappings("gidMappings", m->gid_mappings, m->gid_mappings_n), "mounts[%zu]", i);
    }
    return NULL;
}

static fallible check_hooks(const char *what, const struct oci_hook *h, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (h[i].path[0] != '/')
            return err_new(ERR_INVALID, "hooks: %s[%zu]: path: '%s' is not an absolute path", what, i, h[i].path);
        if (h[i].timeout.set && h[i].timeout.v <= 0)
            return err_new(ERR_INVALID, "hooks: %s[%zu]: timeout: must be above 0", what, i);
    }
    return NULL;
}

static fallible check_all_hooks(const struct oci_hooks *h)
{
    TRY(check_hooks("prestart", h->prestart, h->prestart_n));
    TRY(check_hooks("createRuntime", h->create_runtime, h->create_runtime_n));
    TRY(check_hooks("createContainer", h->create_container, h->create_container_n));
    TRY(check_hooks("startContainer", h->start_container, h->start_container_n));
    TRY(check_hooks("poststart", h->poststart, h->poststart_n));
    return check_hooks("poststop", h->poststop, h->poststop_n);
}

static fallible check_namespaces(const struct oci_linux *l)
{
    static const char *const known[] = { "pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time" };
    for (size_t i = 0; i < l->namespaces_n; i++) {
        const struct oci_namespace *ns = &l->namespaces[i];
        bool found = false;
        for (size_t k = 0; k < ARRAY_SIZE(known); k++)
            found |= str_eq(ns->type, known[k]);
        if (!found)
            return err_new(ERR_INVALID, "namespaces[%zu]: type: '%s' is not a namespace", i, ns->type);
        if (ns->path && ns->path[0] && ns->path[0] != '/')
            return err_new(ERR_INVALID, "namespaces[%zu]: path: '%s' is not an absolute path", i, ns->path);
        for (size_t k = 0; k < i; k++)
            if (str_eq(ns->type, l->namespaces[k].type))
                return err_new(ERR_INVALID, "namespaces: '%s' is there twice", ns->type);
    }
    return NULL;
}

enum { MAJOR_MAX = (1 << 12) - 1, MINOR_MAX = (1 << 20) - 1 }; /* the kernel's dev_t */

static fallible check_devices(const struct oci_linux *l)
{
    for (size_t i = 0; i < l->devices_n; i++) {
        const struct oci_device *d = &l->devices[i];
        if (strlen(d->type) != 1 || !strchr("cbup", d->type[0]))
            return err_new(ERR_INVALID, "devices[%zu]: type: '%s' is none of c, b, u and p", i, d->type);
        if (d->path[0] != '/')
            return err_new(ERR_INVALID, "devices[%zu]: path: '%s' is not an absolute path", i, d->path);
        if (d->type[0] != 'p' && (d->major < 0 || d->major > MAJOR_MAX || d->minor < 0 || d->minor > MINOR_MAX))
            return err_new(ERR_INVALID, "devices[%zu]: %" PRId64 ":%" PRId64 " is no device number", i, d->major,
                           d->minor);
        if (d->file_mode.set && d->file_mode.v > 07777 && (d->file_mode.v & ~UINT64_C(0170000)) > 07777)
            return err_new(ERR_INVALID, "devices[%zu]: fileMode: %" PRIu64 " is no mode", i, d->file_mode.v);
        if ((d->uid.set && d->uid.v >= UINT32_MAX) || (d->gid.set && d->gid.v >= UINT32_MAX))
            return err_new(ERR_INVALID, "devices[%zu]: not a user or group id", i);
    }
    return NULL;
}

static fallible check_texts(const char *what, const json_t *list)
{
    if (list && !json_is_array(list))
        return err_new(ERR_INVALID, "%s: expected an array", what);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!json_is_string(json_array_get(list, i)))
            return err_new(ERR_INVALID, "%s[%zu]: expected a string", what, i);
    return NULL;
}

static fallible check_policies(const struct oci_linux *l)
{
    const char *clock;
    json_t *v;
    if ((l->memory_policy && !json_is_object(l->memory_policy)) || (l->personality && !json_is_object(l->personality)))
        return err_new(ERR_INVALID, "%s: expected an object",
                       l->memory_policy && !json_is_object(l->memory_policy) ? "memoryPolicy" : "personality");
    const json_t *nodes = json_object_get(l->memory_policy, "nodes");
    if (nodes && !json_is_string(nodes))
        return err_new(ERR_INVALID, "memoryPolicy: nodes: expected a string");
    TRY(check_texts("memoryPolicy: flags", json_object_get(l->memory_policy, "flags")));
    TRY(check_texts("personality: flags", json_object_get(l->personality, "flags")));
    if (l->time_offsets && !json_is_object(l->time_offsets))
        return err_new(ERR_INVALID, "timeOffsets: expected an object");
    json_object_foreach (l->time_offsets, clock, v) {
        const json_t *ns = json_object_get(v, "nanosecs");
        if (json_integer_value(ns) < 0 || json_integer_value(ns) > 999999999)
            return err_new(ERR_INVALID, "timeOffsets: %s: nanosecs: out of range: 0 to 999999999", clock);
    }
    return NULL;
}

/* Objects that are kept as they stand are held to the schema here. */
static fallible check_raw(const struct oci_linux *l)
{
    const char *key;
    json_t *v;
    if (l->net_devices) {
        if (!json_is_object(l->net_devices))
            return err_new(ERR_INVALID, "netDevices: expected an object");
        json_object_foreach (l->net_devices, key, v) {
            const json_t *name = json_object_get(v, "name");
            if (!json_is_object(v) || (name && !json_is_string(name)))
                return err_new(ERR_INVALID, "netDevices: %s: name: expected a string", key);
        }
    }
    TRY(check_policies(l));
    if (!l->resources || !l->resources->rdma)
        return NULL;
    if (!json_is_object(l->resources->rdma))
        return err_new(ERR_INVALID, "resources: rdma: expected an object");
    json_object_foreach (l->resources->rdma, key, v) {
        const char *limit;
        json_t *n;
        if (!json_is_object(v))
            return err_new(ERR_INVALID, "resources: rdma: %s: expected an object", key);
        json_object_foreach (v, limit, n) {
            if (!json_is_integer(n) || json_integer_value(n) < 0 || json_integer_value(n) > UINT32_MAX)
                return err_new(ERR_INVALID, "resources: rdma: %s: %s: expected a number", key, limit);
        }
    }
    return NULL;
}

static fallible check_hugepages(const struct oci_resources *r)
{
    for (size_t i = 0; i < r->hugepage_limits_n; i++) {
        const char *p = r->hugepage_limits[i].page_size;
        size_t digits = strspn(p, "0123456789");
        if (!digits || p[0] == '0' ||
            (!str_eq(p + digits, "KB") && !str_eq(p + digits, "MB") && !str_eq(p + digits, "GB")))
            return err_new(ERR_INVALID, "resources: hugepageLimits[%zu]: pageSize: '%s' is not of the form 2MB", i, p);
    }
    return NULL;
}

static fallible check_seccomp(const struct oci_seccomp *s)
{
    if (s->listener_metadata && *s->listener_metadata && !(s->listener_path && *s->listener_path))
        return err_new(ERR_INVALID, "seccomp: listenerMetadata: there is no listenerPath to send it to");
    for (size_t i = 0; i < s->syscalls_n; i++)
        if (!s->syscalls[i].names.n)
            return err_new(ERR_INVALID, "seccomp: syscalls[%zu]: names: empty", i);
    return NULL;
}

static fallible check_absolute(const char *what, const struct strv *paths)
{
    for (size_t i = 0; i < paths->n; i++)
        if (paths->items[i][0] != '/')
            return err_new(ERR_INVALID, "%s[%zu]: '%s' is not an absolute path", what, i, paths->items[i]);
    return NULL;
}

static fallible check_linux(const struct oci_linux *l)
{
    TRY(check_namespaces(l));
    TRY(check_mappings("uidMappings", l->uid_mappings, l->uid_mappings_n));
    TRY(check_mappings("gidMappings", l->gid_mappings, l->gid_mappings_n));
    TRY(check_devices(l));
    TRY(check_raw(l));
    TRY(check_absolute("maskedPaths", &l->masked_paths));
    TRY(check_absolute("readonlyPaths", &l->readonly_paths));
    if (l->seccomp)
        TRY(check_seccomp(l->seccomp));
    if (l->resources)
        TRY(check_hugepages(l->resources));
    return NULL;
}

fallible oci_check(const struct oci_spec *s)
{
    TRY(check_version(s));
    if (s->process)
        TRY_AS(check_process(s->process), "process");
    TRY(check_mounts(s));
    if (s->hooks)
        TRY(check_all_hooks(s->hooks));
    if (s->linux_)
        TRY_AS(check_linux(s->linux_), "linux");
    return NULL;
}
