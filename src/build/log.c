// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * --logfile: standard output and standard error go into a file, with --logsplit into one of its own while a platform's
 * image is made: FILE_OS_ARCH[_VARIANT]. Error messages of the whole command are said where they always are.
 * Source: buildah-build(1).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "build/build_parts.h"
#include "os/fs.h"

enum log_start { LOG_ANEW, LOG_GO_ON };

static fallible into(const char *path, enum log_start start)
{
    own_fd int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (start == LOG_ANEW ? O_TRUNC : 0), 0600);
    if (fd < 0)
        return err_sys(errno, "--logfile: open '%s'", path);
    (void)fflush(NULL);
    if (dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
        return err_sys(errno, "--logfile: write to '%s'", path);
    return NULL;
}

fallible build_log_open(struct build *b)
{
    if (!b->o->how.logfile)
        return NULL;
    for (int i = 0; i < 2; i++) {
        b->kept_out[i] = fcntl(STDOUT_FILENO + i, F_DUPFD_CLOEXEC, 3);
        if (b->kept_out[i] < 0)
            return err_sys(errno, "--logfile: keep the standard output");
    }
    return into(b->o->how.logfile, LOG_ANEW);
}

fallible build_log_platform(struct build *b, const char *platform)
{
    const struct build_run_options *h = &b->o->how;
    if (!h->logfile || !h->logsplit.v || !b->platforms.n)
        return NULL;
    own_mem char *path = platform ? mem_printf("%s_%s", h->logfile, platform) : mem_strdup(h->logfile);
    for (char *c = path + strlen(h->logfile); *c; c++)
        if (*c == '/')
            *c = '_';
    return into(path, platform ? LOG_ANEW : LOG_GO_ON);
}

void build_log_close(struct build *b)
{
    (void)fflush(NULL);
    for (int i = 0; i < 2; i++) {
        if (b->kept_out[i] >= 0)
            (void)dup2(b->kept_out[i], STDOUT_FILENO + i);
        close_now(&b->kept_out[i]);
    }
}
