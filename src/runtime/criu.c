// SPDX-License-Identifier: GPL-2.0-or-later
#include "runtime/criu.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "os/fs.h"
#include "os/proc.h"
#include "os/sock.h"

/* ---- protocol buffers: varints and counted bytes are all that CRIU uses ---- */

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

static void add_varint(struct str *m, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        str_add_char(m, (char)(v | 0x80));
    str_add_char(m, (char)v);
}

void criu_number(struct str *m, unsigned field, uint64_t v)
{
    add_varint(m, field << 3 | WIRE_VARINT);
    add_varint(m, v);
}

static void add_bytes(struct str *m, unsigned field, const void *bytes, size_t n)
{
    add_varint(m, field << 3 | WIRE_BYTES);
    add_varint(m, n);
    str_add_n(m, bytes, n);
}

void criu_text(struct str *m, unsigned field, const char *text)
{
    if (text)
        add_bytes(m, field, text, strlen(text));
}

void criu_message(struct str *m, unsigned field, const struct str *inner)
{
    add_bytes(m, field, inner->text ? inner->text : "", inner->len);
}

struct field {
    unsigned number;
    uint64_t v;
    const unsigned char *bytes;
    size_t n;
};

static bool read_varint(const unsigned char **at, const unsigned char *end, uint64_t *ret)
{
    *ret = 0;
    for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
        unsigned char c = *(*at)++;
        *ret |= (uint64_t)(c & 0x7f) << shift;
        if (!(c & 0x80))
            return true;
    }
    return false;
}

/* The next field; false at the end (*at == end) or for bytes that are none. */
static bool read_field(const unsigned char **at, const unsigned char *end, struct field *f)
{
    uint64_t key = 0, n = 0;
    *f = (struct field){ 0 };
    if (*at == end || !read_varint(at, end, &key))
        return false;
    f->number = (unsigned)(key >> 3);
    switch (key & 7) {
    case WIRE_VARINT:
        return read_varint(at, end, &f->v);
    case WIRE_BYTES:
        if (!read_varint(at, end, &n))
            return false;
        break;
    case WIRE_64:
        n = 8;
        break;
    case WIRE_32:
        n = 4;
        break;
    default:
        return false;
    }
    if (n > (uint64_t)(end - *at))
        return false;
    f->bytes = *at;
    f->n = (size_t)n;
    *at += n;
    return true;
}

static void copy_text(char *to, size_t size, const struct field *f)
{
    size_t n = f->n < size - 1 ? f->n : size - 1;
    memcpy(to, f->bytes, n);
    to[n] = '\0';
}

/* criu_restore_resp { pid = 1 }, criu_notify { script = 1, pid = 2 } */
static void read_inner(const struct field *outer, unsigned pid_field, struct criu_answer *ret)
{
    const unsigned char *at = outer->bytes, *end = outer->bytes + outer->n;
    struct field f;
    while (at && read_field(&at, end, &f)) {
        if (f.number == pid_field)
            ret->pid = (int32_t)f.v;
        else if (f.number == 1 && f.bytes)
            copy_text(ret->script, sizeof ret->script, &f);
    }
}

fallible criu_read(const void *bytes, size_t n, struct criu_answer *ret)
{
    enum { TYPE = 1, SUCCESS = 2, RESTORE = 4, NOTIFY = 5, ERRMSG = 9 };
    const unsigned char *at = bytes, *end = at + n;
    struct criu_answer a = { 0 };
    struct field f;
    bool typed = false;
    while (read_field(&at, end, &f)) {
        if (f.number == TYPE && !f.bytes) {
            a.type = (enum criu_type)f.v;
            typed = true;
        } else if (f.number == SUCCESS) {
            a.success = f.v != 0;
        } else if (f.number == RESTORE && f.bytes) {
            read_inner(&f, 1, &a);
        } else if (f.number == NOTIFY && f.bytes) {
            read_inner(&f, 2, &a);
        } else if (f.number == ERRMSG && f.bytes) {
            copy_text(a.text, sizeof a.text, &f);
        }
    }
    if (at != end || !typed)
        return err_new(ERR_INVALID, "criu: an answer that cannot be read");
    *ret = a;
    return NULL;
}

void criu_read_stats(const void *bytes, size_t n, unsigned message, int64_t *const fields[], size_t fields_n)
{
    enum { HEAD = 12 }; /* two words of magic, and the size */
    const unsigned char *at = bytes, *end = at + n;
    struct field outer, f;
    if (n < HEAD)
        return;
    at += HEAD;
    while (read_field(&at, end, &outer)) {
        const unsigned char *inner = outer.bytes;
        if (!inner || outer.number != message)
            continue;
        while (read_field(&inner, outer.bytes + outer.n, &f))
            if (!f.bytes && f.number < fields_n && fields[f.number])
                *fields[f.number] = (int64_t)f.v;
    }
}

