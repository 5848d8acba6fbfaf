// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/deliver.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/parse.h"
#include "build/build_parts.h"
#include "build/part.h"
#include "codec/digest.h"
#include "engine/container.h"
#include "engine/lowers.h"
#include "layers/diff.h"
#include "layers/diff_walk.h"
#include "layers/flatten.h"
#include "os/fs.h"
#include "os/ids.h"
#include "os/proc.h"

/* ---- --output's words ---- */

static const char *const kinds[] = { "image", "local", "tar", "oci", "docker", "registry" };

/* What one --output says; all that say something must say the same. */
struct said {
    const char *compression;
    struct opt_i64 level;
    bool force, docker;
};

static fallible set_packing(struct said *s, const char *text, const char *key, const char *value)
{
    if (strcmp(key, "compression") == 0) {
        s->compression = value;
        return NULL;
    }
    if (strcmp(key, "compression-level") == 0) {
        s->level.set = true;
        TRY_AS(parse_i64(value, 0, 22, &s->level.v), "--output '%s': compression-level", text);
        return NULL;
    }
    if (strcmp(key, "force-compression") == 0) {
        TRY_AS(parse_bool(value, &s->force), "--output '%s': force-compression", text);
        return NULL;
    }
    bool oci = true;
    TRY_AS(parse_bool(value, &oci), "--output '%s': oci-mediatypes", text);
    s->docker = !oci;
    return NULL;
}

static fallible form_of(const char *text, const char *word, enum stream_form *ret)
{
    static const struct {
        const char *word;
        enum stream_form form;
    } known[] = { { "uncompressed", STREAM_PLAIN }, { "gzip", STREAM_GZIP }, { "zstd", STREAM_ZSTD } };
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (strcmp(known[i].word, word) == 0) {
            *ret = known[i].form;
            return NULL;
        }
    if (strcmp(word, "estargz") == 0)
        return err_new(ERR_UNSUPPORTED,
                       "--output '%s': husk fetches layers whole, and writes no table of contents for those who fetch "
                       "them in pieces: say compression=gzip, which the same readers take",
                       text);
    return err_new(ERR_INVALID, "--output '%s': unknown compression '%s': expected uncompressed, gzip or zstd", text,
                   word);
}

static fallible keep_packing(const struct said *s, const char *text, enum deliver_kind kind, struct build_packing *p)
{
    bool any = s->compression || s->level.set || s->force;
    struct build_packing now = { .set = any, .force = s->force, .form = STREAM_ZSTD, .docker = s->docker };
    if (!any && !s->docker)
        return NULL;
    if (kind == DELIVER_LOCAL || kind == DELIVER_TAR)
        return err_new(ERR_INVALID, "--output '%s': files are delivered without layers, so there is nothing to pack",
                       text);
    if (s->compression)
        TRY(form_of(text, s->compression, &now.form));
    else if (any && s->docker)
        now.form = STREAM_GZIP;
    if (s->docker && now.form == STREAM_ZSTD && any)
        return err_new(ERR_INVALID, "--output '%s': docker's media types have no zstd: say compression=gzip", text);
    int64_t most = now.form == STREAM_PLAIN ? 0 : now.form == STREAM_GZIP ? 9 : 22;
    if (s->level.set && (s->level.v < 1 || s->level.v > most))
        return most ? err_new(ERR_INVALID, "--output '%s': compression-level: %s has levels from 1 to %lld", text,
                              stream_form_name(now.form), (long long)most)
                    : err_new(ERR_INVALID, "--output '%s': what is not compressed has no compression-level", text);
    /* ISA-L has three levels of gzip, people know nine */
    now.level = (int)(now.form == STREAM_GZIP ? (s->level.v + 2) / 3 : s->level.v);
    if ((p->set || p->docker) && (p->set != now.set || p->force != now.force || p->form != now.form ||
                                  p->level != now.level || p->docker != now.docker))
        return err_new(ERR_INVALID, "--output '%s': another --output packs the same image otherwise", text);
    *p = now;
    return NULL;
}

