// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/image_embedded.h"

#include "codec/tar.h"
#include "generated/hello.h"
#include "image/blob.h"
#include "layers/import.h"
#include "layers/unpack.h"

/* Fixed, so that the image has one digest for one program. 1 January 2026, 00:00 UTC. */
enum { CREATED_S = 1767225600 };

static void make_tar(struct str *out)
{
    struct tar_entry file = {
        .type = TAR_FILE, .path = "hello", .mode = 0755, .size = sizeof hello_program, .mtime_s = CREATED_S
    };
    struct tar_entry root = { .type = TAR_DIR, .path = "./", .mode = 0755, .mtime_s = CREATED_S };
    tar_write_header(out, &root);
    tar_write_header(out, &file);
    str_add_n(out, hello_program, sizeof hello_program);
    tar_pad(out, sizeof hello_program);
    tar_end(out);
}

fallible embedded_load(struct layout *l)
{
    own_str struct str tar = { 0 };
    own_mem char *digest = NULL;
    own_mem char *id = NULL;
    own(import_target) struct oci_descriptor *target = NULL;
    char *entrypoint[] = { (char *)"/hello", NULL };
    struct oci_image_run run = { .entrypoint = { entrypoint, 1 } };
    struct import i = { .run = &run,
                        .created_by = "built into husk " HUSK_VERSION,
                        .created_ns = (int64_t)CREATED_S * 1000000000 };
    make_tar(&tar);
    TRY(blob_put(l, tar.text, tar.len, &digest));
    TRY(layer_unpack_blob(l, digest, digest, NULL, NULL));
    struct oci_descriptor layer = { .media_type = (char *)MEDIA_OCI_LAYER, .digest = digest, .size = (int64_t)tar.len };
    TRY(import_describe(l, &i, &layer, digest, &target, &id));
    return layout_set_name(l, EMBEDDED_NAME, target);
}
