/*
 * template.h: what exec needs of a container's configuration, kept in its folder once it was read.
 *
 * A health check runs exec every few seconds, and half of husk-oci's own time in it was the configuration: 18 KB of
 * JSON, most of it the names of system calls that are compiled to a filter long since. The first exec writes what it
 * has found beside state.json; later ones read that, as long as the configuration is the same file: same inode, size
 * and times. So an edited config.json counts, as before. It is written only when the file has been left alone for two
 * seconds: a second change within one tick of the clock could not be told from the first.
 *
 * The file "exec.template", machine byte order, read by the build that wrote it alone:
 *
 *   offset 0   struct template_head (template.c)
 *              the configuration's path, then JSON: process, linux.personality and linux.memoryPolicy of config.json;
 *              then NUL up to a multiple of 8
 *              struct sock_filter each
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_OCI_TEMPLATE_H
#define HUSK_OCI_TEMPLATE_H

#include "process/seccomp.h"
#include "spec/oci_runtime.h"

struct template
{
    struct oci_spec *spec;        /* of a kept one only what stands above */
    struct seccomp_filter filter; /* of spec->linux_->seccomp, unless that needs an agent */
    bool filtered;                /* and there is one */
};
void template_clear(struct template *t);
static inline void own_drop_template(struct template *t)
{
    template_clear(t);
}

/* dir: the container's folder. As kept, or of the configuration itself, and kept then. */
fallible template_find(const char *dir, struct template *ret);

#endif