static fallible set_key(struct deliver *d, const char *text, const char *key, const char *value, struct strv *names,
                        struct said *said)
{
    if (strcmp(key, "type") == 0) {
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
            if (strcmp(kinds[i], value) == 0) {
                d->kind = (enum deliver_kind)i;
                return NULL;
            }
        return err_new(ERR_INVALID,
                       "--output '%s': unknown type '%s': expected local, tar, oci, docker, image or registry", text,
                       value);
    }
    if (strcmp(key, "dest") == 0) {
        free(d->dest);
        d->dest = mem_strdup(value);
    } else if (strcmp(key, "name") == 0) {
        if (!strv_has(names, value))
            strv_add(names, value);
    } else if (strcmp(key, "push") == 0) {
        TRY_AS(parse_bool(value, &d->push), "--output '%s': push", text);
    } else if (strcmp(key, "compression") == 0 || strcmp(key, "force-compression") == 0 ||
               strcmp(key, "compression-level") == 0 || strcmp(key, "oci-mediatypes") == 0) {
        return set_packing(said, text, key, value);
    } else {
        return err_new(ERR_INVALID,
                       "--output '%s': unknown key '%s': expected type, dest, name, push, compression, "
                       "compression-level, force-compression or oci-mediatypes",
                       text, key);
    }
    return NULL;
}

static fallible parse_one(const char *text, struct strv *names, struct build_packing *packing, struct deliver *d)
{
    struct said said = { 0 };
    own_strv struct strv parts = { 0 };
    if (!strchr(text, '=')) { /* "-" or a directory alone */
        d->kind = strcmp(text, "-") == 0 ? DELIVER_TAR : DELIVER_LOCAL;
        d->dest = mem_strdup(text);
    } else {
        strv_split(&parts, text, ',');
    }
    for (size_t i = 0; i < parts.n; i++) {
        own_mem char *key = mem_strndup(parts.items[i], strcspn(parts.items[i], "="));
        if (!parts.items[i][strlen(key)])
            return err_new(ERR_INVALID, "--output '%s': expected KEY=VALUE[,KEY=VALUE...]", text);
        TRY(set_key(d, text, key, parts.items[i] + strlen(key) + 1, names, &said));
    }
    TRY(keep_packing(&said, text, d->kind, packing));
    if (d->kind == DELIVER_REGISTRY) {
        d->kind = DELIVER_IMAGE;
        d->push = true;
    }
    if (d->kind == DELIVER_IMAGE && d->dest)
        return err_new(ERR_INVALID, "--output '%s': an image goes into the store and has no dest", text);
    if (d->kind == DELIVER_LOCAL && (!d->dest || !*d->dest || strcmp(d->dest, "-") == 0))
        return err_new(ERR_INVALID, "--output '%s': type=local needs dest=DIR", text);
    if (d->kind != DELIVER_IMAGE && d->push)
        return err_new(ERR_INVALID, "--output '%s': only type=image can be pushed", text);
    if (d->kind != DELIVER_IMAGE && !d->dest)
        d->dest = mem_strdup("-");
    if (d->dest && !*d->dest)
        return err_new(ERR_INVALID, "--output '%s': dest is empty: expected a path, or - for standard output", text);
    if (d->dest && strcmp(d->dest, "-") == 0 && isatty(STDOUT_FILENO))
        return err_new(ERR_INVALID, "--output '%s': standard output is a terminal: name a file with dest=FILE", text);
    return NULL;
}

fallible deliver_parse(const struct strv *texts, struct strv *names, struct build_packing *packing,
                       struct deliver **ret, size_t *ret_n)
{
    struct deliver *items = mem_zalloc((texts->n + 1) * sizeof *items);
    size_t to_stdout = 0;
    err *e = NULL;
    for (size_t i = 0; i < texts->n && !e; i++) {
        e = parse_one(texts->items[i], names, packing, &items[i]);
        if (!e && items[i].dest && strcmp(items[i].dest, "-") == 0 && ++to_stdout > 1)
            e = err_new(ERR_INVALID, "--output '%s': standard output has room for one", texts->items[i]);
    }
    if (e) {
        deliver_clear(items, texts->n);
        return e;
    }
    *ret = items;
    *ret_n = texts->n;
    return NULL;
}

