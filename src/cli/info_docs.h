/*
 * info_docs.h: what scripts ask of `docker info` and `podman info` by name.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_INFO_DOCS_H
#define HUSK_CLI_INFO_DOCS_H

#include <sys/utsname.h>

#include "codec/bind.h"

/* Adds docker's names, and podman's below Host and Store, to husk's own document, of which they are made. A fact that
 * husk has no such thing of is not among them: who asks for it hears that there is no such field. */
void info_add_their_names(json_t *doc, const struct utsname *u);

#endif
