// SPDX-License-Identifier: GPL-2.0-or-later
#include "cgroup/weight.h"

/* Bit by bit, so that the static programs need no libm for one number. */
static double log2_of(uint64_t v)
{
    double x = 1, log = 0, bit = 0.5;
    while (v >> 1 >= (uint64_t)x) {
        x *= 2;
        log += 1;
    }
    x = (double)v / x;
    for (int i = 0; i < 52; i++, bit /= 2) {
        x *= x;
        if (x >= 2) {
            x /= 2;
            log += bit;
        }
    }
    return log;
}

/* The curve is weight = 10^((l*l + 125*l)/612 - 7/34), l = log2(shares), rounded up. Solved for the logarithm of the
 * weight it is a comparison, and the least weight that is not below the curve is found by halving. */
uint64_t weight_of_shares(uint64_t shares)
{
    const double log2_10 = 3.321928094887362, rounding = 1e-12;
    uint64_t low = 1, high = 10000;
    if (shares <= 2)
        return 1;
    if (shares >= 262144)
        return 10000;
    double l = log2_of(shares), exponent = (l * l + 125 * l) / 612 - 7.0 / 34;
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (log2_of(middle) / log2_10 + rounding >= exponent)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

uint64_t weight_of_blkio(uint64_t weight)
{
    if (weight <= 10)
        return 1;
    return weight >= 1000 ? 10000 : 1 + (weight - 10) * 9999 / 990;
}
