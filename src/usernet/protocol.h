/*
 * protocol.h: what a command says to the holder of the user's networks over <run>/usernet, and what that answers.
 *
 * A SOCK_SEQPACKET connection; each message is one struct with its descriptors, each answer another. While a connection
 * is open the holder does not end.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_USERNET_PROTOCOL_H
#define HUSK_USERNET_PROTOCOL_H

#include <netinet/in.h>
#include <stdint.h>

#include "base/err.h"

union usernet_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

enum usernet_kind {
    USERNET_ENTER = 1, /* answered with the user and the network namespace */
    USERNET_OUTSIDE,   /* one descriptor: pasta's pidfd, which the holder ends with itself */
    USERNET_PUBLISH,   /* one descriptor: a bound UDP or a listening TCP socket of the host; to target */
    USERNET_SOCKETS,   /* answered with a socket of `domain`, `type` and `protocol` made in the user's namespace, or in
                        * that   of the container whose network namespace comes with it */
    USERNET_WITHDRAW,  /* every port of the container, or the one that is bound to host */
    USERNET_WATCH,     /* from now on this connection keeps nothing alive; it ends when pasta does, or the holder */
    USERNET_WHOLE,     /* what ran when the holder was started is connected to it */
};
struct usernet_message {
    uint32_t kind;
    uint32_t protocol;    /* SOCKETS; WITHDRAW of one: IPPROTO_*; 0: all */
    int32_t domain, type; /* SOCKETS */
    char container[65];   /* ID */
    union usernet_address host, target;
};
struct usernet_answer {
    uint32_t failed;  /* then error is an encoded one */
    uint32_t outside; /* pasta runs */
    uint32_t lost;    /* it did, and has ended by itself */
    uint32_t whole;   /* see USERNET_WHOLE */
    int32_t pid;      /* the holder's */
    uint32_t error_n;
    char error[512];
};

/* The descriptors that the holder is started with, behind which are no others. */
enum { USERNET_LISTEN_FD = 3, USERNET_READY_FD = 4 };
#define USERNET_SOCKET "usernet"
#define USERNET_PASTA  "usernet.pasta" /* pasta's pid */

#endif
