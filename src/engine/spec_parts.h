/*
 * spec_parts.h: the larger parts of spec_make(): mounts, devices, limits. For engine/spec.c only.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_SPEC_PARTS_H
#define HUSK_ENGINE_SPEC_PARTS_H

#include "engine/spec.h"

/* The default mounts, the three generated files, then the user's, parents before children. */
fallible spec_add_mounts(const struct spec_input *in, struct oci_spec *spec);
/* --device and --privileged: nodes and cgroup rules. */
fallible spec_add_devices(const struct spec_input *in, struct oci_spec *spec);
fallible spec_add_resources(const struct spec_input *in, struct oci_spec *spec);

#endif
