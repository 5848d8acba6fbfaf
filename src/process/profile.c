// SPDX-License-Identifier: GPL-2.0-or-later
#include "process/profile.h"

#include <string.h>
#include <sys/utsname.h>

#include "process/program.h"

/* When a rule counts at all: every given word must hold ("includes"), or none may ("excludes"). */
struct condition {
    struct strv caps, arches;
    char *min_kernel;
};
struct docker_rule {
    struct strv names;
    char *name; /* the old form: one name */
    char *action, *comment;
    struct opt_u64 errno_ret;
    struct oci_seccomp_arg *args;
    size_t args_n;
    struct condition *includes, *excludes;
};
struct docker_arch {
    char *architecture;
    struct strv sub;
};
struct docker_profile {
    char *default_action;
    struct opt_u64 default_errno_ret;
    struct strv architectures, flags;
    char *listener_path, *listener_metadata;
    struct docker_arch *arch_map;
    size_t arch_map_n;
    struct docker_rule *rules;
    size_t rules_n;
};

#define T struct condition
static const struct bind_field condition_fields[] = {
    BIND_STRS(T, caps, "caps"),
    BIND_STRS(T, arches, "arches"),
    BIND_STR(T, min_kernel, "minKernel"),
    BIND_END,
};
static const struct bind_type condition_type = { "condition", sizeof(T), condition_fields };
#undef T
#define T struct docker_rule
static const struct bind_field rule_fields[] = {
    BIND_STRS(T, names, "names"),
    BIND_STR(T, name, "name"),
    BIND_STR(T, action, "action", .flags = BIND_REQUIRED),
    BIND_STR(T, comment, "comment"),
    BIND_OPT_U64(T, errno_ret, "errnoRet"),
    BIND_OBJS(T, args, args_n, "args", oci_seccomp_arg_type),
    BIND_OBJ(T, includes, "includes", condition_type),
    BIND_OBJ(T, excludes, "excludes", condition_type),
    BIND_END,
};
static const struct bind_type rule_type = { "rule", sizeof(T), rule_fields };
#undef T
#define T struct docker_arch
static const struct bind_field arch_fields[] = {
    BIND_STR(T, architecture, "architecture", .flags = BIND_REQUIRED),
    BIND_STRS(T, sub, "subArchitectures"),
    BIND_END,
};
static const struct bind_type arch_type = { "architecture", sizeof(T), arch_fields };
#undef T
#define T struct docker_profile
static const struct bind_field profile_fields[] = {
    BIND_STR(T, default_action, "defaultAction", .flags = BIND_REQUIRED),
    BIND_OPT_U64(T, default_errno_ret, "defaultErrnoRet"),
    BIND_STRS(T, architectures, "architectures"),
    BIND_STRS(T, flags, "flags"),
    BIND_STR(T, listener_path, "listenerPath"),
    BIND_STR(T, listener_metadata, "listenerMetadata"),
    BIND_OBJS(T, arch_map, arch_map_n, "archMap", arch_type),
    BIND_OBJS(T, rules, rules_n, "syscalls", rule_type),
    BIND_END,
};
static const struct bind_type profile_type = { "seccomp profile", sizeof(T), profile_fields };
#undef T

static void profile_free(struct docker_profile *p)
{
    bind_free(&profile_type, p);
}
OWN_TYPE(profile, struct docker_profile *, profile_free)

/* The architecture as Docker's conditions (Go's word) and as its map name it. */
#if defined(__x86_64__)
static const char go_arch[] = "amd64", scmp_arch[] = "SCMP_ARCH_X86_64";
#elif defined(__aarch64__)
static const char go_arch[] = "arm64", scmp_arch[] = "SCMP_ARCH_AARCH64";
#else
#error "the seccomp profile needs this architecture's words"
#endif

struct host {
    uint64_t capabilities;
    unsigned major, minor;
};

