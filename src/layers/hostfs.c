// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/hostfs.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/log.h"
#include "codec/elf.h"
#include "codec/tar.h"
#include "os/fs.h"

enum { LINKS_MAX = 40, DEPTH_MAX = 64, TEXT_MAX = 1 << 20 };

/* A thing of the new root: of the host, under its own path, or a text of ours. */
struct item {
    char *path;
    char *text; /* ours; NULL: the host's */
    struct stat st;
};
struct hostfs {
    struct item *items;
    size_t n, room;
    struct strv paths;    /* of the items; made by hostfs_paths() */
    struct strv names;    /* of libraries that were found: "libc.so.6" */
    struct strv standard; /* directories of ld.so.conf and the built-in ones */
};

struct hostfs *hostfs_new(void)
{
    return mem_zalloc(sizeof(struct hostfs));
}

void hostfs_free(struct hostfs *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->n; i++) {
        free(h->items[i].path);
        free(h->items[i].text);
    }
    free(h->items);
    strv_free(&h->paths);
    strv_free(&h->names);
    strv_free(&h->standard);
    free(h);
}

static bool has(const struct hostfs *h, const char *path)
{
    for (size_t i = 0; i < h->n; i++)
        if (strcmp(h->items[i].path, path) == 0)
            return true;
    return false;
}

static void put(struct hostfs *h, const char *path, const struct stat *st, const char *text)
{
    if (h->n == h->room)
        h->items = mem_array(h->items, h->room = 2 * h->room + 64, sizeof *h->items);
    h->items[h->n++] = (struct item){ mem_strdup(path), mem_strdup(text), *st };
}

/* ---- paths with their links ---- */

static fallible add_file(struct hostfs *h, const char *path, int depth);

/* Every directory and link on the way, and the thing itself; *ret: where the path leads. */
static fallible add_chain(struct hostfs *h, const char *path, int links, char **ret)
{
    own_str struct str at = { 0 };
    for (const char *p = path; *p;) {
        struct stat st;
        p += strspn(p, "/");
        size_t n = strcspn(p, "/");
        if (n == 0)
            break;
        str_add_char(&at, '/');
        str_add_n(&at, p, n);
        p += n;
        if (lstat(at.text, &st) < 0)
            return err_sys(errno, "'%s'", path);
        if (!has(h, at.text))
            put(h, at.text, &st, NULL);
        if (!S_ISLNK(st.st_mode))
            continue;
        char target[PATH_MAX];
        ssize_t len = readlink(at.text, target, sizeof target - 1);
        if (len < 0)
            return err_sys(errno, "read link '%s'", at.text);
        target[len] = '\0';
        if (links >= LINKS_MAX)
            return err_new(ERR_INVALID, "'%s': too many links", path);
        at.text[at.len - n - 1] = '\0';
        own_mem char *joined =
            target[0] == '/' ? mem_printf("%s%s", target, p) : mem_printf("%s/%s%s", at.text, target, p);
        own_mem char *clean = mem_alloc(strlen(joined) + 1);
        if (!tar_clean_path(joined, clean))
            return err_new(ERR_INVALID, "'%s': a link leads out of the root", path);
        own_mem char *next = mem_printf("/%s", clean);
        return add_chain(h, next, links + 1, ret);
    }
    if (ret)
        *ret = at.len ? str_take(&at) : mem_strdup("/");
    return NULL;
}

/* What is there is taken, what is not is not missed. */
static fallible add_if_there(struct hostfs *h, const char *path)
{
    if (access(path, R_OK) < 0)
        return NULL;
    return add_file(h, path, 0);
}

/* ---- libraries ---- */

static fallible read_conf(struct hostfs *h, const char *path, int depth)
{
    own_mem char *text = NULL;
    own_strv struct strv lines = { 0 };
    err *e = depth > 4 ? NULL : fs_read_at(AT_FDCWD, path, TEXT_MAX, &text, NULL);
    if (e || !text) {
        err_ignore(e, "the built-in directories are left");
        return NULL;
    }
    strv_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.n; i++) {
        char *line = lines.items[i] + strspn(lines.items[i], " \t");
        line[strcspn(line, "#")] = '\0';
        for (size_t n = strlen(line); n && (line[n - 1] == ' ' || line[n - 1] == '\t'); n--)
            line[n - 1] = '\0';
        if (str_starts(line, "include ")) {
            glob_t found = { 0 };
            int r = glob(line + strlen("include "), 0, NULL, &found);
            for (size_t k = 0; r == 0 && k < found.gl_pathc; k++)
                TRY(read_conf(h, found.gl_pathv[k], depth + 1));
            globfree(&found);
        } else if (line[0] == '/') {
            strv_add(&h->standard, line);
        }
    }
    return NULL;
}

