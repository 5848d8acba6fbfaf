// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "os/fs.h"
#include "os/sock.h"
#include "os/steps.h"
#include "process/order.h"
#include "process/program.h"
#include "test.h"

/* ---- words ---- */

TEST(capabilities_are_read_in_every_spelling_and_written_in_one)
{
    static const char *const words[] = { "CAP_NET_ADMIN", "NET_ADMIN", "net_admin", "cap_net_admin" };
    int number = -1;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        CHECK_OK(capability_parse(words[i], &number));
        CHECK(number == 12);
    }
    for (int i = 0; capability_name(i); i++) {
        CHECK_OK(capability_parse(capability_name(i), &number));
        CHECK(number == i);
    }
    CHECK(capability_name(40) && !capability_name(41) && !capability_name(-1));
    CHECK_SAYS(capability_parse("NET_ADMIM", &number), "'NET_ADMIM' is no capability: is it CAP_NET_ADMIN?");
    CHECK_ERR(capability_parse("", &number), ERR_INVALID);
}

TEST(what_is_no_capability_is_left_out_of_a_mask)
{
    own_strv struct strv words = { 0 };
    strv_add(&words, "CAP_WINGS_OF_WAX");
    strv_add(&words, "CAP_KILL");
    log_set_level(LOG_LEVEL_ERROR);
    CHECK(capability_mask(&words) == 1 << 5);
    log_set_level(LOG_LEVEL_WARN);
}

TEST(capability_words_and_masks_are_the_same_thing)
{
    own_strv struct strv words = { 0 };
    uint64_t mask = 0;
    capability_words(0xa80425fb, &words);
    CHECK(words.n == 14);
    mask = capability_mask(&words);
    CHECK(mask == 0xa80425fb);
}

TEST(a_capability_that_we_have_not_ourselves_is_refused_by_name)
{
    uint64_t have = 0;
    CHECK_OK(capability_bounding(&have));
    CHECK_OK(capability_check(have));
    for (int i = 0; capability_name(i); i++)
        if (!(have >> i & 1))
            CHECK_ERR(capability_check(1ull << i), ERR_DENIED);
    CHECK_ERR(capability_check(1ull << 63), ERR_DENIED);
}

TEST(resource_limits_are_read_in_every_spelling)
{
    int resource = -1;
    CHECK_OK(rlimit_parse("nofile", &resource));
    CHECK(resource == RLIMIT_NOFILE);
    CHECK_OK(rlimit_parse("RLIMIT_RTTIME", &resource));
    CHECK(resource == RLIMIT_RTTIME);
    CHECK(strcmp(rlimit_name(RLIMIT_AS), "RLIMIT_AS") == 0 && !rlimit_name(99));
    CHECK_SAYS(rlimit_parse("nofiles", &resource), "'nofiles' is no resource limit: is it RLIMIT_NOFILE?");
}

/* ---- orders ---- */

struct fixture {
    struct oci_user user;
    struct oci_capabilities caps;
    struct oci_process process;
    struct program program;
};

static void fixture_clear(struct fixture *f)
{
    strv_free(&f->process.args);
    strv_free(&f->process.env);
    strv_free(&f->caps.bounding);
    strv_free(&f->caps.effective);
    strv_free(&f->caps.permitted);
    strv_free(&f->caps.inheritable);
    strv_free(&f->caps.ambient);
    json_decref(f->user.additional_gids);
}
static inline void own_drop_fixture(struct fixture *f)
{
    fixture_clear(f);
}

static void fixture_init(struct fixture *f, const char *const *args)
{
    *f = (struct fixture){ 0 };
    for (; *args; args++)
        strv_add(&f->process.args, *args);
    strv_add(&f->process.env, "PATH=/usr/bin:/bin");
    f->process.user = &f->user;
    f->process.capabilities = &f->caps;
    static char root[] = "/";
    f->process.cwd = root;
    f->program = (struct program){ .process = &f->process,
                                   .join_pidfd = -1,
                                   .join_root = -1,
                                   .cgroup_fd = -1,
                                   .start_listen_fd = -1,
                                   .hook_state_fd = -1 };
}
#define ARGS(...)                                                                                                      \
    (const char *const[])                                                                                              \
    {                                                                                                                  \
        __VA_ARGS__, NULL                                                                                              \
    }

