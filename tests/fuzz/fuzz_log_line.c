/*
 * Any bytes: as output of a program they are cut and encoded into entries that are read back; as a log's line they are
 * an entry or none.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "monitor/keys.h"
#include "monitor/line.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void there_and_back(void *ctx, const char *text, size_t n, bool ended, int64_t time_ns)
{
    size_t *total = ctx;
    struct line line;
    static char entry[LINE_ENTRY_MAX];
    size_t len = line_encode(entry, text, n, ended, LINE_STDERR, NULL, time_ns);
    if (len > sizeof entry || n > LINE_TEXT_MAX || !line_decode(entry, len - 1, &line) || line.stream != LINE_STDERR)
        abort();
    if (line.text_len < n + ended) /* U+FFFD is longer than the byte it stands for */
        abort();
    *total += n + ended;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static char carry[LINE_TEXT_MAX];
    struct line_cutter cutter = { .text = carry };
    struct keys keys;
    size_t total = 0, step = size > 2 ? 1 + data[0] * 97u : 1;
    own_mem char *copy = mem_alloc(size + 1), *out = mem_alloc(size + KEYS_MAX);
    for (size_t at = 0; at < size; at += step)
        line_cut(&cutter, (const char *)data + at, size - at < step ? size - at : step, there_and_back, &total);
    line_cut_end(&cutter, there_and_back, &total);
    if (total != size)
        abort();

    struct line line;
    memcpy(copy, data, size);
    if (line_decode(copy, size, &line) &&
        (line.text < copy || line.text + line.text_len > copy + size || line.time + line.time_len > copy + size))
        abort();

    memcpy(copy, data, size);
    copy[size] = '\0';
    own(err) err *e = keys_parse(copy, &keys);
    if (!e)
        (void)keys_filter(&keys, copy, size, out, &total);
    return 0;
}
