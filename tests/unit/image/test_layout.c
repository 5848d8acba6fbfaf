// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "image/blob.h"
#include "image/layout.h"
#include "os/fs.h"

struct fixture {
    char dir[32];
    struct layout *l;
};

static void begin(struct fixture *f)
{
    memcpy(f->dir, "/tmp/husk-layout-XXXXXX", sizeof "/tmp/husk-layout-XXXXXX");
    CHECK(mkdtemp(f->dir) != NULL);
    CHECK_OK(layout_open(f->dir, true, &f->l));
}

static void end(struct fixture *f)
{
    layout_free(f->l);
    CHECK_OK(fs_remove_tree_at(AT_FDCWD, f->dir));
}

static struct oci_descriptor put(struct fixture *f, char *media_type, const char *text)
{
    struct oci_descriptor d = { .media_type = media_type, .size = (int64_t)strlen(text) };
    CHECK_OK(blob_put(f->l, text, strlen(text), &d.digest));
    return d;
}

/* An image without layers, told from others by its author. */
static struct oci_descriptor put_image(struct fixture *f, const char *author, const char *architecture)
{
    own_mem char *config = mem_printf("{\"author\":\"%s\",\"architecture\":\"%s\",\"os\":\"linux\","
                                      "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}",
                                      author, architecture);
    struct oci_descriptor c = put(f, (char *)(uintptr_t)MEDIA_OCI_CONFIG, config);
    own_mem char *digest = c.digest;
    own_mem char *manifest = mem_printf("{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_MANIFEST "\",\"config\":{"
                                        "\"mediaType\":\"" MEDIA_OCI_CONFIG "\",\"digest\":\"%s\",\"size\":%lld},"
                                        "\"layers\":[]}",
                                        digest, (long long)c.size);
    return put(f, (char *)(uintptr_t)MEDIA_OCI_MANIFEST, manifest);
}

static struct oci_descriptor put_index(struct fixture *f, const struct oci_descriptor *a, const char *arch_a,
                                       const struct oci_descriptor *b, const char *arch_b)
{
    own_mem char *index = mem_printf(
        "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_INDEX "\",\"manifests\":["
        "{\"mediaType\":\"" MEDIA_OCI_MANIFEST "\",\"digest\":\"%s\",\"size\":%lld,\"platform\":{\"os\":\"linux\","
        "\"architecture\":\"%s\"}},"
        "{\"mediaType\":\"" MEDIA_OCI_MANIFEST "\",\"digest\":\"%s\",\"size\":%lld,\"platform\":{\"os\":\"linux\","
        "\"architecture\":\"%s\"}}]}",
        a->digest, (long long)a->size, arch_a, b->digest, (long long)b->size, arch_b);
    return put(f, (char *)(uintptr_t)MEDIA_OCI_INDEX, index);
}

static const char *host_arch(void)
{
    return platform_of_host() + strlen("linux/");
}

TEST(an_image_is_found_by_every_form_of_its_name_and_by_its_id)
{
    struct fixture f = { 0 };
    begin(&f);
    struct oci_descriptor d = put_image(&f, "me", host_arch());
    CHECK_OK(layout_set_name(f.l, "docker.io/library/it:latest", &d));
    own(image) struct image *first = NULL;
    CHECK_OK(image_find(f.l, "it", NULL, &first));
    own_mem char *by_digest = mem_printf("it@%s", d.digest);
    own_mem char *by_tag_and_digest = mem_printf("it:other@%s", d.digest);
    own_mem char *short_id = mem_strndup(digest_hex(first->id), 12);
    const char *const ways[] = { "it:latest", "docker.io/library/it", by_digest, by_tag_and_digest,
                                 first->id,   digest_hex(first->id),  short_id };
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        own(image) struct image *image = NULL;
        CHECK_OK(image_find(f.l, ways[i], NULL, &image));
        assert_string_equal(image->id, first->id);
        assert_string_equal(image->manifest_digest, d.digest);
        assert_string_equal(image->config->author, "me");
        CHECK(!!image->name == (i < 4));
    }
    free(d.digest);
    end(&f);
}

