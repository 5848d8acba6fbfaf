// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdint.h>
#include <string.h>

#include "build/ignore.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* The first line is a path, the rest patterns. What is below a kept-out directory that may not be entered is kept out.
 */
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    own_mem char *text = mem_strndup((const char *)data, size);
    own(ignore) struct ignore *g = NULL;
    size_t n = strcspn(text, "\n");
    own_mem char *path = mem_strndup(text, n);
    own(err) err *e = ignore_parse(text + n + (text[n] == '\n'), "f", &g);
    if (!e != !!g || (e && !str_starts(err_text(e), "f:")))
        abort();
    if (e || !*path || *path == '/' || strstr(path, "//"))
        return 0;
    char *slash = strrchr(path, '/');
    bool out = ignore_matches(g, path);
    if (!slash || !slash[1])
        return 0;
    *slash = '\0';
    if (ignore_matches(g, path) && !ignore_may_enter(g, path) && !out)
        abort();
    return 0;
}
