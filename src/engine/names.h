/*
 * names.h: names for containers that got none: an adjective and a noun, "quiet_lantern".
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_NAMES_H
#define HUSK_ENGINE_NAMES_H

/* A random name; with a digit behind it when attempt > 0. Caller frees. */
char *names_random(int attempt);

#endif
