// SPDX-License-Identifier: GPL-2.0-or-later
#include "network/reserve.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "os/fs.h"
#include "os/netlink.h"

static const struct {
    const char *word;
    uint8_t number;
} protos[] = { { "tcp", IPPROTO_TCP }, { "udp", IPPROTO_UDP }, { "sctp", IPPROTO_SCTP } };

uint8_t proto_number(const char *word)
{
    for (size_t i = 0; i < ARRAY_SIZE(protos); i++)
        if (str_eq(word, protos[i].word))
            return protos[i].number;
    return 0;
}

const char *proto_word(uint8_t proto)
{
    for (size_t i = 0; i < ARRAY_SIZE(protos); i++)
        if (protos[i].number == proto)
            return protos[i].word;
    return "?";
}

void reserve_clear(struct reserve *r)
{
    for (size_t i = 0; i < r->n; i++)
        (void)close(r->fds[i]);
    free(r->fds);
    *r = (struct reserve){ 0 };
}

/* ---- who has it ------------------------------------------------------------------------------------------------ */

struct search {
    const struct ip *at;
    uint16_t port;
    bool exact;              /* a socket for all addresses is not meant */
    const struct reserve *r; /* whose shared addresses are not meant either; NULL: all are */
    uint32_t inode;          /* 0: not found yet */
    uid_t uid;
};

static bool is_shared(const struct reserve *r, const struct inet_diag_msg *d)
{
    for (size_t i = 0; i < r->shared_n; i++)
        if (r->shared[i].family == d->idiag_family &&
            memcmp(d->id.idiag_src, r->shared[i].bytes, ip_size(&r->shared[i])) == 0)
            return true;
    return false;
}

static err *read_socket(void *ctx, const struct nlmsghdr *m)
{
    static const uint8_t any[16] = { 0 };
    struct search *s = ctx;
    struct inet_diag_msg d;
    if (m->nlmsg_len < NLMSG_LENGTH(sizeof d))
        return NULL;
    memcpy(&d, NLMSG_DATA(m), sizeof d);
    size_t n = d.idiag_family == AF_INET6 ? 16 : 4;
    if (s->r && is_shared(s->r, &d))
        return NULL;
    bool all = !s->exact && memcmp(d.id.idiag_src, any, n) == 0;
    bool same =
        !ip_is_set(s->at) || all || (s->at->family == d.idiag_family && memcmp(d.id.idiag_src, s->at->bytes, n) == 0);
    if (be16toh(d.id.idiag_sport) == s->port && same && d.idiag_inode && !s->inode) {
        s->inode = d.idiag_inode;
        s->uid = d.idiag_uid;
    }
    return NULL;
}

static fallible find_socket(uint8_t proto, struct search *s)
{
    static const uint8_t families[] = { AF_INET, AF_INET6 };
    enum { LISTEN = 1 << 10, CLOSE = 1 << 7 }; /* include/net/tcp_states.h; datagrams are in CLOSE */
    own_fd int sock = -1;
    TRY(netlink_open_protocol(NETLINK_SOCK_DIAG, &sock));
    for (size_t i = 0; i < ARRAY_SIZE(families) && !s->inode; i++) {
        struct netlink_request r;
        const struct inet_diag_req_v2 ask = { .sdiag_family = families[i],
                                              .sdiag_protocol = proto,
                                              .idiag_states = LISTEN | CLOSE };
        netlink_begin(&r, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &ask, sizeof ask);
        TRY(netlink_ask(sock, &r, read_socket, s));
    }
    return NULL;
}

static bool has_inode(const char *pid, uint32_t inode)
{
    own_mem char *path = mem_printf("/proc/%s/fd", pid), *want = mem_printf("socket:[%u]", inode);
    own_dir DIR *d = opendir(path);
    for (const struct dirent *e; d && (e = readdir(d));) {
        char target[64] = "";
        if (readlinkat(dirfd(d), e->d_name, target, sizeof target - 1) > 0 && strcmp(target, want) == 0)
            return true;
    }
    return false;
}

static char *process_of(uint32_t inode)
{
    own_dir DIR *d = opendir("/proc");
    for (const struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] < '1' || e->d_name[0] > '9' || !has_inode(e->d_name, inode))
            continue;
        own_mem char *path = mem_printf("/proc/%s/comm", e->d_name), *comm = NULL;
        err_ignore(fs_read_at(AT_FDCWD, path, 64, &comm, NULL), "it ends, or is another's: its number is enough");
        if (comm)
            comm[strcspn(comm, "\n")] = '\0';
        return mem_printf("process '%s' (%s)", comm ? comm : "?", e->d_name);
    }
    return NULL;
}

/* Nobody: *ret_found is false. Somebody who cannot be named: "". */
static char *find_holder(const struct reserve *r, uint8_t proto, const struct ip *at, uint16_t port, bool *ret_found)
{
    struct search s = { .at = at, .port = port, .r = r };
    err_ignore(find_socket(proto, &s), "then nobody can be named");
    *ret_found = s.inode != 0;
    char *name = s.inode ? process_of(s.inode) : NULL;
    if (!name && s.inode) /* another user's, into which we may not look */
        name = s.uid ? mem_printf("a process of user %u", s.uid) : mem_strdup("a process of root's");
    return name ? name : mem_strdup("");
}

char *reserve_holder(uint8_t proto, const struct ip *at, uint16_t port)
{
    bool found;
    return find_holder(NULL, proto, at, port, &found);
}

fallible reserve_is_bound(uint8_t proto, const struct ip *at, uint16_t port, bool *ret)
{
    struct search s = { .at = at, .port = port, .exact = true };
    TRY(find_socket(proto, &s));
    *ret = s.inode != 0;
    return NULL;
}

