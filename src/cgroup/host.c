// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cgroup/layout.h"
#include "os/fs.h"

enum { PROC_FILE_MAX = 16 << 20 };

static void hierarchy_clear(struct hierarchy *h)
{
    free(h->mount);
    free(h->root);
    free(h->own);
    strv_free(&h->controllers);
}

void host_clear(struct cgroup_host *h)
{
    for (size_t i = 0; i < h->n; i++)
        hierarchy_clear(&h->items[i]);
    free(h->items);
    h->items = NULL;
    h->n = 0;
}

void cgroup_host_free(struct cgroup_host *h)
{
    if (!h)
        return;
    host_clear(h);
    free(h->base);
    free(h->why);
    free(h);
}

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static char *unescaped(const char *text, size_t n)
{
    own_str struct str out = { 0 };
    if (!memchr(text, '\\', n))
        return mem_strndup(text, n);
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\\' && i + 3 < n) {
            str_add_char(&out, (char)((text[i + 1] - '0') << 6 | (text[i + 2] - '0') << 3 | (text[i + 3] - '0')));
            i += 3;
        } else {
            str_add_char(&out, text[i]);
        }
    }
    return str_take(&out);
}

/* The n-th (from 0) space-separated field of a line. */
static const char *field(const char *line, const char *end, int n, size_t *ret_len)
{
    for (; n > 0; n--) {
        while (line < end && *line != ' ')
            line++;
        line += line < end;
    }
    const char *at = line;
    while (at < end && *at != ' ')
        at++;
    *ret_len = (size_t)(at - line);
    return line;
}

/* v1's super options name the controllers: "rw,cpu,cpuacct", "rw,xattr,name=systemd". */
static void v1_controllers(const char *options, size_t n, struct strv *ret)
{
    static const char *const not_controllers[] = {
        "rw", "ro", "noprefix", "clone_children", "xattr", "cpuset_v2_mode"
    };
    own_mem char *text = mem_strndup(options, n);
    own_strv struct strv words = { 0 };
    strv_split(&words, text, ',');
    for (size_t i = 0; i < words.n; i++) {
        bool is = !str_starts(words.items[i], "release_agent=");
        for (size_t k = 0; k < ARRAY_SIZE(not_controllers); k++)
            is = is && strcmp(words.items[i], not_controllers[k]) != 0;
        if (is)
            strv_add(ret, words.items[i]);
    }
}

/* Something else may be mounted over a hierarchy: then it cannot be reached, whatever mountinfo says. */
static bool is_covered(const char *mount, const char *device, struct stat *ret)
{
    char *rest = NULL;
    unsigned major_number = (unsigned)strtoul(device, &rest, 10);
    unsigned minor_number = *rest == ':' ? (unsigned)strtoul(rest + 1, NULL, 10) : 0;
    return *rest != ':' || stat(mount, ret) < 0 || ret->st_dev != makedev(major_number, minor_number);
}

/* Root overrides file modes (v1's are 0555) where the owner is in its user namespace: one that is not shows as the
 * overflow id, never as 0. So nothing but a mount that is read-only keeps it from writing. */
static bool is_roots(const struct cgroup_host *h, const struct stat *st, const char *mount_options, const char *options)
{
    return h->overrides && st->st_uid == 0 && str_starts(mount_options, "rw") && str_starts(options, "rw");
}

static bool overrides_modes(void)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = { { 0 } };
    return geteuid() == 0 && syscall(SYS_capget, &head, data) == 0 && data[0].effective & (1U << CAP_DAC_OVERRIDE);
}

