// SPDX-License-Identifier: GPL-2.0-or-later
/* --userns, --uidmap, --gidmap, --subuidname, --subgidname: how the ids of a container are the host's. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/options_parts.h"
#include "engine/userns.h"
#include "os/ids.h"

fallible userns_map_read(const struct strv *texts, struct id_map *ret)
{
    for (size_t i = 0; i < texts->n; i++) {
        unsigned inside, outside, count;
        if (sscanf(texts->items[i], "%u:%u:%u", &inside, &outside, &count) != 3)
            return err_new(ERR_CORRUPT, "'%s' is no id map", texts->items[i]);
        id_map_add(ret, inside, outside, count);
    }
    return NULL;
}

static void map_write(const struct id_map *map, struct strv *ret)
{
    for (size_t i = 0; i < map->n; i++)
        strv_add_printf(ret, "%u:%u:%u", map->ranges[i].inside, map->ranges[i].outside, map->ranges[i].count);
}

/* The part of a map at [inside, inside+count) is taken out: what is put there comes instead. */
static void cut(struct id_map *map, uint32_t inside, uint32_t count)
{
    struct id_map out = { 0 };
    uint64_t end = (uint64_t)inside + count;
    for (size_t i = 0; i < map->n; i++) {
        const struct id_range *r = &map->ranges[i];
        uint64_t r_end = (uint64_t)r->inside + r->count;
        if (r_end <= inside || r->inside >= end) {
            id_map_add(&out, r->inside, r->outside, r->count);
            continue;
        }
        if (r->inside < inside)
            id_map_add(&out, r->inside, r->outside, inside - r->inside);
        if (r_end > end)
            id_map_add(&out, (uint32_t)end, r->outside + (uint32_t)(end - r->inside), (uint32_t)(r_end - end));
    }
    id_map_free(map);
    *map = out;
}

/* The kernel wants that no id outside is in two ranges. */
static fallible check(const struct id_map *map, const char *option)
{
    for (size_t i = 0; i < map->n; i++)
        for (size_t k = i + 1; k < map->n; k++) {
            const struct id_range *a = &map->ranges[i], *b = &map->ranges[k];
            bool in = a->inside < (uint64_t)b->inside + b->count && b->inside < (uint64_t)a->inside + a->count;
            bool out = a->outside < (uint64_t)b->outside + b->count && b->outside < (uint64_t)a->outside + a->count;
            if (in || out)
                return err_new(ERR_INVALID, "%s: %u:%u:%u and %u:%u:%u overlap", option, a->inside, a->outside,
                               a->count, b->inside, b->outside, b->count);
        }
    if (map->n > 340)
        return err_new(ERR_INVALID, "%s: %zu ranges: the kernel takes 340", option, map->n);
    return NULL;
}

/* What an ordinary user has: the caller as 0, then the subordinate ids. Root has the host's. */
struct base {
    struct id_map uids, gids;
};

/* FROM of podman's grammar: "@N" is the host's N, else N of what the caller has. Ranges that it is in pieces of. */
static fallible add_range(const struct id_map *base, uint32_t inside, const char *from, uint32_t count,
                          struct id_map *to)
{
    uint64_t n = 0;
    bool host = from[0] == '@' || !base->n;
    TRY(parse_u64(from + (from[0] == '@'), UINT32_MAX - 1, &n));
    if (host) {
        id_map_add(to, inside, (uint32_t)n, count);
        return NULL;
    }
    while (count) {
        uint32_t outside = 0, run = 0;
        for (size_t i = 0; i < base->n && !run; i++)
            if (n >= base->ranges[i].inside && n - base->ranges[i].inside < base->ranges[i].count) {
                uint32_t skip = (uint32_t)n - base->ranges[i].inside;
                outside = base->ranges[i].outside + skip;
                run = base->ranges[i].count - skip;
            }
        if (!run)
            return err_new(ERR_INVALID, "id %llu is none of those that /etc/subuid and /etc/subgid give you",
                           (unsigned long long)n);
        run = run < count ? run : count;
        id_map_add(to, inside, outside, run);
        inside += run;
        n += run;
        count -= run;
    }
    return NULL;
}

