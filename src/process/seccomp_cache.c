// SPDX-License-Identifier: GPL-2.0-or-later
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "os/fs.h"
#include "process/seccomp.h"

enum { CACHE_MAGIC = 0x31435348, CACHE_FILE_MAX = 4 << 20, FLAG_NOTIFIES = 1u << 31 };

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

static uint64_t hash(const char *bytes, size_t n)
{
    uint64_t h = 0xcbf29ce484222325; /* FNV-1a */
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)bytes[i]) * 0x100000001b3;
    return h;
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
    char name[17];
    if (!cache_dir)
        return seccomp_compile(profile, ret);
    err *e = fs_open_dir_at(AT_FDCWD, cache_dir, FS_MAKE, &dir);
    if (e) {
        err_ignore(e, "no seccomp cache");
        return seccomp_compile(profile, ret);
    }
    key_text(profile, &key);
    snprintf(name, sizeof name, "%016llx", (unsigned long long)hash(key.text, key.len));
    if (cache_find(dir, name, &key, ret))
        return NULL;
    TRY(seccomp_compile(profile, ret));
    err_ignore(cache_keep(cache_dir, dir, name, &key, ret), "the seccomp cache is not written");
    return NULL;
}