/* "36 35 98:0 /root /mount rw - cgroup2 source options" */
static void read_mount(struct cgroup_host *h, const char *line, const char *end)
{
    const char *dash = memmem(line, (size_t)(end - line), " - cgroup", strlen(" - cgroup")); /* blanks are escaped */
    size_t type_len = 0, device_len = 0, root_len = 0, mount_len = 0, options_len = 0;
    if (!dash)
        return;
    const char *type = field(dash + 3, end, 0, &type_len);
    bool v1 = type_len == 6 && strncmp(type, "cgroup", 6) == 0, v2 = type_len == 7 && strncmp(type, "cgroup2", 7) == 0;
    if (!v1 && !v2)
        return;
    const char *device = field(line, end, 2, &device_len);
    const char *root = field(device, end, 1, &root_len);
    const char *mount = field(root, end, 1, &mount_len);
    const char *options = field(dash + 3, end, 2, &options_len);
    struct hierarchy found = { .mount = unescaped(mount, mount_len), .root = unescaped(root, root_len), .v2 = v2 };
    struct stat st;
    if (is_covered(found.mount, device, &st)) {
        hierarchy_clear(&found);
        return;
    }
    found.owned = is_roots(h, &st, field(mount, end, 1, &device_len), options);
    if (v1)
        v1_controllers(options, options_len, &found.controllers);
    for (size_t i = 0; i < h->n; i++) {
        struct hierarchy *old = &h->items[i];
        bool same = old->v2 == v2 && (v2 || (old->controllers.n && found.controllers.n &&
                                             strcmp(old->controllers.items[0], found.controllers.items[0]) == 0));
        if (same || strcmp(old->mount, found.mount) == 0) {
            /* Mounted twice: the first serves as well; one on top of the other: only the last can be reached. */
            if (strcmp(old->mount, found.mount) == 0) {
                hierarchy_clear(old);
                *old = found;
            } else {
                hierarchy_clear(&found);
            }
            return;
        }
    }
    h->items = mem_array(h->items, h->n + 1, sizeof *h->items);
    h->items[h->n++] = found;
}

static void read_v2_controllers(struct hierarchy *h)
{
    own_mem char *path = mem_printf("%s/cgroup.controllers", h->mount);
    own_mem char *text = NULL;
    err *e = fs_read_at(AT_FDCWD, path, 4096, &text, NULL);
    if (e) {
        err_ignore(e, "no controllers can be used there");
        return;
    }
    text[strcspn(text, "\n")] = '\0';
    strv_split(&h->controllers, text, ' ');
}

static fallible read_mounts(struct cgroup_host *h)
{
    own_mem char *text = NULL;
    size_t n = 0;
    TRY(fs_read_at(AT_FDCWD, "/proc/self/mountinfo", PROC_FILE_MAX, &text, &n));
    for (const char *line = text, *end = text + n; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop)
            stop = end;
        read_mount(h, line, stop);
        line = stop + 1;
    }
    for (size_t i = 0; i < h->n; i++)
        if (h->items[i].v2)
            read_v2_controllers(&h->items[i]);
    return NULL;
}

/* The path below the hierarchy's root, as it shows below the mount: without the mounted directory's own path. */
static char *below_mount(const char *path, const char *root)
{
    size_t n = strlen(root);
    if (strcmp(root, "/") == 0)
        return mem_strdup(path);
    if (strncmp(path, root, n) == 0 && (path[n] == '/' || !path[n]))
        return mem_strdup(path[n] ? path + n : "/");
    return NULL; /* we are outside of what is mounted here */
}

/* "4:memory:/path", "0::/path" */
static fallible read_own(struct cgroup_host *h)
{
    own_mem char *text = NULL;
    own_strv struct strv lines = { 0 };
    TRY(fs_read_at(AT_FDCWD, "/proc/self/cgroup", PROC_FILE_MAX, &text, NULL));
    strv_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.n; i++) {
        char *names = strchr(lines.items[i], ':');
        char *path = names ? strchr(names + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        own_strv struct strv controllers = { 0 };
        strv_split(&controllers, names + 1, ',');
        for (size_t k = 0; k < h->n; k++) {
            struct hierarchy *x = &h->items[k];
            bool is = x->v2 ? controllers.n == 0 : controllers.n && strv_has(&x->controllers, controllers.items[0]);
            if (is && !x->own)
                x->own = below_mount(path, x->root);
        }
    }
    return NULL;
}

static bool may_write(const struct hierarchy *h, const char *path)
{
    if (h->owned && strcmp(path, "/") == 0)
        return true;
    own_mem char *dir = mem_printf("%s%s", h->mount, path);
    return faccessat(AT_FDCWD, dir, W_OK, AT_EACCESS) == 0;
}

/* The topmost group on the way down to our own that this user was given: "/user.slice/.../user@1000.service". */
static char *delegated(const struct hierarchy *h)
{
    if (!h->own)
        return NULL;
    for (size_t n = 1;; n++) {
        if (h->own[n] && h->own[n] != '/')
            continue;
        own_mem char *path = mem_strndup(h->own, n);
        if (strcmp(path, "/") != 0 && may_write(h, path))
            return take(path);
        if (!h->own[n])
            return NULL;
    }
}

