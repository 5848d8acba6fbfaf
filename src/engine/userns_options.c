// SPDX-License-Identifier: GPL-2.0-or-later
/* --userns, --uidmap, --gidmap, --subuidname, --subgidname: how the ids of a container are the host's. */
#include <string.h>
#include <unistd.h>

#include "engine/options_parts.h"
#include "engine/userns.h"
#include "os/ids.h"

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
    if (host && n + count > UINT32_MAX)
        return err_new(ERR_INVALID, "%s and %u from there on: the last id of the host is %u", from, count,
                       UINT32_MAX - 1);
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
        own(id_map) struct id_map added = { 0 };
        TRY_AS(add_range(sides[i].base, (uint32_t)inside, parts.items[1], (uint32_t)count, &added), "'%s'", text);
        if (extend)
            userns_map_cut(sides[i].to, (uint32_t)inside, (uint32_t)count);
        for (size_t k = 0; k < added.n; k++) {
            const struct id_range *r = &added.ranges[k];
            if (extend)
                userns_map_cut_outside(sides[i].to, r->outside, r->count);
            id_map_add(sides[i].to, r->inside, r->outside, r->count);
        }
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

/* What was said is of one side alone ("g5:9:1"): the other is what the caller has. */
static void as_base(const struct id_map *base, struct id_map *to)
{
    if (to->n)
        return;
    for (size_t i = 0; i < base->n; i++)
        id_map_add(to, base->ranges[i].inside, base->ranges[i].outside, base->ranges[i].count);
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

static fallible need_subordinate(const char *word, const struct base *base)
{
    if (base->uids.n >= 2 && base->gids.n >= 2)
        return NULL;
    return err_new(ERR_UNSUPPORTED,
                   "--userns %s: your subordinate ids make the container's root, and /etc/subuid or /etc/subgid has "
                   "none for you: as root run 'usermod --add-subuids 100000-165535 --add-subgids 100000-165535 NAME'",
                   word);
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
    TRY(need_subordinate("keep-id", base));
    userns_map_keep(&base->uids, (uint32_t)uid, uids);
    userns_map_keep(&base->gids, (uint32_t)gid, gids);
    if (!c->user)
        c->user = mem_printf("%u:%u", (unsigned)uid, (unsigned)gid);
    return NULL;
}

/* "INSIDE:FROM:COUNT" */
static fallible forced(const char *option, const char *text, const struct id_map *base, struct id_map *to)
{
    own_strv struct strv parts = { 0 };
    uint64_t inside = 0, count = 0;
    strv_split(&parts, text, ':');
    if (parts.n != 3)
        return err_new(ERR_INVALID, "--userns auto: %s=%s: it is INSIDE:OUTSIDE:COUNT", option, text);
    TRY_AS(parse_u64(parts.items[0], UINT32_MAX - 1, &inside), "--userns auto: %s", option);
    TRY_AS(parse_u64(parts.items[2], UINT32_MAX - inside, &count), "--userns auto: %s", option);
    if (!count)
        return err_new(ERR_INVALID, "--userns auto: %s=%s: a range of no ids", option, text);
    return err_wrap(add_range(base, (uint32_t)inside, parts.items[1], (uint32_t)count, to), "--userns auto: %s",
                    option);
}

static fallible automatic(const char *words, const struct base *base, struct container_config *c, struct id_map *uids,
                          struct id_map *gids)
{
    own_strv struct strv list = { 0 };
    strv_split(&list, words, ',');
    for (size_t i = 0; i < list.n; i++) {
        const char *word = list.items[i];
        if (str_starts(word, "size="))
            TRY_AS(parse_i64(word + 5, 1, UINT32_MAX - 1, &c->userns_size), "--userns auto: size");
        else if (str_starts(word, "uidmapping="))
            TRY(forced("uidmapping", word + 11, &base->uids, uids));
        else if (str_starts(word, "gidmapping="))
            TRY(forced("gidmapping", word + 11, &base->gids, gids));
        else
            return err_new(ERR_INVALID, "--userns auto: '%s' is not one of size=, uidmapping=, gidmapping=", word);
    }
    return NULL;
}

static fallible no_map(const struct base *base, struct id_map *uids, struct id_map *gids)
{
    const struct id_map *from[] = { &base->uids, &base->gids };
    struct id_map *to[] = { uids, gids };
    if (!engine_is_rootless())
        return err_new(ERR_UNSUPPORTED, "--userns nomap: it is for ordinary users: --userns auto has none of the "
                                        "host's ids");
    TRY(need_subordinate("nomap", base));
    for (size_t k = 0; k < ARRAY_SIZE(from); k++)
        for (size_t i = 0; i < from[k]->n; i++)
            if (from[k]->ranges[i].inside) /* 0 is the caller */
                id_map_add(to[k], from[k]->ranges[i].inside - 1, from[k]->ranges[i].outside, from[k]->ranges[i].count);
    return NULL;
}

/* A namespace that somebody made. An ordinary user's store is shown in it as it is, so it must have his default map. */
static fallible foreign(const char *path, const struct base *base, struct id_map *uids, struct id_map *gids)
{
    own(id_map) struct id_map u = { 0 }, g = { 0 };
    TRY_AS(userns_maps_at(path, &u, &g), "--userns ns:%s", path);
    if (!engine_is_rootless()) {
        for (size_t i = 0; i < u.n; i++)
            id_map_add(uids, u.ranges[i].inside, u.ranges[i].outside, u.ranges[i].count);
        for (size_t i = 0; i < g.n; i++)
            id_map_add(gids, g.ranges[i].inside, g.ranges[i].outside, g.ranges[i].count);
        return NULL;
    }
    const struct id_map *theirs[] = { &u, &g }, *own[] = { &base->uids, &base->gids };
    for (size_t k = 0; k < ARRAY_SIZE(theirs); k++)
        for (size_t i = 0; i < theirs[k]->n; i++) {
            const struct id_range *r = &theirs[k]->ranges[i];
            uint32_t first = 0, last = 0;
            if (!id_map_outside(own[k], r->inside, &first) || first != r->outside ||
                !id_map_outside(own[k], r->inside + r->count - 1, &last) || last != r->outside + r->count - 1)
                return err_new(ERR_UNSUPPORTED,
                               "--userns ns:%s: its map would show the files of your store as another's: make it with "
                               "'unshare --map-root-user --map-auto', or say keep-id, auto or nomap",
                               path);
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
        TRY(automatic(wish + (wish[4] ? 5 : 4), base, c, uids, gids));
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
        return no_map(base, uids, gids);
    if (str_starts(wish, "ns:") && wish[3])
        return foreign(wish + 3, base, uids, gids);
    return err_new(ERR_INVALID,
                   "--userns: '%s' is not one of host, auto, keep-id, nomap, private, container:NAME, ns:PATH", wish);
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
    if (!str_eq(c->userns, "auto")) {
        as_base(&base->uids, &uids);
        as_base(&base->gids, &gids);
    }
    if (str_eq(c->userns, "auto")) { /* the rest is leased: userns_allocate() */
        userns_map_write(&uids, &c->uid_map);
        userns_map_write(&gids, &c->gid_map);
        return NULL;
    }
    TRY(userns_map_check(&uids, "--uidmap"));
    TRY(userns_map_check(&gids, "--gidmap"));
    if (!engine_is_rootless()) {
        TRY(first_of(&uids, "--uidmap", &c->userns_first));
        TRY(first_of(&gids, "--gidmap", &c->userns_first_gid));
        if (!c->userns_first)
            return err_new(ERR_INVALID, "--uidmap: the container's 0 would be the host's root: leave the map out, or "
                                        "begin it elsewhere");
    }
    userns_map_write(&uids, &c->uid_map);
    userns_map_write(&gids, &c->gid_map);
    return NULL;
}

fallible options_merge_userns(const struct create_options *o, struct container_config *c)
{
    struct base base = { 0 };
    own_mem char *note = NULL;
    static const char *const counted[] = { "keep-id", "auto:", "nomap", "ns:" };
    bool wanted = o->uidmap.n || o->gidmap.n;
    for (size_t i = 0; o->userns && i < ARRAY_SIZE(counted); i++)
        wanted |= str_starts(o->userns, counted[i]);
    err *e = wanted && engine_is_rootless() ? ids_rootless_maps(&base.uids, &base.gids, &note) : NULL;
    if (!e)
        e = merge(o, &base, c);
    id_map_free(&base.uids);
    id_map_free(&base.gids);
    return e;
}
