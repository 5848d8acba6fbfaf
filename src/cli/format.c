// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/format.h"

#include <string.h>

fallible format_render(const char *template, const json_t *doc, struct str *out)
{
    TRY_AS(template_render(strcmp(template, "json") == 0 ? "{{json .}}" : template, doc, TEMPLATE_VALUES, out),
           "--format");
    return NULL;
}

fallible format_headers(const char *template, const json_t *headers, struct str *out)
{
    TRY_AS(template_render(template, headers, TEMPLATE_HEADERS, out), "--format");
    return NULL;
}
