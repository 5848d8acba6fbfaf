// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Contexts that have a name (--build-context), and contexts from elsewhere: git repositories, archives, image layouts.
 * What comes over a network is fetched by husk-image or git into the build's own directory, and gone with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "build/add.h"
#include "build/build_parts.h"
#include "build/git.h"
#include "codec/digest.h"
#include "engine/container.h"
#include "engine/paths.h"
#include "image/ref.h"
#include "os/fs.h"

enum { IGNORE_MAX = 4 << 20 };
#define IMAGE_PREFIX  "docker-image://"
#define LAYOUT_PREFIX "oci-layout://"

void context_clear(struct build_context *c)
{
    close_now(&c->fd);
    free(c->path);
    ignore_free(c->ignore);
    hashes_free(c->hashes);
    free(c->temporary);
    *c = (struct build_context){ .fd = -1 };
}

/* ---- what is fetched ---- */

bool context_is_remote(const char *word)
{
    return git_is(word) || str_starts(word, "http://") || str_starts(word, "https://");
}

static fallible make_dir(struct build *b, const char *name, struct build_context *c)
{
    c->temporary = mem_printf("tmp/%s/%s", b->dir_name, name);
    c->path = mem_printf("%s/%s", b->layout->path, c->temporary);
    if (mkdirat(b->dir_fd, name, 0755) < 0)
        return err_sys(errno, "make '%s'", c->path);
    return NULL;
}

