// SPDX-License-Identifier: GPL-2.0-or-later
#include "process/bpf.h"

#include <linux/seccomp.h>

/* Longer jumps than this need an instruction of their own. */
enum { JUMP_MAX = 255 };

size_t bpf_count(const struct bpf_code *c)
{
    return c->bytes.len / sizeof(struct sock_filter);
}

void bpf_add(struct bpf_code *c, uint16_t code, uint8_t jump_true, uint8_t jump_false, uint32_t k)
{
    struct sock_filter insn = { .code = code, .jt = jump_true, .jf = jump_false, .k = k };
    str_add_n(&c->bytes, &insn, sizeof insn);
}

static struct sock_filter *insn_at(struct bpf_code *c, size_t i)
{
    return (struct sock_filter *)c->bytes.text + i;
}

/* ---- one condition ----
 *
 * A condition falls through when it holds and jumps to FAIL when it does not; FAIL's distance is filled in when the
 * rule's length is known. The machines that husk knows are little-endian: the high half of an argument is the second.
 */
enum { PASS = 253, FAIL = 254, NEXT = 0 }; /* marks in jt and jf until resolved */

static uint32_t argument(uint32_t index, bool high)
{
    return (uint32_t)offsetof(struct seccomp_data, args) + index * 8 + (high ? 4 : 0);
}

static void load(struct bpf_code *c, const struct bpf_condition *cond, bool high)
{
    bpf_add(c, BPF_LD | BPF_W | BPF_ABS, 0, 0, argument(cond->index, high));
    uint32_t mask = (uint32_t)(high ? cond->mask >> 32 : cond->mask);
    if (cond->op == BPF_CMP_MASKED_EQ)
        bpf_add(c, BPF_ALU | BPF_AND | BPF_K, 0, 0, mask);
}

static void test(struct bpf_code *c, uint16_t op, uint32_t k, uint8_t jump_true, uint8_t jump_false)
{
    bpf_add(c, BPF_JMP | op | BPF_K, jump_true, jump_false, k);
}

/* What the high half alone decides; falls through when the low half has to. */
static void add_high(struct bpf_code *c, const struct bpf_condition *cond)
{
    uint32_t k = (uint32_t)(cond->value >> 32);
    load(c, cond, true);
    switch (cond->op) {
    case BPF_CMP_EQ:
    case BPF_CMP_MASKED_EQ:
        test(c, BPF_JEQ, k, NEXT, FAIL);
        return;
    case BPF_CMP_NE:
        test(c, BPF_JEQ, k, NEXT, PASS);
        return;
    case BPF_CMP_GT:
    case BPF_CMP_GE:
        test(c, BPF_JGT, k, PASS, NEXT);
        test(c, BPF_JEQ, k, NEXT, FAIL);
        return;
    case BPF_CMP_LT:
    case BPF_CMP_LE:
        test(c, BPF_JGT, k, FAIL, NEXT);
        test(c, BPF_JEQ, k, NEXT, PASS);
        return;
    }
}

static void add_low(struct bpf_code *c, const struct bpf_condition *cond)
{
    uint32_t k = (uint32_t)cond->value;
    load(c, cond, false);
    switch (cond->op) {
    case BPF_CMP_EQ:
    case BPF_CMP_MASKED_EQ:
        test(c, BPF_JEQ, k, NEXT, FAIL);
        return;
    case BPF_CMP_NE:
        test(c, BPF_JEQ, k, FAIL, NEXT);
        return;
    case BPF_CMP_GT:
        test(c, BPF_JGT, k, NEXT, FAIL);
        return;
    case BPF_CMP_GE:
        test(c, BPF_JGE, k, NEXT, FAIL);
        return;
    case BPF_CMP_LT:
        test(c, BPF_JGE, k, FAIL, NEXT);
        return;
    case BPF_CMP_LE:
        test(c, BPF_JGT, k, FAIL, NEXT);
        return;
    }
}

static void resolve(struct bpf_code *c, size_t from, size_t to, uint8_t mark, size_t target)
{
    for (size_t i = from; i < to; i++) {
        struct sock_filter *insn = insn_at(c, i);
        if (BPF_CLASS(insn->code) != BPF_JMP)
            continue;
        if (insn->jt == mark)
            insn->jt = (uint8_t)(target - i - 1);
        if (insn->jf == mark)
            insn->jf = (uint8_t)(target - i - 1);
    }
}

static void add_rule(struct bpf_code *c, const struct bpf_rule *rule, enum bpf_width width)
{
    size_t begin = bpf_count(c);
    for (size_t i = 0; i < rule->n; i++) {
        size_t at = bpf_count(c);
        if (width == BPF_WIDTH_64)
            add_high(c, &rule->conditions[i]);
        add_low(c, &rule->conditions[i]);
        resolve(c, at, bpf_count(c), PASS, bpf_count(c));
    }
    bpf_add(c, BPF_RET | BPF_K, 0, 0, rule->action);
    resolve(c, begin, bpf_count(c), FAIL, bpf_count(c));
}

/* ---- the tree ---- */

struct tree {
    const struct bpf_range *ranges;
    const struct bpf_rule *rules;
    enum bpf_width width;
};

static void add_leaf(struct bpf_code *c, const struct tree *t, size_t i)
{
    const struct bpf_range *r = &t->ranges[i];
    for (size_t k = 0; k < r->rules_n; k++)
        add_rule(c, &t->rules[r->rules[k]], t->width);
    bpf_add(c, BPF_RET | BPF_K, 0, 0, r->action);
}

/* The lower half is emitted on trial: only then is it known whether the jump over it is a short one. */
static void add_node(struct bpf_code *c, const struct tree *t, size_t low, size_t high)
{
    if (high - low == 1) {
        add_leaf(c, t, low);
        return;
    }
    own(bpf_code) struct bpf_code lower = { 0 };
    size_t middle = (low + high) / 2;
    add_node(&lower, t, low, middle);
    size_t n = bpf_count(&lower);
    uint32_t k = t->ranges[middle].from;
    if (n <= JUMP_MAX) {
        bpf_add(c, BPF_JMP | BPF_JGE | BPF_K, (uint8_t)n, 0, k);
    } else {
        bpf_add(c, BPF_JMP | BPF_JGE | BPF_K, 0, 1, k);
        bpf_add(c, BPF_JMP | BPF_JA, 0, 0, (uint32_t)n);
    }
    str_add_n(&c->bytes, lower.bytes.text, lower.bytes.len);
    add_node(c, t, middle, high);
}

void bpf_add_tree(struct bpf_code *c, const struct bpf_range *ranges, size_t n, const struct bpf_rule *rules,
                  enum bpf_width width)
{
    struct tree t = { .ranges = ranges, .rules = rules, .width = width };
    add_node(c, &t, 0, n);
}
