/*
 * source.h: the names as the engine's database has them now.
 *
 * The database is opened for reading only. Before each use its data_version is asked (two locks and a look at shared
 * memory): only when another process has written are the rows read again. Whether a container is connected is not in
 * the database but in <run>/ID/network (engine/network.h), and is asked for each name that is about to be given out.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_DNS_SOURCE_H
#define HUSK_DNS_SOURCE_H

#include "dns/names.h"

struct dns_source;
/* Opens <root>/husk.db and reads it once, so that all files are open before this process is confined. */
fallible dns_source_open(const char *root, const char *run, struct dns_source **ret);
void dns_source_free(struct dns_source *s);
OWN_TYPE(dns_source, struct dns_source *, dns_source_free)

/* As dns_server_hooks.names. What cannot be read now is as it was. */
const struct dns_names *dns_source_names(void *source, uint64_t *ret_serial);

#endif
