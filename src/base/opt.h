/*
 * opt.h: a command line as a table.
 *
 * A command has one table of options and one struct that they fill; the same rows parse, print --help and leave as
 * --introspect JSON, from which man pages and completions are made. "--name value", "--name=value", "-n value",
 * "-nvalue", bundled flags "-it"; options end at "--" or, for commands that run another (stop_at_arg), at the first
 * argument.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BASE_OPT_H
#define HUSK_BASE_OPT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/parse.h"

enum opt_type {
    OPT_TYPE_END,
    OPT_TYPE_FLAG,     /* bool; "--name=false" unsets */
    OPT_TYPE_SWITCH,   /* struct opt_bool: a flag that is on by default, or whose absence means something */
    OPT_TYPE_STR,      /* const char *, borrowed from argv; the last one wins */
    OPT_TYPE_STRS,     /* struct strv: every occurrence is added */
    OPT_TYPE_I64,      /* struct opt_i64 */
    OPT_TYPE_BYTES,    /* struct opt_i64, bytes; "-1" is allowed and means unlimited */
    OPT_TYPE_DURATION, /* struct opt_u64, nanoseconds */
    OPT_TYPE_GROUP,    /* a heading in --help; no option */
};

struct opt {
    enum opt_type type;
    char letter;            /* 0: none */
    const char *name;       /* without dashes */
    size_t offset;          /* of the field in the command's struct */
    const char *value_name; /* in --help; NULL for flags */
    const char *help;
    const char *const *words; /* STR: the only values allowed, NULL-terminated; NULL: any */
    const char *exclusive;    /* options with the same word here exclude each other */
    const char *bare;         /* STR: the value when the name stands alone; another one only comes behind "=" */
};

/* The field's C type is checked against the row's type: a row of the wrong type does not compile. */
// clang-format off
#define OPT_FIELD(T, field, ctype) (offsetof(T, field) + 0 * sizeof(_Generic(&((T *)0)->field, ctype *: 1)))

#define OPT_FLAG(l, n, T, field, h, ...)                                                                               \
    { .type = OPT_TYPE_FLAG, .letter = (l), .name = (n), .offset = OPT_FIELD(T, field, bool), .help = (h), __VA_ARGS__ }
#define OPT_SWITCH(l, n, T, field, h, ...)                                                                             \
    { .type = OPT_TYPE_SWITCH, .letter = (l), .name = (n), .offset = OPT_FIELD(T, field, struct opt_bool), .help = (h), __VA_ARGS__ }
#define OPT_STR(l, n, T, field, v, h, ...)                                                                             \
    { .type = OPT_TYPE_STR, .letter = (l), .name = (n), .offset = OPT_FIELD(T, field, const char *),                   \
      .value_name = (v), .help = (h), __VA_ARGS__ }
#define OPT_STRS(l, n, T, field, v, h, ...)                                                                            \
    { .type = OPT_TYPE_STRS, .letter = (l), .name = (n), .offset = OPT_FIELD(T, field, struct strv),                   \
      .value_name = (v), .help = (h), __VA_ARGS__ }
#define OPT_I64(l, n, T, field, v, h, ...)                                                                             \
    { .type = OPT_TYPE_I64, .letter = (l), .name = (n), .offset = OPT_FIELD(T, field, struct opt_i64),                 \
      .value_name = (v), .help = (h), __VA_ARGS__ }
#define OPT_BYTES(l, n, T, field, v, h, ...)                                                                           \
    { .type = OPT_TYPE_BYTES, .letter = (l), .name = (n), .offset = OPT_FIELD(T, field, struct opt_i64),               \
      .value_name = (v), .help = (h), __VA_ARGS__ }
#define OPT_DURATION(l, n, T, field, v, h, ...)                                                                        \
    { .type = OPT_TYPE_DURATION, .letter = (l), .name = (n), .offset = OPT_FIELD(T, field, struct opt_u64),            \
      .value_name = (v), .help = (h), __VA_ARGS__ }
#define OPT_GROUP(h) { .type = OPT_TYPE_GROUP, .help = (h) }
#define OPT_END      { .type = OPT_TYPE_END }
// clang-format on

/* What is left after the options; borrowed from argv. v[n] is NULL, as exec wants it. */
struct args {
    char **v;
    int n;
};

/* What the arguments are, for completion (tools/make-completions). */
enum complete {
    COMPLETE_NONE,
    COMPLETE_CONTAINER,
    COMPLETE_RUNNING, /* containers of one state */
    COMPLETE_STOPPED,
    COMPLETE_PAUSED,
    COMPLETE_COPY, /* CONTAINER:PATH, or a file */
    COMPLETE_IMAGE,
    COMPLETE_VOLUME,
    COMPLETE_OBJECT, /* of any kind: what inspect takes */
    COMPLETE_FILE
};

struct command {
    const char *name;
    const char *args;    /* for --help: "CONTAINER..." */
    const char *summary; /* one line, no full stop */
    const char *detail;  /* NULL, or paragraphs for --help and the man page */
    const struct opt *opts;
    size_t opts_size;       /* of the struct that the rows fill */
    int min_args, max_args; /* max -1: any number */
    bool stop_at_arg;       /* options end at the first argument: run, exec */
    enum complete complete_args;
    int fail_exit;         /* exit status of an error with no status of its own: 1, or docker's 125 for run */
    bool hidden;           /* husk's own plumbing: not in the list of commands */
    const char *elsewhere; /* there is no such command: what to use instead, one sentence; goes with hidden */
    const char *heading;   /* no command: the title of those that follow it in the list; see COMMAND_HEADING() */
    const struct command *const *sub; /* sub-commands, NULL-terminated; then run is NULL */
    err *(*run)(const void *opts, struct args args);
};

/* A row of the list of commands. Nobody can name it. */
#define COMMAND_HEADING(id, title) static const struct command id = { .name = "", .heading = title, .hidden = true }

/**
 * opt_parse - fill a command's struct from argv.
 * @argv: after the command's name, NULL-terminated as main's. Borrowed: strings in @opts and @ret_args point into it.
 * @opts: zeroed struct of command->opts_size bytes; free its lists with opt_clear().
 * Errors: INVALID, with the nearest known option when one is unknown.
 * --help is not an error: *ret_help is set and nothing else.
 */
fallible opt_parse(const struct command *command, int argc, char **argv, void *opts, struct args *ret_args,
                   bool *ret_help);
void opt_clear(const struct command *command, void *opts);

/* A program of many commands. */
struct command_program {
    const char *name;    /* the word before the command in messages: "husk" */
    const char *summary; /* one line, no full stop */
    const struct command *const *commands;
    /* Exit status where an option is unknown, has no value, a wrong one, or excludes another: 125 as docker's; 0: the
     * command's own, fail_exit. */
    int wrong_option_exit;
    bool (*fallback)(int argc, char **argv); /* for a word that is no command; false: not known to it. Or NULL */
};
/**
 * command_main - find the command (and sub-command) in a table, parse, run, report.
 * Prints "husk run: text" to stderr and returns the exit status. Handles --help of program and commands, --introspect.
 */
int command_main(const struct command_program *program, int argc, char **argv);

/* Calls each(arg, ctx) for every argument; goes on after a failure, reports each on stderr, answers the first. */
fallible command_each(const char *program_and_command, struct args args, err *(*each)(const char *arg, void *ctx),
                      void *ctx);

/* The nearest of n words (Levenshtein distance <= 3), or NULL. */
const char *nearest_word(const char *word, const char *const *words, size_t n);

#endif
