/*
 * dockerfile.h: the text of a Dockerfile as a list of instructions. Nothing is expanded and nothing is done here; what
 * is wrong with the text is an error "FILE:LINE:COLUMN: what, and what was expected".
 *
 * Lines are read as BuildKit reads them: directives (escape, syntax, check) at the top alone; whole-line comments go,
 * also between the parts of a continued line; a backslash (or the escape character) at the end of a line joins it with
 * the next; here-documents of RUN, COPY and ADD follow the joined line. Source: dockerfile-reference.md.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_DOCKERFILE_H
#define HUSK_BUILD_DOCKERFILE_H

#include "base/err.h"
#include "base/mem.h"

enum df_kind {
    DF_ADD,
    DF_ARG,
    DF_CMD,
    DF_COPY,
    DF_ENTRYPOINT,
    DF_ENV,
    DF_EXPOSE,
    DF_FROM,
    DF_HEALTHCHECK,
    DF_LABEL,
    DF_MAINTAINER,
    DF_ONBUILD,
    DF_RUN,
    DF_SHELL,
    DF_STOPSIGNAL,
    DF_USER,
    DF_VOLUME,
    DF_WORKDIR,
    DF_KINDS
};
/* "COPY" */
const char *df_kind_name(enum df_kind kind);

enum { DOCKERFILE_MAX = 16 << 20 };

struct df_place {
    int line, column; /* from 1; 0: not known */
};
struct df_flag {
    char *name;  /* without dashes */
    char *value; /* NULL: it had none, which only flags that are true or false may */
    struct df_place place;
};
struct df_heredoc {
    char *name;  /* the word after "<<", unquoted */
    char *text;  /* as it stands in the file; tabs are gone already where "<<-" asked for it */
    bool expand; /* the word was not quoted */
    bool chomp;
    struct df_place place;
};
struct df_instruction {
    enum df_kind kind;
    char *word; /* as it was written: "run" */
    char *text; /* the joined line, for messages, history and triggers */
    struct df_place place;
    int last_line;
    struct df_flag *flags;
    size_t flags_n;
    bool json; /* the exec form */
    /*
     * What follows the flags. ADD, COPY, EXPOSE, VOLUME, ARG: words. CMD, ENTRYPOINT, RUN, SHELL: the words of the
     * exec form, or all of the shell form as one. ENV, LABEL: key, value, key, value. FROM: image [, "AS", name].
     * HEALTHCHECK: "NONE", or "CMD" and the command. ONBUILD: nothing, see trigger. Else one text. Quotes and
     * variables are as written: build/expand.h takes them away.
     */
    struct strv args;
    struct df_place *places; /* parallel to args */
    bool old_pair;           /* ENV KEY VALUE, LABEL KEY VALUE: without "=" */
    struct df_heredoc *heredocs;
    size_t heredocs_n;
    struct df_instruction *trigger; /* of ONBUILD */
    char *comment;                  /* the comment lines right above, or NULL */
};
struct dockerfile {
    char *name; /* for messages */
    char escape;
    char *syntax, *check; /* directives; NULL: not given */
    struct df_place syntax_place, check_place;
    struct df_instruction *items;
    size_t n;
    struct df_place *empty_continuations; /* blank lines inside a continued one: BuildKit warns */
    size_t empty_continuations_n;
};
void dockerfile_free(struct dockerfile *f);
OWN_TYPE(dockerfile, struct dockerfile *, dockerfile_free)

/**
 * dockerfile_parse - text to instructions.
 * @name: for messages; borrowed for the call.
 * Errors: INVALID.
 */
fallible dockerfile_parse(const char *text, size_t len, const char *name, struct dockerfile **ret);
/* One instruction alone: a trigger that an image's config brings, or one made from options. No FROM is asked for. */
fallible dockerfile_parse_one(const char *text, const char *name, struct dockerfile **ret);

/* An error of this kind of place. */
err *df_error(const char *name, struct df_place place, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The name of the here-document that a word announces ("<<-'EOF'"), or NULL; caller frees. */
char *df_heredoc_name(const char *word);

/* The last flag of this name, or NULL. Borrowed. */
const struct df_flag *df_flag(const struct df_instruction *i, const char *name);
/* Of a flag that is true or false; not given: false. */
bool df_flag_is_on(const struct df_instruction *i, const char *name);

#endif