void deliver_clear(struct deliver *items, size_t n)
{
    for (size_t i = 0; items && i < n; i++)
        free(items[i].dest);
    free(items);
}

bool deliver_takes_stdout(const struct deliver *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (items[i].dest && strcmp(items[i].dest, "-") == 0)
            return true;
    return false;
}

/* ---- the files ---- */

static fallible flatten_one(struct build *b, const struct build_state *s, const char *dir)
{
    own_strv struct strv lowers = { 0 };
    TRY(lowers_of(b->engine, &s->config->rootfs->diff_ids, &lowers));
    return flatten(&lowers, dir);
}

/* "linux_arm_v7" each, where there are several. */
static fallible flatten_all(struct build *b, const char *dir)
{
    for (size_t i = 0; i < b->made_n; i++) {
        own_mem char *name = mem_strdup(b->made[i].platform);
        for (char *c = name; *c; c++)
            if (*c == '/')
                *c = '_';
        own_mem char *to = b->made_n > 1 ? mem_printf("%s/%s", dir, name) : mem_strdup(dir);
        if (b->made_n > 1 && mkdir(to, 0755) < 0)
            return err_sys(errno, "make '%s'", to);
        TRY(flatten_one(b, b->made[i].state, to));
    }
    return NULL;
}

static fallible fill_dir(struct build *b, const char *dir)
{
    TRY(flatten_all(b, dir));
    return ids_in_userns()
               ? fs_chown_tree_at(AT_FDCWD, dir, 0, 0) /* files of subordinate ids would be nobody's outside */
               : NULL;
}

/* A directory that is not there yet gets its name when it is whole: a build that is killed leaves none that looks so.
 */
static fallible deliver_new_dir(struct build *b, const char *dest)
{
    own(part) struct part part = { .dir_fd = -1, .fd = -1 };
    size_t n = strlen(dest);
    while (n > 1 && dest[n - 1] == '/')
        n--;
    own_mem char *name = mem_strndup(dest, n);
    TRY(part_begin(name, PART_DIR, false, &part));
    TRY(fill_dir(b, part.path));
    return part_finish(&part);
}

/* But for what other builds are filling it with, or were when they were killed. */
static fallible is_empty(int fd, bool *ret)
{
    own_strv struct strv names = { 0 };
    *ret = true;
    TRY(diff_names(fd, &names));
    for (size_t i = 0; i < names.n; i++)
        *ret = *ret && part_is_inside(names.items[i]);
    return NULL;
}

/* One that is there stays the same: it may be a mount point, somebody's working directory, and has a mode and an owner
 * of its own. Its files come into their place together, so all of the slow work is done before. */
static fallible deliver_into_dir(struct build *b, const char *dest, int fd)
{
    own(part) struct part part = { .dir_fd = -1, .fd = -1 };
    bool empty = false;
    TRY(part_begin(dest, PART_DIR, true, &part));
    TRY(fill_dir(b, part.path));
    TRY(is_empty(fd, &empty));
    return empty ? part_spill(&part) : part_merge(&part);
}

static fallible deliver_local(struct build *b, const char *dest)
{
    own_fd int fd = open(dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT)
        return err_sys(errno, "--output: open '%s'", dest);
    TRY_AS(fd < 0 ? deliver_new_dir(b, dest) : deliver_into_dir(b, dest, fd), "--output '%s'", dest);
    return NULL;
}

static err *write_out(void *ctx, const void *bytes, size_t n)
{
    return fs_write_fd(*(const int *)ctx, bytes, n, "the archive");
}

static int64_t newest_of(const struct build *b)
{
    int64_t newest = 0;
    for (size_t i = 0; i < b->made_n; i++)
        if (build_newest(b, b->made[i].state) > newest)
            newest = build_newest(b, b->made[i].state);
    return newest;
}

