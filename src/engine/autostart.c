// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/autostart.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/container_parts.h"
#include "monitor/restart.h"
#include "os/fs.h"

static const char *const words[] = { "systemd", "systemd-user", "openrc", "runit", "cron" };
#define CRON_MARK "# husk autostart: restart policies after a reboot"

void autostart_unit_clear(struct autostart_unit *u)
{
    free(u->path);
    free(u->text);
    free(u->link);
    free(u->target);
    free(u->advice);
    *u = (struct autostart_unit){ 0 };
}

const char *autostart_init_word(enum autostart_init init)
{
    return words[init];
}

fallible autostart_init_parse(const char *word, enum autostart_init *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (strcmp(words[i], word) == 0) {
            *ret = (enum autostart_init)i;
            return NULL;
        }
    return err_new(ERR_INVALID, "--init: '%s' is not one of systemd, systemd-user, openrc, runit, cron", word);
}

static bool exists(const char *root_dir, const char *path)
{
    own_mem char *full = mem_printf("%s%s", root_dir, path);
    return access(full, F_OK) == 0;
}

/* Each init's own sign that it runs. Source: sd_booted(3); openrc(8); runit(8). */
fallible autostart_detect(const char *root_dir, enum autostart_init *ret)
{
    bool user = engine_is_rootless();
    if (exists(root_dir, "/run/systemd/system"))
        *ret = user ? AUTOSTART_SYSTEMD_USER : AUTOSTART_SYSTEMD;
    else if (!user && exists(root_dir, "/run/openrc"))
        *ret = AUTOSTART_OPENRC;
    else if (!user && exists(root_dir, "/run/runit"))
        *ret = AUTOSTART_RUNIT;
    else if (exists(root_dir, "/usr/bin/crontab"))
        *ret = AUTOSTART_CRON;
    else
        return err_new(ERR_UNSUPPORTED,
                       "no init is known here (systemd, OpenRC, runit), and there is no crontab: install cron, or have "
                       "'husk autostart run' run when the machine is up");
    return NULL;
}

/* ---- the units ---- */

static char *environment(const char *format)
{
    static const char *const names[] = { "HUSK_ROOT", "HUSK_RUN", "HUSK_LIBEXEC" };
    own_str struct str out = { 0 };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            str_printf(&out, format, names[i], value);
    }
    return out.text ? str_take(&out) : mem_strdup("");
}

/* KillMode and the absence of a stop by systemd itself: each container is ended by husk, in its own time. */
static char *systemd_text(const char *husk, const char *wanted_by, const char *after)
{
    own_mem char *env = environment("Environment=\"%s=%s\"\n");
    return mem_printf("[Unit]\n"
                      "Description=Containers of husk with a restart policy\n"
                      "Documentation=man:husk-autostart(1)\n"
                      "%s\n"
                      "[Service]\n"
                      "Type=oneshot\n"
                      "RemainAfterExit=yes\n"
                      "KillMode=process\n"
                      "Delegate=yes\n"
                      "TimeoutStopSec=120\n"
                      "%s"
                      "ExecStart=%s autostart run\n"
                      "ExecStop=%s autostart stop\n"
                      "\n"
                      "[Install]\n"
                      "WantedBy=%s\n",
                      after, env, husk, husk, wanted_by);
}

static char *home(void)
{
    const char *dir = getenv("HOME");
    const struct passwd *user = dir && *dir ? NULL : getpwuid(getuid());
    return mem_strdup(dir && *dir ? dir : user ? user->pw_dir : "/");
}

static char *user_config_dir(void)
{
    const char *dir = getenv("XDG_CONFIG_HOME");
    own_mem char *own = home();
    return dir && *dir == '/' ? mem_strdup(dir) : mem_printf("%s/.config", own);
}

static char *user_name(void)
{
    const struct passwd *user = getpwuid(getuid());
    return user ? mem_strdup(user->pw_name) : mem_printf("%u", (unsigned)getuid());
}

static void systemd_unit(const char *root_dir, const char *husk, struct autostart_unit *u)
{
    u->path = mem_printf("%s/etc/systemd/system/husk-autostart.service", root_dir);
    u->link = mem_printf("%s/etc/systemd/system/multi-user.target.wants/husk-autostart.service", root_dir);
    u->target = mem_strdup("../husk-autostart.service");
    u->text = systemd_text(husk, "multi-user.target",
                           "Wants=network-online.target\nAfter=network-online.target local-fs.target\n");
    u->advice = mem_strdup("systemctl daemon-reload    makes it known now; it runs with the next boot");
}

