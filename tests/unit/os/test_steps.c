// SPDX-License-Identifier: GPL-2.0-or-later
#include "os/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "os/proc.h"
#include "os/sock.h"
#include "test.h"

struct ctx {
    struct steps_run *run;
    const char *fail_at;
    int die_at_child, die_before_exec, ask;
    int parent_rows, pipe_fd;
};

static err *say(struct ctx *c, const char *row)
{
    if (c->fail_at && strcmp(c->fail_at, row) == 0)
        return err_sys(EACCES, "open '/x'");
    (void)!write(c->pipe_fd, row, 1);
    return NULL;
}
static err *row_a(void *ctx)
{
    return say(ctx, "a");
}
static err *row_clone(void *ctx)
{
    struct ctx *c = ctx;
    pid_t pid = 0;
    int pidfd = -1;
    TRY(proc_clone(0, -1, &pid, &pidfd));
    steps_cloned(c->run, pid, pidfd);
    return NULL;
}
static err *row_b(void *ctx)
{
    struct ctx *c = ctx;
    if (c->die_at_child)
        (void)kill(getpid(), SIGKILL);
    return say(ctx, "b");
}
static err *row_c(void *ctx)
{
    return say(ctx, "c");
}
static err *row_last_stretch(void *ctx)
{
    struct ctx *c = ctx;
    if (c->die_before_exec)
        (void)kill(getpid(), SIGKILL);
    return NULL;
}
static err *row_ask(void *ctx)
{
    struct ctx *c = ctx;
    return c->ask ? steps_ask(c->run, c->pipe_fd) : NULL;
}
/* The parent's answer has come, and nobody reads it; the parent is busy while this side ends. */
static err *row_fails_with_words_unread(void *ctx)
{
    struct ctx *c = ctx;
    struct pollfd answer = { .fd = c->run->sock, .events = POLLIN };
    (void)poll(&answer, 1, 5000);
    TRY(sock_send(c->run->sock, "n", 1, &c->pipe_fd, 1));
    return err_sys(EACCES, "open '/x'");
}
static err *row_await(void *ctx)
{
    struct ctx *c = ctx;
    return c->ask ? steps_answer(c->run) : NULL;
}
/* Long enough for a child that does not wait to be through. */
static err *serve(void *ctx, int fd)
{
    struct ctx c = *(struct ctx *)ctx;
    (void)usleep(30000);
    c.pipe_fd = fd;
    err *e = say(&c, "s");
    close(fd);
    return e;
}
static err *take_slowly(void *ctx, int fd)
{
    (void)ctx;
    (void)usleep(30000);
    close(fd);
    return NULL;
}
static err *row_exec(void *ctx)
{
    TRY(say(ctx, "d"));
    (void)execl("/bin/sh", "sh", "-c", "exit 7", (char *)NULL);
    return err_sys_as(ERR_EXEC_MISSING, errno, "exec");
}
static bool never(const void *ctx)
{
    (void)ctx;
    return false;
}

static const struct step rows[] = {
    { .name = "prepare", .side = SIDE_PARENT, .run = row_a },
    { .name = "make the process", .side = SIDE_CLONE, .run = row_clone },
    { .name = "enter", .side = SIDE_CHILD, .run = row_b },
    { .name = "never", .side = SIDE_PARENT, .run = row_exec, .needed = never },
    { .name = "record", .side = SIDE_PARENT, .run = row_c },
    { .name = "ask", .side = SIDE_CHILD, .run = row_ask },
    { .name = "leave", .side = SIDE_CHILD, .run = row_last_stretch },
    { .name = "await", .side = SIDE_CHILD, .run = row_await },
    { .name = "run the program", .side = SIDE_CHILD, .run = row_exec },
};