static fallible standard_dirs(struct hostfs *h)
{
    struct utsname u;
    static const char *const built_in[] = { "/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib" };
    if (h->standard.n)
        return NULL;
    TRY(read_conf(h, "/etc/ld.so.conf", 0));
    if (uname(&u) == 0) {
        strv_add_printf(&h->standard, "/lib/%s-linux-gnu", u.machine);
        strv_add_printf(&h->standard, "/usr/lib/%s-linux-gnu", u.machine);
        strv_add_printf(&h->standard, "/lib/%s-linux-musl", u.machine);
    }
    for (size_t i = 0; i < ARRAY_SIZE(built_in); i++)
        strv_add(&h->standard, built_in[i]);
    return NULL;
}

/* The same machine and width, as ld.so asks: the directories of two architectures are searched alike. */
static bool fits(const char *path, const struct elf_needs *by)
{
    own(elf_needs) struct elf_needs needs = { 0 };
    own_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_elf = false;
    if (fd < 0)
        return false;
    err_ignore(elf_read(fd, &needs, &is_elf), "not a library that can be used");
    return is_elf && needs.machine == by->machine && needs.wide == by->wide;
}

/* $ORIGIN is where the file that says it lies; $LIB and $PLATFORM are the loader's own and not known here. */
static char *expand(const char *dir, const char *origin)
{
    const char *at = strstr(dir, "$ORIGIN");
    size_t n = strlen("$ORIGIN");
    if (!at) {
        at = strstr(dir, "${ORIGIN}");
        n = strlen("${ORIGIN}");
    }
    return at ? mem_printf("%.*s%s%s", (int)(at - dir), dir, origin, at + n) : mem_strdup(dir);
}

static char *look_in(const struct strv *dirs, const char *origin, const char *name, const struct elf_needs *by)
{
    for (size_t i = 0; i < dirs->n; i++) {
        own_mem char *dir = expand(dirs->items[i], origin);
        own_mem char *path = mem_printf("%s/%s", dir, name);
        if (dir[0] == '/' && fits(path, by))
            return take(path);
    }
    return NULL;
}

/* Where ld.so(8) finds it: DT_RPATH (when there is no DT_RUNPATH), DT_RUNPATH, the directories of ld.so.conf. */
static char *find_library(struct hostfs *h, const char *name, const struct elf_needs *by, const char *origin)
{
    char *found = by->runpath.n ? NULL : look_in(&by->rpath, origin, name, by);
    if (!found)
        found = look_in(&by->runpath, origin, name, by);
    return found ? found : look_in(&h->standard, origin, name, by);
}

static fallible add_libraries(struct hostfs *h, const char *path, const struct elf_needs *needs, int depth)
{
    own_mem char *origin = mem_strndup(path, (size_t)(strrchr(path, '/') - path));
    TRY(standard_dirs(h));
    if (needs->loader)
        TRY_AS(add_file(h, needs->loader, depth + 1), "'%s': its loader", path);
    for (size_t i = 0; i < needs->libraries.n; i++) {
        const char *name = needs->libraries.items[i];
        own_mem char *library = strchr(name, '/') ? mem_strdup(name) : find_library(h, name, needs, origin);
        if (!library)
            return err_new(ERR_NOT_FOUND, "'%s' needs the library '%s', which is in none of the loader's directories",
                           path, name);
        if (!strv_has(&h->names, name))
            strv_add(&h->names, name);
        TRY(add_file(h, library, depth + 1));
    }
    return NULL;
}

/* "#!/usr/bin/env python3": env, and what it will look for. */
static fallible add_interpreter(struct hostfs *h, const char *path, int fd, int depth)
{
    char line[256];
    ssize_t n = pread(fd, line, sizeof line - 1, 0);
    if (n < 3 || line[0] != '#' || line[1] != '!')
        return NULL;
    line[n] = '\0';
    line[strcspn(line, "\n")] = '\0';
    char *program = line + 2 + strspn(line + 2, " \t");
    char *rest = program + strcspn(program, " \t");
    if (*rest)
        *rest++ = '\0';
    TRY_AS(add_file(h, program, depth + 1), "'%s': its interpreter", path);
    if (!str_ends(program, "/env"))
        return NULL;
    rest += strspn(rest, " \t");
    rest[strcspn(rest, " \t")] = '\0';
    static const char *const dirs[] = { "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin" };
    for (size_t i = 0; *rest && *rest != '-' && i < ARRAY_SIZE(dirs); i++) {
        own_mem char *found = mem_printf("%s/%s", dirs[i], rest);
        if (access(found, X_OK) == 0)
            return add_file(h, found, depth + 1);
    }
    return NULL;
}