static const void *find_row(const char *bytes, size_t size, enum order_kind kind, uint32_t *ret_size)
{
    for (size_t at = sizeof(struct order_head); at < size;) {
        const struct order_row *row = (const void *)(bytes + at);
        if (row->kind == (uint32_t)kind) {
            *ret_size = row->size;
            return row + 1;
        }
        at += sizeof *row + ((row->size + 7) & ~7u);
    }
    return NULL;
}

TEST(an_order_holds_what_was_compiled)
{
    own(fixture) struct fixture f;
    own_mem void *bytes = NULL;
    size_t size = 0;
    uint32_t n = 0;
    fixture_init(&f, ARGS("sh", "-c", ""));
    f.user.uid = 7;
    f.user.gid = 8;
    f.user.additional_gids = json_pack("[i,i]", 9, 10);
    f.program.preserve_fds = 2;
    f.program.own_userns = true; /* then all capabilities can be had */
    capability_words(0x21, &f.caps.bounding);
    capability_words(0x21, &f.caps.permitted);
    capability_words(0x01, &f.caps.effective);
    CHECK_OK(program_compile_bytes(&f.program, &bytes, &size));

    const struct order_head *head = bytes;
    CHECK(head->magic == ORDER_MAGIC && head->version == ORDER_VERSION && head->size == size && head->keep_n == 0);
    const struct order_ids *ids = find_row(bytes, size, ORDER_ROW_IDS, &n);
    CHECK(ids && ids->uid == 7 && ids->gid == 8 && ids->set_groups && ids->groups_n == 2);
    CHECK(((const uint32_t *)(ids + 1))[1] == 10);
    const struct order_caps *caps = find_row(bytes, size, ORDER_ROW_CAPS, &n);
    CHECK(caps && caps->permitted == 0x21 && caps->effective == 0x01 && caps->inheritable == 0 && caps->ambient == 0);
    const struct order_number *bounding = find_row(bytes, size, ORDER_ROW_BOUNDING, &n);
    CHECK(bounding && bounding->v == 0x21);
    const struct order_number *close_row = find_row(bytes, size, ORDER_ROW_CLOSE, &n);
    CHECK(close_row && close_row->v == 2);
    const struct order_exec *exec = find_row(bytes, size, ORDER_ROW_EXEC, &n);
    CHECK(exec && exec->args_n == 3 && exec->env_n == 1 && exec->flags == 0);
    CHECK(memcmp(exec + 1, "sh\0-c\0\0PATH=/usr/bin:/bin", 26) == 0);
    CHECK(!find_row(bytes, size, ORDER_ROW_WAIT, &n) && !find_row(bytes, size, ORDER_ROW_SECCOMP, &n));
}

TEST(the_filter_is_loaded_last_and_ids_change_before_the_work_directory)
{
    own(fixture) struct fixture f;
    own_mem void *bytes = NULL;
    size_t size = 0;
    struct oci_seccomp allow = { .default_action = (char[]){ "SCMP_ACT_ALLOW" } };
    fixture_init(&f, ARGS("true"));
    f.program.seccomp = &allow;
    f.process.no_new_privileges = true;
    CHECK_OK(program_compile_bytes(&f.program, &bytes, &size));
    static const enum order_kind order[] = { ORDER_ROW_CLOSE, ORDER_ROW_BOUNDING, ORDER_ROW_IDS,
                                             ORDER_ROW_CAPS,  ORDER_ROW_CWD,      ORDER_ROW_LOOKUP,
                                             ORDER_ROW_NNP,   ORDER_ROW_SECCOMP,  ORDER_ROW_EXEC };
    const char *last = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
        uint32_t n = 0;
        const char *row = find_row(bytes, size, order[i], &n);
        CHECK(row != NULL && row > last);
        last = row;
    }
}

