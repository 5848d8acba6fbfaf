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

/* ---- sharing ----
 *
 * From the last instruction to the first: an answer (RET) or a long jump (JA) is not written where it stood but when a
 * jump wants it, and then only if none of the same kind is near enough ahead. What is written last stands first, so a
 * place is counted from the end.
 */
enum { NOWHERE = -1, ANSWERS_MAX = 16 };

struct share {
    const struct sock_filter *old;
    struct sock_filter *out; /* backwards */
    long *places;            /* of each old instruction; NOWHERE: not written */
    size_t old_n, n, room;
    struct {
        uint32_t action;
        long place;
    } answers[ANSWERS_MAX]; /* the nearest of each */
    size_t answers_n;
    bool failed;
};

static bool is_answer(const struct sock_filter *insn)
{
    return BPF_CLASS(insn->code) == BPF_RET;
}
static bool is_long_jump(const struct sock_filter *insn)
{
    return insn->code == (BPF_JMP | BPF_JA);
}

static long write_insn(struct share *s, struct sock_filter insn)
{
    if (s->n == s->room) {
        s->failed = true;
        return 0;
    }
    s->out[s->n] = insn;
    return (long)s->n++;
}

static long *nearest(struct share *s, uint32_t action)
{
    for (size_t i = 0; i < s->answers_n; i++)
        if (s->answers[i].action == action)
            return &s->answers[i].place;
    if (s->answers_n == ANSWERS_MAX)
        return NULL;
    s->answers[s->answers_n].action = action;
    s->answers[s->answers_n].place = NOWHERE;
    return &s->answers[s->answers_n++].place;
}

/* ahead: how many instructions will stand between the jump and what is written now. */
static bool reaches(const struct share *s, long place, size_t ahead)
{
    return place != NOWHERE && s->n + ahead - 1 - (size_t)place <= JUMP_MAX;
}

/* Where a jump to an old instruction goes; writes it when there is none in reach. */
static long place_of(struct share *s, size_t target, size_t ahead)
{
    while (target < s->old_n && is_long_jump(&s->old[target]) && s->places[target] == NOWHERE) {
        size_t beyond = target + 1 + s->old[target].k;
        long place = beyond < s->old_n ? s->places[beyond] : NOWHERE;
        bool answer = beyond < s->old_n && is_answer(&s->old[beyond]);
        if (!answer && !reaches(s, place, ahead)) {
            s->places[target] = write_insn(
                s, (struct sock_filter){ .code = BPF_JMP | BPF_JA, .k = (uint32_t)(s->n - 1 - (size_t)place) });
            break;
        }
        target = beyond;
    }
    if (target >= s->old_n) {
        s->failed = true;
        return 0;
    }
    if (!is_answer(&s->old[target]))
        return s->places[target];
    long *place = nearest(s, s->old[target].k);
    if (place && reaches(s, *place, ahead))
        return *place;
    long made = write_insn(s, s->old[target]);
    if (place)
        *place = made;
    return made;
}

static void share_jump(struct share *s, size_t i)
{
    struct sock_filter insn = s->old[i];
    /* the second may be written between us and the first: it is asked for with room for one more */
    long to = place_of(s, i + 1 + insn.jt, 2), or_to = place_of(s, i + 1 + insn.jf, 1);
    size_t far = s->n - 1 - (size_t)to, or_far = s->n - 1 - (size_t)or_to;
    if (to == NOWHERE || or_to == NOWHERE || far > JUMP_MAX || or_far > JUMP_MAX)
        s->failed = true;
    insn.jt = (uint8_t)far;
    insn.jf = (uint8_t)or_far;
    s->places[i] = write_insn(s, insn);
}

static void share_one(struct share *s, size_t i)
{
    const struct sock_filter *insn = &s->old[i];
    if (is_answer(insn) || is_long_jump(insn))
        return; /* when somebody wants it */
    if (BPF_CLASS(insn->code) == BPF_JMP) {
        share_jump(s, i);
        return;
    }
    /* it goes on with the next: that must be the last written */
    if (i + 1 < s->old_n && is_answer(&s->old[i + 1]))
        (void)write_insn(s, s->old[i + 1]);
    else if (i + 1 >= s->old_n || s->places[i + 1] != (long)s->n - 1)
        s->failed = true;
    s->places[i] = write_insn(s, *insn);
}

void bpf_share(struct bpf_code *c)
{
    size_t n = bpf_count(c);
    struct share s = { .old = (const struct sock_filter *)c->bytes.text, .old_n = n, .room = n };
    own_mem struct sock_filter *out = mem_array(NULL, n + 1, sizeof *out);
    own_mem long *places = mem_array(NULL, n + 1, sizeof *places);
    s.out = out;
    s.places = places;
    for (size_t i = 0; i < n; i++)
        places[i] = NOWHERE;
    for (size_t i = n; i-- > 0 && !s.failed;)
        share_one(&s, i);
    if (s.failed || !n || places[0] == NOWHERE)
        return; /* as it was */
    for (size_t i = 0; i < s.n; i++)
        *insn_at(c, i) = out[s.n - 1 - i];
    c->bytes.len = s.n * sizeof *out;
}

/* ---- trying it out ---- */

static uint32_t word_at(uint32_t offset, uint32_t arch, uint32_t number)
{
    return offset == offsetof(struct seccomp_data, nr)     ? number
           : offset == offsetof(struct seccomp_data, arch) ? arch
                                                           : 0;
}

static bool jumps(const struct sock_filter *insn, uint32_t a)
{
    switch (BPF_OP(insn->code)) {
    case BPF_JEQ:
        return a == insn->k;
    case BPF_JGT:
        return a > insn->k;
    case BPF_JGE:
        return a >= insn->k;
    case BPF_JSET:
        return a & insn->k;
    }
    return false;
}

uint32_t bpf_answer(const struct sock_filter *insns, size_t n, uint32_t arch, uint32_t number)
{
    uint32_t a = 0;
    for (size_t i = 0; i < n; i++) {
        const struct sock_filter *insn = &insns[i];
        if (BPF_CLASS(insn->code) == BPF_RET)
            return insn->k;
        if (insn->code == (BPF_LD | BPF_W | BPF_ABS))
            a = word_at(insn->k, arch, number);
        else if (insn->code == (BPF_ALU | BPF_AND | BPF_K))
            a &= insn->k;
        else if (insn->code == (BPF_JMP | BPF_JA))
            i += insn->k;
        else if (BPF_CLASS(insn->code) == BPF_JMP)
            i += jumps(insn, a) ? insn->jt : insn->jf;
    }
    return SECCOMP_RET_KILL_THREAD;
}
