// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/apart.h"
#include "os/fs.h"

/* One write of a kind's number and the text; a pipe keeps 64 KiB for whoever reads late (pipe(7)). */
enum { ANSWER_MAX = 16384 };

static fallible work(const char *name, apart_fn *fn, const void *ctx)
{
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    TRY(engine_open(&engine));
    TRY(container_find(engine, name, &c));
    return fn(c, ctx);
}

static void answer(int fd, const err *e)
{
    char text[ANSWER_MAX];
    int n = snprintf(text, sizeof text, "%c%s", 'A' + (int)err_kind(e), err_text(e));
    if (write(fd, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1) < 0)
        fprintf(stderr, "husk: %s\n", err_text(e)); /* nobody is there to say it */
}

fallible apart_begin(const char *name, apart_fn *fn, const void *ctx, struct apart *ret)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(errno, "pipe");
    own_fd int ours = ends[0], childs = ends[1];
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        return err_sys(errno, "fork");
    if (pid == 0) {
        err *e = work(name, fn, ctx);
        if (e)
            answer(childs, e);
        _exit(e ? 1 : 0);
    }
    *ret = (struct apart){ .pid = pid, .answer = take_fd(&ours) };
    return NULL;
}

fallible apart_end(struct apart *a)
{
    char text[ANSWER_MAX];
    int status = 0;
    if (!a->pid)
        return NULL;
    own_fd int from = take_fd(&a->answer);
    ssize_t n;
    while ((n = read(from, text, sizeof text - 1)) < 0 && errno == EINTR)
        ;
    while (waitpid(a->pid, &status, 0) < 0 && errno == EINTR)
        ;
    a->pid = 0;
    if (n > 1) {
        text[n] = '\0';
        return err_new((enum err_kind)(text[0] - 'A'), "%s", text + 1);
    }
    if (WIFEXITED(status))
        return WEXITSTATUS(status) ? err_exit(WEXITSTATUS(status)) : NULL;
    return err_new(ERR_UNAVAILABLE, "the process that did it was ended by signal %d", WTERMSIG(status));
}
