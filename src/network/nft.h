/*
 * nft.h: nf_tables by netlink: a batch of tables, chains, sets, rules and elements, carried out whole or not at all.
 *
 * Only what husk's own tables need, `inet husk` and `bridge husk`. A failing batch costs the kernel milliseconds (it
 * waits for a grace period), so nothing here is tried in the expectation that it may fail. Source:
 * linux/netfilter/nf_tables.h, linux/netfilter/nfnetlink.h; nft(8) for the meaning.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_NETWORK_NFT_H
#define HUSK_NETWORK_NFT_H

#include "os/netlink.h"

struct nft {
    struct netlink_batch batch;
    const char *table;
    uint8_t family; /* of what is added: NFPROTO_*; 0: NFPROTO_INET */
    uint32_t sets;  /* made so far: the kernel wants a number for each */
    size_t list;    /* the open list of expressions or elements */
    bool empty;     /* nothing but its beginning */
};
void nft_clear(struct nft *n);
static inline void own_drop_nft(struct nft *n)
{
    nft_clear(n);
}

/* A socket for the network namespace of the caller. UNSUPPORTED where the kernel has no nf_tables. */
fallible nft_open(int *ret_sock);
/* The number of the ruleset as it is now: any change of any table's makes another. */
fallible nft_generation(int sock, uint32_t *ret);

/* generation 0: whatever it is; else the batch is refused with errno ERESTART when there is another by then. */
void nft_begin(struct nft *n, const char *table, uint32_t generation);
/* CONFLICT with errno ERESTART as above; else the kernel's error with what it was about. */
fallible nft_commit(int sock, struct nft *n);
/* The batch as bytes that nft_send() takes, in another process, at another time. Borrowed from n. */
const void *nft_bytes(struct nft *n, size_t *ret_len);
/* What another batch's bytes hold goes into this one, too. CORRUPT when they are none. */
fallible nft_add_bytes(struct nft *n, const void *bytes, size_t len);
/* Elements that are not there are no error: then each is taken by itself. */
fallible nft_send(int sock, void *bytes, size_t len);

enum nft_what { NFT_ADD, NFT_DELETE };
void nft_table(struct nft *n, enum nft_what what);
struct nft_chain {
    const char *name, *type; /* "filter", "nat" */
    uint32_t hook;           /* NF_INET_* */
    int32_t priority;
};
void nft_add_chain(struct nft *n, const struct nft_chain *c); /* without a type: one that others lead to */
void nft_flush_chain(struct nft *n, const char *chain);
void nft_delete_chain(struct nft *n, const char *chain);
/* Types by nft's numbers: they only matter to who prints the set. */
enum nft_type {
    NFT_TYPE_IP4 = 7,
    NFT_TYPE_IP6 = 8,
    NFT_TYPE_PROTO = 12,
    NFT_TYPE_PORT = 13,
    NFT_TYPE_MARK = 19,
    NFT_TYPE_IFNAME = 41
};
struct nft_set {
    const char *name;
    enum nft_type key[4], data[2]; /* 0: no more; data: of a map */
    bool interval, timeout;
    uint32_t size;       /* so many elements at most; 0: no bound */
    uint64_t default_ms; /* filled by the packets themselves (nft_count()), each until that long after its last one */
};
void nft_add_set(struct nft *n, const struct nft_set *s);
/* One element. end: of an interval, that it includes; NULL: none. data NULL: of a set. */
struct nft_element {
    const void *key, *end, *data;
    size_t key_len, data_len;
    uint64_t timeout_ms; /* of a set with timeouts: 0: it stays */
    const char *comment; /* as nft(8) shows it; at most NFT_COMMENT_MAX bytes; NULL: none */
    /* Of nft_each() alone: what nft_count() counted, and how long it still stays (0: for ever). */
    uint64_t packets, bytes, expires_ms;
};
enum { NFT_COMMENT_MAX = 127 };
void nft_element(struct nft *n, enum nft_what what, const char *set, const struct nft_element *e);
/* An element of a set of single intervals (type IP4 or IP6): from first to last. */
void nft_interval(struct nft *n, enum nft_what what, const char *set, const void *first, const void *after_last,
                  size_t len);

/* A rule: expressions between begin and end; registers are numbers of 32 bits, R(0) ... */
enum { NFT_R0 = 8 };
void nft_rule_begin(struct nft *n, const char *chain);
void nft_rule_end(struct nft *n);
void nft_meta(struct nft *n, uint32_t key, uint32_t reg);
void nft_payload(struct nft *n, uint32_t base, uint32_t offset, uint32_t len, uint32_t reg);
/* The packet's bytes become the register's, an even number at an even place; checksum_at: of the same header, mended.
 */
void nft_payload_write(struct nft *n, uint32_t base, uint32_t offset, uint32_t len, uint32_t reg, uint32_t checksum_at);
void nft_ct(struct nft *n, uint32_t key, uint32_t reg);
void nft_transparent(struct nft *n, uint32_t reg); /* one byte: 1 where the packet is for such a socket */
enum nft_mark { NFT_MARK_OF_PACKET, NFT_MARK_OF_CONNECTION };
void nft_set_mark(struct nft *n, enum nft_mark what, uint32_t reg);
void nft_number(struct nft *n, uint32_t reg, uint32_t v);
void nft_bits(struct nft *n, uint32_t reg, uint32_t mask); /* of a number of 32 bits, host order */
enum nft_compare { NFT_EQUAL, NFT_UNEQUAL };
void nft_compare(struct nft *n, enum nft_compare how, uint32_t reg, const void *bytes, size_t len);
void nft_address_type(struct nft *n, uint32_t reg);                         /* of the destination: RTN_* */
void nft_lookup(struct nft *n, const char *set, uint32_t reg, uint32_t to); /* to 0: a set */
void nft_unless(struct nft *n, const char *set, uint32_t reg);              /* goes on where the set has not */
void nft_dnat(struct nft *n, int family, uint32_t address_reg, uint32_t port_reg);
void nft_masquerade(struct nft *n);
void nft_reject(struct nft *n);               /* administratively prohibited, said by ICMP */
void nft_reset(struct nft *n);                /* of TCP alone: as by a port where nobody listens */
void nft_verdict(struct nft *n, int verdict); /* NF_ACCEPT, NF_DROP, NFT_RETURN */
void nft_goto(struct nft *n, const char *chain);
void nft_jump(struct nft *n, const char *chain);
/* The packet is counted in the set's element of that key, which is made; without room it is not, and the rule ends. */
void nft_count(struct nft *n, const char *set, uint32_t reg);

/* Whether a set has an element; false too when there is no such set or table. family: of the table. */
fallible nft_has_in(int sock, uint8_t family, const char *table, const char *set, const void *key, size_t len,
                    bool *ret);
fallible nft_has(int sock, const char *table, const char *set, const void *key, size_t len, bool *ret); /* inet */
/* Each element of a set: key, end of an interval of several fields, data of a map. NOT_FOUND without the set. */
typedef err *nft_each_fn(void *ctx, const struct nft_element *e);
fallible nft_each(int sock, const char *table, const char *set, nft_each_fn *fn, void *ctx);
/* The same of those that a batch takes out: nft_bytes() of it. CORRUPT when they are none. */
fallible nft_each_stored(const void *bytes, size_t len, const char *set, nft_each_fn *fn, void *ctx);
/* Each base chain of any table in a hook, with its policy (NF_ACCEPT ...). */
typedef err *nft_chain_fn(void *ctx, int family, const char *table, const char *chain, uint32_t hook, uint32_t policy);
fallible nft_each_chain(int sock, nft_chain_fn *fn, void *ctx);

#endif
