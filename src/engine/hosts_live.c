// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "engine/hosts.h"
#include "engine/network_door.h"
#include "engine/spec.h"
#include "os/fs.h"

enum { FILE_MAX = 1 << 20 };

struct edit {
    const struct container_config *config;
    const struct container_network *network;
    const char *hostname;
    const struct ip *gateways; /* of all networks */
    size_t gateways_n;
};

/* ---- /etc/resolv.conf -------------------------------------------------------------------------------------------- */

static bool is_server(const char *line)
{
    return str_starts(line, "nameserver ") || str_starts(line, "nameserver\t");
}

static bool is_gateway(const struct edit *e, const char *line)
{
    const char *word = line + strlen("nameserver") + 1;
    struct ip ip;
    err *failed = ip_parse(word + strspn(word, " \t"), &ip);
    bool found = false;
    for (size_t i = 0; !failed && !found && i < e->gateways_n; i++)
        found = ip_equal(&e->gateways[i], &ip);
    err_free(failed);
    return found;
}

/* The servers that a start would write come first, then what else is there but the servers of husk's. */
static fallible edit_resolv(const struct edit *e, const char *old, struct str *out)
{
    const struct container_network without = { .dns_sock = -1 };
    own_mem char *now = NULL, *plain = NULL;
    own_strv struct strv lines = { 0 }, wanted = { 0 }, hosts = { 0 };
    TRY(resolv_text(e->config, e->network, &now));
    TRY(resolv_text(e->config, &without, &plain));
    strv_split(&wanted, now, '\n');
    strv_split(&hosts, plain, '\n');
    strv_split(&lines, old, '\n');
    for (size_t i = 0; i < wanted.n; i++)
        if (is_server(wanted.items[i]))
            str_printf(out, "%s\n", wanted.items[i]);
    if (e->network->search.n) {
        str_add(out, "search");
        for (size_t i = 0; i < e->network->search.n; i++)
            str_printf(out, " %s", e->network->search.items[i]);
        str_add_char(out, '\n');
    }
    for (size_t i = 0; i < lines.n; i++) {
        const char *line = lines.items[i];
        if (e->network->search.n && (str_starts(line, "search ") || str_starts(line, "domain ")))
            continue;
        if (!*line || (is_server(line) && (is_gateway(e, line) || strv_has(&hosts, line) || strv_has(&wanted, line))))
            continue;
        str_printf(out, "%s\n", line);
    }
    return NULL;
}

/* ---- /etc/hosts -------------------------------------------------------------------------------------------------- */

/* A line of the container's own name with an address of a network's, which --add-host did not ask for. */
static bool is_own_name(const struct edit *e, const char *line)
{
    own_str struct str name = { 0 };
    size_t n = strcspn(line, "\t");
    own_mem char *address = mem_strndup(line, n), *asked = mem_printf("%s:%s", e->hostname, address);
    struct ip ip;
    hosts_add_name(&name, e->config, e->hostname, address);
    err *failed = ip_parse(address, &ip);
    bool is = !failed && name.len && strlen(line) == name.len - 1 && strncmp(line, name.text, name.len - 1) == 0;
    err_free(failed);
    return is && !strv_has(&e->config->add_hosts, asked);
}

static fallible edit_hosts(const struct edit *e, const char *old, struct str *out)
{
    own_strv struct strv lines = { 0 };
    strv_split(&lines, old, '\n');
    for (size_t i = 0; i < lines.n; i++)
        if ((*lines.items[i] || i + 1 < lines.n) && !is_own_name(e, lines.items[i]))
            str_printf(out, "%s\n", lines.items[i]);
    hosts_add_own_name(out, e->config, e->hostname, e->network);
    return NULL;
}

/* ---- both -------------------------------------------------------------------------------------------------------- */

typedef err *edit_fn(const struct edit *e, const char *old, struct str *out);

/* In place: another file under that name would not be the one that is mounted. */
static fallible rewrite(const struct edit *e, int dir, const char *name, edit_fn *fn)
{
    own_mem char *old = NULL;
    own_str struct str text = { 0 };
    own_fd int fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? NULL : err_sys(errno, "open '%s'", name);
    TRY(fs_read_fd(fd, name, FILE_MAX, &old, NULL));
    TRY(fn(e, old, &text));
    if (str_eq(old, text.text ? text.text : ""))
        return NULL;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return err_sys(errno, "write '%s'", name);
    TRY(fs_write_fd(fd, text.text, text.len, name));
    return ftruncate(fd, (off_t)text.len) < 0 ? err_sys(errno, "write '%s'", name) : NULL;
}

/* gateways: addresses of resolvers of husk's, which are not the container's any more; borrowed. */
static fallible follow(struct container *c, const struct container_network *network, const struct ip *gateways,
                       size_t gateways_n)
{
    own_mem char *hostname = NULL;
    own_fd int dir = open(c->state_dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct edit e = { .network = network, .gateways = gateways, .gateways_n = gateways_n };
    if (dir < 0)
        return err_sys(errno, "open '%s'", c->state_dir);
    TRY(container_config(c, &e.config));
    hostname = spec_hostname(c->row.id, e.config);
    e.hostname = hostname;
    if (!e.config->no_resolv)
        TRY(rewrite(&e, dir, "resolv.conf", edit_resolv));
    return hostname && !e.config->no_hosts ? rewrite(&e, dir, "hosts", edit_hosts) : NULL;
}

fallible hosts_follow(struct container *c, const struct container_network *network)
{
    own_mem struct ip *gateways = NULL;
    size_t n = 0;
    TRY(network_all_gateways(c->engine, &gateways, &n));
    return follow(c, network, gateways, n);
}

fallible hosts_follow_lease(struct container *c, const struct container_network *network)
{
    return follow(c, network, NULL, 0);
}
