/*
 * no_dlopen.c: SQLite can load extensions, husk never does. bin/meson.build links the static husk with --wrap=dlopen,
 * so that what SQLite calls is this.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <stddef.h>

void *__wrap_dlopen(const char *file, int mode);

void *__wrap_dlopen(const char *file, int mode)
{
    return NULL;
}
