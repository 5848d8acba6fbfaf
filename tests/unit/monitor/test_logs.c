// SPDX-License-Identifier: GPL-2.0-or-later
/* The log file's two halves: what logfile.h writes, rotates and drops, logs_print() reads. */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "monitor/attach.h"
#include "monitor/logfile.h"
#include "monitor/monitor.h"
#include "os/fs.h"
#include "test.h"

static char buffer[LOGFILE_BUFFER];

struct place {
    char dir[64];
    int fd;
};

static struct place make_place(void)
{
    struct place p = { .dir = "/tmp/husk-logs-XXXXXX" };
    CHECK(mkdtemp(p.dir) != NULL);
    p.fd = open(p.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(p.fd >= 0);
    return p;
}

static void drop_place(struct place *p)
{
    close_now(&p->fd);
    CHECK_OK(fs_remove_tree_at(AT_FDCWD, p->dir));
}

static void put_file(const struct place *p, const char *name, const char *text)
{
    CHECK_OK(fs_replace_at(p->fd, name, text, strlen(text), 0600, FS_SYNC_NONE));
}

/* What logs_print() writes to stdout (and stderr, after a bar). */
static char *printed(const struct place *p, const struct log_filter *f)
{
    char out_name[] = "/tmp/husk-out-XXXXXX", err_name[] = "/tmp/husk-err-XXXXXX";
    own_fd int out = mkstemp(out_name), errs = mkstemp(err_name);
    own_mem char *text = NULL, *err_text_ = NULL;
    CHECK(out >= 0 && errs >= 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(out, 1);
        dup2(errs, 2);
        err *e = logs_print(p->dir, f);
        if (e)
            dprintf(2, "%s", err_text(e));
        err_free(e);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    CHECK_OK(fs_read_at(AT_FDCWD, out_name, 1 << 24, &text, NULL));
    CHECK_OK(fs_read_at(AT_FDCWD, err_name, 1 << 24, &err_text_, NULL));
    unlink(out_name);
    unlink(err_name);
    return *err_text_ ? mem_printf("%s|%s", text, err_text_) : take(text);
}

static void check_printed(const struct place *p, struct log_filter f, const char *want)
{
    own_mem char *got = printed(p, &f);
    assert_string_equal(got, want);
}

#define E(text, stream, second)                                                                                        \
    "{\"log\":\"" text "\",\"stream\":\"" stream "\",\"time\":\"2024-01-01T00:00:" second "Z\"}\n"
#define AT(second) (1704067200000000000ll + (second)*1000000000ll)

TEST(filters_choose_lines_across_rotated_files_with_gaps)
{
    struct place p = make_place();
    put_file(&p, "log.json.7", E("one\\n", "stdout", "01") E("two\\n", "stderr", "02"));
    put_file(&p, "log.json.2", E("three\\n", "stdout", "03"));
    put_file(&p, "log.json", E("four\\n", "stdout", "04.5") E("five\\n", "stdout", "05"));
    put_file(&p, "log.json.x", "not a log");
    check_printed(&p, (struct log_filter){ .tail = -1 }, "one\nthree\nfour\nfive\n|two\n");
    check_printed(&p, (struct log_filter){ .tail = 0 }, "");
    check_printed(&p, (struct log_filter){ .tail = 1 }, "five\n");
    check_printed(&p, (struct log_filter){ .tail = 2 }, "four\nfive\n");
    check_printed(&p, (struct log_filter){ .tail = 3 }, "three\nfour\nfive\n");
    check_printed(&p, (struct log_filter){ .tail = 4 }, "three\nfour\nfive\n|two\n");
    check_printed(&p, (struct log_filter){ .tail = 5 }, "one\nthree\nfour\nfive\n|two\n");
    check_printed(&p, (struct log_filter){ .tail = 99 }, "one\nthree\nfour\nfive\n|two\n");
    check_printed(&p, (struct log_filter){ .tail = -1, .no_stderr = true }, "one\nthree\nfour\nfive\n");
    check_printed(&p, (struct log_filter){ .tail = -1, .no_stdout = true }, "|two\n");
    check_printed(&p, (struct log_filter){ .tail = -1, .since_ns = AT(3) }, "three\nfour\nfive\n");
    check_printed(&p, (struct log_filter){ .tail = -1, .until_ns = AT(4) }, "one\nthree\n|two\n");
    check_printed(&p, (struct log_filter){ .tail = -1, .since_ns = AT(4), .until_ns = AT(4) + 500000000 }, "four\n");
    check_printed(&p, (struct log_filter){ .tail = 2, .timestamps = true },
                  "2024-01-01T00:00:04.500000000Z four\n2024-01-01T00:00:05.000000000Z five\n");
    drop_place(&p);
}

TEST(half_lines_garbage_and_pieces_do_no_harm)
{
    struct place p = make_place();
    put_file(&p, "log.json.1", E("old\\n", "stdout", "01") "{\"log\":\"ha");
    put_file(&p, "log.json", "garbage\n\n" E("pie", "stdout", "02") E("ce\\n", "stdout", "02") "{\"log\":\"torn");
    check_printed(&p, (struct log_filter){ .tail = -1 }, "old\npiece\n");
    check_printed(&p, (struct log_filter){ .tail = -1, .timestamps = true },
                  "2024-01-01T00:00:01.000000000Z old\n2024-01-01T00:00:02.000000000Z piece\n");
    drop_place(&p);
}

TEST(no_log_is_an_empty_log_and_no_folder_is_an_error)
{
    struct place p = make_place();
    check_printed(&p, (struct log_filter){ .tail = -1 }, "");
    drop_place(&p);
    CHECK_ERR(logs_print(p.dir, &(struct log_filter){ .tail = -1 }), ERR_NOT_FOUND);
}

static void add_text(struct logfile *f, const char *text)
{
    logfile_add(f, text, strlen(text), true, LINE_STDOUT, AT(1));
}

TEST(rotation_keeps_each_file_within_its_size_and_loses_nothing)
{
    struct place p = make_place();
    struct logfile f;
    char text[64];
    own_str struct str want = { 0 };
    logfile_open(&f, p.fd, buffer, 1000, 200);
    for (int i = 0; i < 500; i++) {
        snprintf(text, sizeof text, "line %d", i);
        str_printf(&want, "%s\n", text);
        add_text(&f, text);
        if (i % 7 == 0)
            logfile_flush(&f);
    }
    logfile_flush(&f);
    close_now(&f.fd);
    CHECK(f.dropped == 0);
    for (int i = 0; i < 60; i++) {
        struct stat st;
        snprintf(text, sizeof text, "log.json.%d", i);
        if (fstatat(p.fd, i ? text : "log.json", &st, 0) == 0)
            CHECK(st.st_size <= 1000 && st.st_size > 0);
    }
    check_printed(&p, (struct log_filter){ .tail = -1 }, want.text);
    drop_place(&p);
}

TEST(rotation_keeps_the_number_of_files)
{
    for (int64_t files = 1; files <= 3; files++) {
        struct place p = make_place();
        struct logfile f;
        logfile_open(&f, p.fd, buffer, 300, files);
        for (int i = 0; i < 100; i++) {
            add_text(&f, "some text that is long enough");
            logfile_flush(&f);
        }
        close_now(&f.fd);
        CHECK(faccessat(p.fd, "log.json", F_OK, 0) == 0);
        CHECK((faccessat(p.fd, "log.json.1", F_OK, 0) == 0) == (files > 1));
        CHECK((faccessat(p.fd, "log.json.2", F_OK, 0) == 0) == (files > 2));
        CHECK(faccessat(p.fd, "log.json.3", F_OK, 0) < 0);
        drop_place(&p);
    }
}

TEST(an_entry_larger_than_the_limit_has_a_file_of_its_own)
{
    struct place p = make_place();
    struct logfile f;
    static char text[5000];
    memset(text, 'y', sizeof text);
    logfile_open(&f, p.fd, buffer, 100, 3);
    logfile_add(&f, "a", 1, true, LINE_STDOUT, AT(1));
    logfile_add(&f, text, sizeof text, true, LINE_STDOUT, AT(1));
    logfile_add(&f, "b", 1, true, LINE_STDOUT, AT(1));
    logfile_flush(&f);
    close_now(&f.fd);
    check_printed(&p, (struct log_filter){ .tail = 1 }, "b\n");
    own_mem char *all = printed(&p, &(struct log_filter){ .tail = -1 });
    CHECK(strlen(all) == sizeof text + 5 && f.dropped == 0);
    drop_place(&p);
}

TEST(a_torn_end_of_an_earlier_life_is_closed_off)
{
    struct place p = make_place();
    struct logfile f;
    put_file(&p, "log.json", E("old\\n", "stdout", "01") "{\"log\":\"torn");
    logfile_open(&f, p.fd, buffer, 0, 1);
    add_text(&f, "new");
    logfile_flush(&f);
    close_now(&f.fd);
    check_printed(&p, (struct log_filter){ .tail = -1 }, "old\nnew\n");
    drop_place(&p);
}

/* A file size limit stands for the full disk: write(2) is short, then fails. */
TEST(a_full_disk_drops_whole_lines_counts_them_and_says_so)
{
    struct place p = make_place();
    pid_t child = fork();
    if (child == 0) {
        struct logfile f;
        struct rlimit limit;
        signal(SIGXFSZ, SIG_IGN);
        getrlimit(RLIMIT_FSIZE, &limit);
        rlim_t before = limit.rlim_cur;
        limit.rlim_cur = 180; /* two entries and a half */
        setrlimit(RLIMIT_FSIZE, &limit);
        logfile_open(&f, p.fd, buffer, 0, 1);
        for (int i = 0; i < 4; i++)
            add_text(&f, "0123456789");
        logfile_flush(&f);
        add_text(&f, "lost");
        logfile_flush(&f);
        if (f.dropped != 3)
            _exit(1);
        limit.rlim_cur = before;
        setrlimit(RLIMIT_FSIZE, &limit);
        add_text(&f, "after");
        logfile_flush(&f);
        _exit(f.dropped == 3 && f.dropped_unsaid == 0 ? 0 : 2);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    check_printed(&p, (struct log_filter){ .tail = -1 },
                  "0123456789\n0123456789\nafter\n|husk: 3 log lines are missing here: File too large\n");
    drop_place(&p);
}

/* A writer that rotates all the time, and a reader that follows it: every line once, in order. */
TEST(following_survives_rotation)
{
    struct place p = make_place();
    own_str struct str want = { 0 };
    for (int i = 0; i < 3000; i++)
        str_printf(&want, "line %d\n", i);
    pid_t child = fork();
    if (child == 0) {
        struct logfile f;
        char text[64];
        logfile_open(&f, p.fd, buffer, 2000, 300);
        for (int i = 0; i < 3000; i++) {
            snprintf(text, sizeof text, "line %d", i);
            add_text(&f, text);
            if (i % 3 == 0)
                logfile_flush(&f);
            if (i % 100 == 0)
                usleep(3000);
        }
        logfile_flush(&f);
        err *e = monitor_exit_write(p.dir, &(struct monitor_exit){ .exit_code = 3 });
        _exit(e != NULL);
    }
    own_mem char *got = printed(&p, &(struct log_filter){ .tail = -1, .follow = true });
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_string_equal(got, want.text);
    drop_place(&p);
}

/* Small files and many of them: the reader looks for its next file while names move all the time. */
TEST(a_reader_amid_rotations_passes_over_no_file_and_reads_none_twice)
{
    struct place p = make_place();
    own_str struct str want = { 0 };
    for (int i = 0; i < 1500; i++)
        str_printf(&want, "line %d\n", i);
    pid_t child = fork();
    if (child == 0) {
        struct logfile f;
        char text[64];
        logfile_open(&f, p.fd, buffer, 500, 400);
        for (int i = 0; i < 1500; i++) {
            snprintf(text, sizeof text, "line %d", i);
            add_text(&f, text);
            logfile_flush(&f);
        }
        err *e = monitor_exit_write(p.dir, &(struct monitor_exit){ .exit_code = 3 });
        _exit(e != NULL);
    }
    own_mem char *got = printed(&p, &(struct log_filter){ .tail = -1, .follow = true });
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_string_equal(got, want.text);
    drop_place(&p);
}

static bool dead(void *ctx)
{
    ++*(int *)ctx;
    return true;
}

TEST(following_ends_when_the_container_is_dead_without_a_record)
{
    struct place p = make_place();
    int asked = 0;
    put_file(&p, "log.json", E("one\\n", "stdout", "01"));
    CHECK_OK(logs_print(p.dir, &(struct log_filter){ .tail = 0, .follow = true, .ended = dead, .ended_ctx = &asked }));
    CHECK(asked == 1);
    drop_place(&p);
}

TEST(the_record_is_read_as_it_was_written)
{
    struct place p = make_place();
    own(monitor_exit) struct monitor_exit *got = NULL;
    char error[] = "say \"why\" to <all> & \x01";
    const struct monitor_exit record = { .exit_code = 137,
                                         .signal = 9,
                                         .oom_killed = true,
                                         .started_ns = 5,
                                         .finished_ns = INT64_MAX,
                                         .log_dropped = 7,
                                         .error = error };
    CHECK_ERR(monitor_exit_read(p.dir, &got), ERR_NOT_FOUND);
    CHECK_OK(monitor_exit_write(p.dir, &record));
    CHECK_OK(monitor_exit_read(p.dir, &got));
    CHECK(got->exit_code == 137 && got->signal == 9 && got->oom_killed && got->started_ns == 5);
    CHECK(got->finished_ns == INT64_MAX && got->log_dropped == 7);
    assert_string_equal(got->error, error);
    put_file(&p, "exit.json", "{\"exitCode\":");
    monitor_exit_free(take(got));
    CHECK_ERR(monitor_exit_read(p.dir, &got), ERR_INVALID);
    drop_place(&p);
}
