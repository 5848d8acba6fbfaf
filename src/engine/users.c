// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/users.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/log.h"
#include "base/parse.h"
#include "engine/grammar.h"
#include "engine/paths.h"
#include "os/fs.h"
#include "os/ids.h"
#include "os/root.h"

enum { ETC_FILE_MAX = 4 << 20, LINKS_MAX = 16 };
/* (uid_t)-1 means "do not change" to setuid(2): 2^32-2 is the last usable one. */
#define ID_MAX (UINT32_MAX - 1)

enum found { FOUND_NOTHING, FOUND_FILE, FOUND_HIDDEN, FOUND_LINK };

static bool is_opaque(int fd)
{
    static const char *const names[] = { "trusted.overlay.opaque", "user.overlay.opaque" };
    own_mem char *path = mem_printf("/proc/self/fd/%d", fd);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char value = 0;
        if (getxattr(path, names[i], &value, 1) == 1 && value == 'y')
            return true;
    }
    return false;
}

/* Whether this layer hides what lower ones have at path: a whiteout of, or an opaque directory at, a part of it. */
static bool hides_below(int layer_fd, const char *path)
{
    own_mem char *part = mem_strdup(path);
    for (char *slash = strchr(part + 1, '/');; slash = strchr(slash + 1, '/')) {
        own_fd int fd = -1;
        struct stat st;
        if (slash)
            *slash = '\0';
        err *e = root_open(layer_fd, part, O_PATH | O_NOFOLLOW, &fd);
        if (slash)
            *slash = '/';
        if (e) {
            err_free(e);
            return false;
        }
        if (fstat(fd, &st) < 0)
            return false;
        if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0))
            return true;
        if (S_ISDIR(st.st_mode) && is_opaque(fd))
            return true;
        if (!slash)
            return false;
    }
}

static fallible look(int layer_fd, const char *path, enum found *ret, int *ret_fd, char **ret_link)
{
    own_fd int fd = -1;
    struct stat st;
    err *e = root_open(layer_fd, path, O_PATH | O_NOFOLLOW, &fd);
    if (err_is(e, ERR_NOT_FOUND) || (e && (err_errno(e) == ENOTDIR || err_errno(e) == ENXIO))) {
        err_free(e);
        *ret = hides_below(layer_fd, path) ? FOUND_HIDDEN : FOUND_NOTHING;
        return NULL;
    }
    TRY(e);
    if (fstat(fd, &st) < 0)
        return err_sys(errno, "look at '%s'", path);
    *ret = FOUND_HIDDEN;
    if (S_ISLNK(st.st_mode)) {
        char target[PATH_MAX];
        ssize_t n = readlinkat(fd, "", target, sizeof target - 1);
        if (n < 0)
            return err_sys(errno, "read the link '%s'", path);
        target[n] = '\0';
        own_mem char *dir = mem_strndup(path, (size_t)(strrchr(path, '/') - path));
        own_mem char *joined = target[0] == '/' ? mem_strdup(target) : mem_printf("%s/%s", dir, target);
        *ret_link = paths_clean(joined);
        *ret = FOUND_LINK;
    } else if (S_ISREG(st.st_mode)) {
        /* what was looked at, and not what has its name by now: that may be a FIFO, which nobody ever writes to */
        own_mem char *same = mem_printf("/proc/self/fd/%d", fd);
        *ret_fd = open(same, O_RDONLY | O_CLOEXEC);
        if (*ret_fd < 0)
            return err_sys(errno, "open '%s'", path);
        *ret = FOUND_FILE;
    }
    return NULL;
}

static fallible open_in(const char *dir, const char *path, enum found *ret, int *ret_fd, char **ret_link)
{
    own_fd int layer = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (layer < 0)
        return err_sys(errno, "open the layer '%s'", dir);
    return look(layer, path, ret, ret_fd, ret_link);
}

static fallible open_file(const struct rootfs_source *root, const char *path, int *ret_fd)
{
    own_mem char *at = mem_strdup(path);
    for (int links = 0; links < LINKS_MAX; links++) {
        own_mem char *link = NULL;
        enum found found = FOUND_NOTHING;
        if (root->kind == ROOTFS_DIR)
            TRY(open_in(root->dir, at, &found, ret_fd, &link));
        if (root->kind == ROOTFS_OVERLAY && root->upper)
            TRY(open_in(root->upper, at, &found, ret_fd, &link));
        for (size_t i = 0; found == FOUND_NOTHING && i < root->lowers.n; i++)
            TRY(open_in(root->lowers.items[i], at, &found, ret_fd, &link));
        if (found == FOUND_FILE)
            return NULL;
        if (found != FOUND_LINK)
            return err_new(ERR_NOT_FOUND, "there is no '%s' in the container", path);
        free(at);
        at = take(link);
    }
    return err_new(ERR_INVALID, "too many links at '%s'", path);
}

