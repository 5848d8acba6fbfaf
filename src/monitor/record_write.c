// SPDX-License-Identifier: GPL-2.0-or-later
/* Apart from record.c: the monitor writes records and has no JSON library for it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "monitor/line.h"
#include "monitor/record.h"
#include "os/fs.h"

enum { ERROR_MAX = 500, ROOM = 4096 };
#define NAME   "exit.json"
#define STAGED "exit.json.new"

/* A text as a JSON string: line_encode() knows how; the text stands between `{"log":"` and the next quote part. */
static void add_text(struct str *doc, const char *key, const char *text)
{
    static const char before[] = "{\"log\":", after[] = ",\"stream\"";
    size_t n = strnlen(text, ERROR_MAX);
    own_mem char *entry = mem_alloc(LINE_ENTRY_MAX);
    size_t len = line_encode(entry, text, n, false, LINE_STDERR, NULL, 0);
    const char *start = entry + sizeof before - 1;
    const char *end = memmem(start, len - (sizeof before - 1), after, sizeof after - 1);
    str_printf(doc, ",\"%s\":", key);
    str_add_n(doc, start, (size_t)(end - start));
}

static char *record_text(const struct monitor_exit *record)
{
    own_str struct str doc = { 0 };
    str_printf(&doc, "{\"exitCode\":%" PRId64 ",\"signal\":%" PRId64 ",\"oomKilled\":%s", record->exit_code,
               record->signal, record->oom_killed ? "true" : "false");
    if (record->cgroup_gone)
        str_add(&doc, ",\"cgroupGone\":true");
    str_printf(&doc, ",\"startedNs\":%" PRId64 ",\"finishedNs\":%" PRId64 ",\"logDropped\":%" PRId64,
               record->started_ns, record->finished_ns, record->log_dropped);
    if (record->oom_limited)
        str_add(&doc, ",\"oomLimited\":true");
    if (record->timed_out)
        str_add(&doc, ",\"timedOut\":true");
    const struct {
        const char *key;
        int64_t value;
    } numbers[] = {
        { "pid", record->pid },
        { "memoryLimit", record->memory_limit },
        { "memoryPeak", record->memory_peak },
        { "pidsLimit", record->pids_limit },
        { "pidsRefused", record->pids_refused },
        { "restartCount", record->restart_count },
        { "restartNs", record->restart_ns },
        { "restartDelayNs", record->restart_delay_ns },
    };
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        if (numbers[i].value)
            str_printf(&doc, ",\"%s\":%" PRId64, numbers[i].key, numbers[i].value);
    if (record->task)
        add_text(&doc, "task", record->task);
    if (record->error)
        add_text(&doc, "error", record->error);
    str_add(&doc, "}\n");
    return str_take(&doc);
}

fallible monitor_exit_write(const char *dir, const struct monitor_exit *record)
{
    own_fd int dir_fd = -1;
    own_mem char *text = record_text(record);
    TRY_AS(fs_open_dir_at(AT_FDCWD, dir, FS_MUST_EXIST, &dir_fd), "write the exit record");
    TRY_AS(fs_replace_at(dir_fd, NAME, text, strlen(text), 0600, FS_SYNC_NONE), "write the exit record");
    return NULL;
}

void record_reserve(int dir_fd, int *ret_fd)
{
    *ret_fd = openat(dir_fd, STAGED, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*ret_fd >= 0 && fallocate(*ret_fd, 0, 0, ROOM) < 0 && errno == ENOSPC)
        own_drop_fd(ret_fd);
}

fallible record_finish(int dir_fd, int reserved_fd, const struct monitor_exit *record)
{
    own_mem char *text = record_text(record);
    size_t n = strlen(text);
    if (reserved_fd >= 0 && pwrite(reserved_fd, text, n, 0) == (ssize_t)n && ftruncate(reserved_fd, (off_t)n) == 0 &&
        renameat(dir_fd, STAGED, dir_fd, NAME) == 0)
        return NULL;
    TRY_AS(fs_replace_at(dir_fd, NAME, text, n, 0600, FS_SYNC_NONE), "write the exit record");
    return NULL;
}
