// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/mem.h"
#include "layers/flatten.h"
#include "os/fs.h"
#include "os/ids.h"
#include "os/userns.h"

struct place {
    char path[64];
    int fd;
    struct strv lowers; /* top, bottom */
    char *base, *now, *upper;
};

static void open_place(struct place *p)
{
    static const char *const dirs[] = { "top", "bottom", "base", "now", "upper" };
    CHECK_OK(userns_enter());
    *p = (struct place){ 0 };
    snprintf(p->path, sizeof p->path, "%s/husk-flat-XXXXXX", access("/var/tmp", W_OK) == 0 ? "/var/tmp" : "/tmp");
    CHECK(mkdtemp(p->path) != NULL);
    p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
        CHECK(mkdirat(p->fd, dirs[i], 0755) == 0);
    strv_add_printf(&p->lowers, "%s/top", p->path);
    strv_add_printf(&p->lowers, "%s/bottom", p->path);
    p->base = mem_printf("%s/base", p->path);
    p->now = mem_printf("%s/now", p->path);
    p->upper = mem_printf("%s/upper", p->path);
}
static void close_place(struct place *p)
{
    close(p->fd);
    strv_free(&p->lowers);
    free(p->base);
    free(p->now);
    free(p->upper);
    CHECK_OK(fs_remove_tree_at(AT_FDCWD, p->path));
}

static void put(struct place *p, const char *path, const char *text, mode_t mode)
{
    own_fd int fd = openat(p->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && fchmod(fd, mode) == 0);
}
static void make_dir(struct place *p, const char *path)
{
    CHECK(mkdirat(p->fd, path, 0755) == 0);
}
static bool holds(struct place *p, const char *path, const char *text)
{
    own_mem char *is = NULL;
    own(err) err *e = fs_read_at(p->fd, path, 1 << 16, &is, NULL);
    return !e && str_eq(is, text);
}
static bool there(struct place *p, const char *path, struct stat *st)
{
    return fstatat(p->fd, path, st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Two layers with everything that one can do to another. */
static void make_layers(struct place *p)
{
    make_dir(p, "bottom/merged");
    make_dir(p, "bottom/hidden");
    make_dir(p, "bottom/becomes-file");
    put(p, "bottom/merged/below", "below", 0640);
    put(p, "bottom/merged/changed", "old", 0644);
    put(p, "bottom/hidden/gone", "x", 0644);
    put(p, "bottom/removed", "x", 0644);
    put(p, "bottom/once", "o", 0644);
    put(p, "bottom/becomes-dir", "x", 0644);
    put(p, "bottom/becomes-file/inside", "x", 0644);
    make_dir(p, "top/merged");
    make_dir(p, "top/hidden");
    make_dir(p, "top/becomes-dir");
    put(p, "top/merged/changed", "new", 0600);
    put(p, "top/hidden/new", "n", 0644);
    put(p, "top/becomes-file", "f", 0644);
    put(p, "top/setuid", "s", 04755);
    CHECK(mknodat(p->fd, "top/removed", S_IFCHR, makedev(0, 0)) == 0);
    CHECK(linkat(p->fd, "top/merged/changed", p->fd, "top/hard", 0) == 0);
    CHECK(symlinkat("/etc/passwd", p->fd, "top/link") == 0);
    CHECK(mkfifoat(p->fd, "top/pipe", 0600) == 0);
    own_fd int hidden = openat(p->fd, "top/hidden", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(fsetxattr(hidden, ids_in_userns() ? "user.overlay.opaque" : "trusted.overlay.opaque", "y", 1, 0) == 0);
}

TEST(layers_are_laid_over_each_other_as_overlayfs_shows_them)
{
    struct place p;
    struct stat a, b;
    open_place(&p);
    make_layers(&p);
    CHECK_OK(flatten(&p.lowers, p.base));
    CHECK(holds(&p, "base/merged/below", "below") && holds(&p, "base/merged/changed", "new"));
    CHECK(holds(&p, "base/hidden/new", "n") && !there(&p, "base/hidden/gone", &a));
    CHECK(!there(&p, "base/removed", &a));
    CHECK(there(&p, "base/becomes-dir", &a) && S_ISDIR(a.st_mode));
    CHECK(holds(&p, "base/becomes-file", "f"));
    CHECK(there(&p, "base/setuid", &a) && (a.st_mode & 07777) == 04755);
    CHECK(there(&p, "base/pipe", &a) && S_ISFIFO(a.st_mode));
    CHECK(there(&p, "base/hard", &a) && there(&p, "base/merged/changed", &b) && a.st_ino == b.st_ino &&
          a.st_nlink == 2);
    CHECK(there(&p, "top/link", &a) && there(&p, "base/link", &b) && S_ISLNK(b.st_mode) &&
          a.st_mtim.tv_nsec == b.st_mtim.tv_nsec && a.st_mtim.tv_sec == b.st_mtim.tv_sec);
    own_fd int hidden = openat(p.fd, "base/hidden", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char value[4];
    CHECK(fgetxattr(hidden, "trusted.overlay.opaque", value, sizeof value) < 0);
    CHECK(fgetxattr(hidden, "user.overlay.opaque", value, sizeof value) < 0);
    close_place(&p);
}

TEST(a_copy_in_which_nothing_was_done_has_no_differences)
{
    struct place p;
    open_place(&p);
    make_layers(&p);
    CHECK_OK(flatten(&p.lowers, p.base));
    CHECK_OK(flatten(&p.lowers, p.now));
    CHECK_OK(flatten_compare(p.base, p.now, p.upper, false));
    CHECK(rmdir(p.upper) == 0); /* it is empty */
    close_place(&p);
}

TEST(differences_become_an_upper_directory)
{
    struct place p;
    struct stat st, other;
    open_place(&p);
    make_layers(&p);
    CHECK_OK(flatten(&p.lowers, p.base));
    CHECK_OK(flatten(&p.lowers, p.now));
    put(&p, "now/merged/below", "BELOW", 0640);
    make_dir(&p, "now/made");
    put(&p, "now/made/file", "f", 0600);
    CHECK(unlinkat(p.fd, "now/link", 0) == 0 && symlinkat("/elsewhere", p.fd, "now/link") == 0);
    CHECK_OK(fs_remove_tree_at(p.fd, "now/hidden"));
    CHECK(fchmodat(p.fd, "now/setuid", 0755, 0) == 0);
    CHECK(linkat(p.fd, "now/once", p.fd, "now/twice", 0) == 0);
    CHECK(unlinkat(p.fd, "now/becomes-file", 0) == 0);
    make_dir(&p, "now/becomes-file");
    CHECK_OK(flatten_compare(p.base, p.now, p.upper, true));
    CHECK(holds(&p, "upper/merged/below", "BELOW") && !there(&p, "upper/merged/changed", &st));
    CHECK(holds(&p, "upper/made/file", "f"));
    CHECK(there(&p, "upper/link", &st) && S_ISLNK(st.st_mode));
    CHECK(there(&p, "upper/hidden", &st) && S_ISCHR(st.st_mode) && st.st_rdev == 0);
    CHECK(there(&p, "upper/setuid", &st) && (st.st_mode & 07777) == 0755);
    CHECK(there(&p, "upper/once", &st) && there(&p, "upper/twice", &other) && st.st_ino == other.st_ino);
    CHECK(there(&p, "upper/becomes-file", &st) && S_ISDIR(st.st_mode));
    CHECK(!there(&p, "upper/becomes-dir", &st) && !there(&p, "upper/hard", &st) && !there(&p, "upper/pipe", &st));
    close_place(&p);
}
