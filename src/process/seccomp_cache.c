// SPDX-License-Identifier: GPL-2.0-or-later
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "os/fs.h"
#include "process/seccomp.h"

enum { CACHE_MAGIC = 0x31435348, CACHE_FILE_MAX = 4 << 20, TEXT_MIN = 4, TEXT_MAX = 1 << 20, FLAG_NOTIFIES = 1u << 31 };

struct cache_head {
    uint32_t magic, key_len, insns_n, flags;
};

/* A new number here makes all old files misses: for when the compiler changes. */
#define COMPILER "husk seccomp 2 " HUSK_VERSION
#if defined(__x86_64__)
#define MACHINE "x86_64"
#else
#define MACHINE "aarch64"
#endif

static void add_word(struct str *key, const char *word)
{
    str_add(key, word ? word : "");
    str_add_char(key, '\n');
}

static void add_words(struct str *key, const struct strv *words)
{
    for (size_t i = 0; i < words->n; i++)
        add_word(key, words->items[i]);
    str_add_char(key, '\n');
}

static void add_number(struct str *key, uint64_t v)
{
    char text[24];
    size_t i = sizeof text;
    text[--i] = '\n';
    do {
        text[--i] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    str_add_n(key, text + i, sizeof text - i);
}

/* Everything that seccomp_compile() looks at. No word can hold a newline and be valid, so the text is unambiguous for
 * every profile that compiles. */
static void key_text(const struct oci_seccomp *p, struct str *key)
{
    add_word(key, COMPILER " " MACHINE);
    add_word(key, p->default_action);
    add_number(key, p->default_errno_ret.set);
    add_number(key, p->default_errno_ret.v);
    add_words(key, &p->architectures);
    add_words(key, &p->flags);
    for (size_t i = 0; i < p->syscalls_n; i++) {
        const struct oci_seccomp_rule *r = &p->syscalls[i];
        add_word(key, r->action);
        add_number(key, r->errno_ret.set);
        add_number(key, r->errno_ret.v);
        add_words(key, &r->names);
        for (size_t k = 0; k < r->args_n; k++) {
            add_number(key, r->args[k].index);
            add_number(key, r->args[k].value);
            add_number(key, r->args[k].value_two);
            add_word(key, r->args[k].op);
        }
        str_add_char(key, '\n');
    }
}

/* Eight bytes a step: only a name, the input itself is compared. The multiplier is that of FNV-1a. */
static uint64_t hash(const char *bytes, size_t n)
{
    uint64_t h = 0xcbf29ce484222325, word;
    for (; n >= sizeof word; bytes += sizeof word, n -= sizeof word) {
        memcpy(&word, bytes, sizeof word);
        h = (h ^ word) * 0x100000001b3;
        h ^= h >> 32;
    }
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)bytes[i]) * 0x100000001b3;
    return h;
}

enum { NAME_SIZE = 17 };

static void cache_name(const struct str *key, char ret[NAME_SIZE])
{
    snprintf(ret, NAME_SIZE, "%016llx", (unsigned long long)hash(key->text, key->len));
}

