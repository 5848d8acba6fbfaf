// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/why.h"

#include <ctype.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/container_parts.h"
#include "engine/why_parts.h"
#include "monitor/attach.h"
#include "monitor/restart.h"

#define SECOND_NS 1000000000ll

void why_free(struct why *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->facts_n; i++) {
        free(w->facts[i].label);
        free(w->facts[i].text);
    }
    free(w->facts);
    free(w->headline);
    strv_free(&w->likely);
    strv_free(&w->unknown);
    strv_free(&w->cures);
    free(w);
}

static char *format_text(const char *format, va_list ap)
{
    char *text = NULL;
    if (vasprintf(&text, format, ap) < 0)
        return mem_strdup("");
    for (char *p = text; *p; p++) /* a stranger's words are one line, and tell a terminal nothing */
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
    for (size_t n = strlen(text); n && text[n - 1] == ' ';)
        text[--n] = '\0';
    return text;
}

void why_fact(struct why *w, const char *label, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    w->facts = mem_array(w->facts, w->facts_n + 1, sizeof *w->facts);
    w->facts[w->facts_n++] = (struct why_fact){ mem_strdup(label), format_text(format, ap) };
    va_end(ap);
}

void why_headline(struct why *w, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    free(w->headline);
    w->headline = format_text(format, ap);
    va_end(ap);
}

/* ---- the kernel's log ---- */

const struct kernel_entry *why_kernel(const struct evidence *e, enum kernel_kind kind, enum why_whose whose)
{
    for (size_t i = e->kernel_n; i > 0; i--) {
        const struct kernel_entry *k = &e->kernel[i - 1];
        if (k->kind == kind && (whose == WHY_ANY_PROCESS || (e->record && k->pid == e->record->pid)))
            return k;
    }
    return NULL;
}

char *why_call_name(const struct kernel_entry *k)
{
    char *name = seccomp_syscall_resolve_num_arch((uint32_t)k->arch, (int)k->syscall);
    char *text = name ? mem_strdup(name) : mem_printf("system call %lld", (long long)k->syscall);
    free(name);
    return text;
}

/* An OOM kill names the group, which ends with the container's ID. Others are told apart by pid and time alone. */
static bool is_ours(const struct evidence *e, const struct kernel_entry *k)
{
    int64_t until = e->state.finished_ns ? e->state.finished_ns + SECOND_NS : INT64_MAX;
    if (k->at_ns > until)
        return false;
    if (k->kind == KERNEL_OOM)
        return strstr(k->cgroup, e->c->row.id) || (e->record && k->pid == e->record->pid);
    return k->pid == (e->record ? e->record->pid : e->state.init.pid);
}

static void on_entry(void *ctx, const struct kernel_entry *k)
{
    struct evidence *e = ctx;
    if (!is_ours(e, k))
        return;
    if (e->kernel_n == WHY_KERNEL_MAX)
        memmove(e->kernel, e->kernel + 1, (WHY_KERNEL_MAX - 1) * sizeof *e->kernel);
    else
        e->kernel_n++;
    e->kernel[e->kernel_n - 1] = *k;
}

/* ---- the evidence ---- */

static void gather_record(struct evidence *e)
{
    const char *dir;
    err *failed = container_record_dir(e->c, &dir);
    if (!failed)
        failed = monitor_exit_read(dir, &e->record);
    err_ignore(failed, "none: it runs, or never did");
    err_ignore(container_sender(e->c, &e->sender), "none: nobody of husk's signalled it");
    if (e->sender && e->sender->at_ns < e->state.started_ns) {
        container_sender_free(e->sender);
        e->sender = NULL;
    }
}

static fallible gather(struct container *c, struct evidence *e)
{
    e->c = c;
    e->name = c->row.name;
    TRY(container_config(c, &e->config));
    TRY(container_state(c, &e->state));
    gather_record(e);
    TRY(health_read(c, &e->health));
    err_ignore(container_spec(c, &e->spec), "none: it was never started");
    if (e->state.started_ns) {
        err *failed = kernel_log_read(e->state.started_ns - SECOND_NS, on_entry, e);
        e->kernel_denied = failed != NULL;
        err_ignore(failed, "said among what cannot be known");
    }
    if (str_eq(e->config->log->driver, "none"))
        return NULL;
    err_ignore(logs_tail(c->dir, WHY_LINES_MAX, &e->lines), "then without its last words");
    return NULL;
}

static void evidence_clear(struct evidence *e)
{
    container_state_clear(&e->state);
    monitor_exit_free(e->record);
    container_sender_free(e->sender);
    health_state_free(e->health);
    strv_free(&e->lines);
    oci_spec_free(e->spec);
}

/* ---- one that has not ended ---- */

const char *why_duration(int64_t seconds, char words[64])
{
    (void)format_duration(seconds > 0 ? (uint64_t)seconds : 0, words);
    words[0] = (char)tolower((unsigned char)words[0]);
    return words;
}

static const char *since(int64_t ns, char words[64])
{
    struct timespec now = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t seconds = now.tv_sec - ns / SECOND_NS;
    return why_duration(seconds, words);
}

