// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * probe: the program of a container that tells all it sees, a line "key<tab>value" each, for differ.py to compare.
 *
 *   probe [WORD...]    exit:N      ends with the status N          path:P    what P is, and whether it can be read and
 * written read:P      the text of the file P          sys:NR:A,B,...  errno of the system call group:FILE  of each of
 * its own groups, below /cg (the host's /sys/fs/cgroup) sleep       until a signal                   ls:DIR    its
 * entries
 *
 * Static, and without a library but libc: the same file runs under every runtime.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

static void say(const char *key, const char *value)
{
    printf("%s\t", key);
    for (; *value; value++) {
        unsigned char c = (unsigned char)*value;
        if (isprint(c) && c != '\\')
            putchar(c);
        else
            printf("\\x%02x", c);
    }
    putchar('\n');
}

#define SAY(key, ...)                                                                                                  \
    do {                                                                                                               \
        char text_[8192];                                                                                              \
        snprintf(text_, sizeof text_, __VA_ARGS__);                                                                    \
        say(key, text_);                                                                                               \
    } while (0)

static int slurp(const char *path, char *to, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n, all = 0;
    if (fd < 0)
        return -errno;
    while ((n = read(fd, to + all, size - 1 - (size_t)all)) > 0)
        all += n;
    int e = errno;
    close(fd);
    to[all] = 0;
    return n < 0 ? -e : (int)all;
}

static void tell_file(const char *key, const char *path)
{
    static char text[65536];
    int n = slurp(path, text, sizeof text);
    if (n < 0)
        SAY(key, "(%s)", strerror(-n));
    else
        say(key, text);
}

static void tell_process(void)
{
    char name[64], *line, *rest;
    static char text[65536];
    SAY("ids", "uid %d %d gid %d %d", getuid(), geteuid(), getgid(), getegid());
    gid_t groups[256];
    int n = getgroups(256, groups);
    text[0] = 0;
    for (int i = 0; i < n; i++)
        sprintf(text + strlen(text), " %u", groups[i]);
    say("groups", text);
    mode_t mask = umask(0);
    SAY("umask", "%04o", mask);
    umask(mask);
    SAY("cwd", "%s", getcwd(text, sizeof text) ? text : strerror(errno));
    SAY("process", "pid %d ppid %d leads-session %d leads-group %d", getpid(), getppid(), getsid(0) == getpid(),
        getpgrp() == getpid());
    SAY("nice", "%d", getpriority(PRIO_PROCESS, 0));
    struct sched_param p = { 0 };
    sched_getparam(0, &p);
    SAY("scheduler", "%d prio %d", sched_getscheduler(0), p.sched_priority);
    SAY("ioprio", "%ld", syscall(SYS_ioprio_get, 1, 0));
    SAY("personality", "%lx", syscall(SYS_personality, 0xffffffffUL));
    SAY("no-new-privs", "%d", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    SAY("dumpable", "%d", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
    int deathsig = 0, reaper = 0;
    prctl(PR_GET_PDEATHSIG, &deathsig);
    prctl(PR_GET_CHILD_SUBREAPER, &reaper);
    SAY("prctl", "deathsig %d subreaper %d securebits %d timerslack %d", deathsig, reaper, prctl(PR_GET_SECUREBITS),
        prctl(PR_GET_TIMERSLACK));
    for (int i = 0; i < RLIM_NLIMITS; i++) {
        struct rlimit l = { 0 };
        snprintf(name, sizeof name, "rlimit-%d", i);
        getrlimit((__rlimit_resource_t)i, &l);
        SAY(name, "%lld %lld", (long long)l.rlim_cur, (long long)l.rlim_max);
    }
    long ring = syscall(SYS_keyctl, 0L, -3, 0);                     /* KEYCTL_GET_KEYRING_ID of the session's */
    if (ring < 0 || syscall(SYS_keyctl, 6L, ring, text, 4096L) < 0) /* KEYCTL_DESCRIBE */
        SAY("keyring", "(%s)", strerror(errno));
    else
        say("keyring", text);
    int policy = -1;
    unsigned long nodes[16] = { 0 };
    if (syscall(SYS_get_mempolicy, &policy, nodes, 1024L, NULL, 0L) == 0)
        SAY("mempolicy", "%d %lx", policy, nodes[0]);
    if (slurp("/proc/self/status", text, sizeof text) < 0)
        return;
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *colon = strchr(line, ':');
        static const char *const keys[] = { "Cap",
                                            "Seccomp",
                                            "NoNew",
                                            "SigBlk",
                                            "SigIgn",
                                            "SigPnd",
                                            "ShdPnd",
                                            "Threads",
                                            "Cpus_allowed_list",
                                            "Mems_allowed_list",
                                            "Specul",
                                            "THP",
                                            "CoreDumping",
                                            "Tracer",
                                            "Name" };
        if (!colon)
            continue;
        *colon = 0;
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
            if (strncmp(line, keys[i], strlen(keys[i])) == 0) {
                snprintf(name, sizeof name, "status-%s", line);
                say(name, colon + 1 + strspn(colon + 1, " \t"));
            }
    }
}

static void tell_world(int argc, char **argv, char **envp)
{
    char key[256], text[8192];
    struct utsname u;
    uname(&u);
    SAY("hostname", "%s", u.nodename);
    SAY("domainname", "%s", u.domainname);
    SAY("machine", "%s", u.machine);
    text[0] = 0;
    for (int i = 0; i < argc && strlen(text) < 4000; i++)
        snprintf(text + strlen(text), 4000, "%.200s|", argv[i]);
    say("args", text);
    for (int i = 0; envp[i]; i++) {
        snprintf(key, sizeof key, "env-%d", i);
        say(key, envp[i]);
    }
    static const char *const kinds[] = { "pid", "net", "ipc", "uts", "mnt", "user", "cgroup", "time" };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i]);
        snprintf(key, sizeof key, "ns-%s", kinds[i]);
        ssize_t n = readlink(path, text, sizeof text - 1);
        text[n > 0 ? n : 0] = 0;
        say(key, n > 0 ? text : "-");
    }
    for (int fd = 0; fd < 256; fd++) {
        struct stat st;
        if (fstat(fd, &st) < 0)
            continue;
        snprintf(key, sizeof key, "fd-%d", fd);
        say(key, fd <= 2                ? "open"
                 : S_ISDIR(st.st_mode)  ? "directory"
                 : S_ISREG(st.st_mode)  ? "file"
                 : S_ISSOCK(st.st_mode) ? "socket"
                                        : "other");
    }
    tell_file("cgroup", "/proc/self/cgroup");
    tell_file("mountinfo", "/proc/self/mountinfo");
    tell_file("uid_map", "/proc/self/uid_map");
    tell_file("gid_map", "/proc/self/gid_map");
    tell_file("setgroups", "/proc/self/setgroups");
    tell_file("oom_score_adj", "/proc/self/oom_score_adj");
    tell_file("coredump_filter", "/proc/self/coredump_filter");
    tell_file("timens_offsets", "/proc/self/timens_offsets");
    tell_file("net-dev", "/proc/self/net/dev_mcast");
    tell_file("apparmor", "/proc/self/attr/current");
    int fd = open("/proc/sys/kernel/hostname", O_WRONLY | O_CLOEXEC);
    say("proc-sys-writable", fd >= 0 ? "yes" : strerror(errno));
    if (fd >= 0)
        close(fd);
}

