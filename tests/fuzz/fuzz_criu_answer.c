/* Any bytes: as CRIU's answer they are one with a type and texts that end, or an error. */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "runtime/criu.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct criu_answer a = { .type = (enum criu_type) - 1 };
    own(err) err *e = criu_read(data, size, &a);
    if (!e &&
        (strnlen(a.script, sizeof a.script) == sizeof a.script || strnlen(a.text, sizeof a.text) == sizeof a.text))
        abort();
    return 0;
}
