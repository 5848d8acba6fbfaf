// SPDX-License-Identifier: GPL-2.0-or-later
/* html, js and urlquery, as Go's text/template has them. */
#include <string.h>

#include "codec/template_functions.h"

static const char *html_of(unsigned char c)
{
    switch (c) {
    case '"':
        return "&#34;";
    case '\'':
        return "&#39;";
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    default:
        return NULL;
    }
}

void template_html(const char *text, struct str *out)
{
    for (const char *p = text; *p; p++) {
        const char *entity = html_of((unsigned char)*p);
        if (entity)
            str_add(out, entity);
        else
            str_add_char(out, *p);
    }
}

/* What could end a string, a script or an attribute; and the two line ends that only JavaScript knows. */
void template_js(const char *text, struct str *out)
{
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '\\' || c == '\'' || c == '"')
            str_printf(out, "\\%c", c);
        else if (c < ' ' || strchr("<>&=", c) || c == 0x7f)
            str_printf(out, "\\u%04X", c);
        else if (strncmp(p, "\xe2\x80\xa8", 3) == 0 || strncmp(p, "\xe2\x80\xa9", 3) == 0) {
            str_printf(out, "\\u%04X", p[2] == '\xa8' ? 0x2028 : 0x2029);
            p += 2;
        } else
            str_add_char(out, (char)c);
    }
}

void template_urlquery(const char *text, struct str *out)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
    for (const char *p = text; *p; p++)
        if (*p == ' ')
            str_add_char(out, '+');
        else if (strchr(plain, *p))
            str_add_char(out, *p);
        else
            str_printf(out, "%%%02X", (unsigned char)*p);
}
