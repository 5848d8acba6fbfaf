/*
 * husk-image download: a file from http or https, for ADD of a build: fetched, hashed on the way and checked.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/image_common.h"
#include "codec/digest.h"
#include "image/http.h"
#include "image/retry.h"
#include "os/fs.h"

struct download_opts {
    const char *checksum, *header_file;
};
#define T struct download_opts
static const struct opt download_options[] = {
    OPT_STR(0, "checksum", T, checksum, "DIGEST", "What the file must hash to"),
    OPT_STR(0, "header-file", T, header_file, "FILE", "The value of the Authorization header: this file's first line"),
    OPT_END,
};
#undef T

enum { HEADER_MAX = 64 * 1024 };
static const uint64_t stall_ns = 60ULL * 1000000000;

struct download {
    int fd;
    struct digest *digest;
    char *authorization; /* NULL: none */
    bool began;          /* bytes have arrived */
};

static fallible on_body(void *ctx, const struct http_answer *answer, const void *bytes, size_t n)
{
    struct download *d = ctx;
    (void)answer;
    d->began = true;
    digest_add(d->digest, bytes, n);
    return fs_write_fd(d->fd, bytes, n, "the download");
}

/* When the server says that it was changed, else 1970: no time of the download is taken for one of the file's. */
static fallible set_time(const struct download *d, const struct http_answer *answer)
{
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
                                       { .tv_sec = answer->last_modified > 0 ? answer->last_modified : 0 } };
    struct stat st;
    if (fstat(d->fd, &st) < 0 || !S_ISREG(st.st_mode)) /* a pipe has no time */
        return NULL;
    return futimens(d->fd, times) < 0 ? err_sys(errno, "set the time of the download") : NULL;
}

static fallible read_header(struct download *d, const char *file)
{
    size_t len = 0;
    TRY_AS(fs_read_at(AT_FDCWD, file, HEADER_MAX, &d->authorization, &len), "--header-file");
    d->authorization[strcspn(d->authorization, "\r\n")] = '\0';
    return NULL;
}

/* Again while that may help; not once bytes have gone on: they cannot be taken back. */
static fallible fetch_patiently(const struct download *d, struct http *http, const struct http_request *request,
                                struct http_answer **ret)
{
    for (int attempt = 1;; attempt++) {
        own(http_answer) struct http_answer *a = NULL;
        err *e = http_send(http, request, &a);
        bool again = e ? err_is(e, ERR_UNAVAILABLE) && a && a->may_pass : retry_is_worth(a);
        if (!again || d->began || attempt == RETRY_ATTEMPTS || !retry_wait(RETRY_FIRST_MS, attempt, e ? NULL : a)) {
            *ret = take(a);
            return e;
        }
        err_ignore(e, "tried again");
    }
}

static fallible fetch(struct download *d, const char *url)
{
    own(http) struct http *http = NULL;
    own(http_answer) struct http_answer *answer = NULL;
    struct http_request request = { .method = HTTP_GET,
                                    .url = url,
                                    .body_max = 4096,
                                    .on_body = on_body,
                                    .ctx = d,
                                    .authorization = d->authorization };
    TRY(http_new(&(struct http_options){ .stall_ns = stall_ns }, &http));
    TRY_AS(fetch_patiently(d, http, &request, &answer), "fetch '%s'", url);
    if (answer->status != 200)
        return err_new(answer->status == 404 ? ERR_NOT_FOUND : ERR_UNAVAILABLE, "fetch '%s': the server answers %d",
                       url, answer->status);
    return set_time(d, answer);
}

static fallible download_run(const void *opts_, struct args args)
{
    const struct download_opts *o = opts_;
    own(digest) struct digest *digest = NULL;
    bool out = str_eq(args.v[1], "-");
    own_fd int fd = out ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                        : open(args.v[1], O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(errno, "make '%s'", args.v[1]);
    TRY(digest_new(o->checksum, &digest));
    struct download d = { .fd = fd, .digest = digest };
    if (o->header_file)
        TRY(read_header(&d, o->header_file));
    err *e = image_confine_paths(NULL, NULL, 0);
    if (!e)
        e = fetch(&d, args.v[0]);
    if (d.authorization)
        explicit_bzero(d.authorization, strlen(d.authorization));
    free(d.authorization);
    TRY(e);
    own_mem char *got = digest_end(digest);
    if (o->checksum && strcmp(got, o->checksum) != 0)
        return err_new(ERR_CORRUPT, "'%s' has the digest %s instead of %s", args.v[0], got, o->checksum);
    return NULL;
}

const struct command cmd_download = {
    .name = "download",
    .args = "URL FILE|-",
    .summary = "Fetch a file",
    .opts = download_options,
    .opts_size = sizeof(struct download_opts),
    .min_args = 2,
    .max_args = 2,
    .fail_exit = 1,
    .hidden = true,
    .run = download_run,
};
