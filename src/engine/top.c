// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/top.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "engine/events.h"
#include "os/fs.h"

enum { FILE_MAX = 65536 };

/* One process, of /proc/PID/stat, status and cmdline. Source: proc(5). */
struct process {
    pid_t pid, inner_pid; /* ours, and the one in its innermost pid namespace */
    char comm[64], state;
    long ppid, pgrp, session, tty, priority, nice, threads;
    uint64_t utime, stime, start; /* clock ticks */
    uint64_t vsize;               /* bytes */
    long rss;                     /* pages */
    uint32_t uid, euid, gid;
    uint64_t capabilities;
    long seccomp;
    char *args;
};

/* What several rows need. */
struct world {
    long ticks, page;
    double uptime;  /* seconds */
    int64_t now;    /* seconds since the epoch */
    int64_t memory; /* KiB */
};

static void add_time(struct str *out, uint64_t seconds)
{
    str_printf(out, "%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64, seconds / 3600, seconds / 60 % 60, seconds % 60);
}

static double age(const struct process *p, const struct world *w)
{
    double seconds = w->uptime - (double)p->start / (double)w->ticks;
    return seconds > 0 ? seconds : 0;
}

static double cpu_percent(const struct process *p, const struct world *w)
{
    double seconds = age(p, w);
    return seconds > 0 ? 100.0 * ((double)(p->utime + p->stime) / (double)w->ticks) / seconds : 0;
}

static void add_user(struct str *out, uint32_t uid)
{
    own_mem char *name = ids_user_name(uid);
    if (name)
        str_add(out, name);
    else
        str_printf(out, "%u", uid);
}

static void col_user(const struct process *p, const struct world *w, struct str *out)
{
    add_user(out, p->euid);
}
static void col_ruser(const struct process *p, const struct world *w, struct str *out)
{
    add_user(out, p->uid);
}
static void col_uid(const struct process *p, const struct world *w, struct str *out)
{
    str_printf(out, "%u", p->euid);
}
static void col_gid(const struct process *p, const struct world *w, struct str *out)
{
    str_printf(out, "%u", p->gid);
}
static void col_pid(const struct process *p, const struct world *w, struct str *out)
{
    str_printf(out, "%d", (int)p->pid);
}
static void col_inner_pid(const struct process *p, const struct world *w, struct str *out)
{
    str_printf(out, "%d", (int)p->inner_pid);
}
static void col_ppid(const struct process *p, const struct world *w, struct str *out)
{
    str_printf(out, "%ld", p->ppid);
}
static void col_pgid(const struct process *p, const struct world *w, struct str *out)
{
    str_printf(out, "%ld", p->pgrp);
}
static void col_sid(const struct process *p, const struct world *w, struct str *out)
{
    str_printf(out, "%ld", p->session);
}
static void col_c(const struct process *p, const struct world *w, struct str *out)
{
    str_printf(out, "%d", (int)cpu_percent(p, w));
}
static void col_pcpu(const struct process *p, const struct world *w, struct str *out)
{
    str_printf(out, "%.1f", cpu_percent(p, w));
}
static void col_pmem(const struct process *p, const struct world *w, struct str *out)
{
    str_printf(out, "%.1f", w->memory ? 100.0 * (double)p->rss * ((double)w->page / 1024) / (double)w->memory : 0);
}
static void col_vsz(const struct process *p, const struct world *w, struct str *out)
{
    str_printf(out, "%" PRIu64, p->vsize / 1024);
}
static void col_rss(const struct process *p, const struct world *w, struct str *out)
{
    str_printf(out, "%ld", p->rss * (w->page / 1024));
}

/* Unix 98 terminals are majors 136 to 143; the console's are 4. Source: Documentation/admin-guide/devices.txt. */
static void col_tty(const struct process *p, const struct world *w, struct str *out)
{
    unsigned ma = major((dev_t)p->tty), mi = minor((dev_t)p->tty);
    if (ma >= 136 && ma <= 143)
        str_printf(out, "pts/%u", (ma - 136) * 256 + mi);
    else if (ma == 4)
        str_printf(out, "tty%u", mi);
    else
        str_add_char(out, '?');
}
static void col_stat(const struct process *p, const struct world *w, struct str *out)
{
    str_add_char(out, p->state);
    if (p->nice)
        str_add_char(out, p->nice < 0 ? '<' : 'N');
    if (p->session == (long)p->pid)
        str_add_char(out, 's');
    if (p->threads > 1)
        str_add_char(out, 'l');
}
static void col_state(const struct process *p, const struct world *w, struct str *out)
{
    str_add_char(out, p->state);
}
static void col_stime(const struct process *p, const struct world *w, struct str *out)
{
    char text[32];
    time_t began = (time_t)(w->now - (int64_t)age(p, w));
    struct tm tm;
    (void)localtime_r(&began, &tm);
    (void)strftime(text, sizeof text, w->now - began < 86400 ? "%H:%M" : "%b%d", &tm);
    str_add(out, text);
}
static void col_lstart(const struct process *p, const struct world *w, struct str *out)
{
    char text[64];
    time_t began = (time_t)(w->now - (int64_t)age(p, w));
    struct tm tm;
    (void)localtime_r(&began, &tm);
    (void)strftime(text, sizeof text, "%a %b %e %H:%M:%S %Y", &tm);
    str_add(out, text);
}
static void col_etime(const struct process *p, const struct world *w, struct str *out)
{
    uint64_t s = (uint64_t)age(p, w);
    if (s >= 86400)
        str_printf(out, "%" PRIu64 "-", s / 86400);
    if (s >= 3600)
        str_printf(out, "%02" PRIu64 ":", s / 3600 % 24);
    str_printf(out, "%02" PRIu64 ":%02" PRIu64, s / 60 % 60, s % 60);
}
static void col_etimes(const struct process *p, const struct world *w, struct str *out)
{
    str_printf(out, "%" PRIu64, (uint64_t)age(p, w));
}
static void col_time(const struct process *p, const struct world *w, struct str *out)
{
    add_time(out, (p->utime + p->stime) / (uint64_t)w->ticks);
}
static void col_comm(const struct process *p, const struct world *w, struct str *out)
{
    str_add(out, p->comm);
}
static void col_args(const struct process *p, const struct world *w, struct str *out)
{
    if (p->args && *p->args)
        str_add(out, p->args);
    else
        str_printf(out, "[%s]", p->comm);
}
static void col_nice(const struct process *p, const struct world *w, struct str *out)
{
    str_printf(out, "%ld", p->nice);
}
static void col_pri(const struct process *p, const struct world *w, struct str *out)
{
    str_printf(out, "%ld", 39 - p->priority);
}
static void col_nlwp(const struct process *p, const struct world *w, struct str *out)
{
    str_printf(out, "%ld", p->threads);
}
static void col_capabilities(const struct process *p, const struct world *w, struct str *out)
{
    str_printf(out, "%016" PRIx64, p->capabilities);
}
static void col_seccomp(const struct process *p, const struct world *w, struct str *out)
{
    static const char *const words[] = { "disabled", "strict", "filter" };
    str_add(out, p->seccomp >= 0 && p->seccomp < 3 ? words[p->seccomp] : "?");
}

static const struct top_column {
    const char *name, *title;
    void (*add)(const struct process *p, const struct world *w, struct str *out);
    const char *podman; /* title of the descriptor; NULL: it is ps's word only */
} columns[] = {
    { "user", "USER", col_user, "USER" },
    { "euser", "EUSER", col_user, NULL },
    { "uname", "USER", col_user, NULL },
    { "ruser", "RUSER", col_ruser, NULL },
    { "uid", "UID", col_uid, "UID" },
    { "euid", "EUID", col_uid, NULL },
    { "huser", "HUSER", col_user, "HUSER" },
    { "gid", "GID", col_gid, NULL },
    { "pid", "PID", col_pid, NULL },
    { "hpid", "HPID", col_pid, "HPID" },
    { "ppid", "PPID", col_ppid, NULL },
    { "pgid", "PGID", col_pgid, "PGID" },
    { "pgrp", "PGRP", col_pgid, NULL },
    { "sid", "SID", col_sid, NULL },
    { "sess", "SESS", col_sid, NULL },
    { "c", "C", col_c, NULL },
    { "pcpu", "%CPU", col_pcpu, "%CPU" },
    { "%cpu", "%CPU", col_pcpu, NULL },
    { "pmem", "%MEM", col_pmem, NULL },
    { "%mem", "%MEM", col_pmem, NULL },
    { "vsz", "VSZ", col_vsz, "VSZ" },
    { "vsize", "VSZ", col_vsz, NULL },
    { "rss", "RSS", col_rss, "RSS" },
    { "tty", "TT", col_tty, "TTY" },
    { "tt", "TT", col_tty, NULL },
    { "tname", "TTY", col_tty, NULL },
    { "stat", "STAT", col_stat, NULL },
    { "s", "S", col_state, NULL },
    { "state", "S", col_state, "STATE" },
    { "stime", "STIME", col_stime, NULL },
    { "start", "START", col_stime, NULL },
    { "lstart", "STARTED", col_lstart, NULL },
    { "etime", "ELAPSED", col_etime, "ELAPSED" },
    { "etimes", "ELAPSED", col_etimes, NULL },
    { "time", "TIME", col_time, "TIME" },
    { "cputime", "TIME", col_time, NULL },
    { "comm", "COMMAND", col_comm, "COMMAND" },
    { "ucmd", "CMD", col_comm, NULL },
    { "args", "COMMAND", col_args, "COMMAND" },
    { "cmd", "CMD", col_args, NULL },
    { "command", "COMMAND", col_args, NULL },
    { "nice", "NI", col_nice, "NI" },
    { "ni", "NI", col_nice, NULL },
    { "pri", "PRI", col_pri, NULL },
    { "nlwp", "NLWP", col_nlwp, NULL },
    { "thcount", "THCNT", col_nlwp, NULL },
    { "capeff", "EFFECTIVE CAPS", col_capabilities, "EFFECTIVE CAPS" },
    { "seccomp", "SECCOMP", col_seccomp, "SECCOMP" },
};
/* Podman's pid is the container's own. */
static const struct top_column inner_pid = { "pid", "PID", col_inner_pid, "PID" };

/* ---- what is to be seen ---- */

static fallible find_column(const char *name, size_t n, bool podman, const struct top_column **ret)
{
    own_str struct str all = { 0 };
    if (podman && n == 3 && strncmp(name, "pid", 3) == 0) {
        *ret = &inner_pid;
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
        if (podman && !columns[i].podman)
            continue;
        if (strlen(columns[i].name) == n && strncasecmp(columns[i].name, name, n) == 0) {
            *ret = &columns[i];
            return NULL;
        }
        str_printf(&all, "%s%s", all.len ? " " : "", columns[i].name);
    }
    return err_new(ERR_INVALID, "'%.*s' is no column: %s%s", (int)n, name, podman ? "pid " : "", all.text);
}

static fallible add_column(struct top_wish *w, const struct top_column *c, const char *title)
{
    if (w->n == ARRAY_SIZE(w->columns))
        return err_new(ERR_INVALID, "more than %zu columns", ARRAY_SIZE(w->columns));
    w->columns[w->n++] = c;
    strv_add(&w->titles, title);
    return NULL;
}

/* "pid,user=WHO comm": a title takes what is left, as ps has it. */
static fallible add_list(struct top_wish *w, const char *list)
{
    for (const char *p = list; *p;) {
        const struct top_column *c;
        size_t n = strcspn(p, ", =");
        if (n == 0 && *p != '=') {
            p++;
            continue;
        }
        TRY(find_column(p, n, false, &c));
        if (p[n] == '=')
            return add_column(w, c, p + n + 1);
        TRY(add_column(w, c, c->title));
        p += n;
    }
    return NULL;
}

static fallible add_fixed(struct top_wish *w, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct top_column *c;
        const char *title = strchr(names[i], '=');
        TRY(find_column(names[i], title ? (size_t)(title - names[i]) : strlen(names[i]), false, &c));
        TRY(add_column(w, c, title ? title + 1 : c->title));
    }
    return NULL;
}

