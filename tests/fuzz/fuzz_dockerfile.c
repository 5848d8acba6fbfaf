// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdint.h>

#include "build/dockerfile.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* Any bytes: instructions with a place each, or an error that names the file. */
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    own(dockerfile) struct dockerfile *f = NULL;
    own(err) err *e = dockerfile_parse((const char *)data, size, "f", &f);
    if (!e != !!f || (e && !str_starts(err_text(e), "f:")))
        abort();
    for (size_t i = 0; f && i < f->n; i++)
        if (f->items[i].place.line < 1 || f->items[i].place.column < 1 ||
            f->items[i].last_line < f->items[i].place.line)
            abort();
    return 0;
}
