// SPDX-License-Identifier: GPL-2.0-or-later
#include "cgroup/resctrl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "os/fs.h"

#ifndef RDTGROUP_SUPER_MAGIC
#define RDTGROUP_SUPER_MAGIC 0x7655821
#endif
#define RESCTRL_PATH "/sys/fs/resctrl"
enum { TASKS_MAX = 16 << 20 }; /* bytes of a group's list of threads */

void resctrl_clear(struct resctrl *r)
{
    free(r->group);
    free(r->monitor);
    *r = (struct resctrl){ 0 };
}

fallible resctrl_open(int *ret_root_fd)
{
    struct statfs fs;
    own_fd int fd = open(RESCTRL_PATH, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstatfs(fd, &fs) < 0 || fs.f_type != RDTGROUP_SUPER_MAGIC)
        return err_new(ERR_UNSUPPORTED, "no resctrl file system is mounted: 'mount -t resctrl resctrl " RESCTRL_PATH
                                        "', on a CPU and a kernel that have it");
    *ret_root_fd = take_fd(&fd);
    return NULL;
}

static const char *text_of(const struct resctrl *r, const char *key)
{
    const char *text = json_string_value(json_object_get(r->config, key));
    return text && *text ? text : NULL;
}

static const json_t *lines_of(const struct resctrl *r)
{
    return json_object_get(r->config, "schemata");
}

static bool has_schema(const struct resctrl *r)
{
    return text_of(r, "l3CacheSchema") || text_of(r, "memBwSchema") || json_array_size(lines_of(r)) > 0;
}

static bool is_line(const json_t *v)
{
    return json_is_string(v) && !strchr(json_string_value(v), '\n');
}

/* A property that is not known is refused: who asks for a share must not go without. */
static fallible check(const json_t *config)
{
    const char *key;
    json_t *v;
    if (!json_is_object(config))
        return err_new(ERR_INVALID, "expected an object");
    json_object_foreach ((json_t *)(uintptr_t)config, key, v) {
        if (str_eq(key, "closID") || str_eq(key, "l3CacheSchema") || str_eq(key, "memBwSchema")) {
            if (!is_line(v))
                return err_new(ERR_INVALID, "%s: expected one line of text", key);
        } else if (str_eq(key, "schemata")) {
            if (!json_is_array(v))
                return err_new(ERR_INVALID, "schemata: expected an array");
            for (size_t i = 0; i < json_array_size(v); i++)
                if (!is_line(json_array_get(v, i)))
                    return err_new(ERR_INVALID, "schemata[%zu]: expected one line of text", i);
        } else if (str_eq(key, "enableMonitoring")) {
            if (!json_is_boolean(v))
                return err_new(ERR_INVALID, "enableMonitoring: expected true or false");
        } else if (str_eq(key, "enableCMT") || str_eq(key, "enableMBM")) {
            if (json_is_true(v))
                return err_new(ERR_INVALID, "%s: runtime-spec 1.3 has enableMonitoring in its place", key);
        } else {
            return err_new(ERR_INVALID, "%s: unknown property", key);
        }
    }
    return NULL;
}

static fallible check_name(const char *what, const char *name)
{
    if (!*name || strchr(name, '/') || str_eq(name, ".") || str_eq(name, "..") || str_eq(name, "info") ||
        str_eq(name, "mon_groups") || str_eq(name, "mon_data"))
        return err_new(ERR_INVALID, "%s: '%s' is not the name of a group", what, name);
    return NULL;
}

static fallible check_bandwidth(const char *what, const char *text)
{
    return str_starts(text, "MB:") ? NULL : err_new(ERR_INVALID, "%s: '%s' does not begin with MB:", what, text);
}

fallible resctrl_plan(const json_t *config, const char *id, struct resctrl *ret)
{
    *ret = (struct resctrl){ 0 };
    if (!config)
        return NULL;
    TRY_AS(check(config), "linux.intelRdt");
    struct resctrl r = { .config = config };
    const char *clos = text_of(&r, "closID"), *mb = text_of(&r, "memBwSchema");
    if (mb)
        TRY(check_bandwidth("linux.intelRdt: memBwSchema", mb));
    if (clos && !str_eq(clos, "/"))
        TRY(check_name("linux.intelRdt: closID", clos));
    TRY(check_name("linux.intelRdt: the container's id", id));
    r.own_group = !clos;
    r.group = mem_strdup(!clos ? id : str_eq(clos, "/") ? "." : clos);
    if (json_is_true(json_object_get(config, "enableMonitoring")))
        r.monitor = mem_printf("%s/mon_groups/%s", r.group, id);
    *ret = r;
    return NULL;
}

