/*
 * husk-image: registries, archives, unpacking: all that parses strangers' bytes. `husk pull` and its like call it; its
 * messages therefore begin with "husk".
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/image_common.h"

static const struct command *const commands[] = {
    // clang-format off
    &cmd_pull,
    &cmd_push,
    &cmd_login,
    &cmd_logout,
    &cmd_load,
    &cmd_import,
    &cmd_bootstrap,
    &cmd_save,
    &cmd_verify,
    // clang-format on
    NULL,
};

int main(int argc, char **argv)
{
    return command_main("husk", "Bring images into the store", commands, argc, argv, NULL);
}
