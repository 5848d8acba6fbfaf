// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include "base/mem.h"
#include "codec/tar.h"
#include "layers/diff.h"
#include "layers/layer.h"
#include "layers/unpack.h"
#include "os/fs.h"
#include "os/ids.h"
#include "os/userns.h"

struct place {
    char path[64];
    int fd, upper, lower;
    struct strv lowers;
};
static void open_place(struct place *p)
{
    CHECK_OK(userns_enter());
    *p = (struct place){ 0 };
    snprintf(p->path, sizeof p->path, "%s/husk-diff-XXXXXX", access("/var/tmp", W_OK) == 0 ? "/var/tmp" : "/tmp");
    CHECK(mkdtemp(p->path) != NULL);
    p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(mkdirat(p->fd, "upper", 0755) == 0 && mkdirat(p->fd, "lower", 0755) == 0);
    p->upper = openat(p->fd, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    p->lower = openat(p->fd, "lower", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    strv_add_printf(&p->lowers, "%s/lower", p->path);
}
static void close_place(struct place *p)
{
    close(p->upper);
    close(p->lower);
    close(p->fd);
    strv_free(&p->lowers);
    CHECK_OK(fs_remove_tree_at(AT_FDCWD, p->path));
}

static const char *opaque_name(void)
{
    return ids_in_userns() ? "user.overlay.opaque" : "trusted.overlay.opaque";
}
static void put(int dir, const char *path, const char *text)
{
    CHECK_OK(fs_replace_at(dir, path, text, strlen(text), 0640, FS_SYNC_NONE));
}
static void set_opaque(int dir, const char *path)
{
    own_fd int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(fsetxattr(fd, opaque_name(), "y", 1, 0) == 0);
}
static void set_time(int dir, const char *path, int64_t s)
{
    struct timespec t[2] = { { .tv_sec = s, .tv_nsec = 123456789 }, { .tv_sec = s, .tv_nsec = 123456789 } };
    CHECK(utimensat(dir, path, t, AT_SYMLINK_NOFOLLOW) == 0);
}

static fallible add(void *ctx, const void *bytes, size_t n)
{
    str_add_n(ctx, bytes, n);
    return NULL;
}

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
/* One line an entry: type, path, link. */
static char *names(const struct str *archive)
{
    static const char types[] = "fhlcbdp";
    struct whole w = { archive, false };
    own(tar) struct tar *t = tar_new((struct tar_source){ next_whole, &w });
    own_str struct str out = { 0 };
    for (;;) {
        const struct tar_entry *e;
        CHECK_OK(tar_next(t, &e));
        if (!e)
            return str_take(&out);
        str_printf(&out, "%c %s%s%s\n", types[e->type], e->path, *e->link ? " -> " : "", e->link);
    }
}

enum { HOLE = 4 << 20 };

/* Everything that a container may leave in its upper directory. */
static void fill(int upper)
{
    char data[100];
    CHECK(mkdirat(upper, "dir", 0750) == 0 && mkdirat(upper, "dir/deep", 01777) == 0);
    CHECK(mkdirat(upper, "gone-dir", 0755) == 0);
    put(upper, "dir/deep/file", "contents");
    put(upper, "empty", "");
    CHECK(linkat(upper, "dir/deep/file", upper, "zlink", 0) == 0);
    CHECK(symlinkat("../target", upper, "dir/symlink") == 0);
    CHECK(linkat(upper, "dir/symlink", upper, "dir/symlink2", 0) == 0);
    CHECK(mkfifoat(upper, "fifo", 0622) == 0);
    CHECK(mknodat(upper, "removed", S_IFCHR, 0) == 0);
    CHECK(linkat(upper, "removed", upper, "dir/removed-too", 0) == 0); /* as overlayfs shares them */
    set_opaque(upper, "gone-dir");
    put(upper, "gone-dir/new", "new");
    CHECK(fchownat(upper, "empty", 7, 9, 0) == 0 || errno == EINVAL);
    CHECK(fchmodat(upper, "empty", 04755, 0) == 0);
    int fd = openat(upper, "holes", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    CHECK(pwrite(fd, "begin", 5, 0) == 5 && pwrite(fd, "middle", 6, HOLE) == 6 && ftruncate(fd, 3 * HOLE) == 0);
    close(fd);
    fd = openat(upper, "only-hole", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    CHECK(ftruncate(fd, HOLE) == 0);
    CHECK(fsetxattr(fd, "user.two", "2", 1, 0) == 0 && fsetxattr(fd, "user.one", "\0\n=", 3, 0) == 0);
    close(fd);
    memset(data, 'n', sizeof data);
    own_mem char *long_name = mem_printf("%.*s%.*s", 100, data, 100, data);
    put(upper, long_name, "long");
    own_mem char *long_path = mem_printf("dir/%s", long_name);
    CHECK(symlinkat(long_path, upper, "long-link") == 0);
    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/socket", upper);
    CHECK(bind(sock, (struct sockaddr *)&a, sizeof a) == 0);
    close(sock);
    set_time(upper, "zlink", 1000000000);
    set_time(upper, "dir/symlink", -5);
}

TEST(all_that_a_container_leaves_becomes_entries_in_order)
{
    struct place p;
    own_str struct str tar = { 0 }, again = { 0 };
    open_place(&p);
    fill(p.upper);
    struct diff d = { .upper_fd = p.upper };
    CHECK_OK(diff_tar(&d, add, &tar));
    CHECK_OK(diff_tar(&d, add, &again));
    CHECK(tar.len == again.len && memcmp(tar.text, again.text, tar.len) == 0);
    CHECK(tar.len < HOLE); /* the holes are not in it */
    own_mem char *got = names(&tar);
    char n[201];
    memset(n, 'n', 200);
    n[200] = '\0';
    own_mem char *want = mem_printf("d dir/\n"
                                    "d dir/deep/\n"
                                    "f dir/deep/file\n"
                                    "f dir/.wh.removed-too\n"
                                    "l dir/symlink -> ../target\n"
                                    "h dir/symlink2 -> dir/symlink\n"
                                    "f empty\n"
                                    "p fifo\n"
                                    "d gone-dir/\n"
                                    "f gone-dir/.wh..wh..opq\n"
                                    "f gone-dir/new\n"
                                    "f holes\n"
                                    "l long-link -> dir/%s\n"
                                    "f %s\n"
                                    "f only-hole\n"
                                    "f .wh.removed\n"
                                    "h zlink -> dir/deep/file\n",
                                    n, n);
    assert_string_equal(got, want);
    close_place(&p);
}

static void skip_some(struct strv *skip)
{
    strv_add(skip, "dir");
    strv_add(skip, "empty");
}

TEST(what_is_to_be_skipped_is_and_times_are_held)
{
    struct place p;
    own_str struct str tar = { 0 };
    own_strv struct strv skip = { 0 };
    open_place(&p);
    fill(p.upper);
    skip_some(&skip);
    struct diff d = { .upper_fd = p.upper, .skip = &skip, .newest_s = 500000000 };
    CHECK_OK(diff_tar(&d, add, &tar));
    own_mem char *got = names(&tar);
    CHECK(!strstr(got, "dir/deep") && !strstr(got, "empty") && strstr(got, "f zlink\n"));
    struct whole w = { &tar, false };
    own(tar) struct tar *t = tar_new((struct tar_source){ next_whole, &w });
    for (;;) {
        const struct tar_entry *e;
        CHECK_OK(tar_next(t, &e));
        if (!e)
            break;
        CHECK(e->mtime_s <= 500000000);
    }
    close_place(&p);
}

/* Through the store and back: the layer's own tar is the same, whichever way it was packed. */
static void round_trip(const struct diff *d, struct layout *l, enum stream_form form, const char *diff_id)
{
    own(diff_result) struct diff_result r = { 0 }, again = { 0 };
    CHECK_OK(diff_put(d, form, 0, l, &r));
    if (diff_id)
        assert_string_equal(r.diff_id, diff_id);
    CHECK(layout_has_blob(l, r.digest, r.size));
    CHECK_OK(layer_unpack_blob(l, r.digest, r.diff_id, NULL, NULL));
    own_mem char *path = layer_path(l, r.diff_id);
    own_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_fd int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct diff of_layer = { .upper_fd = fd };
    CHECK_OK(diff_pack(&of_layer, form, 0, null, &again));
    assert_string_equal(again.diff_id, r.diff_id);
    assert_string_equal(again.digest, r.digest);
    assert_int_equal(again.size, r.size);
    int64_t size = 0;
    CHECK_OK(layer_size(l, r.diff_id, &size));
    assert_int_equal(size, r.tar_size);
}

TEST(a_diff_comes_back_out_of_the_store_as_it_went_in)
{
    struct place p;
    own(layout) struct layout *l = NULL;
    own(diff_result) struct diff_result plain = { 0 };
    open_place(&p);
    fill(p.upper);
    own_mem char *store = mem_printf("%s/store", p.path);
    CHECK_OK(layout_open(store, true, &l));
    struct diff d = { .upper_fd = p.upper };
    CHECK_OK(diff_put(&d, STREAM_PLAIN, 0, l, &plain));
    assert_string_equal(plain.digest, plain.diff_id);
    assert_int_equal(plain.size, plain.tar_size);
    round_trip(&d, l, STREAM_GZIP, plain.diff_id);
    round_trip(&d, l, STREAM_ZSTD, plain.diff_id);
    own_mem char *layer = layer_path(l, plain.diff_id);
    own_mem char *holes = mem_printf("%s/holes", layer);
    struct stat st;
    CHECK(stat(holes, &st) == 0 && st.st_size == 3 * HOLE && st.st_blocks * 512 < HOLE);
    own_fd int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    CHECK_ERR(diff_pack(&d, STREAM_XZ, 0, null, &(struct diff_result){ 0 }), ERR_UNSUPPORTED);
    CHECK_ERR(diff_pack(&d, STREAM_GZIP, 9, null, &(struct diff_result){ 0 }), ERR_INVALID);
    close_place(&p);
}

static fallible note(void *ctx, enum diff_kind kind, const char *path)
{
    str_printf(ctx, "%c %s\n", (char)kind, path);
    return NULL;
}

static void fill_lower(int lower)
{
    CHECK(mkdirat(lower, "same", 0755) == 0 && mkdirat(lower, "same/inner", 0755) == 0);
    CHECK(mkdirat(lower, "old", 0755) == 0 && mkdirat(lower, "chmodded", 0700) == 0);
    put(lower, "same/inner/changed", "1");
    put(lower, "same/inner/removed", "1");
    put(lower, "old/kept-name", "1");
    put(lower, "old/hidden", "1");
    CHECK(mkdirat(lower, "old/sub", 0755) == 0);
    put(lower, "old/sub/deep", "1");
    put(lower, "was-file", "1");
    set_time(lower, "same/inner", 1000);
    set_time(lower, "same", 1000);
    set_time(lower, "chmodded", 1000);
}

TEST(changes_are_told_with_the_directories_around_them)
{
    struct place p;
    own_str struct str got = { 0 };
    open_place(&p);
    fill_lower(p.lower);
    CHECK(mkdirat(p.upper, "same", 0755) == 0 && mkdirat(p.upper, "same/inner", 0755) == 0);
    CHECK(mkdirat(p.upper, "old", 0755) == 0 && mkdirat(p.upper, "chmodded", 0701) == 0);
    CHECK(mkdirat(p.upper, "was-file", 0755) == 0 && mkdirat(p.upper, "new", 0755) == 0);
    put(p.upper, "same/inner/changed", "2");
    CHECK(mknodat(p.upper, "same/inner/removed", S_IFCHR, 0) == 0);
    set_opaque(p.upper, "old");
    put(p.upper, "old/kept-name", "2");
    CHECK(mkdirat(p.upper, "old/sub", 0755) == 0);
    put(p.upper, "old/sub/other", "2");
    put(p.upper, "new/file", "2");
    put(p.upper, "was-file/inside", "2");
    set_time(p.upper, "same/inner", 1000);
    set_time(p.upper, "same", 1000);
    set_time(p.upper, "chmodded", 1000);
    struct diff d = { .upper_fd = p.upper, .lowers = &p.lowers };
    CHECK_OK(diff_list(&d, note, &got));
    assert_string_equal(got.text, "C /chmodded\n"
                                  "A /new\n"
                                  "A /new/file\n"
                                  "C /old\n"
                                  "D /old/hidden\n"
                                  "C /old/kept-name\n"
                                  "C /old/sub\n"
                                  "D /old/sub/deep\n"
                                  "A /old/sub/other\n"
                                  "C /same\n"
                                  "C /same/inner\n"
                                  "C /same/inner/changed\n"
                                  "D /same/inner/removed\n"
                                  "C /was-file\n"
                                  "A /was-file/inside\n");
    close_place(&p);
}

TEST(a_directory_copied_up_untouched_is_no_change)
{
    struct place p;
    own_str struct str got = { 0 };
    open_place(&p);
    fill_lower(p.lower);
    CHECK(mkdirat(p.upper, "same", 0755) == 0);
    set_time(p.upper, "same", 1000);
    struct diff d = { .upper_fd = p.upper, .lowers = &p.lowers };
    CHECK_OK(diff_list(&d, note, &got));
    CHECK(got.len == 0);
    close_place(&p);
}

TEST(owners_go_back_through_the_id_map)
{
    struct place p;
    own_str struct str tar = { 0 };
    struct id_map map = { 0 };
    open_place(&p);
    put(p.upper, "file", "x");
    id_map_add(&map, 1000, 0, 10);
    struct diff d = { .upper_fd = p.upper, .uids = &map, .gids = &map };
    CHECK_OK(diff_tar(&d, add, &tar));
    struct whole w = { &tar, false };
    own(tar) struct tar *t = tar_new((struct tar_source){ next_whole, &w });
    const struct tar_entry *e;
    CHECK_OK(tar_next(t, &e));
    CHECK(e && e->uid == 1000 && e->gid == 1000);
    id_map_free(&map);
    map = (struct id_map){ 0 };
    id_map_add(&map, 0, 5, 1);
    CHECK_SAYS(diff_tar(&d, add, &tar),
               "'/file': it belongs to user 0, which the container's user namespace does not have");
    id_map_free(&map);
    close_place(&p);
}

TEST(a_whole_tree_has_its_root_and_no_whiteouts)
{
    struct place p;
    own_str struct str tar = { 0 };
    open_place(&p);
    put(p.upper, ".wh.file", "x");
    struct diff d = { .upper_fd = p.upper, .whole = true };
    CHECK_OK(diff_tar(&d, add, &tar));
    own_mem char *got = names(&tar);
    assert_string_equal(got, "d ./\nf .wh.file\n");
    close_place(&p);
}

TEST(a_renamed_directory_is_refused)
{
    struct place p;
    own_str struct str tar = { 0 };
    open_place(&p);
    CHECK(mkdirat(p.upper, "dir", 0755) == 0);
    own_fd int fd = openat(p.upper, "dir", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(fsetxattr(fd, ids_in_userns() ? "user.overlay.redirect" : "trusted.overlay.redirect", "/elsewhere", 10, 0) ==
          0);
    struct diff d = { .upper_fd = p.upper };
    CHECK_ERR(diff_tar(&d, add, &tar), ERR_UNSUPPORTED);
    close_place(&p);
}

TEST(a_file_without_bytes_of_its_own_has_those_of_the_layer_below)
{
    struct place p;
    own_str struct str tar = { 0 };
    open_place(&p);
    put(p.lower, "file", "below");
    put(p.upper, "file", "");
    own_fd int fd = openat(p.upper, "file", O_WRONLY | O_CLOEXEC);
    CHECK(ftruncate(fd, 5) == 0);
    CHECK(fsetxattr(fd, ids_in_userns() ? "user.overlay.metacopy" : "trusted.overlay.metacopy", "", 0, 0) == 0);
    struct diff d = { .upper_fd = p.upper, .lowers = &p.lowers };
    CHECK_OK(diff_tar(&d, add, &tar));
    CHECK(memmem(tar.text, tar.len, "below", 6) != NULL);
    tar.len = 0;
    d.lowers = NULL;
    CHECK_ERR(diff_tar(&d, add, &tar), ERR_UNSUPPORTED);
    close_place(&p);
}
