// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "base/log.h"
#include "os/fs.h"
#include "os/linux.h"
#include "process/compile.h"
#include "process/landlock.h"
#include "process/seccomp.h"
#include "spec/annotations.h"

_Static_assert((int)ORDER_ERR_INVALID == ERR_INVALID && (int)ORDER_ERR_NOT_FOUND == ERR_NOT_FOUND &&
                   (int)ORDER_ERR_CONFLICT == ERR_CONFLICT && (int)ORDER_ERR_DENIED == ERR_DENIED &&
                   (int)ORDER_ERR_UNSUPPORTED == ERR_UNSUPPORTED && (int)ORDER_ERR_UNAVAILABLE == ERR_UNAVAILABLE &&
                   (int)ORDER_ERR_EXHAUSTED == ERR_EXHAUSTED && (int)ORDER_ERR_TIMEOUT == ERR_TIMEOUT &&
                   (int)ORDER_ERR_CORRUPT == ERR_CORRUPT && (int)ORDER_ERR_EXEC_MISSING == ERR_EXEC_MISSING &&
                   (int)ORDER_ERR_EXEC_DENIED == ERR_EXEC_DENIED && (int)ORDER_ERR_INTERNAL == ERR_INTERNAL,
               "order.h has the kinds of err.h");

void writer_keep(struct writer *w, int fd)
{
    if (fd >= 0 && w->head.keep_n < ORDER_KEEP_MAX)
        w->head.keep[w->head.keep_n++] = fd;
}

void writer_begin(struct writer *w, enum order_kind kind, const void *fixed, size_t n)
{
    struct order_row row = { .kind = (uint32_t)kind };
    w->row = w->bytes.len;
    str_add_n(&w->bytes, &row, sizeof row);
    str_add_n(&w->bytes, fixed, n);
}

void writer_end(struct writer *w)
{
    static const char zeros[8] = { 0 };
    struct order_row *row = (void *)(w->bytes.text + w->row);
    row->size = (uint32_t)(w->bytes.len - w->row - sizeof *row);
    str_add_n(&w->bytes, zeros, -w->bytes.len & 7);
}

void writer_add(struct writer *w, enum order_kind kind, const void *fixed, size_t n)
{
    writer_begin(w, kind, fixed, n);
    writer_end(w);
}

void writer_flag(struct writer *w, enum order_kind kind)
{
    writer_add(w, kind, "", 0);
}

void writer_number(struct writer *w, enum order_kind kind, int64_t v)
{
    struct order_number number = { .v = v };
    writer_add(w, kind, &number, sizeof number);
}

void writer_text(struct writer *w, const char *text)
{
    str_add_n(&w->bytes, text, strlen(text) + 1);
}

void writer_texts(struct writer *w, const struct strv *texts)
{
    for (size_t i = 0; i < texts->n; i++)
        writer_text(w, texts->items[i]);
}

static fallible check_id(const char *what, uint64_t id)
{
    /* setuid(-1) is "leave it as it is": the program would run as whoever we are (CVE-2024-40635 and its kin). */
    if (id >= UINT32_MAX)
        return err_new(ERR_INVALID, "%s %llu is not an id: the largest is %u", what, (unsigned long long)id,
                       UINT32_MAX - 1);
    return NULL;
}

static fallible add_ids(struct writer *w, const struct program *p)
{
    static const struct oci_user root = { 0 };
    const struct oci_user *user = p->process->user ? p->process->user : &root;
    TRY(check_id("process.user.uid:", user->uid));
    TRY(check_id("process.user.gid:", user->gid));
    bool keep_ours = p->annotations && strmap_get(p->annotations, KEEP_GROUPS_ANNOTATION);
    size_t n = keep_ours ? 0 : json_array_size(user->additional_gids);
    if (n > ORDER_GROUPS_MAX)
        return err_new(ERR_INVALID, "process.user.additionalGids: %zu groups are more than %d", n, ORDER_GROUPS_MAX);
    if (p->keep_groups && n)
        return err_new(ERR_DENIED, "process.user.additionalGids: this user namespace may not set groups (setgroups is "
                                   "denied): install uidmap and give the user a range in /etc/subgid");
    struct order_ids ids = { .uid = user->uid,
                             .gid = user->gid,
                             .set_groups = p->keep_groups || keep_ours  ? ORDER_GROUPS_KEEP
                                           : p->joined_userns && n == 0 ? ORDER_GROUPS_SET_IF_ALLOWED
                                                                        : ORDER_GROUPS_SET,
                             .groups_n = (uint32_t)n };
    writer_begin(w, ORDER_ROW_IDS, &ids, sizeof ids);
    for (size_t i = 0; i < n; i++) {
        json_t *v = json_array_get(user->additional_gids, i);
        if (!json_is_integer(v) || json_integer_value(v) < 0)
            return err_new(ERR_INVALID, "process.user.additionalGids[%zu] is not an id", i);
        TRY(check_id("process.user.additionalGids:", (uint64_t)json_integer_value(v)));
        uint32_t gid = (uint32_t)json_integer_value(v);
        str_add_n(&w->bytes, &gid, sizeof gid);
    }
    writer_end(w);
    return NULL;
}

