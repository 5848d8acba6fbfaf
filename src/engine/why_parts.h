/*
 * why_parts.h: the evidence of a case, and the steps that draw conclusions from it.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_WHY_PARTS_H
#define HUSK_ENGINE_WHY_PARTS_H

#include "engine/health.h"
#include "engine/why.h"
#include "monitor/monitor.h"
#include "os/kernel_log.h"

enum { WHY_KERNEL_MAX = 16, WHY_LINES_MAX = 8 };
struct evidence {
    struct container *c;
    const char *name; /* borrowed from c */
    const struct container_config *config;
    struct container_state state;
    struct monitor_exit *record;     /* NULL: none */
    struct container_sender *sender; /* NULL: nobody of husk's signalled it in its last run */
    struct health_state *health;     /* NULL: no check */
    struct kernel_entry kernel[WHY_KERNEL_MAX];
    size_t kernel_n;
    bool kernel_denied;    /* its log may not be read */
    struct strv lines;     /* the program's last */
    struct oci_spec *spec; /* of the last start; NULL: none */
};

/* "2 hours", "less than a second": in the middle of a sentence. Below 0 is 0. */
const char *why_duration(int64_t seconds, char words[64]);
void why_fact(struct why *w, const char *label, const char *format, ...) __attribute__((format(printf, 3, 4)));
void why_headline(struct why *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Why it ended: for one that has. */
void why_ended(const struct evidence *e, struct why *w);
/* Its first program's name, "" for none. why_program.c */
const char *why_command(const struct evidence *e);
/* The headline for a command that could not be run (code 126, 127), and the cure, where its file tells more than the
 * start's error did. */
bool why_program(const struct evidence *e, int64_t code, struct why *w);
/* What the program's last lines remind of. */
void why_lines(const struct evidence *e, struct why *w);
/* The first entry of the kind about its first process; or, with any, about another in its time. NULL: none. */
enum why_whose { WHY_FIRST_PROCESS, WHY_ANY_PROCESS };
const struct kernel_entry *why_kernel(const struct evidence *e, enum kernel_kind kind, enum why_whose whose);
/* "mount", or "system call 999". Caller frees. */
char *why_call_name(const struct kernel_entry *k);

#endif
