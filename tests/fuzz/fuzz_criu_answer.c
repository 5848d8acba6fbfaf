/* Any bytes: as CRIU's answer they are one with a type and texts that end, or an error; as its statistics, numbers. */
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
    int64_t number = 0;
    int64_t *const fields[] = { NULL, &number, NULL, &number };
    criu_read_stats(data, size, 1, fields, ARRAY_SIZE(fields));
    return 0;
}
