// SPDX-License-Identifier: GPL-2.0-or-later
#include "process/landlock.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/parse.h"

/* Rights by number: Debian 12's header ends with ABI 2. Source: include/uapi/linux/landlock.h of Linux 6.18. */
enum {
    FS_EXECUTE = 1 << 0,
    FS_WRITE_FILE = 1 << 1,
    FS_READ_FILE = 1 << 2,
    FS_READ_DIR = 1 << 3,
    FS_REMOVE_MAKE = 0x1ff << 4, /* remove and make, of every kind */
    FS_REFER = 1 << 13,          /* ABI 2 */
    FS_TRUNCATE = 1 << 14,       /* ABI 3 */
    FS_IOCTL_DEV = 1 << 15,      /* ABI 5 */
    NET_BIND_TCP = 1 << 0,       /* ABI 4 */
    NET_CONNECT_TCP = 1 << 1,
    SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0, /* ABI 6 */
    SCOPE_SIGNAL = 1 << 1,

    READ = FS_READ_FILE | FS_READ_DIR,
    WRITE = READ | FS_WRITE_FILE | FS_REMOVE_MAKE | FS_REFER | FS_TRUNCATE | FS_IOCTL_DEV,
    ALL = WRITE | FS_EXECUTE,
    RULES_MAX = 256,
};

static const struct {
    const char *key;
    uint64_t fs, net;
} keys[] = {
    { "ro", READ, 0 },
    { "rw", WRITE, 0 },
    { "exec", READ | FS_EXECUTE, 0 },
    { "bind", 0, NET_BIND_TCP },
    { "connect", 0, NET_CONNECT_TCP },
};

void landlock_rules_clear(struct landlock_rules *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->rules[i].path);
    free(r->rules);
    *r = (struct landlock_rules){ 0 };
}

static void add(struct landlock_rules *r, struct landlock_rule rule)
{
    r->rules = mem_array(r->rules, r->n + 1, sizeof *r->rules);
    r->rules[r->n++] = rule;
}

static fallible read_scope(const char *value, struct landlock_rules *r)
{
    if (str_eq(value, "signal"))
        r->scoped |= SCOPE_SIGNAL;
    else if (str_eq(value, "abstract"))
        r->scoped |= SCOPE_ABSTRACT_UNIX_SOCKET;
    else
        return err_new(ERR_INVALID, "landlock: scope: '%s' is none of signal and abstract", value);
    return NULL;
}

static fallible read_word(const char *word, struct landlock_rules *r)
{
    size_t len = strcspn(word, ":");
    const char *value = word[len] ? word + len + 1 : NULL;
    uint64_t port = 0;
    if (value && len == 5 && strncmp(word, "scope", len) == 0)
        return read_scope(value, r);
    for (size_t i = 0; value && i < ARRAY_SIZE(keys); i++) {
        if (strlen(keys[i].key) != len || strncmp(keys[i].key, word, len) != 0)
            continue;
        if (keys[i].fs) {
            if (value[0] != '/')
                return err_new(ERR_INVALID, "landlock: %s: '%s' is not an absolute path", keys[i].key, value);
            r->fs = ALL;
            add(r, (struct landlock_rule){ .path = mem_strdup(value), .access = keys[i].fs });
            return NULL;
        }
        r->net |= keys[i].net;
        if (str_eq(value, "none"))
            return NULL;
        TRY_AS(parse_u64(value, UINT16_MAX, &port), "landlock: %s", keys[i].key);
        add(r, (struct landlock_rule){ .access = keys[i].net, .port = port });
        return NULL;
    }
    return err_new(ERR_INVALID,
                   "landlock: '%s' is none of ro:PATH, rw:PATH, exec:PATH, bind:PORT, connect:PORT, scope:signal, "
                   "scope:abstract",
                   word);
}

static fallible read_words(const struct strv *words, struct landlock_rules *r)
{
    if (!words->n)
        return err_new(ERR_INVALID, "landlock: no rules: 'unconfined' asks for none");
    if (words->n > RULES_MAX)
        return err_new(ERR_INVALID, "landlock: %zu rules are more than %d", words->n, RULES_MAX);
    for (size_t i = 0; i < words->n; i++)
        TRY(read_word(words->items[i], r));
    return NULL;
}

fallible landlock_rules_read(const char *text, struct landlock_rules *ret)
{
    own(landlock_rules) struct landlock_rules r = { 0 };
    own_strv struct strv words = { 0 };
    if (text && !str_eq(text, "unconfined")) {
        strv_split(&words, text, ',');
        TRY(read_words(&words, &r));
    }
    *ret = r;
    r = (struct landlock_rules){ 0 };
    return NULL;
}

fallible landlock_rules_fit(struct landlock_rules *r)
{
    enum { LANDLOCK_CREATE_RULESET = 444, VERSION = 1 };
    if (!r->fs && !r->net && !r->scoped)
        return NULL;
    long abi = syscall(LANDLOCK_CREATE_RULESET, NULL, 0, VERSION);
    if (abi < 1)
        return err_new(ERR_UNSUPPORTED,
                       "landlock: this kernel has it not: add landlock to its lsm= parameter, or leave "
                       "the rules out");
    if (r->fs && abi < 3) /* without the right to truncate in hand, a read-only file could be emptied */
        return err_new(ERR_UNSUPPORTED, "landlock: rules for paths need Linux 6.2");
    if (r->net && abi < 4)
        return err_new(ERR_UNSUPPORTED, "landlock: rules for ports need Linux 6.7");
    if (r->scoped && abi < 6)
        return err_new(ERR_UNSUPPORTED, "landlock: scopes need Linux 6.12");
    if (abi < 5) {
        r->fs &= ~(uint64_t)FS_IOCTL_DEV;
        for (size_t i = 0; i < r->n; i++)
            r->rules[i].access &= r->rules[i].path ? r->fs : UINT64_MAX;
    }
    return NULL;
}

static bool is_below(const char *path, const char *top)
{
    size_t n = strlen(top);
    while (n && top[n - 1] == '/')
        n--;
    return strncmp(path, top, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

bool landlock_rules_execute(const struct landlock_rules *r, const char *path)
{
    if (!(r->fs & FS_EXECUTE))
        return true;
    for (size_t i = 0; i < r->n; i++)
        if (r->rules[i].path && (r->rules[i].access & FS_EXECUTE) && is_below(path, r->rules[i].path))
            return true;
    return false;
}
