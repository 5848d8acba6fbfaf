/*
 * compile.h: the order under construction. Rows of who the program is and what it may do are in compile.c, those of
 * where it is and what it has in compile_world.c. Of this chapter only; the bytes: process/order.h.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_PROCESS_COMPILE_H
#define HUSK_PROCESS_COMPILE_H

#include "process/order.h"
#include "process/program.h"

struct writer {
    struct str bytes;
    struct order_head head;
    size_t row; /* where the open row begins */
};

/* The reader of the order keeps this descriptor; -1: none. */
void writer_keep(struct writer *w, int fd);
/* A row with its fixed part; what is appended to bytes until the end is its own too. */
void writer_begin(struct writer *w, enum order_kind kind, const void *fixed, size_t n);
void writer_end(struct writer *w);
/* Whole rows: of a fixed part, of nothing, of one number. */
void writer_add(struct writer *w, enum order_kind kind, const void *fixed, size_t n);
void writer_flag(struct writer *w, enum order_kind kind);
void writer_number(struct writer *w, enum order_kind kind, int64_t v);

/* To the open row: texts with their NUL. */
void writer_text(struct writer *w, const char *text);
void writer_texts(struct writer *w, const struct strv *texts);

/* Errors: INVALID names the field; DENIED: a limit above ours; UNSUPPORTED: the host has no such security module. */
fallible compile_world(struct writer *w, const struct program *p);

#endif
