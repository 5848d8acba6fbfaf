/*
 * What a container tells systemd (sd_notify(3)): it gets a socket of its own, and "READY=1" goes on to ours.
 *
 * The container never sees the host's socket: on that one it could say anything about the service that it is part of.
 * Its socket is bound by whoever starts the program, in a folder that is mounted into it at its creation.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "oci/oci.h"
#include "os/fs.h"
#include "os/proc.h"
#include "os/sock.h"

#define FOLDER  "notify"
#define NAME    "notify.sock"
#define MOUNTED "/run/" FOLDER

static const char *host_socket(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    return path && (*path == '/' || *path == '@') ? path : NULL;
}

fallible oci_notify_prepare(const char *state_dir, struct oci_spec *spec, char **ret_staging)
{
    if (!host_socket() || !spec->process)
        return NULL;
    own_mem char *folder = mem_printf("%s/" FOLDER, state_dir);
    own_mem char *staging = mem_printf("%s/root", state_dir); /* the root would cover the folder otherwise */
    if (mkdir(folder, 0755) < 0 || mkdir(staging, 0700) < 0)
        return err_sys(errno, "make '%s'", folder);
    *ret_staging = take(staging);
    struct oci_mount *m = oci_spec_add_mount(spec);
    m->destination = mem_strdup(MOUNTED);
    m->type = mem_strdup("bind");
    m->source = take(folder);
    strv_add(&m->options, "bind");
    strv_add(&m->options, "nosuid");
    strv_add(&m->options, "nodev");
    strv_add(&m->options, "noexec");
    strv_setenv(&spec->process->env, "NOTIFY_SOCKET=" MOUNTED "/" NAME);
    return NULL;
}

fallible oci_notify_listen(const char *state_dir, int *ret_sock)
{
    own_fd int dir = -1;
    own_mem char *folder = mem_printf("%s/" FOLDER, state_dir);
    if (!host_socket() || access(folder, F_OK) < 0)
        return NULL;
    TRY(fs_open_dir_at(AT_FDCWD, folder, FS_MUST_EXIST, &dir));
    (void)unlinkat(dir, NAME, 0);
    return err_wrap(sock_listen_at(dir, NAME, SOCK_DGRAM, 0777, ret_sock), "NOTIFY_SOCKET");
}

static fallible tell(const char *text)
{
    const char *path = host_socket();
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    size_t n = strlen(path);
    if (n >= sizeof to.sun_path)
        return err_new(ERR_INVALID, "NOTIFY_SOCKET: the path is too long");
    memcpy(to.sun_path, path, n);
    if (*path == '@')
        to.sun_path[0] = '\0';
    own_fd int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sock < 0 || sendto(sock, text, strlen(text), MSG_NOSIGNAL, (void *)&to,
                           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
        return err_sys(errno, "NOTIFY_SOCKET '%s'", path);
    return NULL;
}

static bool says_ready(const char *text)
{
    for (const char *line = text; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
        if (strncmp(line, "READY=1", 7) == 0 && (line[7] == '\n' || !line[7]))
            return true;
    return false;
}

fallible oci_notify_wait(int sock, int pidfd, pid_t main_pid)
{
    char text[4096];
    if (sock < 0)
        return NULL;
    for (;;) {
        struct pollfd p[] = { { .fd = sock, .events = POLLIN }, { .fd = pidfd, .events = POLLIN } };
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return err_sys(errno, "wait for the container's readiness");
        ssize_t n = p[0].revents ? recv(sock, text, sizeof text - 1, MSG_DONTWAIT) : -1;
        if (n < 0 && p[1].revents)
            return NULL; /* it ended without having said so */
        if (n <= 0)
            continue;
        text[n] = '\0';
        if (!says_ready(text))
            continue;
        own_mem char *words = main_pid ? mem_printf("MAINPID=%d\nREADY=1", (int)main_pid) : mem_strdup("READY=1");
        return tell(words);
    }
}

fallible oci_notify_in_background(int sock, int pidfd, int *ret_pidfd)
{
    pid_t pid = 0;
    if (sock < 0)
        return NULL;
    TRY(proc_clone(0, -1, &pid, ret_pidfd));
    if (pid == 0) {
        err_ignore(oci_notify_wait(sock, pidfd, 0), "nobody is there to hear of it");
        _exit(0);
    }
    return NULL;
}