/* "[+][u][g]INSIDE:FROM[:COUNT]" */
static fallible add_text(const char *text, const struct base *base, bool for_gids, struct id_map *uids,
                         struct id_map *gids)
{
    own_strv struct strv parts = { 0 };
    uint64_t inside = 0, count = 1;
    const char *p = text + strspn(text, "+ug");
    bool extend = memchr(text, '+', (size_t)(p - text)) != NULL;
    bool only_u = memchr(text, 'u', (size_t)(p - text)) != NULL, only_g = memchr(text, 'g', (size_t)(p - text)) != NULL;
    strv_split(&parts, p, ':');
    if (parts.n < 2 || parts.n > 3)
        return err_new(ERR_INVALID, "'%s': it is [+][u][g]INSIDE:FROM[:COUNT]", text);
    TRY_AS(parse_u64(parts.items[0], UINT32_MAX - 1, &inside), "'%s'", text);
    if (parts.n == 3)
        TRY_AS(parse_u64(parts.items[2], UINT32_MAX - inside, &count), "'%s'", text);
    if (!count)
        return err_new(ERR_INVALID, "'%s': a range of no ids", text);
    bool to_uids = only_u || (!only_g && !for_gids), to_gids = only_g || (!only_u && for_gids);
    struct {
        bool wanted;
        const struct id_map *base;
        struct id_map *to;
    } sides[] = { { to_uids, &base->uids, uids }, { to_gids, &base->gids, gids } };
    for (size_t i = 0; i < ARRAY_SIZE(sides); i++) {
        if (!sides[i].wanted)
            continue;
        if (extend && !sides[i].to->n)
            for (size_t k = 0; k < sides[i].base->n; k++)
                id_map_add(sides[i].to, sides[i].base->ranges[k].inside, sides[i].base->ranges[k].outside,
                           sides[i].base->ranges[k].count);
        if (extend)
            cut(sides[i].to, (uint32_t)inside, (uint32_t)count);
        TRY_AS(add_range(sides[i].base, (uint32_t)inside, parts.items[1], (uint32_t)count, sides[i].to), "'%s'", text);
    }
    return NULL;
}

static fallible subordinate(const char *file, const char *option, const char *name, struct id_map *to)
{
    own(id_map) struct id_map rows = { 0 };
    uint32_t inside = 0;
    TRY(ids_subordinate(file, name, UINT32_MAX, &rows));
    if (!rows.n)
        return err_new(ERR_NOT_FOUND, "%s: '%s' has no line in %s", option, name, file);
    for (size_t i = 0; i < rows.n; i++) {
        id_map_add(to, inside, rows.ranges[i].outside, rows.ranges[i].count);
        inside += rows.ranges[i].count;
    }
    return NULL;
}

static fallible read_maps(const struct create_options *o, const struct base *base, struct id_map *uids,
                          struct id_map *gids)
{
    for (size_t i = 0; i < o->uidmap.n; i++)
        TRY_AS(add_text(o->uidmap.items[i], base, false, uids, gids), "--uidmap");
    for (size_t i = 0; i < o->gidmap.n; i++)
        TRY_AS(add_text(o->gidmap.items[i], base, true, uids, gids), "--gidmap");
    if (o->subuidname)
        TRY(subordinate("/etc/subuid", "--subuidname", o->subuidname, uids));
    if (o->subgidname || o->subuidname)
        TRY(subordinate("/etc/subgid", "--subgidname", o->subgidname ? o->subgidname : o->subuidname, gids));
    return NULL;
}

/* One side was asked alone: the other is alike, as far as it is the caller's. */
static fallible complete(const struct create_options *o, const struct base *base, struct id_map *uids,
                         struct id_map *gids)
{
    own(id_map) struct id_map other = { 0 };
    for (size_t i = 0; !gids->n && i < o->uidmap.n; i++)
        TRY_AS(add_text(o->uidmap.items[i] + strspn(o->uidmap.items[i], "ug"), base, true, &other, gids), "--uidmap");
    for (size_t i = 0; !uids->n && i < o->gidmap.n; i++)
        TRY_AS(add_text(o->gidmap.items[i] + strspn(o->gidmap.items[i], "ug"), base, false, uids, &other), "--gidmap");
    return NULL;
}

/* The caller's own id is `id` inside; those below and above are the subordinate ones. */
static void keep(const struct id_map *base, uint32_t id, struct id_map *to)
{
    uint32_t inside = 0;
    for (size_t i = 0; i < base->n; i++) {
        const struct id_range *r = &base->ranges[i];
        if (r->inside == 0) /* the caller */
            continue;
        uint32_t below = inside < id ? id - inside : 0;
        below = below < r->count ? below : r->count;
        if (below)
            id_map_add(to, inside, r->outside, below);
        if (r->count > below) {
            uint32_t at = inside + below;
            id_map_add(to, at >= id ? at + 1 : at, r->outside + below, r->count - below);
        }
        inside += r->count;
    }
    id_map_add(to, id, base->n ? base->ranges[0].outside : id, 1);
}

static fallible keep_id(const char *words, const struct base *base, struct container_config *c, struct id_map *uids,
                        struct id_map *gids)
{
    own_strv struct strv list = { 0 };
    uint64_t uid = geteuid(), gid = getegid();
    strv_split(&list, words, ',');
    for (size_t i = 0; i < list.n; i++) {
        if (str_starts(list.items[i], "uid="))
            TRY_AS(parse_u64(list.items[i] + 4, UINT32_MAX - 2, &uid), "--userns keep-id");
        else if (str_starts(list.items[i], "gid="))
            TRY_AS(parse_u64(list.items[i] + 4, UINT32_MAX - 2, &gid), "--userns keep-id");
        else
            return err_new(ERR_INVALID, "--userns keep-id: '%s' is not one of uid=, gid=", list.items[i]);
    }
    if (base->uids.n < 2 || base->gids.n < 2)
        return err_new(ERR_UNSUPPORTED, "--userns keep-id: your subordinate ids make the container's root, and "
                                        "/etc/subuid or /etc/subgid has none for you: as root run 'usermod "
                                        "--add-subuids 100000-165535 --add-subgids 100000-165535 NAME'");
    keep(&base->uids, (uint32_t)uid, uids);
    keep(&base->gids, (uint32_t)gid, gids);
    if (!c->user)
        c->user = mem_printf("%u:%u", (unsigned)uid, (unsigned)gid);
    return NULL;
}

