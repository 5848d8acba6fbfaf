/*
 * husk-completion: prints what completes husk's command line in a shell. The three scripts are made of the option
 * tables when husk is built (tools/make-completions) and are in here, so that they are where husk is, installed or not.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "completion_bash.h"
#include "completion_fish.h"
#include "completion_zsh.h"

int main(int argc, char **argv)
{
    static const struct {
        const char *shell;
        const unsigned char *text;
        size_t n;
    } scripts[] = { { "bash", completion_bash, sizeof completion_bash },
                    { "zsh", completion_zsh, sizeof completion_zsh },
                    { "fish", completion_fish, sizeof completion_fish } };
    for (size_t i = 0; argc == 2 && i < ARRAY_SIZE(scripts); i++)
        if (strcmp(argv[1], scripts[i].shell) == 0) {
            bool written = fwrite(scripts[i].text, 1, scripts[i].n, stdout) == scripts[i].n && fflush(stdout) == 0;
            if (!written)
                fprintf(stderr, "husk completion: cannot write to standard output\n");
            return written ? 0 : 1;
        }
    fprintf(stderr, "husk-completion: it is husk-completion bash, zsh or fish\n");
    return 125;
}
