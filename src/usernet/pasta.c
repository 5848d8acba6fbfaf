// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pasta (Debian's package passt) joins a network namespace to the host's network without any right: it takes packets
 * from a tap device in there and speaks to the outside with sockets of its own. Source: passt(1).
 *
 * It is told a process that is in them: it enters that one's user namespace before it opens the other, so a path
 * through a process of the host's would be closed to it by then. Nothing of the host's loopback is reachable from
 * inside
 * (--no-map-gw, and no ports by itself).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/parse.h"
#include "os/fs.h"
#include "os/linux.h"
#include "os/proc.h"
#include "usernet/usernet.h"

enum { PASTA_SAYS_MAX = 1 << 16 };
#define TUN "/dev/net/tun"

static bool is_installed(void)
{
    const char *path = getenv("PATH");
    own_strv struct strv dirs = { 0 };
    strv_split(&dirs, path ? path : "/usr/local/bin:/usr/bin:/bin", ':');
    for (size_t i = 0; i < dirs.n; i++) {
        own_mem char *file = mem_printf("%s/pasta", dirs.items[i]);
        if (*dirs.items[i] == '/' && access(file, X_OK) == 0)
            return true;
    }
    return false;
}

const char *pasta_missing(void)
{
    if (!is_installed())
        return "pasta is not installed: install passt, or use --network none or an internal network";
    if (access(TUN, R_OK | W_OK) < 0)
        return errno == ENOENT ? "there is no " TUN ", which pasta needs: load the kernel's tun"
                               : "ordinary users may not open " TUN ", which pasta needs: let root run 'chmod 666 " TUN
                                 "', as udev does";
    return NULL;
}

/* With a pid pasta enters its user namespace, which the kernel refuses who is in that already; and the names in /proc
 * are not for a process with fewer capabilities, as pasta is soon. So it gets a name of the namespace elsewhere. */
static fallible bind_netns(const struct pasta *p, char **ret)
{
    own_mem char *from = mem_printf("/proc/%d/ns/net", (int)p->pid), *to = mem_printf("%s.netns", p->pid_file);
    own_fd int fd = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || mount(from, to, NULL, MS_BIND, NULL) < 0)
        return err_sys(errno, "give pasta the network namespace");
    *ret = take(to);
    return NULL;
}

fallible pasta_start(const struct pasta *p, pid_t *ret_pid)
{
    own_strv struct strv argv = { 0 };
    own_mem char *said = NULL, *pid_text = NULL, *netns = NULL;
    int64_t pid = 0;
    const char *missing = pasta_missing();
    if (missing)
        return err_new(ERR_UNSUPPORTED, "connect to the outside: %s", missing);
    static const char *const words[] = { "pasta", "--quiet", "--config-net", "--no-map-gw" };
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        strv_add(&argv, words[i]);
    /* A port is only open when somebody says so: pasta's own default is every one. */
    static const char *const ways[] = { "-t", "-u", "-T", "-U" };
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
        if (!p->options || !strv_has(p->options, ways[i])) {
            strv_add(&argv, ways[i]);
            strv_add(&argv, "none");
        }
    if (p->options)
        strv_copy(&argv, p->options->items, p->options->n);
    strv_add(&argv, "--pid");
    strv_add(&argv, p->pid_file);
    bool same_user = p->options && strv_has(p->options, "--netns-only");
    if (same_user) {
        TRY(bind_netns(p, &netns));
        strv_add(&argv, "--no-netns-quit");
        strv_add(&argv, "--netns");
        strv_add(&argv, netns);
    } else {
        strv_add_printf(&argv, "%d", (int)p->pid);
    }
    err *e = spawn_output(argv.items, PASTA_SAYS_MAX, &said);
    if (same_user) {
        (void)umount2(netns, MNT_DETACH); /* pasta has it open */
        (void)unlink(netns);
    }
    TRY_AS(e, "connect to the outside");
    TRY_AS(fs_read_at(AT_FDCWD, p->pid_file, 64, &pid_text, NULL), "find pasta");
    pid_text[strcspn(pid_text, "\n")] = '\0';
    TRY_AS(parse_i64(pid_text, 1, INT32_MAX, &pid), "'%s'", p->pid_file);
    *ret_pid = (pid_t)pid;
    return NULL;
}

/* The pid in a file may be another process's by now. */
static bool is_pasta(int pidfd, pid_t pid)
{
    own_mem char *path = mem_printf("/proc/%d/comm", (int)pid), *comm = NULL;
    err *e = fs_read_at(AT_FDCWD, path, 64, &comm, NULL);
    bool yes = !e && (str_starts(comm, "pasta") || str_starts(comm, "passt"));
    err_ignore(e, "it is gone");
    return yes && pidfd >= 0;
}

static void stop(int dir_fd, const char *pid_file)
{
    own_mem char *text = NULL;
    own_fd int pidfd = -1;
    int64_t pid = 0;
    err *e = fs_read_at(dir_fd, pid_file, 64, &text, NULL);
    if (!e) {
        text[strcspn(text, "\n")] = '\0';
        e = parse_i64(text, 1, INT32_MAX, &pid);
    }
    if (!e)
        e = proc_pidfd((pid_t)pid, &pidfd);
    if (!e && is_pasta(pidfd, (pid_t)pid))
        (void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
    err_ignore(e, "then it does not run");
    (void)unlinkat(dir_fd, pid_file, 0);
}

void pasta_stop(const char *pid_file)
{
    stop(AT_FDCWD, pid_file);
}

void pasta_stop_at(int dir_fd)
{
    if (faccessat(dir_fd, PASTA_PID_FILE, F_OK, 0) == 0)
        stop(dir_fd, PASTA_PID_FILE);
}