static fallible write_tar(struct build *b, const char *tree, int fd)
{
    own_fd int dir = -1;
    TRY(fs_open_dir_at(AT_FDCWD, tree, FS_MUST_EXIST, &dir));
    return diff_tar(&(struct diff){ .upper_fd = dir, .whole = true, .newest_s = newest_of(b) }, write_out, &fd);
}

static fallible tar_to(struct build *b, const char *tree, const char *dest)
{
    own(part) struct part part = { .dir_fd = -1, .fd = -1 };
    struct stat st;
    if (strcmp(dest, "-") == 0)
        return write_tar(b, tree, STDOUT_FILENO);
    if (stat(dest, &st) == 0 && !S_ISREG(st.st_mode)) { /* a pipe, a device: nothing to rename */
        own_fd int fd = open(dest, O_WRONLY | O_CLOEXEC);
        return fd < 0 ? err_sys(errno, "open it") : write_tar(b, tree, fd);
    }
    TRY(part_begin(dest, PART_FILE, false, &part));
    TRY(write_tar(b, tree, part.fd));
    return part_finish(&part);
}

static fallible deliver_tar(struct build *b, const char *dest)
{
    own_mem char *tree = mem_printf("%s/tmp/%s/tree", b->engine->root, b->dir_name);
    if (mkdir(tree, 0755) < 0)
        return err_sys(errno, "make '%s'", tree);
    err *e = flatten_all(b, tree);
    if (!e)
        e = tar_to(b, tree, dest);
    own_mem char *below = mem_printf("tmp/%s/tree", b->dir_name);
    err_ignore(fs_remove_tree_at(b->layout->fd, below), "it goes with the build's directory");
    TRY_AS(e, "--output '%s'", dest);
    return NULL;
}

/* ---- what husk-image does ---- */

fallible deliver_image_program(const struct strv *args, enum deliver_out out)
{
    own_mem char *program = NULL;
    own_fd int null = out == DELIVER_UNHEARD ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;
    int status;
    TRY(self_find_program("husk-image", &program));
    char **argv = mem_zalloc((args->n + 2) * sizeof *argv);
    argv[0] = program;
    for (size_t i = 0; i < args->n; i++)
        argv[i + 1] = args->items[i];
    struct spawn s = { .argv = argv,
                       .stdin_fd = -1,
                       .stdout_fd = null >= 0                  ? null
                                    : out == DELIVER_TO_STDOUT ? STDOUT_FILENO
                                                               : STDERR_FILENO,
                       .stderr_fd = -1 };
    err *e = spawn_wait(&s, &status);
    free(argv);
    TRY(e);
    return proc_exit_code(status) == 0 ? NULL : err_exit(125);
}

static fallible send_file(const char *path)
{
    own_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    char buf[65536];
    ssize_t n = fd < 0 ? -1 : 0;
    while (fd >= 0 && (n = read(fd, buf, sizeof buf)) > 0)
        TRY(fs_write_fd(STDOUT_FILENO, buf, (size_t)n, "standard output"));
    (void)unlink(path);
    return n < 0 ? err_sys(errno, "read '%s'", path) : NULL;
}

/* An index goes by copy, which takes all of it along. */
static fallible deliver_index(struct build *b, const struct deliver *d, const struct oci_descriptor *image)
{
    own_mem char *name = mem_printf("localhost/husk-build-output:%.12s", digest_hex(image->digest));
    own_mem char *path =
        strcmp(d->dest, "-") == 0 ? mem_printf("%s/tmp/%s/archive", b->engine->root, b->dir_name) : mem_strdup(d->dest);
    own_strv struct strv args = { 0 };
    if (d->kind == DELIVER_DOCKER)
        return err_new(ERR_UNSUPPORTED, "--output: an archive of type=docker has one platform: use type=oci");
    TRY(layout_set_name(b->layout, name, image));
    strv_add(&args, "copy");
    strv_add(&args, "--quiet");
    strv_add(&args, "--all");
    strv_add_printf(&args, "store:%s", name);
    strv_add_printf(&args, "oci-archive:%s:%s", path, b->o->tags.n ? b->o->tags.items[0] : "latest");
    err *e = deliver_image_program(&args, DELIVER_TO_STDERR);
    err_ignore(layout_remove_name(b->layout, name), "it is the next build's");
    TRY(e);
    return strcmp(d->dest, "-") == 0 ? send_file(path) : NULL;
}

