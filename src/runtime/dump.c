// SPDX-License-Identifier: GPL-2.0-or-later
#include "runtime/dump.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/parse.h"
#include "os/fs.h"
#include "runtime/criu.h"

static const struct {
    const char *word;
    unsigned number;
} cgroup_modes[] = { { "ignore", 0 }, { "soft", 3 }, { "full", 4 }, { "strict", 5 } },
  network_locks[] = { { "iptables", 1 }, { "nftables", 2 }, { "skip", 3 } };

static fallible add_page_server(const char *text, struct str *o)
{
    own_str struct str inner = { 0 };
    const char *colon = strrchr(text, ':');
    uint64_t port = 0;
    if (!colon || colon == text)
        return err_new(ERR_INVALID, "--page-server: '%s' is not ADDRESS:PORT", text);
    TRY_AS(parse_u64(colon + 1, 65535, &port), "--page-server");
    own_mem char *address = mem_strndup(text, (size_t)(colon - text));
    criu_text(&inner, 1, address);
    criu_number(&inner, 2, port);
    criu_message(o, CRIU_PAGE_SERVER, &inner);
    return NULL;
}

/* What both directions have in common. */
fallible dump_add_options(const struct runtime_criu *how, const char *log, struct str *o)
{
    const char *mode = how->cgroups_mode && *how->cgroups_mode ? how->cgroups_mode : "soft";
    const char *lock = how->network_lock ? how->network_lock : "";
    const struct {
        enum criu_field field;
        bool set;
    } flags[] = {
        { CRIU_LEAVE_RUNNING, how->leave_running },
        { CRIU_EXT_UNIX_SK, how->ext_unix_sk },
        { CRIU_TCP_ESTABLISHED, how->tcp_established },
        { CRIU_TCP_CLOSE, how->tcp_close },
        { CRIU_SHELL_JOB, how->shell_job },
        { CRIU_FILE_LOCKS, how->file_locks },
        { CRIU_LINK_REMAP, how->link_remap },
        { CRIU_AUTO_DEDUP, how->auto_dedup },
        { CRIU_LAZY_PAGES, how->lazy_pages },
        { CRIU_TRACK_MEM, how->pre_dump || how->parent }, /* a parent is compared by the pages' soft-dirty bits */
        { CRIU_NOTIFY_SCRIPTS, true },
        { CRIU_ORPHAN_PTS_MASTER, true },
        { CRIU_AUTO_EXT_MNT, true },
        { CRIU_EXT_SHARING, true },
        { CRIU_EXT_MASTERS, true },
        { CRIU_MANAGE_CGROUPS, true },
    };
    bool known_mode = false, known_lock = !*lock; /* "": CRIU's own */
    criu_number(o, CRIU_IMAGES_DIR_FD, (uint64_t)how->images_fd);
    criu_number(o, CRIU_WORK_DIR_FD, (uint64_t)how->work_fd);
    criu_number(o, CRIU_LOG_LEVEL, 4);
    criu_text(o, CRIU_LOG_FILE, log);
    criu_text(o, CRIU_PARENT_IMG, how->parent);
    criu_text(o, CRIU_LSM_PROFILE, how->lsm_profile);
    criu_text(o, CRIU_LSM_MOUNT_CONTEXT, how->lsm_mount_context);
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
        if (flags[i].set)
            criu_number(o, flags[i].field, 1);
    for (size_t i = 0; i < ARRAY_SIZE(cgroup_modes); i++)
        if (str_eq(mode, cgroup_modes[i].word) && (known_mode = true))
            criu_number(o, CRIU_MANAGE_CGROUPS_MODE, cgroup_modes[i].number);
    for (size_t i = 0; i < ARRAY_SIZE(network_locks); i++)
        if (str_eq(lock, network_locks[i].word) && (known_lock = true))
            criu_number(o, CRIU_NETWORK_LOCK, network_locks[i].number);
    if (!known_mode)
        return err_new(ERR_INVALID, "--manage-cgroups-mode: '%s': soft, full, strict or ignore", mode);
    if (!known_lock)
        return err_new(ERR_INVALID, "--network-lock: '%s': nftables, iptables or skip", lock);
    if (how->empty_net)
        criu_number(o, CRIU_EMPTY_NS, CLONE_NEWNET);
    if (how->status_fd >= 0)
        criu_number(o, CRIU_STATUS_FD, (uint64_t)how->status_fd);
    return how->page_server ? add_page_server(how->page_server, o) : NULL;
}

/* What standard input, output and error were, beside the images: pipes among them lead outside. runc's file, and form.
 */
#define DESCRIPTORS "descriptors.json"

