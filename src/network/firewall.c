// SPDX-License-Identifier: GPL-2.0-or-later
#include "network/firewall.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <string.h>

#include "base/mem.h"
#include "network/firewall_parts.h"
#include "os/fault.h"
#include "os/fs.h"

enum { NOTE_MAX = 8 << 20 };

fallible firewall_has(int sock, const char *bridge, bool *ret)
{
    char name[IFNAME] = "";
    memcpy(name, bridge, strnlen(bridge, IFNAME - 1));
    return nft_has(sock, FIREWALL_TABLE, "bridges", name, sizeof name, ret);
}

void firewall_begin(struct nft *n)
{
    nft_begin(n, FIREWALL_TABLE, 0);
}

static void add_subnet(struct nft *n, enum nft_what what, const struct firewall_net *net, const struct prefix *p)
{
    bool v4 = p->ip.family == AF_INET;
    size_t len = ip_size(&p->ip);
    if (!ip_is_set(&p->ip))
        return;
    struct ip first = prefix_first(p), last = prefix_last(p), after = ip_add(last, 1);
    uint8_t begin[32], end[32];
    for (size_t i = 0; i < 2; i++) {
        memcpy(begin + i * len, first.bytes, len);
        memcpy(end + i * len, last.bytes, len);
    }
    nft_element(n, what, v4 ? "same4" : "same6", &(struct nft_element){ .key = begin, .end = end, .key_len = 2 * len });
    if ((v4 ? net->masquerade4 : net->masquerade6) && !net->internal)
        nft_interval(n, what, v4 ? "nets4" : "nets6", first.bytes, after.bytes, len);
}

static void add_resolver(struct nft *n, enum nft_what what, const struct ip *at)
{
    static const uint8_t protos[] = { IPPROTO_UDP, IPPROTO_TCP };
    const uint16_t port = htobe16(FIREWALL_NAMES_PORT);
    for (size_t i = 0; i < ARRAY_SIZE(protos) && ip_is_set(at); i++) {
        uint8_t key[24] = { 0 };
        size_t len = 0;
        add_field(key, &len, at->bytes, ip_size(at));
        add_field(key, &len, &protos[i], 1);
        add_field(key, &len, &port, sizeof port);
        nft_element(n, what, at->family == AF_INET ? "names4" : "names6",
                    &(struct nft_element){ .key = key, .key_len = len });
    }
}

void firewall_net(struct nft *n, enum nft_what what, const struct firewall_net *net)
{
    char pair[2 * IFNAME] = "";
    size_t len = strnlen(net->bridge, IFNAME - 1);
    memcpy(pair, net->bridge, len);
    memcpy(pair + IFNAME, net->bridge, len);
    const struct nft_element one = { .key = pair, .key_len = IFNAME }, two = { .key = pair, .key_len = 2 * IFNAME };
    nft_element(n, what, "bridges", &one);
    nft_element(n, what, "pairs", &two);
    if (net->isolated)
        nft_element(n, what, "isolated", &one);
    if (net->internal)
        nft_element(n, what, "internal", &one);
    if (net->guarded4)
        nft_element(n, what, "guarded4", &one);
    if (net->guarded6)
        nft_element(n, what, "guarded6", &one);
    if (net->routed4)
        nft_element(n, what, "routed4", &one);
    if (net->routed6)
        nft_element(n, what, "routed6", &one);
    for (size_t i = 0; net->trusted && i < net->trusted->n; i++) {
        char from[2 * IFNAME] = "";
        memcpy(from, net->trusted->items[i], strnlen(net->trusted->items[i], IFNAME - 1));
        memcpy(from + IFNAME, net->bridge, len);
        nft_element(n, what, "pairs", &(struct nft_element){ .key = from, .key_len = sizeof from });
    }
    if (net->policed)
        nft_element(n, what, "policed", &one);
    if (net->counted)
        nft_element(n, what, "counted", &one);
    add_subnet(n, what, net, &net->subnet4);
    add_subnet(n, what, net, &net->subnet6);
    add_resolver(n, what, &net->names4);
    add_resolver(n, what, &net->names6);
}

static bool add_entry(const struct firewall_port *port, const struct ip *to, struct firewall_entry *ret)
{
    const uint16_t host = htobe16(port->host), container = htobe16(port->container);
    bool v4 = to->family == AF_INET;
    struct firewall_entry e = { .map = v4 ? "ports4" : "ports6" };
    if (!ip_is_set(to) || (ip_is_set(&port->at) && port->at.family != to->family))
        return false;
    if (v4 ? port->open4 : port->open6) {
        e.map = firewall_open_sets[v4 ? 0 : 1];
        add_field(e.key, &e.key_len, to->bytes, ip_size(to));
        add_field(e.key, &e.key_len, &port->proto, sizeof port->proto);
        add_field(e.key, &e.key_len, &container, sizeof container);
        *ret = e;
        return true;
    }
    if (ip_is_set(&port->at)) {
        e.map = v4 ? "at4" : "at6";
        add_field(e.key, &e.key_len, port->at.bytes, ip_size(&port->at));
    }
    add_field(e.key, &e.key_len, &port->proto, sizeof port->proto);
    add_field(e.key, &e.key_len, &host, sizeof host);
    add_field(e.data, &e.data_len, to->bytes, ip_size(to));
    add_field(e.data, &e.data_len, &container, sizeof container);
    *ret = e;
    return true;
}

