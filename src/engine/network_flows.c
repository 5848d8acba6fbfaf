// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/network_flows.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "engine/network_door.h"
#include "engine/network_lease.h"
#include "network/flows.h"
#include "os/fault.h"
#include "os/fs.h"

enum { FILE_MAX = 512 << 10, SHORT_ID_LEN = 12 };
#define FLOWS_OLDER FLOWS_FILE ".1"

/* ---- the switch -------------------------------------------------------------------------------------------------- */

struct switching {
    bool on;
    int64_t filtered; /* the bridge's switches as they are */
};

static err *set_switch(struct network_config *c, void *ctx)
{
    const struct switching *to = ctx;
    if (to->on && !network_is_filtered(c))
        c->bridge_filtered = to->filtered;
    c->flows = to->on;
    return NULL;
}

fallible network_flows_switch(struct engine *e, struct network *n, bool on)
{
    struct switching to = { .on = on };
    if (!str_eq(n->row.driver, "bridge"))
        return err_new(ERR_UNSUPPORTED,
                       "network '%s': what passes by %s passes no firewall of husk's, which counts: make a network of "
                       "the driver bridge",
                       n->row.name, n->row.driver);
    if (on)
        TRY(network_filter_begin(e, n, &to.filtered));
    TRY(network_change_row(e, n, set_switch, &to));
    fault_here(FAULT_FLOWS_ROW);
    return network_reload(e);
}

fallible network_flows_is_there(const struct network *n, int sock, bool *ret)
{
    bool counted;
    TRY(flows_is_counted(sock, n->config->link, &counted));
    *ret = counted == n->config->flows;
    return NULL;
}

/* ---- whose an address is ----------------------------------------------------------------------------------------- */

/* "ID NAME"; of a build's step, which is no container, the ID alone. */
static fallible card_of(struct engine *e, const char *container, char **ret)
{
    own(container) struct container *c = NULL;
    err *failed = container_find(e, container, &c);
    if (failed && !err_is(failed, ERR_NOT_FOUND))
        return failed;
    err_free(failed);
    *ret = c ? mem_printf("%.*s %s", SHORT_ID_LEN, container, c->row.name)
             : mem_printf("%.*s %.*s", SHORT_ID_LEN, container, SHORT_ID_LEN, container);
    return NULL;
}

static fallible name_addresses(struct engine *e, const struct db_endpoint *at, struct nft *batch)
{
    own_mem char *card = NULL;
    TRY(card_of(e, at->container, &card));
    if (ip_is_set(&at->ip4))
        flows_name(batch, NFT_ADD, &at->ip4, &at->ip4, card, 0);
    if (ip_is_set(&at->ip6))
        flows_name(batch, NFT_ADD, &at->ip6, &at->ip6, card, 0);
    return NULL;
}

static bool is_card_of(const char *card, const char *container)
{
    return card && strncmp(card, container, SHORT_ID_LEN) == 0;
}

fallible network_flows_put(struct engine *e, const struct network *n, int sock, int route, struct nft *batch)
{
    own(db_endpoints) struct db_endpoints l = { 0 };
    struct db *db;
    bool counted;
    TRY(flows_is_counted(sock, n->config->link, &counted));
    if (counted && !n->config->flows) {
        flows_count(batch, NFT_DELETE, n->config->link);
        if (!network_is_filtered(n->config))
            TRY(bridge_filter(route, n->config->link, n->config->bridge_filtered));
    }
    if (!n->config->flows)
        return NULL;
    TRY(bridge_filter(route, n->config->link, BRIDGE_FILTERED));
    flows_begin(batch);
    TRY(engine_db(e, &db));
    TRY(db_endpoint_list(db, NULL, n->row.id, &l));
    for (size_t i = 0; i < l.n; i++)
        if (network_is_connected(e, l.items[i].container)) {
            TRY(network_flows_meet(e, n, &l.items[i]));
            TRY(name_addresses(e, &l.items[i], batch));
        }
    return NULL;
}

fallible network_flows_sweep(const struct network_list *l, int sock)
{
    bool any = false;
    for (size_t i = 0; i < l->n; i++)
        any |= l->items[i]->config->flows;
    return any ? NULL : flows_end(sock);
}

/* ---- by names ---------------------------------------------------------------------------------------------------- */

struct directory {
    struct engine *engine;
    struct network_list networks;
    struct db_endpoints endpoints;
    struct flows_names called;
    const struct ip *moved; /* has another owner now than when it was counted; NULL: none has */
};

static void directory_clear(struct directory *d)
{
    network_list_clear(&d->networks);
    db_endpoints_clear(&d->endpoints);
    flows_names_clear(&d->called);
}
static inline void own_drop_directory(struct directory *d)
{
    directory_clear(d);
}

