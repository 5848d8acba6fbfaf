/*
 * floor: the least that a container start can cost: the same system calls as a default container, with nothing else.
 *
 *   floor ROOTFS SCRATCH|- COMMAND [ARG]...
 *
 * Makes an overlay over ROOTFS (upper and work in SCRATCH), new mount, pid, net, ipc, uts and cgroup namespaces, /proc,
 * /dev with its devices, /dev/pts, /dev/shm, /dev/mqueue, /sys, the masked and read-only paths, groups in the v1
 * memory and pids hierarchies where there are any, Docker's default capabilities, no_new_privs and a seccomp filter of
 * 300 instructions; runs the command, waits and removes the groups. Nothing is parsed, written or recorded: what husk
 * needs beyond this is its own cost. Needs root.
 *
 * With "-" for SCRATCH it does what the plain bundle of `husk-oci spec` asks for instead: ROOTFS itself, read-only, no
 * filter, three capabilities, loopback up, and on hosts with v1 device rules, groups for memory and devices, one in v2,
 * and a view of them at /sys/fs/cgroup.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define LENGTH(a) (sizeof(a) / sizeof *(a))

static const char *const read_only[] = { "proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger" };
static const char *const masked[] = { "proc/acpi",          "proc/asound",     "proc/kcore",       "proc/keys",
                                      "proc/latency_stats", "proc/timer_list", "proc/timer_stats", "proc/sched_debug",
                                      "proc/scsi",          "sys/firmware" };
static const struct {
    const char *name;
    unsigned major, minor;
} devices[] = { { "dev/null", 1, 3 },   { "dev/zero", 1, 5 },    { "dev/full", 1, 7 },
                { "dev/random", 1, 8 }, { "dev/urandom", 1, 9 }, { "dev/tty", 5, 0 } };
static const char *const links[][2] = { { "/proc/self/fd", "dev/fd" },
                                        { "/proc/self/fd/0", "dev/stdin" },
                                        { "/proc/self/fd/1", "dev/stdout" },
                                        { "/proc/self/fd/2", "dev/stderr" },
                                        { "pts/ptmx", "dev/ptmx" } };
static const char *const full_groups[] = { "memory", "pids" };
static const char *const plain_groups[] = { "memory", "devices", "unified" };
static const char *const device_rules[] = { "c *:* m",   "b *:* m",   "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm",
                                            "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm" };
static const uint64_t docker_capabilities = 0xa80425fb;
static const uint64_t plain_capabilities = 1 << CAP_AUDIT_WRITE | 1 << CAP_KILL | 1 << CAP_NET_BIND_SERVICE;

/* What this start is of: a program that only measures may have globals. */
static int plain;
static const char *const *groups;
static size_t groups_n;
static int view_fds[LENGTH(plain_groups)];

static void die(const char *what)
{
    dprintf(2, "floor: %s: %s\n", what, strerror(errno));
    _exit(126);
}

static void write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        die(path);
    close(fd);
}

/* options: pairs of name and value (NULL: a flag), ended by a NULL name. */
static int make_mount(const char *type, unsigned attributes, const char *const (*options)[2])
{
    int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
    if (fs < 0)
        die(type);
    for (; options && (*options)[0]; options++) {
        unsigned how = (*options)[1] ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;
        if (syscall(SYS_fsconfig, fs, how, (*options)[0], (*options)[1], 0) < 0)
            die((*options)[0]);
    }
    if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        die(type);
    int made = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes);
    if (made < 0)
        die(type);
    close(fs);
    return made;
}

