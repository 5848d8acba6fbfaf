// SPDX-License-Identifier: GPL-2.0-or-later
#include "os/ids.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/proc.h"
#include "test.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/bash\n"
                             "broken line\n"
                             "10:x:0:0:a number for a name:/evil:/bin/sh\n"
                             "alice:x:1000:1001:Alice,,,:/home/alice:/bin/sh\n";

TEST(users_are_found_by_name_and_by_id)
{
    struct passwd_entry e = { 0 };
    CHECK_OK(passwd_find(passwd, "alice", 0, &e));
    CHECK(e.uid == 1000 && e.gid == 1001);
    assert_string_equal(e.home, "/home/alice");
    passwd_entry_free(&e);
    CHECK_OK(passwd_find(passwd, NULL, 1000, &e));
    assert_string_equal(e.name, "alice");
    passwd_entry_free(&e);
    CHECK_SAYS(passwd_find(passwd, "bob", 0, &e), "no user 'bob' in /etc/passwd");
    CHECK_SAYS(passwd_find(passwd, NULL, 7, &e), "no user with id 7 in /etc/passwd");
}

TEST(groups_are_found_and_listed)
{
    static const char group[] = "root:x:0:\nadm:x:4:alice,bob\nalice:x:1001:\nwheel:x:10:bob,alice\n";
    uint32_t gid = 0, *gids = NULL;
    size_t n = 0;
    CHECK_OK(group_find(group, "wheel", &gid));
    assert_int_equal(gid, 10);
    CHECK_ERR(group_find(group, "nobody", &gid), ERR_NOT_FOUND);
    group_list(group, "alice", &gids, &n);
    assert_int_equal(n, 2);
    CHECK(gids[0] == 4 && gids[1] == 10);
    free(gids);
}

TEST(maps_translate)
{
    own(id_map) struct id_map m = { 0 };
    uint32_t out = 0;
    id_map_add(&m, 0, 1000, 1);
    id_map_add(&m, 1, 100000, 65536);
    CHECK(id_map_outside(&m, 0, &out) && out == 1000);
    CHECK(id_map_outside(&m, 65536, &out) && out == 165535);
    CHECK(!id_map_outside(&m, 65537, &out));
}

TEST(signals_are_parsed_as_docker_does)
{
    static const struct {
        const char *word;
        int number;
    } good[] = { { "KILL", 9 }, { "sigkill", 9 }, { "9", 9 }, { "SIGRTMIN+3", 37 }, { "rtmax", 64 }, { "winch", 28 } };
    int n = 0;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        CHECK_OK(signal_parse(good[i].word, &n));
        assert_int_equal(n, good[i].number);
    }
    CHECK_SAYS(signal_parse("NOPE", &n), "'NOPE' is not a signal: use a name such as TERM or a number");
    CHECK_ERR(signal_parse("0", &n), ERR_INVALID);
    CHECK_ERR(signal_parse("65", &n), ERR_INVALID);
    CHECK_ERR(signal_parse("RTMIN+31", &n), ERR_INVALID);
    CHECK_ERR(signal_parse("", &n), ERR_INVALID);
}

TEST(a_process_is_known_by_pid_and_start_time)
{
    struct proc_id self = { 0 };
    int fd = -1;
    CHECK_OK(proc_identify(getpid(), &self));
    CHECK(proc_alive(self));
    CHECK_OK(proc_open(self, &fd));
    close(fd);
    self.start_time++;
    CHECK(!proc_alive(self));
    CHECK_ERR(proc_open(self, &fd), ERR_NOT_FOUND);
}

/* A child that waits until it is told to end, by exit code or by signal; not reaped. */
static struct proc_id child_that_ends(int code, int signal)
{
    struct proc_id id = { 0 };
    int ends[2];
    char byte;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[1]);
        (void)!read(ends[0], &byte, 1);
        if (signal)
            raise(signal);
        _exit(code);
    }
    assert_true(pid > 0);
    CHECK_OK(proc_identify(pid, &id));
    int status;
    CHECK(!proc_zombie_status(id, &status)); /* it lives */
    close(ends[0]);
    close(ends[1]);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    return id;
}

TEST(what_nobody_has_reaped_tells_how_it_ended)
{
    static const struct {
        int code, signal;
    } ends[] = { { 0, 0 }, { 7, 0 }, { 255, 0 }, { 0, SIGKILL }, { 0, SIGTERM } };
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        struct proc_id id = child_that_ends(ends[i].code, ends[i].signal), other = id;
        int status = -1;
        other.start_time++;
        CHECK(!proc_zombie_status(other, &status));
        CHECK(proc_zombie_status(id, &status));
        assert_int_equal(proc_exit_code(status), ends[i].signal ? 128 + ends[i].signal : ends[i].code);
        assert_int_equal(waitpid(id.pid, &status, 0), id.pid);
        CHECK(!proc_zombie_status(id, &status));
    }
}