void resctrl_dirs(const struct resctrl *r, struct strv *dirs)
{
    if (r->monitor)
        strv_add(dirs, r->monitor);
    if (r->own_group)
        strv_add(dirs, r->group);
}

/* What the kernel says about the last refusal. */
static err *with_reason(int root, err *take_e)
{
    own_mem char *text = NULL;
    err *e = take_e ? fs_read_at(root, "info/last_cmd_status", 4096, &text, NULL) : NULL;
    if (e) {
        err_ignore(e, "an older kernel says nothing");
        return take_e;
    }
    if (text)
        text[strcspn(text, "\n")] = '\0';
    return text && *text && !str_eq(text, "ok") ? err_wrap(take_e, "the kernel says '%s'", text) : take_e;
}

/* With O_CREAT and O_APPEND, which kernfs does not mind: a test's directory begins empty, and shows what was written.
 */
static fallible write_file(int dir, const char *name, const char *text)
{
    own_fd int fd = openat(dir, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_sys(errno, "open '%s'", name);
    if (write(fd, text, strlen(text)) < 0)
        return err_sys(errno, "write '%s'", name);
    return NULL;
}

static void add_line(struct str *to, const char *line)
{
    str_printf(to, "%s\n", line);
}

static fallible write_schemata(const struct resctrl *r, int group)
{
    own_str struct str text = { 0 };
    const char *l3 = text_of(r, "l3CacheSchema"), *mb = text_of(r, "memBwSchema");
    if (l3)
        add_line(&text, l3);
    if (mb)
        add_line(&text, mb);
    for (size_t i = 0; i < json_array_size(lines_of(r)); i++)
        add_line(&text, json_string_value(json_array_get(lines_of(r), i)));
    return text.len ? write_file(group, "schemata", text.text) : NULL;
}

/* "L3:0=7f0;1=1f" against "    L3:0=7f0;1=01f": the kernel pads names and numbers. Answers whether every domain that
 * line names has that value in have. */
static bool domains_agree(const char *line, const char *have)
{
    own_strv struct strv want = { 0 }, is = { 0 };
    strv_split(&want, line, ';');
    strv_split(&is, have, ';');
    for (size_t i = 0; i < want.n; i++) {
        char *value = strchr(want.items[i], '=');
        bool found = false;
        for (size_t k = 0; value && k < is.n; k++) {
            char *other = strchr(is.items[k], '=');
            if (!other || strtoul(want.items[i], NULL, 10) != strtoul(is.items[k], NULL, 10))
                continue;
            found = strtoul(value + 1, NULL, 16) == strtoul(other + 1, NULL, 16);
        }
        if (value && !found)
            return false;
    }
    return true;
}

static fallible agrees(const char *line, const char *have, const char *group)
{
    own_strv struct strv lines = { 0 };
    size_t name = strcspn(line, ":");
    strv_split(&lines, have, '\n');
    for (size_t i = 0; i < lines.n; i++) {
        const char *at = lines.items[i] + strspn(lines.items[i], " \t");
        if (strncmp(at, line, name + 1) == 0 && line[name] && domains_agree(line + name + 1, at + name + 1))
            return NULL;
    }
    return err_new(ERR_CONFLICT, "group '%s' is there, and its schemata is not '%s'", group, line);
}

static fallible compare(const struct resctrl *r, int group)
{
    static const char *const keys[] = { "l3CacheSchema", "memBwSchema" };
    own_mem char *have = NULL;
    TRY(fs_read_at(group, "schemata", 65536, &have, NULL));
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (text_of(r, keys[i]))
            TRY(agrees(text_of(r, keys[i]), have, r->group));
    for (size_t i = 0; i < json_array_size(lines_of(r)); i++)
        TRY(agrees(json_string_value(json_array_get(lines_of(r), i)), have, r->group));
    return NULL;
}

static fallible make_dir(int root, const char *path)
{
    if (mkdirat(root, path, 0755) == 0)
        return NULL;
    if (errno == ENOSPC)
        return err_new(ERR_EXHAUSTED, "make group '%s': the hardware has no more classes or monitors", path);
    return err_sys(errno, "make group '%s'", path);
}

static fallible open_group(int root, const struct resctrl *r, int *ret_fd)
{
    struct stat st;
    bool there = fstatat(root, r->group, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
    if (r->own_group && there)
        return err_new(ERR_EXISTS, "there is a group '%s' already: remove it, or name it as closID", r->group);
    if (!r->own_group && !there && !has_schema(r))
        return err_new(ERR_NOT_FOUND, "closID: there is no group '%s', and no schema to make it with", r->group);
    if (!there)
        TRY(make_dir(root, r->group));
    int fd = openat(root, r->group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open group '%s'", r->group);
    *ret_fd = fd;
    if (there)
        return has_schema(r) ? compare(r, fd) : NULL;
    err *e = with_reason(root, write_schemata(r, fd));
    if (e && !r->own_group) /* what is named by closID stays, but not half made */
        (void)unlinkat(root, r->group, AT_REMOVEDIR);
    return e;
}

static fallible make(int root, const struct resctrl *r, pid_t pid)
{
    char number[16];
    own_fd int group = -1;
    (void)snprintf(number, sizeof number, "%d\n", (int)pid);
    TRY(open_group(root, r, &group));
    TRY(with_reason(root, write_file(group, "tasks", number)));
    if (!r->monitor)
        return NULL;
    own_mem char *tasks = mem_printf("%s/tasks", r->monitor);
    TRY_AS(fs_mkdirs_at(group, "mon_groups", 0755), "enableMonitoring: this machine cannot monitor");
    TRY(with_reason(root, make_dir(root, r->monitor)));
    return with_reason(root, write_file(root, tasks, number));
}

fallible resctrl_make(int root_fd, const struct resctrl *r, pid_t pid)
{
    own_strv struct strv dirs = { 0 };
    err *e = make(root_fd, r, pid);
    if (e && !err_is(e, ERR_EXISTS)) {
        resctrl_dirs(r, &dirs);
        err_ignore(resctrl_remove(root_fd, &dirs), "the first error matters more");
    }
    return e;
}

fallible resctrl_change(int root_fd, const char *group, const char *l3, const char *mb)
{
    own_str struct str text = { 0 };
    own_fd int fd = openat(root_fd, group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open resctrl group '%s'", group);
    if (mb)
        TRY(check_bandwidth("memory bandwidth", mb));
    if ((l3 && strchr(l3, '\n')) || (mb && strchr(mb, '\n')))
        return err_new(ERR_INVALID, "a schema for resctrl group '%s' is more than one line", group);
    if (l3)
        add_line(&text, l3);
    if (mb)
        add_line(&text, mb);
    /* one write: the kernel reads all lines before it applies any */
    return err_wrap(with_reason(root_fd, write_file(fd, "schemata", text.text)), "resctrl group '%s'", group);
}

/* "12\n345\n": whether the line tid is in it. */
static bool names_thread(const char *tasks, const char *tid)
{
    size_t len = strlen(tid);
    for (const char *at = tasks; (at = strstr(at, tid)); at += len)
        if ((at == tasks || at[-1] == '\n') && at[len] == '\n')
            return true;
    return false;
}

static fallible take_threads(int group, const char *tasks, pid_t pid, size_t *ret_n)
{
    char path[32], number[24];
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    own_dir DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT || errno == ESRCH ? NULL : err_sys(errno, "open '%s'", path);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (*entry->d_name == '.' || names_thread(tasks, entry->d_name))
            continue;
        (void)snprintf(number, sizeof number, "%.20s\n", entry->d_name);
        err *e = write_file(group, "tasks", number);
        if (e && err_errno(e) == ESRCH) {
            err_ignore(e, "it has just ended");
            continue;
        }
        TRY(e);
        (*ret_n)++;
    }
    return NULL;
}

fallible resctrl_take(int root_fd, const char *group, const pid_t *pids, size_t n, size_t *ret_n)
{
    own_mem char *tasks = NULL;
    size_t moved = 0;
    own_fd int fd = openat(root_fd, group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open resctrl group '%s'", group);
    TRY(fs_read_at(fd, "tasks", TASKS_MAX, &tasks, NULL));
    for (size_t i = 0; i < n; i++)
        TRY(with_reason(root_fd, take_threads(fd, tasks, pids[i], &moved)));
    *ret_n = moved;
    return NULL;
}

fallible resctrl_join(int root_fd, const char *group, const char *monitor)
{
    const char *const groups[] = { group, monitor };
    for (size_t i = 0; i < ARRAY_SIZE(groups) && groups[i]; i++) {
        own_fd int fd = openat(root_fd, groups[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT)
            return NULL;
        if (fd < 0)
            return err_sys(errno, "open resctrl group '%s'", groups[i]);
        /* 0: the thread that writes */
        TRY_AS(with_reason(root_fd, write_file(fd, "tasks", "0\n")), "resctrl group '%s'", groups[i]);
    }
    return NULL;
}

fallible resctrl_remove(int root_fd, const struct strv *dirs)
{
    for (size_t i = 0; i < dirs->n; i++)
        if (unlinkat(root_fd, dirs->items[i], AT_REMOVEDIR) < 0 && errno != ENOENT)
            return err_sys(errno, "remove resctrl group '%s'", dirs->items[i]);
    return NULL;
}
