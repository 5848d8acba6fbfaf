// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/certs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "os/fs.h"

enum { CERT_FILE_MAX = 1 << 20 };

void certs_free(struct http_certs *c)
{
    if (!c)
        return;
    if (c->key)
        explicit_bzero(c->key, strlen(c->key));
    free(c->authorities);
    free(c->certificate);
    free(c->key);
    free(c);
}

static fallible read_pem(int dir, const char *name, char **ret)
{
    own_mem char *text = NULL;
    TRY_AS(fs_read_at(dir, name, CERT_FILE_MAX, &text, NULL), "certificate");
    if (!strstr(text, "-----BEGIN "))
        return err_new(ERR_INVALID, "'%s' is no PEM text", name);
    *ret = take(text);
    return NULL;
}

static fallible add_authority(int dir, const char *name, struct http_certs *c)
{
    own_mem char *text = NULL;
    own_mem char *before = c->authorities;
    c->authorities = NULL;
    TRY(read_pem(dir, name, &text));
    c->authorities = mem_printf("%s%s\n", before ? before : "", text);
    return NULL;
}

/* "client.cert" and "client.key" */
static fallible add_pair(int dir, const char *name, struct http_certs *c)
{
    if (c->certificate) /* the first one by name */
        return NULL;
    own_mem char *key = mem_printf("%.*s.key", (int)(strlen(name) - strlen(".cert")), name);
    if (faccessat(dir, key, F_OK, 0) < 0)
        return err_new(ERR_INVALID, "there is no '%s' beside '%s'", key, name);
    TRY(read_pem(dir, name, &c->certificate));
    return read_pem(dir, key, &c->key);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static fallible read_folder(int fd, DIR *d, struct http_certs *c)
{
    own_strv struct strv names = { 0 };
    for (struct dirent *e; (e = readdir(d));)
        strv_add(&names, e->d_name);
    if (names.n)
        qsort(names.items, names.n, sizeof *names.items, by_name);
    for (size_t i = 0; i < names.n; i++) {
        const char *name = names.items[i];
        if (str_ends(name, ".crt"))
            TRY(add_authority(fd, name, c));
        else if (str_ends(name, ".cert"))
            TRY(add_pair(fd, name, c));
    }
    for (size_t i = 0; i < names.n; i++) {
        if (!str_ends(names.items[i], ".key"))
            continue;
        own_mem char *cert = mem_printf("%.*s.cert", (int)(strlen(names.items[i]) - strlen(".key")), names.items[i]);
        if (!strv_has(&names, cert))
            return err_new(ERR_INVALID, "there is no '%s' beside '%s'", cert, names.items[i]);
    }
    return NULL;
}

/* *ret_there false: there is no such folder. */
static fallible try_folder(const char *path, struct http_certs **ret, bool *ret_there)
{
    own(certs) struct http_certs *c = mem_zalloc(sizeof *c);
    own_dir DIR *d = opendir(path);
    *ret_there = d != NULL;
    if (!d)
        return errno == ENOENT || errno == ENOTDIR ? NULL : err_sys(errno, "open '%s'", path);
    TRY_AS(read_folder(dirfd(d), d, c), "'%s'", path);
    if (c->authorities || c->certificate)
        *ret = take(c);
    return NULL;
}

fallible certs_find(const char *folder, const char *registry, struct http_certs **ret)
{
    const char *home = getenv("HOME"), *config = getenv("XDG_CONFIG_HOME");
    own_strv struct strv folders = { 0 };
    bool there = false;
    *ret = NULL;
    if (folder) {
        TRY(try_folder(folder, ret, &there));
        return there ? NULL : err_new(ERR_NOT_FOUND, "there is no folder '%s'", folder);
    }
    if (config && *config)
        strv_add_printf(&folders, "%s/containers/certs.d/%s", config, registry);
    else if (home && *home)
        strv_add_printf(&folders, "%s/.config/containers/certs.d/%s", home, registry);
    strv_add_printf(&folders, "/etc/containers/certs.d/%s", registry);
    strv_add_printf(&folders, "/etc/docker/certs.d/%s", registry);
    for (size_t i = 0; i < folders.n && !there; i++)
        TRY(try_folder(folders.items[i], ret, &there));
    return NULL;
}
