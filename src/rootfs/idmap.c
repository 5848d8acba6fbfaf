// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "base/parse.h"
#include "os/ids.h"
#include "os/proc.h"
#include "os/sock.h"
#include "rootfs/rootfs_parts.h"
#include "rootfs/source.h"

static void add_all(struct id_map *to, const struct oci_id_mapping *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        id_map_add(to, from[i].container_id, from[i].host_id, from[i].size);
}

/* A process that lives only to hold a user namespace until its descriptor is taken. */
fallible source_userns(const struct id_map *uids, const struct id_map *gids, int *ret_fd)
{
    own_fd int pidfd = -1;
    int pair[2], status = 0;
    pid_t pid = 0;
    char path[48];
    TRY(sock_pair(pair));
    own_fd int ours = pair[0];
    own_fd int theirs = pair[1];
    TRY_AS(proc_clone(CLONE_NEWUSER, -1, &pid, &pidfd), "user namespace for id-mapping");
    if (pid == 0) {
        char byte;
        (void)close(ours);
        (void)recv(theirs, &byte, 1, 0); /* until the parent is done, or dead */
        _exit(0);
    }
    close_now(&theirs);
    err *e = ids_write_maps(pid, uids, gids);
    (void)snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
    if (!e) {
        *ret_fd = open(path, O_RDONLY | O_CLOEXEC);
        if (*ret_fd < 0)
            e = err_sys(errno, "open '%s'", path);
    }
    close_now(&ours);
    err_ignore(proc_wait(pidfd, -1, &status), "it ends with the socket");
    return e;
}

fallible userns_for_maps(const struct oci_mount *m, int *ret_fd)
{
    own(id_map) struct id_map uids = { 0 };
    own(id_map) struct id_map gids = { 0 };
    add_all(&uids, m->uid_mappings, m->uid_mappings_n);
    add_all(&gids, m->gid_mappings, m->gid_mappings_n);
    return source_userns(&uids, &gids, ret_fd);
}

/* An id of the container as the host sees it. */
static fallible host_id(const struct oci_id_mapping *maps, size_t n, uint64_t id, uint64_t *ret)
{
    for (size_t i = 0; i < n; i++) {
        if (id >= maps[i].container_id && id - maps[i].container_id < maps[i].size) {
            *ret = maps[i].host_id + (id - maps[i].container_id);
            return NULL;
        }
    }
    return err_new(ERR_INVALID, "@: %llu is not mapped in the container", (unsigned long long)id);
}

static fallible add_range(const char *text, const struct oci_id_mapping *maps, size_t n, struct id_map *to)
{
    own_strv struct strv parts = { 0 };
    uint64_t v[3];
    bool relative = text[0] == '@';
    strv_split(&parts, text + relative, '-');
    if (parts.n != 3)
        return err_new(ERR_INVALID, "'%s' is not FILE-HOST-COUNT", text);
    for (size_t i = 0; i < 3; i++)
        TRY_AS(parse_u64(parts.items[i], UINT32_MAX - 1, &v[i]), "'%s'", text);
    if (relative)
        TRY(host_id(maps, n, v[1], &v[1]));
    if (!v[2] || v[0] + v[2] > UINT32_MAX || v[1] + v[2] > UINT32_MAX)
        return err_new(ERR_INVALID, "'%s': the range is empty or beyond 4294967294", text);
    id_map_add(to, (uint32_t)v[0], (uint32_t)v[1], (uint32_t)v[2]);
    return NULL;
}

fallible userns_for_words(const struct rootfs *r, const char *words, int *ret_fd)
{
    own(id_map) struct id_map uids = { 0 };
    own(id_map) struct id_map gids = { 0 };
    own_strv struct strv lists = { 0 };
    const struct oci_linux *l = r->spec->linux_;
    strv_split(&lists, words, ';');
    for (size_t i = 0; i < lists.n; i++) {
        own_strv struct strv ranges = { 0 };
        bool users = str_starts(lists.items[i], "uids=");
        if (!users && !str_starts(lists.items[i], "gids="))
            return err_new(ERR_INVALID, "'%s' begins with neither uids= nor gids=", lists.items[i]);
        strv_split(&ranges, lists.items[i] + strlen("uids="), '#');
        for (size_t k = 0; k < ranges.n; k++)
            TRY(add_range(ranges.items[k],
                          !l      ? NULL
                          : users ? l->uid_mappings
                                  : l->gid_mappings,
                          !l      ? 0
                          : users ? l->uid_mappings_n
                                  : l->gid_mappings_n,
                          users ? &uids : &gids));
    }
    if (!uids.n || !gids.n)
        return err_new(ERR_INVALID, "it needs uids= and gids=");
    return source_userns(&uids, &gids, ret_fd);
}