struct cap_sets {
    uint64_t bounding;
    struct order_caps caps;
};

static fallible subset(const char *what, uint64_t set, const char *of, uint64_t all)
{
    for (int i = 0; i < 64; i++)
        if ((set & ~all) >> i & 1)
            return err_new(ERR_INVALID, "process.capabilities.%s has %s, which %s has not", what, capability_name(i),
                           of);
    return NULL;
}

static fallible read_caps(const struct program *p, struct cap_sets *ret)
{
    const struct oci_capabilities *c = p->process->capabilities;
    *ret = (struct cap_sets){ 0 };
    if (!c)
        return NULL;
    ret->bounding = capability_mask(&c->bounding);
    ret->caps.effective = capability_mask(&c->effective);
    ret->caps.permitted = capability_mask(&c->permitted);
    ret->caps.inheritable = capability_mask(&c->inheritable);
    ret->caps.ambient = capability_mask(&c->ambient);
    TRY(subset("effective", ret->caps.effective, "permitted", ret->caps.permitted));
    TRY(subset("inheritable", ret->caps.inheritable, "bounding", ret->bounding));
    /* What the kernel cannot raise is not raised; `runc spec` itself writes such documents, so no more than a word. */
    uint64_t possible = ret->caps.ambient & ret->caps.permitted & ret->caps.inheritable;
    if (possible != ret->caps.ambient)
        log_info("ambient capabilities that are not permitted and inheritable as well are left out");
    ret->caps.ambient = possible;
    return NULL;
}

/* The specification: what cannot be granted is a warning. A new user namespace has all of them. */
static fallible grantable(const struct program *p, struct cap_sets *sets)
{
    uint64_t have = 0, wanted = sets->bounding | sets->caps.permitted;
    if (p->own_userns)
        return NULL;
    TRY(capability_bounding_of(wanted | sets->caps.effective | sets->caps.inheritable | sets->caps.ambient, &have));
    uint64_t lost = wanted & ~have;
    for (int i = 0; i < 64; i++)
        if (lost >> i & 1)
            log_warn("%s is not given to the container: husk itself runs without it", capability_name(i));
    sets->bounding &= have;
    sets->caps.effective &= have;
    sets->caps.permitted &= have;
    sets->caps.inheritable &= have;
    sets->caps.ambient &= have;
    return NULL;
}

static fallible add_landlock(struct writer *w, const struct program *p)
{
    static const char zeros[8] = { 0 };
    own(landlock_rules) struct landlock_rules r = { 0 };
    const char *text = p->annotations ? strmap_get(p->annotations, LANDLOCK_ANNOTATION) : NULL;
    if (!text)
        return NULL;
    TRY_AS(landlock_rules_read(text, &r), "annotation " LANDLOCK_ANNOTATION);
    TRY(landlock_rules_fit(&r));
    if (!r.fs && !r.net && !r.scoped)
        return NULL;
    struct order_landlock order = { .fs = r.fs, .net = r.net, .scoped = r.scoped, .rules_n = (uint32_t)r.n };
    writer_begin(w, ORDER_ROW_LANDLOCK, &order, sizeof order);
    for (size_t i = 0; i < r.n; i++) {
        size_t size = r.rules[i].path ? strlen(r.rules[i].path) + 1 : 0, padding = -size & 7;
        struct order_landlock_rule rule = { .access = r.rules[i].access,
                                            .port = (uint32_t)r.rules[i].port,
                                            .size = (uint32_t)(size + padding) };
        str_add_n(&w->bytes, &rule, sizeof rule);
        str_add_n(&w->bytes, r.rules[i].path ? r.rules[i].path : "", size);
        str_add_n(&w->bytes, zeros, padding);
    }
    writer_end(w);
    return NULL;
}

