// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/retry.h"

#include <time.h>

#include "base/log.h"
#include "base/parse.h"
#include "os/fs.h"

enum { WAIT_MAX_MS = 300000, ASKED_MAX_S = 60 };

bool retry_is_worth(const struct http_answer *a)
{
    return a && (a->status == 429 || a->status == 408 || a->status >= 500);
}

/* Seconds, or a date. */
int64_t retry_asked_s(const struct http_answer *a)
{
    int64_t seconds = -1;
    if (!a || !a->retry_after)
        return -1;
    own(err) err *e = parse_i64(a->retry_after, 0, INT32_MAX, &seconds);
    if (!e)
        return seconds;
    int64_t at = http_date(a->retry_after), now = time(NULL);
    return at < 0 ? -1 : at > now ? at - now : 0;
}

static int64_t jitter(int64_t ms)
{
    char hex[9];
    uint64_t chance = 0;
    random_hex(hex, 4);
    for (size_t i = 0; i < 8; i++)
        chance = chance << 4 | (uint64_t)(hex[i] <= '9' ? hex[i] - '0' : hex[i] - 'a' + 10);
    return ms / 2 + (int64_t)(chance % (uint64_t)(ms + 1));
}

static int64_t doubled(int64_t ms, int attempt)
{
    for (int i = 1; i < attempt && ms < WAIT_MAX_MS; i++)
        ms *= 2;
    return ms < WAIT_MAX_MS ? ms : WAIT_MAX_MS;
}

bool retry_wait(int64_t first_ms, int attempt, const struct http_answer *a)
{
    int64_t asked_s = retry_asked_s(a);
    if (asked_s > ASKED_MAX_S)
        return false;
    int64_t ms = asked_s >= 0 ? asked_s * 1000 : jitter(doubled(first_ms, attempt));
    if (asked_s > 0)
        log_info("the server asks to wait for %lld s", (long long)asked_s);
    nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
    return true;
}
