// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/fs.h"
#include "os/landlock.h"

enum { NO_LANDLOCK = 77 };

static bool can_write(const char *path)
{
    own_fd int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return fd >= 0;
}

static bool can_read(const char *path)
{
    own_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0;
}

/* In a child, because it is for ever. Answers the number of the first thing that is not as it should be. */
static int confined(const char *dir)
{
    char inside[64], moved[64], outside[64];
    bool done = false;
    const struct landlock_path paths[] = {
        { -1, dir, LANDLOCK_READ_WRITE },
        { -1, "/etc", LANDLOCK_READ },
        { -1, "/no/such/path", LANDLOCK_READ },
    };
    snprintf(inside, sizeof inside, "%s/a/file", dir);
    snprintf(moved, sizeof moved, "%s/b/file", dir);
    snprintf(outside, sizeof outside, "%s-outside", dir);
    if (landlock_confine(paths, ARRAY_SIZE(paths), &done))
        return 1;
    if (!done)
        return NO_LANDLOCK;
    if (!can_write(inside) || !can_read(inside))
        return 2;
    if (rename(inside, moved) < 0)
        return 3;
    if (!can_read("/etc/passwd") || can_write("/etc/husk-test-must-not-be"))
        return 4;
    if (can_write(outside) || can_read("/proc/self/status"))
        return 5;
    if (execl("/bin/true", "true", (char *)NULL) == 0 || errno != EACCES)
        return 6;
    return 0;
}

TEST(a_confined_process_reaches_only_what_it_was_given)
{
    char dir[] = "/tmp/husk-landlock-XXXXXX", a[64], b[64];
    int status = 0;
    CHECK(mkdtemp(dir) != NULL);
    snprintf(a, sizeof a, "%s/a", dir);
    snprintf(b, sizeof b, "%s/b", dir);
    CHECK(mkdir(a, 0700) == 0 && mkdir(b, 0700) == 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(confined(dir));
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    CHECK_OK(fs_remove_tree_at(AT_FDCWD, dir));
    if (WEXITSTATUS(status) == NO_LANDLOCK)
        skip(); /* the kernel has none */
    assert_int_equal(WEXITSTATUS(status), 0);
}
