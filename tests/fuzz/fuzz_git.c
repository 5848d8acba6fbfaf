// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdint.h>

#include "build/git.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* The address of a repository, out of a Dockerfile: whatever it is, git gets no option of it, and always a revision. */
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    own_mem char *word = mem_strndup((const char *)data, size);
    own(git_source) struct git_source g = { 0 };
    bool is = git_is(word);
    own(err) err *e = git_source_parse(word, &g);
    if (e)
        return 0;
    if (!g.url || !g.ref || !g.below || *g.url == '-' || *g.ref == '-' || !*g.ref || (is && !*g.url))
        abort();
    if (g.commit && strspn(g.commit, "0123456789abcdef") != strlen(g.commit))
        abort();
    return 0;
}
