/*
 * husk-image: registries, archives, unpacking: all that parses strangers' bytes. `husk pull` and its like call it; its
 * messages therefore begin with "husk".
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/image_common.h"
#include "cli/image_copy.h"

static const struct command *const image_commands[] = {
    &cmd_image_admit, &cmd_image_key, &cmd_image_serve, &cmd_image_sign, &cmd_image_verify, NULL,
};
const struct command cmd_image_group = {
    .name = "image", .args = "COMMAND", .summary = "Manage images", .sub = image_commands
};

static const struct command *const commands[] = {
    // clang-format off
    &cmd_pull,
    &cmd_push,
    &cmd_login,
    &cmd_logout,
    &cmd_search,
    &cmd_tags,
    &cmd_artifact,
    &cmd_manifest,
    &cmd_load,
    &cmd_import,
    &cmd_commit_layer,
    &cmd_download,
    &cmd_pack_stream,
    &cmd_unpack_stream,
    &cmd_build_cache,
    &cmd_bootstrap,
    &cmd_rootfs,
    &cmd_save,
    &cmd_verify,
    &cmd_copy,
    &cmd_image_group,
    // clang-format on
    NULL,
};

int main(int argc, char **argv)
{
    const struct command_program husk = {
        .name = "husk", .summary = "Bring images into the store", .commands = commands, .wrong_option_exit = 125
    };
    return command_main(&husk, argc, argv);
}
