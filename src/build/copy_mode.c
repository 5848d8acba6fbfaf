// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>
#include <sys/stat.h>

#include "build/copy.h"

enum { SPECIAL = 07000 };

/* "=rwX" at *text, up to the next of "+-=,". Source: chmod(1), symbolic modes. */
static fallible one_change(const char **text, uint32_t who, struct copy_mode_part *ret)
{
    const char *t = *text;
    struct copy_mode_part p = { .how = *t++, .who = who };
    for (; *t && !strchr("+-=,", *t); t++) {
        switch (*t) {
        case 'r':
            p.bits |= 0444 & who;
            break;
        case 'w':
            p.bits |= 0222 & who;
            break;
        case 'x':
            p.bits |= 0111 & who;
            break;
        case 'X':
            p.if_exec |= 0111 & who;
            break;
        case 's':
            p.bits |= 06000 & who;
            break;
        case 't':
            p.bits |= 01000;
            break;
        case 'u':
        case 'g':
        case 'o':
            if (p.like || p.bits || p.if_exec || (t[1] && !strchr("+-=,", t[1])))
                return err_new(ERR_INVALID, "--chmod: '%s': expected '%c' alone, as in g=u", *text, *t);
            p.like = *t;
            break;
        default:
            return err_new(ERR_INVALID, "--chmod: '%c': expected some of r, w, x, X, s, t, or one of u, g, o", *t);
        }
    }
    *text = t;
    *ret = p;
    return NULL;
}

/* "u=rw+X" at *text, up to a comma or the end. */
static fallible symbolic(const char **text, struct copy_mode *m)
{
    const char *t = *text;
    uint32_t who = 0;
    for (; *t && strchr("ugoa", *t); t++)
        who |= *t == 'u' ? 04700 : *t == 'g' ? 02070 : *t == 'o' ? 01007 : 07777;
    if (!who)
        who = 07777;
    if (!*t || !strchr("+-=", *t))
        return err_new(ERR_INVALID, "--chmod: '%s': expected an octal number or a word such as u=rwX,go=rX", *text);
    while (*t && *t != ',') {
        if (m->n == ARRAY_SIZE(m->parts))
            return err_new(ERR_INVALID, "--chmod: expected at most %zu changes", ARRAY_SIZE(m->parts));
        TRY(one_change(&t, who, &m->parts[m->n++]));
    }
    *text = t + (*t == ',');
    return NULL;
}

fallible copy_mode_parse(const char *text, struct copy_mode *ret)
{
    struct copy_mode m = { .set = true };
    if (!*text)
        return err_new(ERR_INVALID, "--chmod: expected an octal number or a word such as u=rwX,go=rX");
    if (strspn(text, "01234567") == strlen(text)) {
        uint32_t mode = 0;
        if (strlen(text) > 5)
            return err_new(ERR_INVALID, "--chmod: '%s': expected at most 07777", text);
        for (const char *t = text; *t; t++)
            mode = mode * 8 + (uint32_t)(*t - '0');
        if (mode > 07777)
            return err_new(ERR_INVALID, "--chmod: '%s': expected at most 07777", text);
        m.parts[m.n++] = (struct copy_mode_part){ .how = '=', .who = 0, .bits = mode };
        *ret = m;
        return NULL;
    }
    while (*text)
        TRY(symbolic(&text, &m));
    *ret = m;
    return NULL;
}

/* The bits that a class has, for whoever gets the same. */
static uint32_t like(uint32_t bits, char class, uint32_t who)
{
    uint32_t three = (bits >> (class == 'u' ? 6 : class == 'g' ? 3 : 0)) & 7;
    return (three << 6 | three << 3 | three) & who & 0777;
}

static uint32_t apply(const struct copy_mode_part *p, bool dir, uint32_t bits)
{
    uint32_t named = p->like ? like(bits, p->like, p->who) : p->bits;
    if (dir || (bits & 0111))
        named |= p->if_exec;
    if (p->how == '+')
        return bits | named;
    if (p->how == '-')
        return bits & ~named;
    if (!p->who) /* octal */
        return named;
    return (bits & ~(dir ? p->who & 0777 : p->who)) | named; /* a directory keeps its special bits, as with chmod(1) */
}

uint32_t copy_mode_apply(const struct copy_mode *m, uint32_t mode)
{
    uint32_t bits = mode & 07777;
    for (size_t i = 0; m && m->set && i < m->n; i++)
        bits = apply(&m->parts[i], S_ISDIR(mode), bits);
    return bits & 07777;
}
