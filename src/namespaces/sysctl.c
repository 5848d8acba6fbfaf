// SPDX-License-Identifier: GPL-2.0-or-later
#include "namespaces/sysctl.h"

#include <linux/sched.h>
#include <sched.h>
#include <string.h>

static const struct {
    const char *prefix; /* with '/' between the words; a trailing '/' means everything below */
    uint64_t flag;
    const char *type;
} namespaced[] = {
    { "kernel/msgmax", CLONE_NEWIPC, "ipc" },   { "kernel/msgmnb", CLONE_NEWIPC, "ipc" },
    { "kernel/msgmni", CLONE_NEWIPC, "ipc" },   { "kernel/sem", CLONE_NEWIPC, "ipc" },
    { "kernel/shmall", CLONE_NEWIPC, "ipc" },   { "kernel/shmmax", CLONE_NEWIPC, "ipc" },
    { "kernel/shmmni", CLONE_NEWIPC, "ipc" },   { "kernel/shm_rmid_forced", CLONE_NEWIPC, "ipc" },
    { "kernel/hostname", CLONE_NEWUTS, "uts" }, { "kernel/domainname", CLONE_NEWUTS, "uts" },
    { "fs/mqueue/", CLONE_NEWIPC, "ipc" },      { "net/", CLONE_NEWNET, "network" },
    { "user/", CLONE_NEWUSER, "user" },
};

char *sysctl_path(const char *key)
{
    own_str struct str out = { 0 };
    size_t first = strcspn(key, "./");
    char divider = key[first] ? key[first] : '.';
    str_add(&out, "sys/");
    for (const char *p = key; *p; p++) {
        if (*p == divider)
            str_add_char(&out, '/');
        else if (*p == '/')
            str_add_char(&out, '.'); /* net.ipv4.conf.eth0/1.x: the interface eth0.1, as sysctl(8) writes it */
        else
            str_add_char(&out, *p);
    }
    return str_take(&out);
}

static bool matches(const char *path, const char *prefix)
{
    return str_ends(prefix, "/") ? str_starts(path, prefix) : str_eq(path, prefix);
}

static fallible check_key(const struct oci_spec *spec, const struct namespaces *ns, const char *key)
{
    own_mem char *path = sysctl_path(key);
    const char *name = path + strlen("sys/");
    if (strstr(path, "/../") || strstr(path, "/./") || strstr(path, "//") || str_ends(path, "/..") ||
        str_ends(path, "/"))
        return err_new(ERR_INVALID, "sysctl '%s': not the name of a kernel parameter", key);
    for (size_t i = 0; i < ARRAY_SIZE(namespaced); i++) {
        if (!matches(name, namespaced[i].prefix))
            continue;
        if (!namespaces_has(ns, namespaced[i].flag))
            return err_new(ERR_INVALID,
                           "sysctl '%s': needs a %s namespace of the container's own, or it would change the host", key,
                           namespaced[i].type);
        if (str_eq(name, "kernel/hostname") && spec->hostname && *spec->hostname)
            return err_new(ERR_INVALID, "sysctl '%s': conflicts with hostname", key);
        return NULL;
    }
    return err_new(ERR_INVALID, "sysctl '%s': belongs to no namespace: it would change the host", key);
}

fallible sysctl_check(const struct oci_spec *spec, const struct namespaces *ns)
{
    for (size_t i = 0; spec->linux_ && i < spec->linux_->sysctl.n; i++)
        TRY(check_key(spec, ns, spec->linux_->sysctl.items[i].key));
    return NULL;
}
