// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/fs.h"
#include "runtime/start.h"
#include "test.h"

/* A container without a control group: two processes and a thread in a pid namespace, and a directory in place of
 * /sys/fs/resctrl. */
struct world {
    char state[64], resctrl[64];
    int dir, fd;
    struct proc_id init;
};

static void *wait_for_ever(void *none)
{
    for (;;)
        pause();
    return none;
}

static _Noreturn void be_container(int ready)
{
    pthread_t thread;
    if (fork() == 0)
        wait_for_ever(NULL);
    CHECK(pthread_create(&thread, NULL, wait_for_ever, NULL) == 0);
    CHECK(write(ready, "r", 1) == 1);
    wait_for_ever(NULL);
    _exit(1);
}

static pid_t container(void)
{
    int ready[2];
    char c;
    CHECK(pipe2(ready, O_CLOEXEC) == 0);
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, 0);
    if (pid < 0)
        skip();
    if (pid == 0)
        be_container(ready[1]);
    close(ready[1]);
    CHECK(read(ready[0], &c, 1) == 1);
    close(ready[0]);
    return pid;
}

static void write_state(const struct world *w, const char *group, const char *dirs)
{
    struct runtime_state s = {
        .id = mem_strdup("c1"), .init = w->init, .namespaces = CLONE_NEWPID, .resctrl_group = mem_strdup(group)
    };
    if (dirs)
        strv_add(&s.resctrl_dirs, dirs);
    CHECK_OK(state_write(w->dir, &s));
    state_clear(&s);
}

static struct world world_make(void)
{
    struct world w = { .state = "/tmp/husk-state-XXXXXX", .resctrl = "/tmp/husk-resctrl-XXXXXX" };
    CHECK(mkdtemp(w.state) && mkdtemp(w.resctrl));
    w.dir = open(w.state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    w.fd = open(w.resctrl, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_OK(proc_identify(container(), &w.init));
    return w;
}

static void world_free(struct world *w)
{
    CHECK(kill(w->init.pid, SIGKILL) == 0 && waitpid(w->init.pid, NULL, 0) == w->init.pid);
    close(w->dir);
    close(w->fd);
    CHECK_OK(fs_remove_tree_at(AT_FDCWD, w->state));
    CHECK_OK(fs_remove_tree_at(AT_FDCWD, w->resctrl));
}

static size_t lines_of(const struct world *w, const char *path)
{
    own_mem char *text = NULL;
    size_t n = 0;
    CHECK_OK(fs_read_at(w->fd, path, 4096, &text, NULL));
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        n++;
    return n;
}

TEST(a_container_that_had_no_group_gets_one_with_all_of_its_threads)
{
    struct world w = world_make();
    own(runtime_state) struct runtime_state *s = NULL;
    own_mem char *text = NULL;
    write_state(&w, NULL, NULL);
    CHECK_OK(state_update_rdt(w.fd, w.state, &(struct runtime_rdt){ "L3:0=7f0", "" }));
    CHECK(lines_of(&w, "c1/tasks") == 3);
    CHECK_OK(fs_read_at(w.fd, "c1/schemata", 4096, &text, NULL));
    assert_string_equal(text, "L3:0=7f0\n");
    CHECK_OK(runtime_state_read(w.state, &s));
    assert_string_equal(s->resctrl_group, "c1");
    CHECK(s->resctrl_dirs.n == 1);
    assert_string_equal(s->resctrl_dirs.items[0], "c1");
    /* and from then on it is changed */
    CHECK_OK(state_update_rdt(w.fd, w.state, &(struct runtime_rdt){ NULL, "MB:0=20" }));
    free(take(text));
    CHECK_OK(fs_read_at(w.fd, "c1/schemata", 4096, &text, NULL));
    assert_string_equal(text, "L3:0=7f0\nMB:0=20\n");
    CHECK(lines_of(&w, "c1/tasks") == 3);
    world_free(&w);
}

TEST(a_failed_update_leaves_the_state_as_it_was)
{
    struct world w = world_make();
    own(runtime_state) struct runtime_state *s = NULL;
    write_state(&w, NULL, NULL);
    CHECK_SAYS(state_update_rdt(w.fd, w.state, &(struct runtime_rdt){ NULL, "L3:0=1" }),
               "linux.intelRdt: memBwSchema: 'L3:0=1' does not begin with MB:");
    CHECK(mkdirat(w.fd, "c1", 0755) == 0); /* another's */
    CHECK_SAYS(state_update_rdt(w.fd, w.state, &(struct runtime_rdt){ "L3:0=1", NULL }),
               "there is a group 'c1' already: remove it, or name it as closID");
    CHECK_OK(runtime_state_read(w.state, &s));
    CHECK(!s->resctrl_group && s->resctrl_dirs.n == 0);
    CHECK(faccessat(w.fd, "c1", F_OK, 0) == 0);
    world_free(&w);
}

TEST(a_named_class_is_changed_where_the_state_says_it_is)
{
    struct world w = world_make();
    write_state(&w, "gold", NULL);
    CHECK_SAYS(state_update_rdt(w.fd, w.state, &(struct runtime_rdt){ "L3:0=1", NULL }),
               "open resctrl group 'gold': No such file or directory");
    CHECK(mkdirat(w.fd, "gold", 0755) == 0);
    CHECK_OK(state_update_rdt(w.fd, w.state, &(struct runtime_rdt){ "L3:0=1", "MB:0=70" }));
    CHECK(lines_of(&w, "gold/schemata") == 2);
    CHECK(faccessat(w.fd, "gold/tasks", F_OK, 0) < 0); /* who is in it stays there */
    world_free(&w);
}