fallible reserve_share(int sock)
{
    const int on = 1;
    return setsockopt(sock, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0 ? err_sys(errno, "share a port") : NULL;
}

/* ---- taking it ----------------------------------------------------------------------------------------------------
 */

/* An ordinary user's sockets do listen (usernet/), and connections that have ended hold a port for a minute; one that
 * is listened on stays taken all the same. */
static void allow_again(int sock)
{
    const int on = 1;
    int type = 0;
    socklen_t n = sizeof type;
    if (geteuid() != 0 && getsockopt(sock, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_STREAM)
        (void)setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
}

static int bind_to(int sock, const struct ip *at, int family, uint16_t port)
{
    allow_again(sock);
    struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htobe16(port) };
    struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htobe16(port) };
    if (ip_is_set(at) && family == AF_INET)
        memcpy(&a4.sin_addr, at->bytes, 4);
    if (ip_is_set(at) && family == AF_INET6)
        memcpy(&a6.sin6_addr, at->bytes, 16);
    return family == AF_INET ? bind(sock, (const struct sockaddr *)&a4, sizeof a4)
                             : bind(sock, (const struct sockaddr *)&a6, sizeof a6);
}

static uint16_t bound_port(int sock)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a = { .any.sa_family = AF_UNSPEC };
    socklen_t n = sizeof a;
    if (getsockname(sock, &a.any, &n) < 0)
        return 0;
    return be16toh(a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
}

static int64_t first_unprivileged(void)
{
    own_mem char *text = NULL;
    int64_t port = 1024;
    err *e = fs_read_at(AT_FDCWD, "/proc/sys/net/ipv4/ip_unprivileged_port_start", 16, &text, NULL);
    if (!e) {
        text[strcspn(text, "\n")] = '\0';
        e = parse_i64(text, 0, 65536, &port);
    }
    err_ignore(e, "then it is what the kernel begins with");
    return port;
}

static fallible refused(int errnum, uint8_t proto, const struct ip *at, uint16_t port, const char *holder)
{
    char text[IP_TEXT];
    ip_text(at, text);
    if (errnum == EADDRINUSE)
        return err_new(ERR_CONFLICT, "port %s%s%u/%s of the host is taken%s%s", text, *text ? ":" : "", port,
                       proto_word(proto), *holder ? " by " : "", holder);
    if (errnum == EACCES)
        return err_new(ERR_DENIED,
                       "port %u/%s: an ordinary user's begin at %lld: publish another, or let root say: sysctl "
                       "net.ipv4.ip_unprivileged_port_start=%u",
                       port, proto_word(proto), (long long)first_unprivileged(), port);
    if (errnum == EADDRNOTAVAIL)
        return err_new(ERR_INVALID, "the host has no address %s to publish a port on", text);
    return err_sys(errnum, "take port %u/%s of the host", port, proto_word(proto));
}

/*
 * Connections of an earlier listener that are not quite over refuse a port too, and they are nobody's: then once more,
 * as servers do. Not at once so: a socket that was bound like that would let others have the port as well.
 */
static fallible bind_alone(const struct reserve *r, int sock, uint8_t proto, const struct ip *at, int family,
                           uint16_t port)
{
    const int on = 1;
    if (bind_to(sock, at, family, port) == 0)
        return NULL;
    int errnum = errno;
    bool found = true;
    own_mem char *holder = errnum == EADDRINUSE ? find_holder(r, proto, at, port, &found) : mem_strdup("");
    if (!found && r->shared_n) { /* the resolver, then */
        TRY(reserve_share(sock));
        if (bind_to(sock, at, family, port) == 0)
            return NULL;
    }
    if (errnum == EADDRINUSE && !*holder && proto == IPPROTO_TCP &&
        setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 && bind_to(sock, at, family, port) == 0)
        return NULL;
    return refused(errnum, proto, at, port, holder);
}

static fallible reserve_one(struct reserve *r, uint8_t proto, const struct ip *at, int family, uint16_t *port)
{
    const int on = 1;
    own_fd int sock = socket(family, (proto == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, proto);
    if (sock < 0 && (errno == EAFNOSUPPORT || errno == EPROTONOSUPPORT || errno == ESOCKTNOSUPPORT))
        return NULL; /* where the host has no such sockets, nobody else can have the port */
    if (sock < 0)
        return err_sys(errno, "make a socket");
    if (family == AF_INET6)
        (void)setsockopt(sock, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    TRY(bind_alone(r, sock, proto, at, family, *port));
    if (*port == RESERVE_SHARED_PORT && proto != IPPROTO_SCTP)
        TRY(reserve_share(sock)); /* only now: before, another of ours would not have been in the way */
    if (!*port)
        *port = bound_port(sock);
    r->fds = mem_array(r->fds, r->n + 1, sizeof *r->fds);
    r->fds[r->n++] = take_fd(&sock);
    return NULL;
}

/* A random one must be free in both families; a few are tried. */
fallible reserve_port(struct reserve *r, uint8_t proto, const struct ip *at, bool ipv6, uint16_t *port)
{
    enum { ATTEMPTS = 16 };
    size_t before = r->n;
    for (int attempt = 0;; attempt++) {
        uint16_t p = *port;
        err *e = at->family == AF_INET6 ? NULL : reserve_one(r, proto, at, AF_INET, &p);
        if (!e && (at->family == AF_INET6 || (!ip_is_set(at) && ipv6)))
            e = reserve_one(r, proto, at, AF_INET6, &p);
        if (!e) {
            *port = p;
            return NULL;
        }
        while (r->n > before)
            (void)close(r->fds[--r->n]);
        if (*port || attempt == ATTEMPTS || !err_is(e, ERR_CONFLICT))
            return e;
        err_free(e);
    }
}
