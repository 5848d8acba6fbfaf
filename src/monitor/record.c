// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>

#include "codec/bind.h"
#include "monitor/monitor.h"
#include "os/fs.h"

enum { RECORD_MAX = 65536 };

#define T struct monitor_exit
static const struct bind_field exit_fields[] = {
    BIND_I64(T, exit_code, "exitCode", .flags = BIND_REQUIRED),
    BIND_I64(T, signal, "signal"),
    BIND_BOOL(T, oom_killed, "oomKilled"),
    BIND_BOOL(T, cgroup_gone, "cgroupGone"),
    BIND_I64(T, started_ns, "startedNs"),
    BIND_I64(T, finished_ns, "finishedNs"),
    BIND_I64(T, log_dropped, "logDropped"),
    BIND_I64(T, pid, "pid"),
    BIND_BOOL(T, oom_limited, "oomLimited"),
    BIND_I64(T, memory_limit, "memoryLimit"),
    BIND_I64(T, memory_peak, "memoryPeak"),
    BIND_I64(T, pids_limit, "pidsLimit"),
    BIND_I64(T, pids_refused, "pidsRefused"),
    BIND_BOOL(T, timed_out, "timedOut"),
    BIND_I64(T, restart_count, "restartCount"),
    BIND_I64(T, restart_ns, "restartNs"),
    BIND_I64(T, restart_delay_ns, "restartDelayNs"),
    BIND_STR(T, task, "task"),
    BIND_STR(T, error, "error"),
    BIND_END,
};
#undef T
static const struct bind_type exit_type = { "exit.json", sizeof(struct monitor_exit), exit_fields };

fallible monitor_exit_read(const char *dir, struct monitor_exit **ret)
{
    own_fd int dir_fd = -1;
    own_mem char *text = NULL;
    size_t len = 0;
    TRY_AS(fs_open_dir_at(AT_FDCWD, dir, FS_MUST_EXIST, &dir_fd), "read the exit record");
    TRY_AS(fs_read_at(dir_fd, "exit.json", RECORD_MAX, &text, &len), "read the exit record");
    return bind_read(&exit_type, text, len, (void **)ret);
}

void monitor_exit_free(struct monitor_exit *x)
{
    bind_free(&exit_type, x);
}
