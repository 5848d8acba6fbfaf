// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

#include "os/fs.h"
#include "os/ids.h"
#include "os/proc.h"
#include "rootfs/rootfs_parts.h"
#include "test.h"

/* Three layers and a writable directory, in a folder whose name has all that divides and quotes overlay's options. */
struct layers {
    char dir[64];
    int fd;
    struct rootfs_source source;
};

static void put(int fd, const char *dir, const char *name, const char *text)
{
    own_mem char *path = mem_printf("%s/%s", dir, name);
    CHECK_OK(fs_replace_at(fd, path, text, strlen(text), 0644, FS_SYNC_NONE));
}

static void make_layers(struct layers *l, const char *name)
{
    *l = (struct layers){ .fd = -1, .source = { .kind = ROOTFS_OVERLAY } };
    (void)snprintf(l->dir, sizeof l->dir, "/var/tmp/husk-ovl-%s-XXXXXX", name);
    CHECK(mkdtemp(l->dir) != NULL);
    l->fd = open(l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(l->fd >= 0);
    static const char *const dirs[] = { "top", "middle", "bottom", "upper", "work" };
    for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
        CHECK(mkdirat(l->fd, dirs[i], 0755) == 0);
    for (size_t i = 0; i < 3; i++) {
        put(l->fd, dirs[i], "which", dirs[i]);
        put(l->fd, dirs[i], dirs[i], dirs[i]);
        strv_add_printf(&l->source.lowers, "%s/%s", l->dir, dirs[i]);
    }
    l->source.upper = mem_printf("%s/upper", l->dir);
    l->source.work = mem_printf("%s/work", l->dir);
}

static void drop_layers(struct layers *l)
{
    (void)close(l->fd);
    CHECK_OK(fs_remove_tree_at(AT_FDCWD, l->dir));
    rootfs_source_free(&l->source);
}

typedef err *overlay_fn(const struct rootfs_source *source, const int *lower_fds, bool in_userns, const char *label,
                        int *ret_mount_fd);
static overlay_fn *const ways[] = { overlay_mount_new, overlay_mount_old };

static void check_content(int mount_fd, const char *name, const char *text)
{
    own_mem char *got = NULL;
    CHECK_OK(fs_read_at(mount_fd, name, 100, &got, NULL));
    assert_string_equal(got, text);
}

TEST(both_ways_make_the_same_mount)
{
    static const char *const names[] = { "plain", "a:b", "a\\b", "a,b", "with space" };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        for (size_t k = 0; k < ARRAY_SIZE(ways); k++) {
            struct layers l;
            char here[4096], after[4096];
            make_layers(&l, names[i]);
            CHECK(getcwd(here, sizeof here));
            own_fd int mount = -1;
            CHECK_OK(ways[k](&l.source, NULL, false, NULL, &mount));
            CHECK(getcwd(after, sizeof after) && strcmp(here, after) == 0);
            check_content(mount, "which", "top"); /* the topmost layer is named first */
            check_content(mount, "bottom", "bottom");
            put(mount, ".", "new", "written");
            CHECK(faccessat(l.fd, "upper/new", F_OK, 0) == 0 && faccessat(l.fd, "top/new", F_OK, 0) != 0);
            CHECK(unlinkat(mount, "middle", 0) == 0);
            CHECK(faccessat(l.fd, "middle/middle", F_OK, 0) == 0);
            close_now(&mount);
            drop_layers(&l);
        }
    }
}

TEST(without_a_writable_directory_it_is_read_only)
{
    struct layers l;
    own_fd int mount = -1;
    make_layers(&l, "ro");
    free(take(l.source.upper));
    free(take(l.source.work));
    CHECK_OK(source_mount(&l.source, -1, false, NULL, &mount));
    check_content(mount, "which", "top");
    CHECK(openat(mount, "new", O_CREAT | O_WRONLY | O_CLOEXEC, 0644) < 0 && errno == EROFS);
    close_now(&mount);
    /* one layer alone is no overlay */
    for (size_t i = 1; i < 3; i++)
        free(take(l.source.lowers.items[i]));
    l.source.lowers.n = 1;
    CHECK_OK(source_mount(&l.source, -1, false, NULL, &mount));
    check_content(mount, "which", "top");
    CHECK(openat(mount, "new", O_CREAT | O_WRONLY | O_CLOEXEC, 0644) < 0 && errno == EROFS);
    close_now(&mount);
    drop_layers(&l);
}

TEST(many_layers_and_long_paths)
{
    struct layers l;
    own_fd int mount = -1;
    make_layers(&l, "many");
    char long_name[200];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    own_mem char *deep = mem_printf("%s/%s", long_name, long_name);
    CHECK_OK(fs_mkdirs_at(l.fd, deep, 0755));
    put(l.fd, deep, "deep", "deep");
    strv_add_printf(&l.source.lowers, "%s/%s", l.dir, deep);
    for (int i = 0; i < 100; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%d", i);
        CHECK(mkdirat(l.fd, name, 0755) == 0);
        strv_add_printf(&l.source.lowers, "%s/%s", l.dir, name);
    }
    CHECK_OK(source_mount(&l.source, -1, false, NULL, &mount));
    check_content(mount, "deep", "deep");
    close_now(&mount);
    drop_layers(&l);
}

TEST(what_is_wrong_names_the_layer)
{
    struct layers l;
    int mount = -1;
    make_layers(&l, "wrong");
    own_mem char *missing = mem_printf("%s/no-such", l.dir);
    free(l.source.lowers.items[1]);
    l.source.lowers.items[1] = mem_strdup(missing);
    own(err) err *e = source_mount(&l.source, -1, false, NULL, &mount);
    CHECK(err_is(e, ERR_NOT_FOUND) && strstr(err_text(e), missing) && mount == -1);
    drop_layers(&l);
}

/* In a user namespace of its own the overlay keeps its marks in user.* attributes. */
static err *in_userns(void *ctx)
{
    const struct layers *l = ctx;
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        own_fd int mount = -1;
        TRY(ways[i](&l->source, NULL, true, NULL, &mount));
        if (unlinkat(mount, i ? "middle" : "bottom", 0) < 0)
            return err_sys(errno, "remove a file of a layer");
        if (faccessat(mount, i ? "middle" : "bottom", F_OK, 0) == 0)
            return err_new(ERR_INTERNAL, "it is still there");
    }
    return NULL;
}

TEST(both_ways_work_in_a_user_namespace)
{
    struct layers l;
    own_fd int pidfd = -1;
    pid_t pid = 0;
    int status = 0, pair[2];
    char go = 0;
    make_layers(&l, "userns");
    CHECK(pipe2(pair, O_CLOEXEC) == 0);
    CHECK_OK(proc_clone(CLONE_NEWUSER | CLONE_NEWNS, -1, &pid, &pidfd));
    if (pid == 0) {
        (void)close(pair[1]);
        err *e = read(pair[0], &go, 1) == 1 ? in_userns(&l) : err_new(ERR_INTERNAL, "no word");
        if (e)
            fprintf(stderr, "%s\n", err_text(e));
        _exit(e != NULL);
    }
    own(id_map) struct id_map uids = { 0 };
    own(id_map) struct id_map gids = { 0 };
    id_map_add(&uids, 0, geteuid(), 1);
    id_map_add(&gids, 0, getegid(), 1);
    CHECK_OK(ids_write_maps(pid, &uids, &gids));
    CHECK(write(pair[1], "g", 1) == 1);
    CHECK_OK(proc_wait(pidfd, -1, &status));
    CHECK(status == 0);
    close(pair[0]);
    close(pair[1]);
    drop_layers(&l);
}