static fallible add_default(struct top_wish *w)
{
    static const char *const names[] = { "user=UID", "pid", "ppid", "c", "stime", "tty=TTY", "time", "cmd" };
    return add_fixed(w, names, ARRAY_SIZE(names));
}

static fallible add_user_oriented(struct top_wish *w)
{
    static const char *const names[] = { "user",    "pid",  "%cpu",  "%mem", "vsz",    "rss",
                                         "tty=TTY", "stat", "start", "time", "command" };
    return add_fixed(w, names, ARRAY_SIZE(names));
}

static fallible add_podman(struct top_wish *w, char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (const char *p = words[i]; *p;) {
            const struct top_column *c;
            size_t len = strcspn(p, ",");
            TRY(find_column(p, len, true, &c));
            TRY(add_column(w, c, c->podman));
            p += len + (p[len] == ',');
        }
    return NULL;
}

/* "-o LIST", "-oLIST", "--format=LIST": how many words it is; 0 when it is none of these. */
static size_t list_option(char *const *words, size_t n, const char **ret)
{
    static const char *const forms[] = { "--format=", "-o", "-O" };
    if (strcmp(words[0], "-o") == 0 || strcmp(words[0], "o") == 0 || strcmp(words[0], "--format") == 0 ||
        strcmp(words[0], "-eo") == 0 || strcmp(words[0], "-Ao") == 0 || strcmp(words[0], "axo") == 0) {
        *ret = n > 1 ? words[1] : "";
        return n > 1 ? 2 : 1;
    }
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
        if (str_starts(words[0], forms[i])) {
            *ret = words[0] + strlen(forms[i]);
            return 1;
        }
    return 0;
}

