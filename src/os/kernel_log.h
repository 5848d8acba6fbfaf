/*
 * kernel_log.h: what the kernel's log says about processes that it killed or refused something.
 *
 * The log is a ring of some hundred KiB: an entry is gone when enough newer ones have come. An ordinary user may not
 * read it where kernel.dmesg_restrict is 1. Source: Documentation/ABI/testing/dev-kmsg; mm/oom_kill.c
 * (dump_oom_victim), kernel/auditsc.c (audit_seccomp), arch/x86/mm/fault.c and traps.c, security/apparmor/audit.c.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_OS_KERNEL_LOG_H
#define HUSK_OS_KERNEL_LOG_H

#include <stdint.h>

#include "base/err.h"

enum kernel_kind {
    KERNEL_OOM,      /* killed for want of memory; cgroup is whose limit it was, or "" */
    KERNEL_SECCOMP,  /* a filter's LOG, TRAP or KILL; signal 0: only logged */
    KERNEL_FAULT,    /* segmentation fault and the like */
    KERNEL_APPARMOR, /* refused; what is the operation */
    KERNEL_SELINUX,  /* refused; what is the permission */
};
struct kernel_entry {
    enum kernel_kind kind;
    int64_t at_ns; /* CLOCK_REALTIME, as exact as the clocks' difference is now */
    int64_t pid;   /* in the first pid namespace */
    int64_t signal, syscall;
    uint64_t arch; /* AUDIT_ARCH_* */
    char task[64], cgroup[192], what[64];
};
/* One line of the log, without its prefix. False: it is about nothing of the above. */
bool kernel_entry_parse(const char *text, size_t n, struct kernel_entry *ret);
/* Each such entry since a time, oldest first. DENIED where the log may not be read. */
typedef void kernel_fn(void *ctx, const struct kernel_entry *entry);
fallible kernel_log_read(int64_t since_ns, kernel_fn *fn, void *ctx);

#endif
