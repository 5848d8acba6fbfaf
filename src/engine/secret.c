// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/secret.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "engine/grammar.h"
#include "monitor/events.h"
#include "os/fs.h"

enum { HEADER_MAX_BYTES = 256 << 10 };

#define T struct secret
static const struct bind_field secret_fields[] = {
    BIND_STR(T, name, "name", .flags = BIND_REQUIRED),
    BIND_STR(T, id, "id", .flags = BIND_REQUIRED),
    BIND_I64(T, created_ns, "createdNs"),
    BIND_I64(T, updated_ns, "updatedNs"),
    BIND_MAP(T, labels, "labels"),
    BIND_END,
};
#undef T
static const struct bind_type secret_type = { "secret", sizeof(struct secret), secret_fields, false };

void secret_clear(struct secret *s)
{
    free(s->name);
    free(s->id);
    strmap_free(&s->labels);
    if (s->data)
        explicit_bzero(s->data, s->len);
    free(s->data);
    *s = (struct secret){ 0 };
}

static fallible open_folder(struct engine *e, enum fs_make make, int *ret_fd)
{
    own_mem char *path = mem_printf("%s/secrets", e->root);
    if (make == FS_MAKE)
        TRY(fs_mkdirs_at(AT_FDCWD, path, 0700));
    return fs_open_dir_at(AT_FDCWD, path, FS_MUST_EXIST, ret_fd);
}

static fallible parse(const char *name, char *text, size_t len, struct secret *ret)
{
    char *end = memchr(text, '\n', len);
    void *read = NULL;
    if (!end)
        return err_new(ERR_CORRUPT, "secret '%s': its file has no first line", name);
    *end = '\0';
    TRY_AS(bind_read(&secret_type, text, (size_t)(end - text), &read), "secret '%s'", name);
    *ret = *(struct secret *)read;
    free(read);
    ret->len = len - (size_t)(end + 1 - text);
    ret->data = mem_strndup("", 0);
    ret->data = mem_realloc(ret->data, ret->len + 1);
    memcpy(ret->data, end + 1, ret->len);
    ret->data[ret->len] = '\0';
    return NULL;
}

static fallible read_at(int folder, const char *name, struct secret *ret)
{
    char *text = NULL;
    size_t len = 0;
    own_mem char *file = mem_printf("%s.secret", name);
    err *e = fs_read_at(folder, file, SECRET_MAX_BYTES + HEADER_MAX_BYTES, &text, &len);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return err_new(ERR_NOT_FOUND, "no such secret: '%s'", name);
    }
    TRY(e);
    e = parse(name, text, len, ret);
    explicit_bzero(text, len);
    free(text);
    return e;
}

static fallible write_at(int folder, const struct secret *s)
{
    own_mem char *head = bind_write(&secret_type, s, BIND_COMPACT);
    size_t n = strlen(head), len = n + 1 + s->len;
    char *whole = mem_alloc(len + 1);
    memcpy(whole, head, n);
    whole[n] = '\n';
    memcpy(whole + n + 1, s->data, s->len);
    own_mem char *file = mem_printf("%s.secret", s->name);
    err *e = fs_replace_at(folder, file, whole, len, 0600, FS_SYNC_DISK);
    explicit_bzero(whole, len);
    free(whole);
    return e;
}

