// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * --manifest: what was built becomes an entry of a list (transport/list.h), which is made when there is none.
 * husk-image does it, with the images of an index one by one. Source: buildah-build(1).
 */
#include "build/build_parts.h"

fallible manifest_add(struct build *b, const struct oci_descriptor *image)
{
    if (!b->o->manifest)
        return NULL;
    own_mem char *name = mem_printf("localhost/husk-build-output:%.12s", digest_hex(image->digest));
    own_strv struct strv args = { 0 };
    TRY(layout_set_name(b->layout, name, image));
    strv_add(&args, "manifest");
    strv_add(&args, "create");
    strv_add(&args, "--amend");
    strv_add(&args, "--all");
    strv_add(&args, b->o->manifest);
    strv_add_printf(&args, "store:%s", name);
    err *e = deliver_image_program(&args, DELIVER_UNHEARD);
    err_ignore(layout_remove_name(b->layout, name), "it is the next build's");
    return e;
}
