// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "codec/digest.h"
#include "codec/pool.h"
#include "image/blob.h"
#include "layers/import.h"
#include "layers/layer.h"
#include "layers/mountpoints.h"
#include "layers/unpack.h"
#include "os/fs.h"
#include "os/userns.h"

static char store_path[64];

static struct layout *new_store(void)
{
    struct layout *l = NULL;
    CHECK_OK(userns_enter());
    snprintf(store_path, sizeof store_path, "/tmp/husk-unpack-XXXXXX");
    CHECK(mkdtemp(store_path) != NULL);
    CHECK_OK(layout_open(store_path, true, &l));
    return l;
}
static void drop_store(struct layout *take_l)
{
    layout_free(take_l);
    CHECK_OK(fs_remove_tree_at(AT_FDCWD, store_path));
}

static size_t count(struct layout *l, const char *dir)
{
    size_t n = 0;
    int fd = openat(l->fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_dir DIR *d = fdopendir(fd);
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    return n;
}

/* A layer with one file of its own name, and big enough for several buffers. */
static void make_layer(struct str *tar, const char *name, size_t size)
{
    own_mem char *contents = mem_zalloc(size + 1);
    memset(contents, name[0], size);
    struct tar_entry e = { .path = name, .mode = 0644, .size = size };
    tar_write_header(tar, &e);
    str_add_n(tar, contents, size);
    tar_pad(tar, size);
    tar_end(tar);
}

static int file_with(const struct str *bytes)
{
    int fd = -1;
    CHECK_OK(fs_memfd("layer", &fd));
    CHECK_OK(fs_write_fd(fd, bytes->text, bytes->len, "layer"));
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

static fallible unpack(struct layout *l, const struct str *tar, const char *diff_id, struct untar_limits limits,
                       char **ret_id)
{
    own_fd int fd = file_with(tar);
    struct unpack u = { .source = stream_source_fd(&fd), .diff_id = diff_id, .limits = limits };
    return layer_unpack(l, &u, ret_id);
}

enum { BIG = 9 << 20 };

TEST(the_layer_of_mount_points_is_made_once_and_whole)
{
    struct layout *l = new_store();
    own_mem char *path = NULL, *again = NULL;
    struct stat st;
    CHECK_OK(mountpoints_path(l, &path));
    CHECK(fstatat(l->fd, "mountpoints/etc/resolv.conf", &st, 0) == 0 && S_ISREG(st.st_mode) && st.st_size == 0);
    CHECK((st.st_mode & 07777) == 0644);
    CHECK(fstatat(l->fd, "mountpoints/proc", &st, 0) == 0 && (st.st_mode & 07777) == 0755);
    CHECK(count(l, "tmp") == 0);
    CHECK_OK(mountpoints_path(l, &again));
    assert_string_equal(path, again);
    drop_store(l);
}

TEST(a_layer_is_there_whole_under_its_digest)
{
    struct layout *l = new_store();
    own_str struct str tar = { 0 };
    own_mem char *id = NULL;
    struct stat st;
    int64_t size = 0;
    make_layer(&tar, "file", BIG);
    own_mem char *want = digest_of(tar.text, tar.len);
    CHECK(!layer_exists(l, want));
    CHECK_OK(unpack(l, &tar, NULL, (struct untar_limits){ 0 }, &id));
    assert_string_equal(id, want);
    CHECK(layer_exists(l, want));
    CHECK_OK(layer_size(l, want, &size));
    assert_int_equal(size, tar.len);
    own_mem char *path = layer_path(l, want);
    own_mem char *file = mem_printf("%s/file", path);
    CHECK(stat(file, &st) == 0 && st.st_size == BIG);
    CHECK_OK(unpack(l, &tar, want, (struct untar_limits){ 0 }, NULL)); /* again: nothing to do */
    CHECK_OK(unpack(l, &tar, NULL, (struct untar_limits){ 0 }, NULL)); /* again, not knowing it: the first one stays */
    assert_int_equal(count(l, "layers"), 1);
    assert_int_equal(count(l, "tmp"), 0);
    drop_store(l);
}

TEST(what_fails_leaves_nothing)
{
    struct layout *l = new_store();
    own_str struct str tar = { 0 }, cut = { 0 };
    const char *other = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    make_layer(&tar, "file", BIG);
    own_mem char *id = digest_of(tar.text, tar.len);
    own_mem char *said =
        mem_printf("unpack layer 000000000000: its contents have the digest %s instead of %s", id, other);
    CHECK_SAYS(unpack(l, &tar, other, (struct untar_limits){ 0 }, NULL), said);
    str_add_n(&cut, tar.text, BIG / 2);
    CHECK_ERR(unpack(l, &cut, other, (struct untar_limits){ 0 }, NULL), ERR_CORRUPT);
    CHECK_SAYS(unpack(l, &tar, other, (struct untar_limits){ .bytes = BIG }, NULL),
               "unpack layer 000000000000: 'file': more than 9437184 bytes come out of it");
    tar.text[0] ^= 1;
    CHECK_ERR(unpack(l, &tar, NULL, (struct untar_limits){ 0 }, NULL), ERR_CORRUPT);
    CHECK_SAYS(unpack(l, &tar, "../../etc", (struct untar_limits){ 0 }, NULL),
               "unpack layer: '../../etc' is no digest");
    assert_int_equal(count(l, "layers"), 0);
    assert_int_equal(count(l, "tmp"), 0);
    drop_store(l);
}

struct many {
    struct layout *l;
    const struct str *tar;
    const char *id;
};
static err *unpack_job(struct pool *pool, void *ctx, size_t number)
{
    struct many *m = ctx;
    return unpack(m->l, m->tar, number % 2 ? m->id : NULL, (struct untar_limits){ 0 }, NULL);
}

TEST(many_writers_of_one_layer_make_one)
{
    struct layout *l = new_store();
    own_str struct str tar = { 0 };
    make_layer(&tar, "file", BIG);
    own_mem char *id = digest_of(tar.text, tar.len);
    struct many m = { l, &tar, id };
    CHECK_OK(pool_run(6, 12, unpack_job, &m));
    assert_int_equal(count(l, "layers"), 1);
    assert_int_equal(count(l, "tmp"), 0);
    drop_store(l);
}

/* A name in index.json keeps what hangs on it; without one, all of it goes. */
static struct oci_descriptor *make_image(struct layout *l, const char *file, char **ret_diff_id)
{
    own_str struct str tar = { 0 };
    own_mem char *digest = NULL;
    own_mem char *id = NULL;
    struct oci_descriptor *target = NULL;
    make_layer(&tar, file, 10000);
    CHECK_OK(blob_put(l, tar.text, tar.len, &digest));
    CHECK_OK(layer_unpack_blob(l, digest, digest, NULL, NULL));
    struct oci_descriptor layer = { .media_type = (char *)MEDIA_OCI_LAYER, .digest = digest, .size = (int64_t)tar.len };
    struct import i = { .comment = file };
    CHECK_OK(import_describe(l, &i, &layer, digest, &target, &id));
    *ret_diff_id = take(digest);
    return target;
}

/* Manifests. */
static fallible keep_these(void *ctx, struct sweep_kept *ret)
{
    const struct strv *keep = ctx;
    strv_copy(&ret->manifests, keep->items, keep->n);
    return NULL;
}
/* Files get their times from a clock that ticks every few milliseconds; a sweep keeps what is of its own tick. */
static void next_tick(void)
{
    CHECK(usleep(50000) == 0);
}
static fallible sweep(struct layout *l, struct strv *keep, struct sweep_result *ret)
{
    next_tick();
    return layers_sweep(l, &(struct sweep_options){ .keep = keep ? keep_these : NULL, .keep_ctx = keep }, ret);
}

TEST(a_sweep_removes_what_nothing_needs)
{
    struct layout *l = new_store();
    own_mem char *named = NULL;
    own_mem char *unnamed = NULL;
    own_mem char *kept = NULL;
    own_mem char *lost = NULL;
    own(import_target) struct oci_descriptor *a = make_image(l, "a", &named);
    own(import_target) struct oci_descriptor *b = make_image(l, "b", &unnamed);
    own(import_target) struct oci_descriptor *c = make_image(l, "c", &kept);
    own(import_target) struct oci_descriptor *d = make_image(l, "d", &lost);
    own_strv struct strv keep = { 0 };
    struct sweep_result freed = { 0 };
    strv_add(&keep, c->digest);
    CHECK_OK(layout_set_name(l, "docker.io/library/a:latest", a));
    CHECK_OK(layout_add_unnamed(l, b));
    CHECK_OK(layout_add_unnamed(l, b));
    CHECK_OK(layout_add_unnamed(l, a)); /* has a name: nothing to add */
    CHECK(mkdirat(l->fd, "tmp/layer-killed", 0700) == 0 && mkdirat(l->fd, "tmp/layer-killed/fs", 0) == 0);
    next_tick();
    CHECK_OK(
        layers_sweep(l, &(struct sweep_options){ .keep = keep_these, .keep_ctx = &keep, .dry_run = true }, &freed));
    CHECK(layer_exists(l, lost) && freed.blobs == 3 && freed.layers == 1);
    CHECK_OK(sweep(l, &keep, &freed));
    CHECK(layer_exists(l, named) && layer_exists(l, unnamed) && layer_exists(l, kept) && !layer_exists(l, lost));
    CHECK(!layout_has_blob(l, d->digest, -1) && layout_has_blob(l, c->digest, -1));
    assert_int_equal(count(l, "blobs/sha256"), 9);
    assert_int_equal(count(l, "tmp"), 0);
    CHECK(freed.bytes > 10000 && freed.bytes < 100000 && freed.blobs == 3 && freed.layers == 1);

    CHECK_OK(layout_remove_unnamed(l, b->digest));
    CHECK_ERR(layout_remove_unnamed(l, b->digest), ERR_NOT_FOUND);
    CHECK_ERR(layout_remove_unnamed(l, a->digest), ERR_NOT_FOUND);
    CHECK_OK(layout_remove_name(l, "docker.io/library/a:latest"));
    CHECK_OK(sweep(l, NULL, NULL));
    assert_int_equal(count(l, "blobs/sha256"), 0);
    assert_int_equal(count(l, "layers"), 0);
    drop_store(l);
}

TEST(a_sweep_that_cannot_know_removes_nothing)
{
    struct layout *l = new_store();
    own_mem char *diff_id = NULL;
    own_mem char *other_id = NULL;
    own(import_target) struct oci_descriptor *a = make_image(l, "a", &diff_id);
    own(import_target) struct oci_descriptor *b = make_image(l, "b", &other_id);
    CHECK_OK(layout_set_name(l, "docker.io/library/a:latest", a));
    CHECK(!str_eq(a->digest, b->digest));
    own_mem char *path = layout_blob_path(a->digest);
    CHECK_OK(fs_replace_at(l->fd, path, "{}", 2, 0644, FS_SYNC_NONE));
    CHECK_ERR(sweep(l, NULL, NULL), ERR_INVALID);
    CHECK(layer_exists(l, diff_id) && layer_exists(l, other_id));
    drop_store(l);
}

TEST(an_opaque_root_hides_all_lower_layers)
{
    struct layout *l = new_store();
    own_str struct str low = { 0 }, opaque = { 0 }, top = { 0 };
    struct oci_rootfs rootfs = { 0 };
    struct oci_image_config config = { .rootfs = &rootfs };
    struct image image = { .config = &config };
    own_strv struct strv paths = { 0 };
    own_mem char *ids[3] = { 0 };
    make_layer(&low, "low", 10);
    make_layer(&opaque, ".wh..wh..opq", 0);
    make_layer(&top, "top", 10);
    const struct str *tars[] = { &low, &opaque, &top };
    for (int i = 0; i < 3; i++) {
        CHECK_OK(unpack(l, tars[i], NULL, (struct untar_limits){ 0 }, &ids[i]));
        strv_add(&rootfs.diff_ids, ids[i]);
    }
    CHECK_OK(layer_paths(l, &image, &paths));
    assert_int_equal(paths.n, 2);
    CHECK(strstr(paths.items[0], digest_hex(ids[2])) && strstr(paths.items[1], digest_hex(ids[1])));
    strv_free(&rootfs.diff_ids);
    for (int i = 1; i < 3; i++)
        free(ids[i]);
    drop_store(l);
}

/* What a session that adds has made or found is kept while it lasts, though nothing names it yet. */
TEST(a_sweep_leaves_what_a_session_adds)
{
    struct layout *l = new_store();
    own_mem char *before = NULL;
    own_mem char *during = NULL;
    own_mem char *found = NULL;
    own_mem char *session = NULL;
    int fd = -1;
    own(import_target) struct oci_descriptor *a = make_image(l, "a", &before);
    own(import_target) struct oci_descriptor *b = make_image(l, "b", &found);
    next_tick();
    CHECK_OK(layout_begin_adding(l, &session, &fd));
    own(import_target) struct oci_descriptor *c = make_image(l, "c", &during);
    CHECK(layout_use_blob(l, b->digest, b->size) && layer_use(l, found));
    CHECK(!layout_use_blob(l, b->digest, b->size + 1));
    CHECK_OK(sweep(l, NULL, NULL));
    CHECK(!layer_exists(l, before) && layer_exists(l, found) && layer_exists(l, during));
    CHECK(!layout_has_blob(l, a->digest, -1) && layout_has_blob(l, b->digest, -1) && layout_has_blob(l, c->digest, -1));
    CHECK(!layer_use(l, before));
    layout_end_adding(l, session, &fd);
    CHECK_OK(sweep(l, NULL, NULL));
    CHECK(!layer_exists(l, found) && !layer_exists(l, during));
    assert_int_equal(count(l, "blobs/sha256"), 0);
    assert_int_equal(count(l, "tmp"), 0);
    drop_store(l);
}

TEST(packed_layers_go_when_they_are_unpacked)
{
    struct layout *l = new_store();
    own_mem char *id = NULL;
    uint64_t bytes = 0;
    own(import_target) struct oci_descriptor *a = make_image(l, "a", &id);
    CHECK_OK(layout_set_name(l, "docker.io/library/a:latest", a));
    next_tick();
    CHECK(!layer_usage(l, id, &bytes));
    CHECK_OK(layers_measure(l));
    CHECK(layer_usage(l, id, &bytes) && bytes >= 12288 && bytes < 65536);
    CHECK_OK(layers_sweep(l, &(struct sweep_options){ .drop_packed = true }, NULL));
    CHECK(layer_exists(l, id) && !layout_has_blob(l, id, -1) && layout_has_blob(l, a->digest, -1));
    assert_int_equal(count(l, "blobs/sha256"), 2);
    drop_store(l);
}
