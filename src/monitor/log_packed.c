// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor/log_packed.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "monitor/logfile.h"
#include "os/proc.h"

/* magic, method, flags, time, extra flags, system: then the comment, for no other field is set */
enum { HEADER = 10, FLAG_COMMENT = 16 };

const char *log_name(char name[LOG_NAME_MAX], int64_t number, bool packed)
{
    const char *end = packed ? ".gz" : "";
    if (number)
        (void)snprintf(name, LOG_NAME_MAX, LOGFILE_NAME ".%" PRId64 "%s", number, end);
    else
        (void)snprintf(name, LOG_NAME_MAX, LOGFILE_NAME "%s", end);
    return name;
}

int log_lock(int dir_fd)
{
    own_fd int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd >= 0 && flock(fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return -1;
    return take_fd(&fd);
}

uint64_t log_head(int fd)
{
    uint64_t hash = 0xcbf29ce484222325;
    char block[512];
    ssize_t n;
    for (off_t at = 0; (n = pread(fd, block, sizeof block, at)) > 0; at += n)
        for (ssize_t i = 0; i < n; i++) {
            if (block[i] == '\n')
                return hash ? hash : 1;
            hash = (hash ^ (unsigned char)block[i]) * 0x100000001b3;
        }
    return 0;
}

uint64_t log_packed_head(int fd)
{
    static const char word[] = "husk ";
    unsigned char head[HEADER + sizeof word - 1 + 17];
    char *end = NULL;
    ssize_t n = pread(fd, head, sizeof head, 0);
    if (n != (ssize_t)sizeof head || head[0] != 0x1f || head[1] != 0x8b || head[3] != FLAG_COMMENT ||
        memcmp(head + HEADER, word, sizeof word - 1) != 0 || head[sizeof head - 1])
        return 0;
    uint64_t value = strtoull((const char *)head + HEADER + sizeof word - 1, &end, 16);
    return end == (const char *)head + sizeof head - 1 ? value : 0;
}

fallible log_unpack(int dir_fd, int packed_fd, int *ret_fd)
{
    own_mem char *program = NULL;
    int status = 0;
    TRY(self_find_program("husk-pack", &program));
    own_fd int fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        fd = memfd_create("log", MFD_CLOEXEC);
    if (fd < 0 || lseek(packed_fd, 0, SEEK_SET) < 0)
        return err_sys(errno, "unpack the log");
    char *argv[] = { program, (char *)(uintptr_t) "unpack", NULL };
    pid_t pid = fork();
    if (pid < 0)
        return err_sys(errno, "make a process");
    if (pid == 0) {
        if (dup2(packed_fd, STDIN_FILENO) >= 0 && dup2(fd, STDOUT_FILENO) >= 0)
            (void)execve(program, argv, environ);
        _exit(127);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return err_new(ERR_CORRUPT, "a packed file of the log cannot be unpacked");
    if (lseek(fd, 0, SEEK_SET) < 0)
        return err_sys(errno, "unpack the log");
    *ret_fd = take_fd(&fd);
    return NULL;
}
