// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/bootstrap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "os/fs.h"
#include "os/proc.h"

enum { SOURCES_MAX = 1 << 20 };

/* ---- names ---- */

static const struct {
    const char *number, *suite;
} debian_releases[] = {
    { "10", "buster" }, { "11", "bullseye" }, { "12", "bookworm" }, { "13", "trixie" }, { "latest", "stable" },
};

static bool is_word(const char *text)
{
    return *text && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789.-") == strlen(text) && *text != '-';
}

fallible bootstrap_suite(const char *name, char **ret_distribution, char **ret_suite)
{
    const char *colon = strchr(name, ':');
    own_mem char *distribution = mem_strndup(name, strcspn(name, ":"));
    const char *suite = colon ? colon + 1 : "latest";
    if (!str_eq(distribution, "debian") && !str_eq(distribution, "ubuntu"))
        return err_new(ERR_UNSUPPORTED, "mmdebstrap makes debian:SUITE and ubuntu:SUITE, such as debian:bookworm");
    for (size_t i = 0; str_eq(distribution, "debian") && i < ARRAY_SIZE(debian_releases); i++)
        if (str_eq(suite, debian_releases[i].number))
            suite = debian_releases[i].suite;
    if (!is_word(suite) || str_eq(suite, "latest"))
        return err_new(ERR_INVALID, "it names no suite, as debian:bookworm does");
    *ret_suite = mem_strdup(suite);
    *ret_distribution = take(distribution);
    return NULL;
}

/* ---- apt's sources ---- */

struct sources {
    const char *distribution, *suite, *components;
    struct strv *lines;
    char *any_uri; /* a mirror of the distribution, listed with another suite */
};

/* ".../debian" or ".../debian/": the archive itself, not debian-security or a vendor's. */
static bool is_archive(const struct sources *s, const char *uri)
{
    size_t n = strlen(uri), len = strlen(s->distribution);
    while (n > 0 && uri[n - 1] == '/')
        n--;
    return n > len && uri[n - len - 1] == '/' && strncmp(uri + n - len, s->distribution, len) == 0;
}

/* bookworm, bookworm-updates, bookworm-security */
static bool is_of_suite(const struct sources *s, const char *suite)
{
    size_t len = strlen(s->suite);
    return strncmp(suite, s->suite, len) == 0 &&
           (!suite[len] || str_eq(suite + len, "-updates") || str_eq(suite + len, "-security"));
}

static bool is_of_distribution(const struct sources *s, const char *uri)
{
    own_mem char *security = mem_printf("/%s-security", s->distribution);
    return is_archive(s, uri) || strstr(uri, security);
}

static void add_source(struct sources *s, const char *uri, const char *suite)
{
    if (strncmp(uri, "http", 4) != 0 && !str_starts(uri, "file:") && !str_starts(uri, "copy:"))
        return;
    if (is_archive(s, uri) && !s->any_uri)
        s->any_uri = mem_strdup(uri);
    if (is_of_distribution(s, uri) && is_of_suite(s, suite))
        strv_add_printf(s->lines, "deb %s %s %s", uri, suite, s->components);
}

static void split_words(struct strv *words, const char *text)
{
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, " \t\n");
        if (n > 0)
            strv_add_take(words, mem_strndup(p, n));
        p += n + (p[n] != '\0');
    }
}

/* deb [options] URI suite component ... */
static void read_line(struct sources *s, const char *line)
{
    own_strv struct strv words = { 0 };
    split_words(&words, line);
    size_t i = 1;
    if (words.n < 3 || !str_eq(words.items[0], "deb"))
        return;
    if (words.items[1][0] == '[') {
        while (i < words.n && !str_ends(words.items[i], "]"))
            i++;
        i++;
    }
    if (i + 1 < words.n)
        add_source(s, words.items[i], words.items[i + 1]);
}

struct stanza {
    struct strv types, uris, suites;
    bool disabled;
};

static void end_stanza(struct sources *s, struct stanza *z)
{
    for (size_t u = 0; !z->disabled && strv_has(&z->types, "deb") && u < z->uris.n; u++)
        for (size_t i = 0; i < z->suites.n; i++)
            add_source(s, z->uris.items[u], z->suites.items[i]);
    strv_free(&z->types);
    strv_free(&z->uris);
    strv_free(&z->suites);
    z->disabled = false;
}

/* deb822: "Types: deb", "URIs: ...", "Suites: ...". Lists that go on over several lines are rare and not read. */
static void read_stanza_line(struct stanza *z, const char *line)
{
    if (str_starts(line, "Types:"))
        split_words(&z->types, line + strlen("Types:"));
    else if (str_starts(line, "URIs:"))
        split_words(&z->uris, line + strlen("URIs:"));
    else if (str_starts(line, "Suites:"))
        split_words(&z->suites, line + strlen("Suites:"));
    else if (str_starts(line, "Enabled:"))
        z->disabled = strstr(line, "no") != NULL;
}

