// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor/restart.h"

#include <string.h>

#include "base/mem.h"
#include "base/parse.h"

#define FIRST_NS    100000000LL
#define LONGEST_NS  60000000000LL
#define SETTLED_NS  10000000000LL
#define RETRIES_MAX 1000000000LL

static const char *const words[] = {
    [RESTART_NO] = "no",
    [RESTART_ON_FAILURE] = "on-failure",
    [RESTART_ALWAYS] = "always",
    [RESTART_UNLESS_STOPPED] = "unless-stopped",
};

const char *restart_word(enum restart_policy policy)
{
    return words[policy];
}

fallible restart_parse(const char *text, struct restart *ret)
{
    struct restart r = { 0 };
    size_t n = strcspn(text, ":");
    if (!*text) {
        *ret = r;
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (strlen(words[i]) != n || strncmp(words[i], text, n) != 0)
            continue;
        r.policy = (enum restart_policy)i;
        if (text[n] && r.policy != RESTART_ON_FAILURE)
            return err_new(ERR_INVALID, "'%s': only on-failure takes a number of retries", text);
        if (text[n])
            TRY(parse_i64(text + n + 1, 0, RETRIES_MAX, &r.max));
        *ret = r;
        return NULL;
    }
    return err_new(ERR_INVALID, "'%s' is not one of no, on-failure[:N], always, unless-stopped", text);
}

bool restart_wanted(const struct restart *r, int64_t exit_code, int64_t count)
{
    switch (r->policy) {
    case RESTART_NO:
        return false;
    case RESTART_ON_FAILURE:
        return exit_code != 0 && (r->max == 0 || count < r->max);
    case RESTART_ALWAYS:
    case RESTART_UNLESS_STOPPED:
        return true;
    }
    return false;
}

int64_t restart_delay_ns(int64_t last_ns, int64_t ran_ns)
{
    if (last_ns <= 0 || ran_ns >= SETTLED_NS)
        return FIRST_NS;
    return last_ns >= LONGEST_NS / 2 ? LONGEST_NS : last_ns * 2;
}
