/*
 * floor: the least that a container start can cost: the same system calls as a default container, with nothing else.
 *
 *   floor ROOTFS SCRATCH COMMAND [ARG]...
 *
 * Makes an overlay over ROOTFS (upper and work in SCRATCH), new mount, pid, net, ipc, uts and cgroup namespaces, /proc,
 * /dev with its devices, /dev/pts, /dev/shm, /dev/mqueue, /sys, the masked and read-only paths, groups in the v1
 * memory and pids hierarchies where there are any, Docker's default capabilities, no_new_privs and a seccomp filter of
 * 300 instructions; runs the command, waits and removes the groups. Nothing is parsed, written or recorded: what husk
 * needs beyond this is its own cost. Needs root.
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
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
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
static const char *const groups[] = { "memory", "pids" };
/* docker's default set */
static const uint64_t kept_capabilities = 0xa80425fb;

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

static void mount_root(const char *rootfs, const char *scratch)
{
    char upper[4096], work[4096];
    snprintf(upper, sizeof upper, "%s/upper", scratch);
    snprintf(work, sizeof work, "%s/work", scratch);
    const char *const options[][2] = { { "lowerdir", rootfs }, { "upperdir", upper }, { "workdir", work }, { 0 } };
    struct mount_attr private = { .propagation = 1 << 18 /* MS_PRIVATE */ };
    if (syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &private, sizeof private) < 0)
        die("make mounts private");
    int root = make_mount("overlay", 0, options);
    if (syscall(SYS_move_mount, root, "", AT_FDCWD, rootfs, MOVE_MOUNT_F_EMPTY_PATH) < 0 || fchdir(root) < 0)
        die("place the root");
    close(root);
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
    for (size_t i = 0; i < LENGTH(masked); i++) {
        struct stat st;
        if (stat(masked[i], &st) == 0)
            place(S_ISDIR(st.st_mode) ? make_mount("tmpfs", MOUNT_ATTR_RDONLY, NULL) : copy_mount("dev/null"),
                  masked[i]);
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
    snprintf(path, sizeof path, "/sys/fs/cgroup/%s/tasks", controller);
    return access(path, F_OK) == 0;
}

static void child(const char *rootfs, const char *scratch, char **command, pid_t owner)
{
    char path[128];
    for (size_t i = 0; i < LENGTH(groups); i++) {
        group_path(path, sizeof path, groups[i], owner, "/tasks");
        if (group_there(groups[i]))
            write_text(path, "0");
    }
    mount_root(rootfs, scratch);
    mount_inside();
    make_devices();
    hide_paths();
    enter_root();
    (void)sethostname("floor", 5);
    drop_capabilities();
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
        fprintf(stderr, "usage: floor ROOTFS SCRATCH COMMAND [ARG]...\n");
        return 2;
    }
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", argv[2], i ? "work" : "upper");
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            die(path);
    }
    for (size_t i = 0; i < LENGTH(groups); i++) {
        group_path(path, sizeof path, groups[i], me, "");
        if (group_there(groups[i]) && mkdir(path, 0755) < 0)
            die(path);
    }
    struct clone_args clone = { .flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
                                         CLONE_NEWCGROUP,
                                .exit_signal = SIGCHLD };
    pid_t pid = (pid_t)syscall(SYS_clone3, &clone, sizeof clone);
    if (pid == 0)
        child(argv[1], argv[2], argv + 3, me);
    if (pid < 0)
        die("clone3");
    if (waitpid(pid, &status, 0) != pid)
        die("wait");
    for (size_t i = 0; i < LENGTH(groups); i++) {
        group_path(path, sizeof path, groups[i], me, "");
        if (group_there(groups[i]))
            (void)rmdir(path);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
