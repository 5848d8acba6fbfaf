/*
 * musl.c: names that Debian's archives, compiled against glibc's headers, expect of the C library and musl does not
 * have: the checked forms of _FORTIFY_SOURCE and one large-file name. Layouts of what they pass are the kernel's own
 * and the same in both libraries (docs/adr/0006-the-hot-path-without-glibc.md). Empty under glibc.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <features.h>

#ifndef __GLIBC__
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* The size of the target is the compiler's knowledge; to go over it is the end of the program, as with glibc. */
static void check(size_t n, size_t room)
{
    if (n > room)
        __builtin_trap();
}

void *__memcpy_chk(void *to, const void *from, size_t n, size_t room);
void *__memcpy_chk(void *to, const void *from, size_t n, size_t room)
{
    check(n, room);
    return memcpy(to, from, n);
}

void *__memset_chk(void *to, int c, size_t n, size_t room);
void *__memset_chk(void *to, int c, size_t n, size_t room)
{
    check(n, room);
    return memset(to, c, n);
}

char *__strncpy_chk(char *to, const char *from, size_t n, size_t room);
char *__strncpy_chk(char *to, const char *from, size_t n, size_t room)
{
    check(n, room);
    return strncpy(to, from, n);
}

int __vsnprintf_chk(char *to, size_t n, int flag, size_t room, const char *format, va_list ap);
int __vsnprintf_chk(char *to, size_t n, int flag, size_t room, const char *format, va_list ap)
{
    (void)flag;
    check(n, room);
    return vsnprintf(to, n, format, ap);
}

int __snprintf_chk(char *to, size_t n, int flag, size_t room, const char *format, ...);
int __snprintf_chk(char *to, size_t n, int flag, size_t room, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int written = __vsnprintf_chk(to, n, flag, room, format, ap);
    va_end(ap);
    return written;
}

int __fprintf_chk(FILE *out, int flag, const char *format, ...);
int __fprintf_chk(FILE *out, int flag, const char *format, ...)
{
    (void)flag;
    va_list ap;
    va_start(ap, format);
    int written = vfprintf(out, format, ap);
    va_end(ap);
    return written;
}

int fcntl64(int fd, int command, ...);
int fcntl64(int fd, int command, ...)
{
    va_list ap;
    va_start(ap, command);
    void *argument = va_arg(ap, void *);
    va_end(ap);
    return fcntl(fd, command, argument);
}
#endif
