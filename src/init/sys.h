/*
 * sys.h: system calls without a libc, and the few string functions that husk-init needs.
 *
 * husk-init is what enters every container, so it is small enough to be read whole and depends on nothing: no libc, no
 * loader, no allocation but one mmap. libc's headers are used for constants and structs only; where the kernel's struct
 * differs from libc's it is declared here. Source: syscall(2), "Architecture calling conventions".
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_INIT_SYS_H
#define HUSK_INIT_SYS_H

#include <asm/unistd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
static inline long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
    long ret;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}
#elif defined(__aarch64__)
static inline long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = nr;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory", "cc");
    return x0;
}
#else
#error "husk-init knows the system calls of x86_64 and aarch64: add this machine's to src/init/sys.h"
#endif

/* A negative answer is -errno. */
#define SYS_ARGS(nr, a, b, c, d, e, f, ...) sys6((nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define sys(...)                            SYS_ARGS(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

/* Signals are bits 0..63 for 1..64 in the kernel's set. */
enum { SIGNALS = 64 };
#define SIGNAL_BIT(n) (1ull << ((n)-1))

struct kernel_sigaction {
    void *handler;
    unsigned long flags;
    void *restorer;
    uint64_t mask;
};

size_t text_len(const char *s);
bool text_eq(const char *a, const char *b);
bool text_starts(const char *s, const char *prefix);
/* A decimal number and nothing else, or -1. */
long text_number(const char *s);

/* A message under construction; what does not fit is cut. */
struct text {
    size_t n;
    char bytes[1024];
};
void text_add(struct text *t, const char *s);
void text_add_number(struct text *t, long v);
/* What strerror(3) says for the errors that a start can meet, else "error N". */
void text_add_errno(struct text *t, int errnum);

/* Pages from the kernel, or NULL. */
void *pages(size_t size);
_Noreturn void leave(int status);

#endif
