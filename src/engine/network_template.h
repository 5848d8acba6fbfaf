/*
 * network_template.h: a network that is only a configuration, and networks that are made of it (docker: --config-only,
 * --config-from).
 *
 * What was said when it was made is kept as words ("subnet=10.9.0.0/24"), since a driver, and what that makes of them,
 * is chosen by who uses it. It has no addresses and nothing in the kernel; no container is ever on it.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_NETWORK_TEMPLATE_H
#define HUSK_ENGINE_NETWORK_TEMPLATE_H

#include "engine/network.h"

#define NETWORK_TEMPLATE_DRIVER "null" /* as docker shows it */

void network_template_write(const struct network_options *o, struct strv *ret_words);
/**
 * network_template_read - the options of which a network is made.
 * @beside: what is said beside the configuration.
 * @ret:    its lists are the caller's (network_template_clear()), its texts those of words and beside.
 * INVALID when beside says something that only the configuration may: the option's name.
 */
fallible network_template_read(const struct strv *words, const struct network_options *beside,
                               struct network_options *ret);
void network_template_clear(struct network_options *o);

#endif
