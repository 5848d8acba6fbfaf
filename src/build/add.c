// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/add.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "build/authorize.h"
#include "build/git.h"
#include "codec/digest.h"
#include "codec/stream.h"
#include "engine/container.h"
#include "layers/untar.h"
#include "os/fs.h"
#include "os/landlock.h"
#include "os/proc.h"
#include "os/root.h"

enum { CHUNK = 256 << 10 };

/* ---- what is remote ---- */

static bool is_url(const char *word)
{
    return str_starts(word, "http://") || str_starts(word, "https://");
}

fallible add_plan(struct build_step *s, struct step_parts *parts)
{
    const struct df_flag *checksum = df_flag(s->i, "checksum");
    own_strv struct strv local = { 0 };
    for (size_t i = 0; i < s->patterns.n; i++)
        strv_add(is_url(s->patterns.items[i]) || git_is(s->patterns.items[i]) ? &s->remotes : &local,
                 s->patterns.items[i]);
    strv_free(&s->patterns);
    s->patterns = local;
    local = (struct strv){ 0 };
    if (checksum) {
        struct expand e = build_expand(s->b, s->run);
        TRY(expand_word(&e, checksum->value, &s->checksum));
        if (s->remotes.n != 1 || s->patterns.n)
            return err_new(ERR_INVALID, "ADD --checksum: expected one address to fetch");
        if (!git_is(s->remotes.items[0]) && !digest_valid(s->checksum))
            return err_new(ERR_INVALID, "ADD --checksum=%s: expected sha256: and 64 hex digits", s->checksum);
        step_part(parts, "checksum", "%s", s->checksum);
    }
    for (size_t i = 0; i < s->remotes.n; i++)
        step_part(parts, "address", "%s", s->remotes.items[i]);
    /* Without a checksum only the address is known: as with RUN, what it gives is what it gave. */
    return NULL;
}

/* ---- archives ---- */

struct feed {
    struct stream *stream;
    unsigned char *buffer;
};

static fallible feed_next(void *ctx, const unsigned char **ret_bytes, size_t *ret_n)
{
    struct feed *f = ctx;
    *ret_bytes = f->buffer;
    return stream_read(f->stream, f->buffer, CHUNK, ret_n);
}

struct unpack_to {
    int fd, dir_fd;
};

static fallible unpack_confined(void *ctx)
{
    const struct unpack_to *u = ctx;
    struct untar_limits limits = { 0 };
    own(stream) struct stream *stream = NULL;
    int fd = u->fd;
    bool done;
    const struct landlock_path paths[] = { { u->dir_fd, NULL, LANDLOCK_READ_WRITE } };
    TRY(landlock_confine(paths, 1, &done));
    TRY(untar_limits_fill(&limits));
    TRY(stream_open(stream_source_fd(&fd), limits.bytes, &stream));
    struct feed f = { stream, mem_alloc(CHUNK) };
    own(tar) struct tar *t = tar_new((struct tar_source){ feed_next, &f });
    err *e = untar(t, u->dir_fd, &limits);
    free(f.buffer);
    return e;
}

/* In a child, which may write nothing but the directory. */
static fallible in_child(err *(*fn)(void *), void *ctx)
{
    int ends[2], status = 0;
    char text[ERR_ENCODED_MAX];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    own_fd int from = ends[0], to = ends[1], pidfd = -1;
    pid_t pid;
    TRY(proc_clone(0, -1, &pid, &pidfd));
    if (pid == 0) {
        err *e = fn(ctx);
        size_t n = e ? err_encode(e, text, sizeof text) : 0;
        _exit(n && write(to, text, n) < 0 ? 2 : e ? 1 : 0);
    }
    close_now(&to);
    ssize_t n = read(from, text, sizeof text);
    TRY(proc_wait(pidfd, -1, &status));
    if (n > 0)
        return err_decode(text, (size_t)n);
    return proc_exit_code(status) == 0 ? NULL : err_new(ERR_INTERNAL, "the unpacking process died");
}

/* The first block of a tar, of those from before ustar too: the sum in it is that of its bytes, with itself as blanks.
 */
