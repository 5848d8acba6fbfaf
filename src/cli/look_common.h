/*
 * look_common.h: what the commands of husk-look share: an image whose layers are open for reading, and nothing else.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_LOOK_COMMON_H
#define HUSK_CLI_LOOK_COMMON_H

#include "base/opt.h"
#include "codec/bind.h"
#include "layers/view.h"

extern const struct command cmd_image_blame, cmd_image_cat, cmd_image_diff, cmd_image_files, cmd_image_mount,
    cmd_image_tree, cmd_image_unmount, cmd_image_waste;

/* The store, opened for looking. An ordinary user becomes root of their user namespace, or could not read files of
 * subordinate ids. */
struct look {
    struct layout *store;
    int lock; /* as an adder holds it: nothing is removed meanwhile */
};
fallible look_open(struct look **ret);
void look_close(struct look *l);
OWN_TYPE(look, struct look *, look_close)

/* An image and its files. */
struct seen {
    struct image *image;
    struct view *view;
};
fallible look_at(struct look *l, const char *what, struct seen **ret);
void seen_free(struct seen *s);
OWN_TYPE(seen, struct seen *, seen_free)
/* From here on nothing can be written, and nothing read but the store and the layers of a and b (which may be NULL):
 * what follows are a stranger's files. */
fallible look_confine(const struct look *l, const struct seen *a, const struct seen *b);

/* The history entry that made a layer, or NULL: images need not have one for each. Borrowed. */
const struct oci_history *look_history(const struct oci_image_config *c, size_t layer);
/* The instruction as a person wrote it: one line, without "/bin/sh -c" and BuildKit's mark. Caller frees. */
char *look_instruction(const struct oci_history *h);
/* Cuts text to at most max (> 3) bytes, in place and between letters, with "..." at the end. */
void look_shorten(char *text, size_t max);
/* "-rwsr-xr-x" */
const char *look_mode(mode_t mode, char buf[12]);
/* Names may hold anything: control characters as "\n", "\x1b" for a terminal. Caller frees. */
char *look_quote(const char *name);
/* A name in JSON, which holds nothing but UTF-8: in one that is not, the bytes beyond ASCII are "\\xHH". */
json_t *look_json(const char *name);

#endif
