// SPDX-License-Identifier: GPL-2.0-or-later
/* A container's /etc/passwd and /etc/group with more lines than the image's: --passwd-entry, --group-entry, --hostuser,
 * and the caller with --userns keep-id. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "engine/container_parts.h"
#include "engine/users.h"
#include "os/fs.h"
#include "os/ids.h"

enum { ACCOUNTS_MAX = 4 << 20 };

bool container_has_accounts(const struct container_config *c)
{
    return c->passwd_entry || c->group_entry || c->hostusers.n || str_starts(c->userns, "keep-id");
}

static fallible image_file(const struct rootfs_source *root, const char *path, struct str *out)
{
    own_mem char *text = NULL;
    err *e = source_read_file(root, path, ACCOUNTS_MAX, &text);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    str_add(out, text);
    if (out->len && out->text[out->len - 1] != '\n')
        str_add_char(out, '\n');
    return NULL;
}

static bool has_user(const struct str *passwd, const char *name, uint32_t uid)
{
    struct passwd_entry found = { 0 };
    err *e = passwd_find(passwd->text ? passwd->text : "", name, uid, &found);
    bool has = !e;
    err_free(e);
    passwd_entry_free(&found);
    return has;
}

/* podman's words in an entry: $USERNAME, $UID, $GID, $NAME, $HOME. */
static void add_entry(struct str *out, const char *entry, const struct oci_user *user, const char *name,
                      const char *home)
{
    for (const char *p = entry; *p;) {
        if (str_starts(p, "$USERNAME") || str_starts(p, "$NAME")) {
            str_add(out, name);
            p += str_starts(p, "$USERNAME") ? 9 : 5;
        } else if (str_starts(p, "$UID") || str_starts(p, "$GID")) {
            str_printf(out, "%u", p[1] == 'U' ? user->uid : user->gid);
            p += 4;
        } else if (str_starts(p, "$HOME")) {
            str_add(out, home);
            p += 5;
        } else {
            str_add_char(out, *p++);
        }
    }
    str_add_char(out, '\n');
}

static fallible add_host_users(const struct container_config *c, struct str *passwd)
{
    own_mem char *host = NULL;
    if (!c->hostusers.n)
        return NULL;
    TRY(fs_read_at(AT_FDCWD, "/etc/passwd", ACCOUNTS_MAX, &host, NULL));
    for (size_t i = 0; i < c->hostusers.n; i++) {
        struct passwd_entry u = { 0 };
        const char *name = c->hostusers.items[i];
        bool number = *name && strspn(name, "0123456789") == strlen(name);
        TRY_AS(passwd_find(host, number ? NULL : name, number ? (uint32_t)strtoul(name, NULL, 10) : 0, &u),
               "--hostuser");
        if (!has_user(passwd, u.name, 0))
            str_printf(passwd, "%s:*:%u:%u::%s:%s\n", u.name, u.uid, u.gid, u.home, u.shell);
        passwd_entry_free(&u);
    }
    return NULL;
}

static fallible write_file(struct container *c, struct container_plan *plan, const char *name, const struct str *text)
{
    own_mem char *path = mem_printf("%s/%s", c->state_dir, name);
    own_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_sys(errno, "write '%s'", path);
    TRY(fs_write_fd(fd, text->text ? text->text : "", text->len, path));
    return container_give_file(plan, fd, 0, 0, 0644);
}

fallible container_write_accounts(struct container *c, struct container_plan *plan)
{
    const struct rootfs_source *root = &plan->root;
    const struct oci_spec *spec = plan->spec;
    own_str struct str passwd = { 0 }, group = { 0 };
    const struct oci_user *user = spec->process->user;
    const char *home = strv_getenv(&spec->process->env, "HOME");
    if (!container_has_accounts(c->config))
        return NULL;
    own_mem char *host_name = ids_user_name(geteuid());
    own_mem char *name =
        str_starts(c->config->userns, "keep-id") && host_name ? mem_strdup(host_name) : mem_printf("%u", user->uid);
    TRY(image_file(root, "/etc/passwd", &passwd));
    TRY(image_file(root, "/etc/group", &group));
    TRY(add_host_users(c->config, &passwd));
    if (c->config->passwd_entry)
        add_entry(&passwd, c->config->passwd_entry, user, name, home ? home : "/");
    else if (!has_user(&passwd, NULL, user->uid) && !has_user(&passwd, name, 0))
        add_entry(&passwd, "$USERNAME:*:$UID:$GID::$HOME:/bin/sh", user, name, home ? home : "/");
    if (c->config->group_entry)
        add_entry(&group, c->config->group_entry, user, name, home ? home : "/");
    TRY(write_file(c, plan, "passwd", &passwd));
    return write_file(c, plan, "group", &group);
}
