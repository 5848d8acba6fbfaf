/*
 * autostart.h: what makes restart policies hold over a reboot: a unit of the init at hand that runs
 * "husk autostart run" once the machine is up, and "husk autostart stop" when it goes down.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_AUTOSTART_H
#define HUSK_ENGINE_AUTOSTART_H

#include "engine/container.h"

enum autostart_init { AUTOSTART_SYSTEMD, AUTOSTART_SYSTEMD_USER, AUTOSTART_OPENRC, AUTOSTART_RUNIT, AUTOSTART_CRON };
struct autostart_unit {
    enum autostart_init init;
    char *path;   /* of its file; NULL for cron, whose table is asked by crontab(1) */
    char *text;   /* what stands there */
    char *link;   /* a link that enables it, or NULL */
    char *target; /* where that points */
    char *advice; /* what the user has to do himself, or NULL */
};
void autostart_unit_clear(struct autostart_unit *u);

/* "systemd", "systemd-user", "openrc", "runit", "cron". INVALID names the rest. */
fallible autostart_init_parse(const char *word, enum autostart_init *ret);
const char *autostart_init_word(enum autostart_init init);
/* The init that this system runs, as far as it shows below root_dir ("" is the system itself). cron where there is
 * nothing else. UNSUPPORTED when there is not even that. */
fallible autostart_detect(const char *root_dir, enum autostart_init *ret);
/* The unit for this user; nothing is written. */
fallible autostart_unit(const struct engine *e, const char *root_dir, enum autostart_init init,
                        struct autostart_unit *ret);
/* Writes it, or takes it away: both are no error when it is so already. */
fallible autostart_install(const struct autostart_unit *u);
fallible autostart_remove(const struct autostart_unit *u);
fallible autostart_installed(const struct autostart_unit *u, bool *ret);

/* Whether its policy wants it after a reboot: always, and unless-stopped unless somebody stopped it. As docker has it,
 * on-failure is about failures and not about reboots. */
fallible autostart_wanted(struct container *c, bool *ret);

#endif
