// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "cgroup/devices.h"
#include "cgroup/group.h"
#include "os/fs.h"
#include "os/ids.h"

/* ---- the rules as v1's controller keeps them: a default, and exceptions from it ---- */

static fallible read_access(const char *text, unsigned *ret)
{
    *ret = 0;
    for (const char *c = text ? text : ""; *c; c++) {
        switch (*c) {
        case 'r':
            *ret |= BPF_DEVCG_ACC_READ;
            break;
        case 'w':
            *ret |= BPF_DEVCG_ACC_WRITE;
            break;
        case 'm':
            *ret |= BPF_DEVCG_ACC_MKNOD;
            break;
        default:
            return err_new(ERR_INVALID, "device rule: access '%s' is not made of r, w and m", text);
        }
    }
    if (!*ret)
        *ret = DEVICES_ALL_ACCESS;
    return NULL;
}

static fallible read_number(const char *what, struct opt_i64 v, int64_t *ret)
{
    *ret = v.set && v.v != -1 ? v.v : -1;
    if (*ret < -1 || *ret > UINT32_MAX)
        return err_new(ERR_INVALID, "device rule: %s %lld is no device number", what, (long long)*ret);
    return NULL;
}

static fallible read_rule(const struct oci_device_cgroup *rule, struct device_exception *ret)
{
    const char *type = rule->type && *rule->type ? rule->type : "a";
    *ret = (struct device_exception){ 0 };
    if (strcmp(type, "a") != 0 && strcmp(type, "b") != 0 && strcmp(type, "c") != 0)
        return err_new(ERR_INVALID, "device rule: type '%s' is not a, b or c", type);
    ret->type = *type;
    TRY(read_number("major", rule->major, &ret->major));
    TRY(read_number("minor", rule->minor, &ret->minor));
    return read_access(rule->access, &ret->access);
}

static bool same_device(const struct device_exception *a, const struct device_exception *b)
{
    return a->type == b->type && a->major == b->major && a->minor == b->minor;
}

static void add_exception(struct device_rules *d, const struct device_exception *x)
{
    for (size_t i = 0; i < d->n; i++) {
        if (same_device(&d->exceptions[i], x)) {
            d->exceptions[i].access |= x->access;
            return;
        }
    }
    d->exceptions = mem_array(d->exceptions, d->n + 1, sizeof *d->exceptions);
    d->exceptions[d->n++] = *x;
}

static void remove_exception(struct device_rules *d, const struct device_exception *x)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->n; i++) {
        if (same_device(&d->exceptions[i], x))
            d->exceptions[i].access &= ~x->access;
        if (d->exceptions[i].access)
            d->exceptions[kept++] = d->exceptions[i];
    }
    d->n = kept;
}

fallible devices_read(const struct oci_device_cgroup *rules, size_t n, struct device_rules *ret)
{
    own(device_rules) struct device_rules d = { .allow = false };
    for (size_t i = 0; i < n; i++) {
        struct device_exception x;
        TRY(read_rule(&rules[i], &x));
        bool all = x.type == 'a' && x.major < 0 && x.minor < 0 && x.access == DEVICES_ALL_ACCESS;
        if (all) {
            d.allow = rules[i].allow;
            d.n = 0;
            continue;
        }
        for (const char *type = x.type == 'a' ? "bc" : (char[]){ x.type, '\0' }; *type; type++) {
            struct device_exception one = x;
            one.type = *type;
            if (rules[i].allow == d.allow)
                remove_exception(&d, &one);
            else
                add_exception(&d, &one);
        }
    }
    *ret = d;
    d = (struct device_rules){ 0 };
    return NULL;
}

void device_rules_free(struct device_rules *d)
{
    free(d->exceptions);
    *d = (struct device_rules){ 0 };
}

/* ---- v1 ---- */

static char *add_number(char *to, int64_t n)
{
    char digits[24];
    size_t len = 0;
    for (; len == 0 || n > 0; n /= 10)
        digits[len++] = n < 0 ? '*' : (char)('0' + n % 10);
    while (len)
        *to++ = digits[--len];
    return to;
}

