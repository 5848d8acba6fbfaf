/*
 * elsewhere.h: rows for commands of docker and podman that are none of husk's (base/opt.h).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_ELSEWHERE_H
#define HUSK_CLI_ELSEWHERE_H

#include "base/opt.h"

extern const struct command elsewhere_swarm, elsewhere_node, elsewhere_service, elsewhere_stack, elsewhere_config,
    elsewhere_kube, elsewhere_play, elsewhere_generate, elsewhere_quadlet, elsewhere_auto_update, elsewhere_compose,
    elsewhere_machine, elsewhere_context, elsewhere_plugin, elsewhere_trust, elsewhere_buildx, elsewhere_farm,
    elsewhere_cleanup, elsewhere_scp, elsewhere_connection, elsewhere_system_service, elsewhere_migrate,
    elsewhere_renumber;

#endif
