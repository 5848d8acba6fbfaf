// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/container_parts.h"
#include "monitor/monitor.h"

fallible container_adopt(struct container *c)
{
    const struct container_config *config;
    own(runtime_state) struct runtime_state *r = NULL;
    own_mem char *husk = NULL;
    struct monitor_plan plan;
    TRY(container_lock(c));
    TRY(container_config(c, &config));
    TRY(runtime_state_read(c->state_dir, &r));
    TRY(self_path(&husk));
    monitor_plan_of(c, r->init, husk, &plan);
    plan.started_ns = r->created_ns;
    plan.cgroup_path = r->cgroup_path;
    plan.cgroup_text = r->cgroup_text;
    return monitor_adopt(&plan);
}
