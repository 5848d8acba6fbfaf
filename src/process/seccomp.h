/*
 * seccomp.h: a configuration's seccomp object -> a BPF program, by a compiler of our own.
 *
 * libseccomp resolves the names; its filters are not used: it emits one compare per system call (525 us to install
 * here) and takes up to 16 ms to make them. Ours are a balanced tree over ranges of numbers (83 us), since the kernel
 * runs the filter once per number when it is installed. What the filter does is the same, and a test compares the two
 * for every number, with these differences on purpose:
 *   - A number above the highest that the profile names on that architecture gets ENOSYS instead of the default action
 *     (when that is to refuse): a system call that is newer than the profile must look missing, so that libcs fall back
 *     (clone3, faccessat2, fchmodat2 ...); EPERM breaks them. As runc does. Gaps below it get the default action: the
 *     author of the profile knew these calls and left them out.
 *   - Names newer than libseccomp's tables are resolved too (450 and up have one number on all architectures).
 *   - An architecture that the profile does not list kills the process, not only the thread.
 *   - On x32 arguments are compared in all 64 bits, as the kernel takes them; libseccomp looks at the low 32.
 *   - On i386, a rule with argument conditions on a socket or IPC call does not apply to socketcall(2) and ipc(2):
 *     their arguments are behind a pointer, and libseccomp would let the call through unchecked.
 * For one system call: a rule without conditions wins over those with; of those, the first that matches.
 *
 * The cache: a compiled filter is kept in cache_dir/HASH, HASH being 64 bits over the input as text. No
 * cryptographic hash is needed, since the file begins with the whole input, which is compared before the filter is
 * used:
 *
 *   offset 0   u32 magic "HSC1", u32 length of the input, u32 number of instructions, u32 flags
 *          16  the input, then padding with NUL to a multiple of 8
 *              struct sock_filter each
 *
 * The input text names the compiler's version, the machine and every word of the seccomp object that matters. The
 * folder belongs to the user and only they can write it. It holds at most SECCOMP_CACHE_MAX files; a full one is
 * emptied. Source: seccomp(2), runtime-spec config-linux.md "Seccomp".
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_PROCESS_SECCOMP_H
#define HUSK_PROCESS_SECCOMP_H

#include <linux/filter.h>
#include <stdint.h>

#include "spec/oci_runtime.h"

enum { SECCOMP_CACHE_MAX = 64 };

struct seccomp_filter {
    struct sock_filter *insns;
    size_t n;
    uint32_t flags; /* SECCOMP_FILTER_FLAG_* */
    bool notifies;  /* has SCMP_ACT_NOTIFY: needs a listener */
};
void seccomp_filter_free(struct seccomp_filter *f);
static inline void own_drop_seccomp_filter(struct seccomp_filter *f)
{
    seccomp_filter_free(f);
}

/**
 * seccomp_compile - the filter of a seccomp object, for this machine.
 * Errors: INVALID (unknown action, operator, architecture or flag, with the nearest known one), EXHAUSTED (more than
 * 4096 instructions).
 */
fallible seccomp_compile(const struct oci_seccomp *profile, struct seccomp_filter *ret);
/* The same through the cache; cache_dir NULL: without. The folder is made when missing; a cache that cannot be written
 * or read is no error. */
fallible seccomp_compile_cached(const struct oci_seccomp *profile, const char *cache_dir, struct seccomp_filter *ret);

/*
 * The same before the configuration is read: most of what a profile costs is its text (17 KB of JSON for Docker's), and
 * engines give every container the same one. A filter is also kept under the text of the object as it stands in
 * config.json, byte by byte, and where that is known nobody needs to read it.
 */
struct seccomp_text {
    size_t at, n; /* the object of linux.seccomp; n 0: there is none, or it is nothing that is kept */
};
/* Where the object stands in a config.json. Only a key written without escapes counts, and of several the first: what
 * the text around it means is for its reader to say, who reads on whatever is found here. */
struct seccomp_text seccomp_text_find(const char *json, size_t n);
/* The kept filter of exactly this text. */
bool seccomp_text_cached(const char *json, struct seccomp_text t, const char *cache_dir, struct seccomp_filter *ret);
/* Writes null in its place, which is as if it were absent. Answers the document's new length. */
size_t seccomp_text_cut(char *json, size_t n, struct seccomp_text t);
/* Keeps one for the next time, unless an agent is to be told: that needs the object itself. profile: what the text was
 * read as, and compiled well. */
void seccomp_text_keep(const char *json, struct seccomp_text t, const struct oci_seccomp *profile,
                       const char *cache_dir);

/* INVALID for a filter under which no start could end well: it is there before the program, so one that refuses execve
 * lets nothing start (with a tracer or an agent it is theirs to decide); a listener is handed on by sendmsg; and an
 * init, which stays, needs a few calls of its own. */
fallible seccomp_check(const struct seccomp_filter *f, bool init);
/* Whether husk-init, under it, could neither say what went wrong with the exec nor end. */
bool seccomp_mutes(const struct seccomp_filter *f);

/* The words that a profile may have, one after the other; NULL beyond the last. */
const char *seccomp_action_word(size_t i);
const char *seccomp_operator_word(size_t i);
const char *seccomp_arch_word(size_t i);
const char *seccomp_flag_word(size_t i);
/* And whether this kernel takes the flag. */
bool seccomp_flag_works(size_t i);

/* INVALID for a rule with a name that no architecture has: such names are left out otherwise, as profiles list the
 * calls of other machines and kernels. */
fallible seccomp_check_names(const struct oci_seccomp *profile);
/* The number of a name on an architecture (SCMP_ARCH_* token of libseccomp), or -1. */
int seccomp_number(uint32_t arch, const char *name);

#endif