/* CRIU's name for an open file that is not the container's: "file[MOUNT:INODE]", in hexadecimal; NULL for another. */
static char *outside_file(pid_t pid, int fd)
{
    struct stat st;
    own_mem char *file = mem_printf("/proc/%d/fd/%d", (int)pid, fd),
                 *info = mem_printf("/proc/%d/fdinfo/%d", (int)pid, fd);
    own_mem char *text = NULL;
    if (stat(file, &st) < 0 || !S_ISFIFO(st.st_mode))
        return NULL;
    err_ignore(fs_read_at(AT_FDCWD, info, 4096, &text, NULL), "then CRIU says what is in the way");
    const char *mount = text ? strstr(text, "mnt_id:") : NULL;
    if (!mount)
        return NULL;
    return mem_printf("file[%lx:%lx]", strtoul(mount + strlen("mnt_id:"), NULL, 10), (unsigned long)st.st_ino);
}

/* What a program may, as the kernel says it: an older CRIU leaves some of it out and says nothing. */
static fallible read_rights(pid_t pid, struct str *ret)
{
    static const char *const names[] = { "Cap", "NoNewPrivs:", "Seccomp", "Uid:", "Gid:", "Groups:" };
    own_mem char *path = mem_printf("/proc/%d/status", (int)pid), *text = NULL;
    TRY(fs_read_at(AT_FDCWD, path, 65536, &text, NULL));
    for (const char *line = text; *line; line += strcspn(line, "\n") + (strchr(line, '\n') != NULL))
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
            if (str_starts(line, names[i]))
                str_printf(ret, "%.*s\n", (int)strcspn(line, "\n"), line);
    return NULL;
}
#define RIGHTS "rights" /* beside the images */

fallible dump_keep_rights(pid_t pid, int images_fd)
{
    own_str struct str rights = { 0 };
    TRY(read_rights(pid, &rights));
    return fs_replace_at(images_fd, RIGHTS, rights.text, rights.len, 0600, FS_SYNC_NONE);
}

/* The first line that differs is what CRIU did not restore. */
fallible dump_check_rights(pid_t pid, int images_fd)
{
    own_str struct str now = { 0 };
    own_mem char *was = NULL;
    TRY_AS(fs_read_at(images_fd, RIGHTS, 65536, &was, NULL), "what the program might do");
    TRY(read_rights(pid, &now));
    size_t at = 0, line = 0;
    for (; was[at] && was[at] == now.text[at]; at++)
        line = was[at] == '\n' ? at + 1 : line;
    if (str_eq(was, now.text))
        return NULL;
    return err_new(ERR_UNSUPPORTED,
                   "restore: CRIU gave the program '%.*s' where it had '%.*s': this needs a newer CRIU",
                   (int)strcspn(now.text + line, "\n"), now.text + line, (int)strcspn(was + line, "\n"), was + line);
}

fallible dump_keep_descriptors(const struct runtime_state *s, bool anew, int images_fd, struct str *o)
{
    own_json json_t *list = json_array();
    for (int i = 0; i < 3; i++) {
        char path[48], to[256] = "";
        (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)s->init.pid, i);
        if (readlink(path, to, sizeof to - 1) < 0)
            to[0] = '\0';
        own_mem char *file = anew && to[0] == '/' ? outside_file(s->init.pid, i) : NULL;
        criu_text(o, CRIU_EXTERNAL, file);
        json_array_append_new(list, json_string(file ? file : to));
    }
    own_mem char *text = json_text(list, BIND_COMPACT);
    return fs_replace_at(images_fd, DESCRIPTORS, text, strlen(text), 0600, FS_SYNC_NONE);
}

/* Ours take the place of those pipes. */
void dump_add_descriptors(int images_fd, const int fds[static 3], struct str *o)
{
    own_mem char *text = NULL;
    own_json json_t *list = NULL;
    size_t n = 0;
    err *e = fs_read_at(images_fd, DESCRIPTORS, 65536, &text, &n);
    if (!e)
        e = json_parse(DESCRIPTORS, text, n, &list);
    err_ignore(e, "images of another runtime may have none");
    for (size_t i = 0; i < 3 && list; i++) {
        const char *was = json_string_value(json_array_get(list, i));
        own_str struct str inner = { 0 };
        if (!was || !(str_starts(was, "pipe:") || str_starts(was, "file[")))
            continue;
        criu_text(&inner, 1, was);
        criu_number(&inner, 2, fds[i] >= 0 ? (unsigned)fds[i] : i);
        criu_message(o, CRIU_INHERIT_FD, &inner);
    }
}

/* Namespaces of others, named by path in config.json: they are not written down, and must be there again for a restore.
 * The keys are runc's. CRIU has the like for no other type. */
const struct dump_outside dump_outside[DUMP_OUTSIDE_N] = { { CLONE_NEWNET, "network", "net", "extRootNetNS" },
                                                           { CLONE_NEWPID, "pid", "pid", "extRootPidNS" } };