static size_t padded(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

static bool cache_find(int dir, const char *name, const struct str *key, struct seccomp_filter *ret)
{
    own_mem char *bytes = NULL;
    size_t n = 0;
    struct cache_head head;
    err *e = fs_read_at(dir, name, CACHE_FILE_MAX, &bytes, &n);
    if (e) {
        err_ignore(e, "not in the seccomp cache");
        return false;
    }
    if (n < sizeof head)
        return false;
    memcpy(&head, bytes, sizeof head);
    size_t insns_at = sizeof head + padded(key->len);
    if (head.magic != CACHE_MAGIC || head.key_len != key->len || head.insns_n > BPF_MAXINSNS ||
        n != insns_at + head.insns_n * sizeof(struct sock_filter) ||
        memcmp(bytes + sizeof head, key->text, key->len) != 0)
        return false;
    ret->n = head.insns_n;
    ret->flags = head.flags & ~FLAG_NOTIFIES;
    ret->notifies = head.flags & FLAG_NOTIFIES;
    ret->insns = mem_array(NULL, ret->n, sizeof *ret->insns);
    memcpy(ret->insns, bytes + insns_at, ret->n * sizeof *ret->insns);
    return true;
}

/* Full: begin anew. A filter takes less than a millisecond to make, so nothing cleverer pays. */
static void make_room(const char *path, int dir)
{
    own_dir DIR *list = opendir(path);
    size_t n = 0;
    if (!list)
        return;
    while (readdir(list))
        n++;
    if (n < SECCOMP_CACHE_MAX)
        return;
    rewinddir(list);
    for (struct dirent *entry; (entry = readdir(list));)
        if (entry->d_type == DT_REG)
            (void)unlinkat(dir, entry->d_name, 0);
}

static fallible cache_keep(const char *path, int dir, const char *name, const struct str *key,
                           const struct seccomp_filter *f)
{
    static const char zeros[8] = { 0 };
    own_str struct str bytes = { 0 };
    struct cache_head head = { .magic = CACHE_MAGIC,
                               .key_len = (uint32_t)key->len,
                               .insns_n = (uint32_t)f->n,
                               .flags = f->flags | (f->notifies ? FLAG_NOTIFIES : 0) };
    make_room(path, dir);
    str_add_n(&bytes, &head, sizeof head);
    str_add_n(&bytes, key->text, key->len);
    str_add_n(&bytes, zeros, padded(key->len) - key->len);
    str_add_n(&bytes, f->insns, f->n * sizeof *f->insns);
    return fs_replace_at(dir, name, bytes.text, bytes.len, 0600, FS_SYNC_NONE);
}

fallible seccomp_compile_cached(const struct oci_seccomp *profile, const char *cache_dir, struct seccomp_filter *ret)
{
    own_str struct str key = { 0 };
    own_fd int dir = -1;
    char name[NAME_SIZE];
    if (!cache_dir)
        return seccomp_compile(profile, ret);
    err *e = fs_open_dir_at(AT_FDCWD, cache_dir, FS_MAKE, &dir);
    if (e) {
        err_ignore(e, "no seccomp cache");
        return seccomp_compile(profile, ret);
    }
    key_text(profile, &key);
    cache_name(&key, name);
    if (cache_find(dir, name, &key, ret))
        return NULL;
    TRY(seccomp_compile(profile, ret));
    err_ignore(cache_keep(cache_dir, dir, name, &key, ret), "the seccomp cache is not written");
    return NULL;
}

/* ---- by the text ---- */

/* A cursor in a document that nobody has checked yet: it never goes beyond the end, and what is not JSON ends it. */
struct scan {
    const char *p, *end;
};

static void skip_blanks(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r'))
        s->p++;
}

static bool take_char(struct scan *s, char c)
{
    skip_blanks(s);
    if (s->p == s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

/* Behind the opening quote, to behind the closing one. */
static bool skip_string(struct scan *s)
{
    for (; s->p < s->end; s->p++) {
        if (*s->p == '"') {
            s->p++;
            return true;
        }
        if (*s->p == '\\' && ++s->p == s->end)
            return false;
    }
    return false;
}

/* An object or a list with all that is in it; of anything else, what stands before the next comma or bracket. */
static bool skip_value(struct scan *s)
{
    size_t depth = 0;
    for (skip_blanks(s); s->p < s->end;) {
        char c = *s->p;
        if (depth == 0 && (c == ',' || c == '}' || c == ']'))
            return true;
        s->p++;
        if (c == '"' && !skip_string(s))
            return false;
        if (c == '{' || c == '[')
            depth++;
        if ((c == '}' || c == ']') && --depth == 0)
            return true;
    }
    return false;
}

/* In an object, to the value of a key. */
static bool go_to_key(struct scan *s, const char *key)
{
    size_t n = strlen(key);
    if (!take_char(s, '{'))
        return false;
    do {
        if (!take_char(s, '"'))
            return false;
        const char *name = s->p;
        if (!skip_string(s))
            return false;
        bool found = (size_t)(s->p - 1 - name) == n && memcmp(name, key, n) == 0;
        if (!take_char(s, ':'))
            return false;
        skip_blanks(s);
        if (found)
            return true;
        if (!skip_value(s))
            return false;
    } while (take_char(s, ','));
    return false;
}

struct seccomp_text seccomp_text_find(const char *json, size_t n)
{
    struct scan s = { .p = json, .end = json + n };
    if (!memmem(json, n, "\"seccomp\"", strlen("\"seccomp\""))) /* a tenth of what the walk costs */
        return (struct seccomp_text){ 0 };
    if (!go_to_key(&s, "linux") || !go_to_key(&s, "seccomp") || s.p == s.end || *s.p != '{')
        return (struct seccomp_text){ 0 };
    const char *begin = s.p;
    if (!skip_value(&s) || s.p - begin < TEXT_MIN || s.p - begin > TEXT_MAX)
        return (struct seccomp_text){ 0 };
    return (struct seccomp_text){ .at = (size_t)(begin - json), .n = (size_t)(s.p - begin) };
}

/* No key by words begins like this one. */
static void text_key(const char *json, struct seccomp_text t, struct str *key)
{
    add_word(key, COMPILER " " MACHINE " text");
    str_add_n(key, json + t.at, t.n);
}

size_t seccomp_text_cut(char *json, size_t n, struct seccomp_text t)
{
    size_t end = t.at + t.n;
    memcpy(json + t.at, "null", TEXT_MIN);
    memmove(json + t.at + TEXT_MIN, json + end, n - end);
    return n - t.n + TEXT_MIN;
}

bool seccomp_text_cached(const char *json, struct seccomp_text t, const char *cache_dir, struct seccomp_filter *ret)
{
    own_str struct str key = { 0 };
    own_fd int dir = open(cache_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    char name[NAME_SIZE];
    if (dir < 0 || !t.n)
        return false;
    text_key(json, t, &key);
    cache_name(&key, name);
    return cache_find(dir, name, &key, ret);
}

static fallible text_keep(const char *json, struct seccomp_text t, const struct oci_seccomp *profile,
                          const char *cache_dir)
{
    own(seccomp_filter) struct seccomp_filter filter = { 0 };
    own_str struct str key = { 0 };
    own_fd int dir = -1;
    char name[NAME_SIZE];
    TRY(seccomp_compile_cached(profile, cache_dir, &filter));
    if (filter.notifies)
        return NULL;
    TRY(seccomp_check(&filter, false));
    TRY(fs_open_dir_at(AT_FDCWD, cache_dir, FS_MAKE, &dir));
    text_key(json, t, &key);
    cache_name(&key, name);
    return cache_keep(cache_dir, dir, name, &key, &filter);
}

void seccomp_text_keep(const char *json, struct seccomp_text t, const struct oci_seccomp *profile,
                       const char *cache_dir)
{
    if (t.n && profile)
        err_ignore(text_keep(json, t, profile, cache_dir), "the next start reads the profile again");
}
