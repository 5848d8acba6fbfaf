/*
 * bootstrap.h: a Debian base image made by Debian's own mmdebstrap from the mirror that this system installs from. Its
 * tar goes through a pipe into layers/import.h; nothing is unpacked twice.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_BOOTSTRAP_H
#define HUSK_LAYERS_BOOTSTRAP_H

#include "base/err.h"
#include "base/mem.h"

/**
 * bootstrap_suite - what a name asks for: "debian:bookworm", "debian:12", "debian" (stable), "ubuntu:noble".
 * @ret_distribution: "debian"; caller frees, as @ret_suite.
 */
fallible bootstrap_suite(const char *name, char **ret_distribution, char **ret_suite);

/**
 * bootstrap_mirrors - the lines for a suite, as sources.list(5) has them, from the system's own apt sources.
 * @etc_apt: "/etc/apt". @ret: lines "deb URI SUITE COMPONENTS"; empty when none fits: mmdebstrap then uses its default.
 * A mirror of the distribution is used for suites that it is not listed with, too: it has them all.
 */
fallible bootstrap_mirrors(const char *etc_apt, const char *distribution, const char *suite, const char *components,
                           struct strv *ret);

struct bootstrap {
    const char *suite, *variant, *components;
    const char *architecture; /* Debian's word: "arm64"; NULL: this machine's. A foreign one needs qemu-user */
    const char *cache;        /* absolute directory of .debs, used and added to; NULL: none */
    struct strv include;      /* packages */
    struct strv mirrors;      /* lines of sources.list, or URIs */
    bool quiet;
};
/**
 * bootstrap_start - begin to make the root filesystem. Called as the user himself, before userns_enter(): mmdebstrap
 * makes a user namespace of its own.
 * @ret_tar_fd: the tar, from mmdebstrap's standard output. Both descriptors are the caller's.
 */
fallible bootstrap_start(const struct bootstrap *b, int *ret_tar_fd, int *ret_pidfd);
/* Waits for it. NOT_FOUND with the cure: mmdebstrap is not installed. UNAVAILABLE: it ended with an error. */
fallible bootstrap_wait(int pidfd);

#endif