TEST(what_is_not_there_is_not_found)
{
    struct fixture f = { 0 };
    begin(&f);
    struct image *image = NULL;
    CHECK_SAYS(image_find(f.l, "nope", NULL, &image), "image 'nope': no such image");
    CHECK_SAYS(image_find(f.l, "abcd", NULL, &image), "image 'abcd': no such image");
    CHECK_ERR(image_find(f.l, "a", NULL, &image), ERR_NOT_FOUND);
    CHECK_SAYS(image_find(f.l, "Nope", NULL, &image), "image name 'Nope': repository 'Nope' must be lower case");
    CHECK_SAYS(layout_remove_name(f.l, "docker.io/library/nope:latest"),
               "remove image 'docker.io/library/nope:latest': no such image");
    CHECK(image == NULL);
    end(&f);
}

TEST(a_name_wins_over_an_id_and_an_ambiguous_prefix_is_refused)
{
    struct fixture f = { 0 };
    char seen[256] = { 0 };
    char twice[3] = "", once[3] = "";
    begin(&f);
    /* Many images, so that two of them begin alike for certain: there are 256 pairs of digits. */
    for (int i = 0; i < 80; i++) {
        own_mem char *author = mem_printf("a%d", i);
        own_mem char *name = mem_printf("docker.io/library/n%d:latest", i);
        own(image) struct image *image = NULL;
        struct oci_descriptor d = put_image(&f, author, host_arch());
        CHECK_OK(layout_set_name(f.l, name, &d));
        free(d.digest);
        CHECK_OK(image_find(f.l, name, NULL, &image));
        char pair[3] = { digest_hex(image->id)[0], digest_hex(image->id)[1], 0 };
        unsigned char *count = (unsigned char *)&seen[strtoul(pair, NULL, 16)];
        if (++*count == 2)
            memcpy(twice, pair, 3);
        memcpy(once, pair, 3);
    }
    CHECK(*twice);
    struct image *none = NULL;
    CHECK_ERR(image_find(f.l, twice, NULL, &none), ERR_CONFLICT);

    own(image) struct image *named = NULL;
    struct oci_descriptor d = put_image(&f, "named", host_arch());
    own_mem char *name = mem_printf("docker.io/library/%s:latest", twice);
    CHECK_OK(layout_set_name(f.l, name, &d));
    CHECK_OK(image_find(f.l, twice, NULL, &named));
    assert_string_equal(named->config->author, "named");
    free(d.digest);
    end(&f);
}

TEST(a_name_moves_to_its_new_image_and_the_others_keep_their_order)
{
    static const char *const names[] = { "docker.io/library/a:1", "docker.io/library/b:1", "docker.io/library/c:1" };
    struct fixture f = { 0 };
    struct image **list = NULL;
    size_t n = 0;
    begin(&f);
    struct oci_descriptor old = put_image(&f, "old", host_arch()), new = put_image(&f, "new", host_arch());
    for (size_t i = 0; i < 3; i++)
        CHECK_OK(layout_set_name(f.l, names[i], &old));
    CHECK_OK(layout_set_name(f.l, names[1], &new));
    CHECK_OK(image_list(f.l, &list, &n));
    assert_int_equal(n, 3);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(list[i]->name, names[i]);
        assert_string_equal(list[i]->config->author, i == 1 ? "new" : "old");
        image_free(list[i]);
    }
    free(list);
    CHECK_OK(layout_remove_name(f.l, names[0]));
    CHECK_OK(image_list(f.l, &list, &n));
    assert_int_equal(n, 2);
    assert_string_equal(list[0]->name, names[1]);
    image_free(list[0]);
    image_free(list[1]);
    free(list);
    free(old.digest);
    free(new.digest);
    end(&f);
}

TEST(an_index_gives_the_image_for_the_platform_that_is_asked)
{
    struct fixture f = { 0 };
    begin(&f);
    struct oci_descriptor here = put_image(&f, "here", host_arch()), there = put_image(&f, "there", "sparc64");
    struct oci_descriptor index = put_index(&f, &here, host_arch(), &there, "sparc64");
    CHECK_OK(layout_set_name(f.l, "docker.io/library/multi:latest", &index));
    own(image) struct image *mine = NULL;
    own(image) struct image *other = NULL;
    struct image *none = NULL;
    CHECK_OK(image_find(f.l, "multi", NULL, &mine));
    CHECK_OK(image_find(f.l, "multi", "linux/sparc64", &other));
    assert_string_equal(mine->config->author, "here");
    assert_string_equal(other->config->author, "there");
    CHECK_ERR(image_find(f.l, "multi", "linux/vax", &none), ERR_NOT_FOUND);
    CHECK_ERR(image_find(f.l, "multi", "linux//", &none), ERR_INVALID);

    /* The other one was never pulled: it is not there, and that is no corruption. */
    own_mem char *path = layout_blob_path(there.digest);
    CHECK(unlinkat(f.l->fd, path, 0) == 0);
    CHECK_ERR(image_find(f.l, "multi", "linux/sparc64", &none), ERR_NOT_FOUND);
    own(image) struct image *again = NULL;
    CHECK_OK(image_find(f.l, "multi", NULL, &again));
    free(here.digest);
    free(there.digest);
    free(index.digest);
    end(&f);
}