static void add_filter(struct writer *w, const struct seccomp_filter *f)
{
    struct order_seccomp order = { .flags = f->flags, .insns_n = (uint32_t)f->n, .mute = seccomp_mutes(f) };
    writer_begin(w, ORDER_ROW_SECCOMP, &order, sizeof order);
    str_add_n(&w->bytes, f->insns, f->n * sizeof *f->insns);
    writer_end(w);
}

static fallible add_seccomp(struct writer *w, const struct program *p)
{
    own(seccomp_filter) struct seccomp_filter filter = { 0 };
    if (p->filter) {
        TRY_AS(seccomp_check(p->filter, p->init), "linux.seccomp");
        add_filter(w, p->filter);
    }
    if (p->filter || !p->seccomp)
        return NULL;
    if (p->annotations && strmap_get(p->annotations, SECCOMP_UNKNOWN_ANNOTATION))
        TRY_AS(seccomp_check_names(p->seccomp), "linux.seccomp");
    TRY_AS(seccomp_compile_cached(p->seccomp, p->seccomp_cache_dir, &filter), "linux.seccomp");
    if (filter.notifies && (!p->seccomp->listener_path || !*p->seccomp->listener_path))
        return err_new(ERR_INVALID, "linux.seccomp: SCMP_ACT_NOTIFY needs listenerPath, the socket of who will answer");
    TRY_AS(seccomp_check(&filter, p->init), "linux.seccomp");
    add_filter(w, &filter);
    return NULL;
}

/* Whether a later variable has the name of this one: the last counts, as under the runtimes that call setenv(3) for
 * each. The hashes are compared first, since Kubernetes gives thousands. */
static bool is_given_again(const struct strv *env, const uint32_t *hashes, size_t i)
{
    const char *equals = strchr(env->items[i], '=');
    for (size_t k = i + 1; equals && k < env->n; k++)
        if (hashes[k] == hashes[i] && strncmp(env->items[k], env->items[i], (size_t)(equals - env->items[i]) + 1) == 0)
            return true;
    return false;
}

/* Answers how many there are. */
static uint32_t add_environment(struct writer *w, const struct strv *env)
{
    own_mem uint32_t *hashes = mem_array(NULL, env->n + 1, sizeof *hashes);
    uint32_t n = 0;
    for (size_t i = 0; i < env->n; i++) {
        hashes[i] = 2166136261U; /* FNV-1a */
        for (const char *c = env->items[i]; *c && *c != '='; c++)
            hashes[i] = (hashes[i] ^ (unsigned char)*c) * 16777619U;
    }
    for (size_t i = 0; i < env->n; i++) {
        if (is_given_again(env, hashes, i))
            continue;
        writer_text(w, env->items[i]);
        n++;
    }
    return n;
}

static fallible add_hooks(struct writer *w, const struct program *p)
{
    if (p->start_container_n > ORDER_HOOKS_MAX)
        return err_new(ERR_INVALID, "hooks.startContainer: %zu are more than %d", p->start_container_n,
                       ORDER_HOOKS_MAX);
    for (size_t i = 0; i < p->start_container_n; i++) {
        const struct oci_hook *h = &p->start_container[i];
        const struct strv *env = h->env.items ? &h->env : &p->process->env; /* none given: the container's */
        if (!h->path || h->path[0] != '/')
            return err_new(ERR_INVALID, "hooks.startContainer[%zu].path is not absolute", i);
        if (h->timeout.set && (h->timeout.v <= 0 || h->timeout.v > INT32_MAX))
            return err_new(ERR_INVALID, "hooks.startContainer[%zu].timeout: it must be above 0", i);
        struct order_hook hook = { .stdin_fd = p->hook_state_fd,
                                   .timeout_s = (int32_t)h->timeout.v,
                                   .args_n = (uint32_t)(h->args.n ? h->args.n : 1),
                                   .env_n = (uint32_t)env->n };
        writer_begin(w, ORDER_ROW_HOOK, &hook, sizeof hook);
        writer_text(w, h->path);
        if (!h->args.n)
            writer_text(w, h->path);
        writer_texts(w, &h->args);
        writer_texts(w, env);
        writer_end(w);
    }
    if (p->start_container_n)
        writer_keep(w, p->hook_state_fd);
    return NULL;
}

static void add_exec(struct writer *w, const struct program *p)
{
    struct order_exec exec = { .flags = p->init ? ORDER_EXEC_INIT : 0, .args_n = (uint32_t)p->process->args.n };
    writer_begin(w, ORDER_ROW_EXEC, &exec, sizeof exec);
    writer_texts(w, &p->process->args);
    uint32_t n = add_environment(w, &p->process->env);
    ((struct order_exec *)(void *)(w->bytes.text + w->row + sizeof(struct order_row)))->env_n = n;
    writer_end(w);
}

