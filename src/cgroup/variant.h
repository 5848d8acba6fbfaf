/*
 * variant.h: D-Bus values as text, as people write them in the annotation org.systemd.property.NAME.
 *
 * The form is GVariant's: true, 5 (int32), "uint64 5" and its brothers, 1.5, 'text', ['a', 'b'], ('a', uint32 1),
 * "@as []" for an empty array. Signatures of other containers (variants, dictionaries) are refused.
 * Source: GLib, "GVariant Text Format"; runc, docs/systemd.md.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CGROUP_VARIANT_H
#define HUSK_CGROUP_VARIANT_H

#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

struct variant {
    char *signature; /* "s", "as", "a(su)" */
    union {
        bool b;     /* b */
        uint64_t u; /* y n i x q u t: sign-extended */
        double d;   /* d */
        char *text; /* s o g */
    };
    struct variant *items; /* of an array or a structure */
    size_t n;
};

/* INVALID, with the place. Structures nest 8 deep at most. */
fallible variant_parse(const char *text, struct variant *ret);
void variant_clear(struct variant *v);
static inline void own_drop_variant(struct variant *v)
{
    variant_clear(v);
}

#endif
