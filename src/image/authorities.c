// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/authorities.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "os/fs.h"

enum { FILE_MAX = 4 << 20, ALL_MAX = 64 << 20 };

/* Certificates alone, each written anew: libcurl refuses a text with one broken among them. */
static void add_certificates(const char *text, size_t len, struct str *out)
{
    BIO *from = BIO_new_mem_buf(text, (int)len), *to = BIO_new(BIO_s_mem());
    char *written = NULL;
    for (X509 *x; from && to && (x = PEM_read_bio_X509(from, NULL, NULL, NULL)); X509_free(x))
        (void)PEM_write_bio_X509(to, x);
    long n = to ? BIO_get_mem_data(to, &written) : 0;
    if (n > 0)
        str_add_n(out, written, (size_t)n);
    BIO_free(from);
    BIO_free(to);
    ERR_clear_error(); /* the end of a text is an error to OpenSSL */
}

/* A folder has mostly what the file of all has: reading a certificate takes longer than finding its text. */
static bool is_part(const char *text, size_t len, const struct str *out)
{
    const char *begin = memmem(text, len, "-----BEGIN ", strlen("-----BEGIN "));
    while (len && strchr("\r\n\t ", text[len - 1]))
        len--;
    return begin && out->len && memmem(out->text, out->len, begin, (size_t)(text + len - begin));
}

static void add_file(int dir, const char *name, struct str *out)
{
    own_mem char *text = NULL;
    size_t len = 0;
    err *e = fs_read_at(dir, name, FILE_MAX, &text, &len);
    if (e)
        log_debug("certificate '%s': %s", name, err_text(e));
    err_ignore(e, "then the others have to do");
    if (text && out->len < ALL_MAX && !is_part(text, len, out))
        add_certificates(text, len, out);
}

/* A link to a neighbour (as 'openssl rehash' makes them) is read under its own name. */
static bool is_link_beside(int dir, const char *name)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(dir, name, target, sizeof target);
    return n > 0 && !memchr(target, '/', (size_t)n);
}

static void add_folder(const char *path, struct str *out)
{
    own_dir DIR *d = opendir(path);
    for (const struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.' && !is_link_beside(dirfd(d), e->d_name))
            add_file(dirfd(d), e->d_name, out);
}

char *authorities_of_folders(const char *folders, const char *file)
{
    own_strv struct strv paths = { 0 };
    own_str struct str out = { 0 };
    strv_split(&paths, folders, ':');
    if (file)
        add_file(AT_FDCWD, file, &out);
    for (size_t i = 0; i < paths.n; i++)
        if (*paths.items[i])
            add_folder(paths.items[i], &out);
    return out.text ? str_take(&out) : mem_strdup("");
}
