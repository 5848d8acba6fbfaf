// SPDX-License-Identifier: GPL-2.0-or-later
#include "network/rate.h"

#include <errno.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/parse.h"
#include "os/netlink.h"

/* A bucket of 10 ms of the rate, but whole segments of a container's (64 KiB at once leave its TCP); a queue of 50 ms.
 */
enum { BURST_MIN = 1 << 16, BURST_PART = 100, QUEUE_PART = 20, RATE_MIN_BITS = 8000 };

static fallible parse_one(const char *text, uint64_t *ret)
{
    static const struct {
        const char *word;
        int64_t scale;
    } units[] = { { "gbit", 1000000000 }, { "mbit", 1000000 }, { "kbit", 1000 }, { "bit", 1 } };
    size_t n = strlen(text);
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        size_t unit = strlen(units[i].word);
        int64_t bits;
        if (n <= unit || strcasecmp(text + n - unit, units[i].word) != 0)
            continue;
        own_mem char *number = mem_strndup(text, n - unit);
        TRY(parse_scaled(number, units[i].scale, &bits));
        if (bits < RATE_MIN_BITS)
            return err_new(ERR_INVALID, "'%s': less than 8kbit", text);
        *ret = (uint64_t)bits;
        return NULL;
    }
    return err_new(ERR_INVALID, "'%s' is no rate: a number and bit, kbit, mbit or gbit, such as 10mbit", text);
}

fallible rate_parse(const char *text, struct rate *ret)
{
    own_strv struct strv parts = { 0 };
    struct rate r = { 0 };
    strv_split(&parts, text, ',');
    for (size_t i = 0; i < parts.n; i++) {
        const char *part = parts.items[i];
        if (str_starts(part, "in="))
            TRY(parse_one(part + 3, &r.in));
        else if (str_starts(part, "out="))
            TRY(parse_one(part + 4, &r.out));
        else if (parts.n == 1) {
            TRY(parse_one(part, &r.in));
            r.out = r.in;
        } else
            return err_new(ERR_INVALID, "'%s' is not one of in=RATE, out=RATE", part);
    }
    if (!parts.n)
        return err_new(ERR_INVALID, "it is a rate, such as 10mbit");
    *ret = r;
    return NULL;
}

fallible rate_set(int sock, unsigned index, uint64_t bits_per_second)
{
    own(netlink_batch) struct netlink_batch b = { 0 };
    uint64_t bytes = bits_per_second / 8, burst = bytes / BURST_PART > BURST_MIN ? bytes / BURST_PART : BURST_MIN;
    uint64_t queue = burst + bytes / QUEUE_PART;
    const struct tcmsg t = { .tcm_family = AF_UNSPEC, .tcm_ifindex = (int)index, .tcm_parent = TC_H_ROOT };
    struct tc_tbf_qopt q = {
        .rate = { .linklayer = 1, /* Ethernet: the kernel counts by itself, without a table */
                  .rate = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX },
        .limit = queue < UINT32_MAX ? (uint32_t)queue : UINT32_MAX,
    };
    netlink_batch_begin(&b, "limit the rate", RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, &t, sizeof t);
    netlink_batch_add_text(&b, TCA_KIND, "tbf");
    size_t options = netlink_batch_nest(&b, TCA_OPTIONS);
    netlink_batch_add(&b, TCA_TBF_PARMS, &q, sizeof q);
    netlink_batch_add_u32(&b, TCA_TBF_BURST, burst < UINT32_MAX ? (uint32_t)burst : UINT32_MAX);
    if (bytes >= UINT32_MAX)
        netlink_batch_add(&b, TCA_TBF_RATE64, &bytes, sizeof bytes);
    netlink_batch_end_nest(&b, options);
    err *e = netlink_batch_ask(sock, &b);
    if (err_errno(e) != ENOENT)
        return e;
    err_free(e);
    return err_new(ERR_UNSUPPORTED, "limit the rate: this kernel has no token bucket: load its module 'sch_tbf'");
}