size_t firewall_port_entries(const struct firewall_port *port, struct firewall_entry ret[2])
{
    size_t n = 0;
    n += add_entry(port, &port->ip4, &ret[n]);
    n += add_entry(port, &port->ip6, &ret[n]);
    return n;
}

void firewall_put(struct nft *n, enum nft_what what, const struct firewall_entry *e)
{
    nft_element(
        n, what, e->map,
        &(struct nft_element){
            .key = e->key, .key_len = e->key_len, .data = e->data_len ? e->data : NULL, .data_len = e->data_len });
}

void firewall_port(struct nft *n, enum nft_what what, const struct firewall_port *port)
{
    struct firewall_entry entries[2];
    size_t count = firewall_port_entries(port, entries);
    for (size_t i = 0; i < count; i++)
        firewall_put(n, what, &entries[i]);
}

/* ---- the file that undoes ---------------------------------------------------------------------------------------- */

void firewall_put_part(struct nft *n, enum nft_what what, const struct firewall_part *part)
{
    for (size_t i = 0; i < part->reach_n; i++)
        firewall_reach(n, what, &part->reach[i]);
    for (size_t i = 0; i < part->ports_n; i++)
        firewall_port(n, what, &part->ports[i]);
    for (size_t i = 0; i < part->who_n; i++)
        firewall_who(n, what, &part->who[i]);
}

/* An address whose container was killed, and its monitor, may be there yet, as somebody else. */
static fallible replace_who(int sock, struct nft *n, const struct firewall_who *w)
{
    bool there;
    TRY(nft_has(sock, FIREWALL_TABLE, w->ip.family == AF_INET ? "who4" : "who6", w->ip.bytes, ip_size(&w->ip), &there));
    if (there)
        firewall_who(n, NFT_DELETE, w);
    return NULL;
}

static fallible add_part(int sock, const struct firewall_part *part, bool with_bridge)
{
    own(nft) struct nft n = { 0 };
    firewall_begin(&n);
    if (with_bridge)
        firewall_bridge(&n);
    for (size_t i = 0; i < part->who_n; i++)
        TRY(replace_who(sock, &n, &part->who[i]));
    firewall_put_part(&n, NFT_ADD, part);
    err *e = nft_commit(sock, &n);
    return part->reach_n ? firewall_bridge_why(e) : e;
}

/* Rules that are made anew take the old ones out, which the kernel makes us wait for; so those who are only kept to
 * their addresses have the table as it is, where there is one. */
static fallible add_elements(int sock, const struct firewall_part *part)
{
    bool limited = false;
    for (size_t i = 0; i < part->reach_n; i++) {
        const struct firewall_reach *r = &part->reach[i];
        limited |= !r->kept;
        if (!r->kept && !ip_is_set(&r->to) && ip_is_set(&r->from))
            TRY(firewall_forget_reach(sock, &r->from));
    }
    err *e = add_part(sock, part, limited);
    if (err_errno(e) != ENOENT || limited || !part->reach_n)
        return e;
    err_free(e);
    return add_part(sock, part, true);
}

/* What is stale is forgotten last, lest a packet makes it anew by the rules of before. */
static fallible add_instead(const struct firewall_part *part, const void *old, size_t old_len)
{
    own_fd int sock = -1;
    bool empty = !part->ports_n && !part->reach_n && !part->who_n;
    if (empty && !old_len)
        return NULL;
    TRY(nft_open(&sock));
    if (!empty)
        TRY(add_elements(sock, part));
    return firewall_forget_stale(sock, part, old, old_len);
}

fallible firewall_add_part(const struct firewall_part *part)
{
    return add_instead(part, NULL, 0);
}

fallible firewall_note(int dir_fd, const struct firewall_part *part)
{
    own(nft) struct nft nft = { 0 };
    size_t len = 0;
    const void *bytes = "";
    if (part->ports_n || part->reach_n || part->who_n) {
        firewall_begin(&nft);
        firewall_put_part(&nft, NFT_DELETE, part);
        bytes = nft_bytes(&nft, &len);
    }
    return fs_replace_at(dir_fd, FIREWALL_FILE, bytes, len, 0600, FS_SYNC_NONE);
}

