/*
 * confine.h: what the resolver gives up before it reads the first packet of a stranger's.
 *
 * Every file but /etc and the places to which distributions let /etc/resolv.conf point (Landlock), every system call
 * that its work does not need (seccomp), and every capability but the one to fill sets of nftables.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_DNS_CONFINE_H
#define HUSK_DNS_CONFINE_H

#include "base/err.h"

/* root: the store, whose database is read and whose index of it is shared by memory. */
fallible dns_confine(const char *root);

#endif
