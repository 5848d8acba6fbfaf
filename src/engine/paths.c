// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "image/layout.h"
#include "os/fs.h"

fallible paths_absolute(const char *path, char **ret)
{
    if (path[0] == '/') {
        *ret = paths_clean(path);
        return NULL;
    }
    own_mem char *cwd = getcwd(NULL, 0);
    if (!cwd)
        return err_sys(errno, "find the working directory");
    own_mem char *whole = mem_printf("%s/%s", cwd, path);
    *ret = paths_clean(whole);
    return NULL;
}

char *paths_clean(const char *path)
{
    own_str struct str out = { 0 };
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.') {
            while (out.len && out.text[out.len - 1] != '/')
                out.len--;
            if (out.len)
                out.len--;
            if (out.text)
                out.text[out.len] = '\0';
        } else if (n && !(n == 1 && p[0] == '.')) {
            str_add_char(&out, '/');
            str_add_n(&out, p, n);
        }
        p += n + (p[n] == '/');
    }
    return out.len ? str_take(&out) : mem_strdup("/");
}

fallible paths_root(char **ret)
{
    own_mem char *path = layout_default_path();
    return paths_absolute(path, ret);
}

/* A directory that nobody but us has written to. */
static bool is_ours(const char *path, struct stat *ret)
{
    return lstat(path, ret) == 0 && S_ISDIR(ret->st_mode) && ret->st_uid == geteuid() && !(ret->st_mode & 0022);
}

/* Something came into it or left it since the machine is up: /tmp may outlast that. */
static bool is_of_this_boot(const struct stat *st)
{
    struct timespec now = { 0 }, up = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)clock_gettime(CLOCK_BOOTTIME, &up);
    return st->st_mtim.tv_sec >= now.tv_sec - up.tv_sec;
}

/* cron and su say no XDG_RUNTIME_DIR, and before the first login there may be none; but a container is found by all or
 * by nobody. So who is told none looks where it would be, and who has one looks whether somebody who had none was first
 * since the boot. Source: XDG Base Directory Specification; pam_systemd(8). */
static char *run_of_user(const char *xdg)
{
    struct stat st;
    own_mem char *fallback = mem_printf("/tmp/husk-%u", (unsigned)geteuid());
    own_mem char *usual = mem_printf("/run/user/%u", (unsigned)geteuid());
    own_mem char *path = NULL;
    if (xdg && xdg[0] == '/')
        path = mem_printf("%s/husk", xdg);
    else if (is_ours(usual, &st))
        path = mem_printf("%s/husk", usual);
    if (!path || (access(path, F_OK) < 0 && is_ours(fallback, &st) && is_of_this_boot(&st)))
        return take(fallback);
    return take(path);
}

fallible paths_run(char **ret)
{
    const char *set = getenv("HUSK_RUN");
    if (set && *set)
        return paths_absolute(set, ret);
    *ret = geteuid() == 0 ? mem_strdup("/run/husk") : run_of_user(getenv("XDG_RUNTIME_DIR"));
    return NULL;
}

fallible paths_open_run(const char *path, int *ret_fd)
{
    own_fd int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        TRY(fs_mkdirs_at(AT_FDCWD, path, 0700));
        fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    if (fd < 0)
        return err_sys(errno, "open the run-time folder '%s'", path);
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(errno, "look at the run-time folder '%s'", path);
    if (st.st_uid != geteuid() || (st.st_mode & 0022))
        return err_new(ERR_DENIED,
                       "the run-time folder '%s' belongs to another user or is writable by others: remove it, or set "
                       "HUSK_RUN to a folder of your own",
                       path);
    *ret_fd = take_fd(&fd);
    return NULL;
}
