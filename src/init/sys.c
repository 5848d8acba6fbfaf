// SPDX-License-Identifier: GPL-2.0-or-later
#include "init/sys.h"

#include <errno.h>
#include <sys/mman.h>

/* The compiler makes calls to these of its own accord; the barrier keeps it from making one of their own loops. */
void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ((char *)to)[i] = ((const char *)from)[i];
        __asm__ volatile("");
    }
    return to;
}

void *memset(void *to, int c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ((char *)to)[i] = (char)c;
        __asm__ volatile("");
    }
    return to;
}

size_t text_len(const char *s)
{
    size_t n = 0;
    for (; s[n]; n++)
        __asm__ volatile("");
    return n;
}

bool text_starts(const char *s, const char *prefix)
{
    for (; *prefix; s++, prefix++)
        if (*s != *prefix)
            return false;
    return true;
}

bool text_eq(const char *a, const char *b)
{
    return text_starts(a, b) && !a[text_len(b)];
}

long text_number(const char *s)
{
    long v = 0;
    if (!*s)
        return -1;
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || v > 100000000)
            return -1;
        v = v * 10 + (*s - '0');
    }
    return v;
}

void text_add(struct text *t, const char *s)
{
    while (*s && t->n < sizeof t->bytes)
        t->bytes[t->n++] = *s++;
}

void text_add_number(struct text *t, long v)
{
    char digits[24];
    size_t i = sizeof digits - 1;
    unsigned long u = v < 0 ? -(unsigned long)v : (unsigned long)v;
    digits[i] = '\0';
    do {
        digits[--i] = (char)('0' + u % 10);
        u /= 10;
    } while (u);
    if (v < 0)
        digits[--i] = '-';
    text_add(t, digits + i);
}

static const struct {
    int errnum;
    const char *text;
} errors[] = {
    { EPERM, "Operation not permitted" },
    { ENOENT, "No such file or directory" },
    { ESRCH, "No such process" },
    { EINTR, "Interrupted system call" },
    { EIO, "Input/output error" },
    { ENXIO, "No such device or address" },
    { E2BIG, "Argument list too long" },
    { ENOEXEC, "Exec format error" },
    { EBADF, "Bad file descriptor" },
    { EAGAIN, "Resource temporarily unavailable" },
    { ENOMEM, "Cannot allocate memory" },
    { EACCES, "Permission denied" },
    { EFAULT, "Bad address" },
    { EBUSY, "Device or resource busy" },
    { ENODEV, "No such device" },
    { ENOTDIR, "Not a directory" },
    { EISDIR, "Is a directory" },
    { EINVAL, "Invalid argument" },
    { ENFILE, "Too many open files in system" },
    { EMFILE, "Too many open files" },
    { ENOTTY, "Inappropriate ioctl for device" },
    { ETXTBSY, "Text file busy" },
    { ENOSPC, "No space left on device" },
    { EROFS, "Read-only file system" },
    { EPIPE, "Broken pipe" },
    { ERANGE, "Numerical result out of range" },
    { EDEADLK, "Resource deadlock avoided" },
    { ENAMETOOLONG, "File name too long" },
    { ENOSYS, "Function not implemented" },
    { ELOOP, "Too many levels of symbolic links" },
    { ELIBBAD, "Accessing a corrupted shared library" },
    { EOVERFLOW, "Value too large for defined data type" },
    { EUSERS, "Too many users" },
    { EOPNOTSUPP, "Operation not supported" },
    { ETIMEDOUT, "Connection timed out" },
    { EDQUOT, "Disk quota exceeded" },
    { EXDEV, "Invalid cross-device link" },
};

void text_add_errno(struct text *t, int errnum)
{
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        if (errors[i].errnum == errnum) {
            text_add(t, errors[i].text);
            return;
        }
    }
    text_add(t, "error ");
    text_add_number(t, errnum);
}

void *pages(size_t size)
{
    long p = sys(__NR_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p < 0 && p > -4096 ? NULL : (void *)p;
}

_Noreturn void leave(int status)
{
    (void)sys(__NR_exit_group, status);
    (void)sys(__NR_exit, status);
    __builtin_trap(); /* a filter that refuses both: SIGILL ends even PID 1, where a loop would run for ever */
}
