// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/packages_view.h"

#include "layers/packages_rpm.h"
#include "os/fs.h"

enum { DATABASE_MAX = 64 << 20 };

/* *ret_fd -1: there is no regular file of that name. */
static fallible open_regular(struct view *view, const char *path, int *ret_fd)
{
    own(view_place) struct view_place at = { 0 };
    *ret_fd = -1;
    err *e = view_find(view, path, VIEW_FOLLOW, VIEW_VISIBLE, &at);
    if (e) {
        err_ignore(e, "no such file in this image");
        return NULL;
    }
    const struct view_version *v = view_visible(&at.versions);
    return S_ISREG(v->st.st_mode) ? view_open_file(at.name, v, ret_fd) : NULL;
}

fallible view_read_text(struct view *view, const char *path, size_t max, char **ret, size_t *ret_len)
{
    own_fd int fd = -1;
    *ret = NULL;
    TRY(open_regular(view, path, &fd));
    return fd < 0 ? NULL : fs_read_fd(fd, path, max, ret, ret_len);
}

static fallible read_database(struct view *v, const char *path, enum packages_form form, struct packages *p)
{
    own_mem char *text = NULL;
    size_t len = 0;
    TRY(view_read_text(v, path, DATABASE_MAX, &text, &len));
    if (text)
        packages_read(p, form, text, len);
    return NULL;
}

/* Distroless images: a file for each package. */
static fallible read_folder(struct view *v, const char *path, struct packages *p)
{
    own(view_place) struct view_place at = { 0 };
    own(view_dir) struct view_dir dir = { 0 };
    own_strv struct strv names = { 0 };
    err *e = view_find(v, path, VIEW_FOLLOW, VIEW_VISIBLE, &at);
    if (e) {
        err_ignore(e, "no such database in this image");
        return NULL;
    }
    TRY(view_enter(at.name, &at.versions, &dir));
    if (dir.n)
        TRY(view_names(&dir, &names));
    for (size_t i = 0; i < names.n; i++) {
        own_mem char *file = mem_printf("%s/%s", path, names.items[i]);
        if (!str_ends(names.items[i], ".md5sums"))
            TRY(read_database(v, file, PACKAGES_DPKG, p));
    }
    return NULL;
}

/* Both places: the second one's is a link to the first, or the other way round, or none. */
static fallible read_rpm(struct view *v, struct packages *p)
{
    static const char *const places[] = { "/var/lib/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/rpmdb.sqlite" };
    for (size_t i = 0; i < ARRAY_SIZE(places) && p->n == 0; i++) {
        own_fd int fd = -1;
        TRY(open_regular(v, places[i], &fd));
        if (fd >= 0)
            TRY_AS(packages_of_rpmdb(fd, p), "'%s'", places[i]);
    }
    return NULL;
}

bool packages_has_old_rpm(struct view *v)
{
    static const char *const places[] = { "/var/lib/rpm/Packages", "/var/lib/rpm/Packages.db",
                                          "/usr/lib/sysimage/rpm/Packages.db" };
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        own_fd int fd = -1;
        err *e = open_regular(v, places[i], &fd);
        err_ignore(e, "then it is not to be read anyway");
        if (fd >= 0)
            return true;
    }
    return false;
}

fallible packages_of_view(struct view *v, enum packages_form form, struct packages *p)
{
    if (form == PACKAGES_APK)
        return read_database(v, "/lib/apk/db/installed", form, p);
    if (form == PACKAGES_RPM) {
        own(packages) struct packages found = { 0 };
        TRY(read_rpm(v, &found));
        for (size_t i = 0; i < found.n; i++) {
            struct package *one = &found.items[i];
            packages_add(p, take(one->name), take(one->version), take(one->architecture));
        }
        return NULL;
    }
    TRY(read_database(v, "/var/lib/dpkg/status", form, p));
    return read_folder(v, "/var/lib/dpkg/status.d", p);
}