static fallible automatic(const char *words, struct container_config *c)
{
    own_strv struct strv list = { 0 };
    strv_split(&list, words, ',');
    for (size_t i = 0; i < list.n; i++) {
        if (!str_starts(list.items[i], "size="))
            return err_new(ERR_INVALID, "--userns auto: '%s' is not size=N: other ranges are --uidmap's and --gidmap's",
                           list.items[i]);
        TRY_AS(parse_i64(list.items[i] + 5, 1, UINT32_MAX - 1, &c->userns_size), "--userns auto: size");
    }
    return NULL;
}

static fallible mode(const char *wish, const struct base *base, struct container_config *c, struct id_map *uids,
                     struct id_map *gids)
{
    bool rootless = engine_is_rootless();
    if (str_eq(wish, "default") || str_eq(wish, "private") || str_eq(wish, "host"))
        return NULL;
    if (str_eq(wish, "auto") || str_starts(wish, "auto:")) {
        TRY(automatic(wish + (wish[4] ? 5 : 4), c));
        free(c->userns);
        c->userns = mem_strdup("auto");
        return NULL;
    }
    if (str_eq(wish, "keep-id") || str_starts(wish, "keep-id:")) {
        if (!rootless)
            return err_new(ERR_INVALID, "--userns keep-id: it is for ordinary users: root's ids are the host's anyway, "
                                        "and --uidmap says others");
        return keep_id(wish + (wish[7] ? 8 : 7), base, c, uids, gids);
    }
    if (str_starts(wish, "container:") && wish[10])
        return NULL;
    if (str_eq(wish, "nomap"))
        return err_new(ERR_UNSUPPORTED, "--userns nomap: %s",
                       rootless ? "the store's files are yours, and the kernel lets only root show them as another's: "
                                  "say keep-id"
                                : "it is for ordinary users: --userns auto has none of the host's ids");
    if (str_starts(wish, "ns:"))
        return err_new(ERR_UNSUPPORTED, "--userns ns: whose map a foreign namespace has is not known when layers are "
                                        "mounted: --userns container:NAME, or --uidmap with that map");
    return err_new(ERR_INVALID, "--userns: '%s' is not one of host, auto, keep-id, private, container:NAME", wish);
}

static fallible first_of(const struct id_map *map, const char *option, int64_t *ret)
{
    uint32_t outside;
    if (!id_map_outside(map, 0, &outside))
        return err_new(ERR_INVALID, "%s: the container's 0 is not mapped, and what it is made of belongs to that",
                       option);
    *ret = outside;
    return NULL;
}

static fallible merge(const struct create_options *o, struct base *base, struct container_config *c)
{
    own(id_map) struct id_map uids = { 0 }, gids = { 0 };
    bool maps = o->uidmap.n || o->gidmap.n || o->subuidname || o->subgidname;
    const char *wish = o->userns && *o->userns ? o->userns : maps ? "private" : "default";
    if (maps && !str_eq(wish, "private") && !str_eq(wish, "default"))
        return err_new(ERR_INVALID, "--userns %s and --uidmap, --gidmap, --subuidname exclude each other", wish);
    if ((o->subuidname || o->subgidname) && engine_is_rootless())
        return err_new(ERR_DENIED, "--subuidname: an ordinary user has his own subordinate ids alone");
    c->userns = mem_strdup(wish);
    TRY(mode(wish, base, c, &uids, &gids));
    TRY(read_maps(o, base, &uids, &gids));
    TRY(complete(o, base, &uids, &gids));
    if (!uids.n && !gids.n)
        return NULL;
    TRY(check(&uids, "--uidmap"));
    TRY(check(&gids, "--gidmap"));
    if (!engine_is_rootless()) {
        TRY(first_of(&uids, "--uidmap", &c->userns_first));
        TRY(first_of(&gids, "--gidmap", &c->userns_first_gid));
        if (!c->userns_first)
            return err_new(ERR_INVALID, "--uidmap: the container's 0 would be the host's root: leave the map out, or "
                                        "begin it elsewhere");
    }
    map_write(&uids, &c->uid_map);
    map_write(&gids, &c->gid_map);
    return NULL;
}

fallible options_merge_userns(const struct create_options *o, struct container_config *c)
{
    struct base base = { 0 };
    own_mem char *note = NULL;
    bool wanted = o->uidmap.n || o->gidmap.n || (o->userns && str_starts(o->userns, "keep-id"));
    err *e = wanted && engine_is_rootless() ? ids_rootless_maps(&base.uids, &base.gids, &note) : NULL;
    if (!e)
        e = merge(o, &base, c);
    id_map_free(&base.uids);
    id_map_free(&base.gids);
    return e;
}
