// SPDX-License-Identifier: GPL-2.0-or-later
#include "os/ids.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/parse.h"
#include "os/fs.h"
#include "os/linux.h"
#include "os/proc.h"
#include "os/userns.h"

enum { IDS_FILE_MAX = 16 << 20 };

void id_map_free(struct id_map *m)
{
    free(m->ranges);
    *m = (struct id_map){ 0 };
}

void id_map_add(struct id_map *m, uint32_t inside, uint32_t outside, uint32_t count)
{
    m->ranges = mem_array(m->ranges, m->n + 1, sizeof *m->ranges);
    m->ranges[m->n++] = (struct id_range){ inside, outside, count };
}

bool id_map_outside(const struct id_map *m, uint32_t inside, uint32_t *ret_outside)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct id_range *r = &m->ranges[i];
        if (inside >= r->inside && inside - r->inside < r->count) {
            *ret_outside = r->outside + (inside - r->inside);
            return true;
        }
    }
    return false;
}

bool id_map_inside(const struct id_map *m, uint32_t outside, uint32_t *ret_inside)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct id_range *r = &m->ranges[i];
        if (outside >= r->outside && outside - r->outside < r->count) {
            *ret_inside = r->inside + (outside - r->outside);
            return true;
        }
    }
    return false;
}

/* Piece by piece, since a range may lie in several of our map's. */
fallible id_map_translate(const struct id_map *own, const struct id_map *map, struct id_map *ret)
{
    for (size_t i = 0; i < map->n; i++) {
        uint32_t inside = map->ranges[i].inside, outside = map->ranges[i].outside, left = map->ranges[i].count;
        while (left) {
            const struct id_range *r = NULL;
            for (size_t k = 0; k < own->n && !r; k++)
                if (outside >= own->ranges[k].outside && outside - own->ranges[k].outside < own->ranges[k].count)
                    r = &own->ranges[k];
            if (!r)
                return err_new(ERR_INVALID, "id %u is not one of the user's own", outside);
            uint32_t at = outside - r->outside, n = r->count - at < left ? r->count - at : left;
            id_map_add(ret, inside, r->inside + at, n);
            inside += n;
            outside += n;
            left -= n;
        }
    }
    return NULL;
}

bool ids_in_userns(void)
{
    own_mem char *text = NULL;
    unsigned inside = 0, outside = 0, count = 0;
    err *e = fs_read_at(AT_FDCWD, "/proc/self/uid_map", 4096, &text, NULL);
    if (e) {
        err_ignore(e, "a kernel without user namespaces");
        return false;
    }
    return sscanf(text, "%u %u %u", &inside, &outside, &count) != 3 || inside || outside || count != UINT32_MAX;
}