/* One base for all hierarchies, since a group's path is kept as one: v2's if it has one, else the first v1's. Where our
 * own group is need not be known to who may write at the top, and the kernel tells it behind a lock that every group's
 * making and removing takes. */
static fallible find_base(struct cgroup_host *h)
{
    for (size_t i = 0; i < h->n; i++)
        if (may_write(&h->items[i], "/")) {
            h->base = mem_strdup("/");
            return NULL;
        }
    TRY(read_own(h));
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < h->n; i++) {
            h->base = h->items[i].v2 == (pass == 0) ? delegated(&h->items[i]) : NULL;
            if (h->base)
                return NULL;
        }
    return NULL;
}

static fallible decide(struct cgroup_host *h)
{
    TRY(find_base(h));
    for (size_t i = 0; h->base && i < h->n; i++)
        h->items[i].writable = may_write(&h->items[i], h->base);
    if (h->base)
        return NULL;
    if (h->n == 0)
        h->why = mem_strdup("no cgroup file system is mounted: mount one (mount -t cgroup2 none /sys/fs/cgroup)");
    else if (geteuid() == 0)
        h->why = mem_strdup("the cgroup file systems are read-only here: mount them read-write, or run husk outside of "
                            "this container");
    else
        h->why = mem_printf("user %u may not make control groups: have a group delegated (with systemd: loginctl "
                            "enable-linger, and run husk in the user's session; else as root: mkdir and chown a "
                            "directory for the user in /sys/fs/cgroup and put the user's shell into it)",
                            geteuid());
    h->base = mem_strdup("/");
    return NULL;
}

static bool owns_one(const struct cgroup_host *h)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->items[i].owned)
            return true;
    return false;
}

static bool same_mounts(const struct layout_mounts *a, const struct layout_mounts *b)
{
    return a->n == b->n && memcmp(a->ids, b->ids, a->n * sizeof *a->ids) == 0;
}

/* What is kept was read while nothing was mounted or unmounted. */
static fallible read_mounts_near(struct cgroup_host *h, const char *dir)
{
    struct layout_mounts before, after;
    bool known = layout_mounts(&before);
    h->kept = known && layout_find(dir, &before, h);
    if (h->kept)
        return NULL;
    TRY(read_mounts(h));
    if (known && owns_one(h) && layout_mounts(&after) && same_mounts(&before, &after))
        layout_keep(dir, &before, h);
    return NULL;
}

fallible cgroup_host_open(struct cgroup_host **ret)
{
    return cgroup_host_open_near(NULL, ret);
}

fallible cgroup_host_open_near(const char *dir, struct cgroup_host **ret)
{
    own(cgroup_host) struct cgroup_host *h = mem_zalloc(sizeof *h);
    h->overrides = overrides_modes();
    TRY(dir && h->overrides ? read_mounts_near(h, dir) : read_mounts(h));
    TRY(decide(h));
    *ret = take(h);
    return NULL;
}

void cgroup_host_use(struct cgroup_host *h, const char *path)
{
    for (size_t i = 0; i < h->n; i++)
        h->items[i].writable = h->items[i].writable || may_write(&h->items[i], path);
}

const char *cgroup_host_mode(const struct cgroup_host *h)
{
    bool v1 = false, v2 = false;
    for (size_t i = 0; i < h->n; i++) {
        v2 |= h->items[i].v2;
        v1 |= !h->items[i].v2;
    }
    return v1 && v2 ? "hybrid" : v1 ? "v1" : "v2";
}

bool cgroup_host_usable(const struct cgroup_host *h, const char **ret_why)
{
    *ret_why = h->why;
    return !h->why;
}

bool cgroup_host_has_devices(const struct cgroup_host *h)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->items[i].writable && (h->items[i].v2 || strv_has(&h->items[i].controllers, "devices")))
            return true;
    return false;
}

void cgroup_host_for_v1_readers(struct cgroup_host *h)
{
    h->v1_readers = true;
}

void cgroup_host_for_foreground(struct cgroup_host *h)
{
    h->foreground = true;
}

bool cgroup_host_kept(const struct cgroup_host *h)
{
    return h->kept;
}

void cgroup_host_for_divisions(struct cgroup_host *h)
{
    h->divisions = true;
}

const char *cgroup_host_base(const struct cgroup_host *h)
{
    return h->base;
}
