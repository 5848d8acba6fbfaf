/*
 * grammar.h: the little languages of docker's options: volumes, mounts, devices, ulimits, env files, hosts. Text in,
 * config.h's structs out; nothing is looked up except where a function says so.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_GRAMMAR_H
#define HUSK_ENGINE_GRAMMAR_H

#include "engine/config.h"

/* -v [SOURCE:]TARGET[:OPTIONS]: ro, rw, z, Z, U, O, nocopy, subpath=, noexec ..., [r]shared, [r]slave, [r]private. A
 * source with a slash is a path (relative to the working directory when it begins with "."), else a volume's name.
 * *ret is zeroed before. */
fallible grammar_volume(const char *text, struct container_mount *ret);
/* --mount KEY=VALUE,...: docker's and podman's keys; the table in grammar_mount.c. */
fallible grammar_mount(const char *text, struct container_mount *ret);
/* --tmpfs TARGET[:OPTIONS] */
fallible grammar_tmpfs(const char *text, struct container_mount *ret);
void container_mount_clear(struct container_mount *m);

/* --volume-driver and volume-driver=: "local", or the reason why not. */
fallible grammar_volume_driver(const char *name);

/* --device HOST[:PATH][:rwm] */
fallible grammar_device(const char *text, struct container_device *ret);
void container_device_clear(struct container_device *d);
/* --ulimit NAME=SOFT[:HARD]; -1 is unlimited */
fallible grammar_ulimit(const char *text, struct container_ulimit *ret);
/* --device-cgroup-rule "c 1:3 rwm" */
fallible grammar_device_rule(const char *text);

/* -e KEY=VALUE, or KEY alone: our own value, nothing when we have none. */
fallible grammar_env(const char *text, struct strv *env);
/* Lines of --env-file: KEY=VALUE or KEY; '#' begins a comment line. Reads the file. */
fallible grammar_env_file(const char *path, struct strv *env);
/* KEY=VALUE, or KEY alone with an empty value. */
fallible grammar_label(const char *text, struct strmap *labels);
fallible grammar_label_file(const char *path, struct strmap *labels);
/* --add-host NAME:IP or NAME=IP; IP may be "host-gateway" or in brackets. Checked, kept as "NAME:IP". */
fallible grammar_add_host(const char *text, char **ret);
/* An IP address, v4 or v6. */
bool grammar_is_ip(const char *text);
/* --sysctl KEY=VALUE */
fallible grammar_sysctl(const char *text, struct strmap *sysctl);
/* container and volume names: [a-zA-Z0-9][a-zA-Z0-9_.-]+ */
fallible grammar_name(const char *what, const char *text);
/* --user NAME|UID[:GROUP|GID] -> its two parts (group NULL when absent). Caller frees. */
fallible grammar_user(const char *text, char **ret_user, char **ret_group);
/* "0-3,7": the kernel's list format */
fallible grammar_cpu_list(const char *text);

#endif