static bool is_tar(const char *block)
{
    enum { SUM = 148, SUM_END = 156, MAGIC = 257 };
    unsigned long sum = 0, said;
    char text[SUM_END - SUM + 1] = { 0 };
    if (memcmp(block + MAGIC, "ustar", 5) == 0)
        return true;
    memcpy(text, block + SUM, SUM_END - SUM);
    said = strtoul(text, NULL, 8);
    for (size_t i = 0; i < 512; i++)
        sum += i >= SUM && i < SUM_END ? ' ' : (unsigned char)block[i];
    return block[0] && said == sum;
}

fallible add_is_archive(int fd, bool *ret)
{
    char head[512] = { 0 };
    ssize_t n = pread(fd, head, sizeof head, 0);
    if (n < 0)
        return err_sys(errno, "read it");
    *ret = stream_form_of(head, (size_t)n) != STREAM_PLAIN;
    if (!*ret) {
        *ret = n == (ssize_t)sizeof head && is_tar(head);
        return NULL;
    }
    /* What is packed is an archive when a tar comes out: a packed text stays as it is. */
    int again = fd;
    own(stream) struct stream *stream = NULL;
    size_t got = 0;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return err_sys(errno, "read it");
    err *e = stream_open(stream_source_fd(&again), 0, &stream);
    if (!e)
        e = stream_read(stream, head, sizeof head, &got);
    *ret = !e && got == sizeof head && is_tar(head);
    err_ignore(e, "then it is no archive");
    return lseek(fd, 0, SEEK_SET) < 0 ? err_sys(errno, "read it") : NULL;
}

static fallible put_tree(struct build_step *s, struct copy_target *t, const char *dest, int dir_fd,
                         const struct ignore *exclude)
{
    own_strv struct strv all = { 0 };
    struct copy_owner owner = s->owner;
    strv_add(&all, ".");
    owner.keep = !owner.set && !exclude; /* a repository has no owners */
    struct sources sources = { .root_fd = dir_fd, .patterns = &all, .exclude = exclude, .what = "what was unpacked" };
    return copy_run(t, &(struct copy_job){
                           .sources = &sources, .dest = dest, .dest_is_dir = true, .owner = &owner, .mode = &s->mode });
}

fallible add_unpack(int fd, int dir_fd)
{
    struct unpack_to u = { fd, dir_fd };
    return in_child(unpack_confined, &u);
}

static fallible unpack_file(struct build_step *s, struct copy_target *t, const struct copy_job *job, const char *dir,
                            int fd)
{
    own_mem char *path = mem_printf("%s/unpacked-%zu", dir, s->unpacked++);
    if (mkdir(path, 0755) < 0)
        return err_sys(errno, "make '%s'", path);
    own_fd int dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return err_sys(errno, "open '%s'", path);
    TRY(add_unpack(fd, dir_fd));
    return put_tree(s, t, job->dest, dir_fd, NULL);
}

/* ---- downloads ---- */

static char *file_name(const char *url)
{
    own_mem char *bare = mem_strndup(url, strcspn(url, "?#"));
    const char *path = strchr(strstr(bare, "://") + 3, '/');
    return mem_strdup(path ? strrchr(path, '/') + 1 : "");
}

static fallible fetch(struct build_step *s, struct copy_target *t, const struct copy_job *job, const char *url,
                      const char *dir, bool into_dir)
{
    own_mem char *path = mem_printf("%s/download", dir), *name = file_name(url);
    own_mem char *header = authorize_url(url, s->b->secrets, s->b->secrets_n);
    const char *args[8] = { "download", url, path };
    struct stat st;
    if (s->checksum) {
        args[3] = "--checksum";
        args[4] = s->checksum;
    }
    if (into_dir && !*name && !df_flag_is_on(s->i, "unpack"))
        return err_new(ERR_INVALID, "ADD: '%s' has no file name: expected a destination that is a file", url);
    (void)unlink(path);
    err *failed = image_program_run_with(args, "--header-file", header);
    if (header)
        explicit_bzero(header, strlen(header));
    TRY(failed);
    own_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(errno, "open '%s'", path);
    if (df_flag_is_on(s->i, "unpack"))
        return unpack_file(s, t, job, dir, fd);
    own_mem char *dest =
        into_dir ? mem_printf("%s/%s", strcmp(job->dest, "/") == 0 ? "" : job->dest, name) : mem_strdup(job->dest);
    if (st.st_mtim.tv_sec > s->newest_s) /* the server said so; 1970: it said nothing */
        s->newest_s = st.st_mtim.tv_sec;
    return copy_file(t, dest, fd, 0600, st.st_mtim.tv_sec, &s->owner, &s->mode);
}

