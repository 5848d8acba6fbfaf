// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/stream.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* Any bytes: an error, or at most LIMIT bytes, and the same however the input is cut into pieces. */
enum { LIMIT = 1 << 20 };

struct input {
    const unsigned char *p;
    size_t n, step;
};
static err *read_input(void *ctx, void *buf, size_t max, size_t *ret_n)
{
    struct input *in = ctx;
    size_t n = in->n < max ? in->n : max;
    n = n < in->step ? n : in->step;
    memcpy(buf, in->p, n);
    in->p += n;
    in->n -= n;
    *ret_n = n;
    return NULL;
}

static fallible unpack(const unsigned char *data, size_t size, size_t step, size_t room, struct str *out)
{
    struct input in = { data, size, step };
    own(stream) struct stream *s = NULL;
    own_mem unsigned char *buf = mem_alloc(room);
    TRY(stream_open((struct stream_source){ read_input, &in }, LIMIT, &s));
    for (size_t n = 1; n > 0;) {
        TRY(stream_read(s, buf, room, &n));
        str_add_n(out, buf, n);
    }
    return NULL;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    own_str struct str whole = { 0 }, pieces = { 0 };
    own(err) err *a = unpack(data, size, SIZE_MAX, 1 << 16, &whole);
    own(err) err *b = unpack(data, size, 7, 1000, &pieces);
    if (!a != !b || whole.len > LIMIT || pieces.len > LIMIT)
        abort();
    if (!a && (whole.len != pieces.len || (whole.len && memcmp(whole.text, pieces.text, whole.len) != 0)))
        abort();
    return 0;
}
