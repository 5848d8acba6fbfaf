/*
 * husk image sign, verify and key: signatures as cosign makes them, offline; in a registry, a layout or the store.
 * Compatible with: cosign sign, verify and generate-key-pair, with a key; what podman and skopeo check with
 * "sigstoreSigned".
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>

#include "cli/image_copy.h"
#include "cli/image_places.h"
#include "cli/image_sign.h"
#include "codec/digest.h"
#include "image/sigstore.h"
#include "os/fs.h"
#include "transport/trust.h"

enum { FILE_MAX = 64 << 10, PASSWORD_MAX = 1024, EMPTY_CONFIG_MAX = 1 << 20 };

struct sign_opts {
    const char *key, *identity, *passphrase_file, *prefix, *policy;
    bool recursive;
    struct remote_opts remote;
};

#define T struct sign_opts
static const struct opt sign_rows[] = {
    OPT_FLAG('a', "all", T, recursive, "The same as --recursive"),
    OPT_STR(0, "key", T, key, "FILE", "The private key (default husk.key)"),
    OPT_STR(0, "passphrase-file", T, passphrase_file, "FILE", "The key's password is the first line of this file"),
    OPT_FLAG('r', "recursive", T, recursive, "Also each image of an image of several platforms"),
    OPT_STR(0, "sign-identity", T, identity, "REF", "The name that it is signed for (default: its own)"),
    REMOTE_OPTIONS(T),
    OPT_END,
};
static const struct opt verify_rows[] = {
    OPT_STR(0, "key", T, key, "FILE", "A public key: one signature by it will do (default: what the policy asks for)"),
    OPT_STR(0, "sign-identity", T, identity, "REF", "With --key: the name that it has to be signed for"),
    OPT_STR(0, "signature-policy", T, policy, "FILE", "The policy to ask instead of policy.json"),
    REMOTE_OPTIONS(T),
    OPT_END,
};
static const struct opt generate_rows[] = {
    OPT_STR(0, "output-key-prefix", T, prefix, "NAME", "Write NAME.key and NAME.pub (default husk)"),
    OPT_STR(0, "passphrase-file", T, passphrase_file, "FILE", "The password is the first line of this file"),
    OPT_END,
};
static const struct opt public_rows[] = {
    OPT_STR(0, "passphrase-file", T, passphrase_file, "FILE", "The password is the first line of this file"),
    OPT_END,
};
#undef T

/* ---- passwords ---- */

static fallible ask_terminal(const char *question, char **ret)
{
    own_fd int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    struct termios old, quiet;
    char line[PASSWORD_MAX];
    size_t n = 0;
    if (fd < 0 || tcgetattr(fd, &old) < 0)
        return err_new(ERR_INVALID,
                       "the key has a password: give --passphrase-file, or COSIGN_PASSWORD in the environment");
    quiet = old;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    TRY(fs_write_fd(fd, question, strlen(question), "the terminal"));
    (void)tcsetattr(fd, TCSAFLUSH, &quiet);
    while (n < sizeof line && read(fd, line + n, 1) == 1 && line[n] != '\n')
        n++;
    (void)tcsetattr(fd, TCSAFLUSH, &old);
    TRY(fs_write_fd(fd, "\n", 1, "the terminal"));
    *ret = mem_strndup(line, n);
    return NULL;
}

static fallible first_line(const char *path, char **ret)
{
    own_mem char *text = NULL;
    TRY_AS(fs_read_at(AT_FDCWD, path, FILE_MAX, &text, NULL), "--passphrase-file");
    *ret = mem_strndup(text, strcspn(text, "\n"));
    return NULL;
}

/* From a file, the environment (cosign's variable), or a person. */
static fallible find_password(const struct sign_opts *o, bool twice, char **ret)
{
    const char *set = getenv("COSIGN_PASSWORD");
    own_mem char *again = NULL;
    if (o->passphrase_file)
        return first_line(o->passphrase_file, ret);
    if (set) {
        *ret = mem_strdup(set);
        return NULL;
    }
    TRY(ask_terminal("Password of the private key: ", ret));
    if (twice)
        TRY(ask_terminal("Once more: ", &again));
    return !twice || str_eq(*ret, again) ? NULL : err_new(ERR_INVALID, "the passwords are not the same");
}