static fallible open_dir(struct build_context *c)
{
    c->fd = open(c->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return c->fd < 0 ? err_sys(errno, "open '%s'", c->path) : NULL;
}

static fallible clone(struct build *b, const char *word, const char *name, struct build_context *c)
{
    own(git_source) struct git_source g = { 0 };
    int64_t time_s;
    TRY(git_source_parse(word, &g));
    g.keep_git_dir = g.keep_git_dir || b->keep_git_dir;
    git_authorize(&g, b->secrets, b->secrets_n);
    c->temporary = mem_printf("tmp/%s/%s", b->dir_name, name);
    own_mem char *to = mem_printf("%s/%s", b->layout->path, c->temporary);
    return git_fetch(&g, to, &c->path, &time_s);
}

static fallible download(struct build *b, const char *url, const char *name, struct build_context *c, struct str *text)
{
    own_mem char *path = mem_printf("%s/tmp/%s/%s.file", b->layout->path, b->dir_name, name), *bytes = NULL;
    bool archive = false;
    size_t n = 0;
    TRY(image_program_run((const char *const[]){ "download", url, path, NULL }));
    own_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open '%s'", path);
    TRY(make_dir(b, name, c));
    TRY(add_is_archive(fd, &archive));
    if (!archive && !text)
        return err_new(ERR_INVALID, "'%s': expected a tar archive, packed or not", url);
    if (!archive) {
        TRY_AS(fs_read_fd(fd, url, DOCKERFILE_MAX, &bytes, &n), "a Dockerfile");
        str_add_n(text, bytes, n);
        return NULL;
    }
    own_fd int dir = open(c->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_sys(errno, "open '%s'", c->path);
    TRY_AS(add_unpack(fd, dir), "'%s'", url);
    (void)unlink(path);
    return NULL;
}

fallible context_fetch(struct build *b, const char *word, const char *dir, struct build_context *c,
                       struct str *ret_text)
{
    TRY_AS(git_is(word) ? clone(b, word, dir, c) : download(b, word, dir, c, ret_text), "context '%s'", word);
    return open_dir(c);
}

/* ---- by name ---- */

static fallible read_one(const char *text, struct build_named *n)
{
    const char *equals = strchr(text, '=');
    struct stat st;
    if (!equals || equals == text || !equals[1])
        return err_new(ERR_INVALID,
                       "--build-context '%s': expected NAME=DIRECTORY, NAME=docker-image://IMAGE, "
                       "NAME=oci-layout://DIRECTORY[:TAG] or NAME=URL",
                       text);
    n->name = mem_strndup(text, (size_t)(equals - text));
    n->value = mem_strdup(equals + 1);
    if (str_starts(n->value, IMAGE_PREFIX)) {
        n->image = mem_strdup(n->value + strlen(IMAGE_PREFIX));
        return NULL;
    }
    if (str_starts(n->value, LAYOUT_PREFIX) || context_is_remote(n->value))
        return NULL;
    if (strstr(n->value, "://"))
        return err_new(ERR_INVALID,
                       "--build-context '%s': expected docker-image://, oci-layout://, http:// or https://", text);
    own_mem char *absolute = NULL;
    TRY(paths_absolute(n->value, &absolute));
    n->tree.path = paths_clean(absolute);
    if (stat(n->tree.path, &st) < 0 || !S_ISDIR(st.st_mode))
        return err_new(ERR_NOT_FOUND, "--build-context '%s': there is no directory '%s'", text, n->value);
    return NULL;
}

fallible contexts_read(struct build *b)
{
    for (size_t i = 0; i < b->o->contexts.n; i++) {
        b->named = mem_array(b->named, b->named_n + 1, sizeof *b->named);
        b->named[b->named_n] = (struct build_named){ .tree = { .fd = -1 } };
        TRY(read_one(b->o->contexts.items[i], &b->named[b->named_n++]));
    }
    return NULL;
}

void contexts_close(struct build *b)
{
    for (size_t i = 0; i < b->named_n; i++) {
        if (b->named[i].loaded)
            err_ignore(layout_remove_name(b->layout, b->named[i].image), "it is the next build's");
        free(b->named[i].name);
        free(b->named[i].value);
        free(b->named[i].image);
        context_clear(&b->named[i].tree);
    }
    free(b->named);
}

/* "alpine" is "docker.io/library/alpine:latest" too. */
static bool means(const char *name, const char *word)
{
    own(ref) struct ref *a = NULL, *b = NULL;
    if (strcasecmp(name, word) == 0)
        return true;
    own(err) err *bad = ref_parse(name, &a);
    own(err) err *worse = ref_parse(word, &b);
    if (bad || worse)
        return false;
    own_mem char *x = ref_full(a), *y = ref_full(b);
    return str_eq(x, y);
}

static struct build_named *find(struct build *b, const char *word)
{
    for (size_t i = b->named_n; i-- > 0;) /* the last one said counts */
        if (means(b->named[i].name, word))
            return &b->named[i];
    return NULL;
}

static fallible open_tree_of(struct build *b, struct build_named *n)
{
    own_mem char *dir = mem_printf("context-%zu", (size_t)(n - b->named)), *text = NULL;
    size_t len = 0;
    TRY(n->tree.path ? open_dir(&n->tree) : context_fetch(b, n->value, dir, &n->tree, NULL));
    err *e = fs_read_at(n->tree.fd, ".dockerignore", IGNORE_MAX, &text, &len);
    if (!e)
        e = ignore_parse(text, ".dockerignore", &n->tree.ignore);
    if (!err_is(e, ERR_NOT_FOUND))
        TRY_AS(e, "context '%s'", n->name);
    err_free(e);
    n->tree.hashes = hashes_open(b->cache.files_fd, n->tree.temporary ? "-" : n->tree.path);
    return NULL;
}

fallible context_named(struct build *b, const char *name, struct build_context **ret)
{
    struct build_named *n = find(b, name);
    *ret = NULL;
    if (!n || n->image || str_starts(n->value, LAYOUT_PREFIX))
        return NULL;
    if (n->tree.fd < 0)
        TRY(open_tree_of(b, n));
    *ret = &n->tree;
    return NULL;
}

/* Into the store by a name that is taken away again: the image stays while this build adds. The name is a function of
 * the place, so one that a killed build left is the next one's. */
static fallible load_layout(struct build *b, struct build_named *n)
{
    own_mem char *digest = digest_of(n->value, strlen(n->value));
    own_mem char *from = mem_printf("oci:%s", n->value + strlen(LAYOUT_PREFIX));
    own_mem char *full = mem_printf("localhost/husk-build-context:%.12s", digest_hex(digest));
    own_mem char *to = mem_printf("store:%s", full);
    TRY(image_program_run((const char *const[]){ "copy", "--quiet", from, to, NULL }));
    n->image = mem_strdup(full);
    n->loaded = true;
    return NULL;
}

fallible context_image(struct build *b, const char *name, const char **ret)
{
    struct build_named *n = find(b, name);
    if (!n)
        return NULL;
    if (!n->image)
        TRY_AS(load_layout(b, n), "--build-context '%s'", n->name);
    *ret = n->image;
    return NULL;
}
