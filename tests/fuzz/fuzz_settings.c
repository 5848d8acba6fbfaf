// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdint.h>

#include "base/mem.h"
#include "image/settings.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* Any text: settings or an error that names the place. */
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    own_mem char *text = mem_strndup((const char *)data, size);
    struct settings s = { 0 };
    own(err) err *e = settings_parse("f", text, &s);
    if (e && !str_starts(err_text(e), "f:"))
        abort();
    return 0;
}
