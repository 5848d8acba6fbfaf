// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdint.h>

#include "build/mount.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* Any value of --mount: a mount, or an error that says so. */
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    own_mem char *text = mem_strndup((const char *)data, size);
    own_strv struct strv env = { 0 };
    own(build_mount) struct build_mount m = { 0 }, looked = { 0 };
    struct expand e = { .env = { &env }, .escape = '\\' };
    own(err) err *failed = build_mount_parse(text, &e, &m);
    if (failed && !str_starts(err_text(failed), "--mount: "))
        abort();
    err_ignore(build_mount_parse(text, NULL, &looked), "a look without variables: any answer will do");
    return 0;
}
