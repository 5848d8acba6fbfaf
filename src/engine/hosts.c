// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/hosts.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>

#include "engine/users.h"
#include "os/fs.h"

enum { HOST_FILE_MAX = 1 << 20 };

static const char localhost[] = "127.0.0.1\tlocalhost\n"
                                "::1\tlocalhost ip6-localhost ip6-loopback\n"
                                "fe00::\tip6-localnet\n"
                                "ff00::\tip6-mcastprefix\n"
                                "ff02::1\tip6-allnodes\n"
                                "ff02::2\tip6-allrouters\n";

static bool host_network(const struct container_config *c)
{
    return strcmp(c->network, "host") == 0;
}

/* An address of the host that is not loopback, as text: what "host-gateway" means while there is no bridge. */
static bool host_address(char buf[INET6_ADDRSTRLEN])
{
    struct ifaddrs *list = NULL;
    bool found = false;
    if (getifaddrs(&list) < 0)
        return false;
    for (const struct ifaddrs *i = list; i && !found; i = i->ifa_next) {
        if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || (i->ifa_flags & IFF_LOOPBACK) ||
            !(i->ifa_flags & IFF_UP))
            continue;
        struct sockaddr_in sin;
        memcpy(&sin, i->ifa_addr, sizeof sin);
        found = inet_ntop(AF_INET, &sin.sin_addr, buf, INET6_ADDRSTRLEN) != NULL;
    }
    freeifaddrs(list);
    return found;
}

static fallible add_host(struct str *out, const struct container_network *network, const char *entry)
{
    char gateway[INET6_ADDRSTRLEN];
    size_t n = strcspn(entry, ":");
    const char *ip = entry + n + 1;
    if (strcmp(ip, "host-gateway") == 0) {
        if (network->host_gateway)
            (void)snprintf(gateway, sizeof gateway, "%s", network->host_gateway);
        else if (!host_address(gateway))
            return err_new(ERR_UNSUPPORTED, "--add-host: the host has no address but loopback for host-gateway");
        ip = gateway;
    }
    str_printf(out, "%s\t%.*s\n", ip, (int)n, entry);
    return NULL;
}

static fallible read_if_there(const char *path, char **ret)
{
    err *e = fs_read_at(AT_FDCWD, path, HOST_FILE_MAX, ret, NULL);
    if (!err_is(e, ERR_NOT_FOUND))
        return e;
    err_free(e);
    *ret = NULL;
    return NULL;
}

void hosts_add_name(struct str *out, const struct container_config *c, const char *hostname, const char *ip)
{
    if (c->domainname)
        str_printf(out, "%s\t%s.%s %s\n", ip, hostname, c->domainname, hostname);
    else
        str_printf(out, "%s\t%s\n", ip, hostname);
}

/* As docker: the address on each network, or, without any, one of the loopback's. */
void hosts_add_own_name(struct str *out, const struct container_config *c, const char *hostname,
                        const struct container_network *network)
{
    char text[IP_TEXT];
    bool any = false;
    for (size_t i = 0; i < network->plan.links_n; i++) {
        const struct ip *const ips[] = { &network->plan.links[i].ip4.ip, &network->plan.links[i].ip6.ip };
        for (size_t j = 0; j < ARRAY_SIZE(ips); j++)
            if (ip_is_set(ips[j])) {
                any = true;
                hosts_add_name(out, c, hostname, ip_text(ips[j], text));
            }
    }
    if (!any)
        hosts_add_name(out, c, hostname, "127.0.1.1");
}

/* Whether a line of hosts(5) gives the name an address. */
static bool names(const char *text, const char *name)
{
    own_strv struct strv lines = { 0 };
    strv_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.n; i++) {
        char *rest = lines.items[i], *word;
        rest[strcspn(rest, "#")] = '\0';
        for (size_t n = 0; (word = strsep(&rest, " \t\r"));)
            if (*word && n++ && strcmp(word, name) == 0)
                return true;
    }
    return false;
}

static fallible add_hosts(const struct container_config *c, const struct container_network *network, struct str *out)
{
    for (size_t i = 0; i < c->add_hosts.n; i++)
        TRY(add_host(out, network, c->add_hosts.items[i]));
    return NULL;
}

