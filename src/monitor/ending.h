/*
 * ending.h: what the kernel says about a container that has ended, and what is left of it there.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_MONITOR_ENDING_H
#define HUSK_MONITOR_ENDING_H

#include "monitor/monitor.h"

/* Exit code and signal of the first process, by waitid(2); for one that is not our child (monitor_adopt), from
 * /proc while it waits to be reaped or from its pidfd then, or record->error says that it is not known. */
void ending_collect(const struct monitor_plan *plan, int pidfd, struct monitor_exit *record);
/* Before ending_collect(): with --init-chain, what the first process is called, which the kernel knows until it is
 * reaped: the program that it executed last, cut to 15 bytes (proc(5), /proc/pid/comm). */
void ending_note_task(const struct monitor_plan *plan, struct monitor_exit *record);
/* Kills the container: its first process and what its control group holds. */
void ending_kill(const struct monitor_plan *plan, int pidfd);
/* Takes its published ports out of the firewall, and lets go of them: network/firewall.h, network/reserve.h. *ret_sock:
 * firewall_withdraw()'s, for the end of this process to close, when nobody waits for it any more. */
void ending_clear_network(const struct monitor_plan *plan, int state_fd, int *ret_sock);
/* Whether the memory limit killed it; then kills what is left in the cgroup and removes it. NULL: there is none. */
void ending_clear_cgroup(const struct monitor_plan *plan, struct monitor_exit *record);

/* Where no control group names the container's processes, and its pid namespace may be another's: the mount namespace
 * that they are in, asked while the first one runs; 0: there is a group, or it has ended already. */
uint64_t ending_world(const struct monitor_plan *plan);
/* Kills what was left to us of that world: whoever is left by its parent in there comes to us (PR_SET_CHILD_SUBREAPER,
 * monitor/start.c). Nothing where there is a control group. */
void ending_kill_strays(const struct monitor_plan *plan, uint64_t world);

#endif
