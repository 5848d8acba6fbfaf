// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a program says when the kernel refuses it something. A refusal leaves no trace of its own, so this is all there
 * is; it is said as what it is, likely and not known.
 */
#include <string.h>

#include "engine/why_parts.h"
#include "process/landlock.h"

static bool always(const struct container_config *c)
{
    return true;
}
static bool is_read_only(const struct container_config *c)
{
    return c->read_only;
}
static bool is_offline(const struct container_config *c)
{
    return str_eq(c->network, "none");
}
static bool is_confined(const struct container_config *c)
{
    return !c->privileged;
}
static bool has_landlock(const struct container_config *c)
{
    own_strv struct strv words = { 0 };
    const char *text = strmap_get(&c->annotations, LANDLOCK_ANNOTATION);
    if (text)
        strv_split(&words, text, ',');
    return text && strchr(text, '/') && !strv_has(&words, "rw:/"); /* of paths, and not of all */
}
static bool has_landlock_ports(const struct container_config *c)
{
    const char *words = strmap_get(&c->annotations, LANDLOCK_ANNOTATION);
    return words && (strstr(words, "bind:") || strstr(words, "connect:"));
}
static bool has_egress(const struct container_config *c)
{
    return c->egress.n > 0;
}
static bool has_user(const struct container_config *c)
{
    return c->user != NULL;
}

static const struct {
    const char *words;
    bool (*when)(const struct container_config *c);
    const char *likely, *cure;
} signs[] = {
    { "Read-only file system", is_read_only, "it writes to its root, which is read-only (--read-only)",
      "husk run --read-only --tmpfs DIR ...    where it has to write, or without --read-only" },
    { "Read-only file system", always, "it writes to a mount that is read-only (a :ro volume, /proc or /sys)",
      "husk run -v SOURCE:TARGET ...    without :ro" },
    { "Operation not permitted", is_confined,
      "a system call was refused: by a missing capability, by the seccomp filter or for the user namespace. Which of "
      "them "
      "cannot be told afterwards",
      "husk run --cap-add CAPABILITY ...    gives the one that the call needs (mount: SYS_ADMIN; clock: SYS_TIME; raw "
      "sockets: NET_RAW; interfaces: NET_ADMIN; chown: CHOWN); --security-opt seccomp=unconfined takes the filter "
      "away; "
      "--privileged shows whether it is one of them at all" },
    { "ermission denied", has_landlock,
      "its Landlock rules (--security-opt landlock=) allow no more than their paths, to root too",
      "husk run --security-opt landlock=RULES,rw:DIR ...    ro:DIR to read, exec:DIR to run what is in it" },
    { "ermission denied", has_landlock_ports, "its Landlock rules (--security-opt landlock=) allow other ports",
      "husk run --security-opt landlock=RULES,connect:PORT ...    bind:PORT for a port of its own" },
    { "ermission denied", has_user, "files are not its user's (--user, or the image's USER)",
      "husk run --user root ...    shows whether that is all; or give the files to that user" },
    { "ermission denied", always, "a file's mode, a capability or the host's file system forbids it",
      "look at owner and mode of the file; of a bind mount also at the host's, and as an ordinary user at how ids are "
      "mapped" },
    { "No space left on device", always, "a disk, a tmpfs or /dev/shm is full, or a quota or inotify limit reached",
      "husk system df; --shm-size 256m for /dev/shm; --tmpfs DIR:size=1g for a tmpfs" },
    { "Too many open files", always, "its limit of open files is reached", "husk run --ulimit nofile=65536 ..." },
    { "Cannot allocate memory", always, "it was refused memory, or a process (--pids-limit, a ulimit)",
      "husk update --memory ... --pids-limit ..." },
    { "Resource temporarily unavailable", always, "it was refused a process or thread",
      "husk update --pids-limit 4096 ..." },
    { "Address already in use", always,
      "another process has the port: in its network, or, with --network host, on this host",
      "husk run --network none|BRIDGE ...    gives it a network of its own; or another port" },
    { "exec format error", always, "a program in the image is for another machine, or a script without #!",
      "husk run --platform linux/ARCH ..." },
    { "Exec format error", always, "a program in the image is for another machine, or a script without #!",
      "husk run --platform linux/ARCH ..." },
    { "Connection refused", has_egress, "it connects to where --egress does not let it go, or nobody listens there",
      "husk run --egress allow=HOST:PORT ...    several times, or with commas; husk inspect --format "
      "'{{.HostConfig.Egress}}' NAME    shows what it may" },
    { "bad address", has_egress, "it looks up a name that --egress does not allow, or that is not there",
      "husk run --egress allow=NAME ...    several times, or with commas" },
    { "name resolution", has_egress, "it looks up a name that --egress does not allow, or that is not there",
      "husk run --egress allow=NAME ...    several times, or with commas" },
    { "bad address", is_offline, "it looks up a name, and has no network (--network none)",
      "husk run ...    without --network none, or with --network NAME" },
    { "name resolution", is_offline, "it looks up a name, and has no network (--network none)",
      "husk run ...    without --network none, or with --network NAME" },
    { "Network is unreachable", is_offline, "it connects to others, and has no network (--network none)",
      "husk run ...    without --network none, or with --network NAME" },
    { "error while loading shared libraries", always, "a library that its program needs is not in the image",
      "husk image files IMAGE    shows what is" },
    { "No such file or directory", always,
      "a file that it needs is not there: a mount that is missing, or a script whose "
      "interpreter (#!) is not in the image",
      "husk diff and husk export look into it; -v SOURCE:TARGET brings a file in" },
};

