// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/log.h"
#include "os/fs.h"
#include "os/mount.h"
#include "os/proc.h"
#include "os/sock.h"
#include "os/steps.h"
#include "process/order.h"
#include "process/program.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x10U /* Linux 6.3: a file that may be run, whatever sysctl vm.memfd_noexec has as default */
#endif

static int make_memfd(void)
{
    int fd = memfd_create("husk-init", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    return fd < 0 && errno == EINVAL ? memfd_create("husk-init", MFD_CLOEXEC | MFD_ALLOW_SEALING) : fd;
}

/* By the kernel: a read, or a map, would fault in as many pages of our own once more. */
static fallible copy_file(const char *path, int to)
{
    enum { STUB_MAX = 4 << 20 };
    struct stat st;
    own_fd int from = open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0 || fstat(from, &st) < 0)
        return err_sys(errno, "open '%s'", path);
    if (st.st_size <= 0 || st.st_size > STUB_MAX)
        return err_new(ERR_INVALID, "'%s' has %lld bytes", path, (long long)st.st_size);
    for (off_t left = st.st_size; left > 0;) {
        ssize_t n = sendfile(to, from, NULL, (size_t)left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_sys(n < 0 ? errno : EIO, "copy '%s'", path);
        left -= n;
    }
    return NULL;
}

/* A sealed copy in memory: nothing can be written through /proc/PID/exe. */
static fallible stub_copy(const char *path, int *ret_fd)
{
    own_fd int fd = make_memfd();
    if (fd < 0)
        return err_sys(errno, "make a file in memory");
    TRY(copy_file(path, fd));
    if (fchmod(fd, 0755) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return err_sys(errno, "seal the copy of '%s'", path);
    *ret_fd = take_fd(&fd);
    return NULL;
}

static fallible stub_mount(const char *path, int *ret_fd)
{
    own_fd int fd = -1;
    TRY(mount_copy_path(path, MOUNT_ONE, &fd));
    TRY(mount_set(fd, MOUNT_ONE, MOUNT_ATTR_RDONLY, 0, 0));
    *ret_fd = take_fd(&fd);
    return NULL;
}

fallible program_open_stub(int *ret_stub_fd)
{
    own_mem char *path = NULL;
    TRY(self_find_program("husk-init", &path));
    err *e = stub_copy(path, ret_stub_fd);
    if (err_is(e, ERR_DENIED)) { /* vm.memfd_noexec=2 */
        err_ignore(e, "no programs in memory here: a detached mount instead");
        e = stub_mount(path, ret_stub_fd);
    }
    return err_wrap(e, "open husk-init");
}

static fallible inherit(int fd)
{
    if (fd >= 0 && fcntl(fd, F_SETFD, 0) < 0)
        return err_sys(errno, "hand descriptor %d to husk-init", fd);
    return NULL;
}

fallible program_enter(int stub_fd, int order_fd, int error_sock, int tty_fd)
{
    struct order_head head;
    if (pread(order_fd, &head, sizeof head, 0) != sizeof head || head.keep_n > ORDER_KEEP_MAX)
        return err_new(ERR_INTERNAL, "the order is damaged");
    for (uint32_t i = 0; i < head.keep_n; i++)
        TRY(inherit(head.keep[i]));
    TRY(inherit(order_fd));
    TRY(inherit(error_sock));
    TRY(inherit(tty_fd));

    char fds[64], none[] = "-", tty[16];
    snprintf(tty, sizeof tty, "%d", tty_fd);
    snprintf(fds, sizeof fds, "%d,%d,%s", order_fd, error_sock, tty_fd >= 0 ? tty : none);
    char *argv[] = { (char[]){ "husk-init" }, (char[]){ "--order" }, fds, NULL };
    char *env[] = { NULL };
    (void)execveat(stub_fd, "", argv, env, AT_EMPTY_PATH);
    return err_sys(errno, "exec husk-init");
}

fallible program_wait(int sock, bool joined_v2, struct program_said *ret)
{
    char message[1 + ERR_ENCODED_MAX];
    bool hello = !joined_v2;
    own_fd int page = -1;
    *ret = (struct program_said){ .take_listener = ret->take_listener, .ctx = ret->ctx };
    for (;;) {
        own_fd int fd = -1;
        size_t n = 0, fds = 0;
        err *e = sock_recv(sock, message, sizeof message, &n, &fd, 1, &fds);
        if (err_errno(e) == ECONNRESET) {
            err_ignore(e, "it ended with words of ours unread");
            e = NULL;
            n = 0;
        }
        if (e)
            return e;
        if (n == 0) {
            ret->stillborn = ret->pid && !hello;
            return steps_last_words(page);
        }
        if (message[0] == ORDER_SAY_ERROR)
            return err_decode(message + 1, n - 1);
        if (message[0] == ORDER_SAY_PID && n == 1 + sizeof(int32_t)) {
            int32_t pid = 0;
            memcpy(&pid, message + 1, sizeof pid);
            ret->pid = pid;
        }
        if (message[0] == ORDER_SAY_LISTENER && fd >= 0 && ret->take_listener)
            TRY(ret->take_listener(ret->ctx, ret->pid, take_fd(&fd)));
        if (message[0] == ORDER_SAY_PAGE) {
            close_now(&page);
            page = take_fd(&fd);
        }
        hello |= message[0] == ORDER_SAY_HELLO;
        ret->ready |= message[0] == ORDER_SAY_READY;
    }
}