static int64_t now_ns(void)
{
    struct timespec t = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* What a killed process staged; with the lock held. */
static fallible sweep(struct engine *e)
{
    own_mem char *path = mem_printf("%s/secrets", e->root);
    own_dir DIR *d = opendir(path);
    if (!d)
        return err_sys(errno, "read '%s'", path);
    for (const struct dirent *x; (x = readdir(d));)
        if (str_ends(x->d_name, ".new") && unlinkat(dirfd(d), x->d_name, 0) < 0 && errno != ENOENT)
            return err_sys(errno, "remove '%s/%s'", path, x->d_name);
    return NULL;
}

fallible secret_create(struct engine *e, const char *name, const void *data, size_t len, const struct strmap *labels,
                       bool replace, char **ret_id)
{
    own_fd int folder = -1, lock = -1;
    own(secret) struct secret old = { 0 };
    char id[27];
    TRY(grammar_name("secret name", name));
    if (!len || len > SECRET_MAX_BYTES)
        return err_new(ERR_INVALID, "a secret has from 1 to %d bytes, not %zu", SECRET_MAX_BYTES, len);
    TRY(open_folder(e, FS_MAKE, &folder));
    TRY(fs_lock_at(folder, ".lock", FS_LOCK_EXCLUSIVE, &lock));
    TRY(sweep(e));
    err *missing = read_at(folder, name, &old);
    if (!missing && !replace)
        return err_new(ERR_EXISTS, "there already is a secret '%s': --replace takes its place", name);
    if (missing && !err_is(missing, ERR_NOT_FOUND))
        return missing;
    err_free(missing);
    random_hex(id, 13);
    id[25] = '\0';
    int64_t now = now_ns();
    struct secret s = {
        .name = (char *)name,
        .id = id,
        .created_ns = old.created_ns ? old.created_ns : now,
        .updated_ns = now,
        .labels = *labels,
        .data = (char *)data,
        .len = len,
    };
    TRY(write_at(folder, &s));
    event_say(e->run, "secret", "create", id, "name", name, NULL);
    *ret_id = mem_strdup(id);
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

fallible secret_names(struct engine *e, struct strv *ret)
{
    own_mem char *path = mem_printf("%s/secrets", e->root);
    own_dir DIR *d = opendir(path);
    if (!d)
        return errno == ENOENT ? NULL : err_sys(errno, "read '%s'", path);
    for (const struct dirent *x; (x = readdir(d));)
        if (str_ends(x->d_name, ".secret"))
            strv_add_take(ret, mem_strndup(x->d_name, strlen(x->d_name) - strlen(".secret")));
    if (ret->n)
        qsort(ret->items, ret->n, sizeof *ret->items, by_name);
    return NULL;
}

static fallible find_by_id(struct engine *e, int folder, const char *what, struct secret *ret)
{
    own_strv struct strv names = { 0 };
    own(secret) struct secret found = { 0 };
    TRY(secret_names(e, &names));
    for (size_t i = 0; *what && i < names.n; i++) {
        own(secret) struct secret s = { 0 };
        TRY(read_at(folder, names.items[i], &s));
        if (!str_starts(s.id, what))
            continue;
        if (found.name)
            return err_new(ERR_CONFLICT, "several secrets have an ID that begins with '%s': give more of it", what);
        found = s;
        s = (struct secret){ 0 };
    }
    if (!found.name)
        return err_new(ERR_NOT_FOUND, "no such secret: '%s'", what);
    *ret = found;
    found = (struct secret){ 0 };
    return NULL;
}

fallible secret_find(struct engine *e, const char *what, struct secret *ret)
{
    own_fd int folder = -1;
    err *missing = open_folder(e, FS_MUST_EXIST, &folder);
    if (err_is(missing, ERR_NOT_FOUND)) {
        err_free(missing);
        return err_new(ERR_NOT_FOUND, "no such secret: '%s'", what);
    }
    TRY(missing);
    if (!strchr(what, '/') && what[0] != '.') {
        err *by = read_at(folder, what, ret);
        if (!err_is(by, ERR_NOT_FOUND))
            return by;
        err_free(by);
    }
    return find_by_id(e, folder, what, ret);
}

fallible secret_remove(struct engine *e, const char *name)
{
    own_fd int folder = -1;
    own(secret) struct secret s = { 0 };
    TRY(secret_find(e, name, &s));
    TRY(open_folder(e, FS_MUST_EXIST, &folder));
    own_mem char *file = mem_printf("%s.secret", s.name);
    if (unlinkat(folder, file, 0) < 0)
        return err_sys(errno, "remove secret '%s'", s.name);
    event_say(e->run, "secret", "remove", s.id, "name", s.name, NULL);
    return NULL;
}

/* ---- what a container says ---- */

void container_secret_clear(struct container_secret *s)
{
    free(s->name);
    free(s->type);
    free(s->target);
    *s = (struct container_secret){ 0 };
}

static fallible set_word(struct container_secret *s, const char *key, const char *value)
{
    if (strcmp(key, "source") == 0 || strcmp(key, "src") == 0) {
        free(s->name);
        s->name = mem_strdup(value);
    } else if (strcmp(key, "type") == 0) {
        if (strcmp(value, "mount") != 0 && strcmp(value, "env") != 0)
            return err_new(ERR_INVALID, "type '%s' is not one of mount, env", value);
        free(s->type);
        s->type = mem_strdup(value);
    } else if (strcmp(key, "target") == 0) {
        free(s->target);
        s->target = mem_strdup(value);
    } else if (strcmp(key, "uid") == 0) {
        TRY(parse_i64(value, 0, UINT32_MAX - 1, &s->uid));
    } else if (strcmp(key, "gid") == 0) {
        TRY(parse_i64(value, 0, UINT32_MAX - 1, &s->gid));
    } else if (strcmp(key, "mode") == 0) {
        if (!*value || strspn(value, "01234567") != strlen(value) || strlen(value) > 4)
            return err_new(ERR_INVALID, "mode '%s' is no octal file mode", value);
        s->mode = strtol(value, NULL, 8);
    } else {
        return err_new(ERR_INVALID, "'%s' is not one of type, target, uid, gid, mode", key);
    }
    return NULL;
}

static fallible finish(struct container_secret *s)
{
    bool env = str_eq(s->type, "env");
    if (!s->name)
        return err_new(ERR_INVALID, "the secret's name is missing");
    TRY(grammar_name("secret name", s->name));
    if (env && (s->uid || s->gid || s->mode))
        return err_new(ERR_INVALID, "uid, gid and mode are for type=mount only");
    if (env && s->target && (strchr(s->target, '=') || !*s->target))
        return err_new(ERR_INVALID, "target '%s' is no name of a variable", s->target);
    if (!s->type)
        s->type = mem_strdup("mount");
    if (!s->mode)
        s->mode = 0444;
    if (env && !s->target)
        s->target = mem_strdup(s->name);
    if (!env && (!s->target || s->target[0] != '/')) {
        own_mem char *below = mem_printf("/run/secrets/%s", s->target ? s->target : s->name);
        free(s->target);
        s->target = take(below);
    }
    return NULL;
}

static fallible read_words(const char *text, struct container_secret *s)
{
    own_strv struct strv words = { 0 };
    strv_split(&words, text, ',');
    for (size_t i = 0; i < words.n; i++) {
        char *equals = strchr(words.items[i], '=');
        if (!equals && i == 0) {
            s->name = mem_strdup(words.items[0]);
            continue;
        }
        if (!equals)
            return err_new(ERR_INVALID, "'%s' needs a value", words.items[i]);
        *equals = '\0';
        TRY(set_word(s, words.items[i], equals + 1));
    }
    return finish(s);
}

fallible secret_grammar(const char *text, struct container_secret *ret)
{
    struct container_secret s = { 0 };
    err *e = read_words(text, &s);
    if (e) {
        container_secret_clear(&s);
        return err_wrap(e, "'%s'", text);
    }
    *ret = s;
    return NULL;
}

char *secret_file(const char *dir, size_t n)
{
    return mem_printf("%s/secrets/%zu", dir, n);
}
