/*
 * husk-oci mounts add, mounts remove: mounts of a running container.
 * Compatible with: crun mounts.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>

#include "oci/oci.h"
#include "os/fs.h"

/* "the mounts section of config.json": the array, or the object that has it. */
static fallible read_mounts(const char *path, struct oci_spec **ret)
{
    own_mem char *text = NULL;
    own_json json_t *doc = NULL;
    void *read = NULL;
    size_t len = 0;
    TRY(fs_read_at(AT_FDCWD, path, 1 << 20, &text, &len));
    TRY(json_parse(path, text, len, &doc));
    if (json_is_object(doc) && !json_is_array(json_object_get(doc, "mounts")))
        return err_new(ERR_INVALID, "'%s': mounts: missing", path);
    own_json json_t *spec = json_pack("{s:s, s:O}", "ociVersion", OCI_RUNTIME_VERSION, "mounts",
                                      json_is_object(doc) ? json_object_get(doc, "mounts") : doc);
    TRY_AS(bind_read_json(&oci_spec_type, spec, &read), "'%s'", path);
    *ret = read;
    return NULL;
}

static fallible change(struct args args, enum runtime_mounts how)
{
    own_mem char *dir = NULL;
    own(oci_spec) struct oci_spec *spec = NULL;
    TRY(oci_state_dir(args.v[0], &dir));
    TRY(read_mounts(args.v[1], &spec));
    return runtime_mounts(dir, spec, how);
}

static fallible mounts_run(const void *opts, struct args args)
{
    (void)opts;
    struct args rest = { args.v + 1, args.n - 1 };
    if (str_eq(args.v[0], "add"))
        return change(rest, RUNTIME_MOUNTS_ADD);
    if (str_eq(args.v[0], "remove"))
        return change(rest, RUNTIME_MOUNTS_REMOVE);
    return err_new(ERR_INVALID, "'%s': add or remove", args.v[0]);
}

static const struct opt no_options[] = { OPT_END };
const struct command oci_cmd_mounts = {
    .name = "mounts",
    .args = "add|remove ID FILE",
    .summary = "Mount into a running container what FILE's mounts say, or unmount it",
    .detail = "FILE has the mounts section of a config.json. Binds and new file systems (tmpfs, overlay ...) can be "
              "added, all of "
              "them or none; removing looks at the destinations alone.",
    .opts = no_options,
    .min_args = 3,
    .max_args = 3,
    .fail_exit = 1,
    .run = mounts_run,
};
