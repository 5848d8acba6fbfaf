/*
 * heap.h: what a fork asks of the static programs' malloc.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_OS_HEAP_H
#define HUSK_OS_HEAP_H

/*
 * heap_part - after a fork, on both sides: what was allocated before lies in pages that both share until one writes.
 *
 * From here on memory comes from pages behind them, and free() leaves what was made before as it is: each page that is
 * written to costs a fault and a copy. Once in a process's life, so what is never given again is bounded: what a piece
 * of 256 KiB held then. Nothing under glibc, whose malloc is its own.
 */
void heap_part(void);

#endif
