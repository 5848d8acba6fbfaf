/*
 * bpf.h: the instructions of a seccomp filter: a balanced binary tree over ranges of system call numbers, and tests of
 * arguments at its leaves. Classic BPF has 32-bit words and jumps of at most 255 forward; both are dealt with here.
 * Source: Documentation/networking/filter.rst, struct seccomp_data in linux/seccomp.h.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_PROCESS_BPF_H
#define HUSK_PROCESS_BPF_H

#include <linux/filter.h>
#include <stdint.h>

#include "base/mem.h"

enum bpf_cmp { BPF_CMP_NE, BPF_CMP_LT, BPF_CMP_LE, BPF_CMP_EQ, BPF_CMP_GE, BPF_CMP_GT, BPF_CMP_MASKED_EQ };

struct bpf_condition {
    uint32_t index; /* of the argument, 0 to 5 */
    enum bpf_cmp op;
    uint64_t value, mask; /* mask: MASKED_EQ only; value is within it */
};
/* All conditions hold: the action. */
struct bpf_rule {
    uint32_t action; /* SECCOMP_RET_* with data */
    size_t n;
    struct bpf_condition conditions[6];
};

/* From this number up to the next range's. */
struct bpf_range {
    uint32_t from;
    uint32_t action;     /* unless a rule of these holds */
    const size_t *rules; /* indexes, in the order in which they are tried */
    size_t rules_n;
};

struct bpf_code {
    struct str bytes;
};
static inline void own_drop_bpf_code(struct bpf_code *c)
{
    str_free(&c->bytes);
}
size_t bpf_count(const struct bpf_code *c);
void bpf_add(struct bpf_code *c, uint16_t code, uint8_t jump_true, uint8_t jump_false, uint32_t k);

enum bpf_width { BPF_WIDTH_32, BPF_WIDTH_64 }; /* of the architecture's arguments */

/* The whole decision for one architecture; A holds the number. ranges[0].from is 0, and they ascend. */
void bpf_add_tree(struct bpf_code *c, const struct bpf_range *ranges, size_t n, const struct bpf_rule *rules,
                  enum bpf_width width);

/* The same filter with fewer instructions: jumps to equal answers share one, and jumps to jumps go where those do. The
 * kernel compiles and tries out a filter whenever it is installed, so each instruction counts: with 4/10 fewer it is
 * done in 2/3 of the time. What cannot be shortened stays as it is. */
void bpf_share(struct bpf_code *c);

/* What a filter answers to a call of the machine's own architecture whose arguments are all 0; 0 (kill) for what no
 * filter of ours has. */
uint32_t bpf_answer(const struct sock_filter *insns, size_t n, uint32_t arch, uint32_t number);

#endif