/* -ef, -A, aux: which processes is not asked, so only f and u mean something. */
static fallible flags(const char *word, bool *user_oriented)
{
    const char *p = word + (*word == '-');
    if (!*p || strspn(p, "eAfaxuw") != strlen(p))
        return err_new(ERR_INVALID, "'%s' is no option that husk knows: -ef, aux, -o LIST, or column names", word);
    *user_oriented |= strchr(p, 'u') != NULL;
    return NULL;
}

static bool is_descriptor(const char *word)
{
    const struct top_column *c;
    size_t n = strcspn(word, ",");
    own(err) err *e = find_column(word, n, true, &c);
    return !e;
}

static fallible parse(char *const *words, size_t n, struct top_wish *w)
{
    bool user_oriented = false;
    if (n && words[0][0] != '-' && is_descriptor(words[0]))
        return add_podman(w, words, n);
    for (size_t i = 0; i < n;) {
        const char *list = NULL;
        size_t taken = list_option(words + i, n - i, &list);
        if (taken && !*list)
            return err_new(ERR_INVALID, "'%s' needs a list of columns", words[i]);
        if (taken)
            TRY(add_list(w, list));
        else
            TRY(flags(words[i], &user_oriented));
        i += taken ? taken : 1;
    }
    if (w->n)
        return NULL;
    return user_oriented ? add_user_oriented(w) : add_default(w);
}

