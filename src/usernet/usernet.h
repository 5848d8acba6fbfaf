/*
 * usernet.h: an ordinary user's networks: one network namespace for all of them, joined to the outside by one pasta.
 *
 * The kernel lets only root make bridges, so an ordinary user's are in a network namespace of a user namespace of his
 * own, which husk-usernet holds. Containers on them are made from inside that user namespace: theirs is a child of it,
 * and so whoever is root there may put a veth into theirs. He himself, outside, may do to either what he likes: he owns
 * the one and therefore the other (user_namespaces(7)). See docs/design/rootless-network.md.
 *
 *   <run>/usernet        the holder's socket (usernet/protocol.h)
 *   <run>/usernet.lock   held while somebody starts one, or its pasta
 *   <run>/usernet.whole  locked while somebody connects to a new holder what ran under the last
 *   <run>/usernet.pasta  the pid of its pasta
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_USERNET_USERNET_H
#define HUSK_USERNET_USERNET_H

#include "usernet/protocol.h"

struct usernet {
    int sock; /* while it is open the namespaces stay */
    int user_fd, net_fd;
    pid_t holder;
    bool whole; /* what ran when the holder was started is connected to it: nobody knows so of a new one */
    bool lost;  /* its pasta has ended by itself */
};
void usernet_close(struct usernet *u);
static inline void own_drop_usernet(struct usernet *u)
{
    usernet_close(u);
}
#define USERNET_NONE ((struct usernet){ .sock = -1, .user_fd = -1, .net_fd = -1 })

/* Whether networks need one: not for root. */
bool usernet_needed(void);
/* Of its bridges and what is on them: as pasta makes its own device. */
enum { USERNET_MTU = 65520 };
/**
 * usernet_open - the user's namespaces; made when they are not there.
 * @run: the run-time folder.
 * @join_user: the user namespace that they must be in, because containers from an earlier holder still run in children
 *             of it; -1: a new one.
 * Errors: what ids_rootless_maps() and the kernel say about user namespaces.
 */
fallible usernet_open(const char *run, int join_user, struct usernet *ret);
/* The same, but NOT_FOUND when no holder runs. */
fallible usernet_find(const char *run, struct usernet *ret);
fallible usernet_find_at(int run_fd, struct usernet *ret);
/* This process becomes root of both. */
fallible usernet_enter(const struct usernet *u);

/* A socket made in the user's network namespace, or, with netns_fd >= 0, in a container's on one of his networks. He
 * may use it from where he is: what the kernel asks is whether he could do the same inside, and whether its maker
 * could. */
fallible usernet_socket(const struct usernet *u, int netns_fd, int domain, int type, int protocol, int *ret_fd);

/**
 * usernet_outside - joins the namespace to the outside by pasta, when that does not run yet.
 * Errors: UNSUPPORTED, with the cure, when pasta is not installed or may not open /dev/net/tun.
 */
fallible usernet_outside(struct usernet *u, const char *run);
/* Locked from the look until *ret_lock is closed: *ret_whole true: somebody else has done it. */
fallible usernet_lock_whole(const struct usernet *u, const char *run, int *ret_lock, bool *ret_whole);
/* The holder is told that it is. */
fallible usernet_say_whole(const struct usernet *u);
/* A connection that breaks when the holder or its pasta ends, and keeps neither. */
fallible usernet_watch(const char *run, int *ret_sock);
/* The user namespace that pid's is a child of: where an earlier holder's containers are. NOT_FOUND: none. */
fallible usernet_parent_of(pid_t pid, int *ret_user_fd);

/* A port of this host's leads to target from now on. bound_fd: a bound TCP or UDP socket; it stays the caller's.
 * Errors: UNSUPPORTED for another protocol. */
fallible usernet_publish(const struct usernet *u, const char *container, int bound_fd,
                         const union usernet_address *target);
/* One port, or with protocol 0 all of the container's. */
fallible usernet_withdraw(const struct usernet *u, const char *container, int protocol,
                          const union usernet_address *host);

/* door.c: from now on this process's netlink sockets are the user's networks' (os/netlink.h). u is borrowed for good.
 */
void usernet_set_door(const struct usernet *u);
/* A container on the networks has ended: nothing of it stays outside of its own namespace. state_fd: its run-time
 * folder, <run>/<id>. Without a holder there is nothing but the note of it (network/firewall.h). For root:
 * firewall_withdraw(), whose ret_sock this has too. */
fallible usernet_end(const char *id, int state_fd, int *ret_sock);
/* The host has a default route: where it has none, there is no outside to be joined to. */
bool usernet_host_has_outside(void);

/* pasta.c: one for a network namespace. */
struct pasta {
    pid_t pid;                  /* a process in it, and in the user namespace that owns it */
    const struct strv *options; /* more words for pasta; may be NULL */
    const char *pid_file;       /* where its pid goes */
};
/* Starts it and answers when the namespace is connected. Errors: UNSUPPORTED with the cure. */
fallible pasta_start(const struct pasta *p, pid_t *ret_pid);
/* Ends the pasta of a pid file, when it is one, and removes the file. */
void pasta_stop(const char *pid_file);
/* The same of a container's own: its pid is in its run-time folder. */
#define PASTA_PID_FILE "pasta.pid"
void pasta_stop_at(int dir_fd);
/* Is it installed, and may this user use it? NULL: yes; else why not, with the cure. */
const char *pasta_missing(void);

/* route.c, inside: the loopback, forwarding, and the way back of what is answered to a published port's client. */
fallible usernet_routes(void);

/* The rules of that alone, anew: through the door, or inside. */
fallible usernet_rules(void);
/* The namespace of a process that is alone with its pasta: a connection that is refused is told so, by a rule that
 * mends what pasta says of it. Another table than a program's in there, and no right is needed but over the namespace.
 */
fallible usernet_tell_refusals(pid_t pid);

#endif
