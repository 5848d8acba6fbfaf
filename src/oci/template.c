// SPDX-License-Identifier: GPL-2.0-or-later
#include "oci/template.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "oci/oci.h"
#include "os/fs.h"

#define TEMPLATE_FILE "exec.template"
enum { TEMPLATE_MAGIC = 0x31545848, TEMPLATE_MAX = 16 << 20, QUIET_S = 2 };

/* Which file it was made of: whoever changes that changes at least one of these. */
struct stamp {
    uint64_t dev, ino, size, mtime_ns, ctime_ns;
};
struct template_head {
    uint32_t magic, path_n, json_n, insns_n, flags, filtered;
    char build[40];
    struct stamp stamp;
};

void template_clear(struct template *t)
{
    oci_spec_free(t->spec);
    seccomp_filter_free(&t->filter);
    *t = (struct template){ 0 };
}

static uint64_t nanoseconds(struct timespec t)
{
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static bool stamp_of(const char *path, struct stamp *ret)
{
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    *ret = (struct stamp){ .dev = st.st_dev,
                           .ino = st.st_ino,
                           .size = (uint64_t)st.st_size,
                           .mtime_ns = nanoseconds(st.st_mtim),
                           .ctime_ns = nanoseconds(st.st_ctim) };
    return true;
}

static bool stamp_same(const struct stamp *a, const struct stamp *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->mtime_ns == b->mtime_ns &&
           a->ctime_ns == b->ctime_ns;
}

static size_t padded(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

static void head_build(char *build, size_t size)
{
    memset(build, 0, size);
    (void)snprintf(build, size, "%s", HUSK_VERSION);
}

/* Its parts, checked; *ret_text is path and JSON, one behind the other. */
static fallible split(const void *bytes, size_t n, struct template_head *h, const char **ret_text,
                      const void **ret_insns)
{
    char build[sizeof h->build];
    head_build(build, sizeof build);
    if (n < sizeof *h)
        return err_new(ERR_INVALID, "exec template: too short");
    memcpy(h, bytes, sizeof *h);
    if (h->magic != TEMPLATE_MAGIC || memcmp(h->build, build, sizeof build) != 0)
        return err_new(ERR_INVALID, "exec template: of another build");
    if (h->path_n > TEMPLATE_MAX || h->json_n > TEMPLATE_MAX || h->insns_n > BPF_MAXINSNS || h->filtered > 1 ||
        n != padded(sizeof *h + h->path_n + h->json_n) + h->insns_n * sizeof(struct sock_filter))
        return err_new(ERR_INVALID, "exec template: its lengths do not fit");
    *ret_text = (const char *)bytes + sizeof *h;
    *ret_insns = (const char *)bytes + padded(sizeof *h + h->path_n + h->json_n);
    return NULL;
}

static fallible take_parts(const struct template_head *h, const char *json, const void *insns, struct template *ret)
{
    own(template) struct template t = { .filtered = h->filtered };
    void *read = NULL;
    TRY(bind_read(&oci_spec_type, json, h->json_n, &read));
    t.spec = read;
    if (!t.spec->process)
        return err_new(ERR_INVALID, "exec template: no process");
    t.filter = (struct seccomp_filter){ .n = h->insns_n, .flags = h->flags };
    t.filter.insns = mem_array(NULL, h->insns_n + 1, sizeof *t.filter.insns);
    memcpy(t.filter.insns, insns, h->insns_n * sizeof *t.filter.insns);
    *ret = t;
    t = (struct template){ 0 };
    return NULL;
}

/* A kept one, if it is of the configuration as it is now. */
static bool find_kept(int dir, struct template *ret)
{
    own_mem char *bytes = NULL;
    struct template_head h = { 0 };
    struct stamp now;
    const char *text = NULL;
    const void *insns = NULL;
    size_t n = 0;
    err *e = fs_read_at(dir, TEMPLATE_FILE, TEMPLATE_MAX, &bytes, &n);
    if (!e)
        e = split(bytes, n, &h, &text, &insns);
    if (!e) {
        own_mem char *path = mem_strndup(text, h.path_n);
        if (!stamp_of(path, &now) || !stamp_same(&now, &h.stamp))
            return false;
        e = take_parts(&h, text + h.path_n, insns, ret);
    }
    bool found = !e;
    err_ignore(e, "no template: the configuration itself");
    return found;
}

static char *reduced_json(const struct oci_spec *spec)
{
    struct oci_linux l = { 0 };
    struct oci_spec reduced = { .oci_version = spec->oci_version, .process = spec->process, .linux_ = &l };
    if (spec->linux_) {
        l.personality = spec->linux_->personality;
        l.memory_policy = spec->linux_->memory_policy;
    }
    return bind_write(&oci_spec_type, &reduced, BIND_COMPACT);
}

static fallible keep(int dir, const char *path, const struct stamp *stamp, const struct template *t)
{
    static const char zeros[8] = { 0 };
    own_str struct str bytes = { 0 };
    own_mem char *json = reduced_json(t->spec);
    struct template_head h = { .magic = TEMPLATE_MAGIC,
                               .path_n = (uint32_t)strlen(path),
                               .json_n = (uint32_t)strlen(json),
                               .insns_n = (uint32_t)t->filter.n,
                               .flags = t->filter.flags,
                               .filtered = t->filtered,
                               .stamp = *stamp };
    head_build(h.build, sizeof h.build);
    str_add_n(&bytes, &h, sizeof h);
    str_add(&bytes, path);
    str_add(&bytes, json);
    str_add_n(&bytes, zeros, padded(bytes.len) - bytes.len);
    if (t->filter.n)
        str_add_n(&bytes, t->filter.insns, t->filter.n * sizeof *t->filter.insns);
    return fs_replace_at(dir, TEMPLATE_FILE, bytes.text, bytes.len, 0600, FS_SYNC_NONE);
}

/* Left alone for a while, and the same before and after we read it. */
static bool settled(const char *path, const struct stamp *before)
{
    struct timespec now;
    struct stamp after;
    clock_gettime(CLOCK_REALTIME, &now);
    return stamp_of(path, &after) && stamp_same(before, &after) &&
           nanoseconds(now) > after.ctime_ns + QUIET_S * 1000000000ull;
}

static fallible read_config(const char *dir, struct template *t, char **ret_path, struct stamp *ret_stamp)
{
    own_mem char *made_from = NULL;
    own_mem char *bundle = NULL;
    own_mem char *copy = mem_printf("%s/" OCI_CONFIG_COPY, dir);
    own_mem char *path = NULL;
    if (access(copy, F_OK) == 0) {
        path = take(copy);
    } else {
        TRY(runtime_bundle(dir, &made_from));
        path = mem_printf("%s/config.json", made_from);
    }
    if (!stamp_of(path, ret_stamp))
        *ret_stamp = (struct stamp){ 0 };
    TRY(oci_bundle(made_from, path, &bundle, &t->spec));
    if (!t->spec->process)
        return err_new(ERR_INVALID, "bundle '%s': config.json: process: missing", bundle);
    *ret_path = take(path);
    return NULL;
}

static fallible compile_filter(const char *dir, struct template *t)
{
    const struct oci_seccomp *seccomp = t->spec->linux_ ? t->spec->linux_->seccomp : NULL;
    own_mem char *cache = oci_seccomp_cache(dir);
    if (!seccomp)
        return NULL;
    TRY_AS(seccomp_compile_cached(seccomp, cache, &t->filter), "linux.seccomp");
    t->filtered = true;
    return NULL;
}

fallible template_find(const char *dir, struct template *ret)
{
    own(template) struct template t = { 0 };
    own_mem char *path = NULL;
    own_fd int fd = -1;
    struct stamp stamp;
    TRY(fs_open_dir_at(AT_FDCWD, dir, FS_MUST_EXIST, &fd));
    if (find_kept(fd, ret))
        return NULL;
    TRY(read_config(dir, &t, &path, &stamp));
    TRY(compile_filter(dir, &t));
    if (t.filter.notifies) { /* its agent is in the configuration */
        seccomp_filter_free(&t.filter);
        t.filter = (struct seccomp_filter){ 0 };
        t.filtered = false;
    } else if (settled(path, &stamp)) {
        err_ignore(keep(fd, path, &stamp, &t), "the next exec reads the configuration again");
    }
    *ret = t;
    t = (struct template){ 0 };
    return NULL;
}
