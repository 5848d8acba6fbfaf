/*
 * err.h: what a function that can fail returns.
 *
 * `fallible f(...)` returns NULL on success or an error that the caller owns. There is no second channel. An error has
 * a kind (what every face maps to its own status), an errno or 0, and a text that grows outward as callers wrap it.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BASE_ERR_H
#define HUSK_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/own.h"

#define ERR_KINDS(X)                                                                                                   \
    /* name            exit  http grpc  when */                                                                        \
    X(INVALID, 0, 400, 3, "the request itself is wrong")                                                               \
    X(NOT_FOUND, 0, 404, 5, "the named thing is not there")                                                            \
    X(EXISTS, 0, 409, 6, "the name is taken")                                                                          \
    X(CONFLICT, 0, 409, 9, "its state or its users forbid this now")                                                   \
    X(UNCHANGED, 0, 304, 9, "it is already as asked")                                                                  \
    X(DENIED, 0, 403, 7, "the caller may not do this")                                                                 \
    X(UNAUTHENTICATED, 0, 401, 16, "credentials are missing or refused")                                               \
    X(UNSUPPORTED, 0, 501, 12, "this kernel, build or version cannot do this")                                         \
    X(UNAVAILABLE, 0, 503, 14, "a peer or helper did not answer")                                                      \
    X(EXHAUSTED, 0, 500, 8, "memory, disk, ids or a quota ran out")                                                    \
    X(TIMEOUT, 0, 500, 4, "it took longer than allowed")                                                               \
    X(CANCELLED, 130, 500, 1, "the caller gave up")                                                                    \
    X(CORRUPT, 0, 500, 15, "data does not match its digest or format")                                                 \
    X(EXEC_MISSING, 127, 400, 5, "the command is not in the container")                                                \
    X(EXEC_DENIED, 126, 400, 7, "the command is there but cannot be run")                                              \
    X(INTERNAL, 0, 500, 13, "a bug in husk, or an error with no better kind")

enum err_kind {
#define ERR_ENUM(name, exit_status, http, grpc, when) ERR_##name,
    ERR_KINDS(ERR_ENUM)
#undef ERR_ENUM
};

typedef struct err err;

/* A function that can fail is declared `fallible name(...)`; ignoring its answer does not compile. */
#define fallible __attribute__((warn_unused_result)) err *

/* What an analyzer has to be told: an error that is made is one, and one that is wrapped stays one. */
#ifdef __clang_analyzer__
#define err_made(e)                                                                                                    \
    ({                                                                                                                 \
        err *made_ = (e);                                                                                              \
        if (!made_)                                                                                                    \
            __builtin_unreachable();                                                                                   \
        made_;                                                                                                         \
    })
#define err_wrap(cause, ...) (cause)
#else
#define err_made(e)          (e)
#define err_wrap(cause, ...) err_wrap_at((cause), __VA_ARGS__)
#endif

#define err_new(kind, ...)   err_made(err_new_at(__FILE__, __LINE__, (kind), 0, __VA_ARGS__))
#define err_sys(errnum, ...) err_sys_as(err_kind_of_errno(errnum), (errnum), __VA_ARGS__)
/* An errno with a kind of our own choosing, for where the call's meaning is known better than its number. */
#define err_sys_as(kind, errnum, ...) err_made(err_new_at(__FILE__, __LINE__, (kind), (errnum), __VA_ARGS__))

/**
 * err_new_at - make an error; use the macros.
 * @errnum: errno of the failed call, or 0. Its text is appended: "open 'x': Permission denied".
 */
fallible err_new_at(const char *file, int line, enum err_kind kind, int errnum, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/**
 * err_wrap_at - put what the caller was doing in front of the text.
 * @take_cause: taken; NULL stays NULL.
 */
fallible err_wrap_at(err *take_cause, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* No failure to report: the process is to exit with this status and say nothing (a program's own code passed on). */
fallible err_exit(int status);
/* The same error, which ends a command with this status where its kind has none of its own. */
fallible err_with_exit(err *take_e, int status);

void err_free(err *e);

enum err_kind err_kind_of_errno(int errnum);
enum err_kind err_kind(const err *e);
int err_errno(const err *e);
/* True when e is an error of this kind; false for NULL. */
bool err_is(const err *e, enum err_kind kind);
/* The whole chain as one line, outermost first, without a full stop; control characters are "?". Borrowed. */
const char *err_text(const err *e);
/* Where it was made, for the debug log: "src/os/mount.c:12". Borrowed. */
const char *err_place(const err *e);
const char *err_kind_name(enum err_kind kind);
/* The process exit status: err_exit()'s, or the kind's own, or the command's when the kind has none. */
int err_exit_status(const err *e, int command_fail_exit);
int err_http_status(const err *e);

/* The error as bytes, for the other end of a pipe; text that does not fit is cut. Format: kind u32, errno u32, text. */
enum { ERR_ENCODED_MAX = 4096 };
size_t err_encode(const err *e, void *buf, size_t size);
/* Rebuilds an encoded error: it is the return value. Bytes that are no error become INTERNAL. */
fallible err_decode(const void *buf, size_t len);

/* Drop an error on purpose; `why` is for the reader, and for the debug log. NULL is fine. */
void err_ignore(err *take_e, const char *why);

OWN_TYPE(err, err *, err_free)

/* The only macros in husk that hide a `return`. */
#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        err *try_err_ = (call);                                                                                        \
        if (try_err_)                                                                                                  \
            return try_err_;                                                                                           \
    } while (0)
#define TRY_AS(call, ...)                                                                                              \
    do {                                                                                                               \
        err *try_err_ = (call);                                                                                        \
        if (try_err_)                                                                                                  \
            return err_wrap(try_err_, __VA_ARGS__);                                                                    \
    } while (0)

#endif