static err *walk_rows(const struct step *table, struct ctx *c, char seen[16], int *status)
{
    int pipe_fds[2];
    struct steps_run run = {
        .rows = table, .n = sizeof rows / sizeof rows[0], .ctx = c, .take_fd = take_slowly, .serve = serve
    };
    CHECK(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) == 0);
    c->run = &run;
    c->pipe_fd = pipe_fds[1];
    err *e = steps_walk(&run);
    if (!e) {
        CHECK_OK(proc_wait(run.pidfd, 5000, status));
        CHECK(run.times->end_ns[2] >= run.times->begin_ns[2] && run.times->begin_ns[2] != 0);
        CHECK(run.times->begin_ns[3] == 0);
        close(run.pidfd);
    } else {
        CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD); /* the child was reaped */
    }
    steps_end(&run);
    ssize_t n = read(pipe_fds[0], seen, 15);
    seen[n > 0 ? n : 0] = '\0';
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return e;
}

static err *walk(struct ctx *c, char seen[16], int *status)
{
    return walk_rows(rows, c, seen, status);
}

TEST(rows_run_in_order_across_both_sides)
{
    struct ctx c = { 0 };
    char seen[16];
    int status = 0;
    CHECK_OK(walk(&c, seen, &status));
    assert_string_equal(seen, "abcd");
    assert_int_equal(proc_exit_code(status), 7);
}

TEST(a_failing_child_row_names_itself_and_stops_the_parent)
{
    struct ctx c = { .fail_at = "b" };
    char seen[16];
    CHECK_SAYS(walk(&c, seen, NULL), "enter: open '/x': Permission denied");
    assert_string_equal(seen, "a");
}

TEST(a_failing_parent_row_names_itself_and_kills_the_child)
{
    struct ctx c = { .fail_at = "c" };
    char seen[16];
    CHECK_SAYS(walk(&c, seen, NULL), "record: open '/x': Permission denied");
    assert_string_equal(seen, "ab");
}

TEST(a_failing_row_before_the_clone_makes_no_process)
{
    struct ctx c = { .fail_at = "a" };
    char seen[16];
    CHECK_SAYS(walk(&c, seen, NULL), "prepare: open '/x': Permission denied");
    assert_string_equal(seen, "");
}

TEST(what_the_child_asks_is_done_before_it_goes_on_behind_its_wait)
{
    struct ctx c = { .ask = 1 };
    char seen[16];
    int status = 0;
    CHECK_OK(walk(&c, seen, &status));
    assert_string_equal(seen, "abcsd");
}

TEST(an_answer_that_comes_before_another_word_is_kept)
{
    struct ctx c = { .ask = 1 };
    struct step early[sizeof rows / sizeof rows[0]];
    char seen[16];
    int status = 0;
    memcpy(early, rows, sizeof rows);
    early[2].run = row_ask; /* the parent's row follows, and its word comes behind the answer */
    early[5].run = row_c;
    CHECK_OK(walk_rows(early, &c, seen, &status));
    assert_string_equal(seen, "asccd");
}

TEST(a_child_that_fails_with_words_unread_says_why)
{
    struct ctx c = { .ask = 1 };
    struct step failing[sizeof rows / sizeof rows[0]];
    char seen[16];
    memcpy(failing, rows, sizeof rows);
    failing[6].run = row_fails_with_words_unread;
    CHECK_SAYS(walk_rows(failing, &c, seen, NULL), "leave: open '/x': Permission denied");
}

TEST(what_fails_that_the_child_asked_for_stops_the_start)
{
    struct ctx c = { .ask = 1, .fail_at = "s" };
    char seen[16];
    CHECK_SAYS(walk(&c, seen, NULL), "open '/x': Permission denied");
    assert_string_equal(seen, "abc");
}

TEST(a_killed_child_is_never_taken_for_success)
{
    struct ctx c = { .die_at_child = 1 };
    char seen[16];
    CHECK_SAYS(walk(&c, seen, NULL), "enter: the other side is gone: killed by SIGKILL");
}

/* No parent's row follows that would wait: the end of file alone must not be the exec's. */
TEST(nor_is_one_killed_before_its_last_row)
{
    char seen[16];
    struct ctx c = { .die_before_exec = 1 };
    CHECK_SAYS(walk(&c, seen, NULL), "leave: the other side is gone: killed by SIGKILL");
}

TEST(the_last_row_failing_is_an_error_of_the_start)
{
    struct ctx c = { .fail_at = "d" };
    char seen[16];
    CHECK_SAYS(walk(&c, seen, NULL), "run the program: open '/x': Permission denied");
    assert_string_equal(seen, "abc");
}
