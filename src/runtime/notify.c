// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "os/fs.h"
#include "os/sock.h"
#include "runtime/start.h"

/*
 * Who passes the listener on is whoever waits for the exec at that moment: the creator, the starter of a created
 * container, or exec. They connect to the agent before they let the process go on, and send as soon as the filter is
 * loaded, not after the exec: the exec itself may be a call that the agent has to answer.
 * Source: runtime-spec config-linux.md, "Seccomp" (listenerPath) and "The Container Process State".
 */

bool notify_wanted(const struct oci_seccomp *seccomp)
{
    for (size_t i = 0; seccomp && i < seccomp->syscalls_n; i++)
        if (str_eq(seccomp->syscalls[i].action, "SCMP_ACT_NOTIFY"))
            return seccomp->listener_path && *seccomp->listener_path;
    return false;
}

fallible notify_connect(const char *path, int *ret_sock)
{
    own_fd int dir = -1;
    const char *slash = strrchr(path, '/');
    if (path[0] != '/')
        return err_new(ERR_INVALID, "linux.seccomp.listenerPath: '%s' is not an absolute path", path);
    own_mem char *folder = slash == path ? mem_strdup("/") : mem_strndup(path, (size_t)(slash - path));
    TRY_AS(fs_open_dir_at(AT_FDCWD, folder, FS_MUST_EXIST, &dir), "linux.seccomp.listenerPath");
    return err_wrap(sock_connect_at(dir, slash + 1, SOCK_STREAM, ret_sock), "linux.seccomp.listenerPath '%s'", path);
}

static fallible send_rest(int sock, const char *text, size_t len)
{
    for (size_t sent = 0; sent < len;) {
        ssize_t n = send(sock, text + sent, len - sent, MSG_NOSIGNAL);
        if (n < 0)
            return err_sys(errno, "send the container process state to the seccomp agent");
        sent += (size_t)n;
    }
    return NULL;
}

fallible notify_send(int *sock, const struct runtime_state *state, const char *metadata, pid_t pid, int take_listener)
{
    own_fd int listener = take_listener;
    own_fd int to = take_fd(sock);
    own_json json_t *doc = json_pack("{s:s, s:[s], s:i, s:o}", "ociVersion", OCI_RUNTIME_VERSION, "fds", "seccompFd",
                                     "pid", (int)pid, "state", state_json(state));
    if (to < 0)
        return err_new(ERR_INTERNAL, "a seccomp listener that nobody waits for");
    if (metadata)
        json_object_set_new(doc, "metadata", json_string(metadata));
    own_mem char *text = json_text(doc, BIND_COMPACT);
    /* descriptors go with the first message only, and a stream may take that in parts: one byte carries them */
    TRY_AS(sock_send(to, text, 1, &listener, 1), "linux.seccomp.listenerPath");
    return send_rest(to, text + 1, strlen(text) - 1);
}