fallible source_read_file(const struct rootfs_source *root, const char *path, size_t max, char **ret_text)
{
    own_fd int fd = -1;
    TRY(open_file(root, path, &fd));
    return fs_read_fd(fd, path, max, ret_text, NULL);
}

static fallible read_or_empty(const struct rootfs_source *root, const char *path, char **ret)
{
    err *e = source_read_file(root, path, ETC_FILE_MAX, ret);
    if (!err_is(e, ERR_NOT_FOUND))
        return e;
    err_free(e);
    *ret = mem_strdup("");
    return NULL;
}

static bool is_number(const char *text)
{
    return *text && strspn(text, "0123456789") == strlen(text);
}

/* A number needs no file: where one cannot be read, it is without its home directory and groups. */
static fallible read_names(const struct rootfs_source *root, const char *path, bool needed, char **ret)
{
    err *e = read_or_empty(root, path, ret);
    if (!e || needed)
        return e;
    log_warn("the container's %s cannot be read: %s", path, err_text(e));
    err_free(e);
    *ret = mem_strdup("");
    return NULL;
}

static bool has_name(const char *user, const char *group, const struct strv *more)
{
    bool name = (*user && !is_number(user)) || (group && !is_number(group));
    for (size_t i = 0; more && i < more->n; i++)
        name |= !is_number(more->items[i]);
    return name;
}

static fallible parse_id(const char *text, uint32_t *ret)
{
    uint64_t v;
    TRY(parse_u64(text, ID_MAX, &v));
    *ret = (uint32_t)v;
    return NULL;
}

static fallible resolve_user(const char *passwd, const char *user, struct passwd_entry *entry, bool *ret_known)
{
    uint32_t uid = 0;
    bool number = !*user || is_number(user);
    if (*user && number)
        TRY_AS(parse_id(user, &uid), "user");
    err *e = passwd_find(passwd, number ? NULL : user, uid, entry);
    if (!e) {
        *ret_known = true;
        return NULL;
    }
    if (!number) {
        err_free(e);
        return err_new(ERR_NOT_FOUND, "user '%s' is not in the container's /etc/passwd", user);
    }
    err_free(e);
    *entry = (struct passwd_entry){ .uid = uid };
    *ret_known = false;
    return NULL;
}

static fallible resolve_group(const char *groups, const char *group, uint32_t *ret)
{
    if (is_number(group))
        return parse_id(group, ret);
    err *e = group_find(groups, group, ret);
    if (!e)
        return NULL;
    err_free(e);
    return err_new(ERR_NOT_FOUND, "group '%s' is not in the container's /etc/group", group);
}

static void add_group(struct container_user *u, uint32_t gid)
{
    for (size_t i = 0; i < u->groups_n; i++)
        if (u->groups[i] == gid)
            return;
    u->groups = mem_array(u->groups, u->groups_n + 1, sizeof *u->groups);
    u->groups[u->groups_n++] = gid;
}

void container_user_clear(struct container_user *u)
{
    free(u->groups);
    free(u->home);
    *u = (struct container_user){ 0 };
}

static fallible add_groups(const char *groups, const char *login, const struct strv *more, struct container_user *u)
{
    add_group(u, u->gid);
    if (login) {
        uint32_t *listed = NULL;
        size_t n = 0;
        group_list(groups, login, &listed, &n);
        for (size_t i = 0; i < n; i++)
            add_group(u, listed[i]);
        free(listed);
    }
    for (size_t i = 0; more && i < more->n; i++) {
        uint32_t gid;
        TRY_AS(resolve_group(groups, more->items[i], &gid), "--group-add");
        add_group(u, gid);
    }
    return NULL;
}

fallible users_resolve(const struct rootfs_source *root, const char *user, const struct strv *group_add,
                       struct container_user *ret)
{
    own_mem char *name = NULL, *group = NULL, *passwd = NULL, *groups = NULL;
    struct passwd_entry entry = { 0 };
    struct container_user u = { 0 };
    bool known = false;
    TRY(grammar_user(user ? user : "", &name, &group));
    bool needed = has_name(name, group, group_add);
    TRY(read_names(root, "/etc/passwd", needed, &passwd));
    TRY(read_names(root, "/etc/group", needed, &groups));
    TRY(resolve_user(passwd, name, &entry, &known));
    u.uid = entry.uid;
    u.gid = entry.gid;
    u.home = mem_strdup(known && entry.home && *entry.home ? entry.home : "/");
    err *e = group ? resolve_group(groups, group, &u.gid) : NULL;
    if (!e) /* a group that was named stands alone, as docker has it */
        e = add_groups(groups, group || !known ? NULL : entry.name, group_add, &u);
    passwd_entry_free(&entry);
    if (e) {
        container_user_clear(&u);
        return e;
    }
    *ret = u;
    return NULL;
}
