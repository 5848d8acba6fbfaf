/*
 * change.h: one line of a Dockerfile's grammar applied to an image's config: what `import --change` takes.
 * Source: dockerfile-reference.md; docker import's list: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL,
 * USER, VOLUME, WORKDIR.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_IMAGE_CHANGE_H
#define HUSK_IMAGE_CHANGE_H

#include "spec/oci_image.h"

/* INVALID names the instruction and what is wrong with it. */
fallible change_apply(const char *line, struct oci_image_run *run);

#endif
