// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/image_places.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/outfile.h"
#include "os/fs.h"
#include "os/proc.h"

static fallible is_empty(int dir_fd, bool *ret)
{
    int copy = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_dir DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    if (!dir)
        return err_sys(errno, "list it");
    *ret = true;
    for (struct dirent *entry; (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            *ret = false;
    return NULL;
}

fallible place_make_dir(const char *path, const char *marker, int *ret_fd)
{
    bool empty = false;
    own_fd int fd = -1;
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return err_sys(errno, "make directory '%s'", path);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open '%s'", path);
    TRY_AS(is_empty(fd, &empty), "'%s'", path);
    if (!empty && faccessat(fd, marker, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return err_new(ERR_CONFLICT, "'%s' has other things in it (and no '%s'): name an empty directory", path,
                       marker);
    *ret_fd = take_fd(&fd);
    return NULL;
}

/* ---- the text ---- */

static const struct {
    const char *prefix;
    enum place_kind kind;
} prefixes[] = {
    { "docker://", PLACE_REGISTRY },
    { "store:", PLACE_STORE },
    { "docker-archive:", PLACE_DOCKER_ARCHIVE },
    { "oci-archive:", PLACE_OCI_ARCHIVE },
    { "oci:", PLACE_OCI },
    { "dir:", PLACE_DIR },
    { "ssh://", PLACE_SSH },
};
static const char *const others[] = {
    "docker-daemon:", "containers-storage:", "ostree:", "sif:", "tarball:", "atomic:"
};

/* A host that begins with a dash would be an option of ssh's. */
static bool is_host(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");
    return n && !text[n] && text[0] != '-';
}

/* "user@host:22/docker.io/library/busybox:latest" */
static fallible parse_ssh(const char *text, struct place *p)
{
    const char *slash = strchrnul(text, '/');
    own_mem char *authority = mem_strndup(text, (size_t)(slash - text));
    char *at = strrchr(authority, '@');
    char *colon = strrchr(authority, ':');
    if (colon && colon > (at ? at : authority)) {
        int64_t port = 0;
        *colon = '\0';
        TRY_AS(parse_i64(colon + 1, 1, 65535, &port), "the port of 'ssh://%.200s'", text);
        p->port = mem_strdup(colon + 1);
    }
    if (at)
        *at = '\0';
    if (!is_host(at ? at + 1 : authority) || (at && !is_host(authority)))
        return err_new(ERR_INVALID, "'ssh://%.200s' is not of the form ssh://[USER@]HOST[:PORT][/REF]", text);
    p->host = at ? mem_printf("%s@%s", authority, at + 1) : mem_strdup(authority);
    p->name = *slash && slash[1] ? mem_strdup(slash + 1) : NULL;
    return NULL;
}

static fallible parse_path(const char *text, struct place *p)
{
    const char *colon = p->kind == PLACE_DIR ? NULL : strchr(text, ':');
    p->path = colon ? mem_strndup(text, (size_t)(colon - text)) : mem_strdup(text);
    p->name = colon && colon[1] ? mem_strdup(colon + 1) : NULL;
    if (!*p->path)
        return err_new(ERR_INVALID, "it names no file");
    return NULL;
}

static fallible parse(const char *text, enum place_use use, struct place *p)
{
    const char *rest = text;
    p->kind = PLACE_REGISTRY;
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (str_starts(text, others[i]))
            return err_new(ERR_UNSUPPORTED,
                           "husk has no transport '%s' it goes by an archive: `skopeo copy %s... "
                           "oci-archive:FILE`",
                           others[i], others[i]);
    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
        if (str_starts(text, prefixes[i].prefix)) {
            p->kind = prefixes[i].kind;
            rest = text + strlen(prefixes[i].prefix);
            break;
        }
    switch (p->kind) {
    case PLACE_REGISTRY:
        return ref_parse(rest, &p->ref);
    case PLACE_STORE:
        p->name = *rest ? mem_strdup(rest) : NULL;
        break;
    case PLACE_SSH:
        TRY(parse_ssh(rest, p));
        break;
    case PLACE_OCI:
    case PLACE_DIR:
    case PLACE_DOCKER_ARCHIVE:
    case PLACE_OCI_ARCHIVE:
        return parse_path(rest, p);
    }
    if (use == PLACE_SOURCE && !p->name)
        return err_new(ERR_INVALID, "it names no image");
    return NULL;
}

fallible place_parse(const char *text, enum place_use use, struct place **ret)
{
    own(place) struct place *p = mem_zalloc(sizeof *p);
    p->fd = p->tmp_fd = p->wire_fds[0] = p->wire_fds[1] = p->pidfd = -1;
    TRY_AS(parse(text, use, p), "'%.300s'", text);
    *ret = take(p);
    return NULL;
}

/* ---- opened ---- */

static fallible open_temporary(int *ret_fd)
{
    const char *dir = getenv("TMPDIR");
    dir = dir && *dir ? dir : "/var/tmp";
    *ret_fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return *ret_fd < 0 ? err_sys(errno, "make a temporary file in '%s'", dir) : NULL;
}

static fallible open_input(struct place *p, int flags)
{
    p->fd = str_eq(p->path, "-") && !(flags & O_DIRECTORY) ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                                           : open(p->path, O_RDONLY | O_CLOEXEC | flags);
    return p->fd < 0 ? err_sys(errno, "open '%s'", p->path) : NULL;
}

static fallible open_output(struct place *p)
{
    struct stat st;
    if (str_eq(p->path, "-")) {
        if (isatty(STDOUT_FILENO))
            return err_new(ERR_INVALID, "standard output is a terminal: name a FILE, or send it into a pipe");
        p->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        return p->fd < 0 ? err_sys(errno, "open standard output") : NULL;
    }
    if (stat(p->path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
        return err_new(ERR_EXISTS, "'%s' is there already, and an archive cannot be added to: remove it first",
                       p->path);
    TRY(outfile_open(p->path, 0644, &p->file));
    p->fd = outfile_fd(p->file);
    return p->fd < 0 ? err_sys(errno, "open '%s'", p->path) : NULL;
}

/* $HUSK_SSH: another program than ssh and its first arguments, split at blanks. */
static void ssh_words(const struct place *p, struct strv *argv)
{
    const char *set = getenv("HUSK_SSH");
    own_strv struct strv words = { 0 };
    strv_split(&words, set && *set ? set : "ssh", ' ');
    for (size_t i = 0; i < words.n; i++)
        if (*words.items[i])
            strv_add(argv, words.items[i]);
    if (p->port) {
        strv_add(argv, "-p");
        strv_add(argv, p->port);
    }
    strv_add(argv, "--");
    strv_add(argv, p->host);
    strv_add(argv, "husk image serve");
}

static fallible open_ssh(struct place *p)
{
    own_strv struct strv argv = { 0 };
    int to[2] = { -1, -1 }, from[2] = { -1, -1 };
    if (pipe2(to, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    own_fd int to_read = to[0];
    p->wire_fds[1] = to[1];
    if (pipe2(from, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    own_fd int from_write = from[1];
    p->wire_fds[0] = from[0];
    ssh_words(p, &argv);
    struct spawn s = { .argv = argv.items, .stdin_fd = to_read, .stdout_fd = from_write, .stderr_fd = -1 };
    TRY(spawn_start(&s, &p->pidfd));
    p->wire.in_fd = p->wire_fds[0];
    p->wire.out_fd = p->wire_fds[1];
    return NULL;
}

fallible place_open(struct place *p, enum place_use use, const struct remote_opts *remote)
{
    bool in = use == PLACE_SOURCE;
    switch (p->kind) {
    case PLACE_REGISTRY:
        return remote_prepare(remote, p->ref, in ? REGISTRY_PULL : REGISTRY_PUSH, &p->remote);
    case PLACE_OCI:
    case PLACE_DIR:
        if (in)
            return open_input(p, O_DIRECTORY);
        return place_make_dir(p->path, p->kind == PLACE_OCI ? "index.json" : "version", &p->fd);
    case PLACE_DOCKER_ARCHIVE:
    case PLACE_OCI_ARCHIVE:
        if (in)
            TRY(open_temporary(&p->tmp_fd));
        return in ? open_input(p, 0) : open_output(p);
    case PLACE_SSH:
        return open_ssh(p);
    case PLACE_STORE:
        break;
    }
    return NULL;
}

bool place_landlock(const struct place *p, enum place_use use, struct landlock_path *ret)
{
    if (p->kind != PLACE_OCI && p->kind != PLACE_DIR)
        return false;
    *ret = (struct landlock_path){ p->fd, p->path, use == PLACE_SOURCE ? LANDLOCK_READ : LANDLOCK_READ_WRITE };
    return true;
}

/* An ssh that did not even reach the other host has said why on stderr; a shell that found no husk, or a program in
 * ssh's place that is not there, may have said nothing. */
static fallible greet(struct place *p)
{
    int status = 0;
    err *e = wire_greet(&p->wire);
    own(err) err *runs = err_is(e, ERR_UNAVAILABLE) ? proc_wait(p->pidfd, 1000, &status) : NULL;
    if (err_is(e, ERR_UNAVAILABLE) && !runs) {
        own_strv struct strv argv = { 0 };
        int code = proc_exit_code(status);
        ssh_words(p, &argv);
        close_now(&p->pidfd);
        err_ignore(e, "said with its cause");
        e = code == 127 ? err_new(ERR_UNAVAILABLE, "there is no '%s' here, or no husk there", argv.items[0])
                        : err_new(ERR_UNAVAILABLE, "'%s' ended with %d", argv.items[0], code);
    }
    return e ? err_wrap(e, "husk on '%s'", p->host) : NULL;
}

fallible place_source(struct place *p, struct layout *store, struct source **ret)
{
    switch (p->kind) {
    case PLACE_REGISTRY:
        return source_registry(p->ref, &p->remote->options, ret);
    case PLACE_STORE:
        return source_store(store, p->name, ret);
    case PLACE_OCI:
        return source_oci(take_fd(&p->fd), p->path, p->name, ret);
    case PLACE_DIR:
        return source_dir(take_fd(&p->fd), p->path, ret);
    case PLACE_DOCKER_ARCHIVE:
        return source_archive(take_fd(&p->fd), p->tmp_fd, ARCHIVE_DOCKER, p->path, p->name, ret);
    case PLACE_OCI_ARCHIVE:
        return source_archive(take_fd(&p->fd), p->tmp_fd, ARCHIVE_OCI, p->path, p->name, ret);
    case PLACE_SSH:
        TRY(greet(p));
        return source_wire(&p->wire, p->name, p->host, ret);
    }
    return err_new(ERR_INTERNAL, "a place of no kind");
}

static fallible full_name(const char *name, char **ret)
{
    own(ref) struct ref *r = NULL;
    if (!name)
        return NULL;
    TRY(ref_parse(name, &r));
    if (r->digest)
        return err_new(ERR_INVALID, "'%s': a digest cannot be chosen", name);
    *ret = ref_full(r);
    return NULL;
}

fallible place_sink(struct place *p, struct layout *store, const struct progress *progress, struct sink **ret)
{
    own_mem char *name = NULL;
    if (p->kind != PLACE_REGISTRY && p->kind != PLACE_OCI) /* the one has parsed it, the other takes any word */
        TRY(full_name(p->name, &name));
    switch (p->kind) {
    case PLACE_REGISTRY:
        return sink_registry(p->ref, &p->remote->options, ret);
    case PLACE_STORE:
        return sink_store(store, name, progress, ret);
    case PLACE_OCI:
        return sink_oci(take_fd(&p->fd), p->name, ret);
    case PLACE_DIR:
        return sink_dir(take_fd(&p->fd), ret);
    case PLACE_DOCKER_ARCHIVE:
    case PLACE_OCI_ARCHIVE:
        TRY(sink_archive(take_fd(&p->fd), p->kind == PLACE_OCI_ARCHIVE ? ARCHIVE_OCI : ARCHIVE_DOCKER, ret));
        (*ret)->name = take(name);
        return NULL;
    case PLACE_SSH:
        TRY(greet(p));
        return sink_wire(&p->wire, name, ret);
    }
    return err_new(ERR_INTERNAL, "a place of no kind");
}

fallible place_finish(struct place *p)
{
    return p->file ? outfile_finish(p->file) : NULL;
}

void place_free(struct place *p)
{
    int status = 0;
    if (!p)
        return;
    close_now(&p->wire_fds[0]);
    close_now(&p->wire_fds[1]); /* the other side's husk ends by this */
    if (p->pidfd >= 0)
        err_ignore(proc_wait(p->pidfd, 10000, &status), "an ssh that does not end is left to itself");
    close_now(&p->pidfd);
    wire_free_buffer(&p->wire);
    close_now(&p->fd);
    close_now(&p->tmp_fd);
    outfile_free(p->file);
    remote_free(p->remote);
    ref_free(p->ref);
    free(p->path);
    free(p->name);
    free(p->host);
    free(p->port);
    free(p);
}