static bool try_in_child(int flags, bool mounts_proc)
{
    int status = 0;
    pid_t pid = (pid_t)syscall(SYS_clone, (unsigned long)flags | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0)
        _exit(mounts_proc && mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

bool ids_may_clone(int flags)
{
    return try_in_child(flags, false);
}

bool ids_may_mount_proc(void)
{
    return try_in_child(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID, true);
}

bool ids_may_administer(void)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = { { 0 } };
    return syscall(SYS_capget, &head, data) < 0 || data[0].effective & (1U << CAP_SYS_ADMIN);
}

bool ids_is_root(void)
{
    if (geteuid() != 0)
        return false;
    if (ids_may_administer())
        return true;
    return !ids_in_userns() || !ids_may_clone(CLONE_NEWUSER);
}

/* The next line of text as `n` fields split at ':'; NULL at the end. The text is cut up in place. */
static bool next_row(char **text, char *fields[], size_t n)
{
    char *line = *text;
    if (!line || !*line)
        return false;
    char *end = strchr(line, '\n');
    if (end)
        *end = '\0';
    *text = end ? end + 1 : NULL;
    memset(fields, 0, n * sizeof *fields);
    for (size_t i = 0; i < n && line; i++) {
        fields[i] = line;
        char *colon = i + 1 < n ? strchr(line, ':') : NULL;
        if (colon)
            *colon++ = '\0';
        line = colon;
    }
    return true;
}

static bool number(const char *text, uint32_t *ret)
{
    uint64_t v = 0;
    if (!text)
        return false;
    err *e = parse_u64(text, UINT32_MAX, &v);
    if (e) {
        err_free(e);
        return false;
    }
    *ret = (uint32_t)v;
    return true;
}

fallible ids_subordinate(const char *path, const char *user, uint32_t id, struct id_map *ret)
{
    own_mem char *text = NULL;
    err *e = fs_read_at(AT_FDCWD, path, IDS_FILE_MAX, &text, NULL);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    if (e)
        return e;
    char *rest = text, *f[3];
    while (next_row(&rest, f, 3)) {
        uint32_t row_id = 0, first = 0, count = 0;
        bool ours = str_eq(f[0], user) || (number(f[0], &row_id) && row_id == id);
        if (ours && number(f[1], &first) && number(f[2], &count) && count && first + count > first)
            id_map_add(ret, 0, first, count);
    }
    return NULL;
}

char *ids_user_name(uint32_t uid)
{
    own_mem char *text = NULL;
    struct passwd_entry entry = { 0 };
    err *e = fs_read_at(AT_FDCWD, "/etc/passwd", IDS_FILE_MAX, &text, NULL);
    if (!e)
        e = passwd_find(text, NULL, uid, &entry);
    if (e) {
        err_ignore(e, "a uid without a name");
        return NULL;
    }
    char *name = take(entry.name);
    passwd_entry_free(&entry);
    return name;
}

/* Inside 0 is the caller, inside 1.. the subordinate ranges one after the other. */
static void stack_ranges(struct id_map *map, uint32_t own_id, const struct id_map *sub)
{
    uint32_t inside = 1;
    id_map_add(map, 0, own_id, 1);
    for (size_t i = 0; i < sub->n && inside; i++) {
        id_map_add(map, inside, sub->ranges[i].outside, sub->ranges[i].count);
        inside += sub->ranges[i].count;
    }
}

/* Every id of our own, as it is; the caller's 0 is a range by itself, as with an ordinary user. */
static fallible own_ids(const char *path, struct id_map *ret)
{
    own(id_map) struct id_map map = { 0 };
    TRY(id_map_read_proc(path, &map));
    id_map_add(ret, 0, 0, 1);
    for (size_t i = 0; i < map.n; i++) {
        uint32_t first = map.ranges[i].inside, count = map.ranges[i].count;
        if (first == 0) {
            first++;
            count--;
        }
        if (count)
            id_map_add(ret, first, first, count);
    }
    return NULL;
}

fallible ids_rootless_maps(struct id_map *ret_uids, struct id_map *ret_gids, char **ret_note)
{
    if (geteuid() == 0) {
        *ret_note = NULL;
        TRY(own_ids("/proc/self/uid_map", ret_uids));
        return own_ids("/proc/self/gid_map", ret_gids);
    }
    uint32_t uid = geteuid(), gid = getegid();
    own_mem char *name = ids_user_name(uid);
    own(id_map) struct id_map sub_uids = { 0 };
    own(id_map) struct id_map sub_gids = { 0 };
    TRY(ids_subordinate("/etc/subuid", name, uid, &sub_uids));
    TRY(ids_subordinate("/etc/subgid", name, uid, &sub_gids));
    stack_ranges(ret_uids, uid, &sub_uids);
    stack_ranges(ret_gids, gid, &sub_gids);
    *ret_note = NULL;
    if (!sub_uids.n || !sub_gids.n)
        *ret_note = mem_printf("user '%s' has no subordinate ids, so a container has only one user: "
                               "as root run 'usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s'",
                               name ? name : "?", name ? name : "USER");
    return NULL;
}

static fallible write_map(pid_t pid, const char *file, const struct id_map *map)
{
    own_str struct str text = { 0 };
    char path[64];
    for (size_t i = 0; i < map->n; i++)
        str_printf(&text, "%u %u %u\n", map->ranges[i].inside, map->ranges[i].outside, map->ranges[i].count);
    if (text.len >= (size_t)sysconf(_SC_PAGESIZE)) /* user_namespaces(7) */
        return err_new(ERR_INVALID, "%zu ranges are more than the kernel takes: their text is longer than a page",
                       map->n);
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    return fs_write_at(AT_FDCWD, path, text.text);
}

static fallible map_by_helper(const char *helper, pid_t pid, const struct id_map *map)
{
    own_strv struct strv argv = { 0 };
    own_mem char *ignored = NULL;
    strv_add(&argv, helper);
    strv_add_printf(&argv, "%d", (int)pid);
    for (size_t i = 0; i < map->n; i++) {
        strv_add_printf(&argv, "%u", map->ranges[i].inside);
        strv_add_printf(&argv, "%u", map->ranges[i].outside);
        strv_add_printf(&argv, "%u", map->ranges[i].count);
    }
    err *e = spawn_output(argv.items, 4096, &ignored);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return err_new(ERR_DENIED, "map users of the container: '%s' is not installed: run 'apt install uidmap'",
                       helper);
    }
    return e;
}

