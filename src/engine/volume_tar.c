// SPDX-License-Identifier: GPL-2.0-or-later
/* A volume's content as a tar and back, by a child that may read and make files of subordinate ids. */
#include <errno.h>
#include <fcntl.h>

#include "engine/copy.h"
#include "engine/inside.h"
#include "engine/unpacked.h"
#include "engine/volume.h"
#include "layers/diff.h"
#include "os/fs.h"

struct volume_tar {
    const char *path;
    int fd;
    const struct unpacked *unpacked; /* of an import */
};

static fallible open_volume(const char *path, int *ret_fd)
{
    *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *ret_fd < 0 ? err_sys(errno, "open '%s'", path) : NULL;
}

static err *write_out(void *ctx, const void *bytes, size_t n)
{
    return fs_write_fd(*(const int *)ctx, bytes, n, "the archive");
}

static err *export_volume(void *ctx)
{
    struct volume_tar *v = ctx;
    own_fd int dir = -1;
    TRY(open_volume(v->path, &dir));
    return diff_tar(&(struct diff){ .upper_fd = dir, .whole = true }, write_out, &v->fd);
}

static err *import_volume(void *ctx)
{
    const struct volume_tar *v = ctx;
    own_fd int dir = -1;
    TRY(open_volume(v->path, &dir));
    const struct copy_into into = {
        .path = "/", .as_is = true, .owners = true, .overwrite = true, .unpacked = v->unpacked
    };
    return copy_in(dir, &into, v->fd);
}

static fallible in_child(struct engine *e, const char *name, err *(*fn)(void *ctx), int fd,
                         const struct unpacked *unpacked)
{
    struct db_volume row;
    struct child_work child;
    TRY(volume_find(e, name, &row));
    own_mem char *path = volume_data(e, &row);
    struct volume_tar v = { path, fd, unpacked };
    db_volume_clear(&row);
    TRY(volume_mount(e, name));
    TRY(on_disk_begin(fn, &v, &child));
    return child_end(&child);
}

fallible volume_export(struct engine *e, const char *name, int fd)
{
    return in_child(e, name, export_volume, fd, NULL);
}

fallible volume_import(struct engine *e, const char *name, int fd)
{
    struct unpacked u;
    TRY(unpacked_begin(fd, &u));
    return unpacked_end(&u, in_child(e, name, import_volume, u.fd, &u));
}
