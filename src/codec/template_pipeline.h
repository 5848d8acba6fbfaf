/*
 * template_pipeline.h: the run over a template, and what stands inside an action: words, operands, calls of functions,
 * variables. Blocks and the text around them are template.c's. For that only.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CODEC_TEMPLATE_PIPELINE_H
#define HUSK_CODEC_TEMPLATE_PIPELINE_H

#include "codec/template.h"

enum { TEMPLATE_DEPTH_MAX = 64, TEMPLATE_VARIABLES_MAX = 64, TEMPLATE_WORD_MAX = 256 };

struct template_variable {
    char name[TEMPLATE_WORD_MAX];
    json_t *value;
};

struct template_run {
    const char *p; /* where it is read */
    bool trim;     /* the text that follows loses its leading space */
    bool lenient;  /* what is missing is nil */
    enum template_mode mode;
    const json_t *doc, *zeros; /* zeros: template_render_with() */
    struct str *out;
    struct template_variable variables[TEMPLATE_VARIABLES_MAX]; /* the first one is the dot */
    size_t variables_n;
    int depth, loops, rounds;
};

/* INVALID: what, and the text where the reader stands. */
fallible template_wrong(const struct template_run *r, const char *what);

void template_skip_space(struct template_run *r);
/* How many characters of a name there are. */
size_t template_word_len(const char *p);
/* Goes on behind the word if the text stands before it, and it is not the beginning of a longer one. */
bool template_take_word(struct template_run *r, const char *word);
/* The "}}" of an action. */
fallible template_close(struct template_run *r);

/* live: whether it is evaluated; else it is only read, and *ret means nothing. */
fallible template_pipeline(struct template_run *r, bool live, json_t **ret);
/* A pipeline that may go into a variable. *ret_assigned: then it is not printed. */
fallible template_valued(struct template_run *r, bool live, json_t **ret, bool *ret_assigned);

/* A new variable; name has n characters and no "$". */
fallible template_declare(struct template_run *r, const char *name, size_t n, json_t *take_value);
/* All variables but the first `keep` go. */
void template_forget(struct template_run *r, size_t keep);

#endif