static void wrong_ids(struct fixture *f)
{
    f->user.uid = UINT32_MAX;
}
static void wrong_gid(struct fixture *f)
{
    f->user.gid = UINT32_MAX;
}
static void wrong_groups(struct fixture *f)
{
    f->user.additional_gids = json_pack("[I]", (json_int_t)1 << 32);
}
static void no_args(struct fixture *f)
{
    strv_free(&f->process.args);
}
static void relative_cwd(struct fixture *f)
{
    static char cwd[] = "proc/self";
    f->process.cwd = cwd;
}
static void effective_without_permitted(struct fixture *f)
{
    strv_add(&f->caps.effective, "CAP_KILL");
}
static void groups_denied(struct fixture *f)
{
    f->user.additional_gids = json_pack("[i]", 5);
    f->program.keep_groups = true;
}
static void scheduler(struct fixture *f)
{
    static struct oci_scheduler s;
    static char policy[] = "SCHED_FIFI";
    s.policy = policy;
    f->process.scheduler = &s;
}

static const struct {
    void (*spoil)(struct fixture *);
    const char *message;
} wrong[] = {
    { wrong_ids, "process.user.uid: 4294967295 is not an id: the largest is 4294967294" },
    { wrong_gid, "process.user.gid: 4294967295 is not an id: the largest is 4294967294" },
    { wrong_groups, "process.user.additionalGids: 4294967296 is not an id: the largest is 4294967294" },
    { no_args, "process.args: missing: there is nothing to run" },
    { relative_cwd, "process.cwd: 'proc/self' is not an absolute path" },
    { effective_without_permitted, "process.capabilities.effective has CAP_KILL, which permitted has not" },
    { groups_denied,
      "process.user.additionalGids: this user namespace may not set groups (setgroups is denied): install "
      "uidmap and give the user a range in /etc/subgid" },
    { scheduler, "process.scheduler.policy: 'SCHED_FIFI' is not known: is it SCHED_FIFO?" },
};

TEST(what_cannot_be_ordered_is_refused_before_anything_starts)
{
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        own(fixture) struct fixture f;
        own_mem void *bytes = NULL;
        size_t size = 0;
        fixture_init(&f, ARGS("true"));
        wrong[i].spoil(&f);
        CHECK_SAYS(program_compile_bytes(&f.program, &bytes, &size), wrong[i].message);
    }
}

TEST(a_resource_limit_is_checked_against_what_we_may_hand_on)
{
    own(fixture) struct fixture f;
    own_mem void *bytes = NULL;
    size_t size = 0;
    struct oci_rlimit r[2] = { { .type = (char[]){ "RLIMIT_CORE" }, .soft = 2, .hard = 1 } };
    fixture_init(&f, ARGS("true"));
    f.process.rlimits = r;
    f.process.rlimits_n = 1;
    CHECK_SAYS(program_compile_bytes(&f.program, &bytes, &size),
               "rlimit RLIMIT_CORE: the soft limit 2 is above the hard one 1");
    r[0].hard = 2;
    r[1] = r[0];
    f.process.rlimits_n = 2;
    CHECK_SAYS(program_compile_bytes(&f.program, &bytes, &size), "rlimit RLIMIT_CORE is given twice");
}

/* ---- the stub, with what it is given ---- */

/* What a program has handed over. */
static int handed = -1;
static err *take_handed(void *ctx, int take_fd)
{
    (void)ctx;
    handed = take_fd;
    return NULL;
}

/* Runs the order in a stub; the program's answer comes by its exit status, the stub's by an error. */
static err *run_bytes(const void *bytes, size_t size, int *ret_status)
{
    own_fd int order = -1, stub = -1, ours = -1, theirs = -1;
    int pair[2];
    TRY(fs_memfd("order", &order));
    TRY(fs_write_fd(order, bytes, size, "order"));
    TRY(program_open_stub(&stub));
    TRY(sock_pair(pair));
    ours = pair[0];
    theirs = pair[1];
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        (void)dup2(null, 1);
        (void)dup2(null, 2);
        steps_send_error(theirs, program_enter(stub, order, theirs, -1));
        _exit(1);
    }
    close_now(&theirs);
    err *e = steps_wait(ours, take_handed, NULL);
    CHECK(waitpid(pid, ret_status, 0) == pid);
    return e;
}

static err *run_program(const struct fixture *f, int *ret_status)
{
    own_mem void *bytes = NULL;
    size_t size = 0;
    TRY(program_compile_bytes(&f->program, &bytes, &size));
    return run_bytes(bytes, size, ret_status);
}

