/*
 * hello: the program of the embedded image localhost/hello. It prints what stands between it and the host, as seen from
 * inside and read from the kernel, so a first `husk run` shows what a container is.
 *
 * It has no libc: the whole image is this one file, so it is kept to a few tens of KiB.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

static long call(long number, long a, long b, long c, long d)
{
    long result;
#if defined(__x86_64__)
    register long r10 __asm__("r10") = d;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c,
                     x3 __asm__("x3") = d;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    result = x0;
#else
#error "hello knows the system calls of x86_64 and aarch64"
#endif
    return result;
}

/* gcc makes calls of these even without a libc */
void *memset(void *to, int c, size_t n);
void *memset(void *to, int c, size_t n)
{
    volatile unsigned char *p = to;
    while (n--)
        *p++ = (unsigned char)c;
    return to;
}
void *memcpy(void *to, const void *from, size_t n);
void *memcpy(void *to, const void *from, size_t n)
{
    volatile unsigned char *p = to;
    const unsigned char *q = from;
    while (n--)
        *p++ = *q++;
    return to;
}

static char out[16384];
static size_t out_len;

static size_t length(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

static void put_n(const char *s, size_t n)
{
    for (size_t i = 0; i < n && out_len < sizeof out; i++)
        out[out_len++] = s[i];
}

static void put(const char *s)
{
    put_n(s, length(s));
}

static void put_number(uint64_t v)
{
    char digits[24];
    size_t n = sizeof digits;
    do
        digits[--n] = (char)('0' + v % 10);
    while (v /= 10);
    put_n(digits + n, sizeof digits - n);
}

static void label(const char *name)
{
    put("  ");
    put(name);
    for (size_t n = length(name); n < 14; n++)
        put(" ");
}

static char text[65536];

/* A whole file, cut at the buffer; "" when it cannot be read. */
static const char *slurp(const char *path)
{
    size_t n = 0;
    long fd = call(SYS_openat, AT_FDCWD, (long)path, O_RDONLY, 0);
    text[0] = '\0';
    if (fd < 0)
        return text;
    for (long got;
         n < sizeof text - 1 && (got = call(SYS_read, fd, (long)(text + n), (long)(sizeof text - 1 - n), 0)) > 0;)
        n += (size_t)got;
    (void)call(SYS_close, fd, 0, 0, 0);
    text[n] = '\0';
    return text;
}

static int same(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i])
            return 0;
    return 1;
}

/* The rest of the line that starts with key, without leading blanks; NULL when there is none. */
static const char *line_of(const char *in, const char *key, size_t *ret_len)
{
    size_t key_len = length(key);
    for (const char *p = in; *p;) {
        size_t n = 0;
        while (p[n] && p[n] != '\n')
            n++;
        if (n >= key_len && same(p, key, key_len)) {
            p += key_len;
            n -= key_len;
            while (n && (*p == ' ' || *p == '\t'))
                p++, n--;
            *ret_len = n;
            return p;
        }
        p += n + (p[n] == '\n');
    }
    return NULL;
}

static void put_status(const char *status, const char *key)
{
    size_t n = 0;
    const char *p = line_of(status, key, &n);
    if (p)
        put_n(p, n);
    else
        put("?");
}

static uint64_t hex_of(const char *status, const char *key)
{
    size_t n = 0;
    uint64_t v = 0;
    const char *p = line_of(status, key, &n);
    for (size_t i = 0; p && i < n; i++)
        v = v << 4 | (uint64_t)(p[i] <= '9' ? p[i] - '0' : p[i] - 'a' + 10);
    return v;
}

/* The words of a line, one blank between them. */
static void put_words(const char *p)
{
    int blank = 0;
    while (*p == ' ' || *p == '\t')
        p++;
    for (; *p && *p != '\n'; p++) {
        if (*p == ' ' || *p == '\t') {
            blank = 1;
            continue;
        }
        if (blank)
            put(" ");
        blank = 0;
        put_n(p, 1);
    }
}

/* Every line of the map, on one. */
static void report_uid_map(void)
{
    const char *p = slurp("/proc/self/uid_map");
    put(", uid map (inside, outside, count)");
    for (int first = 1; *p; first = 0) {
        put(first ? " " : "; ");
        put_words(p);
        while (*p && *p != '\n')
            p++;
        if (*p)
            p++;
    }
    put("\n");
}

static void report_namespaces(void)
{
    static const char *const types[] = { "user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time" };
    label("namespaces");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        char path[32] = "/proc/self/ns/", link[64];
        memcpy(path + 14, types[i], length(types[i]) + 1);
        long n = call(SYS_readlinkat, AT_FDCWD, (long)path, (long)link, sizeof link);
        if (n <= 0)
            continue;
        if (i == 4) {
            put("\n");
            label("");
        } else if (i) {
            put("  ");
        }
        put_n(link, (size_t)n);
    }
    put("\n");
}