static fallible directory_read(struct engine *e, int sock, struct directory *ret)
{
    struct db *db;
    ret->engine = e;
    TRY(engine_db(e, &db));
    TRY(network_list(e, &ret->networks));
    TRY(db_endpoint_list(db, NULL, NULL, &ret->endpoints));
    return flows_names_read(sock, &ret->called);
}

static bool has_address(const struct network *n, const struct ip *ip)
{
    for (size_t i = 0; i < n->config->subnets_n; i++) {
        struct prefix p = { .len = -1 };
        err_ignore(prefix_parse(n->config->subnets[i].subnet, &p), "it was checked when it was made");
        if (p.len >= 0 && prefix_has(&p, ip))
            return true;
    }
    return false;
}

static bool is_host(const struct directory *d, const struct ip *ip)
{
    static const uint8_t loopback6[16] = { [15] = 1 };
    struct ip gateways[2];
    size_t n;
    if (ip->family == AF_INET ? ip->bytes[0] == 127 : memcmp(ip->bytes, loopback6, sizeof loopback6) == 0)
        return true;
    for (size_t i = 0; i < d->networks.n; i++) {
        err *e = network_gateways(d->networks.items[i], gateways, &n);
        for (size_t j = 0; !e && j < n; j++)
            if (ip_equal(&gateways[j], ip))
                return true;
        err_ignore(e, "it is a subnet without one");
    }
    return false;
}

/* Caller frees. */
static char *container_name(const struct directory *d, const char *id)
{
    struct db_container row;
    struct db *db;
    err *e = engine_db(d->engine, &db);
    if (!e)
        e = db_container_find(db, id, &row);
    char *name = NULL;
    if (!e) {
        name = mem_strdup(row.name);
        db_container_clear(&row);
    }
    err_ignore(e, "it is gone, and its name is what it was");
    return name;
}

/* "" when only the address is known. Caller frees. */
static char *name_of(const struct directory *d, const struct ip *ip, const struct ip *other)
{
    const char *card = flows_names_find(&d->called, ip, ip);
    if (card) {
        own_mem char *id = mem_strndup(card, SHORT_ID_LEN);
        char *now = container_name(d, id);
        return now ? now : mem_strdup(strlen(card) > SHORT_ID_LEN ? card + SHORT_ID_LEN + 1 : card);
    }
    for (size_t i = 0; i < d->endpoints.n && !(d->moved && ip_equal(d->moved, ip)); i++) {
        const struct db_endpoint *at = &d->endpoints.items[i];
        char *name = ip_equal(&at->ip4, ip) || ip_equal(&at->ip6, ip) ? container_name(d, at->container) : NULL;
        if (name)
            return name;
    }
    if (is_host(d, ip))
        return mem_strdup("host");
    const char *called = flows_names_find(&d->called, other, ip);
    return mem_strdup(called ? called : "");
}

static const char *protocol_text(uint8_t proto, char buf[8])
{
    if (proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP)
        return proto_word(proto);
    if (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6)
        return "icmp";
    (void)snprintf(buf, 8, "%u", proto);
    return buf;
}

static int64_t now_ns(void)
{
    struct timespec t = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static json_t *row_of(const struct directory *d, const struct network *n, const struct flow *f)
{
    char from[IP_TEXT], to[IP_TEXT], proto[8];
    own_mem char *from_name = name_of(d, &f->from, &f->to), *to_name = name_of(d, &f->to, &f->from);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I}", "Network", n->row.name,
                     "From", from_name, "FromIP", ip_text(&f->from, from), "To", to_name, "ToIP", ip_text(&f->to, to),
                     "Protocol", protocol_text(f->proto, proto), "Port", f->port, "PacketsSent", (json_int_t)f->packets,
                     "BytesSent", (json_int_t)f->bytes, "PacketsBack", (json_int_t)f->answer_packets, "BytesBack",
                     (json_int_t)f->answer_bytes, "Refused", (json_int_t)f->refused, "LastNs",
                     (json_int_t)(now_ns() - (int64_t)f->age_ms * 1000000));
}

/* Which of our networks a flow is on; NULL: none, another store's. */
static const struct network *network_of(const struct directory *d, const struct flow *f)
{
    for (size_t side = 0; side < 2; side++)
        for (size_t i = 0; i < d->networks.n; i++)
            if (has_address(d->networks.items[i], side ? &f->to : &f->from))
                return d->networks.items[i];
    return NULL;
}

/* ---- what earlier owners of addresses did ------------------------------------------------------------------------ */

