/*
 * husk-init: what first enters every container, and PID 1 of those that ask for one.
 *
 *   husk-init --order ORDER_FD,ERROR_SOCK,TTY_FD        from program_enter(); see process/order.h
 *   husk-init [-g] [-s] [-p SIGNAL] [-e STATUS]... [--] COMMAND [ARGUMENT...]    as tini and catatonit
 *   husk-init -P                                        no program: hold namespaces until TERM or INT
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>

#include "init/pid1.h"
#include "init/stub.h"

#if defined(__x86_64__)
__asm__(".text\n.globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall husk_init\n");
#elif defined(__aarch64__)
__asm__(
    ".text\n.globl _start\n_start:\n\tmov x29, #0\n\tmov x30, #0\n\tmov x0, sp\n\tand sp, x0, #-16\n\tbl husk_init\n");
#endif

_Noreturn void husk_init(long *stack);

struct command {
    struct pid1 p;
    struct stub s;
};

static const char usage[] =
    "usage: husk-init [-g] [-s] [-p SIGNAL] [-e STATUS]... [--] COMMAND [ARGUMENT...]\n"
    "Run COMMAND as PID 1's child: signals are passed on, orphans reaped, its exit status is ours.\n"
    "  -g          send signals to the command's whole process group\n"
    "  -e STATUS   exit with 0 instead of STATUS\n"
    "  -p SIGNAL   get SIGNAL (a number) when the parent ends\n"
    "  -s          accepted: being a subreaper is the default when not PID 1\n"
    "  -P          run nothing; end on TERM or INT\n"
    "  --version   print the version\n";

static void print(int fd, const char *text)
{
    (void)sys(__NR_write, fd, text, text_len(text));
}

static _Noreturn void wrong(const char *what, const char *value)
{
    print(2, "husk-init: ");
    print(2, what);
    print(2, value);
    print(2, "\n");
    print(2, usage);
    leave(125);
}

static void spawn(void *ctx)
{
    struct stub *s = ctx;
    row_listen_pid(s, NULL, 0);
    row_lookup(s, NULL, 0);
    row_exec(s, NULL, 0);
}

static long number_option(const char *name, const char *value, long max)
{
    long n = value ? text_number(value) : -1;
    if (n < 0 || n > max)
        wrong(name, value ? value : "(missing)");
    return n;
}

/* Answers the first argument that is no option. */
static char **parse(struct pid1 *p, char **argv)
{
    for (; *argv && **argv == '-'; argv++) {
        if (text_eq(*argv, "--"))
            return argv + 1;
        if (text_eq(*argv, "--version")) {
            print(1, "tini version " HUSK_VERSION "_husk\n"); /* docker info looks for these words */
            leave(0);
        }
        if (text_eq(*argv, "--help") || text_eq(*argv, "-h")) {
            print(1, usage);
            leave(0);
        }
        if (text_eq(*argv, "-g"))
            p->whole_group = true;
        else if (text_eq(*argv, "-P"))
            p->pause = true;
        else if (text_eq(*argv, "-p"))
            p->parent_death_signal = (int)number_option("-p: ", *++argv, SIGNALS);
        else if (text_eq(*argv, "-e")) {
            long status = number_option("-e: ", *++argv, 255);
            p->zero_statuses[status / 64] |= 1ull << status % 64;
        } else if (!text_eq(*argv, "-s"))
            wrong("unknown option ", *argv);
    }
    return argv;
}

static _Noreturn void enter(char **argv)
{
    int fd[3] = { -1, -1, -1 };
    const char *fds = argv[2];
    for (int i = 0; i < 3 && *fds; i++) {
        char part[16] = { 0 };
        for (size_t n = 0; *fds && *fds != ','; fds++)
            if (n + 1 < sizeof part)
                part[n++] = *fds;
        fds += *fds == ',';
        fd[i] = (int)text_number(part); /* "-" is -1: none */
    }
    memset(argv[1], 0, (size_t)(fds - argv[1])); /* an init that stays is shown as "husk-init" and no more */
    stub_run(fd[0], fd[1], fd[2]);
}

_Noreturn void husk_init(long *stack)
{
    long argc = stack[0];
    char **argv = (char **)(stack + 1);
    static struct command c;
    static const struct order_exec plain;
    if (argc == 3 && text_eq(argv[1], "--order"))
        enter(argv);
    char **command = argc > 1 ? parse(&c.p, argv + 1) : argv + 1;
    if (!*command && !c.p.pause)
        wrong("no command", "");
    c.s = (struct stub){ .say_sock = -1, .tty_fd = -1, .exec = &plain, .argv = command, .envp = argv + argc + 1 };
    c.s.program = *command;
    c.p.spawn = spawn;
    c.p.ctx = &c.s;
    pid1_run(&c.p);
}