static void end_line(struct str *out)
{
    if (out->len && out->text[out->len - 1] != '\n')
        str_add_char(out, '\n');
}

/* The first line that has a name counts: what was said on the command line is before what is in a file. */
static fallible from_file(const struct container_config *c, const struct container_network *network,
                          const struct rootfs_source *root, struct str *out)
{
    own_mem char *base = NULL;
    err *e = NULL;
    TRY(add_hosts(c, network, out));
    if (strcmp(c->hosts_file, "image") == 0)
        e = source_read_file(root, "/etc/hosts", HOST_FILE_MAX, &base);
    else if (strcmp(c->hosts_file, "none") != 0)
        TRY_AS(fs_read_at(AT_FDCWD, c->hosts_file, HOST_FILE_MAX, &base, NULL), "--hosts-file");
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        e = NULL;
    }
    TRY_AS(e, "--hosts-file image");
    str_add(out, base ? base : "");
    end_line(out);
    if (!base || !names(base, "localhost"))
        str_add(out, localhost);
    return NULL;
}

fallible hosts_text(const struct container_config *c, const char *hostname, const struct container_network *network,
                    const struct rootfs_source *root, char **ret)
{
    own_str struct str out = { 0 };
    own_mem char *host = NULL;
    if (c->hosts_file) {
        TRY(from_file(c, network, root, &out));
    } else {
        if (host_network(c))
            TRY(read_if_there("/etc/hosts", &host));
        str_add(&out, host ? host : localhost);
        end_line(&out);
        TRY(add_hosts(c, network, &out));
    }
    if (hostname && (!host || !names(host, hostname))) /* a program that looks up its own name must not wait for DNS */
        hosts_add_own_name(&out, c, hostname, network);
    *ret = str_take(&out);
    return NULL;
}

static bool starts_word(const char *line, const char *word)
{
    size_t n = strlen(word);
    return strncmp(line, word, n) == 0 && (line[n] == ' ' || line[n] == '\t');
}

static const char *after_word(const char *line)
{
    line += strcspn(line, " \t");
    return line + strspn(line, " \t");
}

static bool is_loopback(const char *ip)
{
    return str_starts(ip, "127.") || str_eq(ip, "::1");
}

/* The host's lines that hold in the container too. */
static fallible host_lines(const struct container_config *c, const struct container_network *network, struct str *out)
{
    own_mem char *host = NULL;
    own_strv struct strv lines = { 0 };
    TRY(read_if_there("/etc/resolv.conf", &host));
    strv_split(&lines, host ? host : "", '\n');
    for (size_t i = 0; i < lines.n; i++) {
        const char *line = lines.items[i];
        if (starts_word(line, "nameserver")) {
            if (network->dns.n || c->dns.n || (!host_network(c) && is_loopback(after_word(line))))
                continue;
        } else if (starts_word(line, "search") || starts_word(line, "domain")) {
            if (c->dns_search.n)
                continue;
        } else if (!starts_word(line, "options") || c->dns_options.n || network->dns.n) {
            continue;
        }
        str_printf(out, "%s\n", line);
    }
    return NULL;
}

static void add_list(struct str *out, const char *word, const struct strv *items)
{
    if (!items->n || (items->n == 1 && strcmp(items->items[0], ".") == 0))
        return;
    str_add(out, word);
    for (size_t i = 0; i < items->n; i++)
        str_printf(out, " %s", items->items[i]);
    str_add_char(out, '\n');
}

/* On a network with names the gateway is asked, which asks --dns in its turn. ndots:0: a container's name is one word,
 * and is to be asked as it is before a search domain is put behind it. */
fallible resolv_text(const struct container_config *c, const struct container_network *network, char **ret)
{
    own_str struct str out = { 0 };
    const struct strv *servers = network->dns.n ? &network->dns : &c->dns;
    for (size_t i = 0; i < servers->n; i++)
        str_printf(&out, "nameserver %s\n", servers->items[i]);
    add_list(&out, "search", &c->dns_search);
    add_list(&out, "options", &c->dns_options);
    if (network->dns.n && !c->dns_options.n)
        str_add(&out, "options ndots:0\n");
    TRY(host_lines(c, network, &out));
    *ret = str_take(&out);
    return NULL;
}