static fallible read_private(const struct sign_opts *o, const char *path, struct sigstore_key **ret)
{
    own_mem char *pem = NULL;
    own_mem char *password = NULL;
    TRY_AS(fs_read_at(AT_FDCWD, path, FILE_MAX, &pem, NULL), "private key");
    if (strstr(pem, "-----BEGIN ENCRYPTED "))
        TRY(find_password(o, false, &password));
    TRY_AS(sigstore_key_read(pem, password, ret), "'%s'", path);
    return NULL;
}

/* ---- key generate, key public ---- */

static fallible write_new(const char *path, const char *text, mode_t mode)
{
    own_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0 && errno == EEXIST)
        return err_new(ERR_EXISTS, "'%s' is there already, and a key is never written over", path);
    if (fd < 0)
        return err_sys(errno, "make '%s'", path);
    return fs_write_fd(fd, text, strlen(text), path);
}

static fallible generate_run(const void *opts_, struct args args)
{
    const struct sign_opts *o = opts_;
    own(sigstore_key) struct sigstore_key *key = NULL;
    own_mem char *password = NULL, *private = NULL, *public = NULL;
    own_mem char *private_path = mem_printf("%s.key", o->prefix ? o->prefix : "husk");
    own_mem char *public_path = mem_printf("%s.pub", o->prefix ? o->prefix : "husk");
    struct stat st;
    if (lstat(public_path, &st) == 0)
        return err_new(ERR_EXISTS, "'%s' is there already, and a key is never written over", public_path);
    TRY(find_password(o, true, &password));
    TRY(sigstore_key_generate(&key));
    TRY(sigstore_key_encrypt(key, password, &private));
    TRY(sigstore_key_public(key, &public));
    TRY(write_new(private_path, private, 0600));
    err *e = write_new(public_path, public, 0644);
    if (e)
        (void)unlink(private_path);
    else
        printf("%s\n%s\n", private_path, public_path);
    return e;
}

static fallible public_run(const void *opts_, struct args args)
{
    own(sigstore_key) struct sigstore_key *key = NULL;
    own_mem char *pem = NULL;
    TRY(read_private(opts_, args.v[0], &key));
    TRY(sigstore_key_public(key, &pem));
    printf("%s", pem);
    return NULL;
}

/* ---- sign ---- */

struct signing {
    const struct sigstore_key *key;
    const char *identity; /* what it is signed for */
    const char *name;     /* where it lies: its full name */
    bool quiet;           /* the digests are not printed */
    struct source *from;
    struct sink *to;
};

static fallible put_bytes(struct signing *s, const char *text, const char *media_type, struct oci_descriptor *d)
{
    own_fd int fd = -1;
    size_t len = strlen(text);
    d->digest = digest_of(text, len);
    d->media_type = mem_strdup(media_type);
    d->size = (int64_t)len;
    TRY(fs_memfd("blob", &fd));
    TRY(fs_write_fd(fd, text, len, "a file in memory"));
    return s->to->ops->put(s->to, d, fd, 0, true);
}

/* Those that are there already stay, as cosign leaves them. */
static fallible old_signatures(struct signing *s, const char *tag, struct oci_manifest *m)
{
    own(registry_manifest) struct registry_manifest *doc = NULL;
    own(oci_manifest) struct oci_manifest *old = NULL;
    err *e = s->from->ops->tagged ? s->from->ops->tagged(s->from, tag, &doc) : err_new(ERR_NOT_FOUND, "no tags");
    if (err_is(e, ERR_NOT_FOUND)) {
        err_ignore(e, "the first one");
        return NULL;
    }
    TRY(e);
    TRY(oci_manifest_read(doc->text, doc->len, &old));
    if (old->layers_n >= SIGSTORE_SIGNATURES_MAX)
        return err_new(ERR_EXHAUSTED, "it has %zu signatures already", old->layers_n);
    for (size_t i = 0; i < old->layers_n; i++) {
        struct oci_descriptor *copy = descriptor_copy(&old->layers[i]);
        m->layers[m->layers_n++] = *copy;
        free(copy);
    }
    return NULL;
}