fallible ids_write_maps(pid_t pid, const struct id_map *uids, const struct id_map *gids)
{
    bool only_own = uids->n == 1 && uids->ranges[0].count == 1 && uids->ranges[0].outside == geteuid() &&
                    gids->n == 1 && gids->ranges[0].count == 1 && gids->ranges[0].outside == getegid();
    if (geteuid() != 0 && !only_own) { /* user 0 of a namespace has the right by itself */
        TRY(map_by_helper("newuidmap", pid, uids));
        return map_by_helper("newgidmap", pid, gids);
    }
    if (only_own && geteuid() != 0) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/setgroups", (int)pid);
        TRY(fs_write_at(AT_FDCWD, path, "deny")); /* user_namespaces(7): or gid_map may not be written */
    }
    TRY_AS(write_map(pid, "gid_map", gids), "map groups of the container");
    return err_wrap(write_map(pid, "uid_map", uids), "map users of the container");
}

struct below {
    pid_t pid;
    const struct id_map *uids, *gids;
};

fallible id_map_read_proc(const char *path, struct id_map *ret)
{
    own_mem char *text = NULL;
    unsigned inside, outside, count;
    TRY(fs_read_at(AT_FDCWD, path, 1 << 16, &text, NULL));
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
        if (sscanf(line, "%u %u %u", &inside, &outside, &count) == 3)
            id_map_add(ret, inside, outside, count);
    return NULL;
}

static err *write_below(void *ctx)
{
    const struct below *b = ctx;
    own(id_map) struct id_map own_uids = { 0 }, own_gids = { 0 }, uids = { 0 }, gids = { 0 };
    TRY(id_map_read_proc("/proc/self/uid_map", &own_uids));
    TRY(id_map_read_proc("/proc/self/gid_map", &own_gids));
    TRY_AS(id_map_translate(&own_uids, b->uids, &uids), "map users of the container");
    TRY_AS(id_map_translate(&own_gids, b->gids, &gids), "map groups of the container");
    return ids_write_maps(b->pid, &uids, &gids);
}

fallible ids_write_maps_below(int parent_user_fd, pid_t pid, const struct id_map *uids, const struct id_map *gids)
{
    struct below b = { pid, uids, gids };
    return userns_call_in(parent_user_fd, write_below, &b);
}

void passwd_entry_free(struct passwd_entry *e)
{
    free(e->name);
    free(e->home);
    free(e->shell);
    *e = (struct passwd_entry){ 0 };
}

fallible passwd_find(const char *text, const char *name, uint32_t uid, struct passwd_entry *ret)
{
    own_mem char *copy = mem_strdup(text);
    char *rest = copy, *f[7];
    while (next_row(&rest, f, 7)) {
        uint32_t row_uid = 0, row_gid = 0;
        if (!*f[0] || !number(f[2], &row_uid) || !number(f[3], &row_gid))
            continue;
        if (name ? strcmp(f[0], name) != 0 : row_uid != uid)
            continue;
        *ret = (struct passwd_entry){ mem_strdup(f[0]), row_uid, row_gid, mem_strdup(f[5] ? f[5] : ""),
                                      mem_strdup(f[6] ? f[6] : "") };
        return NULL;
    }
    if (name)
        return err_new(ERR_NOT_FOUND, "no user '%s' in /etc/passwd", name);
    return err_new(ERR_NOT_FOUND, "no user with id %u in /etc/passwd", uid);
}

fallible group_find(const char *text, const char *name, uint32_t *ret_gid)
{
    own_mem char *copy = mem_strdup(text);
    char *rest = copy, *f[4];
    while (next_row(&rest, f, 4)) {
        uint32_t gid = 0;
        if (strcmp(f[0], name) != 0 || !number(f[2], &gid))
            continue;
        *ret_gid = gid;
        return NULL;
    }
    return err_new(ERR_NOT_FOUND, "no group '%s' in /etc/group", name);
}

void group_list(const char *text, const char *user, uint32_t **gids, size_t *n)
{
    own_mem char *copy = mem_strdup(text);
    char *rest = copy, *f[4];
    while (next_row(&rest, f, 4)) {
        own_strv struct strv members = { 0 };
        uint32_t gid = 0;
        if (!number(f[2], &gid) || !f[3])
            continue;
        strv_split(&members, f[3], ',');
        if (!strv_has(&members, user))
            continue;
        *gids = mem_array(*gids, *n + 1, sizeof **gids);
        (*gids)[(*n)++] = gid;
    }
}