static fallible open_run(const struct engine *e, int *ret)
{
    *ret = open(e->run, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return *ret < 0 ? err_sys(errno, "open '%s'", e->run) : NULL;
}

static fallible append(const struct engine *e, const struct str *lines)
{
    own_fd int run = -1, lock = -1;
    struct stat st;
    if (!lines->len)
        return NULL;
    TRY(open_run(e, &run));
    TRY(fs_lock_at(run, FLOWS_FILE ".lock", FS_LOCK_EXCLUSIVE, &lock));
    if (fstatat(run, FLOWS_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > FILE_MAX / 2)
        (void)renameat(run, FLOWS_FILE, run, FLOWS_OLDER);
    own_fd int fd = openat(run, FLOWS_FILE, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(errno, "open '%s/%s'", e->run, FLOWS_FILE);
    return fs_write_fd(fd, lines->text, lines->len, FLOWS_FILE);
}

/* Objects of one file, each with the network's ID beside it; a line that was cut by a kill is skipped. */
static fallible read_file(int run, const char *name, json_t *rows)
{
    own_mem char *text = NULL;
    own_strv struct strv lines = { 0 };
    size_t len = 0;
    err *e = fs_read_at(run, name, 2 * FILE_MAX, &text, &len);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    strv_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.n; i++) {
        json_t *o = json_loads(lines.items[i], 0, NULL);
        if (json_is_object(o))
            (void)json_array_append(rows, o);
        json_decref(o);
    }
    return NULL;
}

static fallible read_history(const struct engine *e, json_t *rows)
{
    own_fd int run = -1;
    err *failed = open_run(e, &run);
    if (err_errno(failed) == ENOENT) {
        err_free(failed);
        return NULL;
    }
    TRY(failed);
    TRY(read_file(run, FLOWS_OLDER, rows));
    return read_file(run, FLOWS_FILE, rows);
}

static fallible forget_history(const struct engine *e, const char *network)
{
    own_fd int run = -1, lock = -1;
    own_json json_t *rows = json_array();
    own_str struct str kept = { 0 };
    size_t i;
    json_t *o;
    TRY(read_history(e, rows));
    if (!json_array_size(rows))
        return NULL;
    TRY(open_run(e, &run));
    TRY(fs_lock_at(run, FLOWS_FILE ".lock", FS_LOCK_EXCLUSIVE, &lock));
    (void)json_array_clear(rows);
    TRY(read_history(e, rows));
    json_array_foreach (rows, i, o) {
        own_mem char *line = json_text(o, BIND_COMPACT);
        const char *of = json_string_value(json_object_get(o, "NetworkID"));
        if (!str_eq(of, network))
            str_printf(&kept, "%s\n", line);
    }
    (void)unlinkat(run, FLOWS_OLDER, 0);
    return fs_replace_at(run, FLOWS_FILE, kept.len ? kept.text : "", kept.len, 0600, FS_SYNC_NONE);
}

/* ---- addresses change hands -------------------------------------------------------------------------------------- */

typedef bool flow_is(const void *ctx, const struct flow *f);

static bool is_about_address(const void *ctx, const struct flow *f)
{
    return ip_equal(&f->from, ctx) || ip_equal(&f->to, ctx);
}

static bool is_about_network(const void *ctx, const struct flow *f)
{
    return has_address(ctx, &f->from) || has_address(ctx, &f->to);
}

/* Out of the kernel. lines: what they were, under their names; NULL: nobody wants to know. */
static fallible take_out(const struct directory *d, int sock, flow_is *is, const void *ctx, struct str *lines)
{
    own(flows) struct flows all = { 0 };
    own(nft) struct nft batch = { 0 };
    size_t len;
    TRY(flows_read(sock, &all));
    firewall_begin(&batch);
    for (size_t i = 0; i < all.n; i++) {
        if (!is(ctx, &all.items[i]))
            continue;
        flows_forget(&batch, &all.items[i]);
        const struct network *n = lines ? network_of(d, &all.items[i]) : NULL;
        own_json json_t *row = n ? row_of(d, n, &all.items[i]) : NULL;
        if (row) {
            (void)json_object_set_new(row, "NetworkID", json_string(n->row.id));
            own_mem char *line = json_text(row, BIND_COMPACT);
            str_printf(lines, "%s\n", line);
        }
    }
    if (batch.empty)
        return NULL;
    void *bytes = (void *)(uintptr_t)nft_bytes(&batch, &len);
    return nft_send(sock, bytes, len);
}

static fallible change_hands(struct directory *d, int sock, const struct ip *ip)
{
    own_str struct str lines = { 0 };
    d->moved = ip;
    TRY(take_out(d, sock, is_about_address, ip, &lines));
    fault_here(FAULT_FLOWS_FORGOTTEN);
    return append(d->engine, &lines);
}

fallible network_flows_meet(struct engine *e, const struct network *n, const struct db_endpoint *at)
{
    own(directory) struct directory d = { 0 };
    own(nft) struct nft out = { 0 }, in = { 0 };
    const struct ip *const ips[] = { &at->ip4, &at->ip6 };
    own_fd int sock = -1;
    own_mem char *card = NULL;
    bool all = true;
    size_t len;
    if (!n->config->flows)
        return NULL;
    TRY(nft_open(&sock));
    TRY(directory_read(e, sock, &d));
    TRY(card_of(e, at->container, &card));
    firewall_begin(&out);
    firewall_begin(&in);
    for (size_t i = 0; i < ARRAY_SIZE(ips); i++) {
        const char *before = ip_is_set(ips[i]) ? flows_names_find(&d.called, ips[i], ips[i]) : card;
        if (is_card_of(before, at->container))
            continue;
        all = false;
        TRY(change_hands(&d, sock, ips[i]));
        if (before)
            flows_name(&out, NFT_DELETE, ips[i], ips[i], NULL, 0);
        flows_name(&in, NFT_ADD, ips[i], ips[i], card, 0);
    }
    if (all)
        return NULL;
    if (!out.empty) {
        void *bytes = (void *)(uintptr_t)nft_bytes(&out, &len);
        TRY(nft_send(sock, bytes, len));
    }
    err *failed = nft_commit(sock, &in);
    if (err_errno(failed) != ENOENT) /* no table yet: it is made with them */
        return failed;
    err_free(failed);
    return NULL;
}

fallible network_flows_reset(struct engine *e, const struct network *n)
{
    own(flows_names) struct flows_names called = { 0 };
    own(nft) struct nft batch = { 0 };
    own_fd int sock = -1;
    size_t len;
    TRY(forget_history(e, n->row.id));
    err *failed = network_door(e, NETWORK_DOOR_FIND);
    if (err_is(failed, ERR_NOT_FOUND)) { /* no networks of the user's: nothing was counted */
        err_free(failed);
        return NULL;
    }
    TRY(failed);
    TRY(nft_open(&sock));
    TRY(take_out(NULL, sock, is_about_network, n, NULL));
    TRY(flows_names_read(sock, &called));
    firewall_begin(&batch);
    for (size_t i = 0; i < called.n; i++)
        if (has_address(n, &called.items[i].from) && !ip_equal(&called.items[i].from, &called.items[i].to))
            flows_name(&batch, NFT_DELETE, &called.items[i].from, &called.items[i].to, NULL, 0);
    if (batch.empty)
        return NULL;
    void *bytes = (void *)(uintptr_t)nft_bytes(&batch, &len);
    return nft_send(sock, bytes, len);
}

/* ---- shown ------------------------------------------------------------------------------------------------------- */

static bool is_wanted(const struct strv *only, const char *network)
{
    return !only->n || strv_has(only, network);
}

static const struct network *by_id(const struct network_list *l, const char *id)
{
    for (size_t i = 0; i < l->n; i++)
        if (str_eq(l->items[i]->row.id, id))
            return l->items[i];
    return NULL;
}

static fallible add_history(const struct directory *d, const struct strv *only, json_t *rows)
{
    own_json json_t *all = json_array();
    size_t i;
    json_t *o;
    TRY(read_history(d->engine, all));
    json_array_foreach (all, i, o) {
        const char *id = json_string_value(json_object_get(o, "NetworkID"));
        const struct network *n = id ? by_id(&d->networks, id) : NULL;
        if (!n || !is_wanted(only, id))
            continue;
        (void)json_object_del(o, "NetworkID");
        (void)json_object_set_new(o, "Network", json_string(n->row.name));
        (void)json_array_append(rows, o);
    }
    return NULL;
}

fallible network_flows(struct engine *e, const struct strv *only, json_t **ret, bool *ret_full)
{
    own(directory) struct directory d = { 0 };
    own(flows) struct flows live = { 0 };
    own_json json_t *rows = json_array();
    own_fd int sock = -1;
    *ret_full = false;
    err *failed = network_door(e, NETWORK_DOOR_FIND);
    if (err_is(failed, ERR_NOT_FOUND)) {
        err_free(failed);
        *ret = take(rows);
        return NULL;
    }
    TRY(failed);
    TRY(nft_open(&sock));
    TRY(directory_read(e, sock, &d));
    TRY(add_history(&d, only, rows));
    TRY(flows_read(sock, &live));
    *ret_full = live.full;
    for (size_t i = 0; i < live.n; i++) {
        const struct network *n = network_of(&d, &live.items[i]);
        if (n && is_wanted(only, n->row.id))
            (void)json_array_append_new(rows, row_of(&d, n, &live.items[i]));
    }
    *ret = take(rows);
    return NULL;
}
