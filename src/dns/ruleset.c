// SPDX-License-Identifier: GPL-2.0-or-later
#include "dns/ruleset.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "network/firewall.h"

struct ruleset {
    struct loop *loop;
    int fd, filter_fd;
    struct loop_source *source, *timer;
    ruleset_lost *fn;
    void *ctx;
};

bool ruleset_is_removal(const void *bytes, size_t n)
{
    for (size_t at = 0; at < n && n - at >= NLMSG_HDRLEN;) {
        const struct nlmsghdr *m = (const void *)((const char *)bytes + at);
        size_t len = 0;
        if (m->nlmsg_len < NLMSG_HDRLEN || m->nlmsg_len > n - at)
            return false;
        if (m->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE) &&
            m->nlmsg_len >= NLMSG_LENGTH(sizeof(struct nfgenmsg))) {
            const struct nfgenmsg *head = NLMSG_DATA(m);
            const struct nlattr *name = netlink_find(m, sizeof *head, NFTA_TABLE_NAME, &len);
            if (head->nfgen_family == NFPROTO_INET && name && len == sizeof FIREWALL_TABLE &&
                memcmp(name + 1, FIREWALL_TABLE, len) == 0)
                return true;
        }
        at += NLMSG_ALIGN((size_t)m->nlmsg_len);
    }
    return false;
}

/* What is lost of the messages may have been that one. */
static err *changed(void *ctx, uint32_t events)
{
    struct ruleset *r = ctx;
    union {
        char bytes[16384];
        struct nlmsghdr align;
    } in;
    bool gone = false;
    for (;;) {
        ssize_t n = recv(r->fd, in.bytes, sizeof in.bytes, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        gone |= (n < 0 && errno == ENOBUFS) || (n > 0 && ruleset_is_removal(in.bytes, (size_t)n));
        if (n < 0 && errno == ENOBUFS)
            continue;
        if (n <= 0)
            break;
    }
    return gone ? loop_set_timer(r->timer, (uint64_t)RULESET_MOMENT_MS * 1000000) : NULL;
}

/* Whoever makes the table anew removes it first, in the same batch. */
static err *look(void *ctx)
{
    struct ruleset *r = ctx;
    bool there = true;
    err *e = firewall_is_there(r->filter_fd, &there);
    err_ignore(e, "then the next change is looked at");
    return there ? NULL : r->fn(r->ctx);
}

fallible ruleset_new(struct loop *loop, int take_fd_, int filter_fd, ruleset_lost *fn, void *ctx, struct ruleset **ret)
{
    own(ruleset) struct ruleset *r = mem_zalloc(sizeof *r);
    *r = (struct ruleset){ .loop = loop, .fd = take_fd_, .filter_fd = filter_fd, .fn = fn, .ctx = ctx };
    TRY(loop_add_timer(loop, 0, look, r, &r->timer));
    TRY(loop_add_fd(loop, r->fd, EPOLLIN, changed, r, &r->source));
    *ret = take(r);
    return NULL;
}

void ruleset_free(struct ruleset *r)
{
    if (!r)
        return;
    if (r->source)
        loop_remove(r->source);
    if (r->timer)
        loop_remove(r->timer);
    close_now(&r->fd);
    free(r);
}