/* An image's config, since registries and tools want one: its "layers" are the signatures. */
static char *config_text(const struct oci_manifest *m)
{
    own_json json_t *ids = json_array();
    for (size_t i = 0; i < m->layers_n; i++)
        (void)json_array_append_new(ids, json_string(m->layers[i].digest));
    own_json json_t *doc = json_pack("{s:s,s:{},s:s,s:s,s:{s:s,s:O}}", "architecture", "", "config", "created",
                                     "0001-01-01T00:00:00Z", "os", "", "rootfs", "type", "layers", "diff_ids", ids);
    return json_text(doc, BIND_COMPACT);
}

static fallible put_signature(struct signing *s, const char *digest, const char *payload, const char *signature,
                              struct oci_manifest *m)
{
    own(registry_manifest) struct registry_manifest *doc = NULL;
    own(ref) struct ref *ref = NULL;
    TRY(ref_parse(s->name, &ref));
    own_mem char *tag = mem_printf("%.*s-%s.sig", (int)strcspn(digest, ":"), digest, digest_hex(digest));
    own_mem char *full = mem_printf("%s/%s:%s", ref->registry, ref->repository, tag);
    m->schema_version = 2;
    m->media_type = mem_strdup(MEDIA_OCI_MANIFEST);
    m->layers = mem_zalloc((SIGSTORE_SIGNATURES_MAX + 1) * sizeof *m->layers);
    TRY(old_signatures(s, tag, m));
    struct oci_descriptor *d = &m->layers[m->layers_n++];
    TRY(put_bytes(s, payload, SIGSTORE_MEDIA_TYPE, d));
    strmap_set(&d->annotations, SIGSTORE_ANNOTATION, signature);
    own_mem char *config = config_text(m);
    m->config = mem_zalloc(sizeof *m->config);
    TRY(put_bytes(s, config, MEDIA_OCI_CONFIG, m->config));
    own_mem char *text = bind_write(&oci_manifest_type, m, BIND_COMPACT);
    TRY(doc_make(text, strlen(text), MEDIA_OCI_MANIFEST, NULL, &doc));
    return s->to->ops->put_doc(s->to, doc, DOC_REFERRER, full);
}

static fallible sign_one(struct signing *s, const char *digest)
{
    own(oci_manifest) struct oci_manifest *m = mem_zalloc(sizeof *m);
    own_mem char *payload = sigstore_payload_write(s->identity, digest, (int64_t)time(NULL));
    own_mem char *signature = NULL;
    TRY(sigstore_sign(s->key, payload, strlen(payload), &signature));
    TRY(put_signature(s, digest, payload, signature, m));
    if (!s->quiet)
        printf("%s\n", digest);
    return NULL;
}

/* The images first: what has a signature at the top has all of them. */
static fallible sign_all(struct signing *s, bool recursive)
{
    own(registry_manifest) struct registry_manifest *top = NULL;
    own(oci_index) struct oci_index *index = NULL;
    TRY(s->from->ops->get(s->from, NULL, &top));
    if (recursive && media_is_index(top->media_type))
        TRY(oci_index_read(top->text, top->len, &index));
    for (size_t i = 0; index && i < index->manifests_n; i++)
        TRY(sign_one(s, index->manifests[i].digest));
    TRY(sign_one(s, top->digest));
    return s->to->ops->finish(s->to);
}

static fallible check_place(const struct place *p)
{
    switch (p->kind) {
    case PLACE_REGISTRY:
    case PLACE_STORE:
    case PLACE_OCI:
        return NULL;
    case PLACE_DIR:
    case PLACE_DOCKER_ARCHIVE:
    case PLACE_OCI_ARCHIVE:
    case PLACE_SSH:
        break;
    }
    return err_new(ERR_UNSUPPORTED, "a signature has no place there: sign in a registry, an oci: layout or the store");
}

