// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/container_parts.h"
#include "engine/log_words.h"
#include "engine/network_start.h"
#include "monitor/monitor.h"

fallible container_adopt(struct container *c)
{
    const struct container_config *config;
    own(runtime_state) struct runtime_state *r = NULL;
    own_mem char *husk = NULL;
    struct monitor_plan plan;
    struct log_words log = { 0 };
    struct container_network network = { .dns_sock = -1 };
    TRY(container_lock(c));
    if (monitor_alive(c->state_dir)) /* another was quicker */
        return NULL;
    TRY(container_config(c, &config));
    TRY(runtime_state_read(c->state_dir, &r));
    TRY(self_path(&husk));
    err_ignore(log_words_make(c, &log), "a journal that is gone must not leave the container without a monitor");
    monitor_plan_of(c, r->init, husk, &log, &plan);
    plan.started_ns = r->created_ns;
    plan.cgroup_path = r->cgroup_path;
    plan.cgroup_text = r->cgroup_text;
    plan.restart_count = container_restarts(c);
    err_ignore(network_hold_again(c, &network), "it is connected all the same");
    plan.hold = network.hold;
    plan.names_fd = network.dns_sock > 0 ? network.dns_sock : 0;
    plan.leases = true; /* it looks whether there are any */
    err *e = monitor_adopt(&plan);
    container_network_clear(&network);
    log_words_clear(&log);
    return e;
}
