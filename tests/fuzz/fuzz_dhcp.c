/*
 * Any packet: it is no message, or one that is judged without a step beyond its bytes; and a lease has an address of a
 * host, times in their order, and names that are a file's words. The whole of it as it is, and as a message whose fixed
 * part fits, so that what is in the options is reached.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "network/dhcp.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
enum { XID = 0x01020304 };

static void judge(const uint8_t *message, size_t n)
{
    enum dhcp_type type;
    struct dhcp_lease l;
    if (!dhcp_read(message, n, XID, mac, &type, &l) || type == DHCP_NAK)
        return;
    if (!ip_is_set(&l.ip.ip) || l.ip.len < 1 || l.ip.len > 32 || l.routes_n > DHCP_ROUTES || l.dns_n > DHCP_SERVERS)
        abort();
    if (!l.lease_s || l.renew_s > l.rebind_s || l.rebind_s > l.lease_s)
        abort();
    if (strlen(l.search) >= sizeof l.search || strpbrk(l.search, "\n\t\r#;"))
        abort();
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static const uint8_t cookie[] = { 99, 130, 83, 99 };
    const uint8_t *message;
    size_t n;
    own_mem unsigned char *copy = malloc(size + 1);
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    if (dhcp_packet_read(copy, size, &message, &n))
        judge(message, n);
    if (size < 240)
        return 0;
    memcpy(copy, (const uint8_t[]){ 2, 1, 6, 0, 1, 2, 3, 4 }, 8);
    memcpy(copy + 28, mac, sizeof mac);
    memcpy(copy + 236, cookie, sizeof cookie);
    judge(copy, size);
    return 0;
}