/* The file of both, before either is touched. */
static fallible note_both(int dir_fd, const void *old, size_t old_len, const struct firewall_part *part)
{
    own(nft) struct nft both = { 0 };
    const void *bytes = "";
    size_t len = 0;
    firewall_begin(&both);
    TRY(nft_add_bytes(&both, old, old_len));
    firewall_put_part(&both, NFT_DELETE, part);
    if (!both.empty)
        bytes = nft_bytes(&both, &len);
    return fs_replace_at(dir_fd, FIREWALL_FILE, bytes, len, 0600, FS_SYNC_NONE);
}

fallible firewall_replace(int dir_fd, const struct firewall_part *part)
{
    own_mem char *old = NULL;
    size_t len = 0;
    own_fd int sock = -1;
    TRY(fs_read_at(dir_fd, FIREWALL_FILE, NOTE_MAX, &old, &len));
    TRY(note_both(dir_fd, old, len, part));
    fault_here(FAULT_CHANGE_NOTED);
    if (len) {
        TRY(nft_open(&sock));
        TRY_AS(nft_send(sock, old, len), "withdraw published ports");
    }
    fault_here(FAULT_CHANGE_OUT);
    TRY(add_instead(part, old, len));
    fault_here(FAULT_CHANGE_IN);
    return firewall_note(dir_fd, part);
}

fallible firewall_withdraw(int dir_fd, int *ret_sock)
{
    own_mem char *bytes = NULL;
    size_t len = 0;
    own_fd int sock = -1;
    if (ret_sock)
        *ret_sock = -1;
    err *e = fs_read_at(dir_fd, FIREWALL_FILE, NOTE_MAX, &bytes, &len);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    if (len) {
        TRY(nft_open(&sock));
        TRY_AS(nft_send(sock, bytes, len), "withdraw published ports");
        err_ignore(firewall_forget_stale(sock, NULL, bytes, len), "they go with their time");
    }
    fault_here(FAULT_WITHDRAWN);
    if (unlinkat(dir_fd, FIREWALL_FILE, 0) < 0 && errno != ENOENT)
        return err_sys(errno, "remove '%s'", FIREWALL_FILE);
    if (ret_sock)
        *ret_sock = take_fd(&sock);
    return NULL;
}

/* ---- others' tables -------------------------------------------------------------------------------------------- */

static err *look_for_drop(void *ctx, int family, const char *table, const char *chain, uint32_t hook, uint32_t policy)
{
    static const struct {
        int family;
        const char *word;
    } words[] = { { NFPROTO_INET, "inet" }, { NFPROTO_IPV4, "ip" }, { NFPROTO_IPV6, "ip6" } };
    struct str *out = ctx;
    if ((hook != NF_INET_FORWARD && hook != NF_INET_LOCAL_IN) || policy != NF_DROP)
        return NULL;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (words[i].family != family)
            continue;
        str_printf(out,
                   "%sthe chain '%s' of the firewall's table '%s %s' drops what it does not know, so it must accept ",
                   out->len ? "\n" : "", chain, words[i].word, table);
        if (hook == NF_INET_FORWARD)
            str_printf(out,
                       "what goes to and from husk's bridges: nft insert rule %s %s %s iifname BRIDGE accept, and the "
                       "same with oifname",
                       words[i].word, table, chain);
        else
            str_printf(out,
                       "what containers ask of names: nft insert rule %s %s %s iifname BRIDGE meta l4proto { tcp, udp "
                       "} th dport 53 accept",
                       words[i].word, table, chain);
    }
    return NULL;
}

fallible firewall_obstacles(int sock, struct str *ret)
{
    return nft_each_chain(sock, look_for_drop, ret);
}

/* ---- explained ------------------------------------------------------------------------------------------------- */

void firewall_explain_port(const struct firewall_port *port, FILE *out)
{
    static const char *const protos[] = { [IPPROTO_TCP] = "tcp", [IPPROTO_UDP] = "udp", [IPPROTO_SCTP] = "sctp" };
    struct firewall_entry entries[2];
    size_t n = firewall_port_entries(port, entries);
    char text[IP_TEXT];
    for (size_t i = 0; i < n; i++) {
        const struct ip *to = strchr(entries[i].map, '4') ? &port->ip4 : &port->ip6;
        if (!entries[i].data_len) {
            fprintf(out, "nft add element inet " FIREWALL_TABLE " %s '{ %s . %s . %u }'\n", entries[i].map,
                    ip_text(to, text), protos[port->proto], port->container);
            continue;
        }
        fprintf(out, "nft add element inet " FIREWALL_TABLE " %s '{ ", entries[i].map);
        if (ip_is_set(&port->at))
            fprintf(out, "%s . ", ip_text(&port->at, text));
        fprintf(out, "%s . %u : %s . %u }'\n", protos[port->proto], port->host, ip_text(to, text), port->container);
    }
}
