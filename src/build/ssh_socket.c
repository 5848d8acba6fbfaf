// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/ssh_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/fs.h"
#include "os/sock.h"

/* All of it, to a socket. */
static bool pass(int from, int to)
{
    char bytes[16384];
    ssize_t n = read(from, bytes, sizeof bytes);
    for (ssize_t done = 0; done < n;) {
        ssize_t sent = send(to, bytes + done, (size_t)(n - done), MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return false;
        done += sent > 0 ? sent : 0;
    }
    return n > 0 || (n < 0 && errno == EINTR);
}

/* A request is answered before the next one, so whoever ends first ends the conversation. */
static void converse(int client, int agent)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    own_fd int to = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d", agent); /* its path may be a long one */
    if (to < 0 || connect(to, (const struct sockaddr *)&address, sizeof address) < 0)
        return;
    struct pollfd fds[] = { { .fd = client, .events = POLLIN }, { .fd = to, .events = POLLIN } };
    for (;;) {
        if (poll(fds, 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            return;
        }
        if ((fds[0].revents && !pass(client, to)) || (fds[1].revents && !pass(to, client)))
            return;
    }
}

/* What the step has open, its pipes to the builder above all, would be open as long as we live. */
static void close_others(unsigned a, unsigned b)
{
    unsigned low = a < b ? a : b, high = a < b ? b : a;
    if (low > 3)
        (void)close_range(3, low - 1, 0);
    if (high > low + 1)
        (void)close_range(low + 1, high - 1, 0);
    (void)close_range(high + 1, ~0U, 0);
}

static void serve(int listener, int agent, pid_t step) __attribute__((noreturn));
static void serve(int listener, int agent, pid_t step)
{
    sigset_t none;
    close_others((unsigned)listener, (unsigned)agent);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGCHLD, SIG_IGN);
    pid_t self = getpid();
    while (getppid() == step) {
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0 && errno != EINTR && errno != ECONNABORTED)
            break;
        if (client < 0)
            continue;
        pid_t pid = fork();
        if (pid == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() == self)
                converse(client, agent);
            _exit(0);
        }
        close_now(&client);
    }
    _exit(0);
}

fallible ssh_socket_open(const char *dir, const char *agent, mode_t mode, uid_t uid, gid_t gid)
{
    own_fd int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), listener = -1;
    own_fd int agent_fd = open(agent, O_PATH | O_CLOEXEC);
    if (dir_fd < 0 || agent_fd < 0)
        return err_sys(errno, "open '%s'", dir_fd < 0 ? dir : agent);
    TRY(sock_listen_at(dir_fd, "agent", SOCK_STREAM, mode, &listener));
    if (fchownat(dir_fd, "agent", uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(errno, "give the socket of an agent to %u:%u", uid, gid);
    pid_t self = getpid(), pid = fork();
    if (pid < 0)
        return err_sys(errno, "fork");
    if (pid == 0)
        serve(listener, agent_fd, self);
    return NULL;
}
