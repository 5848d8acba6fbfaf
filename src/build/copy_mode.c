// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>
#include <sys/stat.h>

#include "build/copy.h"

/* "u=rwX" at *text, up to a comma or the end. Source: chmod(1), symbolic modes. */
static fallible symbolic(const char **text, struct copy_mode_part *ret)
{
    const char *t = *text;
    uint32_t who = 0, bits = 0, exec = 0;
    for (; *t && strchr("ugoa", *t); t++)
        who |= *t == 'u' ? 04700 : *t == 'g' ? 02070 : *t == 'o' ? 01007 : 07777;
    if (!who)
        who = 07777;
    char how = *t;
    if (!how || !strchr("+-=", how))
        return err_new(ERR_INVALID, "--chmod: '%s': expected an octal number or a word such as u=rwX,go=rX", *text);
    for (t++; *t && *t != ','; t++) {
        switch (*t) {
        case 'r':
            bits |= 0444 & who;
            break;
        case 'w':
            bits |= 0222 & who;
            break;
        case 'x':
            bits |= 0111 & who;
            break;
        case 'X':
            exec |= 0111 & who;
            break;
        case 's':
            bits |= 06000 & who;
            break;
        case 't':
            bits |= 01000;
            break;
        default:
            return err_new(ERR_INVALID, "--chmod: '%c': expected some of r, w, x, X, s, t", *t);
        }
    }
    *ret = (struct copy_mode_part){ .keep = ~0U, .add = how == '-' ? 0 : bits, .if_exec = how == '-' ? 0 : exec };
    if (how == '-')
        ret->keep = ~(bits | exec);
    if (how == '=')
        ret->keep = ~(who & 0777);
    *text = t + (*t == ',');
    return NULL;
}

fallible copy_mode_parse(const char *text, struct copy_mode *ret)
{
    struct copy_mode m = { .set = true };
    if (!*text)
        return err_new(ERR_INVALID, "--chmod: expected an octal number or a word such as u=rwX,go=rX");
    if (strspn(text, "01234567") == strlen(text)) {
        if (strlen(text) > 5)
            return err_new(ERR_INVALID, "--chmod: '%s': expected at most 07777", text);
        for (const char *t = text; *t; t++)
            m.parts[0].add = m.parts[0].add * 8 + (uint32_t)(*t - '0');
        if (m.parts[0].add > 07777)
            return err_new(ERR_INVALID, "--chmod: '%s': expected at most 07777", text);
        m.n = 1;
        *ret = m;
        return NULL;
    }
    while (*text) {
        if (m.n == ARRAY_SIZE(m.parts))
            return err_new(ERR_INVALID, "--chmod: expected at most %zu parts", ARRAY_SIZE(m.parts));
        TRY(symbolic(&text, &m.parts[m.n++]));
    }
    *ret = m;
    return NULL;
}

uint32_t copy_mode_apply(const struct copy_mode *m, uint32_t mode)
{
    uint32_t bits = mode & 07777;
    for (size_t i = 0; m && m->set && i < m->n; i++) {
        bool exec = S_ISDIR(mode) || (bits & 0111);
        bits = (bits & m->parts[i].keep) | m->parts[i].add | (exec ? m->parts[i].if_exec : 0);
    }
    return bits & 07777;
}