static fallible deliver_archive(struct build *b, const struct deliver *d, const struct oci_descriptor *image)
{
    if (b->made_n > 1 || ((b->always_index || attest_is_wanted(&b->attest)) && d->kind == DELIVER_OCI))
        return deliver_index(b, d, image);
    own_strv struct strv args = { 0 };
    bool to_stdout = strcmp(d->dest, "-") == 0;
    strv_add(&args, "save");
    strv_add(&args, "--quiet");
    strv_add(&args, "--format");
    strv_add(&args, d->kind == DELIVER_OCI ? "oci-archive" : "docker-archive");
    if (!to_stdout) {
        strv_add(&args, "--output");
        strv_add(&args, d->dest);
    }
    for (size_t i = 0; i < b->o->tags.n; i++)
        strv_add(&args, b->o->tags.items[i]);
    if (b->o->tags.n == 0) /* not its ID, which the same image has in other packings, too */
        strv_add(&args, b->made[0].digest);
    return deliver_image_program(&args, to_stdout ? DELIVER_TO_STDOUT : DELIVER_TO_STDERR);
}

static fallible push_all(struct build *b)
{
    for (size_t i = 0; i < b->o->tags.n; i++) {
        const char *const remote[][2] = { { "--tls-verify", b->o->create.tls_verify },
                                          { "--authfile", b->o->create.authfile },
                                          { "--cert-dir", b->o->create.cert_dir },
                                          { "--retry", b->o->create.retry },
                                          { "--retry-delay", b->o->create.retry_delay } };
        const char *args[4 + 2 * ARRAY_SIZE(remote)] = { "push" };
        size_t n = 1;
        if (b->o->quiet)
            args[n++] = "--quiet";
        for (size_t k = 0; k < ARRAY_SIZE(remote); k++)
            if (remote[k][1]) {
                args[n++] = remote[k][0];
                args[n++] = remote[k][1];
            }
        args[n++] = b->o->tags.items[i];
        TRY(image_program_run_as(args, b->o->create.creds));
    }
    return NULL;
}

static fallible write_metadata(const struct build *b, const char *id, const struct oci_descriptor *image)
{
    own_json json_t *doc =
        json_pack("{s:s, s:{s:s, s:s, s:I}}", "containerimage.digest", image->digest, "containerimage.descriptor",
                  "mediaType", image->media_type, "digest", image->digest, "size", (json_int_t)image->size);
    if (b->made_n == 1)
        json_object_set_new(doc, "containerimage.config.digest", json_string(id));
    own_mem char *names = NULL;
    for (size_t i = 0; i < b->o->tags.n; i++) {
        own_mem char *before = take(names);
        names = mem_printf("%s%s%s", before ? before : "", before ? "," : "", b->o->tags.items[i]);
    }
    if (names)
        json_object_set_new(doc, "image.name", json_string(names));
    own_mem char *text = json_dumps(doc, JSON_INDENT(2));
    TRY_AS(fs_write_out(AT_FDCWD, b->o->metadata_file, text, strlen(text)), "--metadata-file");
    return NULL;
}

fallible build_deliver(struct build *b, const char *id, const struct oci_descriptor *image)
{
    bool push = b->o->push;
    for (size_t i = 0; i < b->delivers_n; i++) {
        const struct deliver *d = &b->delivers[i];
        push = push || d->push;
        if (d->kind == DELIVER_LOCAL)
            TRY(deliver_local(b, d->dest));
        else if (d->kind == DELIVER_TAR)
            TRY(deliver_tar(b, d->dest));
        else if (d->kind != DELIVER_IMAGE)
            TRY(deliver_archive(b, d, image));
    }
    if (push)
        TRY(push_all(b));
    return b->o->metadata_file ? write_metadata(b, id, image) : NULL;
}
