/*
 * husk-image download: a file from http or https, for ADD of a build: fetched, hashed on the way and checked.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/image_common.h"
#include "codec/digest.h"
#include "image/http.h"
#include "os/fs.h"

struct download_opts {
    const char *checksum;
};
#define T struct download_opts
static const struct opt download_options[] = {
    OPT_STR(0, "checksum", T, checksum, "DIGEST", "What the file must hash to"),
    OPT_END,
};
#undef T

static const uint64_t stall_ns = 60ULL * 1000000000;

struct download {
    int fd;
    struct digest *digest;
};

static fallible on_body(void *ctx, const struct http_answer *answer, const void *bytes, size_t n)
{
    struct download *d = ctx;
    (void)answer;
    digest_add(d->digest, bytes, n);
    return fs_write_fd(d->fd, bytes, n, "the download");
}

static fallible fetch(struct download *d, const char *url)
{
    own(http) struct http *http = NULL;
    own(http_answer) struct http_answer *answer = NULL;
    struct http_request request = { .method = HTTP_GET, .url = url, .body_max = 4096, .on_body = on_body, .ctx = d };
    TRY(http_new(&(struct http_options){ .stall_ns = stall_ns }, &http));
    TRY_AS(http_send(http, &request, &answer), "fetch '%s'", url);
    if (answer->status != 200)
        return err_new(answer->status == 404 ? ERR_NOT_FOUND : ERR_UNAVAILABLE, "fetch '%s': the server answers %d",
                       url, answer->status);
    return NULL;
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
    TRY(image_confine_paths(NULL, NULL, 0));
    struct download d = { fd, digest };
    TRY(fetch(&d, args.v[0]));
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