/* ---- files and directories ---- */

static fallible add_dir(struct hostfs *h, const char *path, int depth)
{
    own_dir DIR *dir = opendir(path);
    if (!dir)
        return err_sys(errno, "read '%s'", path);
    for (const struct dirent *e; (e = readdir(dir));) {
        own_mem char *child = mem_printf("%s/%s", path, e->d_name);
        struct stat st;
        if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
            continue;
        if (lstat(child, &st) < 0)
            return err_sys(errno, "'%s'", child);
        if (S_ISLNK(st.st_mode) && !has(h, child))
            put(h, child, &st, NULL); /* where it leads need not be there */
        else if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
            TRY(add_file(h, child, depth + 1));
    }
    return NULL;
}

static fallible add_file(struct hostfs *h, const char *path, int depth)
{
    own(elf_needs) struct elf_needs needs = { 0 };
    own_mem char *real = NULL;
    struct stat st;
    bool is_elf = false;
    size_t before = h->n;
    if (depth > DEPTH_MAX)
        return err_new(ERR_INVALID, "'%s': more than %d files need each other", path, DEPTH_MAX);
    TRY(add_chain(h, path, 0, &real));
    if (h->n == before)
        return NULL; /* it is there with all it needs */
    if (stat(real, &st) < 0)
        return err_sys(errno, "'%s'", real);
    if (S_ISDIR(st.st_mode))
        return add_dir(h, real, depth);
    if (!S_ISREG(st.st_mode))
        return err_new(ERR_INVALID, "'%s' is neither a file nor a directory", real);
    own_fd int fd = open(real, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open '%s'", real);
    TRY_AS(elf_read(fd, &needs, &is_elf), "'%s'", real);
    return is_elf ? add_libraries(h, real, &needs, depth) : add_interpreter(h, real, fd, depth);
}

fallible hostfs_add(struct hostfs *h, const char *path)
{
    if (path[0] != '/')
        return err_new(ERR_INVALID, "'%s': give an absolute path", path);
    return add_file(h, path, 0);
}

/* ---- what is looked for at run time ---- */

static bool uses(const struct hostfs *h, const char *prefix)
{
    for (size_t i = 0; i < h->names.n; i++)
        if (str_starts(h->names.items[i], prefix))
            return true;
    return false;
}

static void put_text(struct hostfs *h, const char *path, mode_t mode, const char *text)
{
    struct stat st = { .st_mode = mode, .st_size = text ? (off_t)strlen(text) : 0 };
    if (!has(h, path))
        put(h, path, &st, text);
}

/* The modules that nsswitch.conf names and that are there; "files" and "dns" are inside the C library since 2.34. */
static fallible add_nss(struct hostfs *h, const struct elf_needs *like)
{
    own_mem char *text = NULL;
    own_strv struct strv lines = { 0 };
    own_strv struct strv found = { 0 };
    err *e = fs_read_at(AT_FDCWD, "/etc/nsswitch.conf", TEXT_MAX, &text, NULL);
    err_ignore(e, "the C library's own default is left");
    strv_split(&lines, text ? text : "passwd: files\ngroup: files\nhosts: files dns\n", '\n');
    for (size_t i = 0; i < lines.n; i++) {
        own_strv struct strv words = { 0 };
        strv_split(&words, lines.items[i], ' ');
        for (size_t k = 0; k < words.n; k++) {
            own_mem char *name = mem_printf("libnss_%s.so.2", words.items[k]);
            own_mem char *path = NULL;
            if (!words.items[k][0] || strpbrk(words.items[k], "/:[]#=") || strv_has(&found, name))
                continue;
            path = look_in(&h->standard, "", name, like);
            if (!path)
                continue;
            strv_add(&found, name);
            TRY(add_file(h, path, 0));
        }
    }
    put_text(h, "/etc/nsswitch.conf", S_IFREG | 0644, text ? text : "passwd: files\ngroup: files\nhosts: files dns\n");
    return NULL;
}

static fallible add_certificates(struct hostfs *h)
{
    TRY(add_if_there(h, "/etc/ssl/certs/ca-certificates.crt"));
    TRY(add_if_there(h, "/etc/pki/tls/certs/ca-bundle.crt"));
    return add_if_there(h, "/etc/ssl/openssl.cnf");
}

static fallible like_us(struct elf_needs *ret)
{
    own_fd int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    bool is_elf = false;
    if (fd < 0)
        return err_sys(errno, "open our own program");
    return elf_read(fd, ret, &is_elf);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct item *)a)->path, ((const struct item *)b)->path);
}

