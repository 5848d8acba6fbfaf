// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/mem.h"
#include "layers/untar.h"
#include "os/fs.h"
#include "os/ids.h"
#include "os/userns.h"

struct whole {
    const struct str *archive;
    bool given;
};
static fallible next_whole(void *ctx, const unsigned char **ret, size_t *ret_n)
{
    struct whole *w = ctx;
    *ret = (const unsigned char *)w->archive->text;
    *ret_n = w->given ? 0 : w->archive->len;
    w->given = true;
    return NULL;
}

/* outside/ with a file that no archive may touch, and outside/root/ where archives go. */
struct place {
    char path[64];
    int outside, root;
};
static void open_place(struct place *p)
{
    CHECK_OK(userns_enter());
    snprintf(p->path, sizeof p->path, "%s/husk-untar-XXXXXX", access("/var/tmp", W_OK) == 0 ? "/var/tmp" : "/tmp");
    CHECK(mkdtemp(p->path) != NULL);
    p->outside = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(mkdirat(p->outside, "root", 0755) == 0);
    p->root = openat(p->outside, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_OK(fs_replace_at(p->outside, "precious", "gold", 4, 0600, FS_SYNC_NONE));
    CHECK(symlinkat("precious", p->outside, "link") == 0);
}
/* As it was: the file, its mode and time; two names besides root/. */
static void close_place(struct place *p)
{
    own_mem char *text = NULL;
    struct stat st;
    CHECK_OK(fs_read_at(p->outside, "precious", 100, &text, NULL));
    assert_string_equal(text, "gold");
    CHECK(fstatat(p->outside, "precious", &st, 0) == 0 && (st.st_mode & 07777) == 0600 && st.st_nlink == 1);
    close(p->root);
    CHECK_OK(fs_remove_tree_at(p->outside, "root"));
    CHECK(unlinkat(p->outside, "precious", 0) == 0 && unlinkat(p->outside, "link", 0) == 0);
    close(p->outside);
    CHECK(rmdir(p->path) == 0); /* nothing else was made there */
}

static fallible extract(const struct str *archive, int root, struct untar_limits limits)
{
    struct whole w = { archive, false };
    own(tar) struct tar *t = tar_new((struct tar_source){ next_whole, &w });
    TRY(untar_limits_fill(&limits));
    return untar(t, root, &limits);
}

static void add(struct str *a, enum tar_type type, const char *path, const char *link, unsigned mode)
{
    static const char contents[] = "contents";
    bool file = type == TAR_FILE;
    struct tar_entry e = { .type = type,
                           .path = path,
                           .link = link,
                           .mode = mode,
                           .size = file ? 8 : 0,
                           .mtime_s = 9,
                           .mtime_ns = 123456789 };
    tar_write_header(a, &e);
    if (file) {
        str_add_n(a, contents, 8);
        tar_pad(a, 8);
    }
}

/* One letter for what is at a path: d, f, l, p, w (whiteout), c; - nothing; o: an opaque directory. */
static char kind_at(int root, const char *path)
{
    struct stat st;
    char value[2];
    if (fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return '-';
    own_fd int fd = S_ISDIR(st.st_mode) ? openat(root, path, O_RDONLY | O_CLOEXEC) : -1;
    const char *name = ids_in_userns() ? "user.overlay.opaque" : "trusted.overlay.opaque";
    if (fd >= 0 && fgetxattr(fd, name, value, sizeof value) == 1 && value[0] == 'y')
        return 'o';
    if (S_ISCHR(st.st_mode))
        return st.st_rdev == 0 ? 'w' : 'c';
    return S_ISDIR(st.st_mode) ? 'd' : S_ISREG(st.st_mode) ? 'f' : S_ISLNK(st.st_mode) ? 'l' : 'p';
}

/* "d:a f:a/b l:c>target h:d>a/b p:e" as an archive */
static void make(struct str *a, const char *spec)
{
    static const char letters[] = "dflhpc";
    static const enum tar_type types[] = { TAR_DIR, TAR_FILE, TAR_SYMLINK, TAR_HARD_LINK, TAR_FIFO, TAR_CHAR };
    own_strv struct strv words = { 0 };
    strv_split(&words, spec, ' ');
    for (size_t i = 0; i < words.n; i++) {
        char *word = words.items[i], *arrow = strchr(word, '>');
        if (arrow)
            *arrow = '\0';
        add(a, types[strchr(letters, word[0]) - letters], word + 2, arrow ? arrow + 1 : "",
            word[0] == 'd' ? 0755 : 0644);
    }
    tar_end(a);
}

TEST(entries_become_files_and_later_ones_replace_earlier_ones)
{
    static const struct {
        const char *archive, *paths, *kinds;
    } rows[] = {
        { "d:a f:a/b l:c>a p:e", "a a/b c e", "dflp" },
        { "f:a/b/c", "a a/b a/b/c", "ddf" },
        { "f:/a/../b f:./c f:d//e", "b c d/e", "fff" },
        { "f:a d:a f:a/b", "a a/b", "df" },
        { "d:a f:a/b f:a", "a", "f" },
        { "d:a f:a/b l:a>b", "a b", "l-" },
        { "l:a>b d:a", "a b", "d-" },
        { "d:b l:a>b f:a/c", "a b b/c", "ldf" },
        { "d:b l:a>/b f:a/c", "a b b/c", "ldf" },
        { "d:b l:a>../../../b f:a/c", "b/c", "f" },
        { "d:b l:a>b f:a/c d:a f:a/d", "a a/d b/c b/d", "dff-" },
        { "f:x l:a>x f:a", "a x", "ff" },
        { "f:a h:b>a h:c>/a h:d>./b", "b c d", "fff" },
        { "f:a h:a>a", "a", "f" },
        { "f:a f:b h:a>b", "a b", "ff" },
        { "l:a>x h:b>a", "b", "l" },
        { "d:. f:a", "a", "f" },
        /* whiteouts */
        { "f:.wh.a f:d/.wh.b", "a d/b d/.wh.b", "ww-" },
        { "d:d f:d/.wh..wh..opq f:d/a", "d d/a", "of" },
        { "f:d/.wh..wh..opq", "d", "o" },
        { "f:a f:.wh.a", "a", "f" },
        { "f:.wh.a f:a", "a", "f" },
        { "f:.wh.a l:a>b", "a", "l" },
        { "d:a f:a/x f:.wh.a", "a a/x", "of" },
        { "f:.wh.a d:a f:a/x", "a a/x", "of" },
        { "f:.wh..wh.plnk f:.wh..wh.aufs", ".wh..wh.plnk wh.plnk .wh.aufs", "---" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct place p;
        own_str struct str a = { 0 };
        own_strv struct strv paths = { 0 };
        char kinds[16] = { 0 };
        open_place(&p);
        make(&a, rows[i].archive);
        CHECK_OK(extract(&a, p.root, (struct untar_limits){ 0 }));
        strv_split(&paths, rows[i].paths, ' ');
        for (size_t n = 0; n < paths.n; n++)
            kinds[n] = kind_at(p.root, paths.items[n]);
        if (strcmp(kinds, rows[i].kinds) != 0)
            fail_msg("%s: %s is %s instead of %s", rows[i].archive, rows[i].paths, kinds, rows[i].kinds);
        close_place(&p);
    }
}

TEST(what_is_hostile_is_refused_and_reaches_nothing)
{
    static const struct {
        const char *archive, *text;
        struct untar_limits limits;
    } rows[] = {
        { "f:../precious", "'../precious': the name leads out of the layer", { 0 } },
        { "f:/../precious", "'/../precious': the name leads out of the layer", { 0 } },
        { "f:a/../../precious", "'a/../../precious': the name leads out of the layer", { 0 } },
        { "d:..", "'..': the name leads out of the layer", { 0 } },
        { "f:.", "'.': the layer's root would be no directory", { 0 } },
        { "l:/>a", "'/': the layer's root would be no directory", { 0 } },
        { "f:.wh...", "'.wh...': a whiteout of no name", { 0 } },
        { "f:a/.wh..", "'a/.wh..': a whiteout of no name", { 0 } },
        { "f:.wh.", "'.wh.': a whiteout of no name", { 0 } },
        { "h:a>../precious", "'a': hard link to '../precious': the name leads out of the layer", { 0 } },
        { "h:a>/precious", "'a': hard link to '/precious', which is no file of this layer", { 0 } },
        { "l:up>.. h:a>up/precious", "'a': hard link to 'up/precious', which is no file of this layer", { 0 } },
        { "d:d h:a>d", "'a': hard link to 'd', which is no file of this layer", { 0 } },
        { "d:d f:d/f h:d>d/f", "'d': hard link to 'd/f', which is no file of this layer", { 0 } },
        { "l:a>a f:a/b", "'a/b': open directory 'a' in the root: Too many levels of symbolic links", { 0 } },
        { "f:a f:a/b", "'a/b': open directory 'a' in the root: Not a directory", { 0 } },
        { "l:a>", "'a': link it to '': No such file or directory", { 0 } },
        { "f:a f:b f:c", "the layer has more than 2 entries", { .entries = 2 } },
        { "p:a c:b c:d c:e", "'e': the layer has more than 2 device files", { .devices = 2 } },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct place p;
        own_str struct str a = { 0 };
        open_place(&p);
        make(&a, rows[i].archive);
        own(err) err *e = extract(&a, p.root, rows[i].limits);
        assert_string_equal(err_text(e), rows[i].text);
        close_place(&p);
    }
}

/* Written through a link that leads out, each of these would land beside the root. */
TEST(links_out_lead_nowhere_but_inside)
{
    static const char *const archives[] = {
        "l:out>.. f:out/precious",
        "l:out>/proc/self/root f:out/precious",
        "l:out>../.. f:out/x",
        "l:out>/ f:out/precious f:out/new",
        "l:out>../precious f:out",
        "d:d l:d/out>../.. f:d/out/precious f:d/out/.wh.link f:d/out/.wh..wh..opq",
        "l:out>.. d:out/root h:out/x>out/precious",
        "l:out>.. d:out/new d:out/precious",
        "f:precious l:link>../precious h:l2>link f:link",
    };
    for (size_t i = 0; i < ARRAY_SIZE(archives); i++) {
        struct place p;
        own_str struct str a = { 0 };
        open_place(&p);
        make(&a, archives[i]);
        err_ignore(extract(&a, p.root, (struct untar_limits){ 0 }), "refused or inside, both are right");
        close_place(&p);
    }
}

/* A directory's attributes are set last; by then a link may be there, to anything. */
TEST(a_directory_that_became_a_link_keeps_its_attributes_to_itself)
{
    struct place p;
    struct stat st;
    own_str struct str a = { 0 };
    open_place(&p);
    add(&a, TAR_DIR, "victim", "", 0700);
    add(&a, TAR_DIR, "d", "", 01777);
    add(&a, TAR_SYMLINK, "d", "victim", 0777);
    tar_end(&a);
    CHECK_OK(extract(&a, p.root, (struct untar_limits){ 0 }));
    CHECK(fstatat(p.root, "victim", &st, AT_SYMLINK_NOFOLLOW) == 0 && (st.st_mode & 07777) == 0700);
    close_place(&p);
}

TEST(modes_times_owners_and_attributes_are_kept)
{
    struct place p;
    struct stat st;
    char value[16];
    own_str struct str a = { 0 };
    struct tar_xattr xattrs[] = { { "user.note", "hi", 2 }, { "user.overlay.opaque", "y", 1 } };
    mode_t before = umask(077);
    open_place(&p);
    struct tar_entry dir = {
        .type = TAR_DIR, .path = "d", .mode = 03750, .mtime_s = 1000, .mtime_ns = 5, .xattrs = xattrs, .xattrs_n = 2
    };
    tar_write_header(&a, &dir);
    struct tar_entry file = {
        .path = "d/f", .mode = 06755, .mtime_s = -5, .mtime_ns = 999999999, .xattrs = xattrs, .xattrs_n = 1
    };
    tar_write_header(&a, &file);
    add(&a, TAR_SYMLINK, "d/l", "f", 0777);
    add(&a, TAR_FIFO, "d/p", "", 0666);
    add(&a, TAR_FILE, "implied/f", "", 0666);
    tar_end(&a);
    CHECK_OK(extract(&a, p.root, (struct untar_limits){ 0 }));
    CHECK(fstatat(p.root, "d", &st, 0) == 0 && (st.st_mode & 07777) == 03750);
    CHECK(st.st_mtim.tv_sec == 1000 && st.st_mtim.tv_nsec == 5);
    CHECK(fstatat(p.root, "d/f", &st, 0) == 0 && (st.st_mode & 07777) == 06755 && st.st_gid == 0);
    CHECK(st.st_mtim.tv_sec == -5 && st.st_mtim.tv_nsec == 999999999);
    CHECK(fstatat(p.root, "d/l", &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtim.tv_nsec == 123456789);
    CHECK(fstatat(p.root, "d/p", &st, 0) == 0 && (st.st_mode & 07777) == 0666 && st.st_mtim.tv_nsec == 123456789);
    CHECK(fstatat(p.root, "implied", &st, 0) == 0 && (st.st_mode & 07777) == 0755);
    CHECK(kind_at(p.root, "d") == 'd'); /* overlayfs's own attributes are not a layer's to set */
    own_fd int fd = openat(p.root, "d/f", O_RDONLY | O_CLOEXEC);
    CHECK(fgetxattr(fd, "user.note", value, sizeof value) == 2 && memcmp(value, "hi", 2) == 0);
    close_now(&fd);
    fd = openat(p.root, "d", O_RDONLY | O_CLOEXEC);
    CHECK(fgetxattr(fd, "user.note", value, sizeof value) == 2);
    close_place(&p);
    umask(before);
}

/* Ways to make a tree deeper than descriptors or names last, so that it could not be removed any more. */
TEST(a_tree_of_any_depth_can_be_removed)
{
    struct place p;
    own_str struct str a = { 0 };
    own_str struct str deep = { 0 };
    open_place(&p);
    for (int i = 0; i < 150; i++)
        str_add(&deep, i ? "/d" : "d");
    add(&a, TAR_DIR, deep.text, "", 0755);
    for (int i = 0; i < 2; i++) { /* each link leads 150 directories deeper */
        own_mem char *link = mem_printf("l%d", i);
        own_mem char *target = i ? mem_printf("l%d/%s", i - 1, deep.text) : mem_strdup(deep.text);
        own_mem char *below = mem_printf("%s/%s", link, deep.text);
        add(&a, TAR_SYMLINK, link, target, 0777);
        add(&a, TAR_DIR, below, "", 0755);
    }
    tar_end(&a);
    struct rlimit few = { 200, 200 }, before;
    getrlimit(RLIMIT_NOFILE, &before);
    few.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_NOFILE, &few);
    CHECK_OK(extract(&a, p.root, (struct untar_limits){ 0 }));
    close_place(&p);
    setrlimit(RLIMIT_NOFILE, &before);
}

TEST(limits_come_from_the_environment)
{
    struct untar_limits limits = { 0 };
    setenv("HUSK_MAX_LAYER_BYTES", "1g", 1);
    setenv("HUSK_MAX_LAYER_ENTRIES", "10", 1);
    CHECK_OK(untar_limits_fill(&limits));
    CHECK(limits.bytes == 1u << 30 && limits.entries == 10 && limits.devices == 65536);
    limits = (struct untar_limits){ 0 };
    setenv("HUSK_MAX_LAYER_BYTES", "lots", 1);
    CHECK_ERR(untar_limits_fill(&limits), ERR_INVALID);
    unsetenv("HUSK_MAX_LAYER_BYTES");
    unsetenv("HUSK_MAX_LAYER_ENTRIES");
    CHECK_OK(untar_limits_fill(&limits));
    CHECK(limits.bytes == 64ull << 30);
}
