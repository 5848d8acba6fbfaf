// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>

#include "base/log.h"
#include "base/opt.h"
#include "process/program.h"

/* Source: capabilities(7), include/uapi/linux/capability.h. */
static const char *const names[] = {
    [0] = "CAP_CHOWN",
    [1] = "CAP_DAC_OVERRIDE",
    [2] = "CAP_DAC_READ_SEARCH",
    [3] = "CAP_FOWNER",
    [4] = "CAP_FSETID",
    [5] = "CAP_KILL",
    [6] = "CAP_SETGID",
    [7] = "CAP_SETUID",
    [8] = "CAP_SETPCAP",
    [9] = "CAP_LINUX_IMMUTABLE",
    [10] = "CAP_NET_BIND_SERVICE",
    [11] = "CAP_NET_BROADCAST",
    [12] = "CAP_NET_ADMIN",
    [13] = "CAP_NET_RAW",
    [14] = "CAP_IPC_LOCK",
    [15] = "CAP_IPC_OWNER",
    [16] = "CAP_SYS_MODULE",
    [17] = "CAP_SYS_RAWIO",
    [18] = "CAP_SYS_CHROOT",
    [19] = "CAP_SYS_PTRACE",
    [20] = "CAP_SYS_PACCT",
    [21] = "CAP_SYS_ADMIN",
    [22] = "CAP_SYS_BOOT",
    [23] = "CAP_SYS_NICE",
    [24] = "CAP_SYS_RESOURCE",
    [25] = "CAP_SYS_TIME",
    [26] = "CAP_SYS_TTY_CONFIG",
    [27] = "CAP_MKNOD",
    [28] = "CAP_LEASE",
    [29] = "CAP_AUDIT_WRITE",
    [30] = "CAP_AUDIT_CONTROL",
    [31] = "CAP_SETFCAP",
    [32] = "CAP_MAC_OVERRIDE",
    [33] = "CAP_MAC_ADMIN",
    [34] = "CAP_SYSLOG",
    [35] = "CAP_WAKE_ALARM",
    [36] = "CAP_BLOCK_SUSPEND",
    [37] = "CAP_AUDIT_READ",
    [38] = "CAP_PERFMON",
    [39] = "CAP_BPF",
    [40] = "CAP_CHECKPOINT_RESTORE",
};

const char *capability_name(int number)
{
    return number >= 0 && (size_t)number < ARRAY_SIZE(names) ? names[number] : NULL;
}

fallible capability_parse(const char *word, int *ret_number)
{
    const char *bare = strncasecmp(word, "CAP_", 4) == 0 ? word + 4 : word;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcasecmp(bare, names[i] + 4) == 0) {
            *ret_number = (int)i;
            return NULL;
        }
    }
    own_mem char *upper = mem_printf("CAP_%s", bare);
    for (char *c = upper; *c; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
    const char *near = nearest_word(upper, names, ARRAY_SIZE(names));
    return near ? err_new(ERR_INVALID, "'%s' is no capability: is it %s?", word, near)
                : err_new(ERR_INVALID, "'%s' is no capability (see capabilities(7))", word);
}

uint64_t capability_mask(const struct strv *words)
{
    uint64_t mask = 0;
    for (size_t i = 0; i < words->n; i++) {
        int number = 0;
        err *e = strncasecmp(words->items[i], "CAP_", 4) == 0
                     ? capability_parse(words->items[i], &number)
                     : err_new(ERR_INVALID, "'%s' is no capability: it does not begin with CAP_", words->items[i]);
        if (e)
            log_warn("process.capabilities: %s; it is left out", err_text(e));
        else
            mask |= 1ull << number;
        err_free(e);
    }
    return mask;
}

void capability_words(uint64_t mask, struct strv *words)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (mask >> i & 1)
            strv_add(words, names[i]);
}

fallible capability_bounding_of(uint64_t of, uint64_t *ret_mask)
{
    uint64_t mask = 0;
    for (int i = 0; i < 64; i++) {
        if (!(of >> i & 1))
            continue;
        int set = prctl(PR_CAPBSET_READ, i, 0, 0, 0);
        if (set < 0 && i == 0)
            return err_sys(errno, "read the capability bounding set");
        if (set < 0) /* beyond the last that this kernel has */
            break;
        mask |= (uint64_t)(set > 0) << i;
    }
    *ret_mask = mask;
    return NULL;
}

fallible capability_bounding(uint64_t *ret_mask)
{
    return capability_bounding_of(UINT64_MAX, ret_mask);
}

fallible capability_check(uint64_t wanted)
{
    uint64_t have = 0;
    TRY(capability_bounding(&have));
    for (int i = 0; i < 64; i++)
        if ((wanted & ~have) >> i & 1)
            return err_new(
                ERR_DENIED,
                "%s cannot be given: husk itself runs without it (CapBnd in /proc/self/status); leave it out "
                "or start husk where it is allowed",
                capability_name(i) ? capability_name(i) : "an unknown capability");
    return NULL;
}