void top_wish_clear(struct top_wish *w)
{
    strv_free(&w->titles);
    *w = (struct top_wish){ 0 };
}

fallible top_parse(char *const *words, size_t n, struct top_wish *ret)
{
    struct top_wish w = { 0 };
    err *e = parse(words, n, &w);
    if (e) {
        top_wish_clear(&w);
        return e;
    }
    *ret = w;
    return NULL;
}

/* ---- what is there ---- */

static uint64_t status_value(const char *status, const char *key, int base)
{
    const char *at = strstr(status, key);
    return at ? strtoull(at + strlen(key), NULL, base) : 0;
}

/* "NSpid:\t1234\t7": the last one. */
static pid_t innermost(const char *status, pid_t pid)
{
    const char *at = strstr(status, "\nNSpid:"), *end = at ? strchr(at + 1, '\n') : NULL;
    if (!end)
        return pid;
    while (end > at && isspace((unsigned char)*end))
        end--;
    while (end > at && isdigit((unsigned char)end[-1]))
        end--;
    return (pid_t)strtol(end, NULL, 10);
}

/* The name is in parentheses and may hold anything, so what follows begins after the last one. */
static bool read_stat(const char *text, struct process *p)
{
    const char *open = strchr(text, '('), *close = strrchr(text, ')');
    if (!open || !close || close < open)
        return false;
    (void)snprintf(p->comm, sizeof p->comm, "%.*s", (int)(close - open - 1), open + 1);
    return sscanf(close + 1,
                  " %c %ld %ld %ld %ld %*s %*s %*s %*s %*s %*s %" SCNu64 " %" SCNu64 " %*s %*s %ld %ld %ld %*s %" SCNu64
                  " %" SCNu64 " %ld",
                  &p->state, &p->ppid, &p->pgrp, &p->session, &p->tty, &p->utime, &p->stime, &p->priority, &p->nice,
                  &p->threads, &p->start, &p->vsize, &p->rss) == 13;
}