static fallible sign_here(const struct sign_opts *o, struct place *from, struct place *to, struct image_session *s,
                          const struct sigstore_key *key)
{
    own(source) struct source *source = NULL;
    own(sink) struct sink *sink = NULL;
    struct progress quiet = { 0 };
    TRY(place_source(from, s ? s->store : NULL, &source));
    TRY(place_sink(to, s ? s->store : NULL, &quiet, &sink));
    own_mem char *scope = from->ref ? ref_full(from->ref) : mem_strdup(source->name);
    if (!scope)
        return err_new(ERR_INVALID, "it has no name that its signature could be kept under: give it one");
    struct signing signing = {
        .key = key, .identity = o->identity ? o->identity : scope, .name = scope, .from = source, .to = sink
    };
    return sign_all(&signing, o->recursive);
}

/* ---- for what is pushed ---- */

fallible sign_by_key(const struct sign_by *o, struct sigstore_key **ret)
{
    static const char cure[] = "give a key made by 'husk image key generate' to --sign-by-sigstore-private-key";
    struct sign_opts key = { .passphrase_file = o->passphrase_file };
    if (o->gpg || o->sequoia)
        return err_new(ERR_UNSUPPORTED, "--%s: husk makes no OpenPGP signatures: %s",
                       o->gpg ? "sign-by" : "sign-by-sq-fingerprint", cure);
    if (o->parameters)
        return err_new(ERR_UNSUPPORTED, "--sign-by-sigstore: husk signs with a key alone, without Fulcio and Rekor: %s",
                       cure);
    if (o->passphrase_file && !o->private_key)
        return err_new(ERR_INVALID, "--sign-passphrase-file is for --sign-by-sigstore-private-key");
    if (o->private_key)
        TRY_AS(read_private(&key, o->private_key, ret), "--sign-by-sigstore-private-key");
    return NULL;
}

fallible sign_pushed(const struct sigstore_key *key, const struct ref *to, const struct registry_options *registry,
                     const char *digest)
{
    own(source) struct source *source = NULL;
    own(sink) struct sink *sink = NULL;
    own_mem char *name = ref_full(to);
    struct ref pushed = { .registry = to->registry, .repository = to->repository, .digest = (char *)digest };
    TRY(source_registry(&pushed, registry, &source));
    TRY(sink_registry(&pushed, registry, &sink));
    struct signing signing = { .key = key, .identity = name, .name = name, .quiet = true, .from = source, .to = sink };
    TRY_AS(sign_all(&signing, true), "sign '%s'", name);
    return NULL;
}

/* ---- the command ---- */

static fallible check_identity(const struct sign_opts *o)
{
    own(ref) struct ref *ref = NULL;
    if (o->identity)
        TRY_AS(ref_parse(o->identity, &ref), "--sign-identity");
    return ref && ref->is_short
               ? err_new(ERR_INVALID, "--sign-identity: '%s' is no full name, with its registry", o->identity)
               : NULL;
}

static fallible sign_run(const void *opts_, struct args args)
{
    const struct sign_opts *o = opts_;
    own(place) struct place *from = NULL;
    own(place) struct place *to = NULL;
    own(image_session) struct image_session *s = NULL;
    own(sigstore_key) struct sigstore_key *key = NULL;
    struct landlock_path more[2];
    size_t n = 0;
    TRY(check_identity(o));
    TRY(place_parse(args.v[0], PLACE_SOURCE, &from));
    TRY(place_parse(args.v[0], PLACE_SINK, &to));
    TRY(check_place(from));
    TRY(read_private(o, o->key ? o->key : "husk.key", &key));
    TRY(place_open(from, PLACE_SOURCE, &o->remote));
    TRY(place_open(to, PLACE_SINK, &o->remote));
    if (from->kind == PLACE_STORE)
        TRY(image_session_open(&s));
    n += place_landlock(from, PLACE_SOURCE, &more[n]);
    n += place_landlock(to, PLACE_SINK, &more[n]);
    TRY(image_confine_paths(s ? s->store : NULL, more, n));
    TRY_AS(sign_here(o, from, to, s, key), "sign '%s'", args.v[0]);
    return NULL;
}

/* ---- verify ---- */

