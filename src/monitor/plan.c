// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor/plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum kind { TEXT, PID, NUMBER, UNSIGNED, FLAG };

/* offset: the field's C type is checked against the kind. */
#define FIELD(word, kind_, ctype, field)                                                                               \
    {                                                                                                                  \
        word, kind_,                                                                                                   \
            offsetof(struct monitor_plan, field) +                                                                     \
                0 * sizeof(_Generic(&((struct monitor_plan *)0)->field, ctype * : 1))                                  \
    }
static const struct field {
    const char *word;
    enum kind kind;
    size_t offset;
} fields[] = {
    FIELD("id", TEXT, const char *, id),
    FIELD("dir", TEXT, const char *, dir),
    FIELD("state-dir", TEXT, const char *, state_dir),
    FIELD("pid", PID, pid_t, init.pid),
    FIELD("start-time", UNSIGNED, uint64_t, init.start_time),
    FIELD("started-ns", NUMBER, int64_t, started_ns),
    FIELD("cgroup", TEXT, const char *, cgroup_path),
    FIELD("cgroup-text", TEXT, const char *, cgroup_text),
    FIELD("log-driver", TEXT, const char *, log_driver),
    FIELD("log-attrs", TEXT, const char *, log_attrs),
    FIELD("log-max-age-s", NUMBER, int64_t, log_max_age_s),
    FIELD("journal-fields", TEXT, const char *, journal_fields),
    FIELD("journal-buffer", NUMBER, int64_t, journal_buffer),
    FIELD("journal-socket", TEXT, const char *, journal_socket),
    FIELD("log-compress", FLAG, bool, log_compress),
    FIELD("log-max-bytes", NUMBER, int64_t, log_max_bytes),
    FIELD("log-max-files", NUMBER, int64_t, log_max_files),
    FIELD("hold", TEXT, const char *, hold),
    FIELD("names-fd", NUMBER, int64_t, names_fd),
    FIELD("leases", FLAG, bool, leases),
    FIELD("stdin-open", FLAG, bool, stdin_open),
    FIELD("stdin-once", FLAG, bool, stdin_once),
    FIELD("chain", FLAG, bool, chain),
    FIELD("settle", FLAG, bool, settle),
    FIELD("remove", FLAG, bool, remove),
    FIELD("husk", TEXT, const char *, husk),
    FIELD("restart", TEXT, const char *, restart),
    FIELD("restart-count", NUMBER, int64_t, restart_count),
    FIELD("restart-delay-ns", NUMBER, int64_t, restart_delay_ns),
    FIELD("timeout-s", NUMBER, int64_t, timeout_s),
    FIELD("health-interval-ms", NUMBER, int64_t, health_interval_ms),
    FIELD("health-start-interval-ms", NUMBER, int64_t, health_start_interval_ms),
    FIELD("health-start-period-ms", NUMBER, int64_t, health_start_period_ms),
    FIELD("health-startup-interval-ms", NUMBER, int64_t, health_startup_interval_ms),
};

static void write_field(const struct field *f, const void *slot, struct strv *args)
{
    switch (f->kind) {
    case TEXT:
        if (*(const char *const *)slot)
            strv_add_printf(args, "%s=%s", f->word, *(const char *const *)slot);
        return;
    case PID:
        strv_add_printf(args, "%s=%d", f->word, (int)*(const pid_t *)slot);
        return;
    case NUMBER:
        if (*(const int64_t *)slot)
            strv_add_printf(args, "%s=%" PRId64, f->word, *(const int64_t *)slot);
        return;
    case UNSIGNED:
        strv_add_printf(args, "%s=%" PRIu64, f->word, *(const uint64_t *)slot);
        return;
    case FLAG:
        if (*(const bool *)slot)
            strv_add_printf(args, "%s=1", f->word);
        return;
    }
}

void plan_write(const struct monitor_plan *plan, const int fds[PLAN_FDS], struct strv *args)
{
    own_str struct str list = { 0 };
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        write_field(&fields[i], (const char *)plan + fields[i].offset, args);
    for (int i = 0; i < PLAN_FDS; i++)
        str_printf(&list, "%s%d", i ? "," : "fds=", fds[i]);
    strv_add_take(args, str_take(&list));
}

static void read_field(const struct field *f, const char *value, void *slot)
{
    switch (f->kind) {
    case TEXT:
        *(const char **)slot = value;
        return;
    case PID:
        *(pid_t *)slot = (pid_t)strtol(value, NULL, 10);
        return;
    case NUMBER:
        *(int64_t *)slot = strtoll(value, NULL, 10);
        return;
    case UNSIGNED:
        *(uint64_t *)slot = strtoull(value, NULL, 10);
        return;
    case FLAG:
        *(bool *)slot = *value == '1';
        return;
    }
}

static const struct field *field_of(const char *arg, const char **ret_value)
{
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        size_t n = strlen(fields[i].word);
        if (strncmp(arg, fields[i].word, n) == 0 && arg[n] == '=') {
            *ret_value = arg + n + 1;
            return &fields[i];
        }
    }
    return NULL;
}

static void read_fds(const char *list, int fds[PLAN_FDS])
{
    char *end = NULL;
    for (int i = 0; i < PLAN_FDS && *list; i++, list = *end ? end + 1 : end)
        fds[i] = (int)strtol(list, &end, 10);
}

fallible plan_read(char *const *argv, struct monitor_plan *ret, int ret_fds[PLAN_FDS])
{
    struct monitor_plan plan = { .log_driver = "none" };
    const char *value = NULL;
    for (int i = 0; i < PLAN_FDS; i++)
        ret_fds[i] = -1;
    for (; *argv; argv++) {
        const struct field *f = field_of(*argv, &value);
        if (f)
            read_field(f, value, (char *)&plan + f->offset);
        else if (strncmp(*argv, "fds=", 4) == 0)
            read_fds(*argv + 4, ret_fds);
        else
            return err_new(ERR_INVALID, "husk-monitor knows no argument '%s'", *argv);
    }
    if (!plan.id || !plan.dir || !plan.state_dir || ret_fds[PLAN_FD_PIDFD] < 0)
        return err_new(ERR_INVALID, "husk-monitor is started by husk, not by hand");
    *ret = plan;
    return NULL;
}

bool plan_next_hold(const char **at, int *ret_fd)
{
    char *end = NULL;
    long fd = *at ? strtol(*at, &end, 10) : 0;
    if (!*at || end == *at)
        return false;
    *ret_fd = (int)fd;
    *at = end;
    return true;
}
