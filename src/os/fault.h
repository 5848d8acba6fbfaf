/*
 * fault.h: places between two steps at which tests kill the process, beside the rows of a start (os/steps.h).
 *
 * HUSK_FAULT="kill@NAME" kills it there, in builds with -Dfault_injection=true; in others there is nothing. What is
 * HUSK_FAULT="lack@NAME" there has a kernel that has not what is asked of it (FAULT_LACKS). What is
 * left must be gone after the next command: tests/bats/602-network-more.bats, 761-network-killed.bats, 771-trash.bats
 * and 576-pods.bats walk the whole table.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_OS_FAULT_H
#define HUSK_OS_FAULT_H

#include <stdbool.h>

#define FAULT_POINTS(X)                                                                                                \
    X(FAULT_LEASED, "addresses-leased")                                                                                \
    X(FAULT_BRIDGE, "bridge-made")                                                                                     \
    X(FAULT_NETWORK, "network-in-firewall")                                                                            \
    X(FAULT_RESERVED, "port-reserved")                                                                                 \
    X(FAULT_NAMES, "names-served")                                                                                     \
    X(FAULT_NOTED, "firewall-noted")                                                                                   \
    X(FAULT_LINKED, "interface-made")                                                                                  \
    X(FAULT_PUBLISHED, "ports-published")                                                                              \
    X(FAULT_WITHDRAWN, "elements-withdrawn")                                                                           \
    X(FAULT_RUNTIME_GONE, "runtime-removed")                                                                           \
    X(FAULT_TRASH_ROW, "trash-row")                                                                                    \
    X(FAULT_TRASH_VOLUME, "trash-volume-row")                                                                          \
    X(FAULT_TRASH_IMAGE, "trash-image-row")                                                                            \
    X(FAULT_TRASH_FORGOTTEN, "trash-forgotten")                                                                        \
    X(FAULT_UNDO_FOLDER, "undo-folder")                                                                                \
    X(FAULT_UNDO_IMAGE, "undo-image")                                                                                  \
    X(FAULT_UNDO_VOLUME, "undo-volume")                                                                                \
    X(FAULT_UNDO_NETWORK, "undo-network")                                                                              \
    X(FAULT_POD_MADE, "pod-made")                                                                                      \
    X(FAULT_POD_HELD, "pod-held")                                                                                      \
    X(FAULT_POD_STOPPED, "pod-stopped")                                                                                \
    X(FAULT_POD_EMPTY, "pod-empty")                                                                                    \
    X(FAULT_POD_GONE, "pod-gone")                                                                                      \
    X(FAULT_ROW_GONE, "row-removed")                                                                                   \
    X(FAULT_CONNECTED_ROW, "endpoint-added")                                                                           \
    X(FAULT_POLICY_ROW, "policy-changed")                                                                              \
    X(FAULT_CNI_PLUGIN, "cni-plugin")                                                                                  \
    X(FAULT_FLOWS_ROW, "flows-switched")                                                                               \
    X(FAULT_FLOWS_FORGOTTEN, "flows-forgotten")                                                                        \
    X(FAULT_CONNECTED_LIVE, "endpoint-connected")                                                                      \
    X(FAULT_CHANGE_BEGUN, "change-begun")                                                                              \
    X(FAULT_CHANGE_ROW, "change-in-rows")                                                                              \
    X(FAULT_CHANGE_LINK, "change-of-interface")                                                                        \
    X(FAULT_CHANGE_NOTED, "change-noted")                                                                              \
    X(FAULT_CHANGE_OUT, "change-elements-out")                                                                         \
    X(FAULT_CHANGE_IN, "change-elements-in")                                                                           \
    X(FAULT_CHANGE_DONE, "change-done")                                                                                \
    X(FAULT_NAMES_GONE, "network-names-gone")                                                                          \
    X(FAULT_BRIDGE_GONE, "bridge-removed")                                                                             \
    X(FAULT_WHOLE, "user-connected")                                                                                   \
    X(FAULT_NETWORK_GONE, "network-out-of-firewall")

/* What a kernel may be without, and this one has. */
#define FAULT_LACKS(X) X(LACKS_CT_MARK, "ct-mark") /* CONFIG_NF_CONNTRACK_MARK */

#define X(id, name) id,
enum fault_point { FAULT_POINTS(X) };
enum fault_lack { FAULT_LACKS(X) };
#undef X

#ifdef HUSK_FAULT_INJECTION
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline void fault_here(enum fault_point p)
{
#define X(id, name) name,
    static const char *const names[] = { FAULT_POINTS(X) };
#undef X
    const char *asked = getenv("HUSK_FAULT");
    if (asked && strncmp(asked, "kill@", 5) == 0 && strcmp(asked + 5, names[p]) == 0)
        (void)kill(getpid(), SIGKILL);
}
static inline bool fault_lacks(enum fault_lack l)
{
#define X(id, name) name,
    static const char *const names[] = { FAULT_LACKS(X) };
#undef X
    const char *asked = getenv("HUSK_FAULT");
    return asked && strncmp(asked, "lack@", 5) == 0 && strcmp(asked + 5, names[l]) == 0;
}
#else
static inline bool fault_lacks(enum fault_lack l)
{
    (void)l;
    return false;
}
static inline void fault_here(enum fault_point p)
{
    (void)p;
}
#endif

#endif
