// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/network_step.h"

#include <unistd.h>

#include "engine/network_door.h"
#include "engine/network_lease.h"
#include "engine/network_parts.h"

static fallible add_row(struct engine *e, const struct network *n, struct db_endpoint *at)
{
    struct db *db;
    TRY(engine_db(e, &db));
    TRY(db_begin(db));
    err *failed = network_lease(e, n, at);
    if (!failed)
        failed = db_endpoint_add(db, at);
    return db_end(db, failed);
}

fallible network_step_prepare(struct engine *e, const char *id, const char *network, struct container_network *ret)
{
    own(network) struct network *n = NULL;
    struct db_endpoints all = { 0 };
    struct container_network made = { .dns_sock = -1 };
    TRY(network_find(e, network, &n));
    struct db_endpoint at = { .container = mem_strdup(id),
                              .network = mem_strdup(n->row.id),
                              .interface = mem_strdup("eth0") };
    all = (struct db_endpoints){ &at, 1 };
    err *failed = add_row(e, n, &at);
    if (!failed)
        failed = network_prepare_link(e, &at, NULL, &made);
    if (!failed)
        failed = network_names(e, &all, &made.dns_sock);
    db_endpoint_clear(&at);
    if (failed) {
        container_network_clear(&made);
        return failed;
    }
    *ret = made;
    return NULL;
}

static fallible drop_rows(struct db *db, const char *id)
{
    own(db_endpoints) struct db_endpoints l = { 0 };
    TRY(db_endpoint_list(db, id, NULL, &l));
    for (size_t i = 0; i < l.n; i++)
        TRY(db_endpoint_remove(db, id, l.items[i].network));
    return NULL;
}

fallible network_step_end(struct engine *e, const char *id)
{
    own_mem char *dir = mem_printf("%s/%s", e->run, id);
    struct db *db;
    TRY(network_withdraw(dir));
    TRY(engine_db(e, &db));
    return drop_rows(db, id);
}

fallible network_step_sweep(struct engine *e, bool remove, int64_t *ret_n)
{
    own(db_endpoints) struct db_endpoints l = { 0 };
    struct db *db = NULL;
    *ret_n = 0;
    TRY(engine_db_if_there(e, &db));
    if (!db)
        return NULL;
    TRY(db_endpoint_list(db, NULL, NULL, &l));
    for (size_t i = 0; i < l.n; i++) {
        const char *id = l.items[i].container;
        own_mem char *dir = mem_printf("%s/%s", e->run, id);
        /* The folder is made before the row, and removed after it: in this order nothing that lives is missed. */
        if (db_container_has(db, id) || access(dir, F_OK) == 0 || db_container_has(db, id))
            continue;
        ++*ret_n;
        if (remove)
            TRY(db_endpoint_remove(db, id, l.items[i].network));
    }
    return NULL;
}