static fallible verify_key(const struct sign_opts *o, struct source *from, const char *pem,
                           const struct registry_manifest *top)
{
    own(trusted) struct trusted *found = mem_zalloc(sizeof *found);
    own_strv struct strv digests = { 0 };
    const struct trusted_signature *good = NULL;
    struct policy_rule rule = { .kind = POLICY_SIGSTORE, .identity = POLICY_EXACT_REPOSITORY };
    own_mem char *name = mem_strdup(o->identity ? o->identity : from->name);
    own_mem char *docker = str_eq(from->transport, "docker") ? mem_strdup(from->scope) : NULL;
    rule.reference = name ? name : docker;
    rule.identity = o->identity ? POLICY_EXACT_REFERENCE : POLICY_EXACT_REPOSITORY;
    strv_add(&rule.keys, pem);
    strv_add(&digests, top->digest);
    err *e = trust_fetch(from, top->digest, found);
    if (!e)
        e = trust_find(found, &digests, &rule, NULL, &good);
    strv_free(&rule.keys);
    if (!e)
        printf("%s\n", good->payload);
    return e;
}

static fallible verify_here(const struct sign_opts *o, struct place *from, struct image_session *s, const char *pem,
                            struct policy *policy)
{
    own(source) struct source *source = NULL;
    own(registry_manifest) struct registry_manifest *top = NULL;
    struct trust trust = { .policy = policy };
    TRY(place_source(from, s ? s->store : NULL, &source));
    TRY(source->ops->get(source, NULL, &top));
    if (pem)
        return verify_key(o, source, pem, top);
    TRY(trust_admit(&trust, source, top, top));
    printf("%s: the signature policy accepts it\n", top->digest);
    return NULL;
}

static fallible verify_run(const void *opts_, struct args args)
{
    const struct sign_opts *o = opts_;
    own(place) struct place *from = NULL;
    own(image_session) struct image_session *s = NULL;
    own(policy) struct policy *policy = NULL;
    own_mem char *pem = NULL;
    struct landlock_path more[1];
    size_t n = 0;
    if (o->key && o->policy)
        return err_new(ERR_INVALID, "--key and --signature-policy exclude each other");
    if (o->identity && !o->key)
        return err_new(ERR_INVALID, "--sign-identity is for --key: a policy says by itself which name is right");
    TRY(check_identity(o));
    TRY(place_parse(args.v[0], PLACE_SOURCE, &from));
    TRY(check_place(from));
    if (o->key)
        TRY_AS(fs_read_at(AT_FDCWD, o->key, FILE_MAX, &pem, NULL), "--key");
    else
        TRY(policy_load(o->policy, &policy));
    if (!pem && !policy)
        return err_new(ERR_INVALID, "there is no policy.json that could be asked: give a public key with --key");
    if (policy)
        policy_read_all_keys(policy);
    TRY(place_open(from, PLACE_SOURCE, &o->remote));
    if (from->kind == PLACE_STORE)
        TRY(image_session_open_reading(&s));
    n += place_landlock(from, PLACE_SOURCE, &more[n]);
    TRY(image_confine_paths(s ? s->store : NULL, more, n));
    TRY_AS(verify_here(o, from, s, pem, policy), "verify '%s'", args.v[0]);
    return NULL;
}

/* ---- what the start of a container asks for ---- */

struct admit_opts {
    const char *policy, *platform, *manifest;
};
#define T struct admit_opts
static const struct opt admit_rows[] = {
    OPT_STR(0, "manifest", T, manifest, "DIGEST", "The one with this manifest, whatever has the name now"),
    OPT_STR(0, "platform", T, platform, "OS/ARCH[/VARIANT]", "Of this platform"),
    OPT_STR(0, "signature-policy", T, policy, "FILE", "The policy to ask instead of policy.json"),
    OPT_END,
};
#undef T

/* A container's: its manifest is kept, its name may be another image's by now. */
static fallible admit_manifest(struct layout *l, struct policy *policy, const char *manifest, const char *name)
{
    own(ref) struct ref *ref = NULL;
    if (!digest_valid(manifest))
        return err_new(ERR_INVALID, "--manifest: '%.100s' is no digest", manifest);
    if (!digest_valid(name))
        TRY(ref_parse(name, &ref));
    own_mem char *full = ref ? ref_full(ref) : NULL;
    struct image image = { .name = full, .manifest_digest = (char *)manifest };
    return trust_check_stored(l, policy, &image);
}