static fallible read_kernel(struct host *h)
{
    struct utsname kernel;
    if (uname(&kernel) < 0 || sscanf(kernel.release, "%u.%u", &h->major, &h->minor) != 2)
        return err_new(ERR_INTERNAL, "the kernel's version is not of the form 6.1");
    return NULL;
}

static bool kernel_at_least(const struct host *h, const char *text)
{
    unsigned major = 0, minor = 0;
    if (sscanf(text, "%u.%u", &major, &minor) < 1)
        return false;
    return h->major > major || (h->major == major && h->minor >= minor);
}

static bool has_capability(const struct host *h, const char *word)
{
    int number = 0;
    err *e = capability_parse(word, &number);
    if (e) { /* newer than us: nobody has it */
        err_free(e);
        return false;
    }
    return h->capabilities >> number & 1;
}

static bool all_hold(const struct host *h, const struct condition *c)
{
    for (size_t i = 0; i < c->caps.n; i++)
        if (!has_capability(h, c->caps.items[i]))
            return false;
    if (c->arches.n && !strv_has(&c->arches, go_arch))
        return false;
    return !c->min_kernel || !*c->min_kernel || kernel_at_least(h, c->min_kernel);
}

static bool any_holds(const struct host *h, const struct condition *c)
{
    for (size_t i = 0; i < c->caps.n; i++)
        if (has_capability(h, c->caps.items[i]))
            return true;
    if (strv_has(&c->arches, go_arch))
        return true;
    return c->min_kernel && *c->min_kernel && kernel_at_least(h, c->min_kernel);
}

/* Rules move from one struct to the other: the profile is freed right after. */
static void move_rule(struct docker_rule *from, struct oci_seccomp_rule *to)
{
    to->names = from->names;
    from->names = (struct strv){ 0 };
    if (from->name && *from->name)
        strv_add_take(&to->names, take(from->name));
    to->action = take(from->action);
    to->errno_ret = from->errno_ret;
    to->args = take(from->args);
    to->args_n = from->args_n;
    from->args_n = 0;
}

static void choose_architectures(struct docker_profile *p, struct oci_seccomp *to)
{
    to->architectures = p->architectures;
    p->architectures = (struct strv){ 0 };
    for (size_t i = 0; i < p->arch_map_n; i++) {
        if (strcmp(p->arch_map[i].architecture, scmp_arch) != 0)
            continue;
        strv_add(&to->architectures, p->arch_map[i].architecture);
        strv_copy(&to->architectures, p->arch_map[i].sub.items, p->arch_map[i].sub.n);
    }
}

static struct oci_seccomp *resolve(struct docker_profile *p, const struct host *h)
{
    struct oci_seccomp *to = mem_zalloc(sizeof *to);
    to->default_action = take(p->default_action);
    to->default_errno_ret = p->default_errno_ret;
    to->flags = p->flags;
    p->flags = (struct strv){ 0 };
    to->listener_path = take(p->listener_path);
    to->listener_metadata = take(p->listener_metadata);
    choose_architectures(p, to);
    to->syscalls = mem_array(NULL, p->rules_n, sizeof *to->syscalls);
    memset(to->syscalls, 0, p->rules_n * sizeof *to->syscalls);
    for (size_t i = 0; i < p->rules_n; i++) {
        struct docker_rule *r = &p->rules[i];
        if ((r->includes && !all_hold(h, r->includes)) || (r->excludes && any_holds(h, r->excludes)))
            continue;
        move_rule(r, &to->syscalls[to->syscalls_n++]);
    }
    return to;
}

fallible seccomp_profile_read(const char *text, size_t len, uint64_t capabilities, struct oci_seccomp **ret)
{
    own(profile) struct docker_profile *p = NULL;
    struct host h = { .capabilities = capabilities };
    TRY(bind_read(&profile_type, text, len, (void **)&p));
    TRY(read_kernel(&h));
    if (p->architectures.n && p->arch_map_n)
        return err_new(ERR_INVALID, "seccomp profile: it may have 'architectures' or 'archMap', not both");
    for (size_t i = 0; i < p->rules_n; i++)
        if (!p->rules[i].names.n == !(p->rules[i].name && *p->rules[i].name))
            return err_new(ERR_INVALID, "seccomp profile: syscalls[%zu]: it needs 'names', or the older 'name'", i);
    *ret = resolve(p, &h);
    return NULL;
}

