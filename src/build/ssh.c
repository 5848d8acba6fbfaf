// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The agents of RUN --mount=type=ssh. A key's file never enters a step: an ssh-agent of the build's own has it, and
 * answers over its socket. Source: docs.docker.com/reference/cli/docker/buildx/build "--ssh"; ssh-agent(1).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "build/build_parts.h"
#include "os/fs.h"
#include "os/proc.h"

struct ssh_agent {
    int pidfd;
    char *socket;
};
enum { TRIES = 200, PAUSE_NS = 10 * 1000 * 1000 };

/* ssh-agent -D stays our child, and so it ends with us. */
static fallible start_agent(struct build *b, const char *id, const char **ret_socket)
{
    struct sockaddr_un address;
    own_mem char *socket = mem_printf("%s/tmp/%s/ssh-%zu", b->layout->path, b->dir_name, b->agents_n);
    own_fd int pidfd = -1, null = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct stat st;
    pid_t pid, self = getpid();
    if (strlen(socket) >= sizeof address.sun_path)
        return err_new(ERR_INVALID, "--ssh %s: the path of a socket in the store would be too long: '%s'", id, socket);
    TRY(proc_clone(0, -1, &pid, &pidfd));
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != self || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
            _exit(127);
        (void)execlp("ssh-agent", "ssh-agent", "-D", "-a", socket, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < TRIES && stat(socket, &st) < 0; i++) {
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return err_new(ERR_UNSUPPORTED,
                           "--ssh %s: ssh-agent does not run: install openssh-client, or give an agent's socket", id);
        (void)nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NS }, NULL);
    }
    b->agents = mem_array(b->agents, b->agents_n + 1, sizeof *b->agents);
    b->agents[b->agents_n++] = (struct ssh_agent){ take_fd(&pidfd), take(socket) };
    *ret_socket = b->agents[b->agents_n - 1].socket;
    return NULL;
}

/* A passphrase is not asked for: the terminal is the build's. */
static fallible add_key(const char *id, const char *socket, const char *key)
{
    own_mem char *variable = mem_printf("SSH_AUTH_SOCK=%s", socket);
    const char *search = getenv("PATH");
    own_mem char *where = mem_printf("PATH=%s", search ? search : "/usr/bin:/bin");
    own_fd int in = open(key, O_RDONLY | O_CLOEXEC), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int status = 0;
    if (in < 0)
        return err_sys(errno, "--ssh %s: '%s'", id, key);
    /* From standard input, so that ssh-add does not refuse a file whose mode is too open for it. */
    TRY(spawn_wait(&(struct spawn){ .argv = (char *[]){ (char *)"ssh-add", (char *)"-q", (char *)"-", NULL },
                                    .env = (char *[]){ variable, where, NULL },
                                    .stdin_fd = in,
                                    .stdout_fd = null,
                                    .stderr_fd = null },
                   &status));
    return proc_exit_code(status) == 0
               ? NULL
               : err_new(ERR_INVALID, "--ssh %s: '%s' is no agent's socket and no key without a passphrase", id, key);
}

static fallible add_keys(struct build *b, const char *id, const char *paths)
{
    own_strv struct strv keys = { 0 };
    const char *socket = NULL;
    strv_split(&keys, paths, ',');
    TRY(start_agent(b, id, &socket));
    for (size_t i = 0; i < keys.n; i++)
        TRY(add_key(id, socket, keys.items[i]));
    strv_add_printf(&b->ssh, "%s=%s", id, socket);
    return NULL;
}

fallible ssh_read(struct build *b, const char *text)
{
    own_mem char *id = mem_strndup(text, strcspn(text, "="));
    const char *place = text[strlen(id)] ? text + strlen(id) + 1 : getenv("SSH_AUTH_SOCK");
    struct stat st;
    if (!place || !*place)
        return err_new(ERR_NOT_FOUND, "--ssh %s: no agent: SSH_AUTH_SOCK is not set", id);
    if (strchr(place, ','))
        return add_keys(b, id, place);
    if (stat(place, &st) < 0)
        return err_sys(errno, "--ssh %s: '%s'", id, place);
    if (!S_ISSOCK(st.st_mode))
        return add_keys(b, id, place);
    strv_add_printf(&b->ssh, "%s=%s", id, place);
    return NULL;
}

void ssh_close(struct build *b)
{
    for (size_t i = 0; i < b->agents_n; i++) {
        int status;
        err_ignore(proc_signal(b->agents[i].pidfd, SIGKILL), "it may have ended");
        err_ignore(proc_wait(b->agents[i].pidfd, -1, &status), "it may have ended");
        close_now(&b->agents[i].pidfd);
        free(b->agents[i].socket);
    }
    free(b->agents);
}