static fallible admit_run(const void *opts_, struct args args)
{
    const struct admit_opts *o = opts_;
    own(policy) struct policy *policy = NULL;
    own(image_session) struct image_session *s = NULL;
    own(image) struct image *image = NULL;
    TRY(policy_load(o->policy, &policy));
    if (policy)
        policy_read_all_keys(policy);
    TRY(image_session_open(&s));
    TRY(image_confine(s, -1));
    if (policy && o->manifest)
        TRY_AS(admit_manifest(s->store, policy, o->manifest, args.v[0]), "image '%.300s'", args.v[0]);
    if (o->manifest)
        return NULL;
    TRY(image_find(s->store, args.v[0], o->platform, &image));
    if (policy)
        TRY_AS(trust_check_stored(s->store, policy, image), "image '%.300s'", args.v[0]);
    return NULL;
}

#define PLACE_DETAIL                                                                                                   \
    "PLACE is [docker://]REF of a registry, store:REF or oci:DIR:REF. In all of them signatures are kept under the\n"  \
    "tag sha256-DIGEST.sig of the same repository, as cosign keeps them; `husk copy --referrers` takes them along.\n"

const struct command cmd_image_sign = {
    .name = "sign",
    .args = "PLACE",
    .summary = "Sign an image with a key",
    .detail = PLACE_DETAIL
    "\n"
    "The key is one of `husk image key generate` or `cosign generate-key-pair`; its password comes from\n"
    "--passphrase-file, from COSIGN_PASSWORD in the environment, or from the terminal. Nothing but the place itself\n"
    "is asked: no transparency log, no certificate authority. podman and skopeo check each image of an image of\n"
    "several platforms by itself: sign it with --recursive for them.\n"
    "\n" REMOTE_DETAIL,
    .opts = sign_rows,
    .opts_size = sizeof(struct sign_opts),
    .min_args = 1,
    .max_args = 1,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 1,
    .run = sign_run,
};
const struct command cmd_image_verify = {
    .name = "verify",
    .args = "PLACE",
    .summary = "Check the signatures of an image",
    .detail = PLACE_DETAIL
    "\n"
    "With --key what was signed is printed, as cosign does; without it the signature policy is asked as a pull would.\n"
    "\n" REMOTE_DETAIL,
    .opts = verify_rows,
    .opts_size = sizeof(struct sign_opts),
    .min_args = 1,
    .max_args = 1,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 1,
    .run = verify_run,
};
const struct command cmd_image_admit = {
    .name = "admit",
    .args = "IMAGE",
    .summary = "Ask the signature policy about an image of the store",
    .opts = admit_rows,
    .opts_size = sizeof(struct admit_opts),
    .min_args = 1,
    .max_args = 1,
    .fail_exit = 125,
    .hidden = true,
    .run = admit_run,
};
static const struct command generate_command = {
    .name = "generate",
    .summary = "Make a key pair to sign images with",
    .detail = "ECDSA on P-256. The private key is encrypted with a password, as cosign does; neither file is ever\n"
              "written over. The password comes from --passphrase-file, COSIGN_PASSWORD, or the terminal.",
    .opts = generate_rows,
    .opts_size = sizeof(struct sign_opts),
    .fail_exit = 1,
    .run = generate_run,
};
static const struct command public_command = {
    .name = "public",
    .args = "FILE",
    .summary = "Print the public key of a private one",
    .opts = public_rows,
    .opts_size = sizeof(struct sign_opts),
    .min_args = 1,
    .max_args = 1,
    .complete_args = COMPLETE_FILE,
    .fail_exit = 1,
    .run = public_run,
};
static const struct command *const key_commands[] = { &generate_command, &public_command, NULL };
const struct command cmd_image_key = {
    .name = "key", .args = "COMMAND", .summary = "Manage keys that images are signed with", .sub = key_commands
};
