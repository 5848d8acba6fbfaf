/*
 * dockerfile_parts.h: what the files of the parser share: the reader of lines, and that of one instruction.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_DOCKERFILE_PARTS_H
#define HUSK_BUILD_DOCKERFILE_PARTS_H

#include "build/dockerfile.h"

/* A joined line remembers where each of its parts came from. */
struct df_line {
    struct str text;
    struct df_segment {
        size_t at;
        struct df_place place;
    } * segments;
    size_t segments_n;
};
void df_line_clear(struct df_line *l);
static inline void own_drop_df_line(struct df_line *l)
{
    df_line_clear(l);
}
void df_line_add(struct df_line *l, const char *text, size_t n, struct df_place place);
/* Where a byte of the joined text is in the file. */
struct df_place df_line_place(const struct df_line *l, size_t at);

struct df_reader {
    const char *name;
    const char *text;
    size_t len, at;
    int line; /* of the one that was read last */
    char escape;
};
/* The next physical line, with its newline. False at the end. */
bool df_read_line(struct df_reader *r, const char **ret_line, size_t *ret_n);

/* "RUN --flag words" to an instruction, without its here-documents. */
fallible df_instruction_parse(struct df_reader *r, const struct df_line *line, struct df_instruction *ret);
void df_instruction_clear(struct df_instruction *i);
/* The here-documents that the line announces, read from the reader. */
fallible df_heredocs_read(struct df_reader *r, const struct df_line *line, struct df_instruction *i);
/* "<<-'EOF'" to a here-document without text; false when the word is none. */
bool df_heredoc_word(const char *word, struct df_heredoc *ret);

/* Leading "--name=value" words. *at is moved behind them. */
fallible df_flags_parse(struct df_reader *r, const struct df_line *line, size_t *at, struct df_instruction *i);
void df_args_add(struct df_instruction *i, char *take_word, struct df_place place);
/* Is the flag one of the instruction's, does it need a value? */
fallible df_flags_check(struct df_reader *r, const struct df_instruction *i);

#endif