/* ---- git ---- */

static fallible clone(struct build_step *s, struct copy_target *t, const struct copy_job *job, const char *word,
                      const char *dir)
{
    own(git_source) struct git_source g = { 0 };
    own_mem char *to = mem_printf("%s/git", dir), *path = NULL;
    own_strv struct strv nothing = { 0 };
    own(ignore) struct ignore *exclude = NULL;
    int64_t time_s = 0;
    TRY(git_source_parse(word, &g));
    g.keep_git_dir = g.keep_git_dir || df_flag_is_on(s->i, "keep-git-dir");
    if (s->checksum) {
        free(g.commit);
        g.commit = mem_strdup(s->checksum);
    }
    git_authorize(&g, s->b->secrets, s->b->secrets_n);
    TRY(fs_remove_tree_at(AT_FDCWD, to));
    TRY(git_fetch(&g, to, &path, &time_s));
    if (time_s > s->newest_s)
        s->newest_s = time_s;
    own_fd int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return err_sys(errno, "open '%s'", path);
    TRY(ignore_of(&nothing, "git", &exclude)); /* a repository has no owners: with this they are root */
    return put_tree(s, t, job->dest, root, exclude);
}

/* ---- all ---- */

static fallible note_top(void *ctx, const struct source_entry *e)
{
    struct strv *tops = ctx;
    if (e->top)
        strv_add(tops, e->path);
    return NULL;
}

static char *literal(const char *path)
{
    own_str struct str out = { 0 };
    for (; *path; path++) {
        if (strchr("*?[\\", *path))
            str_add_char(&out, '\\');
        str_add_char(&out, *path);
    }
    return out.len ? str_take(&out) : mem_strdup(".");
}

static fallible put_local(struct build_step *s, struct copy_target *t, const struct copy_job *job, const char *path,
                          const char *dir)
{
    own_fd int fd = -1, readable = -1;
    struct stat st;
    bool archive = false;
    const struct df_flag *unpack = df_flag(s->i, "unpack");
    TRY(root_open(job->sources->root_fd, *path ? path : "/", O_PATH, &fd));
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (!unpack || df_flag_is_on(s->i, "unpack"))) {
        TRY(root_open(job->sources->root_fd, path, O_RDONLY, &readable));
        TRY(add_is_archive(readable, &archive));
    }
    if (archive)
        return err_wrap(unpack_file(s, t, job, dir, readable), "'%s'", path);
    own_strv struct strv one = { 0 };
    strv_add_take(&one, literal(path));
    struct sources sources = *job->sources;
    struct copy_job again = *job;
    sources.patterns = &one;
    again.sources = &sources;
    return copy_run(t, &again);
}

fallible add_work(struct build_step *s, struct copy_target *t, const struct copy_job *job, const char *dir,
                  bool into_dir)
{
    own_strv struct strv tops = { 0 };
    if (s->patterns.n)
        TRY_AS(sources_walk(job->sources, &(struct source_visitor){ .enter = note_top, .ctx = &tops }), "ADD");
    for (size_t i = 0; i < tops.n; i++)
        TRY_AS(put_local(s, t, job, tops.items[i], dir), "ADD");
    for (size_t i = 0; i < s->remotes.n; i++) {
        const char *word = s->remotes.items[i];
        TRY(git_is(word) ? clone(s, t, job, word, dir) : fetch(s, t, job, word, dir, into_dir));
    }
    return step_put_texts(s, t, into_dir);
}