/* Arguments with spaces between, as one line: a terminal is told nothing. */
static char *read_args(int dir)
{
    char *text = NULL;
    size_t n = 0;
    err *e = fs_read_at(dir, "cmdline", FILE_MAX, &text, &n);
    if (e) {
        err_ignore(e, "its name is shown instead");
        return NULL;
    }
    while (n && !text[n - 1])
        n--;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 127)
            text[i] = ' ';
    return text;
}

/* False when it has ended meanwhile. */
static bool read_process(pid_t pid, struct process *p)
{
    char path[32];
    own_mem char *stat = NULL, *status = NULL;
    (void)snprintf(path, sizeof path, "/proc/%d", (int)pid);
    own_fd int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    *p = (struct process){ .pid = pid };
    if (dir < 0)
        return false;
    err *e = fs_read_at(dir, "stat", FILE_MAX, &stat, NULL);
    if (!e)
        e = fs_read_at(dir, "status", FILE_MAX, &status, NULL);
    if (e) {
        err_ignore(e, "it has ended");
        return false;
    }
    const char *uids = strstr(status, "\nUid:");
    if (!read_stat(stat, p) || !uids || sscanf(uids + 5, "%u %u", &p->uid, &p->euid) != 2)
        return false;
    p->gid = (uint32_t)status_value(status, "\nGid:", 10);
    p->capabilities = status_value(status, "\nCapEff:", 16);
    p->seccomp = (long)status_value(status, "\nSeccomp:", 10);
    p->inner_pid = innermost(status, pid);
    p->args = read_args(dir);
    return true;
}

static fallible read_world(struct world *w)
{
    own_mem char *uptime = NULL, *memory = NULL;
    TRY(fs_read_at(AT_FDCWD, "/proc/uptime", FILE_MAX, &uptime, NULL));
    TRY(fs_read_at(AT_FDCWD, "/proc/meminfo", FILE_MAX, &memory, NULL));
    *w = (struct world){
        .ticks = sysconf(_SC_CLK_TCK),
        .page = sysconf(_SC_PAGESIZE),
        .uptime = strtod(uptime, NULL),
        .now = time(NULL),
        .memory = (int64_t)status_value(memory, "MemTotal:", 10),
    };
    return NULL;
}

static int by_pid(const void *a, const void *b)
{
    pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;
    return (x > y) - (x < y);
}

void top_clear(struct top *t)
{
    for (size_t i = 0; i < t->n; i++)
        strv_free(&t->rows[i]);
    free(t->rows);
    strv_free(&t->titles);
    *t = (struct top){ 0 };
}

static fallible must_live(struct container *c)
{
    struct container_state s = { 0 };
    TRY(container_state(c, &s));
    enum container_status status = s.status;
    container_state_clear(&s);
    if (status != CONTAINER_RUNNING && status != CONTAINER_PAUSED)
        return err_new(ERR_CONFLICT, "container '%s' is not running", c->row.name);
    return NULL;
}

fallible container_top(struct container *c, const struct top_wish *wish, struct top *ret)
{
    own_mem pid_t *pids = NULL;
    size_t n = 0;
    struct world world;
    struct top t = { 0 };
    TRY(must_live(c));
    TRY(runtime_pids(c->state_dir, &pids, &n));
    TRY(read_world(&world));
    qsort(pids, n, sizeof *pids, by_pid);
    strv_copy(&t.titles, wish->titles.items, wish->titles.n);
    t.rows = mem_array(NULL, n + 1, sizeof *t.rows);
    for (size_t i = 0; i < n; i++) {
        struct process p;
        if (!read_process(pids[i], &p))
            continue;
        struct strv row = { 0 };
        for (size_t k = 0; k < wish->n; k++) {
            own_str struct str cell = { 0 };
            wish->columns[k]->add(&p, &world, &cell);
            strv_add_take(&row, str_take(&cell));
        }
        free(p.args);
        t.rows[t.n++] = row;
    }
    *ret = t;
    container_say(c, "top", NULL);
    return NULL;
}
