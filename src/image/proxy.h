/*
 * proxy.h: which proxy a request goes through, by the environment, as in docker, podman and skopeo (all three ask Go's
 * library): NO_PROXY there knows "*.x.io", ports and networks, which libcurl's own reading knows in part.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_IMAGE_PROXY_H
#define HUSK_IMAGE_PROXY_H

#include <stdbool.h>

#include "base/mem.h"

/**
 * proxy_excludes - does a NO_PROXY list name this server?
 * @list: comma-separated: "x.io" (and what is below it), ".x.io" or "*.x.io" (only what is below it), an address, a
 *        network ("10.0.0.0/8", "fd00::/8"), each but the last with ":PORT" if wanted, or "*" for all; NULL: none.
 * @host: as in a URL, an IPv6 address with its brackets.
 * @port: decimal.
 * Source: golang.org/x/net/http/httpproxy, type Config.
 */
bool proxy_excludes(const char *list, const char *host, const char *port);

/**
 * proxy_for - the proxy for a server, or NULL; caller frees.
 * @scheme: "https" (https_proxy, HTTPS_PROXY) or "http" (http_proxy, HTTP_PROXY, which in a CGI program is a header and
 *          does not count); all_proxy and ALL_PROXY stand in for either.
 */
char *proxy_for(const char *scheme, const char *host, const char *port);

#endif
