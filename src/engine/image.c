// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "engine/budget.h"
#include "engine/container.h"
#include "image/ref.h"
#include "image/trusted.h"
#include "os/fs.h"

/* The image that is built into husk-image: it is loaded when it is first asked for, so a first run needs no network. */
#define EMBEDDED_IMAGE "localhost/hello:latest"

static fallible secret_file(const char *creds, int *ret_fd)
{
    own_fd int fd = memfd_create("husk-credentials", MFD_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "make a file in memory");
    TRY(fs_write_fd(fd, creds, strlen(creds), "a file in memory"));
    *ret_fd = take_fd(&fd);
    return NULL;
}

static fallible run_program(const char *const *args, const char *name, const char *secret, int stdout_fd)
{
    own_mem char *program = NULL, *option = NULL;
    own_fd int fd = -1;
    const char *argv[24];
    size_t n = 1;
    int status;
    TRY(self_find_program("husk-image", &program));
    argv[0] = program;
    if (secret) {
        TRY_AS(secret_file(secret, &fd), "%s", name);
        option = mem_printf("%s=/proc/self/fd/%d", name, fd);
        argv[n++] = *args++;
        argv[n++] = option;
    }
    while (*args && n < ARRAY_SIZE(argv) - 1)
        argv[n++] = *args++;
    argv[n] = NULL;
    struct spawn s = { .argv = (char *const *)argv,
                       .stdin_fd = -1,
                       .stdout_fd = stdout_fd,
                       .stderr_fd = -1,
                       .keep_fds = &fd,
                       .keep_n = secret != NULL };
    TRY(spawn_wait(&s, &status));
    return proc_exit_code(status) == 0 ? NULL : err_exit(125);
}

/* What it prints goes to stderr, since stdout is the container's. */
fallible image_program_run_with(const char *const *args, const char *name, const char *secret)
{
    return run_program(args, name, secret, STDERR_FILENO);
}

fallible image_program_run(const char *const *args)
{
    return image_program_run_with(args, NULL, NULL);
}

fallible image_program_run_as(const char *const *args, const char *creds)
{
    return image_program_run_with(args, "--creds-file", creds);
}

static fallible pull(const struct image_wish *wish)
{
    const struct {
        const char *option, *value;
    } more[] = { { "--authfile", wish->authfile },
                 { "--cert-dir", wish->cert_dir },
                 { "--tls-verify", wish->tls_verify },
                 { "--retry", wish->retry },
                 { "--retry-delay", wish->retry_delay } };
    const char *args[10 + 2 * ARRAY_SIZE(more)] = { "pull" };
    size_t n = 1;
    if (wish->quiet)
        args[n++] = "--quiet";
    if (wish->platform) {
        args[n++] = "--platform";
        args[n++] = wish->platform;
    }
    if (wish->policy) {
        args[n++] = "--signature-policy";
        args[n++] = wish->policy;
    }
    for (size_t i = 0; i < ARRAY_SIZE(more); i++)
        if (more[i].value) {
            args[n++] = more[i].option;
            args[n++] = more[i].value;
        }
    args[n++] = wish->name;
    if (!wish->quiet)
        return run_program(args, "--creds-file", wish->creds, STDERR_FILENO);
    own_fd int null = open("/dev/null", O_WRONLY | O_CLOEXEC); /* the name, which a quiet pull still prints */
    if (null < 0)
        return err_sys(errno, "open '/dev/null'");
    return run_program(args, "--creds-file", wish->creds, null);
}

static fallible load_embedded(void)
{
    return image_program_run((const char *const[]){ "load", "--quiet", "--embedded", NULL });
}

static fallible full_name(const char *name, char **ret)
{
    own(ref) struct ref *ref = NULL;
    TRY(ref_parse(name, &ref));
    *ret = ref_full(ref);
    return NULL;
}

/* @missing: it was looked for, and is not here. */
static fallible fetch(const struct image_wish *wish, const char *full, bool missing)
{
    if (strcmp(full, EMBEDDED_IMAGE) == 0)
        return load_embedded();
    if (!wish->quiet && missing)
        fprintf(stderr, "no image '%s'%s%s here: pulling it\n", wish->name, wish->platform ? " for " : "",
                wish->platform ? wish->platform : "");
    return pull(wish);
}

/* ---- the signature policy ---- */

/* Who checks signatures is husk-image; it remembers what it found, so it is asked once for a rule. */
static err *needs_a_look(void *ctx, const struct policy_rule *rule, const char *image)
{
    const struct trusted *record = ctx;
    own_mem char *text = policy_rule_text(rule);
    if (image && trusted_has_verdict(record, image, text))
        return NULL;
    return record->signatures_n ? err_new(ERR_UNCHANGED, "it has not been checked yet")
                                : err_new(ERR_DENIED, "it is to be signed, and no signature came with it: pull it (by "
                                                      "its registry's name) again, or copy it with `husk copy`");
}

