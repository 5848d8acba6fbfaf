/*
 * loop.h: wait for many things at once: descriptors, timers, signals, children. One thread, epoll(7).
 *
 * Callbacks may add and remove sources, their own too. Memory is taken when a source is added, not while running.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_OS_LOOP_H
#define HUSK_OS_LOOP_H

#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/err.h"

struct loop;
struct loop_source;
typedef err *loop_fd_fn(void *ctx, uint32_t events);
typedef err *loop_timer_fn(void *ctx);
typedef err *loop_signal_fn(void *ctx, const siginfo_t *info);

fallible loop_new(struct loop **ret);
void loop_free(struct loop *loop);
/* fd is borrowed and must outlive the source. events: EPOLLIN, EPOLLOUT ...; 0 keeps it registered but quiet. */
fallible loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *ctx, struct loop_source **ret);
fallible loop_set_events(struct loop_source *source, uint32_t events);
/* Fires once after ns; loop_set_timer() sets it again, 0 stops it. */
fallible loop_add_timer(struct loop *loop, uint64_t ns, loop_timer_fn *fn, void *ctx, struct loop_source **ret);
fallible loop_set_timer(struct loop_source *source, uint64_t ns);
/* Blocks the signals and reads them from a signalfd(2). */
fallible loop_add_signals(struct loop *loop, const sigset_t *set, loop_signal_fn *fn, void *ctx);
void loop_remove(struct loop_source *source);
/* Runs until loop_quit() or the first error of a callback, which is returned. */
fallible loop_run(struct loop *loop);
void loop_quit(struct loop *loop);

OWN_TYPE(loop, struct loop *, loop_free)

#endif
