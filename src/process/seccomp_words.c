// SPDX-License-Identifier: GPL-2.0-or-later
#include "process/seccomp_words.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <seccomp.h>

#include "process/bpf.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1u << 5) /* Linux 5.19 */
#endif

struct word {
    const char *word;
    uint32_t value;
};
static const struct word actions[] = {
    { "SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW },
    { "SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO },
    { "SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD },
    { "SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS },
    { "SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD },
    { "SCMP_ACT_LOG", SECCOMP_RET_LOG },
    { "SCMP_ACT_NOTIFY", SECCOMP_RET_USER_NOTIF },
    { "SCMP_ACT_TRACE", SECCOMP_RET_TRACE },
    { "SCMP_ACT_TRAP", SECCOMP_RET_TRAP },
};
static const struct word operators[] = {
    { "SCMP_CMP_NE", BPF_CMP_NE },
    { "SCMP_CMP_LT", BPF_CMP_LT },
    { "SCMP_CMP_LE", BPF_CMP_LE },
    { "SCMP_CMP_EQ", BPF_CMP_EQ },
    { "SCMP_CMP_GE", BPF_CMP_GE },
    { "SCMP_CMP_GT", BPF_CMP_GT },
    { "SCMP_CMP_MASKED_EQ", BPF_CMP_MASKED_EQ },
};
static const struct word flag_words[] = {
    { "SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC },
    { "SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG },
    { "SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW },
    { "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV },
};
static const struct word arches[] = {
    { "SCMP_ARCH_X86", SCMP_ARCH_X86 },
    { "SCMP_ARCH_X86_64", SCMP_ARCH_X86_64 },
    { "SCMP_ARCH_X32", SCMP_ARCH_X32 },
    { "SCMP_ARCH_ARM", SCMP_ARCH_ARM },
    { "SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64 },
    { "SCMP_ARCH_MIPS", SCMP_ARCH_MIPS },
    { "SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64 },
    { "SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32 },
    { "SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL },
    { "SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64 },
    { "SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32 },
    { "SCMP_ARCH_PPC", SCMP_ARCH_PPC },
    { "SCMP_ARCH_PPC64", SCMP_ARCH_PPC64 },
    { "SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE },
    { "SCMP_ARCH_S390", SCMP_ARCH_S390 },
    { "SCMP_ARCH_S390X", SCMP_ARCH_S390X },
    { "SCMP_ARCH_PARISC", SCMP_ARCH_PARISC },
    { "SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64 },
    { "SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64 },
    { "SCMP_ARCH_LOONGARCH64", 0xC0000102 },
    { "SCMP_ARCH_M68K", 4 },
    { "SCMP_ARCH_SH", 42 },
    { "SCMP_ARCH_SHEB", 0x8000002A },
};

#define WORD_AT(list, i) ((i) < ARRAY_SIZE(list) ? (list)[i].word : NULL)

const char *seccomp_action_word(size_t i)
{
    return WORD_AT(actions, i);
}

const char *seccomp_operator_word(size_t i)
{
    return WORD_AT(operators, i);
}

const char *seccomp_arch_word(size_t i)
{
    return WORD_AT(arches, i);
}

const char *seccomp_flag_word(size_t i)
{
    return WORD_AT(flag_words, i);
}

/* The kernel looks at the flags first: EINVAL for one that it does not know, EFAULT for a filter at address 0. */
bool seccomp_flag_works(size_t i)
{
    uint32_t flag = i < ARRAY_SIZE(flag_words) ? flag_words[i].value : 0;
    if (flag == SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) /* it wants a listener beside it */
        flag |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
    return flag && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flag, NULL) < 0 && errno == EFAULT;
}

static fallible value_of(const struct word *words, size_t n, const char *what, const char *word, uint32_t *ret)
{
    const char *known[32];
    for (size_t i = 0; i < n; i++) {
        if (word && strcmp(words[i].word, word) == 0) {
            *ret = words[i].value;
            return NULL;
        }
        known[i] = words[i].word;
    }
    if (!word)
        return err_new(ERR_INVALID, "%s: missing", what);
    const char *near = nearest_word(word, known, n);
    return near ? err_new(ERR_INVALID, "%s: '%s' is not known: is it %s?", what, word, near)
                : err_new(ERR_INVALID, "%s: '%s' is not known", what, word);
}

fallible seccomp_operator_value(const char *word, uint32_t *ret)
{
    return value_of(operators, ARRAY_SIZE(operators), "args.op", word, ret);
}

fallible seccomp_arch_value(const char *word, uint32_t *ret)
{
    return value_of(arches, ARRAY_SIZE(arches), "architectures", word, ret);
}

fallible seccomp_flag_value(const char *word, uint32_t *ret)
{
    return value_of(flag_words, ARRAY_SIZE(flag_words), "flags", word, ret);
}

enum { ERRNO_MAX = 4095 };

fallible seccomp_action_value(const char *what, const char *word, const struct opt_u64 *errno_ret, uint32_t *ret)
{
    uint32_t action = 0;
    TRY(value_of(actions, ARRAY_SIZE(actions), what, word, &action));
    bool takes_errno = action == SECCOMP_RET_ERRNO || action == SECCOMP_RET_TRACE;
    uint64_t most = action == SECCOMP_RET_TRACE ? SECCOMP_RET_DATA : ERRNO_MAX; /* the kernel would answer that one */
    if (errno_ret->set && errno_ret->v > most)
        return err_new(ERR_INVALID, "%s: errno %llu is too large: the largest is %llu", what,
                       (unsigned long long)errno_ret->v, (unsigned long long)most);
    if (errno_ret->set && errno_ret->v && !takes_errno)
        return err_new(ERR_INVALID, "%s: %s answers no errno", what, word);
    if (takes_errno)
        action |= errno_ret->set ? (uint32_t)errno_ret->v : EPERM;
    *ret = action;
    return NULL;
}
