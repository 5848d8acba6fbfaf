/*
 * options_parts.h: the parts of options_merge() that few containers need. Of engine/options*.c only.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_OPTIONS_PARTS_H
#define HUSK_ENGINE_OPTIONS_PARTS_H

#include "engine/options.h"

/* What the variables are before --env: path (an assignment), the image's, the host's. */
fallible options_base_env(const struct create_options *o, const char *path, const struct strv *image, struct strv *env);
fallible options_more_limits(const struct create_options *o, struct container_resources *r);
/* After all others. UNSUPPORTED for what husk has not, with the reason. */
fallible options_merge_more(const struct create_options *o, struct container_config *c);
/* Unless something is mounted there already. size: NULL for the kernel's default. */
void options_add_tmpfs(struct container_config *c, const char *target, const char *mode, const char *size);
/* --userns, --uidmap and the like: into c->userns, uid_map, gid_map. userns_options.c. */
fallible options_merge_userns(const struct create_options *o, struct container_config *c);
/* One --security-opt. INVALID, UNSUPPORTED. options_security.c. */
fallible options_merge_security(const char *text, struct container_config *c);

#endif