static void place(int mount_fd, const char *path)
{
    if (syscall(SYS_move_mount, mount_fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        die(path);
    close(mount_fd);
}

static int copy_mount(const char *path)
{
    return (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

static void place_root(int root, const char *rootfs)
{
    if (syscall(SYS_move_mount, root, "", AT_FDCWD, rootfs, MOVE_MOUNT_F_EMPTY_PATH) < 0 || fchdir(root) < 0)
        die("place the root");
    close(root);
}

static void mount_root(const char *rootfs, const char *scratch)
{
    char upper[4096], work[4096];
    snprintf(upper, sizeof upper, "%s/upper", scratch);
    snprintf(work, sizeof work, "%s/work", scratch);
    const char *const options[][2] = { { "lowerdir", rootfs }, { "upperdir", upper }, { "workdir", work }, { 0 } };
    struct mount_attr private = { .propagation = 1 << 18 /* MS_PRIVATE */ };
    if (syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &private, sizeof private) < 0)
        die("make mounts private");
    place_root(plain ? (int)syscall(SYS_open_tree, AT_FDCWD, rootfs, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE)
                     : make_mount("overlay", 0, options),
               rootfs);
}

static void mount_inside(void)
{
    static const char *const dev[][2] = { { "mode", "755" }, { "size", "65536k" }, { 0 } };
    static const char *const pts[][2] = { { "newinstance", NULL }, { "ptmxmode", "0666" }, { "mode", "0620" }, { 0 } };
    static const char *const shm[][2] = { { "mode", "1777" }, { "size", "65536k" }, { 0 } };
    const unsigned tight = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    place(make_mount("proc", tight, NULL), "proc");
    place(make_mount("tmpfs", MOUNT_ATTR_NOSUID, dev), "dev");
    if (mkdir("dev/pts", 0755) < 0 || mkdir("dev/shm", 01777) < 0 || mkdir("dev/mqueue", 0755) < 0)
        die("make directories of /dev");
    place(make_mount("devpts", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, pts), "dev/pts");
    place(make_mount("tmpfs", tight, shm), "dev/shm");
    place(make_mount("mqueue", tight, NULL), "dev/mqueue");
    place(make_mount("sysfs", tight | MOUNT_ATTR_RDONLY, NULL), "sys");
}

/* The groups' directories, opened while the host's mounts were there, below a tmpfs. */
static void mount_view(void)
{
    struct mount_attr attributes = { .attr_set =
                                         MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };
    char path[64];
    place(make_mount("tmpfs", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, NULL), "sys/fs/cgroup");
    for (size_t i = 0; i < groups_n; i++) {
        if (view_fds[i] < 0)
            continue;
        snprintf(path, sizeof path, "sys/fs/cgroup/%s", groups[i]);
        if (mkdir(path, 0755) < 0 ||
            syscall(SYS_mount_setattr, view_fds[i], "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0)
            die(path);
        place(view_fds[i], path);
    }
    attributes = (struct mount_attr){ .attr_set = MOUNT_ATTR_RDONLY };
    if (syscall(SYS_mount_setattr, AT_FDCWD, "sys/fs/cgroup", 0, &attributes, sizeof attributes) < 0 ||
        syscall(SYS_mount_setattr, AT_FDCWD, ".", 0, &attributes, sizeof attributes) < 0)
        die("make it read-only");
}

static void loopback_up(void)
{
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
    int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sock < 0 || ioctl(sock, SIOCSIFFLAGS, &request) < 0)
        die("bring up lo");
    close(sock);
}

static void make_devices(void)
{
    for (size_t i = 0; i < LENGTH(devices); i++)
        if (mknod(devices[i].name, S_IFCHR | 0666, makedev(devices[i].major, devices[i].minor)) < 0)
            die(devices[i].name);
    for (size_t i = 0; i < LENGTH(links); i++)
        if (symlink(links[i][0], links[i][1]) < 0)
            die(links[i][1]);
}

static void hide_paths(void)
{
    struct mount_attr attributes = { .attr_set = MOUNT_ATTR_RDONLY };
    for (size_t i = 0; i < LENGTH(read_only); i++) {
        int copy = copy_mount(read_only[i]);
        if (copy < 0)
            continue;
        if (syscall(SYS_mount_setattr, copy, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0)
            die(read_only[i]);
        place(copy, read_only[i]);
    }
    const char *empty = NULL; /* one for all */
    for (size_t i = 0; i < LENGTH(masked); i++) {
        struct stat st;
        if (stat(masked[i], &st) < 0)
            continue;
        if (!S_ISDIR(st.st_mode))
            place(copy_mount("dev/null"), masked[i]);
        else
            place(empty ? copy_mount(empty) : make_mount("tmpfs", MOUNT_ATTR_RDONLY, NULL), masked[i]);
        if (S_ISDIR(st.st_mode))
            empty = masked[i];
    }
}

static void enter_root(void)
{
    if (syscall(SYS_pivot_root, ".", ".") < 0)
        die("pivot_root");
    if (syscall(SYS_umount2, ".", 2 /* MNT_DETACH */) < 0 || chdir("/") < 0)
        die("leave the old root");
}

static void drop_capabilities(void)
{
    uint64_t kept_capabilities = plain ? plain_capabilities : docker_capabilities;
    for (int i = 0; i <= CAP_LAST_CAP; i++)
        if (!(kept_capabilities >> i & 1))
            (void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
    struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
    uint32_t low = (uint32_t)kept_capabilities;
    struct __user_cap_data_struct sets[2] = { { low, low, 0 }, { 0 } };
    if (syscall(SYS_capset, &head, sets) < 0)
        die("capset");
}

/* As long as the default profile, and allows everything: each call walks it to the end. */
static void filter_calls(void)
{
    static struct sock_filter filter[304];
    size_t n = LENGTH(filter);
    filter[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 1; i + 1 < n; i++)
        filter[i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 100000 + i, 0, 0);
    filter[n - 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = { (unsigned short)n, filter };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
        die("seccomp");
}

static void group_path(char *path, size_t size, const char *controller, pid_t owner, const char *file)
{
    snprintf(path, size, "/sys/fs/cgroup/%s/husk-floor-%d%s", controller, (int)owner, file);
}

static int group_there(const char *controller)
{
    char path[128];
    snprintf(path, sizeof path, "/sys/fs/cgroup/%s/cgroup.procs", controller);
    return access(path, F_OK) == 0;
}

static void write_device_rules(pid_t owner)
{
    char path[128];
    group_path(path, sizeof path, "devices", owner, "/devices.deny");
    write_text(path, "a");
    group_path(path, sizeof path, "devices", owner, "/devices.allow");
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    for (size_t i = 0; i < LENGTH(device_rules); i++)
        if (fd < 0 || write(fd, device_rules[i], strlen(device_rules[i])) < 0)
            die(path);
    close(fd);
}

/* Answers v2's group, or -1. */
static int make_groups(pid_t owner)
{
    char path[128];
    int v2 = -1;
    for (size_t i = 0; i < groups_n; i++) {
        if (!group_there(groups[i]))
            continue;
        group_path(path, sizeof path, groups[i], owner, "");
        if (mkdir(path, 0755) < 0)
            die(path);
        if (strcmp(groups[i], "devices") == 0)
            write_device_rules(owner);
        else if (strcmp(groups[i], "unified") == 0)
            v2 = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    return v2;
}

static void join_groups(pid_t owner)
{
    char path[128];
    for (size_t i = 0; i < groups_n; i++) {
        view_fds[i] = -1;
        if (!group_there(groups[i]))
            continue;
        group_path(path, sizeof path, groups[i], owner, "/tasks");
        if (strcmp(groups[i], "unified") != 0)
            write_text(path, "0");
        group_path(path, sizeof path, groups[i], owner, "");
        if (plain)
            view_fds[i] = copy_mount(path);
    }
}

static void child(const char *rootfs, const char *scratch, char **command, pid_t owner)
{
    join_groups(owner);
    if (plain && unshare(CLONE_NEWCGROUP) < 0)
        die("unshare the cgroup namespace");
    mount_root(rootfs, scratch);
    mount_inside();
    if (plain)
        mount_view();
    make_devices();
    hide_paths();
    if (plain)
        loopback_up();
    enter_root();
    (void)sethostname("floor", 5);
    drop_capabilities();
    if (!plain)
        filter_calls();
    execve(command[0], command, (char *[]){ "PATH=/bin", NULL });
    die(command[0]);
}

int main(int argc, char **argv)
{
    char path[4096];
    pid_t me = getpid();
    int status = 0;
    if (argc < 4) {
        fprintf(stderr, "usage: floor ROOTFS SCRATCH|- COMMAND [ARG]...\n");
        return 2;
    }
    plain = strcmp(argv[2], "-") == 0;
    groups = plain ? plain_groups : full_groups;
    groups_n = plain ? LENGTH(plain_groups) : LENGTH(full_groups);
    for (size_t i = 0; !plain && i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", argv[2], i ? "work" : "upper");
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            die(path);
    }
    int v2 = make_groups(me);
    struct clone_args clone = { .flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
                                         (plain ? 0 : CLONE_NEWCGROUP) | (v2 >= 0 ? CLONE_INTO_CGROUP : 0),
                                .cgroup = v2 >= 0 ? (uint64_t)v2 : 0,
                                .exit_signal = SIGCHLD };
    pid_t pid = (pid_t)syscall(SYS_clone3, &clone, sizeof clone);
    if (pid == 0)
        child(argv[1], argv[2], argv + 3, me);
    if (pid < 0)
        die("clone3");
    if (waitpid(pid, &status, 0) != pid)
        die("wait");
    for (size_t i = 0; i < groups_n; i++) {
        group_path(path, sizeof path, groups[i], me, "");
        if (group_there(groups[i]))
            (void)rmdir(path);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
