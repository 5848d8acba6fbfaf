/* huge N: takes N pages of 2 MiB and writes to each. Status 3: the kernel refused them when they were asked for. */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

int main(int argc, char **argv)
{
    size_t page = 2 << 20, n = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
    char *p = mmap(NULL, n * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    if (p == MAP_FAILED) {
        perror("mmap");
        return 3;
    }
    for (size_t i = 0; i < n; i++)
        p[i * page] = 1;
    printf("%zu pages\n", n);
    return 0;
}
