// SPDX-License-Identifier: GPL-2.0-or-later
#include "runtime/criu.h"
#include "test.h"

/* { dump = { freezing_time = 300, frozen_time = 70000, pages_written = 99 } } behind CRIU's head. */
static const unsigned char stats[] = { 0x40, 0x59, 0x10, 0x55, 6,    0x33, 9,    0x57, 11,   0,    0, 0,
                                       0x0a, 9,    0x08, 0xac, 0x02, 0x10, 0xf0, 0xa2, 0x04, 0x38, 99 };

TEST(statistics_are_read_by_their_numbers_and_what_is_cut_is_not)
{
    int64_t freezing = 0, frozen = 0, written = 0, other = 7;
    int64_t *const fields[] = { NULL, &freezing, &frozen, &other, NULL, NULL, NULL, &written };
    criu_read_stats(stats, sizeof stats, 1, fields, ARRAY_SIZE(fields));
    CHECK(freezing == 300 && frozen == 70000 && written == 99 && other == 7);

    freezing = 0;
    criu_read_stats(stats, sizeof stats, 2, fields, ARRAY_SIZE(fields)); /* a restore's, of which there is none */
    CHECK(freezing == 0);
    for (size_t n = 0; n < sizeof stats; n++)
        criu_read_stats(stats, n, 1, fields, ARRAY_SIZE(fields));
    CHECK(freezing == 0);
}
