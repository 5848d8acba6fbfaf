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

/*
 * Whose network a process means when it opens a socket to the network stack or the firewall: its own namespace's, or
 * that to which a door was set. An ordinary user's networks are elsewhere, and the code that makes networks need not
 * know. This is the one setting of a process besides its log: it is set once, before the first network is touched.
 */
struct netlink_door {
    /* netns_fd: of a container; -1: the namespace of the networks. */
    err *(*open)(void *ctx, int netns_fd, int protocol, int *ret_sock);
    void *ctx;
};
void netlink_set_door(const struct netlink_door *door); /* borrowed; NULL: our own again */
bool netlink_has_door(void);

fallible netlink_open(int *ret_sock);
/* In this process's own namespace, whatever the door. */
fallible netlink_open_here(int *ret_sock);
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
 * A list (NLM_F_DUMP) that was changed while the kernel wrote it down may lack what was there all the time
 * (NLM_F_DUMP_INTR): it is asked for again, and its answers are handed over when it is whole.
 * Errors: the kernel's errno; UNAVAILABLE when a list was never whole; an attribute of the answer's may be found by
 * netlink_find().
 */
fallible netlink_ask(int sock, struct netlink_request *r, netlink_answer *answer, void *ctx);
/* An attribute of a message behind a fixed part of that size; NULL: not there. */
const struct nlattr *netlink_find(const struct nlmsghdr *m, size_t fixed, uint16_t attribute, size_t *ret_len);
/* The same among those in a nest; NULL: not there. */
const struct nlattr *netlink_find_in(const struct nlattr *in, uint16_t attribute, size_t *ret_len);

/*
 * Several requests in one message to the kernel. Route requests are carried out one after the other, each with its own
 * verdict; a firewall's (NETLINK_NETFILTER, between NFNL_MSG_BATCH_BEGIN and _END) all or none. Zero-initialised is
 * empty.
 */
struct netlink_batch {
    char *bytes;
    size_t len, room;
    size_t last;        /* where the last request begins */
    unsigned n;         /* requests in it */
    const char **whats; /* what each is for */
};
void netlink_batch_clear(struct netlink_batch *b);
static inline void own_drop_netlink_batch(struct netlink_batch *b)
{
    netlink_batch_clear(b);
}
/* what: "make the veth pair": stands in front of the kernel's error. Borrowed until it is sent. */
void netlink_batch_begin(struct netlink_batch *b, const char *what, uint16_t type, uint16_t flags, const void *fixed,
                         size_t n);
void netlink_batch_add(struct netlink_batch *b, uint16_t attribute, const void *bytes, size_t n);
void netlink_batch_add_text(struct netlink_batch *b, uint16_t attribute, const char *text); /* with its NUL */
void netlink_batch_add_u8(struct netlink_batch *b, uint16_t attribute, uint8_t v);
void netlink_batch_add_u16(struct netlink_batch *b, uint16_t attribute, uint16_t v);
void netlink_batch_add_u32(struct netlink_batch *b, uint16_t attribute, uint32_t v);
void netlink_batch_add_raw(struct netlink_batch *b, const void *bytes, size_t n); /* a fixed part within a nest */
/* An attribute that holds others: until netlink_batch_end_nest() of what this answers. */
size_t netlink_batch_nest(struct netlink_batch *b, uint16_t attribute);
void netlink_batch_end_nest(struct netlink_batch *b, size_t nest);
/* Route requests: sends all, and reads all verdicts. Errors: the first, with its what. */
fallible netlink_batch_ask(int sock, struct netlink_batch *b);
/* A socket of another protocol (NETLINK_NETFILTER ...) of the own namespace. */
fallible netlink_open_protocol(int protocol, int *ret_sock);

#endif
