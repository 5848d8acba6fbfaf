// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/packages.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { PACKAGES_MAX = 1 << 18 };

static void package_clear(struct package *p)
{
    free(p->name);
    free(p->version);
    free(p->architecture);
    *p = (struct package){ 0 };
}

void packages_clear(struct packages *p)
{
    for (size_t i = 0; i < p->n; i++)
        package_clear(&p->items[i]);
    free(p->items);
    *p = (struct packages){ 0 };
}

struct key {
    const char *name;
    size_t offset; /* of the text in struct package */
};
#define AT(field) offsetof(struct package, field)
static const struct key keys[2][3] = {
    [PACKAGES_DPKG] = { { "Package:", AT(name) }, { "Version:", AT(version) }, { "Architecture:", AT(architecture) } },
    [PACKAGES_APK] = { { "P:", AT(name) }, { "V:", AT(version) }, { "A:", AT(architecture) } },
};

/* The value after a key, without the blanks around it; NULL: another key. */
static char *value_of(const char *line, size_t n, const char *key)
{
    size_t k = strlen(key);
    if (n < k || memcmp(line, key, k) != 0)
        return NULL;
    while (k < n && (line[k] == ' ' || line[k] == '\t'))
        k++;
    while (n > k && (line[n - 1] == ' ' || line[n - 1] == '\t' || line[n - 1] == '\r'))
        n--;
    return mem_strndup(line + k, n - k);
}

static void read_line(struct package *now, bool *installed, enum packages_form form, const char *line, size_t n)
{
    for (size_t i = 0; i < 3; i++) {
        char **slot = (char **)((char *)now + keys[form][i].offset);
        char *value = *slot ? NULL : value_of(line, n, keys[form][i].name);
        if (value)
            *slot = value;
    }
    own_mem char *status = form == PACKAGES_DPKG ? value_of(line, n, "Status:") : NULL;
    if (status)
        *installed = str_ends(status, " installed");
}

void packages_add(struct packages *p, char *take_name, char *take_version, char *take_architecture)
{
    struct package now = { take_name, take_version, take_architecture };
    if (p->n == PACKAGES_MAX) {
        package_clear(&now);
        return;
    }
    if ((p->n & (p->n - 1)) == 0)
        p->items = mem_array(p->items, p->n ? 2 * p->n : 1, sizeof *p->items);
    p->items[p->n++] = now;
}

static void finish(struct packages *p, struct package *now, bool installed)
{
    if (installed && now->name && *now->name)
        packages_add(p, take(now->name), now->version ? take(now->version) : mem_strdup(""),
                     now->architecture ? take(now->architecture) : mem_strdup(""));
    package_clear(now);
}

void packages_read(struct packages *p, enum packages_form form, const char *text, size_t len)
{
    struct package now = { 0 };
    bool installed = true;
    for (const char *line = text, *end = text + len; line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        size_t n = (size_t)((newline ? newline : end) - line);
        if (n == 0) {
            finish(p, &now, installed);
            installed = true;
        } else {
            read_line(&now, &installed, form, line, n);
        }
        line += n + 1;
    }
    finish(p, &now, installed);
}

int packages_compare(const struct package *a, const struct package *b)
{
    int by_name = strcmp(a->name, b->name);
    return by_name ? by_name : strcmp(a->architecture, b->architecture);
}

static int compare(const void *a, const void *b)
{
    return packages_compare(a, b);
}

void packages_sort(struct packages *p)
{
    if (p->n)
        qsort(p->items, p->n, sizeof *p->items, compare);
}