static void systemd_user_unit(const char *root_dir, const char *husk, struct autostart_unit *u)
{
    own_mem char *config = user_config_dir(), *name = user_name();
    u->path = mem_printf("%s%s/systemd/user/husk-autostart.service", root_dir, config);
    u->link = mem_printf("%s%s/systemd/user/default.target.wants/husk-autostart.service", root_dir, config);
    u->target = mem_strdup("../husk-autostart.service");
    u->text = systemd_text(husk, "default.target", "");
    own_mem char *linger = mem_printf("%s/var/lib/systemd/linger/%s", root_dir, name);
    if (access(linger, F_OK) < 0)
        u->advice =
            mem_printf("loginctl enable-linger %s    has the user's systemd run from the boot on, not only while he is "
                       "logged in",
                       name);
}

static void openrc_unit(const char *root_dir, const char *husk, struct autostart_unit *u)
{
    own_mem char *env = environment("export %s=\"%s\"\n");
    u->path = mem_printf("%s/etc/init.d/husk-autostart", root_dir);
    u->link = mem_printf("%s/etc/runlevels/default/husk-autostart", root_dir);
    u->target = mem_strdup("/etc/init.d/husk-autostart");
    u->text = mem_printf("#!/sbin/openrc-run\n"
                         "description=\"Containers of husk with a restart policy\"\n"
                         "%s"
                         "depend() {\n"
                         "    after localmount net firewall\n" /* a container's OpenRC may have none of them */
                         "}\n"
                         "start() {\n"
                         "    ebegin \"Starting containers\"\n"
                         "    %s autostart run\n"
                         "    eend $?\n"
                         "}\n"
                         "stop() {\n"
                         "    ebegin \"Stopping containers\"\n"
                         "    %s autostart stop\n"
                         "    eend $?\n"
                         "}\n",
                         env, husk, husk);
}

/* runit wants a process to watch: this one waits to be told that the machine goes down. */
static void runit_unit(const char *root_dir, const char *husk, struct autostart_unit *u)
{
    own_mem char *env = environment("export %s=\"%s\"\n");
    u->path = mem_printf("%s/etc/sv/husk-autostart/run", root_dir);
    u->link = mem_printf("%s/etc/service/husk-autostart", root_dir);
    u->target = mem_strdup("/etc/sv/husk-autostart");
    u->text = mem_printf("#!/bin/sh\n"
                         "# Containers of husk with a restart policy\n"
                         "%s"
                         "trap '%s autostart stop; exit 0' TERM\n"
                         "%s autostart run\n"
                         "while :; do sleep 86400 & wait $!; done\n",
                         env, husk, husk);
}

static void cron_unit(const char *husk, struct autostart_unit *u)
{
    own_mem char *env = environment("%s='%s' ");
    u->text = mem_printf("@reboot %s%s autostart run " CRON_MARK "\n", env, husk);
    u->advice =
        mem_strdup("cron tells nobody that the machine goes down: containers are then ended by the init's own signals");
}

fallible autostart_unit(const struct engine *e, const char *root_dir, enum autostart_init init,
                        struct autostart_unit *ret)
{
    own_mem char *husk = NULL;
    struct autostart_unit u = { .init = init };
    TRY(self_path(&husk));
    if (strpbrk(husk, " \t\n\"'%$\\"))
        return err_new(ERR_INVALID, "husk's own path '%s' has signs in it that a unit cannot have", husk);
    switch (init) {
    case AUTOSTART_SYSTEMD:
        systemd_unit(root_dir, husk, &u);
        break;
    case AUTOSTART_SYSTEMD_USER:
        systemd_user_unit(root_dir, husk, &u);
        break;
    case AUTOSTART_OPENRC:
        openrc_unit(root_dir, husk, &u);
        break;
    case AUTOSTART_RUNIT:
        runit_unit(root_dir, husk, &u);
        break;
    case AUTOSTART_CRON:
        cron_unit(husk, &u);
        break;
    }
    *ret = u;
    return NULL;
}

/* ---- cron ---- */

