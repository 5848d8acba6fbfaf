// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/preserve.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { MOST = 1000, FIRST = 3 };

static fallible must_be_open(const char *option, int64_t fd)
{
    return fcntl((int)fd, F_GETFD) < 0 ? err_new(ERR_INVALID, "%s: our descriptor %d is not open", option, (int)fd)
                                       : NULL;
}

static fallible read_list(const struct strv *list, bool *wanted, int *ret_end)
{
    own_strv struct strv words = { 0 };
    for (size_t i = 0; i < list->n; i++)
        strv_split(&words, list->items[i], ',');
    for (size_t i = 0; i < words.n; i++) {
        int64_t fd = 0;
        TRY_AS(parse_i64(words.items[i], 0, FIRST + MOST - 1, &fd), "--preserve-fd");
        TRY(must_be_open("--preserve-fd", fd));
        wanted[fd] = true;
        *ret_end = fd >= *ret_end ? (int)fd + 1 : *ret_end;
    }
    return NULL;
}

static fallible fill(int fd)
{
    own_fd int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0)
        return err_sys(errno, "open '/dev/null'");
    if (null == fd)
        (void)take_fd(&null);
    else if (dup3(null, fd, O_CLOEXEC) < 0)
        return err_sys(errno, "put '/dev/null' into descriptor %d", fd);
    return NULL;
}

fallible preserve_fds(struct opt_i64 n, const struct strv *list, int *ret_n)
{
    bool wanted[FIRST + MOST] = { true, true, true };
    int end = FIRST;
    if (n.set && (n.v < 0 || n.v > MOST))
        return err_new(ERR_INVALID, "--preserve-fds: it is from 0 to %d", MOST);
    for (; end < FIRST + n.v; end++) {
        TRY(must_be_open("--preserve-fds", end));
        wanted[end] = true;
    }
    TRY(read_list(list, wanted, &end));
    for (int fd = FIRST; fd < end; fd++)
        if (!wanted[fd])
            TRY(fill(fd));
    *ret_n = end - FIRST;
    return NULL;
}
