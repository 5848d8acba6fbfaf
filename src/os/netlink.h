/*
 * netlink.h: asking the kernel's network stack: one request, its answers, its verdict.
 *
 * A socket speaks for the network namespace in which it was opened, wherever its owner goes afterwards, and keeps that
 * namespace alive. Source: netlink(7), rtnetlink(7).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_OS_NETLINK_H
#define HUSK_OS_NETLINK_H

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* A request under construction; too many attributes are an error of netlink_ask(). */
struct netlink_request {
    union {
        struct nlmsghdr head;
        char bytes[4096];
    };
    bool full;
};

fallible netlink_open(int *ret_sock);
/* The same for another network namespace: this process goes there for one call and comes back. */
fallible netlink_open_in(int netns_fd, int *ret_sock);

/* type: RTM_*; flags: NLM_F_* beside NLM_F_REQUEST; fixed: the type's own struct (ifinfomsg ...). */
void netlink_begin(struct netlink_request *r, uint16_t type, uint16_t flags, const void *fixed, size_t n);
void netlink_add(struct netlink_request *r, uint16_t attribute, const void *bytes, size_t n);
void netlink_add_text(struct netlink_request *r, uint16_t attribute, const char *text); /* with its NUL */

/* Called for each answer. */
typedef err *netlink_answer(void *ctx, const struct nlmsghdr *m);
/**
 * netlink_ask - send it and read until the kernel's verdict.
 * @answer: NULL: answers other than the verdict are not expected.
 * Errors: the kernel's errno; an attribute of the answer's may be found by netlink_find().
 */
fallible netlink_ask(int sock, struct netlink_request *r, netlink_answer *answer, void *ctx);
/* An attribute of a message behind a fixed part of that size; NULL: not there. */
const struct nlattr *netlink_find(const struct nlmsghdr *m, size_t fixed, uint16_t attribute, size_t *ret_len);

#endif
