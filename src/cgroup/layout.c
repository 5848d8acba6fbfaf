// SPDX-License-Identifier: GPL-2.0-or-later
#include "cgroup/layout.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef __GLIBC__
#include <linux/stat.h> /* struct statx; glibc has it */
#endif
#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x4000U
#endif
#ifndef SYS_listmount
#define SYS_listmount 458
#endif

#define TOP "/sys/fs/cgroup"

enum { MAGIC = 0x31474348, FILE_MAX = 8 << 10 };

/*
 * The file: this head, the ids, and for each hierarchy a line: '1' or '2' for its version, 'o' when it is ours to write
 * or '-', then its mount and its controllers (with commas between), each behind a tab.
 */
struct head {
    uint32_t magic, mounts_n, text_n, reserved; /* nothing between this and the ids */
};

bool layout_mounts(struct layout_mounts *ret)
{
    struct statx top;
    ret->n = 0;
    if (syscall(SYS_statx, AT_FDCWD, TOP, AT_NO_AUTOMOUNT, STATX_MNT_ID_UNIQUE, &top) < 0 ||
        !(top.stx_mask & STATX_MNT_ID_UNIQUE))
        return false;
    struct {
        uint32_t size, reserved;
        uint64_t of, after;
    } request = { .size = sizeof request, .of = top.stx_mnt_id };
    long n = syscall(SYS_listmount, &request, ret->ids + 1, (size_t)LAYOUT_MOUNTS_MAX - 1, 0UL);
    ret->ids[0] = top.stx_mnt_id;
    ret->n = n >= 0 && n < LAYOUT_MOUNTS_MAX - 1 ? (size_t)n + 1 : 0;
    return ret->n;
}

static struct head head_of(const struct layout_mounts *m, size_t text_n)
{
    return (struct head){ .magic = MAGIC, .mounts_n = (uint32_t)m->n, .text_n = (uint32_t)text_n };
}

/* The next boot gives the same ids to other mounts, and finds no file there. */
static bool goes_with_the_boot(int fd)
{
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

static size_t read_file(const char *dir, char *bytes)
{
    own_mem char *path = mem_printf("%s/" LAYOUT_FILE, dir);
    struct stat st;
    /* O_NONBLOCK: whatever lies there does not hold us */
    own_fd int fd = openat(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 022 ||
        st.st_size > FILE_MAX || !goes_with_the_boot(fd))
        return 0;
    ssize_t n = read(fd, bytes, FILE_MAX);
    return n > 0 && n == st.st_size ? (size_t)n : 0;
}

/* To the next tab or newline; *at goes behind it. NULL when that is not the wanted one. */
static char *cut(const char **at, const char *end, char wanted)
{
    const char *begin = *at;
    while (*at < end && **at != '\t' && **at != '\n')
        ++*at;
    if (*at == end || **at != wanted)
        return NULL;
    return mem_strndup(begin, (size_t)((*at)++ - begin));
}

static bool read_line(const char **at, const char *end, struct hierarchy *ret)
{
    if (end - *at < 3 || (*at)[2] != '\t')
        return false;
    ret->v2 = (*at)[0] == '2';
    ret->owned = (*at)[1] == 'o';
    *at += 3;
    ret->mount = cut(at, end, '\t');
    ret->root = mem_strdup("/"); /* only asked for by who may not write at the top */
    own_mem char *controllers = ret->mount ? cut(at, end, '\n') : NULL;
    if (controllers && *controllers)
        strv_split(&ret->controllers, controllers, ',');
    return controllers;
}

static bool read_lines(struct cgroup_host *h, const char *text, size_t n)
{
    for (const char *at = text, *end = text + n; at < end;) {
        struct hierarchy one = { 0 };
        bool good = read_line(&at, end, &one);
        h->items = mem_array(h->items, h->n + 1, sizeof *h->items);
        h->items[h->n++] = one;
        if (!good)
            return false;
    }
    return true;
}

bool layout_find(const char *dir, const struct layout_mounts *m, struct cgroup_host *h)
{
    char bytes[FILE_MAX];
    size_t n = read_file(dir, bytes), ids = m->n * sizeof *m->ids, before = sizeof(struct head) + ids;
    if (!m->n || n < before)
        return false;
    struct head wanted = head_of(m, n - before);
    if (memcmp(bytes, &wanted, sizeof wanted) != 0 || memcmp(bytes + sizeof wanted, m->ids, ids) != 0)
        return false;
    if (read_lines(h, bytes + before, n - before))
        return true;
    host_clear(h);
    return false;
}

static bool is_below_top(const char *mount)
{
    return str_starts(mount, TOP) && (mount[sizeof TOP - 1] == '/' || !mount[sizeof TOP - 1]);
}

static void add_line(struct str *out, const struct hierarchy *x)
{
    str_printf(out, "%c%c\t%s\t", x->v2 ? '2' : '1', x->owned ? 'o' : '-', x->mount);
    for (size_t i = 0; i < x->controllers.n; i++)
        str_printf(out, "%s%s", i ? "," : "", x->controllers.items[i]);
    str_add_char(out, '\n');
}

/* One name for all who write: a write is of the whole, so what two make of it at the same time is one of theirs, or
 * does not fit its head. */
static void write_file(const char *dir, const struct str *file)
{
    own_mem char *path = mem_printf("%s/" LAYOUT_FILE, dir), *made = mem_printf("%s.new", path);
    own_fd int fd =
        openat(AT_FDCWD, made, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    if (goes_with_the_boot(fd) && write(fd, file->text, file->len) == (ssize_t)file->len)
        (void)rename(made, path);
    else
        (void)unlink(made);
}

void layout_keep(const char *dir, const struct layout_mounts *m, const struct cgroup_host *h)
{
    own_str struct str text = { 0 }, file = { 0 };
    for (size_t i = 0; i < h->n; i++) {
        if (strpbrk(h->items[i].mount, "\t\n") || !is_below_top(h->items[i].mount))
            return;
        add_line(&text, &h->items[i]);
    }
    struct head head = head_of(m, text.len);
    str_add_n(&file, &head, sizeof head);
    str_add_n(&file, m->ids, m->n * sizeof *m->ids);
    str_add_n(&file, text.text, text.len);
    if (text.len && file.len <= FILE_MAX)
        write_file(dir, &file);
}

void cgroup_host_forget(const char *dir)
{
    own_mem char *path = mem_printf("%s/" LAYOUT_FILE, dir);
    (void)unlink(path);
}