static void tell_path(const char *path)
{
    char key[600], link[4096] = "";
    struct stat st;
    snprintf(key, sizeof key, "path-%s", path);
    if (lstat(path, &st) < 0) {
        say(key, strerror(errno));
        return;
    }
    if (S_ISLNK(st.st_mode) && readlink(path, link, sizeof link - 1) < 0)
        link[0] = 0;
    int r = -1, w = -1;
    long bytes = -1;
    if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || (S_ISCHR(st.st_mode) && major(st.st_rdev) == 1)) {
        static char text[65536];
        r = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (r >= 0 && S_ISREG(st.st_mode))
            bytes = read(r, text, sizeof text);
        w = S_ISDIR(st.st_mode) ? (access(path, W_OK) == 0 ? 0 : -1) : open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    }
    SAY(key, "%o %d:%d %x:%x%s%s read %d %ld write %d", st.st_mode, st.st_uid, st.st_gid,
        S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode) ? major(st.st_rdev) : 0,
        S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode) ? minor(st.st_rdev) : 0, *link ? " -> " : "", link, r >= 0,
        bytes > 0 ? 1L : bytes, w >= 0);
    if (r >= 0)
        close(r);
    if (w > 0)
        close(w);
}

static void list(const char *dir)
{
    char key[300], path[600];
    struct dirent *e;
    DIR *d = opendir(dir);
    if (!d) {
        snprintf(key, sizeof key, "ls-%s", dir);
        say(key, strerror(errno));
        return;
    }
    while ((e = readdir(d)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            snprintf(path, sizeof path, "%s/%s", strcmp(dir, "/") == 0 ? "" : dir, e->d_name);
            tell_path(path);
        }
    closedir(d);
    tell_path(dir);
}

static void tell_groups(const char *file)
{
    static char text[65536];
    char *line, *rest, path[9000], key[600];
    if (slurp("/proc/self/cgroup", text, sizeof text) < 0)
        return;
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = 0;
        names++;
        if (strncmp(names, "name=", 5) == 0)
            names += 5;
        snprintf(path, sizeof path, "/cg/%s%s/%s", *names ? names : "unified", group, file);
        if (access(path, F_OK) < 0)
            continue;
        snprintf(key, sizeof key, "group-%s", file);
        tell_file(key, path);
    }
}

