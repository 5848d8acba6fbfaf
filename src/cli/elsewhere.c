/*
 * The words of docker and podman that husk has no command for: each says what to use instead. A program
 * libexec/husk/husk-WORD that others add goes before it.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/elsewhere.h"

#define ELSEWHERE(id, word, text)                                                                                      \
    const struct command elsewhere_##id = { .name = word, .hidden = true, .max_args = -1, .elsewhere = text }

#define CLUSTER "husk runs containers on one host: 'husk run --restart always' and 'husk autostart install' keep one up"
ELSEWHERE(swarm, "swarm", CLUSTER);
ELSEWHERE(node, "node", CLUSTER);
ELSEWHERE(service, "service", CLUSTER);
ELSEWHERE(stack, "stack", CLUSTER);
ELSEWHERE(config, "config", "it is for clusters: mount a file with 'husk run -v', or use 'husk secret'");
ELSEWHERE(kube, "kube", "pods are made by 'husk pod create' and 'husk run --pod', not from Kubernetes files");
ELSEWHERE(play, "play", "pods are made by 'husk pod create' and 'husk run --pod', not from Kubernetes files");
ELSEWHERE(generate, "generate", "'husk autostart install' writes the unit for the init that runs here");
ELSEWHERE(quadlet, "quadlet", "'husk run --restart always' and 'husk autostart install' start containers at boot");
ELSEWHERE(auto_update, "auto-update",
          "'husk pull' fetches the newer image, 'husk run --replace --pull newer' takes it");
ELSEWHERE(compose, "compose", "each service is one 'husk run --network NAME --name SERVICE'; names resolve there");
ELSEWHERE(machine, "machine", "husk runs on the Linux host itself and needs no virtual machine");
ELSEWHERE(context, "context", "there is no daemon to point at: run husk on the other host, such as by 'ssh HOST husk'");
ELSEWHERE(plugin, "plugin",
          "volume drivers and CNI plugins are programs on the host: see 'husk volume create --help' "
          "and 'husk network create --help'");
ELSEWHERE(trust, "trust", "'husk image sign' signs, 'husk image verify' checks, policy.json says whose are taken");
ELSEWHERE(
    buildx, "buildx",
    "'husk build' builds for several platforms and exports by itself, 'husk builder' manages its cache: there are "
    "no builders to make or choose (buildx build, du, prune, version and imagetools inspect are taken)");
ELSEWHERE(farm, "farm", "'husk build --platform' builds for several platforms on this host");
ELSEWHERE(cleanup, "cleanup", "each command mends what a killed one left, 'husk system check --repair' does all");
ELSEWHERE(scp, "scp", "'husk copy IMAGE ssh://HOST/IMAGE' sends an image to another host");
ELSEWHERE(connection, "connection",
          "there is no daemon to connect to: run husk on the other host, such as by "
          "'ssh HOST husk'");
ELSEWHERE(system_service, "service", "there is no daemon and no API socket: run husk itself");
ELSEWHERE(migrate, "migrate", "a newer husk takes over the store and what runs by itself");
ELSEWHERE(renumber, "renumber", "there are no numbered locks: 'husk system check --repair' mends what is amiss");
