// SPDX-License-Identifier: GPL-2.0-or-later
#include "process/seccomp_words.h"

#include <string.h>

#include <seccomp.h>

/* From 403 on a new call has one number on all architectures; these are newer than Debian 12's libseccomp.
 * Source: scripts/syscall.tbl of Linux 6.17. */
// clang-format off
static const struct {
    const char *name;
    int number;
} newer[] = {
    { "set_mempolicy_home_node", 450 }, { "cachestat", 451 },        { "fchmodat2", 452 },
    { "map_shadow_stack", 453 },        { "futex_wake", 454 },       { "futex_wait", 455 },
    { "futex_requeue", 456 },           { "statmount", 457 },        { "listmount", 458 },
    { "lsm_get_self_attr", 459 },       { "lsm_set_self_attr", 460 }, { "lsm_list_modules", 461 },
    { "mseal", 462 },                   { "setxattrat", 463 },       { "getxattrat", 464 },
    { "listxattrat", 465 },             { "removexattrat", 466 },    { "open_tree_attr", 467 },
    { "file_getattr", 468 },            { "file_setattr", 469 },
};
// clang-format on

enum { I386_SOCKETCALL = 102, I386_IPC = 117 };

/* i386 reaches these through one call with the number as first argument as well; libseccomp answers pseudo numbers. */
// clang-format off
static const struct seccomp_multiplexed multiplexed[] = {
    { "socket", 359, I386_SOCKETCALL, 1 },      { "bind", 361, I386_SOCKETCALL, 2 },
    { "connect", 362, I386_SOCKETCALL, 3 },     { "listen", 363, I386_SOCKETCALL, 4 },
    { "accept", -1, I386_SOCKETCALL, 5 },       { "getsockname", 367, I386_SOCKETCALL, 6 },
    { "getpeername", 368, I386_SOCKETCALL, 7 }, { "socketpair", 360, I386_SOCKETCALL, 8 },
    { "send", -1, I386_SOCKETCALL, 9 },         { "recv", -1, I386_SOCKETCALL, 10 },
    { "sendto", 369, I386_SOCKETCALL, 11 },     { "recvfrom", 371, I386_SOCKETCALL, 12 },
    { "shutdown", 373, I386_SOCKETCALL, 13 },   { "setsockopt", 366, I386_SOCKETCALL, 14 },
    { "getsockopt", 365, I386_SOCKETCALL, 15 }, { "sendmsg", 370, I386_SOCKETCALL, 16 },
    { "recvmsg", 372, I386_SOCKETCALL, 17 },    { "accept4", 364, I386_SOCKETCALL, 18 },
    { "recvmmsg", 337, I386_SOCKETCALL, 19 },   { "sendmmsg", 345, I386_SOCKETCALL, 20 },
    { "semop", -1, I386_IPC, 1 },               { "semget", 393, I386_IPC, 2 },
    { "semctl", 394, I386_IPC, 3 },             { "semtimedop", -1, I386_IPC, 4 },
    { "msgsnd", 400, I386_IPC, 11 },            { "msgrcv", 401, I386_IPC, 12 },
    { "msgget", 399, I386_IPC, 13 },            { "msgctl", 402, I386_IPC, 14 },
    { "shmat", 397, I386_IPC, 21 },             { "shmdt", 398, I386_IPC, 22 },
    { "shmget", 395, I386_IPC, 23 },            { "shmctl", 396, I386_IPC, 24 },
};
// clang-format on

const struct seccomp_multiplexed *seccomp_multiplexed(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(multiplexed); i++)
        if (strcmp(multiplexed[i].name, name) == 0)
            return &multiplexed[i];
    return NULL;
}

int seccomp_number(uint32_t arch, const char *name)
{
    int number = seccomp_syscall_resolve_name_arch(arch, name);
    if (number < 0) {
        for (size_t i = 0; i < ARRAY_SIZE(newer) && number < 0; i++)
            if (strcmp(newer[i].name, name) == 0)
                number = newer[i].number;
        const struct seccomp_multiplexed *m = arch == SCMP_ARCH_X86 ? seccomp_multiplexed(name) : NULL;
        if (m)
            number = m->number;
        if (number < 0)
            return -1;
    }
    return arch == SCMP_ARCH_X32 ? number | SECCOMP_X32_BIT : number;
}

static bool is_known(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(newer); i++)
        if (strcmp(newer[i].name, name) == 0)
            return true;
    return seccomp_syscall_resolve_name(name) != __NR_SCMP_ERROR;
}

fallible seccomp_check_names(const struct oci_seccomp *profile)
{
    for (size_t i = 0; i < profile->syscalls_n; i++)
        for (size_t k = 0; k < profile->syscalls[i].names.n; k++)
            if (!is_known(profile->syscalls[i].names.items[k]))
                return err_new(ERR_INVALID, "syscalls[%zu]: '%s' is not the name of a system call", i,
                               profile->syscalls[i].names.items[k]);
    return NULL;
}