static void read_text(struct sources *s, const char *text, bool deb822)
{
    own_strv struct strv lines = { 0 };
    struct stanza z = { 0 };
    strv_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.n; i++) {
        char *line = lines.items[i];
        if (line[0] == '#')
            continue;
        if (!deb822)
            read_line(s, line);
        else if (line[strspn(line, " \t")] == '\0')
            end_stanza(s, &z);
        else
            read_stanza_line(&z, line);
    }
    end_stanza(s, &z);
}

static fallible read_file(struct sources *s, int dir_fd, const char *path)
{
    own_mem char *text = NULL;
    err *e = fs_read_at(dir_fd, path, SOURCES_MAX, &text, NULL);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_ignore(e, "the other form is used");
        return NULL;
    }
    TRY(e);
    read_text(s, text, str_ends(path, ".sources"));
    return NULL;
}

static fallible read_sources(struct sources *s, const char *etc_apt)
{
    own_fd int fd = open(etc_apt, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? NULL : err_sys(errno, "open '%s'", etc_apt);
    TRY(read_file(s, fd, "sources.list"));
    int list_fd = openat(fd, "sources.list.d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_dir DIR *dir = list_fd < 0 ? NULL : fdopendir(list_fd);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (str_ends(entry->d_name, ".list") || str_ends(entry->d_name, ".sources"))
            TRY(read_file(s, dirfd(dir), entry->d_name));
    return NULL;
}

fallible bootstrap_mirrors(const char *etc_apt, const char *distribution, const char *suite, const char *components,
                           struct strv *ret)
{
    struct sources s = { .distribution = distribution, .suite = suite, .components = components, .lines = ret };
    err *e = read_sources(&s, etc_apt);
    if (!e && ret->n == 0 && s.any_uri)
        strv_add_printf(ret, "deb %s %s %s", s.any_uri, suite, components);
    free(s.any_uri);
    return e ? err_wrap(e, "read the system's apt sources") : NULL;
}

/* ---- mmdebstrap ---- */

static void make_argv(const struct bootstrap *b, struct strv *argv)
{
    strv_add(argv, "mmdebstrap");
    strv_add_printf(argv, "--variant=%s", b->variant);
    strv_add_printf(argv, "--components=%s", b->components);
    strv_add(argv, "--format=tar");
    if (geteuid() != 0)
        strv_add(argv, "--mode=unshare");
    if (b->quiet)
        strv_add(argv, "--quiet");
    if (b->architecture)
        strv_add_printf(argv, "--architectures=%s", b->architecture);
    if (b->cache) { /* as mmdebstrap(1) has it, "EXAMPLES" */
        strv_add(argv, "--skip=download/empty");
        strv_add(argv, "--skip=essential/unlink");
        strv_add(argv, "--setup-hook=mkdir -p \"$1\"/var/cache/apt/archives/");
        strv_add_printf(argv, "--setup-hook=sync-in %s /var/cache/apt/archives/", b->cache);
        strv_add_printf(argv, "--customize-hook=sync-out /var/cache/apt/archives %s", b->cache);
    }
    for (size_t i = 0; i < b->include.n; i++)
        strv_add_printf(argv, "--include=%s", b->include.items[i]);
    strv_add(argv, b->suite);
    strv_add(argv, "-");
    for (size_t i = 0; i < b->mirrors.n; i++)
        strv_add(argv, b->mirrors.items[i]);
}

fallible bootstrap_start(const struct bootstrap *b, int *ret_tar_fd, int *ret_pidfd)
{
    own_strv struct strv argv = { 0 };
    int ends[2];
    make_argv(b, &argv);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    own_fd int read_end = ends[0];
    own_fd int write_end = ends[1];
    (void)fcntl(read_end, F_SETPIPE_SZ, 1 << 20); /* fewer switches between the two */
    struct spawn s = { .argv = argv.items, .stdin_fd = -1, .stdout_fd = write_end, .stderr_fd = -1 };
    TRY(spawn_start(&s, ret_pidfd));
    *ret_tar_fd = take_fd(&read_end);
    return NULL;
}

fallible bootstrap_wait(int pidfd)
{
    int status = 0;
    TRY(proc_wait(pidfd, -1, &status));
    int code = proc_exit_code(status);
    if (code == 127)
        return err_new(ERR_NOT_FOUND, "mmdebstrap is not installed: apt-get install mmdebstrap");
    return code == 0 ? NULL : err_new(ERR_UNAVAILABLE, "mmdebstrap ended with status %d: see what it says above", code);
}