static fallible check_signatures(const struct image_wish *wish)
{
    const char *args[8] = { "image", "admit" };
    size_t n = 2;
    if (wish->platform) {
        args[n++] = "--platform";
        args[n++] = wish->platform;
    }
    if (wish->policy) {
        args[n++] = "--signature-policy";
        args[n++] = wish->policy;
    }
    args[n++] = wish->name;
    return image_program_run(args);
}

static fallible admit(struct layout *layout, const struct image_wish *wish, const struct image *image)
{
    own(policy) struct policy *policy = NULL;
    own(trusted) struct trusted *record = NULL;
    own_strv struct strv names = { 0 };
    TRY(policy_load(wish->policy, &policy));
    if (!policy)
        return NULL;
    if (image->name && policy_accepts_all(policy_find(policy, "docker", image->name)))
        return NULL;
    TRY(trusted_read(layout, image->manifest_digest, &record));
    TRY(trusted_names(layout, image, &names));
    err *e = trusted_ask_stored(policy, record, &names, needs_a_look, record);
    if (!err_is(e, ERR_UNCHANGED))
        return e ? err_wrap(e, "image '%s'", wish->name) : NULL;
    err_ignore(e, "it is checked now");
    return check_signatures(wish);
}

/* What the user called it, when that is a name: not (a part of) its ID. */
static char *name_of(const struct db_container *row)
{
    own(ref) struct ref *ref = NULL;
    const char *said = str_starts(row->image, "sha256:") ? row->image + strlen("sha256:") : row->image;
    if (row->image_id && str_starts(digest_hex(row->image_id), said))
        return NULL;
    err_ignore(ref_parse(row->image, &ref), "then it was found in another way");
    return ref ? ref_full(ref) : NULL;
}

static fallible check_kept(const struct db_container *row, const struct container_config *config, const char *name)
{
    const char *args[8] = { "image", "admit", "--manifest", row->manifest };
    size_t n = 4;
    if (config->signature_policy) {
        args[n++] = "--signature-policy";
        args[n++] = config->signature_policy;
    }
    args[n++] = name ? name : row->image_id;
    return image_program_run(args);
}

fallible image_admit_container(struct container *c)
{
    const struct container_config *config;
    struct layout *layout;
    own(policy) struct policy *policy = NULL;
    own(trusted) struct trusted *record = NULL;
    own_strv struct strv names = { 0 };
    if (c->admitted || !c->row.image || !c->row.manifest)
        return NULL;
    TRY(container_config(c, &config));
    TRY(policy_load(config->signature_policy, &policy));
    if (!policy)
        return NULL;
    own_mem char *name = name_of(&c->row);
    if (name && policy_accepts_all(policy_find(policy, "docker", name)))
        return NULL;
    TRY(engine_layout(c->engine, &layout));
    struct image image = { .name = name, .manifest_digest = c->row.manifest };
    TRY(trusted_read(layout, c->row.manifest, &record));
    TRY(trusted_names(layout, &image, &names));
    err *e = trusted_ask_stored(policy, record, &names, needs_a_look, record);
    if (err_is(e, ERR_UNCHANGED)) {
        err_ignore(e, "it is checked now");
        return check_kept(&c->row, config, name);
    }
    return e ? err_wrap(e, "image '%s'", c->row.image) : NULL;
}

/* Under the store's lock, so what is found stays. */
static fallible find(struct engine *e, const struct image_wish *wish, struct image **ret, int *ret_lock)
{
    struct layout *layout;
    own_fd int lock = -1;
    TRY(engine_layout(e, &layout));
    TRY(layout_lock(layout, LAYOUT_ADDING, &lock));
    TRY(image_find(layout, wish->name, wish->platform, ret));
    err *e2 = admit(layout, wish, *ret);
    if (e2) {
        image_free(take(*ret));
        return e2;
    }
    layout_touch_blob(layout, (*ret)->manifest_digest); /* when it was used last */
    *ret_lock = take_fd(&lock);
    return NULL;
}

static int64_t clock_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &now); /* the clock of files */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

fallible image_for_container(struct engine *e, const struct image_wish *wish, struct image **ret, int *ret_lock)
{
    const char *policy = wish->pull ? wish->pull : "missing";
    own_mem char *full = NULL;
    struct layout *layout;
    TRY(engine_layout(e, &layout)); /* no store is another matter than no image */
    if (strcmp(policy, "always") != 0 && strcmp(policy, "newer") != 0) {
        err *e1 = find(e, wish, ret, ret_lock);
        if (!err_is(e1, ERR_NOT_FOUND) || strcmp(policy, "never") == 0)
            return e1;
        err_free(e1);
    }
    TRY(full_name(wish->name, &full));
    int64_t since_ns = clock_now_ns();
    err *e2 = fetch(wish, full, strcmp(policy, "missing") == 0);
    if (e2 && strcmp(policy, "newer") == 0) { /* what is here does, where the registry cannot be asked */
        err_free(e2);
        return find(e, wish, ret, ret_lock);
    }
    TRY(e2);
    TRY(budget_settle(e, since_ns));
    return find(e, wish, ret, ret_lock);
}
