// SPDX-License-Identifier: GPL-2.0-or-later
/* Id maps of containers: as texts in their configuration, cut, checked, read of a namespace. */
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/userns.h"
#include "os/proc.h"
#include "os/sock.h"

fallible userns_map_read(const struct strv *texts, struct id_map *ret)
{
    for (size_t i = 0; i < texts->n; i++) {
        unsigned inside, outside, count;
        if (sscanf(texts->items[i], "%u:%u:%u", &inside, &outside, &count) != 3)
            return err_new(ERR_CORRUPT, "'%s' is no id map", texts->items[i]);
        id_map_add(ret, inside, outside, count);
    }
    return NULL;
}

void userns_map_write(const struct id_map *map, struct strv *ret)
{
    for (size_t i = 0; i < map->n; i++)
        strv_add_printf(ret, "%u:%u:%u", map->ranges[i].inside, map->ranges[i].outside, map->ranges[i].count);
}

void userns_map_cut(struct id_map *map, uint32_t inside, uint32_t count)
{
    struct id_map out = { 0 };
    uint64_t end = (uint64_t)inside + count;
    for (size_t i = 0; i < map->n; i++) {
        const struct id_range *r = &map->ranges[i];
        uint64_t r_end = (uint64_t)r->inside + r->count;
        if (r_end <= inside || r->inside >= end) {
            id_map_add(&out, r->inside, r->outside, r->count);
            continue;
        }
        if (r->inside < inside)
            id_map_add(&out, r->inside, r->outside, inside - r->inside);
        if (r_end > end)
            id_map_add(&out, (uint32_t)end, r->outside + (uint32_t)(end - r->inside), (uint32_t)(r_end - end));
    }
    id_map_free(map);
    *map = out;
}

void userns_map_cut_outside(struct id_map *map, uint32_t outside, uint32_t count)
{
    struct id_map turned = { 0 }, out = { 0 };
    for (size_t i = 0; i < map->n; i++)
        id_map_add(&turned, map->ranges[i].outside, map->ranges[i].inside, map->ranges[i].count);
    userns_map_cut(&turned, outside, count);
    for (size_t i = 0; i < turned.n; i++)
        id_map_add(&out, turned.ranges[i].outside, turned.ranges[i].inside, turned.ranges[i].count);
    id_map_free(&turned);
    id_map_free(map);
    *map = out;
}

fallible userns_map_check(const struct id_map *map, const char *option)
{
    for (size_t i = 0; i < map->n; i++)
        for (size_t k = i + 1; k < map->n; k++) {
            const struct id_range *a = &map->ranges[i], *b = &map->ranges[k];
            bool in = a->inside < (uint64_t)b->inside + b->count && b->inside < (uint64_t)a->inside + a->count;
            bool out = a->outside < (uint64_t)b->outside + b->count && b->outside < (uint64_t)a->outside + a->count;
            if (in || out)
                return err_new(ERR_INVALID, "%s: %u:%u:%u and %u:%u:%u overlap", option, a->inside, a->outside,
                               a->count, b->inside, b->outside, b->count);
        }
    if (map->n > 340)
        return err_new(ERR_INVALID, "%s: %zu ranges: the kernel takes 340", option, map->n);
    return NULL;
}

void userns_map_keep(const struct id_map *base, uint32_t id, struct id_map *to)
{
    uint32_t inside = 0;
    for (size_t i = 0; i < base->n; i++) {
        const struct id_range *r = &base->ranges[i];
        if (r->inside == 0) /* the caller */
            continue;
        uint32_t below = inside < id ? id - inside : 0;
        below = below < r->count ? below : r->count;
        if (below)
            id_map_add(to, inside, r->outside, below);
        if (r->count > below) {
            uint32_t at = inside + below;
            id_map_add(to, at >= id ? at + 1 : at, r->outside + below, r->count - below);
        }
        inside += r->count;
    }
    id_map_add(to, id, base->n ? base->ranges[0].outside : id, 1);
}

fallible userns_maps_of(const struct container_config *c, struct id_map *uids, struct id_map *gids)
{
    if (c->uid_map.n || c->gid_map.n) {
        TRY(userns_map_read(&c->uid_map, uids));
        return userns_map_read(&c->gid_map, gids);
    }
    uint32_t count = c->userns_size ? (uint32_t)c->userns_size : USERNS_IDS;
    id_map_add(uids, 0, (uint32_t)c->userns_first, count);
    id_map_add(gids, 0, (uint32_t)(c->userns_first_gid ? c->userns_first_gid : c->userns_first), count);
    return NULL;
}

static fallible open_userns(const char *path, int *ret_fd)
{
    own_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_sys(errno, "open it");
    if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWUSER)
        return err_new(ERR_INVALID, "it is no user namespace");
    *ret_fd = take_fd(&fd);
    return NULL;
}

static fallible read_maps_of(pid_t pid, struct id_map *uids, struct id_map *gids)
{
    char path[48];
    (void)snprintf(path, sizeof path, "/proc/%d/uid_map", (int)pid);
    TRY(id_map_read_proc(path, uids));
    (void)snprintf(path, sizeof path, "/proc/%d/gid_map", (int)pid);
    TRY(id_map_read_proc(path, gids));
    return uids->n && gids->n ? NULL : err_new(ERR_INVALID, "it has no map yet");
}

/* Only a process in it shows its maps. */
fallible userns_maps_at(const char *path, struct id_map *uids, struct id_map *gids)
{
    own_fd int user = -1, pidfd = -1;
    int pair[2], status = 0, failed = 0;
    size_t n = 0;
    pid_t pid = 0;
    TRY(open_userns(path, &user));
    TRY(sock_pair(pair));
    own_fd int ours = pair[0], theirs = pair[1];
    TRY(proc_clone(0, -1, &pid, &pidfd));
    if (pid == 0) {
        char byte;
        (void)close(ours);
        failed = setns(user, CLONE_NEWUSER) < 0 ? errno : 0;
        (void)send(theirs, &failed, sizeof failed, MSG_NOSIGNAL);
        (void)recv(theirs, &byte, 1, 0); /* until the parent is done, or dead */
        _exit(0);
    }
    close_now(&theirs);
    err *e = sock_recv(ours, &failed, sizeof failed, &n, NULL, 0, NULL);
    if (!e && failed == EINVAL)
        e = err_new(ERR_INVALID, "it is the one that husk runs in");
    else if (!e && failed)
        e = err_sys(failed, "enter it");
    if (!e)
        e = read_maps_of(pid, uids, gids);
    close_now(&ours);
    err_ignore(proc_wait(pidfd, -1, &status), "it ends with the socket");
    return e;
}
