/*
 * image_name.h: names of images: one more, one less, all of them.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_IMAGE_NAME_H
#define HUSK_ENGINE_IMAGE_NAME_H

#include "engine/engine.h"

/* Another name for an image. */
fallible image_tag(struct engine *e, const char *what, const char *name);
/**
 * image_untag - names of an image go, the image stays: with the last one it is known by its ID.
 * @names: n of them; 0: all that it has.
 * @ret_lines: "Untagged: NAME".
 * Errors: NOT_FOUND; INVALID for a name that is another image's: then none is removed.
 */
fallible image_untag(struct engine *e, const char *what, char *const *names, size_t n, struct strv *ret_lines);
/* All full names in the store that lead to this image. */
fallible image_names(struct engine *e, const struct image *image, struct strv *ret);
/* The digests by which index.json has it without a name: several where it came in several forms. */
fallible image_unnamed(struct engine *e, const char *id, struct strv *ret);
/* "Untagged: busybox:latest" of a full name. */
fallible image_say_untagged(const char *full, struct strv *ret_lines);
/* Says in the event log what was done to it, with its labels. name: a full one or an ID; NULL: the ID. */
void image_event(struct engine *e, const struct image *image, const char *action, const char *name);

#endif
