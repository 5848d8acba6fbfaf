/*
 * oci_check.h: what the runtime specification says of a config.json beyond the types of its values, which the tables of
 * oci_runtime.c hold: ranges, names, paths that are absolute, what may not be there twice.
 *
 * What this kernel or this host cannot do is no matter of the document, and refused later.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_SPEC_OCI_CHECK_H
#define HUSK_SPEC_OCI_CHECK_H

#include "spec/oci_runtime.h"

/* INVALID: the first thing that is wrong, with its place. Source: runtime-spec 1.3, config.md, config-linux.md, schema.
 */
fallible oci_check(const struct oci_spec *spec);

#endif
