/*
 * husk-init: what first enters every container, and PID 1 of those that ask for one.
 *
 *   husk-init --order ORDER_FD,ERROR_SOCK,TTY_FD        from program_enter(); see process/order.h
 *   husk-init [-gsvw] [-p SIGNAL] [-e STATUS]... [--] COMMAND [ARGUMENT...]    as tini and catatonit
 *   husk-init -P                                        no program: hold namespaces until TERM or INT
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>

#include "init/speak.h"
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
    "usage: husk-init [-gsvw] [-p SIGNAL] [-e STATUS]... [--] COMMAND [ARGUMENT...]\n"
    "Run COMMAND as PID 1's child: signals are passed on, orphans reaped, its exit status is ours.\n"
    "  -g          send signals to the command's whole process group\n"
    "  -e STATUS   exit with 0 instead of STATUS (0 to 255; may be repeated)\n"
    "  -p SIGNAL   get SIGNAL (a name or a number) when the parent ends\n"
    "  -s          accepted: being a subreaper is the default when not PID 1\n"
    "  -v          say more of what is done; up to three times\n"
    "  -w          warn when an orphan is reaped\n"
    "  -P          run nothing; end on TERM or INT\n"
    "  -l          print the license\n"
    "  -h, --help  print this\n"
    "  --version   print the version\n"
    "Variables, which count before options: TINI_SUBREAPER as -s, TINI_KILL_PROCESS_GROUP as -g,\n"
    "TINI_VERBOSITY=N instead of -v: 0 nothing, 1 warnings (the default), up to 4.\n";

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

/* The value of the option that *at ends in: what follows it in its own word, or the next word. */
static const char *value_of(const char **at, char ***argv)
{
    const char *value = *at + 1;
    if (!*value && *(*argv + 1))
        value = *++*argv;
    *at = "-"; /* nothing more in this word */
    return value;
}

static void zero_status(struct pid1 *p, const char *value)
{
    long n = text_number(value);
    if (n < 0 || n > 255)
        wrong("-e: not an exit status from 0 to 255: ", *value ? value : "(missing)");
    p->zero_statuses[n / 64] |= 1ull << n % 64;
}

static void parent_death(struct pid1 *p, const char *value)
{
    long n = signal_parse(value);
    if (n < 0)
        wrong("-p: not a signal: ", *value ? value : "(missing)");
    p->parent_death_signal = (int)n;
}

static _Noreturn void only_print(const char *text)
{
    print(1, text);
    leave(0);
}

/* The letters of one word, as getopt(3) takes them: -vvv, -gw, -e143. */
static void parse_letters(struct pid1 *p, char ***argv)
{
    const char *word = **argv;
    for (const char *at = word + 1; *at; at++) {
        switch (*at) {
        case 'g':
            p->whole_group = true;
            break;
        case 's':
            break;
        case 'v':
            p->verbosity++;
            break;
        case 'w':
            p->warn_reap = true;
            break;
        case 'P':
            p->pause = true;
            break;
        case 'e':
            zero_status(p, value_of(&at, argv));
            break;
        case 'p':
            parent_death(p, value_of(&at, argv));
            break;
        case 'h':
            only_print(usage);
        case 'l':
            only_print("husk-init is free software under the GNU General Public License, version 2 or later\n");
        default:
            wrong("unknown option ", word);
        }
    }
}

/* Answers the first argument that is no option. */
static char **parse(struct pid1 *p, char **argv)
{
    for (; *argv && (*argv)[0] == '-' && (*argv)[1]; argv++) {
        if (text_eq(*argv, "--"))
            return argv + 1;
        if (text_eq(*argv, "--version"))
            only_print("tini version " HUSK_VERSION "_husk\n"); /* docker info looks for these words */
        if (text_eq(*argv, "--help"))
            only_print(usage);
        parse_letters(p, &argv);
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
    c.p.verbosity = PID1_VERBOSITY;
    char **command = argc > 1 ? parse(&c.p, argv + 1) : argv + 1;
    if (!*command && !c.p.pause)
        wrong("no command", "");
    c.s = (struct stub){ .say_sock = -1, .tty_fd = -1, .exec = &plain, .argv = command, .envp = argv + argc + 1 };
    c.s.program = *command;
    pid1_variables(&c.p, c.s.envp); /* over the options, as tini's */
    c.p.spawn = spawn;
    c.p.name = *command;
    c.p.ctx = &c.s;
    pid1_run(&c.p);
}
