// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>
#include <strings.h>
#include <sys/resource.h>

#include "base/opt.h"
#include "process/program.h"

/* Source: getrlimit(2). */
// clang-format off
static const char *const names[] = {
    [RLIMIT_AS] = "RLIMIT_AS",           [RLIMIT_CORE] = "RLIMIT_CORE",       [RLIMIT_CPU] = "RLIMIT_CPU",
    [RLIMIT_DATA] = "RLIMIT_DATA",       [RLIMIT_FSIZE] = "RLIMIT_FSIZE",     [RLIMIT_LOCKS] = "RLIMIT_LOCKS",
    [RLIMIT_MEMLOCK] = "RLIMIT_MEMLOCK", [RLIMIT_MSGQUEUE] = "RLIMIT_MSGQUEUE", [RLIMIT_NICE] = "RLIMIT_NICE",
    [RLIMIT_NOFILE] = "RLIMIT_NOFILE",   [RLIMIT_NPROC] = "RLIMIT_NPROC",     [RLIMIT_RSS] = "RLIMIT_RSS",
    [RLIMIT_RTPRIO] = "RLIMIT_RTPRIO",   [RLIMIT_RTTIME] = "RLIMIT_RTTIME",   [RLIMIT_SIGPENDING] = "RLIMIT_SIGPENDING",
    [RLIMIT_STACK] = "RLIMIT_STACK",
};
// clang-format on

const char *rlimit_name(int resource)
{
    return resource >= 0 && (size_t)resource < ARRAY_SIZE(names) ? names[resource] : NULL;
}

fallible rlimit_parse(const char *word, int *ret_resource)
{
    const char *bare = strncasecmp(word, "RLIMIT_", 7) == 0 ? word + 7 : word;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcasecmp(bare, names[i] + 7) == 0) {
            *ret_resource = (int)i;
            return NULL;
        }
    }
    own_mem char *upper = mem_printf("RLIMIT_%s", bare);
    for (char *c = upper; *c; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
    const char *near = nearest_word(upper, names, ARRAY_SIZE(names));
    return near ? err_new(ERR_INVALID, "'%s' is no resource limit: is it %s?", word, near)
                : err_new(ERR_INVALID, "'%s' is no resource limit (see getrlimit(2))", word);
}
