// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/container_parts.h"
#include "engine/log_words.h"
#include "monitor/monitor.h"
#include "os/fs.h"

/* When each row ran, for `husk explain`: the struct as it is, since only this build of husk reads it. */
static void keep_times(const struct container *c, const struct steps_times *times)
{
    own_mem char *path = mem_printf("%s/start.times", c->state_dir);
    own_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || write(fd, times, sizeof *times) != (ssize_t)sizeof *times)
        log_debug("start.times: not kept");
}

static void write_pid(const char *path, pid_t pid)
{
    own_mem char *text = mem_printf("%d\n", (int)pid);
    if (!path)
        return;
    err *e = fs_write_out(AT_FDCWD, path, text, strlen(text));
    if (e)
        log_warn("pid file: %s", err_text(e));
    err_ignore(e, "the container runs all the same");
}

static void kill_and_reap(int pidfd)
{
    int status;
    err_ignore(proc_signal(pidfd, SIGKILL), "it may be dead already");
    err_ignore(proc_wait(pidfd, -1, &status), "it may be reaped already");
}

void monitor_plan_of(const struct container *c, struct proc_id init, const char *husk, const struct log_words *log,
                     struct monitor_plan *ret)
{
    const struct container_config *config = c->config;
    *ret = (struct monitor_plan){
        .id = c->row.id,
        .dir = c->dir,
        .state_dir = c->state_dir,
        .init = init,
        .log_driver = config->log->driver,
        .log_max_bytes = config->log->max_bytes < 0 ? 0 : config->log->max_bytes,
        .log_max_files = config->log->max_files,
        .log_max_age_s = config->log->max_age_s,
        .log_compress = config->log->compress,
        .log_attrs = log->attrs,
        .journal_fields = log->fields,
        .journal_socket = log->socket,
        .journal_buffer = config->log->buffer,
        .stdin_open = config->stdin_open,
        .chain = config->init_chain.n > 0,
        .settle = config->pod_ends,
        .remove = config->auto_remove,
        .husk = husk,
        .restart = config->restart,
        .restart_count = c->restarts,
        .restart_delay_ns = c->restart_delay_ns,
        .timeout_s = config->timeout_s,
    };
    if (config->health) {
        ret->health_interval_ms = config->health->interval_ns / 1000000;
        ret->health_start_interval_ms = config->health->start_interval_ns / 1000000;
        ret->health_start_period_ms = config->health->start_period_ns / 1000000;
        if (config->health->startup_test.n)
            ret->health_startup_interval_ms = config->health->startup_interval_ns / 1000000;
    }
}

static fallible become_monitor(const struct start_child *s, struct runtime_created *created, struct monitor_fds *fds)
{
    const struct container *c = s->container;
    own_mem char *husk = NULL;
    struct monitor_plan plan;
    TRY(self_path(&husk));
    monitor_plan_of(c, created->init, husk, s->log, &plan);
    plan.started_ns = created->started_ns;
    plan.cgroup_path = created->cgroup_path;
    plan.cgroup_text = created->cgroup_text;
    plan.hold = s->plan->network.hold;
    plan.names_fd = s->plan->network.dns_sock > 0 ? s->plan->network.dns_sock : 0;
    for (size_t i = 0; i < s->plan->network.plan.links_n; i++)
        plan.leases |= s->plan->network.plan.links[i].dhcp;
    plan.stdin_once = c->config->stdin_open && (s->client_fd >= 0 || c->waits);
    fds->pidfd = created->pidfd;
    fds->client_fd = s->client_fd;
    if (!c->restore)
        keep_times(c, &created->times);
    write_pid(c->config->pidfile, created->init.pid);
    write_pid(c->config->monitor_pidfile, getpid()); /* it is what this process becomes */
    container_say(c, c->restore ? "restore" : c->waits ? "init" : "start", NULL);
    if (write(s->answer_fd, &(char){ START_RUNS }, 1) !=
        1) /* the command is gone; the container is wanted all the same */
        log_debug("start: nobody waits for the answer");
    return monitor_exec(&plan, fds);
}

static fallible start(const struct start_child *s)
{
    const struct container *c = s->container;
    struct runtime_create create = s->plan->create;
    create.wait_for_start = c->waits;
    struct runtime_created created = { .pidfd = -1 };
    struct monitor_fds fds = MONITOR_FDS_NONE;
    if (c->config->tty)
        create.ret_console_fd = &fds.console_fd;
    else if (strcmp(c->config->log->driver, "passthrough") != 0)
        TRY(monitor_stdio_make(c->state_dir, c->config->stdin_open, create.stdio, &fds));
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* stays over the exec: no stray of a short program is missed */
    TRY(c->restore ? runtime_restore(&create, c->restore, &created) : runtime_create(&create, &created));
    for (int i = 0; i < 3; i++)
        close_now(&create.stdio[i]);
    err *e = become_monitor(s, &created, &fds);
    kill_and_reap(created.pidfd);
    err_ignore(runtime_delete(c->state_dir, true), "the first error says what went wrong");
    return e;
}

void start_child(const struct start_child *s)
{
    char text[ERR_ENCODED_MAX];
    if (setsid() < 0) /* the container must not end with the terminal that it was started from */
        log_debug("start: setsid: %s", strerror(errno));
    err *e = start(s);
    size_t n = err_encode(e, text, sizeof text);
    if (write(s->answer_fd, text, n) != (ssize_t)n)
        log_error("start container %.12s: %s", s->container->row.id, err_text(e));
    _exit(125);
}
