// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>

#include "os/ids.h"
#include "os/proc.h"
#include "os/sock.h"
#include "rootfs/internal.h"
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