static void report_mounts(void)
{
    size_t count = 0, read_only = 0, root_len = 0;
    const char *p = slurp("/proc/self/mounts"), *root = NULL;
    for (; *p; count++) {
        const char *f[4] = { p };
        size_t field = 0;
        for (; *p && *p != '\n'; p++)
            if (*p == ' ' && field < 3)
                f[++field] = p + 1;
        if (field == 3 && same(f[1], "/ ", 2)) {
            root = f[2];
            root_len = (size_t)(f[3] - f[2]) - 1;
        }
        if (field == 3 && same(f[3], "ro", 2))
            read_only++;
        if (*p)
            p++;
    }
    label("root");
    if (root)
        put_n(root, root_len);
    put("; ");
    put_number(count);
    put(" mounts, ");
    put_number(read_only);
    put(" of them read-only\n");
}

// clang-format off
static const char *const capabilities[] = {
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
    "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
    "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
    "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
    "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
    "checkpoint_restore",
};
// clang-format on

static void report_capabilities(const char *status)
{
    uint64_t have = hex_of(status, "CapEff:");
    size_t all = sizeof capabilities / sizeof capabilities[0], n = 0, column = 0;
    for (size_t i = 0; i < all; i++)
        n += have >> i & 1;
    label("capabilities");
    put_number(n);
    put(" of ");
    put_number(all);
    for (size_t i = 0; i < all; i++) {
        if (!(have >> i & 1))
            continue;
        if (column % 7 == 0) {
            put("\n");
            label("");
        } else {
            put(" ");
        }
        put(capabilities[i]);
        column++;
    }
    put("\n");
}

static void report_seccomp(const char *status)
{
    size_t n = 0;
    const char *mode = line_of(status, "Seccomp:", &n);
    label("seccomp");
    put(!mode || *mode == '0' ? "off" : *mode == '1' ? "strict" : "filter");
    put(" (mode ");
    put_status(status, "Seccomp:");
    put("), no_new_privs ");
    put_status(status, "NoNewPrivs:");
    put("\n");
}

static void report_cgroup(void)
{
    static char groups[8192];
    size_t n = 0;
    const char *p = slurp("/proc/self/cgroup");
    while (p[n] && n < sizeof groups - 1) {
        groups[n] = p[n];
        n++;
    }
    groups[n] = '\0';
    label("cgroup");
    /* every line is "id:controllers:path"; equal paths are said once */
    const char *said = NULL;
    size_t said_len = 0, count = 0;
    for (p = groups; *p;) {
        const char *path = p;
        size_t colons = 0;
        while (*p && *p != '\n') {
            if (*p == ':' && colons < 2 && ++colons == 2)
                path = p + 1;
            p++;
        }
        size_t len = (size_t)(p - path);
        if (!(said && said_len == len && same(said, path, len))) {
            put(count ? " " : "");
            put_n(path, len);
            said = path;
            said_len = len;
        }
        count++;
        if (*p)
            p++;
    }
    put(" in ");
    put_number(count);
    put(count == 1 ? " hierarchy\n" : " hierarchies\n");
}

static void report_limits(void)
{
    static const struct {
        const char *label, *v2, *v1, *unit;
    } rows[] = {
        { "memory limit", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes", " bytes" },
        { "process limit", "/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max", "" },
        { "cpu limit", "/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *p = slurp(rows[i].v2);
        if (!*p)
            p = slurp(rows[i].v1);
        label(rows[i].label);
        if (!*p)
            put("none to be seen");
        else if (same(p, "max", 3) || same(p, "-1", 2) || same(p, "9223372036854771712", 19))
            put("none");
        else {
            put_words(p);
            put(rows[i].unit);
        }
        put("\n");
    }
    size_t n = 0;
    const char *p = line_of(slurp("/proc/self/limits"), "Max open files", &n);
    label("open files");
    if (p)
        put_words(p);
    put("\n");
}

__attribute__((noreturn, used)) static void hello(void)
{
    static char status[8192];
    size_t n = 0;
    const char *p = slurp("/proc/self/status");
    while (p[n] && n < sizeof status - 1) {
        status[n] = p[n];
        n++;
    }
    put("Hello from a container made by husk.\n\n");
    label("pid");
    put_status(status, "Pid:");
    put(", parent ");
    put_status(status, "PPid:");
    put("\n");
    label("hostname");
    put_words(slurp("/proc/sys/kernel/hostname"));
    put("\n");
    label("uid");
    put_number((uint64_t)call(SYS_geteuid, 0, 0, 0, 0));
    report_uid_map();
    report_namespaces();
    report_mounts();
    report_capabilities(status);
    report_seccomp(status);
    report_cgroup();
    report_limits();
    put("\nContainers are not magic: 'husk explain' shows each step of a start as shell commands.\n");
    for (size_t done = 0; done < out_len;) {
        long w = call(SYS_write, 1, (long)(out + done), (long)(out_len - done), 0);
        if (w <= 0)
            break;
        done += (size_t)w;
    }
    for (;;)
        (void)call(SYS_exit_group, 0, 0, 0, 0);
}

/* The stack is aligned by hand: the kernel enters here, not a caller. */
#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n xor %ebp, %ebp\n and $-16, %rsp\n call hello\n");
#else
__asm__(".globl _start\n_start:\n mov x29, #0\n bl hello\n");
#endif