static void call(const char *text)
{
    char key[300];
    long a[7] = { 0 };
    const char *at = text;
    char *end;
    for (int i = 0; i < 7; i++) {
        a[i] = (long)strtoull(at, &end, 0);
        if (!*end)
            break;
        at = end + 1;
    }
    snprintf(key, sizeof key, "sys-%s", text);
    errno = 0;
    long r = syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
    SAY(key, "%s errno %d", r < 0 ? "fails" : "works", errno);
}

/* As a hook: how it was called, appended to a file, and nothing else. */
static int tell_hook(const char *file, int argc, char **argv, char **envp)
{
    static char text[16384];
    FILE *f = fopen(file, "a");
    if (!f)
        return 1;
    for (int i = 0; i < argc; i++)
        fprintf(f, "%s|", argv[i]);
    for (int i = 0; envp[i]; i++)
        fprintf(f, " env %s", envp[i]);
    fprintf(f, " cwd %s root %s session %d in ", getcwd(text, sizeof text) ? text : "-",
            access("/differ-root", F_OK) == 0 ? "own" : "host", getsid(0) == getpid());
    size_t n = fread(text, 1, sizeof text - 1, stdin);
    text[n] = 0;
    fprintf(f, "%s\n", text);
    return fclose(f);
}

int main(int argc, char **argv, char **envp)
{
    static char out[1 << 16];
    int status = 0;
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "hook:", 5) == 0) {
            status = tell_hook(argv[i] + 5, argc, argv, envp);
            for (i++; i < argc; i++)
                if (strncmp(argv[i], "exit:", 5) == 0)
                    return atoi(argv[i] + 5);
                else if (strcmp(argv[i], "sleep") == 0)
                    sleep(8);
            return status;
        }
    setvbuf(stdout, out, _IOFBF, sizeof out);
    tell_process();
    tell_world(argc, argv, envp);
    list("/dev");
    for (int i = 1; i < argc; i++) {
        char *colon = strchr(argv[i], ':'), key[600];
        const char *value = colon ? colon + 1 : "";
        if (strncmp(argv[i], "exit:", 5) == 0)
            status = atoi(value);
        else if (strncmp(argv[i], "path:", 5) == 0)
            tell_path(value);
        else if (strncmp(argv[i], "read:", 5) == 0) {
            snprintf(key, sizeof key, "read-%s", value);
            tell_file(key, value);
        } else if (strncmp(argv[i], "ls:", 3) == 0)
            list(value);
        else if (strncmp(argv[i], "group:", 6) == 0)
            tell_groups(value);
        else if (strncmp(argv[i], "sys:", 4) == 0)
            call(value);
        else if (strcmp(argv[i], "sleep") == 0) {
            fflush(stdout);
            pause();
        }
    }
    say("end", "");
    fflush(stdout);
    return status;
}
