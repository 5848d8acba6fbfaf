/*
 * packages_view.h: the packages that an image's own databases list, wherever its layers have them.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_PACKAGES_VIEW_H
#define HUSK_LAYERS_PACKAGES_VIEW_H

#include "layers/packages.h"
#include "layers/view.h"

/* Adds them, unsorted: of dpkg also those of images that have a file for each package (status.d). An image without a
 * database has none. */
fallible packages_of_view(struct view *v, enum packages_form form, struct packages *p);
/* Has the image an RPM database in a form that is not read: Berkeley DB's, or ndb? */
bool packages_has_old_rpm(struct view *v);
/* A regular file of the image, at most max bytes; *ret NULL: it has none. Caller frees. */
fallible view_read_text(struct view *v, const char *path, size_t max, char **ret, size_t *ret_len);

#endif
