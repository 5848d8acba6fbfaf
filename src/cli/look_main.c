/*
 * husk-look: what is in images. `husk image tree`, `cat`, `diff` and their like call it; its messages therefore begin
 * with "husk image". It is apart from husk because what it reads are strangers' files: it locks itself out of all else.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/look_common.h"

static const struct command *const image_commands[] = {
    &cmd_image_blame, &cmd_image_cat, &cmd_image_diff, &cmd_image_files, &cmd_image_tree, &cmd_image_waste, NULL,
};
static const struct command image = {
    .name = "image",
    .args = "COMMAND",
    .summary = "Look at images",
    .sub = image_commands,
};
static const struct command *const commands[] = { &image, NULL };

int main(int argc, char **argv)
{
    const struct command_program husk = {
        .name = "husk", .summary = "Look at images", .commands = commands, .wrong_option_exit = 125
    };
    return command_main(&husk, argc, argv);
}
