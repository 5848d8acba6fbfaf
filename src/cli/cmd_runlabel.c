/*
 * husk container runlabel: the command that a label of an image says, such as LABEL run="docker run -d --name NAME
 * IMAGE". Compatible with: podman container runlabel.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "image/ref.h"
#include "os/proc.h"

struct runlabel_opts {
    const char *name, *authfile, *cert_dir, *creds, *tls_verify;
    bool display, quiet, replace;
};

#define T struct runlabel_opts
static const struct opt runlabel_options[] = {
    OPT_FLAG(0, "display", T, display, "Only say what would be run"),
    OPT_STR('n', "name", T, name, "NAME", "What NAME in the label stands for (default: the image's own)"),
    OPT_FLAG('q', "quiet", T, quiet, "Say nothing while the image is pulled"),
    OPT_FLAG(0, "replace", T, replace, "Remove the container of that name first"),
    OPT_STR(0, "authfile", T, authfile, "FILE", "Credentials for a pull"),
    OPT_STR(0, "cert-dir", T, cert_dir, "DIR", "Certificates and keys for a pull"),
    OPT_STR(0, "creds", T, creds, "USER[:PASSWORD]", "Credentials for a pull"),
    OPT_STR(0, "tls-verify", T, tls_verify, "BOOL", "Want https and its certificate for a pull (default true)"),
    OPT_END,
};
#undef T

struct label {
    const char *name, *image, *cwd; /* what NAME, IMAGE and PWD stand for */
};

/* ---- words, as a shell splits them: quotes, and variables, whose blanks do not split ---- */

static const char *value_of(const struct label *l, const char *name)
{
    const char *v = str_eq(name, "NAME")    ? l->name
                    : str_eq(name, "IMAGE") ? l->image
                    : str_eq(name, "PWD")   ? l->cwd
                                            : getenv(name);
    return v ? v : "";
}

/* $NAME, ${NAME}; *at is behind the dollar. */
static void add_variable(const struct label *l, const char **at, struct str *word)
{
    bool braces = **at == '{';
    const char *begin = *at + braces, *end = begin;
    while (isalnum((unsigned char)*end) || *end == '_')
        end++;
    if (end == begin || (braces && *end != '}')) {
        str_add_char(word, '$');
        return;
    }
    own_mem char *name = mem_strndup(begin, (size_t)(end - begin));
    str_add(word, value_of(l, name));
    *at = end + braces;
}

static fallible split(const struct label *l, const char *text, struct strv *ret)
{
    own_str struct str word = { 0 };
    bool in = false;
    char quote = '\0';
    for (const char *at = text; *at;) {
        char c = *at++;
        if (!quote && isspace((unsigned char)c)) {
            if (in)
                strv_add_take(ret, str_take(&word));
            in = false;
            continue;
        }
        in = true;
        if (c == quote || (!quote && (c == '\'' || c == '"')))
            quote = quote ? '\0' : c;
        else if (c == '$' && quote != '\'')
            add_variable(l, &at, &word);
        else if (c == '\\' && quote != '\'' && *at)
            str_add_char(&word, *at++);
        else
            str_add_char(&word, c);
    }
    if (quote)
        return err_new(ERR_INVALID, "a quote %c is not closed", quote);
    if (in)
        strv_add_take(ret, str_take(&word));
    return NULL;
}

/* The words by themselves, and as they stand behind --env. Source: podman's generateCommand(). */
static void name_words(const struct label *l, struct strv *words)
{
    for (size_t i = 1; i < words->n; i++) {
        const char *w = words->items[i];
        char *now = str_eq(w, "IMAGE")         ? mem_strdup(l->image)
                    : str_eq(w, "NAME")        ? mem_strdup(l->name)
                    : str_eq(w, "IMAGE=IMAGE") ? mem_printf("IMAGE=%s", l->image)
                    : str_eq(w, "NAME=NAME")   ? mem_printf("NAME=%s", l->name)
                                               : NULL;
        if (!now)
            continue;
        free(words->items[i]);
        words->items[i] = now;
    }
}

/* "registry/some/tool:1" -> "tool" */
static char *own_name(const char *image)
{
    const char *slash = strrchr(image, '/'), *last = slash ? slash + 1 : image;
    return mem_strndup(last, strcspn(last, ":@"));
}

