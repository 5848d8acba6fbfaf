/*
 * rights.c: the rows that say who the process is and what it may do.
 *
 * The order of things, and why. Ids first, while all capabilities are there; a change of uid would take them, so they
 * are kept (SECBIT_KEEP_CAPS) until the last moment, but not in force: from CAPS on the effective set is the program's,
 * so that the work directory and the program are looked up with its rights and no others. The filter is loaded last,
 * with the one capability that this needs: so a filter has to allow execve and nothing of ours. What permitted holds
 * then does not reach the program: exec computes it anew from the bounding, inheritable and ambient sets.
 * Source: capabilities(7), seccomp(2).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <linux/stat.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/vfs.h>

#include "init/stub.h"

/* glibc's own stat headers would clash with the kernel's: the few bits that we need of them */
enum { LANDLOCK_CREATE_RULESET = 444, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF };
enum { LANDLOCK_RULE_PATH = 1, LANDLOCK_RULE_PORT = 2 };
enum { MODE_DIRECTORY = 0040000, MODE_TYPE = 0170000, MODE_FIFO = 0010000, MODE_SOCKET = 0140000 };

/* The root directory of a procfs has inode 1; of any procfs, "self" is we ourselves. */
static bool is_proc_root(long fd)
{
    enum { PROC_ROOT_INO = 1 };
    struct statfs fs;
    struct statx st;
    return sys(__NR_fstatfs, fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC &&
           sys(__NR_statx, fd, "", AT_EMPTY_PATH, STATX_INO, &st) == 0 && st.stx_ino == PROC_ROOT_INO;
}

/* A procfs that nobody else can reach: for a container that has none, or something else, at /proc. */
static long own_proc(void)
{
    long fs = sys(__NR_fsopen, "proc", FSOPEN_CLOEXEC);
    if (fs < 0)
        return fs;
    long ret = sys(__NR_fsconfig, fs, FSCONFIG_CMD_CREATE, 0, 0, 0);
    if (ret == 0)
        ret = sys(__NR_fsmount, fs, FSMOUNT_CLOEXEC, 0);
    (void)sys(__NR_close, fs);
    return ret;
}

long proc_open(const char *path, uint64_t flags)
{
    /* NO_XDEV: a mount on top of the file we want is an error, not another file (CVE-2019-16884, CVE-2025-52881). */
    struct open_how how = { .flags = flags, .resolve = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_BENEATH };
    long proc = sys(__NR_openat, AT_FDCWD, "/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (proc < 0 || !is_proc_root(proc)) {
        if (proc >= 0)
            (void)sys(__NR_close, proc);
        proc = own_proc();
    }
    if (proc < 0)
        return proc;
    long fd = sys(__NR_openat2, proc, path, &how, sizeof how);
    (void)sys(__NR_close, proc);
    return fd;
}

STUB_ROW(row_keyring)
{
    (void)payload, (void)size;
    enum { POSSESSOR_ALL = 0x3f000000, USER_VIEW_READ_SEARCH = 0x000b0000 };
    long ring = sys(__NR_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0);
    /* A kernel without keys has none to share. And where a filter around us forbids keyctl(2), as in a container, it
     * does so to the program too. */
    if (ring == -ENOSYS || ring == -EPERM)
        return;
    if (ring == -EDQUOT)
        stub_fail(s, ORDER_ERR_EXHAUSTED, EDQUOT,
                  "make a session keyring (raise sysctl kernel.keys.maxkeys, or run with --no-new-keyring)", NULL);
    if (ring < 0)
        stub_fail_sys(s, ring, "make a session keyring", NULL);
    /* Later processes of the container that do not possess it can still search it; as runc does. */
    (void)sys(__NR_keyctl, KEYCTL_SETPERM, ring, POSSESSOR_ALL | USER_VIEW_READ_SEARCH);
}

STUB_ROW(row_label)
{
    (void)size;
    const struct order_label *label = payload;
    const char *text = (const char *)(label + 1);
    bool apparmor = label->kind == ORDER_LABEL_APPARMOR;
    struct text line = { 0 };
    long fd = apparmor ? proc_open("thread-self/attr/apparmor/exec", O_WRONLY | O_CLOEXEC) : -ENOENT;
    if (fd == -ENOENT)
        fd = proc_open("thread-self/attr/exec", O_WRONLY | O_CLOEXEC);
    if (apparmor)
        text_add(&line, "exec ");
    text_add(&line, text);
    long ret = fd < 0 ? fd : sys(__NR_write, fd, line.bytes, line.n);
    if (ret < 0)
        stub_fail_sys(s, ret, apparmor ? "set AppArmor profile" : "set SELinux label", text);
    (void)sys(__NR_close, fd);
}

/* A program that is not root opens /dev/stdout, which for a pipe needs its owner's rights. Files are left alone. */
STUB_ROW(row_stdio_owner)
{
    (void)size;
    uint32_t uid = (uint32_t)((const struct order_number *)payload)->v;
    for (int fd = 0; fd < 3; fd++) {
        struct statx st;
        if (sys(__NR_statx, fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_UID, &st) < 0 || st.stx_uid == uid)
            continue;
        unsigned type = st.stx_mode & MODE_TYPE;
        if (s->stdio_is_tty || type == MODE_FIFO || type == MODE_SOCKET)
            (void)sys(__NR_fchown, fd, uid, -1); /* not ours to give (EPERM): it stays as the caller made it */
    }
}

STUB_ROW(row_bounding)
{
    (void)size;
    uint64_t keep = (uint64_t)((const struct order_number *)payload)->v;
    for (int cap = 0; cap < 64; cap++) {
        if (keep >> cap & 1)
            continue;
        long ret = sys(__NR_prctl, PR_CAPBSET_DROP, cap, 0, 0, 0);
        if (ret == -EINVAL) /* beyond the last that this kernel has */
            return;
        if (ret < 0 && sys(__NR_prctl, PR_CAPBSET_READ, cap, 0, 0, 0) != 0)
            stub_fail_sys(s, ret, "drop a capability from the bounding set", NULL);
    }
}

static long capget(uint64_t *ret_permitted, uint64_t *ret_inheritable)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2];
    long ret = sys(__NR_capget, &head, data);
    *ret_permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
    *ret_inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
    return ret;
}