static fallible check_process(const struct oci_process *p)
{
    if (!p)
        return err_new(ERR_INVALID, "process: missing: there is nothing to run");
    if (!p->args.n)
        return err_new(ERR_INVALID, "process.args: missing: there is nothing to run");
    if (!p->cwd || p->cwd[0] != '/')
        return err_new(ERR_INVALID, "process.cwd: '%s' is not an absolute path", p->cwd ? p->cwd : "");
    if (p->console_size && (p->console_size->height > UINT16_MAX || p->console_size->width > UINT16_MAX))
        return err_new(ERR_INVALID, "process.consoleSize: %llu x %llu: a terminal has at most 65535 rows and columns",
                       (unsigned long long)p->console_size->height, (unsigned long long)p->console_size->width);
    if (p->oom_score_adj.set && (p->oom_score_adj.v < -1000 || p->oom_score_adj.v > 1000))
        return err_new(ERR_INVALID, "process.oomScoreAdj: %lld is not between -1000 and 1000",
                       (long long)p->oom_score_adj.v);
    return NULL;
}

/* Who it is and what it may do: the rows of rights.c. */
static fallible add_rights(struct writer *w, const struct program *p)
{
    const struct oci_user *user = p->process->user;
    struct cap_sets sets;
    TRY(read_caps(p, &sets));
    TRY(grantable(p, &sets));
    if (user && user->uid)
        writer_number(w, ORDER_ROW_STDIO_OWNER, user->uid);
    if (!strv_getenv(&p->process->env, "HOME"))
        writer_number(w, ORDER_ROW_HOME, user ? user->uid : 0);
    writer_number(w, ORDER_ROW_BOUNDING, (int64_t)sets.bounding);
    TRY(add_ids(w, p));
    if (user && user->umask.set)
        writer_number(w, ORDER_ROW_UMASK, (int64_t)(user->umask.v & 0777));
    writer_add(w, ORDER_ROW_CAPS, &sets.caps, sizeof sets.caps);
    return NULL;
}

static fallible compile(struct writer *w, const struct program *p)
{
    TRY(check_process(p->process));
    w->head = (struct order_head){ .magic = ORDER_MAGIC, .version = ORDER_VERSION };
    str_add_n(&w->bytes, &w->head, sizeof w->head);
    TRY(compile_world(w, p));
    TRY(add_rights(w, p));
    writer_begin(w, ORDER_ROW_CWD, p->process->cwd, strlen(p->process->cwd) + 1);
    writer_end(w);
    if (strv_getenv(&p->process->env, "LISTEN_PID"))
        writer_flag(w, ORDER_ROW_LISTEN_PID);
    writer_flag(w, ORDER_ROW_LOOKUP);
    if (p->start_listen_fd >= 0) {
        writer_number(w, ORDER_ROW_WAIT, p->start_listen_fd);
        writer_keep(w, p->start_listen_fd);
    }
    TRY(add_hooks(w, p));
    if (p->process->no_new_privileges)
        writer_flag(w, ORDER_ROW_NNP);
    TRY(add_landlock(w, p));
    TRY(add_seccomp(w, p));
    add_exec(w, p);
    if (w->bytes.len > ORDER_SIZE_MAX)
        return err_new(ERR_INVALID, "process: arguments and environment are %zu bytes: more than any kernel takes",
                       w->bytes.len);
    w->head.size = (uint32_t)w->bytes.len;
    memcpy(w->bytes.text, &w->head, sizeof w->head);
    return NULL;
}

static void writer_free(struct writer *w)
{
    str_free(&w->bytes);
}
static inline void own_drop_writer(struct writer *w)
{
    writer_free(w);
}

fallible program_compile_bytes(const struct program *p, void **ret_bytes, size_t *ret_size)
{
    own(writer) struct writer w = { 0 };
    TRY(compile(&w, p));
    *ret_size = w.bytes.len;
    *ret_bytes = str_take(&w.bytes);
    return NULL;
}

fallible program_compile(const struct program *p, int *ret_order_fd)
{
    own(writer) struct writer w = { 0 };
    own_fd int fd = -1;
    TRY(compile(&w, p));
    TRY(fs_memfd("husk-order", &fd));
    TRY(fs_write_fd(fd, w.bytes.text, w.bytes.len, "order"));
    *ret_order_fd = take_fd(&fd);
    return NULL;
}
