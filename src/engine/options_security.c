// SPDX-License-Identifier: GPL-2.0-or-later
/* --security-opt: docker's words and podman's, each of which works or says in a sentence why not. */
#include <fcntl.h>
#include <string.h>

#include "engine/options_parts.h"
#include "os/fs.h"
#include "process/landlock.h"

enum { SECCOMP_FILE_MAX = 4 << 20, PATHS_MAX = 256 };

static fallible no_new_privileges(const char *value, struct container_config *c)
{
    c->no_new_privileges = true;
    return value ? parse_bool(value, &c->no_new_privileges) : NULL;
}

static fallible seccomp(const char *value, struct container_config *c)
{
    c->seccomp_unconfined = str_eq(value, "unconfined");
    free(c->seccomp);
    c->seccomp = NULL;
    return c->seccomp_unconfined ? NULL : fs_read_at(AT_FDCWD, value, SECCOMP_FILE_MAX, &c->seccomp, NULL);
}

static fallible systempaths(const char *value, struct container_config *c)
{
    if (!str_eq(value, "unconfined"))
        return err_new(ERR_INVALID, "'%s' is not unconfined, the one word that docker has", value);
    c->unmask = true;
    return NULL;
}

static fallible landlock(const char *value, struct container_config *c)
{
    own(landlock_rules) struct landlock_rules rules = { 0 };
    TRY(landlock_rules_read(value, &rules));
    strmap_set(&c->annotations, LANDLOCK_ANNOTATION, value);
    return NULL;
}

/* Whether the kernel has AppArmor, and this profile, is seen by each start, which may be after it was loaded. */
static fallible apparmor(const char *value, struct container_config *c)
{
    free(c->apparmor);
    c->apparmor = str_eq(value, "unconfined") ? NULL : mem_strdup(value); /* what it is without one */
    return NULL;
}

static fallible label(const char *value, struct container_config *c)
{
    if (str_eq(value, "disable") || str_eq(value, "nested"))
        return NULL; /* husk gives no label, so it is so already */
    return err_new(ERR_UNSUPPORTED,
                   "'%s': husk gives no SELinux labels: leave it out, or confine the program with landlock=RULES, "
                   "seccomp=FILE or apparmor=PROFILE",
                   value);
}

static fallible add_paths(const char *value, struct strv *to)
{
    own_strv struct strv paths = { 0 };
    strv_split(&paths, value, ':');
    for (size_t i = 0; i < paths.n; i++) {
        if (paths.items[i][0] != '/')
            return err_new(ERR_INVALID, "'%s' is not an absolute path: expected /PATH[:/PATH...]", paths.items[i]);
        if (to->n >= PATHS_MAX)
            return err_new(ERR_INVALID, "more than %d paths", PATHS_MAX);
        strv_add(to, paths.items[i]);
    }
    return paths.n ? NULL : err_new(ERR_INVALID, "no path follows: expected /PATH[:/PATH...]");
}

static fallible mask(const char *value, struct container_config *c)
{
    return add_paths(value, &c->mask);
}

static fallible unmask(const char *value, struct container_config *c)
{
    if (strcasecmp(value, "all") != 0)
        return add_paths(value, &c->unmask_paths);
    c->unmask = true;
    return NULL;
}

static fallible proc_opts(const char *value, struct container_config *c)
{
    own_strv struct strv words = { 0 };
    strv_split(&words, value, ',');
    for (size_t i = 0; i < words.n; i++)
        if (!str_starts(words.items[i], "hidepid=") && !str_starts(words.items[i], "subset=") &&
            !str_starts(words.items[i], "gid="))
            return err_new(ERR_INVALID, "'%s' is not one of hidepid=, subset=, gid= (proc(5))", words.items[i]);
    free(c->proc_options);
    c->proc_options = mem_strdup(value);
    return NULL;
}

static fallible writable_cgroups(const char *value, struct container_config *c)
{
    bool wanted = false;
    TRY(parse_bool(value, &wanted));
    return wanted ? err_new(ERR_UNSUPPORTED, "a container may not change its control group's limits: --nested lets "
                                             "another engine, and --systemd=always an init, make groups below it")
                  : NULL;
}

fallible options_merge_security(const char *text, struct container_config *c)
{
    static const struct {
        const char *key;
        err *(*merge)(const char *value, struct container_config *c);
        bool alone; /* the word means something without a value */
    } keys[] = {
        { "no-new-privileges", no_new_privileges, true },
        { "seccomp", seccomp, false },
        { "apparmor", apparmor, false },
        { "landlock", landlock, false },
        { "systempaths", systempaths, false },
        { "mask", mask, false },
        { "unmask", unmask, false },
        { "proc-opts", proc_opts, false },
        { "label", label, false },
        { "writable-cgroups", writable_cgroups, false },
    };
    size_t n = strcspn(text, "=:");
    const char *value = text[n] ? text + n + 1 : NULL;
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (strlen(keys[i].key) == n && strncmp(keys[i].key, text, n) == 0 && (keys[i].alone || (value && *value))) {
            err *e = keys[i].merge(value, c);
            return !e || keys[i].merge == landlock ? e : err_wrap(e, "%s", keys[i].key); /* its errors have the word */
        }
    return err_new(ERR_INVALID,
                   "'%s' is not one of seccomp=FILE, seccomp=unconfined, no-new-privileges, landlock=RULES, "
                   "apparmor=PROFILE, systempaths=unconfined, mask=PATH[:PATH...], unmask=ALL|PATH[:PATH...], "
                   "proc-opts=OPTION[,OPTION...], label=disable",
                   text);
}
