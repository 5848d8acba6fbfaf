// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/packages_view.h"

#include "os/fs.h"

enum { DATABASE_MAX = 64 << 20 };

fallible view_read_text(struct view *view, const char *path, size_t max, char **ret, size_t *ret_len)
{
    own(view_place) struct view_place at = { 0 };
    own_fd int fd = -1;
    *ret = NULL;
    err *e = view_find(view, path, VIEW_FOLLOW, VIEW_VISIBLE, &at);
    if (e) {
        err_ignore(e, "no such file in this image");
        return NULL;
    }
    const struct view_version *v = view_visible(&at.versions);
    if (!S_ISREG(v->st.st_mode))
        return NULL;
    TRY(view_open_file(at.name, v, &fd));
    return fs_read_fd(fd, path, max, ret, ret_len);
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

fallible packages_of_view(struct view *v, enum packages_form form, struct packages *p)
{
    if (form == PACKAGES_APK)
        return read_database(v, "/lib/apk/db/installed", form, p);
    TRY(read_database(v, "/var/lib/dpkg/status", form, p));
    return read_folder(v, "/var/lib/dpkg/status.d", p);
}
