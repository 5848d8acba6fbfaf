/*
 * profile.h: Docker's seccomp profile format (conditional on capabilities, architecture, kernel) -> the runtime spec's.
 * Source: moby/profiles, seccomp/default.json at cd3bed80 (2026-06-30), Apache-2.0; it is embedded in the program.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_PROCESS_PROFILE_H
#define HUSK_PROCESS_PROFILE_H

#include "spec/oci_runtime.h"

/**
 * seccomp_profile_read - a profile for a container that keeps these capabilities.
 * @text: Docker's JSON (with includes, excludes, archMap), or a plain runtime-spec seccomp object.
 * @capabilities: the container's bounding set, bit per number.
 * *ret is freed with bind_free(&oci_seccomp_type, ...).
 * Errors: INVALID, with the place.
 */
fallible seccomp_profile_read(const char *text, size_t len, uint64_t capabilities, struct oci_seccomp **ret);
/*
 * Docker's default profile: src/process/seccomp-default.json, made into tables when husk is built, so that no JSON is
 * parsed (16 us instead of 234). The answer is an ordinary seccomp object: it is what config.json must contain, so that
 * runc and crun can replay it; writing it there costs 80 us, compiling it 186 us once and 13 us from the cache.
 */
fallible seccomp_profile_default(uint64_t capabilities, struct oci_seccomp **ret);

#endif
