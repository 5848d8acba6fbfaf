// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/trusted.h"

#include <fcntl.h>

#include "os/fs.h"

#define NAME_KEY "org.opencontainers.image.ref.name"

enum { FILE_MAX = 16 << 20 };

#define T struct trusted_signature
static const struct bind_field signature_fields[] = {
    BIND_STR(T, payload, "payload", .flags = BIND_REQUIRED),
    BIND_STR(T, signature, "signature", .flags = BIND_REQUIRED),
    BIND_END,
};
#undef T
static const struct bind_type signature_type = { "signature", sizeof(struct trusted_signature), signature_fields,
                                                 false };

#define T struct trusted_verdict
static const struct bind_field verdict_fields[] = {
    BIND_STR(T, image, "image", .flags = BIND_REQUIRED),
    BIND_STR(T, rule, "rule", .flags = BIND_REQUIRED),
    BIND_END,
};
#undef T
static const struct bind_type verdict_type = { "verdict", sizeof(struct trusted_verdict), verdict_fields, false };

#define T struct trusted
static const struct bind_field trusted_fields[] = {
    BIND_STRS(T, origins, "origins"),
    BIND_OBJS(T, signatures, signatures_n, "signatures", signature_type),
    BIND_OBJS(T, verdicts, verdicts_n, "verdicts", verdict_type),
    BIND_END,
};
#undef T
static const struct bind_type trusted_type = { "trust record", sizeof(struct trusted), trusted_fields, false };

void trusted_free(struct trusted *t)
{
    bind_free(&trusted_type, t);
}

static char *path_of(const char *digest)
{
    return mem_printf("trust/%s.json", digest_hex(digest));
}

fallible trusted_read(struct layout *l, const char *manifest_digest, struct trusted **ret)
{
    own_mem char *path = path_of(manifest_digest);
    own_mem char *text = NULL;
    size_t len = 0;
    err *e = fs_read_at(l->fd, path, FILE_MAX, &text, &len);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        *ret = mem_zalloc(sizeof **ret);
        return NULL;
    }
    TRY(e);
    return bind_read(&trusted_type, text, len, (void **)ret);
}

fallible trusted_write(struct layout *l, const char *manifest_digest, const struct trusted *t)
{
    own_mem char *path = path_of(manifest_digest);
    own_mem char *text = bind_write(&trusted_type, t, BIND_COMPACT);
    TRY(fs_mkdirs_at(l->fd, "trust", 0700));
    if (faccessat(l->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        layout_note_added(l, path);
    /* Before the name is: an image whose signatures a power cut took would be refused by the policy. */
    return fs_replace_at(l->fd, path, text, strlen(text), 0600, FS_SYNC_DISK);
}

bool trusted_has_verdict(const struct trusted *t, const char *image, const char *rule_text)
{
    for (size_t i = 0; i < t->verdicts_n; i++)
        if (str_eq(t->verdicts[i].image, image) && str_eq(t->verdicts[i].rule, rule_text))
            return true;
    return false;
}

void trusted_add_verdict(struct trusted *t, const char *image, const char *rule_text)
{
    if (trusted_has_verdict(t, image, rule_text))
        return;
    t->verdicts = mem_array(t->verdicts, t->verdicts_n + 1, sizeof *t->verdicts);
    t->verdicts[t->verdicts_n++] =
        (struct trusted_verdict){ .image = mem_strdup(image), .rule = mem_strdup(rule_text) };
}

void trusted_add_signature(struct trusted *t, const char *payload, const char *signature)
{
    for (size_t i = 0; i < t->signatures_n; i++)
        if (str_eq(t->signatures[i].payload, payload) && str_eq(t->signatures[i].signature, signature))
            return;
    t->signatures = mem_array(t->signatures, t->signatures_n + 1, sizeof *t->signatures);
    t->signatures[t->signatures_n++] =
        (struct trusted_signature){ .payload = mem_strdup(payload), .signature = mem_strdup(signature) };
}

/* ---- asking ---- */

static fallible ask_rule(const struct policy_rule *rule, const char *image, trusted_check *check, void *ctx)
{
    switch (rule->kind) {
    case POLICY_ACCEPT:
        return NULL;
    case POLICY_REJECT:
        return err_new(ERR_DENIED, "it is to be rejected");
    case POLICY_SIGNED_BY:
        return err_new(ERR_UNSUPPORTED, "it is to have a GPG signature (signedBy), which husk does not check: sign it "
                                        "with `husk image sign` or cosign, and ask for \"sigstoreSigned\" there");
    case POLICY_SIGSTORE:
        return check(ctx, rule, image);
    }
    return NULL;
}

fallible trusted_ask(struct policy *p, const char *transport, const char *scope, const char *image,
                     trusted_check *check, void *ctx)
{
    struct policy_rules *rules = policy_find(p, transport, scope);
    const char *where = rules == &p->fallback ? "default" : *rules->scope ? rules->scope : transport;
    for (size_t i = 0; i < rules->n; i++) {
        err *e = rules->items[i].kind == POLICY_SIGSTORE ? policy_read_keys(rules) : NULL;
        if (!e)
            e = ask_rule(&rules->items[i], image, check, ctx);
        if (e)
            return err_wrap(e, "signature policy '%s', %s%s%s", p->path, rules == &p->fallback ? "" : "'", where,
                            rules == &p->fallback ? "" : "'");
    }
    return NULL;
}

fallible trusted_ask_stored(struct policy *p, const struct trusted *t, const struct strv *names, trusted_check *check,
                            void *ctx)
{
    own(err) err *first = NULL;
    const struct strv *const lists[] = { names, &t->origins };
    if (!names->n && !t->origins.n)
        return trusted_ask(p, "docker", "", NULL, check, ctx);
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        for (size_t j = 0; j < lists[i]->n; j++) {
            err *e = trusted_ask(p, "docker", lists[i]->items[j], lists[i]->items[j], check, ctx);
            if (!e)
                return NULL;
            if (first)
                err_ignore(e, "the first name's says more");
            else
                first = e;
        }
    return take(first);
}

/* Is the manifest what a descriptor of index.json stands for, or a part of it? */
static bool leads_to(struct layout *l, const struct oci_descriptor *d, const char *digest)
{
    own(oci_index) struct oci_index *index = NULL;
    own_mem char *text = NULL;
    size_t len = 0;
    if (str_eq(d->digest, digest))
        return true;
    if (!media_is_index(d->media_type))
        return false;
    own(err) err *e = layout_read_blob(l, d->digest, &text, &len);
    err_ignore(e ? NULL : oci_index_read(text, len, &index), "then it names nothing");
    for (size_t i = 0; index && i < index->manifests_n; i++)
        if (str_eq(index->manifests[i].digest, digest))
            return true;
    return false;
}

fallible trusted_names(struct layout *l, const struct image *image, struct strv *ret)
{
    own(oci_index) struct oci_index *index = NULL;
    if (image->name) {
        strv_add(ret, image->name);
        return NULL;
    }
    TRY(layout_read_index(l, &index));
    for (size_t i = 0; i < index->manifests_n; i++) {
        const char *name = strmap_get(&index->manifests[i].annotations, NAME_KEY);
        if (name && leads_to(l, &index->manifests[i], image->manifest_digest))
            strv_add(ret, name);
    }
    return NULL;
}
