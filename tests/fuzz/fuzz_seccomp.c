/*
 * Any bytes as a seccomp profile, Docker's or the runtime spec's: an error, or a filter that the kernel's checker
 * takes: jumps go forward and stay inside, and the end is a return.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>

#include "process/profile.h"
#include "process/seccomp.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void check(const struct seccomp_filter *f)
{
    if (f->n == 0 || f->n > BPF_MAXINSNS || BPF_CLASS(f->insns[f->n - 1].code) != BPF_RET)
        abort();
    for (size_t i = 0; i < f->n; i++) {
        const struct sock_filter *insn = &f->insns[i];
        if (BPF_CLASS(insn->code) != BPF_JMP)
            continue;
        if (BPF_OP(insn->code) == BPF_JA ? insn->k >= f->n - i - 1
                                         : i + 1 + insn->jt >= f->n || i + 1 + insn->jf >= f->n)
            abort();
    }
}

static void compile(const struct oci_seccomp *p)
{
    own(seccomp_filter) struct seccomp_filter f = { 0 };
    err *e = seccomp_compile(p, &f);
    if (!e)
        check(&f);
    if (e && f.insns)
        abort();
    err_free(e);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct oci_seccomp *p = NULL;
    err *e = seccomp_profile_read((const char *)data, size, 0xa80425fb, &p);
    if (!e != !!p)
        abort();
    if (p) {
        compile(p);
        bind_free(&oci_seccomp_type, p);
    }
    err_free(e);
    e = bind_read(&oci_seccomp_type, (const char *)data, size, (void **)&p);
    if (!e) {
        compile(p);
        bind_free(&oci_seccomp_type, p);
    }
    err_free(e);
    return 0;
}