static fallible cron_table(struct strv *ret_lines)
{
    char *argv[] = { (char[]){ "crontab" }, (char[]){ "-l" }, NULL };
    own_mem char *text = NULL;
    err *e = spawn_output(argv, 1 << 20, &text);
    err_ignore(e, "a user without a table has an empty one");
    if (!e && text)
        strv_split(ret_lines, text, '\n');
    return NULL;
}

/* All lines but ours, and ours at the end when there is one. */
static fallible cron_write(const struct strv *lines, const char *ours)
{
    own_str struct str text = { 0 };
    int ends[2], status = 0, pidfd = -1;
    for (size_t i = 0; i < lines->n; i++)
        if (!strstr(lines->items[i], CRON_MARK) && (*lines->items[i] || i + 1 < lines->n))
            str_printf(&text, "%s\n", lines->items[i]);
    str_add(&text, ours ? ours : "");
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    own_fd int from = ends[0], to = ends[1];
    char *argv[] = { (char[]){ "crontab" }, (char[]){ "-" }, NULL };
    struct spawn s = { .argv = argv, .stdin_fd = from, .stdout_fd = -1, .stderr_fd = -1 };
    TRY(spawn_start(&s, &pidfd));
    own_fd int child = pidfd;
    own_drop_fd(&from);
    err *e = text.len ? fs_write_fd(to, text.text, text.len, "crontab") : NULL;
    own_drop_fd(&to);
    err *ended = spawn_end(&s, child, &status);
    if (e || ended) {
        err_ignore(e ? ended : NULL, "the first error says what went wrong");
        return e ? e : ended;
    }
    return proc_exit_code(status) ? err_new(ERR_INTERNAL, "crontab ended with %d", proc_exit_code(status)) : NULL;
}

static fallible cron_has(bool *ret)
{
    own_strv struct strv lines = { 0 };
    TRY(cron_table(&lines));
    *ret = false;
    for (size_t i = 0; i < lines.n; i++)
        *ret |= strstr(lines.items[i], CRON_MARK) != NULL;
    return NULL;
}

static fallible cron_set(const char *ours)
{
    own_strv struct strv lines = { 0 };
    TRY(cron_table(&lines));
    return cron_write(&lines, ours);
}

/* ---- files ---- */

static fallible make_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    own_mem char *dir = mem_strndup(path, slash ? (size_t)(slash - path) : 0);
    return *dir ? fs_mkdirs_at(AT_FDCWD, dir, 0755) : NULL;
}

fallible autostart_install(const struct autostart_unit *u)
{
    if (!u->path)
        return cron_set(u->text);
    TRY(make_parent(u->path));
    TRY(fs_replace_at(AT_FDCWD, u->path, u->text, strlen(u->text), u->init <= AUTOSTART_SYSTEMD_USER ? 0644 : 0755,
                      FS_SYNC_DISK));
    TRY(make_parent(u->link));
    if (symlink(u->target, u->link) < 0 && errno != EEXIST)
        return err_sys(errno, "make the link '%s'", u->link);
    return NULL;
}

fallible autostart_remove(const struct autostart_unit *u)
{
    if (!u->path)
        return cron_set(NULL);
    if (unlink(u->link) < 0 && errno != ENOENT)
        return err_sys(errno, "remove '%s'", u->link);
    if (unlink(u->path) < 0 && errno != ENOENT)
        return err_sys(errno, "remove '%s'", u->path);
    if (u->init == AUTOSTART_RUNIT) {
        own_mem char *dir = mem_strndup(u->path, strlen(u->path) - strlen("/run"));
        (void)rmdir(dir); /* runit's own supervise/ may be in it */
    }
    return NULL;
}

fallible autostart_installed(const struct autostart_unit *u, bool *ret)
{
    struct stat st;
    if (!u->path)
        return cron_has(ret);
    *ret = access(u->path, F_OK) == 0 && lstat(u->link, &st) == 0;
    return NULL;
}

/* ---- which containers ---- */

fallible autostart_wanted(struct container *c, bool *ret)
{
    const struct container_config *config;
    struct restart restart = { 0 };
    *ret = false;
    TRY(container_config(c, &config));
    if (!config->restart)
        return NULL;
    TRY(restart_parse(config->restart, &restart));
    *ret = restart.policy == RESTART_ALWAYS || (restart.policy == RESTART_UNLESS_STOPPED && !container_was_stopped(c));
    return NULL;
}
