/*
 * packages.h: which packages a file system's package database says are installed: dpkg's, apk's and rpm's
 * (layers/packages_rpm.h).
 *
 * The databases are a stranger's files: whatever they hold, reading ends with a list. Source: deb822(5) and dpkg's
 * /var/lib/dpkg/status; Alpine's "Apk spec", installed database v2.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_PACKAGES_H
#define HUSK_LAYERS_PACKAGES_H

#include <stddef.h>

struct package {
    char *name, *version, *architecture; /* never NULL */
};
/* Sorted by name, then architecture, after packages_sort(). */
struct packages {
    struct package *items;
    size_t n;
};
void packages_clear(struct packages *p);
static inline void own_drop_packages(struct packages *p)
{
    packages_clear(p);
}
enum packages_form {
    PACKAGES_DPKG, /* paragraphs; those whose Status says that they are installed, or that have no Status (status.d) */
    PACKAGES_APK,  /* paragraphs of "P:name", "V:version", "A:architecture" */
    PACKAGES_RPM,  /* no text: layers/packages_rpm.h */
};
/* One more, up to a limit that no image has. */
void packages_add(struct packages *p, char *take_name, char *take_version, char *take_architecture);
/* Adds what a database's text lists. text: len bytes, any. */
void packages_read(struct packages *p, enum packages_form form, const char *text, size_t len);
void packages_sort(struct packages *p);
/* Order of packages_sort(): < 0, 0, > 0. */
int packages_compare(const struct package *a, const struct package *b);

#endif