static long capset(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = {
        { (uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable },
        { (uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32) },
    };
    return sys(__NR_capset, &head, data);
}

long caps_set(struct stub *s, uint64_t effective, uint64_t permitted)
{
    return capset(effective, permitted, s->caps.inheritable);
}

/* By the user namespace, not for want of a capability. Source: user_namespaces(7), /proc/PID/setgroups. */
static bool groups_denied(void)
{
    char word[5] = "";
    long fd = proc_open("self/setgroups", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    (void)sys(__NR_read, fd, word, sizeof word - 1);
    (void)sys(__NR_close, fd);
    return text_eq(word, "deny");
}

STUB_ROW(row_ids)
{
    const struct order_ids *ids = payload;
    if ((size - sizeof *ids) / sizeof(uint32_t) < ids->groups_n)
        stub_fail(s, ORDER_ERR_CORRUPT, 0, "read the order: a row is damaged", NULL);
    (void)sys(__NR_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0);
    long ret = ids->set_groups == ORDER_GROUPS_KEEP ? 0 : sys(__NR_setgroups, ids->groups_n, ids + 1);
    if (ret == -EPERM && ids->set_groups == ORDER_GROUPS_SET_IF_ALLOWED && groups_denied())
        ret = 0;
    if (ret < 0)
        stub_fail_sys(s, ret, "set the additional groups (are they mapped in the container's user namespace?)", NULL);
    ret = sys(__NR_setresgid, ids->gid, ids->gid, ids->gid);
    if (ret < 0)
        stub_fail_sys(s, ret, "set the group id (is it mapped in the container's user namespace?)", NULL);
    ret = sys(__NR_setresuid, ids->uid, ids->uid, ids->uid);
    if (ret < 0)
        stub_fail_sys(s, ret, "set the user id (is it mapped in the container's user namespace?)", NULL);
    uint64_t permitted = 0, inheritable = 0;
    (void)capget(&permitted, &inheritable);
    (void)capset(permitted, permitted, inheritable); /* a change from uid 0 cleared the effective set */
}

STUB_ROW(row_umask)
{
    (void)s, (void)size;
    (void)sys(__NR_umask, ((const struct order_number *)payload)->v);
}

static void set_ambient(const struct stub *s)
{
    long ret = sys(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (int cap = 0; cap < 64 && ret >= 0; cap++)
        if (s->caps.ambient >> cap & 1)
            ret = sys(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
    if (ret < 0 && s->caps.ambient)
        stub_fail_sys(s, ret, "set the ambient capabilities", NULL);
}

STUB_ROW(row_caps)
{
    (void)size;
    uint64_t inheritable = 0;
    s->caps = *(const struct order_caps *)payload;
    s->caps_given = true;
    (void)capget(&s->have_permitted, &inheritable);
    long ret = caps_set(s, s->have_permitted, s->have_permitted);
    if (ret < 0)
        stub_fail_sys(s, ret, "set the inheritable capabilities", NULL);
    set_ambient(s);
    ret = caps_set(s, s->caps.effective, s->have_permitted);
    if (ret < 0)
        stub_fail_sys(s, ret, "set the capabilities", NULL);
}

void caps_finish(struct stub *s, int also)
{
    uint64_t more = also >= 0 ? s->have_permitted & 1ull << also : 0;
    if (!s->caps_given)
        return;
    long ret = caps_set(s, s->caps.effective | more, s->caps.permitted | more);
    if (ret < 0)
        stub_fail_sys(s, ret, "set the capabilities", NULL);
}

STUB_ROW(row_nnp)
{
    (void)payload, (void)size;
    long ret = sys(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (ret < 0)
        stub_fail_sys(s, ret, "set no_new_privs", NULL);
    s->no_new_privs = true;
}

/* Rights that a file can have: of the others the kernel refuses the rule. */
enum { FILE_RIGHTS = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15 };

static void allow_path(const struct stub *s, long ruleset, uint64_t access, const char *path)
{
    struct statx st;
    long fd = sys(__NR_openat, AT_FDCWD, path, O_PATH | O_CLOEXEC);
    long ret = fd < 0 ? fd : sys(__NR_statx, fd, "", AT_EMPTY_PATH, STATX_TYPE, &st);
    if (ret >= 0) {
        struct {
            uint64_t access;
            int32_t fd;
        } __attribute__((packed)) rule = { access, (int32_t)fd };
        if ((st.stx_mode & MODE_TYPE) != MODE_DIRECTORY)
            rule.access &= FILE_RIGHTS;
        ret = sys(LANDLOCK_ADD_RULE, ruleset, LANDLOCK_RULE_PATH, &rule, 0);
    }
    if (ret < 0)
        stub_fail_sys(s, ret, "landlock: allow", path);
    (void)sys(__NR_close, fd);
}

STUB_ROW(row_landlock)
{
    const struct order_landlock *order = payload;
    const char *at = (const char *)(order + 1), *end = (const char *)payload + size;
    uint64_t handled[] = { order->fs, order->net, order->scoped };
    size_t known = order->scoped ? 3 : order->net ? 2 : 1; /* an older kernel has a shorter struct */
    long ruleset = sys(LANDLOCK_CREATE_RULESET, handled, known * sizeof handled[0], 0);
    if (ruleset < 0)
        stub_fail_sys(s, ruleset, "landlock: make a ruleset", NULL);
    for (uint32_t i = 0; i < order->rules_n; i++) {
        const struct order_landlock_rule *rule = (const void *)at;
        if ((size_t)(end - at) < sizeof *rule || rule->size > (size_t)(end - at) - sizeof *rule || rule->size % 8 ||
            (rule->size && at[sizeof *rule + rule->size - 1]))
            stub_fail(s, ORDER_ERR_CORRUPT, 0, "read the order: a row is damaged", NULL);
        at += sizeof *rule + rule->size;
        if (rule->size) {
            allow_path(s, ruleset, rule->access, (const char *)(rule + 1));
            continue;
        }
        uint64_t port[] = { rule->access, rule->port };
        long ret = sys(LANDLOCK_ADD_RULE, ruleset, LANDLOCK_RULE_PORT, port, 0);
        if (ret < 0)
            stub_fail_sys(s, ret, "landlock: allow a port", NULL);
    }
    caps_finish(s, s->no_new_privs ? -1 : CAP_SYS_ADMIN);
    long ret = sys(LANDLOCK_RESTRICT_SELF, ruleset, 0);
    if (ret == -EPERM)
        stub_fail(s, ORDER_ERR_DENIED, EPERM, "landlock: restrict the program (it needs no-new-privileges here)", NULL);
    if (ret < 0)
        stub_fail_sys(s, ret, "landlock: restrict the program", NULL);
    (void)sys(__NR_close, ruleset);
}

static void send_fd(const struct stub *s, enum order_say say, int fd, const char *act)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { .align = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) } };
    const char what = (char)say;
    struct iovec iov = { .iov_base = (void *)(uintptr_t)&what, .iov_len = 1 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    memcpy(control.bytes + CMSG_LEN(0), &fd, sizeof fd);
    long ret = sys(__NR_sendmsg, s->say_sock, &msg, MSG_NOSIGNAL);
    if (ret < 0)
        stub_fail_sys(s, ret, act, NULL);
}

/* What we could not say under the filter goes into a page that whoever waits has too. */
static void share_words(struct stub *s)
{
    long fd = sys(__NR_memfd_create, "husk-words", MFD_CLOEXEC);
    long ret = fd < 0 ? fd : sys(__NR_ftruncate, fd, sizeof *s->words);
    if (ret >= 0)
        ret = sys(__NR_mmap, 0, sizeof *s->words, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (ret < 0 && ret > -4096)
        stub_fail_sys(s, ret, "share a page for what goes wrong under the seccomp filter", NULL);
    send_fd(s, ORDER_SAY_PAGE, (int)fd, "share a page for what goes wrong under the seccomp filter");
    (void)sys(__NR_close, fd);
    s->words = (struct words *)ret;
}

STUB_ROW(row_seccomp)
{
    const struct order_seccomp *order = payload;
    if ((size - sizeof *order) / sizeof(struct sock_filter) < order->insns_n || order->insns_n > BPF_MAXINSNS)
        stub_fail(s, ORDER_ERR_CORRUPT, 0, "read the order: a row is damaged", NULL);
    struct sock_fprog program = { .len = (unsigned short)order->insns_n, .filter = (void *)(uintptr_t)(order + 1) };
    if (!(s->exec->flags & ORDER_EXEC_INIT))
        set_listen_pid(s);
    if (order->mute && s->say_sock >= 0)
        share_words(s);
    caps_finish(s, s->no_new_privs ? -1 : CAP_SYS_ADMIN);
    long ret = sys(__NR_seccomp, SECCOMP_SET_MODE_FILTER, order->flags, &program);
    if (ret == -EACCES)
        stub_fail(s, ORDER_ERR_DENIED, EACCES, "load the seccomp filter (it needs no-new-privileges here)", NULL);
    if (ret < 0)
        stub_fail_sys(s, ret, "load the seccomp filter", NULL);
    s->filtered = true;
    if (order->flags & SECCOMP_FILTER_FLAG_NEW_LISTENER)
        send_fd(s, ORDER_SAY_LISTENER, (int)ret, "hand on the seccomp listener");
}
