// SPDX-License-Identifier: GPL-2.0-or-later
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/log.h"
#include "monitor/attach.h"
#include "oci/oci.h"
#include "os/fs.h"
#include "os/proc.h"
#include "os/sock.h"

enum { CONFIG_MAX = 16 << 20, ID_MAX = 255 };

fallible oci_root(char **ret)
{
    const char *run = getenv("XDG_RUNTIME_DIR");
    if (oci_global()->root && *oci_global()->root)
        *ret = mem_strdup(oci_global()->root);
    else if (geteuid() == 0 && !oci_is_rootless())
        *ret = mem_strdup("/run/husk-oci");
    else if (run && *run == '/')
        *ret = mem_printf("%s/husk-oci", run);
    else
        return err_new(ERR_INVALID, "--root: an ordinary user without XDG_RUNTIME_DIR must give it");
    return NULL;
}

fallible oci_check_id(const char *id)
{
    size_t n = strlen(id);
    if (n == 0)
        return err_new(ERR_INVALID, "container id is empty");
    if (n > ID_MAX)
        return err_new(ERR_INVALID, "container id has %zu characters: at most %d", n, ID_MAX);
    if (str_eq(id, ".") || str_eq(id, "..") || id[0] == '-' ||
        strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.") != n)
        return err_new(ERR_INVALID, "container id '%s': letters, digits and _+-. only, not '-' first, not '.' or '..'",
                       id);
    return NULL;
}

fallible oci_state_dir(const char *id, char **ret)
{
    own_mem char *root = NULL;
    struct stat st;
    TRY(oci_check_id(id));
    TRY(oci_root(&root));
    own_mem char *dir = mem_printf("%s/%s", root, id);
    if (lstat(dir, &st) < 0 || !S_ISDIR(st.st_mode))
        /* runc's words in the brackets: see engine_words in main.c */
        return err_new(ERR_NOT_FOUND, "container '%s' does not exist (container does not exist)", id);
    *ret = take(dir);
    return NULL;
}

char *oci_seccomp_cache(const char *state_dir)
{
    return mem_printf("%.*s/.seccomp", (int)(strrchr(state_dir, '/') - state_dir), state_dir);
}

char *oci_seccomp_cache_of(const char *root)
{
    return mem_printf("%s/.seccomp", root);
}

/* Absolute, and nothing in it to tidy: then nobody needs to be asked what the path is. */
static bool is_plain(const char *path)
{
    return *path == '/' && path[1] && !strstr(path, "//") && !strstr(path, "/.") && !str_ends(path, "/");
}

fallible oci_bundle_text(const char *bundle, const char *config, char **ret_path, char **ret_text, size_t *ret_len)
{
    const char *name = config && *config ? config : "config.json";
    own_fd int dir = -1;
    const char *where = bundle && *bundle ? bundle : ".";
    TRY_AS(fs_open_dir_at(AT_FDCWD, where, FS_MUST_EXIST, &dir), "bundle '%s'", where);
    own_mem char *path = is_plain(where) ? mem_strdup(where) : fs_fd_path(dir);
    TRY_AS(fs_read_at(dir, name, CONFIG_MAX, ret_text, ret_len), "bundle '%s'", path);
    *ret_path = take(path);
    return NULL;
}

fallible oci_bundle(const char *bundle, const char *config, char **ret_path, struct oci_spec **ret_spec)
{
    own_mem char *path = NULL;
    own_mem char *text = NULL;
    size_t len = 0;
    TRY(oci_bundle_text(bundle, config, &path, &text, &len));
    TRY(oci_spec_read(text, len, ret_spec));
    *ret_path = take(path);
    return NULL;
}

fallible oci_write_pid_file(const char *path, pid_t pid)
{
    own_fd int dir = -1;
    char text[16];
    if (!path)
        return NULL;
    const char *slash = strrchr(path, '/');
    own_mem char *folder = slash == path ? mem_strdup("/")
                           : slash       ? mem_strndup(path, (size_t)(slash - path))
                                         : mem_strdup(".");
    int n = snprintf(text, sizeof text, "%d", (int)pid);
    TRY_AS(fs_open_dir_at(AT_FDCWD, folder, FS_MUST_EXIST, &dir), "--pid-file");
    return err_wrap(fs_write_out(dir, slash ? slash + 1 : path, text, (size_t)n), "--pid-file");
}

fallible oci_check_preserved(struct opt_i64 preserve_fds, int *ret_n)
{
    const char *listen = getenv("LISTEN_FDS");
    int64_t n = preserve_fds.set ? preserve_fds.v : 0, more = 0;
    if (listen && *listen)
        TRY_AS(parse_i64(listen, 0, 1024, &more), "LISTEN_FDS");
    n += more;
    if (n < 0 || n > 1024)
        return err_new(ERR_INVALID, "--preserve-fds: %lld is out of range: 0 to 1024", (long long)n);
    for (int64_t fd = 3; fd < 3 + n; fd++)
        if (fcntl((int)fd, F_GETFD) < 0)
            return err_new(ERR_INVALID, "--preserve-fds: descriptor %lld is not open", (long long)fd);
    *ret_n = (int)n;
    return NULL;
}

static fallible connect_to(const char *path, int *ret_sock)
{
    own_fd int dir = -1;
    const char *slash = strrchr(path, '/');
    own_mem char *folder = slash == path ? mem_strdup("/")
                           : slash       ? mem_strndup(path, (size_t)(slash - path))
                                         : mem_strdup(".");
    TRY(fs_open_dir_at(AT_FDCWD, folder, FS_MUST_EXIST, &dir));
    return sock_connect_at(dir, slash ? slash + 1 : path, SOCK_STREAM, ret_sock);
}

fallible oci_connect_console(const char *path, int *ret_sock)
{
    return err_wrap(connect_to(path, ret_sock), "--console-socket '%s'", path);
}

fallible oci_send_pidfd(const char *path, int pidfd)
{
    own_fd int sock = -1;
    if (!path || !*path)
        return NULL;
    TRY_AS(connect_to(path, &sock), "--pidfd-socket '%s'", path);
    return err_wrap(sock_send(sock, "0", 1, &pidfd, 1), "--pidfd-socket '%s'", path);
}

fallible oci_matching(const char *pattern, struct strv *ret_ids)
{
    regex_t regex;
    own_mem char *root = NULL;
    char why[128];
    TRY(oci_root(&root));
    int error = regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB);
    if (error) {
        (void)regerror(error, &regex, why, sizeof why);
        return err_new(ERR_INVALID, "--regex: '%s': %s", pattern, why);
    }
    own_dir DIR *dir = opendir(root);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (entry->d_name[0] != '.' && regexec(&regex, entry->d_name, 0, NULL, 0) == 0)
            strv_add(ret_ids, entry->d_name);
    regfree(&regex);
    return NULL;
}