/* By hand: there are a dozen at each start, and three formats for each were a twelfth of what husk-oci itself runs. */
void devices_line(const struct device_exception *x, char line[64])
{
    static const struct {
        unsigned bit;
        char letter;
    } rights[] = { { BPF_DEVCG_ACC_READ, 'r' }, { BPF_DEVCG_ACC_WRITE, 'w' }, { BPF_DEVCG_ACC_MKNOD, 'm' } };
    char *to = line;
    *to++ = x->type;
    *to++ = ' ';
    to = add_number(to, x->major);
    *to++ = ':';
    to = add_number(to, x->minor);
    *to++ = ' ';
    for (size_t i = 0; i < ARRAY_SIZE(rights); i++)
        if (x->access & rights[i].bit)
            *to++ = rights[i].letter;
    *to = '\0';
}

static fallible write_v1(const struct part *p, const struct device_rules *d)
{
    own_fd int dir = open(p->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_sys(errno, "open control group '%s'", p->dir);
    TRY(fs_write_at(dir, d->allow ? "devices.allow" : "devices.deny", "a"));
    if (!d->n)
        return NULL;
    const char *file = d->allow ? "devices.deny" : "devices.allow"; /* a rule is a write; one open does for all */
    own_fd int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open '%s' of control group '%s'", file, p->dir);
    for (size_t i = 0; i < d->n; i++) {
        char line[64];
        devices_line(&d->exceptions[i], line);
        if (write(fd, line, strlen(line)) < 0)
            return err_sys(errno, "device rule '%s': write it to '%s'", line, file);
    }
    return NULL;
}

/* ---- v2: a BPF program ---- */

static void emit(struct str *code, uint8_t op, uint8_t dst, uint8_t src, int16_t off, int32_t imm)
{
    struct bpf_insn insn = { .code = op, .dst_reg = dst & 15, .src_reg = src & 15, .off = off, .imm = imm };
    str_add_n(code, &insn, sizeof insn);
}

enum { R_TYPE = BPF_REG_2, R_ACCESS = BPF_REG_3, R_MAJOR = BPF_REG_4, R_MINOR = BPF_REG_5 };

static void emit_exception(struct str *code, const struct device_exception *x, bool allow)
{
    own_str struct str body = { 0 };
    size_t jumps[4], n = 0;
    jumps[n++] = 0;
    emit(&body, BPF_JMP | BPF_JNE | BPF_K, R_TYPE, 0, 0, x->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
    if (x->major >= 0) {
        jumps[n++] = body.len / sizeof(struct bpf_insn);
        emit(&body, BPF_JMP32 | BPF_JNE | BPF_K, R_MAJOR, 0, 0, (int32_t)x->major);
    }
    if (x->minor >= 0) {
        jumps[n++] = body.len / sizeof(struct bpf_insn);
        emit(&body, BPF_JMP32 | BPF_JNE | BPF_K, R_MINOR, 0, 0, (int32_t)x->minor);
    }
    /* An exception that allows must cover all that is asked for; one that denies, any of it. */
    emit(&body, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1, R_ACCESS, 0, 0);
    emit(&body, BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_1, 0, 0,
         (int32_t)(allow ? x->access : ~x->access & DEVICES_ALL_ACCESS));
    jumps[n++] = body.len / sizeof(struct bpf_insn);
    emit(&body, (uint8_t)(BPF_JMP | BPF_K | (allow ? BPF_JEQ : BPF_JNE)), BPF_REG_1, 0, 0, 0);
    emit(&body, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, !allow);
    emit(&body, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    size_t end = body.len / sizeof(struct bpf_insn);
    for (size_t i = 0; i < n; i++)
        ((struct bpf_insn *)body.text)[jumps[i]].off = (int16_t)(end - jumps[i] - 1);
    str_add_n(code, body.text, body.len);
}

void devices_program(const struct device_rules *d, struct str *code)
{
    emit(code, BPF_LDX | BPF_MEM | BPF_W, R_TYPE, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, access_type), 0);
    emit(code, BPF_ALU64 | BPF_MOV | BPF_X, R_ACCESS, R_TYPE, 0, 0);
    emit(code, BPF_ALU64 | BPF_RSH | BPF_K, R_ACCESS, 0, 0, 16);
    emit(code, BPF_ALU64 | BPF_AND | BPF_K, R_TYPE, 0, 0, 0xffff);
    emit(code, BPF_LDX | BPF_MEM | BPF_W, R_MAJOR, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, major), 0);
    emit(code, BPF_LDX | BPF_MEM | BPF_W, R_MINOR, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, minor), 0);
    for (size_t i = 0; i < d->n; i++)
        emit_exception(code, &d->exceptions[i], d->allow);
    emit(code, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, d->allow);
    emit(code, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static int bpf(int command, union bpf_attr *attr)
{
    return (int)syscall(SYS_bpf, command, attr, sizeof *attr);
}

/* Before Linux 5.11 programs are charged to RLIMIT_MEMLOCK; without CAP_SYS_RESOURCE only its soft half can be raised.
 */
static void raise_memlock(void)
{
    struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
    if (setrlimit(RLIMIT_MEMLOCK, &limit) == 0 || getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_MEMLOCK, &limit);
}

fallible devices_load(const struct device_rules *d, int *ret_fd)
{
    own_str struct str code = { 0 };
    devices_program(d, &code);
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attr.insns = (uint64_t)(uintptr_t)code.text;
    attr.insn_cnt = (uint32_t)(code.len / sizeof(struct bpf_insn));
    attr.license = (uint64_t)(uintptr_t) "GPL";
    memcpy(attr.prog_name, "husk_devices", sizeof "husk_devices");
    int fd = bpf(BPF_PROG_LOAD, &attr);
    if (fd < 0 && errno == EPERM) {
        raise_memlock();
        fd = bpf(BPF_PROG_LOAD, &attr);
    }
    if (fd < 0)
        return err_sys(errno, "load the device rules as a BPF program");
    *ret_fd = fd;
    return NULL;
}

static void detach(int dir, uint32_t id)
{
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.prog_id = id;
    own_fd int old = bpf(BPF_PROG_GET_FD_BY_ID, &attr);
    memset(&attr, 0, sizeof attr);
    attr.target_fd = (uint32_t)dir;
    attr.attach_bpf_fd = (uint32_t)old;
    attr.attach_type = BPF_CGROUP_DEVICE;
    if (old < 0 || bpf(BPF_PROG_DETACH, &attr) < 0)
        log_warn("the former device rules stay in force as well: %s", strerror(errno));
}

/* The new program is there before the old one goes: at no moment is everything allowed. */
static fallible write_v2(const struct cgroup *g, const struct device_rules *d)
{
    uint32_t ids[64];
    union bpf_attr query, attach;
    own_fd int fd = -1;
    memset(&query, 0, sizeof query);
    query.query.target_fd = (uint32_t)g->v2_fd;
    query.query.attach_type = BPF_CGROUP_DEVICE;
    query.query.prog_ids = (uint64_t)(uintptr_t)ids;
    query.query.prog_cnt = ARRAY_SIZE(ids);
    if (bpf(BPF_PROG_QUERY, &query) < 0)
        query.query.prog_cnt = 0;
    TRY(devices_load(d, &fd));
    memset(&attach, 0, sizeof attach);
    attach.target_fd = (uint32_t)g->v2_fd;
    attach.attach_bpf_fd = (uint32_t)fd;
    attach.attach_type = BPF_CGROUP_DEVICE;
    attach.attach_flags = BPF_F_ALLOW_MULTI;
    if (bpf(BPF_PROG_ATTACH, &attach) < 0)
        return err_sys(errno, "attach the device rules to the control group");
    for (uint32_t i = 0; i < query.query.prog_cnt; i++)
        detach(g->v2_fd, ids[i]);
    return NULL;
}

static fallible write_rules(const struct cgroup *g, struct device_rules *d)
{
    struct part *v1 = group_part(g, "devices");
    if (!v1)
        return group_v2(g) ? write_v2(g, d)
                           : err_new(ERR_UNSUPPORTED, "device rules need the devices controller or cgroup v2");
    TRY(group_make_part(g, v1));
    return write_v1(v1, d);
}

/* The kernel takes device rules only from the host's root. What they would forbid, a user cannot do anyway: it takes
 * CAP_MKNOD on the host to make a device, and the host's file modes guard those that exist. Whether we are root of a
 * user namespace is asked when they were refused: a start on the host need not know. */
fallible devices_apply(const struct cgroup *g, const struct oci_device_cgroup *rules, size_t n)
{
    own(device_rules) struct device_rules d = { 0 };
    TRY(devices_read(rules, n, &d));
    err *e = geteuid() == 0 ? write_rules(g, &d) : NULL;
    if (geteuid() == 0 && (!e || !ids_in_userns()))
        return e;
    err_ignore(e, "not needed for an ordinary user");
    log_debug("device rules: not needed for an ordinary user");
    return NULL;
}
