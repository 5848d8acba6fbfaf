// SPDX-License-Identifier: GPL-2.0-or-later
#include "os/kernel_log.h"

#include <string.h>

#include "test.h"

static const struct {
    const char *text;
    struct kernel_entry entry;
} rows[] = {
    { "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,mems_allowed=0,oom_memcg=/husk/ab,"
      "task_memcg=/husk/ab,task=tail,pid=4711,uid=1000",
      { .kind = KERNEL_OOM, .pid = 4711, .signal = 9, .task = "tail", .cgroup = "/husk/ab" } },
    { "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/x,task=a b,"
      "pid=12,uid=0",
      { .kind = KERNEL_OOM, .pid = 12, .signal = 9, .task = "a b" } },
    { "audit: type=1326 audit(1700000000.123:45): auid=4294967295 uid=0 gid=0 ses=1 pid=99 comm=\"mount\" "
      "exe=\"/bin/busybox\" sig=31 arch=c000003e syscall=165 compat=0 ip=0x7f code=0x80000000",
      { .kind = KERNEL_SECCOMP, .pid = 99, .signal = 31, .syscall = 165, .arch = 0xc000003e, .task = "mount" } },
    { "audit: type=1400 audit(1.2:3): apparmor=\"DENIED\" operation=\"mount\" profile=\"p\" name=\"/x/\" pid=7 "
      "comm=\"mount\" flags=\"rw\"",
      { .kind = KERNEL_APPARMOR, .pid = 7, .task = "mount", .what = "mount" } },
    { "audit: type=1400 audit(1.2:3): avc:  denied  { read open } for  pid=8 comm=\"cat\" name=\"shadow\" dev=\"sda\"",
      { .kind = KERNEL_SELINUX, .pid = 8, .task = "cat", .what = "read open" } },
    { "prog[123]: segfault at 0 ip 0000000000401136 sp 00007ffd error 6 in prog[401000+1000]",
      { .kind = KERNEL_FAULT, .pid = 123, .signal = 11, .task = "prog", .what = "segfault at " } },
    { "traps: unit[190] trap invalid opcode ip:5641 sp:7ff error:0 in unit[1100,5641+1000]",
      { .kind = KERNEL_FAULT, .pid = 190, .signal = 4, .task = "unit", .what = "trap invalid opcode" } },
};

TEST(what_the_kernel_says_of_a_killed_process_is_read)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct kernel_entry e;
        CHECK(kernel_entry_parse(rows[i].text, strlen(rows[i].text), &e));
        CHECK(memcmp(&e, &rows[i].entry, sizeof e) == 0);
    }
}

TEST(other_lines_are_passed_over)
{
    static const char *const others[] = {
        "",
        "eth0: renamed from v0",
        "oom-kill:constraint=",
        "audit: type=1326 pid=3",
        "x[: segfault at 0",
        "Out of memory: Killed process 1 (x)",
        "a[9: segfault at 0",
        "audit: type=1400 apparmor=\"DENIED\"",
    };
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        struct kernel_entry e;
        CHECK(!kernel_entry_parse(others[i], strlen(others[i]), &e));
    }
}
