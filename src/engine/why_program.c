// SPDX-License-Identifier: GPL-2.0-or-later
/* A command that could not be run, looked at where it is: what it is run by, and which machine it is for. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/elf.h"
#include "engine/inside.h"
#include "engine/why_parts.h"
#include "image/layout.h"
#include "os/fs.h"
#include "os/root.h"
#include "process/landlock.h"

enum { TEXT_MAX = 256 };
enum kind {
    KIND_UNKNOWN, /* not there, or it could not be looked at */
    KIND_DIRECTORY,
    KIND_SCRIPT,
    KIND_PROGRAM,
    KIND_FOREIGN, /* a program for another machine */
    KIND_BROKEN,  /* a program's file that contradicts itself */
    KIND_TEXT,    /* none of these: the kernel does not know how to run it */
};
/* Crosses a pipe, so all of it is in place. */
struct look {
    enum kind kind;
    bool executable, dos; /* dos: its first line ends as Windows ends lines */
    char path[TEXT_MAX];
    char by[TEXT_MAX]; /* a script's interpreter, a program's loader; "": none */
    char arch[24];
};
struct ask {
    const struct evidence *e;
    const char *program;
    int answer_fd;
};

static const struct {
    const char *arch;
    uint16_t machine;
    bool wide;
} machines[] = {
    { "amd64", 62, true },   { "386", 3, false },    { "arm64", 183, true },   { "arm", 40, false },
    { "ppc64le", 21, true }, { "s390x", 22, true },  { "riscv64", 243, true }, { "loong64", 258, true },
    { "mips64le", 8, true }, { "mipsle", 8, false },
};

static void copy_text(char to[TEXT_MAX], const char *from, size_t n)
{
    n = n < TEXT_MAX - 1 ? n : TEXT_MAX - 1;
    memcpy(to, from, n);
    to[n] = '\0';
}

/* "#!INTERPRETER [ARGUMENT]", as execve(2) reads it. */
static void read_script(const char *line, struct look *l)
{
    size_t n = strcspn(line, "\n");
    const char *by = line + strspn(line, " \t");
    size_t len = strcspn(by, " \t\n");
    l->kind = KIND_SCRIPT;
    l->dos = n && line[n] == '\n' && line[n - 1] == '\r';
    if (len && by[len - 1] == '\r')
        len--;
    copy_text(l->by, by, len);
}

static void read_program(const struct elf_needs *n, struct look *l)
{
    const char *host = platform_of_host() + strlen("linux/");
    l->kind = KIND_PROGRAM;
    copy_text(l->by, n->loader ? n->loader : "", n->loader ? strlen(n->loader) : 0);
    for (size_t i = 0; i < ARRAY_SIZE(machines); i++)
        if (machines[i].machine == n->machine && machines[i].wide == n->wide) {
            (void)snprintf(l->arch, sizeof l->arch, "%s", machines[i].arch);
            if (strncmp(machines[i].arch, host, strcspn(host, "/")) != 0)
                l->kind = KIND_FOREIGN;
        }
}

static fallible read_file(int fd, const struct stat *st, struct look *l)
{
    own(elf_needs) struct elf_needs needs = { 0 };
    char head[TEXT_MAX + 1] = "";
    bool is_elf = false;
    l->executable = st->st_mode & 0111;
    ssize_t n = pread(fd, head, sizeof head - 1, 0);
    if (n < 0)
        return err_sys(errno, "read '%s'", l->path);
    err *e = elf_read(fd, &needs, &is_elf);
    if (err_is(e, ERR_UNSUPPORTED)) {
        err_free(e);
        l->kind = KIND_FOREIGN;
        (void)snprintf(l->arch, sizeof l->arch, "another machine");
        return NULL;
    }
    if (err_is(e, ERR_CORRUPT)) {
        err_free(e);
        l->kind = KIND_BROKEN;
        return NULL;
    }
    TRY(e);
    if (is_elf)
        read_program(&needs, l);
    else if (n > 2 && head[0] == '#' && head[1] == '!')
        read_script(head + 2, l);
    else
        l->kind = KIND_TEXT;
    return NULL;
}

static bool look_at(int root_fd, const char *path, struct look *l)
{
    own_fd int fd = -1;
    struct stat st;
    err *e = root_open(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, &fd);
    err_ignore(e, "then it is not there");
    if (fd < 0 || fstat(fd, &st) < 0)
        return false;
    copy_text(l->path, path, strlen(path));
    if (S_ISDIR(st.st_mode))
        l->kind = KIND_DIRECTORY;
    else if (S_ISREG(st.st_mode))
        err_ignore(read_file(fd, &st, l), "then no more is known of it");
    return true;
}

static const char *path_variable(const struct container_config *c)
{
    for (size_t i = 0; i < c->env.n; i++)
        if (str_starts(c->env.items[i], "PATH="))
            return c->env.items[i] + strlen("PATH=");
    return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

/* In a child, as the container's root; what it answers is a stranger's file's, and plain text in the end. */
static err *inside(int root_fd, void *ctx)
{
    const struct ask *a = ctx;
    struct look l = { 0 };
    const char *base = a->e->config->workdir ? a->e->config->workdir : "/";
    own_strv struct strv dirs = { 0 };
    if (strchr(a->program, '/')) {
        own_mem char *path = a->program[0] == '/' ? mem_strdup(a->program) : mem_printf("%s/%s", base, a->program);
        (void)look_at(root_fd, path, &l);
    } else {
        strv_split(&dirs, path_variable(a->e->config), ':');
        for (size_t i = 0; i < dirs.n; i++) {
            own_mem char *path = mem_printf("%s/%s", dirs.items[i], a->program);
            if (look_at(root_fd, path, &l) && l.kind != KIND_DIRECTORY)
                break;
        }
    }
    return fs_write_fd(a->answer_fd, &l, sizeof l, "a pipe");
}

static fallible look(const struct evidence *e, const char *program, struct look *ret)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    own_fd int from = ends[0], to = ends[1];
    TRY(container_inside(e->c, INSIDE_MOUNTS, inside, &(struct ask){ e, program, to }));
    return fs_read_exact(from, ret, sizeof *ret, "a pipe");
}

