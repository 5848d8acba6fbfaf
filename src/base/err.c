// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

struct err {
    enum err_kind kind;
    int errnum;
    bool silent; /* err_exit() */
    int exit_status;
    const char *file;
    int line;
    char *place; /* "file:line", made when asked for */
    char *text;
};

struct kind_row {
    const char *name;
    int exit_status;
    int http;
};

static const struct kind_row kinds[] = {
#define KIND_ROW(name, exit_status, http, grpc, when) [ERR_##name] = { #name, exit_status, http },
    ERR_KINDS(KIND_ROW)
#undef KIND_ROW
};

/* Names that a stranger chose (in an archive, a registry's answer) stand in texts that end on a terminal. */
static void one_line(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

fallible err_new_at(const char *file, int line, enum err_kind kind, int errnum, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    own_mem char *text = mem_vprintf(format, ap);
    va_end(ap);

    err *e = mem_zalloc(sizeof *e);
    e->kind = kind;
    e->errnum = errnum;
    e->file = file;
    e->line = line;
    e->text = errnum ? mem_printf("%s: %s", text, strerror(errnum)) : take(text);
    one_line(e->text);
    return e;
}

fallible err_exit(int status)
{
    err *e = mem_zalloc(sizeof *e);
    e->kind = ERR_CANCELLED;
    e->silent = true;
    e->exit_status = status;
    e->text = mem_strdup("");
    return e;
}

fallible err_with_exit(err *take_e, int status)
{
    if (take_e && !take_e->silent)
        take_e->exit_status = status;
    return take_e;
}

fallible err_wrap_at(err *take_cause, const char *format, ...)
{
    if (!take_cause || take_cause->silent)
        return take_cause;
    va_list ap;
    va_start(ap, format);
    own_mem char *context = mem_vprintf(format, ap);
    va_end(ap);

    one_line(context);
    own_mem char *inner = take_cause->text;
    take_cause->text = mem_printf("%s: %s", context, inner);
    return take_cause;
}

void err_free(err *e)
{
    if (!e)
        return;
    free(e->text);
    free(e->place);
    free(e);
}

enum err_kind err_kind_of_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
    case ENOTDIR:
    case ESRCH:
        return ERR_NOT_FOUND;
    case EEXIST:
        return ERR_EXISTS;
    case EBUSY:
    case ENOTEMPTY:
    case EAGAIN:
        return ERR_CONFLICT;
    case EPERM:
    case EACCES:
    case EROFS:
        return ERR_DENIED;
    case ENOSYS:
    case EOPNOTSUPP:
    case ENODEV:
        return ERR_UNSUPPORTED;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return ERR_UNAVAILABLE;
    case ENOMEM:
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
        return ERR_EXHAUSTED;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case EINTR:
    case ECANCELED:
        return ERR_CANCELLED;
    case EINVAL:
    case ENAMETOOLONG:
    case ELOOP:
    case E2BIG:
    case ERANGE:
        return ERR_INVALID;
    default:
        return ERR_INTERNAL;
    }
}

enum err_kind err_kind(const err *e)
{
    return e ? e->kind : ERR_INTERNAL;
}

int err_errno(const err *e)
{
    return e ? e->errnum : 0;
}

bool err_is(const err *e, enum err_kind kind)
{
    return e && e->kind == kind;
}

const char *err_text(const err *e)
{
    return e ? e->text : "success";
}

const char *err_place(const err *e)
{
    if (!e || !e->file)
        return "another process";
    if (!e->place) /* the cache is no part of the value */
        ((err *)(uintptr_t)e)->place = mem_printf("%s:%d", e->file, e->line);
    return e->place;
}

const char *err_kind_name(enum err_kind kind)
{
    return (size_t)kind < ARRAY_SIZE(kinds) ? kinds[kind].name : "INTERNAL";
}

int err_exit_status(const err *e, int command_fail_exit)
{
    if (!e)
        return 0;
    if (e->silent)
        return e->exit_status;
    int own_status = kinds[e->kind].exit_status;
    return own_status ? own_status : e->exit_status ? e->exit_status : command_fail_exit;
}

int err_http_status(const err *e)
{
    return e ? kinds[e->kind].http : 200;
}

size_t err_encode(const err *e, void *buf, size_t size)
{
    uint32_t head[2] = { (uint32_t)e->kind, (uint32_t)e->errnum };
    if (size < sizeof head)
        return 0;
    size_t room = size - sizeof head;
    size_t len = strlen(e->text);
    if (len > room)
        len = room;
    memcpy(buf, head, sizeof head);
    memcpy((char *)buf + sizeof head, e->text, len);
    return sizeof head + len;
}

fallible err_decode(const void *buf, size_t len)
{
    uint32_t head[2];
    if (len < sizeof head)
        return err_new(ERR_INTERNAL, "the other side sent %zu bytes that are no error", len);
    memcpy(head, buf, sizeof head);
    if (head[0] >= ARRAY_SIZE(kinds))
        return err_new(ERR_INTERNAL, "the other side sent an error of unknown kind %u", head[0]);
    err *e = mem_zalloc(sizeof *e);
    e->kind = (enum err_kind)head[0];
    e->errnum = (int)head[1];
    e->text = mem_strndup((const char *)buf + sizeof head, len - sizeof head);
    return e;
}

void err_ignore(err *take_e, const char *why)
{
    if (take_e)
        log_debug("ignored (%s): %s", why, err_text(take_e));
    err_free(take_e);
}