fallible hostfs_finish(struct hostfs *h)
{
    own(elf_needs) struct elf_needs like = { 0 };
    static const char *const dirs[] = { "/dev", "/etc", "/proc", "/run", "/sys", "/tmp", "/root", "/var" };
    TRY(standard_dirs(h));
    TRY(like_us(&like));
    if (uses(h, "libc.so.")) {
        own_mem char *gcc = look_in(&h->standard, "", "libgcc_s.so.1", &like); /* pthread_cancel() loads it by name */
        TRY(add_nss(h, &like));
        if (gcc)
            TRY(add_file(h, gcc, 0));
    }
    if (uses(h, "libtinfo") || uses(h, "libncurses"))
        TRY(add_if_there(h, access("/lib/terminfo", R_OK) == 0 ? "/lib/terminfo" : "/usr/share/terminfo"));
    if (uses(h, "libssl") || uses(h, "libgnutls") || uses(h, "libnss3") || uses(h, "libmbedtls"))
        TRY(add_certificates(h));
    for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
        put_text(h, dirs[i],
                 S_IFDIR | (str_eq(dirs[i], "/tmp")    ? 01777U
                            : str_eq(dirs[i], "/root") ? 0700U
                                                       : 0755U),
                 NULL);
    put_text(h, "/etc/passwd", S_IFREG | 0644,
             "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n");
    put_text(h, "/etc/group", S_IFREG | 0644, "root:x:0:\nnogroup:x:65534:\n");
    qsort(h->items, h->n, sizeof *h->items, by_path);
    return NULL;
}

const struct strv *hostfs_paths(struct hostfs *h)
{
    strv_free(&h->paths);
    for (size_t i = 0; i < h->n; i++)
        strv_add(&h->paths, h->items[i].path);
    return &h->paths;
}

/* ---- the tar ---- */

static fallible flush(int fd, struct str *out)
{
    TRY(fs_write_fd(fd, out->text, out->len, "tar"));
    out->len = 0;
    return NULL;
}

/* Exactly as many bytes as the header says, whatever becomes of the file meanwhile. */
static fallible write_contents(int fd, const struct item *x, struct str *out)
{
    static char buf[1 << 18];
    own_fd int from = open(x->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (from < 0)
        return err_sys(errno, "open '%s'", x->path);
    TRY(flush(fd, out));
    for (uint64_t left = (uint64_t)x->st.st_size; left > 0;) {
        ssize_t n = read(from, buf, left < sizeof buf ? (size_t)left : sizeof buf);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(errno, "read '%s'", x->path);
        if (n == 0)
            return err_new(ERR_CONFLICT, "'%s' became shorter while it was read", x->path);
        TRY(fs_write_fd(fd, buf, (size_t)n, "tar"));
        left -= (uint64_t)n;
    }
    return NULL;
}

static fallible write_item(int fd, const struct item *x, struct str *out)
{
    char target[PATH_MAX] = "";
    struct tar_entry e = { .path = x->path + 1,
                           .link = target,
                           .mode = x->st.st_mode & 07777,
                           .mtime_s = x->st.st_mtim.tv_sec,
                           .mtime_ns = (uint32_t)x->st.st_mtim.tv_nsec };
    if (S_ISDIR(x->st.st_mode)) {
        e.type = TAR_DIR;
    } else if (S_ISLNK(x->st.st_mode)) {
        ssize_t n = readlink(x->path, target, sizeof target - 1);
        if (n < 0)
            return err_sys(errno, "read link '%s'", x->path);
        target[n] = '\0';
        e.type = TAR_SYMLINK;
    } else {
        e.type = TAR_FILE;
        e.size = (uint64_t)x->st.st_size;
    }
    tar_write_header(out, &e);
    if (e.type != TAR_FILE)
        return NULL;
    if (x->text)
        str_add(out, x->text);
    else
        TRY(write_contents(fd, x, out));
    tar_pad(out, e.size);
    return NULL;
}

fallible hostfs_write(struct hostfs *h, int fd)
{
    own_str struct str out = { 0 };
    for (size_t i = 0; i < h->n; i++)
        TRY(write_item(fd, &h->items[i], &out));
    tar_end(&out);
    return flush(fd, &out);
}