static void without_interpreter(const struct evidence *e, const struct look *l, struct why *w)
{
    if (l->dos) {
        why_headline(w,
                     "%s could not be started: the first line of its command '%s' ends with a carriage return, as "
                     "on Windows, so that '%s\\r' is looked for",
                     e->name, l->path, l->by);
        strv_add_printf(&w->cures, "sed -i 's/\\r$//' on the file when the image is built    ends its lines as here");
        return;
    }
    if (l->kind == KIND_SCRIPT) {
        why_headline(w, "%s could not be started: its command '%s' is a script for '%s', which is not in it", e->name,
                     l->path, l->by);
        strv_add_printf(&w->cures,
                        "a first line that names what is there, such as #!/bin/sh, or an image that has '%s'; husk "
                        "image files %s    lists its files",
                        l->by, e->c->row.image ? e->c->row.image : "IMAGE");
        return;
    }
    why_headline(w, "%s could not be started: its command '%s' is loaded by '%s', which is not in it", e->name, l->path,
                 l->by);
    strv_add_printf(&w->cures, "%s",
                    strstr(l->by, "musl") ? "an image that has musl, such as alpine's, or the program built for the C "
                                            "library of this one, or statically"
                                          : "an image that has this C library (glibc: debian's and the like), or the "
                                            "program built for that of this one, or statically");
}

/* The file may be executed, and what loads it as well: then the rules are what is left. */
static bool denied_by_landlock(const struct evidence *e, const struct look *l, struct why *w)
{
    own(landlock_rules) struct landlock_rules rules = { 0 };
    const char *words = strmap_get(&e->config->annotations, LANDLOCK_ANNOTATION);
    err_ignore(landlock_rules_read(words, &rules), "then it was not started with them");
    const char *denied = !landlock_rules_execute(&rules, l->path)           ? l->path
                         : *l->by && !landlock_rules_execute(&rules, l->by) ? l->by
                                                                            : NULL;
    if (!denied)
        return false;
    why_headline(w,
                 "%s could not be started: its command '%s' is there but cannot be run: its Landlock rules allow no "
                 "execution of '%s'",
                 e->name, l->path, denied);
    why_fact(w, "Landlock rules", "%s", words);
    strv_add_printf(&w->cures,
                    "husk run --security-opt landlock=%s,exec:/ ...    lets programs and what loads them run; "
                    "exec:DIR: those of a directory",
                    words);
    return true;
}

const char *why_command(const struct evidence *e)
{
    const struct container_config *c = e->config;
    return c->entrypoint.n ? c->entrypoint.items[0] : c->cmd.n ? c->cmd.items[0] : "";
}

bool why_program(const struct evidence *e, int64_t code, struct why *w)
{
    struct look l = { 0 };
    if (code != 126 && code != 127)
        return false;
    const char *image = e->c->row.image ? e->c->row.image : "IMAGE";
    err_ignore(look(e, why_command(e), &l), "then what the start said is all that is known");
    if (code == 127) {
        if ((l.kind != KIND_SCRIPT && l.kind != KIND_PROGRAM) || !*l.by)
            return false;
        without_interpreter(e, &l, w);
        return true;
    }
    if (l.kind == KIND_DIRECTORY) {
        why_headline(w, "%s could not be started: its command '%s' is there but cannot be run: it is a directory",
                     e->name, l.path);
        strv_add_printf(&w->cures, "husk create --entrypoint PROGRAM ...    names a file in it");
        return true;
    }
    if (l.kind == KIND_FOREIGN) {
        const char *host = platform_of_host();
        why_headline(w, "%s could not be started: its command '%s' is a program for %s, and this machine is %s",
                     e->name, l.path, l.arch, host + strlen("linux/"));
        strv_add_printf(&w->cures,
                        "husk run --platform %s --pull always %s ...    takes the image for this machine; with qemu "
                        "(binfmt_misc) it runs as it is",
                        host, image);
        return true;
    }
    if (l.kind == KIND_UNKNOWN)
        return false;
    if (!l.executable) {
        why_headline(w,
                     "%s could not be started: its command '%s' is there but cannot be run: its file is not "
                     "executable",
                     e->name, l.path);
        strv_add_printf(&w->cures,
                        "chmod +x on the file when the image is built (COPY --chmod=755); a script: husk run "
                        "--entrypoint /bin/sh %s %s",
                        image, l.path);
        return true;
    }
    if (l.kind == KIND_BROKEN) {
        why_headline(w, "%s could not be started: its command '%s' is a damaged program: its file contradicts itself",
                     e->name, l.path);
        strv_add_printf(&w->cures, "build or pull the image again: husk pull %s", image);
        return true;
    }
    if (l.kind == KIND_TEXT) {
        why_headline(w,
                     "%s could not be started: its command '%s' is no program, and has no first line (#!) that says "
                     "what runs it",
                     e->name, l.path);
        strv_add_printf(&w->cures, "#!/bin/sh as its first line; or husk run --entrypoint /bin/sh %s %s", image,
                        l.path);
        return true;
    }
    return denied_by_landlock(e, &l, w);
}