/* An image may come from anywhere: what its label starts is a container, and no program of the host's. */
static fallible take_program(const char *label, struct strv *words)
{
    static const char *const engines[] = { "docker", "podman", "husk", "exe" }; /* /proc/self/exe */
    own_mem char *self = NULL;
    if (!words->n)
        return err_new(ERR_INVALID, "label '%s' says no command", label);
    const char *word = words->items[0], *slash = strrchr(word, '/');
    for (size_t i = 0; i < ARRAY_SIZE(engines); i++)
        if (str_eq(slash ? slash + 1 : word, engines[i]) &&
            (!str_eq(engines[i], "exe") || str_eq(word, "/proc/self/exe"))) {
            TRY(self_path(&self));
            free(words->items[0]);
            words->items[0] = take(self);
            return NULL;
        }
    return err_new(ERR_DENIED,
                   "label '%s': '%s' is not docker, podman or husk: husk starts no other program that an image names; "
                   "see the label with `husk image inspect` and run it by hand",
                   label, word);
}

static fallible replace_named(struct engine *e, const struct strv *words)
{
    for (size_t i = 1; i < words->n; i++) {
        const char *w = words->items[i];
        const char *name = str_starts(w, "--name=")                  ? w + strlen("--name=")
                           : str_eq(w, "--name") && i + 1 < words->n ? words->items[i + 1]
                                                                     : NULL;
        own(container) struct container *c = NULL;
        if (!name)
            continue;
        err *missing = container_find(e, name, &c);
        if (err_is(missing, ERR_NOT_FOUND)) {
            err_free(missing);
            return NULL;
        }
        TRY(missing);
        return container_remove(c, &(struct remove_options){ .force = true });
    }
    return NULL;
}

static fallible find_label(struct engine *e, const struct runlabel_opts *o, const struct args *args, char **ret_text,
                           char **ret_image)
{
    const struct image_wish wish = { .name = args->v[1],
                                     .pull = "missing",
                                     .quiet = o->quiet,
                                     .authfile = o->authfile,
                                     .cert_dir = o->cert_dir,
                                     .creds = o->creds,
                                     .tls_verify = o->tls_verify };
    own(image) struct image *image = NULL;
    own(ref) struct ref *ref = NULL;
    own_fd int lock = -1;
    TRY(image_for_container(e, &wish, &image, &lock));
    const char *text = image->config->config ? strmap_get(&image->config->config->labels, args->v[0]) : NULL;
    if (!text || !*text)
        return err_new(ERR_NOT_FOUND, "image '%s' has no label '%s'", args->v[1], args->v[0]);
    *ret_text = mem_strdup(text);
    if (image->name)
        TRY(ref_parse(image->name, &ref));
    *ret_image = ref ? ref_familiar(ref) : mem_strdup(image->id);
    return NULL;
}

static fallible runlabel_run(const void *opts, struct args args)
{
    const struct runlabel_opts *o = opts;
    own(engine) struct engine *engine = NULL;
    own_mem char *text = NULL, *image = NULL, *name = NULL;
    own_strv struct strv words = { 0 };
    char cwd[PATH_MAX];
    TRY(engine_open(&engine));
    TRY(find_label(engine, o, &args, &text, &image));
    name = o->name ? mem_strdup(o->name) : own_name(str_starts(image, "sha256:") ? args.v[1] : image);
    if (!getcwd(cwd, sizeof cwd))
        return err_sys(errno, "look where we are");
    const struct label label = { name, image, cwd };
    TRY_AS(split(&label, text, &words), "label '%s'", args.v[0]);
    name_words(&label, &words);
    TRY(take_program(args.v[0], &words));
    for (int i = 2; i < args.n; i++)
        strv_add(&words, args.v[i]);
    if (o->display) {
        printf("command: husk");
        for (size_t i = 1; i < words.n; i++)
            printf(" %s", words.items[i]);
        printf("\n");
        return NULL;
    }
    if (o->replace)
        TRY(replace_named(engine, &words));
    engine_free(take(engine));
    (void)fflush(NULL);
    (void)execv(words.items[0], words.items);
    return err_sys(errno, "run '%s'", words.items[0]);
}

const struct command cmd_container_runlabel = {
    .name = "runlabel",
    .args = "LABEL IMAGE [ARG...]",
    .summary = "Run the command that a label of an image says",
    .detail = "Such as LABEL run=\"docker run -d --name NAME IMAGE\": docker and podman stand for husk, IMAGE and NAME "
              "for the\n"
              "image and its name; $PWD and other variables are ours. Only commands of these three are run.",
    .opts = runlabel_options,
    .opts_size = sizeof(struct runlabel_opts),
    .min_args = 2,
    .max_args = -1,
    .stop_at_arg = true,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 125,
    .run = runlabel_run,
};
