// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "monitor/attach.h"
#include "monitor/line.h"
#include "monitor/logfile.h"
#include "os/fs.h"

enum { BLOCK = 65536 };

static void add_entry(char *entry, size_t n, struct strv *ret)
{
    struct line line;
    if (!line_decode(entry, n, &line) || line.stream == LINE_HUSK)
        return;
    while (line.text_len && line.text[line.text_len - 1] == '\n')
        line.text_len--;
    if (line.text_len)
        strv_add_take(ret, mem_strndup(line.text, line.text_len));
}

fallible logs_tail(const char *dir, size_t max, struct strv *ret)
{
    own_fd int dir_fd = -1;
    own_mem char *block = mem_alloc(BLOCK + 1);
    own_strv struct strv all = { 0 };
    TRY(fs_open_dir_at(AT_FDCWD, dir, FS_MUST_EXIST, &dir_fd));
    own_fd int fd = openat(dir_fd, LOGFILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return NULL;
    off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    ssize_t n = size < 0 ? -1 : pread(fd, block, BLOCK, size > BLOCK ? size - BLOCK : 0);
    if (n < 0)
        return err_sys(errno, "read the log");
    char *at = block, *end = block + n, *newline;
    if (size > BLOCK) { /* half an entry */
        at = memchr(block, '\n', (size_t)n);
        at = at ? at + 1 : end;
    }
    for (; (newline = memchr(at, '\n', (size_t)(end - at))); at = newline + 1)
        add_entry(at, (size_t)(newline - at), &all);
    for (size_t i = all.n > max ? all.n - max : 0; i < all.n; i++)
        strv_add(ret, all.items[i]);
    return NULL;
}
