/*
 * Any bytes as the kernel's answer, to questions and to batches: elements and chains that are handed out lie within it,
 * and an answer that never ends is not waited for.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "network/conntrack.h"
#include "network/nft.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static size_t sum(const void *bytes, size_t n)
{
    size_t all = 0;
    for (size_t i = 0; bytes && i < n; i++)
        all += ((const unsigned char *)bytes)[i];
    return all;
}

static err *element(void *ctx, const struct nft_element *e)
{
    size_t *all = ctx;
    *all += sum(e->key, e->key_len) + sum(e->end, e->key_len) + sum(e->data, e->data_len);
    *all += (e->comment ? strlen(e->comment) : 0) + (size_t)(e->packets + e->bytes + e->expires_ms);
    return NULL;
}

static err *chain(void *ctx, int family, const char *table, const char *name, uint32_t hook, uint32_t policy)
{
    size_t *all = ctx;
    *all += (size_t)family + strlen(table) + strlen(name) + hook + policy;
    return NULL;
}

/* A socket on which the answer waits, and behind it the end. */
static int answered(const unsigned char *data, size_t size, int *ret_peer)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 || send(pair[1], data, size, 0) < 0 ||
        shutdown(pair[1], SHUT_WR) < 0)
        abort();
    *ret_peer = pair[1];
    return pair[0];
}

/* The verdicts of three requests. */
static err *route_batch(int sock)
{
    own(netlink_batch) struct netlink_batch b = { 0 };
    for (int i = 0; i < 3; i++)
        netlink_batch_begin(&b, "a request", 16, 0, "fixed", 5);
    return netlink_batch_ask(sock, &b);
}

static void add_element(struct nft *n)
{
    nft_begin(n, "husk", 0);
    nft_element(n, NFT_DELETE, "egress4", &(struct nft_element){ .key = "abcd", .key_len = 4 });
}

static err *commit(int sock)
{
    own(nft) struct nft n = { 0 };
    add_element(&n);
    return nft_commit(sock, &n);
}

/* Where it says that one is not there, each is sent by itself. */
static err *send_stored(int sock)
{
    own(nft) struct nft n = { 0 };
    size_t len;
    add_element(&n);
    void *bytes = (void *)(uintptr_t)nft_bytes(&n, &len);
    return nft_send(sock, bytes, len);
}

/* As one connection that the kernel tells of, and as the file of what is to be taken out. */
static void as_told(const unsigned char *data, size_t size, size_t *all)
{
    own(conntrack_stale) struct conntrack_stale s = { 0 };
    struct nlmsghdr *m = calloc(1, sizeof *m + size);
    m->nlmsg_len = (uint32_t)(sizeof *m + size);
    memcpy(m + 1, data, size);
    conntrack_add_ip(&s, &(struct ip){ .family = AF_INET });
    conntrack_add_udp(&s, &(struct conntrack_udp){ .at.family = AF_INET6, .any = true });
    *all += conntrack_is_stale(&s, m);
    free(m);
    err_ignore(nft_each_stored(data, size, "ports4", element, all), "any bytes may be no batch");
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    size_t all = 0;
    bool has = false;
    if (size > 16384)
        return 0;
    as_told(data, size, &all);
    for (int i = 0; i < 6; i++) {
        int peer, sock = answered(data, size, &peer);
        err_ignore(i == 0   ? nft_each(sock, "husk", "ports4", element, &all)
                   : i == 1 ? nft_each_chain(sock, chain, &all)
                   : i == 2 ? nft_has(sock, "husk", "ports4", "abcd", 4, &has)
                   : i == 3 ? route_batch(sock)
                   : i == 4 ? commit(sock)
                            : send_stored(sock),
                   "any bytes may be no answer");
        (void)close(sock);
        (void)close(peer);
    }
    return 0;
}