TEST(damage_is_reported_and_hides_no_other_image)
{
    struct fixture f = { 0 };
    struct image **list = NULL, *none = NULL;
    size_t n = 0;
    begin(&f);
    struct oci_descriptor good = put_image(&f, "good", host_arch()), bad = put_image(&f, "bad", host_arch());
    CHECK_OK(layout_set_name(f.l, "docker.io/library/bad:latest", &bad));
    CHECK_OK(layout_set_name(f.l, "docker.io/library/good:latest", &good));
    own(image) struct image *before = NULL;
    CHECK_OK(image_find(f.l, "good", NULL, &before));
    own_mem char *path = layout_blob_path(bad.digest);
    own_fd int fd = openat(f.l->fd, path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_ERR(image_find(f.l, "bad", NULL, &none), ERR_CORRUPT);
    CHECK(unlinkat(f.l->fd, path, 0) == 0);
    CHECK_ERR(image_find(f.l, "bad", NULL, &none), ERR_CORRUPT);
    own(image) struct image *good_by_id = NULL;
    CHECK_OK(image_find(f.l, before->id, NULL, &good_by_id));
    CHECK_OK(image_list(f.l, &list, &n));
    assert_int_equal(n, 1);
    image_free(list[0]);
    free(list);
    free(good.digest);
    free(bad.digest);
    end(&f);
}

TEST(a_blob_is_there_whole_and_right_or_not_at_all)
{
    struct fixture f = { 0 };
    own_mem char *digest = NULL;
    begin(&f);
    CHECK_OK(blob_put(f.l, "hello", 5, &digest));
    own_mem char *path = layout_blob_path(digest);
    CHECK(layout_has_blob(f.l, digest, 5));
    CHECK(!layout_has_blob(f.l, digest, 6));
    CHECK(unlinkat(f.l->fd, path, 0) == 0);

    struct blob *b = NULL;
    CHECK_OK(blob_begin(f.l, digest, 5, &b));
    CHECK_OK(blob_add(b, "hullo", 5));
    CHECK_ERR(blob_end(b), ERR_CORRUPT);
    blob_free(b);
    CHECK_OK(blob_begin(f.l, digest, 5, &b));
    assert_int_equal(blob_bytes(b), 0); /* the wrong bytes are gone */
    CHECK_OK(blob_add(b, "hel", 3));
    CHECK_ERR(blob_add(b, "lo!", 3), ERR_CORRUPT);
    blob_free(b); /* killed here, as it were */
    CHECK(!layout_has_blob(f.l, digest, -1));

    CHECK_OK(blob_begin(f.l, digest, 5, &b));
    assert_int_equal(blob_bytes(b), 3);
    CHECK_ERR(blob_end(b), ERR_CORRUPT);
    CHECK_OK(blob_add(b, "lo", 2));
    CHECK_OK(blob_end(b));
    blob_free(b);
    CHECK(layout_has_blob(f.l, digest, 5));
    CHECK_OK(blob_begin(f.l, digest, 5, &b));
    CHECK(b == NULL);
    end(&f);
}

TEST(a_second_writer_waits_and_finds_the_blob_there)
{
    struct fixture f = { 0 };
    own_mem char *digest = NULL;
    struct blob *b = NULL;
    int ready[2], status = 0;
    begin(&f);
    CHECK_OK(blob_put(f.l, "hello", 5, &digest));
    own_mem char *path = layout_blob_path(digest);
    CHECK(unlinkat(f.l->fd, path, 0) == 0);
    CHECK(pipe2(ready, O_CLOEXEC) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct blob *mine = NULL;
        bool ok = !blob_begin(f.l, digest, 5, &mine) && !blob_add(mine, "hel", 3) && write(ready[1], "", 1) == 1;
        usleep(100000);
        ok = ok && !blob_add(mine, "lo", 2) && !blob_end(mine);
        _exit(ok ? 0 : 1);
    }
    char byte;
    CHECK(read(ready[0], &byte, 1) == 1);
    CHECK_OK(blob_begin(f.l, digest, 5, &b));
    CHECK(b == NULL);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    close(ready[0]);
    close(ready[1]);
    end(&f);
}

TEST(sweeping_takes_only_what_nobody_holds)
{
    struct fixture f = { 0 };
    own_fd int held = -1;
    struct stat st;
    begin(&f);
    CHECK_OK(layout_stage(f.l, "held", LAYOUT_STAGE_DIR, &held));
    CHECK(mkdirat(f.l->fd, "tmp/killed", 0700) == 0 && mkdirat(f.l->fd, "tmp/killed/sub", 0) == 0);
    CHECK(mkdirat(f.l->fd, "tmp/blob-x", 0700) == 0);
    CHECK_OK(layout_sweep_staging(f.l, 3600));
    CHECK(fstatat(f.l->fd, "tmp/held", &st, 0) == 0);
    CHECK(fstatat(f.l->fd, "tmp/blob-x", &st, 0) == 0);
    CHECK(fstatat(f.l->fd, "tmp/killed", &st, 0) < 0);
    CHECK_OK(layout_sweep_staging(f.l, 0));
    CHECK(fstatat(f.l->fd, "tmp/blob-x", &st, 0) < 0);
    close_now(&held);
    CHECK_OK(layout_sweep_staging(f.l, 0));
    CHECK(fstatat(f.l->fd, "tmp/held", &st, 0) < 0);
    end(&f);
}

TEST(two_writers_of_the_index_lose_no_name)
{
    struct fixture f = { 0 };
    own(oci_index) struct oci_index *index = NULL;
    int status = 0;
    begin(&f);
    struct oci_descriptor d = put_image(&f, "me", host_arch());
    for (int child = 0; child < 2; child++) {
        if (fork() == 0) {
            int bad = 0;
            for (int i = 0; i < 20; i++) {
                own_mem char *name = mem_printf("docker.io/library/n%d:%d", child, i);
                own(err) err *e = layout_set_name(f.l, name, &d);
                bad |= e != NULL;
            }
            _exit(bad);
        }
    }
    for (int child = 0; child < 2; child++)
        CHECK(wait(&status) > 0 && status == 0);
    CHECK_OK(layout_read_index(f.l, &index));
    assert_int_equal(index->manifests_n, 40);
    free(d.digest);
    end(&f);
}

TEST(names_that_other_tools_wrote_are_read_by_dockers_rules)
{
    struct fixture f = { 0 };
    begin(&f);
    struct oci_descriptor d = put_image(&f, "me", host_arch());
    CHECK_OK(layout_set_name(f.l, "busybox", &d));
    own(image) struct image *image = NULL;
    CHECK_OK(image_find(f.l, "docker.io/library/busybox:latest", NULL, &image));
    assert_string_equal(image->name, "docker.io/library/busybox:latest");
    free(d.digest);
    end(&f);
}

TEST(platforms_are_read_as_people_write_them)
{
    static const struct {
        const char *text, *is;
    } rows[] = {
        { "linux/amd64", "linux/amd64" },     { "x86_64", "linux/amd64" },
        { "linux/aarch64", "linux/arm64" },   { "arm64", "linux/arm64" },
        { "linux/arm/v6", "linux/arm/v6" },   { "armhf", "linux/arm/v7" },
        { "windows/amd64", "windows/amd64" }, { "linux/arm64/v8", "linux/arm64/v8" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        own_mem char *text = NULL;
        CHECK_OK(platform_parse(rows[i].text, &text));
        assert_string_equal(text, rows[i].is);
    }
    char *none = NULL;
    CHECK_ERR(platform_parse("", &none), ERR_INVALID);
    CHECK_ERR(platform_parse("a/b/c/d", &none), ERR_INVALID);
    CHECK_ERR(platform_parse("LINUX/amd64", &none), ERR_INVALID);
    struct oci_platform arm64 = { .os = (char *)(uintptr_t) "linux", .architecture = (char *)(uintptr_t) "arm64" };
    CHECK(platform_matches(&arm64, "linux/arm64/v8"));
    CHECK(!platform_matches(&arm64, "linux/arm64/v9"));
    CHECK(!platform_matches(NULL, "linux/arm64"));
}
