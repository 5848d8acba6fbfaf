/*
 * clients.h: those who are attached to a container, seen from its monitor.
 *
 * There is no queue: one frame at a time is offered to all, and while one of them cannot take it (its socket's buffer,
 * some 200 KiB, is full) the monitor reads no further output. The first client, the one that started the container, is
 * waited for without limit; a later one that takes nothing for CLIENTS_PATIENCE_NS is dropped.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_MONITOR_CLIENTS_H
#define HUSK_MONITOR_CLIENTS_H

#include <stddef.h>
#include <stdint.h>

#include "os/loop.h"

enum { CLIENTS_MAX = 64 };
#define CLIENTS_PATIENCE_NS 10000000000ull

struct client_frame {
    char kind;
    const char *bytes;
    size_t n;
};

struct client {
    int fd; /* -1: a free place */
    struct loop_source *source;
    bool first; /* the one that started the container */
    bool no_stdout, no_stderr;
    bool wants_input;  /* its question for the input has no answer yet */
    int wants_log;     /* so many answers to its question for the log are still to be sent */
    size_t next;       /* frame to send */
    uint64_t stuck_ns; /* CLOCK_MONOTONIC since when it takes nothing; 0: it takes */
    struct clients *all;
};

enum { CLIENTS_LOG_STEPS = 3 };

/* What the clients' words do; ctx is the monitor. */
struct client_owner {
    void *ctx;
    int (*input)(void *ctx); /* borrowed; -1: none */
    void (*input_given)(void *ctx);
    void (*resize)(void *ctx, unsigned rows, unsigned columns);
    void (*signal)(void *ctx, int signal);
    void (*cleaned)(void *ctx);
    void (*restart)(void *ctx, const char *policy);
    void (*leases)(void *ctx);
    /* The frame that answers MONITOR_LOG: step 3, then 2 and 1. The bytes are valid until the next call. */
    struct client_frame (*log)(void *ctx, int step);
    void (*moved)(void *ctx); /* one has caught up or is gone */
};

struct clients {
    struct loop *loop;
    int listen_fd;
    struct loop_source *listener, *timer;
    struct client_owner owner;
    const struct client_frame *frames; /* offered now */
    size_t frames_n;
    struct client_frame one;
    struct client client[CLIENTS_MAX];
};

/* first_fd -1: nobody is attached from the first byte on. Descriptors are the clients' from then on. */
fallible clients_open(struct clients *c, struct loop *loop, int listen_fd, int first_fd,
                      const struct client_owner *owner);
/* Offers a frame; the bytes stay as they are until clients_busy() is false. Not while it is true. */
void clients_send(struct clients *c, char kind, const char *bytes, size_t n);
bool clients_busy(const struct clients *c);
bool clients_any(const struct clients *c);
bool clients_first_gone(const struct clients *c);
/* The frame that some do not have yet, or NULL. */
const struct client_frame *clients_under_way(const struct clients *c);
/* The end: takes in whoever has knocked, then no more, and offers the last frames. When one is under way it is the
 * first of them, and skipped for those who have it. The listening socket stays open with CLIENTS_KEEP_SOCKET, for who
 * listens there next. */
enum clients_socket { CLIENTS_CLOSE_SOCKET, CLIENTS_KEEP_SOCKET };
void clients_last(struct clients *c, const struct client_frame *frames, size_t n, enum clients_socket socket);
/* Drops those who have everything. */
void clients_dismiss(struct clients *c);

#endif