/* Programs whose name, at the head of a complaint, tells what they wanted. */
static const struct {
    const char *program, *capability;
} wants[] = {
    { "mount", "SYS_ADMIN" },     { "umount", "SYS_ADMIN" },  { "date", "SYS_TIME" },      { "hwclock", "SYS_TIME" },
    { "ping", "NET_RAW" },        { "ip", "NET_ADMIN" },      { "iptables", "NET_ADMIN" }, { "nft", "NET_ADMIN" },
    { "RTNETLINK", "NET_ADMIN" }, { "chown", "CHOWN" },       { "mknod", "MKNOD" },        { "chroot", "SYS_CHROOT" },
    { "renice", "SYS_NICE" },     { "nice", "SYS_NICE" },     { "insmod", "SYS_MODULE" },  { "modprobe", "SYS_MODULE" },
    { "strace", "SYS_PTRACE" },   { "reboot", "SYS_BOOT" },   { "swapon", "SYS_ADMIN" },   { "hostname", "SYS_ADMIN" },
    { "sysctl", "SYS_ADMIN" },    { "unshare", "SYS_ADMIN" }, { "su", "SETUID" },          { "setpriv", "SETPCAP" },
};

static bool has_capability(const struct evidence *e, const char *capability)
{
    own_mem char *name = mem_printf("CAP_%s", capability);
    const struct oci_process *p = e->spec ? e->spec->process : NULL;
    return !p || !p->capabilities || strv_has(&p->capabilities->effective, name);
}

/* "mount: ...", "sh: mount: ...": the sure half of "not permitted" is a capability that the container lacks. */
static bool lacks_capability(const struct evidence *e, const char *line, struct why *w)
{
    for (size_t i = 0; i < ARRAY_SIZE(wants); i++) {
        const char *at = strstr(line, wants[i].program);
        size_t n = strlen(wants[i].program);
        if (!at || (at > line && at[-1] != ' ' && at[-1] != '/') || (at[n] != ':' && at[n] != ' ') ||
            has_capability(e, wants[i].capability))
            continue;
        strv_add_printf(&w->likely, "\"%.200s\": %s needs CAP_%s, which the container does not have", line,
                        wants[i].program, wants[i].capability);
        strv_add_printf(&w->cures, "husk run --cap-add %s ...", wants[i].capability);
        return true;
    }
    return false;
}

static bool is_refusal(const char *line)
{
    return strstr(line, "Operation not permitted") || strstr(line, "ermission denied");
}

void why_lines(const struct evidence *e, struct why *w)
{
    for (size_t i = e->lines.n; i > 0; i--) {
        if (is_refusal(e->lines.items[i - 1]) && lacks_capability(e, e->lines.items[i - 1], w))
            return;
        for (size_t s = 0; s < ARRAY_SIZE(signs); s++) {
            if (!strstr(e->lines.items[i - 1], signs[s].words) || !signs[s].when(e->config))
                continue;
            strv_add_printf(&w->likely, "\"%.200s\": %s", e->lines.items[i - 1], signs[s].likely);
            strv_add(&w->cures, signs[s].cure);
            return;
        }
    }
}