static void add_health(const struct evidence *e, struct why *w)
{
    const struct health_state *h = e->health;
    const struct health_result *last = h && h->log_n ? &h->log[h->log_n - 1] : NULL;
    own_str struct str test = { 0 };
    char words[64];
    if (!h)
        return;
    for (size_t i = 1; i < e->config->health->test.n; i++)
        str_printf(&test, "%s%s", i > 1 ? " " : "", e->config->health->test.items[i]);
    why_fact(w, "health check", "%s", test.text ? test.text : "");
    if (!last)
        return;
    if (last->exit_code < 0)
        why_fact(w, "last answer", "none, %s ago: %s", since(last->end_ns, words), last->output ? last->output : "");
    else
        why_fact(w, "last answer", "exit code %lld, %s ago%s%s", (long long)last->exit_code, since(last->end_ns, words),
                 last->output && *last->output ? ": " : "", last->output ? last->output : "");
    if (h->failing_streak)
        why_fact(w, "failures in a row", "%lld of %lld until it is unhealthy", (long long)h->failing_streak,
                 (long long)e->config->health->retries);
}

static void unhealthy(const struct evidence *e, struct why *w)
{
    const struct health_result *last = e->health->log_n ? &e->health->log[e->health->log_n - 1] : NULL;
    why_headline(w, "%s runs, but is unhealthy: its check failed %lld times in a row", e->name,
                 (long long)e->health->failing_streak);
    if (last && last->exit_code < 0)
        strv_add_printf(&w->cures, "husk run --health-timeout 60s ...    gives the check more time");
    strv_add_printf(&w->cures, "husk healthcheck run %s    asks again, now", e->name);
    if (!e->config->health->start_period_ns)
        strv_add_printf(&w->cures, "husk run --health-start-period 30s ...    does not count failures while it starts");
    if (!e->config->health->on_unhealthy)
        strv_add_printf(&w->cures, "husk run --on-unhealthy restart ...    restarts it when this happens");
}

static void running(const struct evidence *e, struct why *w)
{
    char words[64];
    if (e->health && str_eq(e->health->status, "unhealthy"))
        unhealthy(e, w);
    else
        why_headline(w, "%s runs, for %s%s%s", e->name, since(e->state.started_ns, words),
                     e->health ? "; health: " : "", e->health ? e->health->status : "");
    add_health(e, w);
    int64_t restarts = container_restarts(e->c);
    if (restarts)
        why_fact(w, "restarts", "%lld, by its policy (%s)", (long long)restarts, e->config->restart);
    for (size_t i = 0; i < e->kernel_n; i++)
        if (e->kernel[i].kind == KERNEL_OOM)
            why_fact(w, "out of memory", "'%s' (pid %lld) was killed in it, %s ago", e->kernel[i].task,
                     (long long)e->kernel[i].pid, since(e->kernel[i].at_ns, words));
}

static void paused(const struct evidence *e, struct why *w)
{
    why_headline(w, "%s is paused: its processes are frozen, and nothing of it runs", e->name);
    strv_add_printf(&w->cures, "husk unpause %s", e->name);
}

/* ---- one that was not started ---- */

static void not_started(const struct evidence *e, struct why *w)
{
    if (!e->state.error) {
        why_headline(w, "%s was never started", e->name);
        strv_add_printf(&w->cures, "husk start %s", e->name);
        return;
    }
    int64_t code = e->record ? e->record->exit_code : 125;
    const char *program = why_command(e);
    why_fact(w, "the reason", "%s", e->state.error);
    if (why_program(e, code, w))
        return;
    if (code == 127) {
        why_headline(w, "%s could not be started: its command '%s' is not in it", e->name, program);
        strv_add_printf(&w->cures,
                        "husk create --entrypoint PROGRAM ...    names another; husk image files %s    lists its "
                        "files",
                        e->c->row.image ? e->c->row.image : "IMAGE");
    } else if (code == 126) {
        why_headline(w, "%s could not be started: its command '%s' is there but cannot be run", e->name, program);
        strv_add_printf(&w->cures, "chmod +x on the file when the image is built, or another --user or command");
    } else {
        why_headline(w, "%s could not be started", e->name);
    }
}

static void restarting(const struct evidence *e, struct why *w)
{
    struct timespec now = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t left = (e->state.restart_ns - ((int64_t)now.tv_sec * SECOND_NS + now.tv_nsec) + SECOND_NS / 2) / SECOND_NS;
    why_ended(e, w);
    own_mem char *why = take(w->headline);
    why_headline(w, "%s is started again in %lld seconds: %s", e->name, (long long)(left > 0 ? left : 0), why);
    why_fact(w, "restarts", "%lld so far, by its policy (%s)", (long long)container_restarts(e->c), e->config->restart);
    strv_add_printf(&w->cures, "husk stop %s    ends that; husk update --restart on-failure:5 %s    bounds it", e->name,
                    e->name);
}

fallible container_why(struct container *c, struct why **ret)
{
    own(why) struct why *w = mem_zalloc(sizeof *w);
    struct evidence e = { 0 };
    err *failed = gather(c, &e);
    if (!failed)
        switch (e.state.status) {
        case CONTAINER_RUNNING:
            if (e.state.waits)
                why_headline(w, "%s is initialized: its program waits for husk start %s", e.name, e.name);
            else
                running(&e, w);
            break;
        case CONTAINER_PAUSED:
            paused(&e, w);
            break;
        case CONTAINER_CREATED:
            not_started(&e, w);
            break;
        case CONTAINER_RESTARTING:
            restarting(&e, w);
            break;
        case CONTAINER_EXITED:
            why_ended(&e, w);
            break;
        }
    evidence_clear(&e);
    TRY(failed);
    *ret = take(w);
    return NULL;
}