/* ---- the default profile ---- */

/* What tools/embed-profile makes of the JSON: lists of words are texts one after the other, the last one empty. */
struct table_condition {
    uint64_t caps;
    const char *arches;
    unsigned min_major, min_minor;
};
struct table_arg {
    uint32_t index;
    uint64_t value, value_two;
    const char *op;
};
struct table_rule {
    const char *names, *action;
    int errno_ret; /* -1: none */
    struct table_arg args[6];
    struct table_condition includes, excludes;
};
struct table_arch {
    const char *architecture, *sub;
};
#include "generated/seccomp_table.h"

static bool words_have(const char *words, const char *word)
{
    for (; words && *words; words += strlen(words) + 1)
        if (strcmp(words, word) == 0)
            return true;
    return false;
}

static void add_words(struct strv *to, const char *words)
{
    for (; words && *words; words += strlen(words) + 1)
        strv_add(to, words);
}

static bool table_rule_counts(const struct host *h, const struct table_rule *r)
{
    const struct table_condition *in = &r->includes, *ex = &r->excludes;
    unsigned kernel = h->major << 16 | h->minor;
    if ((h->capabilities & in->caps) != in->caps || h->capabilities & ex->caps)
        return false;
    if ((in->arches && *in->arches && !words_have(in->arches, go_arch)) || words_have(ex->arches, go_arch))
        return false;
    if (ex->min_major && kernel >= (ex->min_major << 16 | ex->min_minor))
        return false;
    return kernel >= (in->min_major << 16 | in->min_minor);
}

static void add_table_rule(struct oci_seccomp_rule *to, const struct table_rule *r)
{
    add_words(&to->names, r->names);
    to->action = mem_strdup(r->action);
    to->errno_ret = (struct opt_u64){ .set = r->errno_ret >= 0, .v = r->errno_ret >= 0 ? (uint64_t)r->errno_ret : 0 };
    while (to->args_n < ARRAY_SIZE(r->args) && r->args[to->args_n].op)
        to->args_n++;
    if (to->args_n)
        to->args = mem_array(NULL, to->args_n, sizeof *to->args);
    for (size_t i = 0; i < to->args_n; i++)
        to->args[i] = (struct oci_seccomp_arg){ .index = r->args[i].index,
                                                .value = r->args[i].value,
                                                .value_two = r->args[i].value_two,
                                                .op = mem_strdup(r->args[i].op) };
}

fallible seccomp_profile_default(uint64_t capabilities, struct oci_seccomp **ret)
{
    struct host h = { .capabilities = capabilities };
    TRY(read_kernel(&h));
    struct oci_seccomp *to = mem_zalloc(sizeof *to);
    to->default_action = mem_strdup(DEFAULT_ACTION);
    to->default_errno_ret = (struct opt_u64){ .set = DEFAULT_ERRNO >= 0, .v = DEFAULT_ERRNO };
    for (size_t i = 0; i < ARRAY_SIZE(default_arches); i++) {
        if (strcmp(default_arches[i].architecture, scmp_arch) != 0)
            continue;
        strv_add(&to->architectures, default_arches[i].architecture);
        add_words(&to->architectures, default_arches[i].sub);
    }
    to->syscalls = mem_zalloc(ARRAY_SIZE(default_rules) * sizeof *to->syscalls);
    for (size_t i = 0; i < ARRAY_SIZE(default_rules); i++)
        if (table_rule_counts(&h, &default_rules[i]))
            add_table_rule(&to->syscalls[to->syscalls_n++], &default_rules[i]);
    *ret = to;
    return NULL;
}
