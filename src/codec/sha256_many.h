/*
 * sha256_many.h: SHA-256 of several streams at once, for processors that have AVX2 but no SHA instructions.
 *
 * One stream cannot be hashed faster than its chain of additions allows; eight that have nothing to do with each other
 * fit side by side into the registers and take little longer than one. Whoever adds to a stream while another thread is
 * hashing waits, and what has gathered by then is hashed together. docs/adr/0026 has the figures. Only husk-image
 * links it.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CODEC_SHA256_MANY_H
#define HUSK_CODEC_SHA256_MANY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHA256_LANES = 8 };

/* Eight streams, `blocks` blocks of 64 bytes of each. Needs AVX2. Source: FIPS 180-4, section 6.2.2. */
void sha256_lanes(uint32_t state[SHA256_LANES][8], const unsigned char *const bytes[SHA256_LANES], size_t blocks);
/* One stream, by OpenSSL. */
void sha256_one_add(uint32_t state[8], const unsigned char *bytes, size_t blocks);
/* The processor has AVX2, and the lanes come out as OpenSSL's digest does. */
bool sha256_many_works(void);
/* Does it pay here? It works, and OpenSSL has no SHA instructions to use. HUSK_HASH=one or many says otherwise. Asked
 * once in a process. */
bool sha256_many_pays(void);

/**
 * sha256_many_add - add whole blocks to a stream, perhaps together with what other threads add to theirs.
 * @state: the eight words of the stream, changed when it comes back.
 */
void sha256_many_add(uint32_t state[8], const unsigned char *bytes, size_t blocks);

#endif