fallible oci_each(const char *id, bool regex, err *(*act)(const char *id, void *ctx), void *ctx)
{
    own_strv struct strv ids = { 0 };
    err *first = NULL;
    if (!regex)
        return act(id, ctx);
    TRY(oci_matching(id, &ids));
    for (size_t i = 0; i < ids.n; i++) {
        err *e = act(ids.items[i], ctx);
        if (e && first) {
            log_warn("%s", err_text(e));
            err_free(e);
        } else if (e) {
            first = e;
        }
    }
    return first;
}

/* Everything that can be caught goes to the program; what only concerns us does not. */
static fallible forward(int signal_fd, int pidfd)
{
    struct signalfd_siginfo info;
    if (read(signal_fd, &info, sizeof info) != sizeof info)
        return NULL;
    int signal = (int)info.ssi_signo;
    if (signal == SIGCHLD || signal == SIGPIPE || signal == SIGURG)
        return NULL;
    err *e = proc_signal(pidfd, signal);
    if (err_errno(e) == ESRCH) { /* it has just ended */
        err_free(e);
        return NULL;
    }
    return e;
}

static fallible wait_plain(int pidfd, int *ret_status)
{
    sigset_t all;
    sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, NULL);
    own_fd int signal_fd = signalfd(-1, &all, SFD_CLOEXEC);
    if (signal_fd < 0)
        return err_sys(errno, "wait for signals");
    struct pollfd p[] = { { .fd = pidfd, .events = POLLIN }, { .fd = signal_fd, .events = POLLIN } };
    for (;;) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return err_sys(errno, "wait for the program");
        if (p[0].revents)
            return proc_wait(pidfd, -1, ret_status);
        if (p[1].revents)
            TRY(forward(signal_fd, pidfd));
    }
}

fallible oci_foreground(int pidfd, int master_fd)
{
    enum attach_end end;
    int status = 0;
    if (master_fd < 0)
        TRY(wait_plain(pidfd, &status));
    else
        TRY(attach_console(master_fd, pidfd, true, "", &end, &status));
    return err_exit(proc_exit_code(status));
}
