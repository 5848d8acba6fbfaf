// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/network_dhcp.h"

#include <fcntl.h>
#include <string.h>

#include "engine/hosts.h"
#include "engine/spec.h"
#include "monitor/attach.h"
#include "monitor/monitor.h"
#include "os/sock.h"

static void show(struct network_link *l, const struct dhcp_lease *lease)
{
    struct ip router = lease->router;
    for (size_t i = 0; i < lease->routes_n; i++)
        if (!lease->routes[i].to.len)
            router = lease->routes[i].via;
    l->ip4 = lease->ip;
    l->gateway4 = l->dhcp_route ? router : (struct ip){ 0 };
    free(l->lease);
    l->lease = mem_zalloc(sizeof *l->lease);
    *l->lease = *lease;
}

void network_dhcp_look(const struct engine *e, const struct db_endpoint *at, struct network_link *l)
{
    struct dhcp_client c;
    if (!l->dhcp)
        return;
    own_mem char *path = mem_printf("%s/%s", e->run, at->container);
    own_fd int dir = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    err *failed = dir < 0 ? err_new(ERR_NOT_FOUND, "it does not run") : dhcp_file_read(dir, at->interface, &c);
    if (!failed)
        show(l, &c.lease);
    err_ignore(failed, "it has none now");
}

/* A resolver of husk's knows the neighbours and asks the host's for the rest; --dns is what was asked for. */
static void add_names(const struct container_config *config, const struct dhcp_lease *l, struct container_network *n)
{
    char text[IP_TEXT];
    if (!n->dns.n && !config->dns.n)
        for (size_t i = 0; i < l->dns_n; i++)
            strv_add(&n->dns, ip_text(&l->dns[i], text));
    if (!n->search.n && !config->dns_search.n && *l->search)
        strv_split(&n->search, l->search, ' ');
}

fallible network_dhcp_name(struct container *c, struct network_link *l)
{
    const struct container_config *config;
    if (!l->dhcp)
        return NULL;
    TRY(container_config(c, &config));
    free(l->hostname);
    l->hostname = spec_hostname(c->row.id, config);
    return NULL;
}

void network_dhcp_prepare(struct container *c, const struct container_config *config, struct container_network *n)
{
    n->of = c;
    for (size_t i = 0; i < n->plan.links_n; i++) {
        struct network_link *l = &n->plan.links[i];
        if (!l->dhcp)
            continue;
        free(l->hostname);
        l->hostname = spec_hostname(c->row.id, config);
        if (l->lease)
            add_names(config, l->lease, n);
    }
}

err *network_dhcp_follow(void *ctx, size_t link, const struct dhcp_lease *lease, int take_sock)
{
    struct container_network *n = ctx;
    char *hold = mem_printf("%s%s%d", n->hold ? n->hold : "", n->hold ? " " : "", take_sock);
    free(n->hold);
    n->hold = hold;
    const struct container_config *config;
    TRY(container_config(n->of, &config));
    show(&n->plan.links[link], lease);
    add_names(config, lease, n);
    return hosts_follow_lease(n->of, n);
}

fallible network_dhcp_tell(struct container *c)
{
    own_fd int sock = -1;
    const char word = MONITOR_LEASES;
    err *e = attach_connect(c->state_dir, &sock);
    if (!e)
        return sock_send(sock, &word, 1, NULL, 0);
    err_ignore(e, "without a monitor the next one finds them");
    return NULL;
}