TEST(a_program_runs_and_its_status_is_its_own)
{
    own(fixture) struct fixture f;
    int status = -1;
    fixture_init(&f, ARGS("sh", "-c", "exit 42"));
    f.program.keep_groups = geteuid() != 0;
    f.user.uid = geteuid();
    f.user.gid = getegid();
    CHECK_OK(run_program(&f, &status));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);
}

TEST(a_program_that_cannot_be_run_is_told_with_its_kind)
{
    static const struct {
        const char *program, *message;
        enum err_kind kind;
        int status;
    } rows[] = {
        { "no-such-program", "exec 'no-such-program': not in $PATH: No such file or directory", ERR_EXEC_MISSING, 127 },
        { "/no/such", "exec '/no/such': No such file or directory", ERR_EXEC_MISSING, 127 },
        { "/dev/null/x", "exec '/dev/null/x': Not a directory", ERR_EXEC_MISSING, 127 },
        { "", "exec '': not in $PATH: No such file or directory", ERR_EXEC_MISSING, 127 },
        { "/etc", "exec '/etc': Permission denied", ERR_EXEC_DENIED, 126 },
        { "/etc/passwd", "exec '/etc/passwd': Permission denied", ERR_EXEC_DENIED, 126 },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        own(fixture) struct fixture f;
        int status = -1;
        fixture_init(&f, ARGS(rows[i].program));
        f.program.keep_groups = geteuid() != 0;
        f.user.uid = geteuid();
        f.user.gid = getegid();
        own(err) err *e = run_program(&f, &status);
        assert_string_equal(err_text(e), rows[i].message);
        CHECK(err_is(e, rows[i].kind));
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == rows[i].status);
    }
}

TEST(a_filters_listener_arrives_before_the_program_runs)
{
    own(fixture) struct fixture f;
    own_mem void *bytes = NULL;
    size_t size = 0;
    static const char profile[] = "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"vhangup\"],"
                                  "\"action\":\"SCMP_ACT_NOTIFY\"}]}";
    struct oci_seccomp *p = NULL;
    int status = -1;
    CHECK_OK(bind_read(&oci_seccomp_type, profile, strlen(profile), (void **)&p));
    fixture_init(&f, ARGS("true"));
    f.program.keep_groups = geteuid() != 0;
    f.user.uid = geteuid();
    f.user.gid = getegid();
    f.process.no_new_privileges = true;
    f.program.seccomp = p;
    CHECK_ERR(program_compile_bytes(&f.program, &bytes, &size), ERR_INVALID);
    p->listener_path = mem_strdup("/run/agent");
    CHECK_OK(run_program(&f, &status));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(handed >= 0);
    own_mem char *what = fs_fd_path(handed);
    assert_string_equal(what, "anon_inode:seccomp notify");
    close_now(&handed);
    bind_free(&oci_seccomp_type, p);
}

TEST(a_damaged_order_is_an_error_and_never_a_crash)
{
    own(fixture) struct fixture f;
    own_mem void *bytes = NULL;
    size_t size = 0;
    fixture_init(&f, ARGS("true"));
    f.program.keep_groups = true;
    f.user.uid = geteuid();
    f.user.gid = getegid();
    CHECK_OK(program_compile_bytes(&f.program, &bytes, &size));
    for (size_t at = 0; at < size; at += 4) { /* each word in turn: sizes, kinds, counts, texts */
        own_mem char *spoiled = mem_alloc(size);
        uint32_t all = UINT32_MAX;
        int status = -1;
        if (at >= offsetof(struct order_head, keep) && at < sizeof(struct order_head))
            continue; /* unused here */
        memcpy(spoiled, bytes, size);
        memcpy(spoiled + at, &all, size - at < 4 ? size - at : 4);
        err_ignore(run_bytes(spoiled, size, &status), "refused or run: only a crash is wrong");
        if (!WIFEXITED(status))
            fail_msg("word at %zu: signal %d", at, WTERMSIG(status));
    }
    int status = -1;
    CHECK_ERR(run_bytes(bytes, size - 8, &status), ERR_CORRUPT);
}