/* ---- the conversation ---- */

static fallible ask(int sock, const struct criu_call *c)
{
    own_str struct str m = { 0 };
    criu_number(&m, 1, c->type);
    criu_message(&m, 2, c->options);
    return sock_send(sock, m.text, m.len, NULL, 0);
}

static fallible answer_notification(int sock, bool success)
{
    own_str struct str m = { 0 };
    criu_number(&m, 1, CRIU_NOTIFY);
    criu_number(&m, 3, success);
    return sock_send(sock, m.text, m.len, NULL, 0);
}

static fallible converse(int sock, const struct criu_call *c, struct criu_answer *ret)
{
    char bytes[16384];
    TRY(ask(sock, c));
    for (;;) {
        size_t n = 0, fds = 0;
        own_fd int fd = -1;
        TRY(sock_recv(sock, bytes, sizeof bytes, &n, &fd, 1, &fds));
        if (n == 0)
            return err_new(ERR_UNAVAILABLE, "criu ended without an answer");
        TRY(criu_read(bytes, n, ret));
        if (ret->type != CRIU_NOTIFY)
            return NULL;
        err *e = c->notify ? c->notify(c->ctx, ret, fd) : NULL;
        err *e2 = answer_notification(sock, !e);
        if (e) {
            err_free(e2);
            return e;
        }
        TRY(e2);
    }
}

/* What went wrong is in its log alone: the first line with "Error" is the cause, what follows is its wake. Caller
 * frees.
 */
static char *first_error(const struct criu_call *c, bool *ret_kernel)
{
    own_mem char *text = NULL;
    err_ignore(fs_read_at(c->work_fd, c->log, 64 << 20, &text, NULL), "it has not come as far as a log");
    const char *error = text ? strstr(text, "Error ") : NULL;
    *ret_kernel = error && strstr(error, "kerndat");
    return error ? mem_strndup(error, strcspn(error, "\n")) : NULL;
}

static fallible failed(const struct criu_call *c, const struct criu_answer *a)
{
    bool kernel = false;
    own_mem char *why = first_error(c, &kernel);
    const char *act = c->type == CRIU_RESTORE ? "restore" : "checkpoint";
    if (why && kernel)
        return err_new(ERR_UNSUPPORTED,
                       "%s: the installed criu cannot work on this kernel: see 'criu check', and install a newer one "
                       "(%s)",
                       act, why);
    return err_new(ERR_UNAVAILABLE, "%s: criu: %s", act, why ? why : *a->text ? a->text : "no reason given");
}

fallible criu_run(const struct criu_call *c, struct criu_answer *ret)
{
    int pair[2], status = 0;
    char number[16];
    own_fd int pidfd = -1;
    pid_t pid = 0;
    TRY(sock_pair(pair));
    own_fd int ours = pair[0];
    own_fd int theirs = pair[1];
    (void)snprintf(number, sizeof number, "%d", theirs);
    char *argv[] = { (char *)(uintptr_t)c->program, (char[]){ "swrk" }, number, NULL };
    TRY(proc_clone(0, -1, &pid, &pidfd));
    if (pid == 0) {
        err *e = c->group ? cgroup_add(c->group, getpid()) : NULL;
        for (size_t i = 0; i < c->inherit_fds_n; i++)
            if (c->inherit_fds[i] >= 0)
                (void)fcntl(c->inherit_fds[i], F_SETFD, 0);
        if (!e && fcntl(theirs, F_SETFD, 0) == 0)
            (void)execvp(argv[0], argv);
        _exit(127);
    }
    close_now(&theirs);
    err *e = converse(ours, c, ret);
    /* It waits for the dump itself then, and calls it an error on our caller's terminal when we hang up. */
    if (!e && c->type == CRIU_PRE_DUMP)
        err_ignore(proc_signal(pidfd, SIGKILL), "it may have ended");
    close_now(&ours);
    err_ignore(proc_wait(pidfd, -1, &status), "it has answered");
    if (e && proc_exit_code(status) == 127) {
        err_free(e);
        return err_new(ERR_NOT_FOUND, "'%s' is not installed: apt install criu, or name it with --criu", c->program);
    }
    if (e && err_kind(e) != ERR_UNAVAILABLE)
        return e;
    if (!e && ret->success)
        return NULL;
    err_free(e);
    return failed(c, ret);
}
