// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "codec/bind.h"
#include "image/auth.h"
#include "image/ref.h"
#include "os/fs.h"

enum { FILE_MAX = 4 << 20, KEY_MAX = 64 << 10, RULES_MAX = 100 };

static void rules_clear(struct policy_rules *r)
{
    for (size_t i = 0; i < r->n; i++) {
        struct policy_rule *rule = &r->items[i];
        strv_free(&rule->key_paths);
        strv_free(&rule->keys);
        free(rule->reference);
        free(rule->prefix);
        free(rule->signed_prefix);
    }
    free(r->items);
    free(r->scope);
}

void policy_free(struct policy *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n; i++) {
        for (size_t j = 0; j < p->transports[i].n; j++)
            rules_clear(&p->transports[i].scopes[j]);
        free(p->transports[i].scopes);
        free(p->transports[i].name);
    }
    free(p->transports);
    rules_clear(&p->fallback);
    free(p->path);
    free(p);
}

/* ---- the file ---- */

static fallible check_keys(const json_t *object, const char *const *known, size_t n)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object))
        return err_new(ERR_INVALID, "expected an object");
    json_object_foreach ((json_t *)object, key, value) {
        bool found = false;
        for (size_t i = 0; i < n; i++)
            found |= strcmp(key, known[i]) == 0;
        if (!found)
            return err_new(ERR_INVALID, "unknown key '%.100s'", key);
    }
    return NULL;
}

static fallible get_text(const json_t *object, const char *key, char **ret)
{
    const json_t *value = json_object_get(object, key);
    if (value && !json_is_string(value))
        return err_new(ERR_INVALID, "%s: expected a string", key);
    *ret = mem_strdup(json_string_value(value));
    return NULL;
}

static fallible need_text(const json_t *object, const char *key, char **ret)
{
    TRY(get_text(object, key, ret));
    return *ret && **ret ? NULL : err_new(ERR_INVALID, "%s: missing", key);
}

static fallible get_texts(const json_t *object, const char *key, struct strv *ret)
{
    const json_t *value = json_object_get(object, key);
    size_t i;
    json_t *item;
    if (value && (!json_is_array(value) || !json_array_size(value)))
        return err_new(ERR_INVALID, "%s: expected an array of strings", key);
    json_array_foreach (value, i, item) {
        if (!json_is_string(item))
            return err_new(ERR_INVALID, "%s: expected an array of strings", key);
        strv_add(ret, json_string_value(item));
    }
    return NULL;
}

static const struct {
    const char *word;
    enum policy_identity identity;
} identities[] = {
    { "matchExact", POLICY_EXACT },
    { "matchRepoDigestOrExact", POLICY_REPO_DIGEST_OR_EXACT },
    { "matchRepository", POLICY_REPOSITORY },
    { "exactReference", POLICY_EXACT_REFERENCE },
    { "exactRepository", POLICY_EXACT_REPOSITORY },
    { "remapIdentity", POLICY_REMAP },
};

/* Which of its members an identity has besides its type. */
static fallible read_identity_words(const json_t *doc, struct policy_rule *rule)
{
    static const char *const type_only[] = { "type" };
    static const char *const reference[] = { "type", "dockerReference" };
    static const char *const repository[] = { "type", "dockerRepository" };
    static const char *const remap[] = { "type", "prefix", "signedPrefix" };
    switch (rule->identity) {
    case POLICY_REPO_DIGEST_OR_EXACT:
    case POLICY_EXACT:
    case POLICY_REPOSITORY:
        return check_keys(doc, type_only, ARRAY_SIZE(type_only));
    case POLICY_EXACT_REFERENCE:
        TRY(check_keys(doc, reference, ARRAY_SIZE(reference)));
        return need_text(doc, "dockerReference", &rule->reference);
    case POLICY_EXACT_REPOSITORY:
        TRY(check_keys(doc, repository, ARRAY_SIZE(repository)));
        return need_text(doc, "dockerRepository", &rule->reference);
    case POLICY_REMAP:
        TRY(check_keys(doc, remap, ARRAY_SIZE(remap)));
        TRY(need_text(doc, "prefix", &rule->prefix));
        return need_text(doc, "signedPrefix", &rule->signed_prefix);
    }
    return NULL;
}

static fallible read_identity(const json_t *doc, struct policy_rule *rule)
{
    own_mem char *type = NULL;
    if (!doc)
        return NULL;
    if (!json_is_object(doc))
        return err_new(ERR_INVALID, "expected an object");
    TRY(need_text(doc, "type", &type));
    for (size_t i = 0; i < ARRAY_SIZE(identities); i++)
        if (str_eq(identities[i].word, type)) {
            rule->identity = identities[i].identity;
            return read_identity_words(doc, rule);
        }
    return err_new(ERR_INVALID,
                   "type: '%.100s' is none of matchExact, matchRepoDigestOrExact, matchRepository, "
                   "exactReference, exactRepository, remapIdentity",
                   type);
}

static fallible add_key(struct policy_rule *rule, const char *base64)
{
    own_mem char *pem = NULL;
    TRY(base64_decode(base64, &pem));
    strv_add(&rule->keys, pem);
    return NULL;
}

static fallible read_sigstore(const json_t *doc, struct policy_rule *rule)
{
    static const char *const known[] = { "type", "keyPath", "keyPaths", "keyData", "keyDatas", "signedIdentity" };
    static const char *const not_ours[] = {
        "fulcio", "rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData", "rekorPublicKeyDatas", "pki"
    };
    own_mem char *path = NULL;
    own_mem char *data = NULL;
    own_strv struct strv datas = { 0 };
    size_t ways = 0;
    for (size_t i = 0; i < ARRAY_SIZE(not_ours); i++)
        if (json_object_get(doc, not_ours[i]))
            return err_new(ERR_UNSUPPORTED,
                           "'%s': husk checks signatures offline, by a key alone: give keyPath or keyData",
                           not_ours[i]);
    TRY(check_keys(doc, known, ARRAY_SIZE(known)));
    for (size_t i = 1; i < 5; i++)
        ways += json_object_get(doc, known[i]) != NULL;
    if (ways != 1)
        return err_new(ERR_INVALID, "exactly one of keyPath, keyPaths, keyData, keyDatas is needed");
    TRY(get_text(doc, "keyPath", &path));
    TRY(get_texts(doc, "keyPaths", &rule->key_paths));
    TRY(get_text(doc, "keyData", &data));
    TRY(get_texts(doc, "keyDatas", &datas));
    if (path)
        strv_add(&rule->key_paths, path);
    if (data)
        TRY_AS(add_key(rule, data), "keyData");
    for (size_t i = 0; i < datas.n; i++)
        TRY_AS(add_key(rule, datas.items[i]), "keyDatas[%zu]", i);
    TRY_AS(read_identity(json_object_get(doc, "signedIdentity"), rule), "signedIdentity");
    return NULL;
}

/* Read as strictly as the others, since the file may be for other tools too; asked for, it is refused. */
static fallible read_signed_by(const json_t *doc, struct policy_rule *rule)
{
    static const char *const known[] = { "type", "keyType", "keyPath", "keyPaths", "keyData", "signedIdentity" };
    TRY(check_keys(doc, known, ARRAY_SIZE(known)));
    TRY_AS(read_identity(json_object_get(doc, "signedIdentity"), rule), "signedIdentity");
    return NULL;
}

static fallible read_rule(const json_t *doc, struct policy_rule *rule)
{
    static const char *const type_only[] = { "type" };
    own_mem char *type = NULL;
    if (!json_is_object(doc))
        return err_new(ERR_INVALID, "expected an object");
    TRY(need_text(doc, "type", &type));
    if (str_eq(type, "sigstoreSigned")) {
        rule->kind = POLICY_SIGSTORE;
        return read_sigstore(doc, rule);
    }
    if (str_eq(type, "signedBy")) {
        rule->kind = POLICY_SIGNED_BY;
        return read_signed_by(doc, rule);
    }
    rule->kind = str_eq(type, "reject") ? POLICY_REJECT : POLICY_ACCEPT;
    if (rule->kind == POLICY_ACCEPT && !str_eq(type, "insecureAcceptAnything"))
        return err_new(ERR_INVALID,
                       "type: '%.100s' is none of insecureAcceptAnything, reject, sigstoreSigned, signedBy", type);
    return check_keys(doc, type_only, ARRAY_SIZE(type_only));
}

static fallible read_rules(const json_t *doc, const char *scope, struct policy_rules *r)
{
    size_t n = json_array_size(doc);
    if (!json_is_array(doc) || !n)
        return err_new(ERR_INVALID, "expected an array of at least one requirement");
    if (n > RULES_MAX)
        return err_new(ERR_INVALID, "more than %d requirements", RULES_MAX);
    r->scope = mem_strdup(scope);
    r->items = mem_zalloc(n * sizeof *r->items);
    for (r->n = 0; r->n < n;) {
        struct policy_rule *rule = &r->items[r->n++];
        TRY_AS(read_rule(json_array_get(doc, r->n - 1), rule), "[%zu]", r->n - 1);
    }
    return NULL;
}

static fallible read_transport(const json_t *doc, const char *name, struct policy_transport *t)
{
    const char *scope;
    json_t *rules;
    if (!json_is_object(doc))
        return err_new(ERR_INVALID, "expected an object");
    t->name = mem_strdup(name);
    t->scopes = mem_zalloc((json_object_size(doc) + 1) * sizeof *t->scopes);
    json_object_foreach ((json_t *)doc, scope, rules) {
        struct policy_rules *r = &t->scopes[t->n++];
        TRY_AS(read_rules(rules, scope, r), "'%.200s'", scope);
    }
    return NULL;
}

static fallible read_document(const json_t *doc, struct policy *p)
{
    static const char *const known[] = { "default", "transports" };
    const json_t *fallback = json_object_get(doc, "default"), *transports = json_object_get(doc, "transports");
    const char *name;
    json_t *value;
    TRY(check_keys(doc, known, ARRAY_SIZE(known)));
    if (!fallback)
        return err_new(ERR_INVALID, "default: missing");
    TRY_AS(read_rules(fallback, "", &p->fallback), "default");
    if (transports && !json_is_object(transports))
        return err_new(ERR_INVALID, "transports: expected an object");
    p->transports = mem_zalloc((json_object_size(transports) + 1) * sizeof *p->transports);
    json_object_foreach ((json_t *)transports, name, value) {
        struct policy_transport *t = &p->transports[p->n++];
        TRY_AS(read_transport(value, name, t), "transports: '%.100s'", name);
    }
    return NULL;
}

fallible policy_parse(const char *path, const char *text, size_t len, struct policy **ret)
{
    own(policy) struct policy *p = mem_zalloc(sizeof *p);
    own_json json_t *doc = NULL;
    p->path = mem_strdup(path);
    TRY_AS(json_parse("policy", text, len, &doc), "'%s'", path);
    TRY_AS(read_document(doc, p), "'%s'", path);
    *ret = take(p);
    return NULL;
}

static fallible load(const char *path, struct policy **ret)
{
    own_mem char *text = NULL;
    size_t len = 0;
    TRY(fs_read_at(AT_FDCWD, path, FILE_MAX, &text, &len));
    return policy_parse(path, text, len, ret);
}

/* A file that was named and is not there: whoever asks must not take it for an image that is not there. */
static fallible named_missing(err *take_e, const char *what, const char *path)
{
    if (!err_is(take_e, ERR_NOT_FOUND))
        return take_e ? err_wrap(take_e, "%s", what) : NULL;
    err_free(take_e);
    return err_sys_as(ERR_INVALID, ENOENT, "%s: open '%s'", what, path);
}

/* Only that there is no such file lets the next one count: one that may not be read is an error. */
fallible policy_load(const char *given, struct policy **ret)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    own_mem char *mine = config && *config == '/' ? mem_printf("%s/containers/policy.json", config)
                         : home                   ? mem_printf("%s/.config/containers/policy.json", home)
                                                  : NULL;
    const char *const paths[] = { mine, "/etc/husk/policy.json", "/etc/containers/policy.json" };
    *ret = NULL;
    if (given)
        return named_missing(load(given, ret), "--signature-policy", given);
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        err *e = paths[i] ? load(paths[i], ret) : err_new(ERR_NOT_FOUND, "no home");
        if (!err_is(e, ERR_NOT_FOUND))
            return e ? err_wrap(e, "signature policy") : NULL;
        err_ignore(e, "the next file counts then");
    }
    return NULL;
}

/* ---- the scope ---- */

static struct policy_rules *scope_of(const struct policy_transport *t, const char *scope, size_t len)
{
    for (size_t i = 0; i < t->n; i++)
        if (strlen(t->scopes[i].scope) == len && strncmp(t->scopes[i].scope, scope, len) == 0)
            return &t->scopes[i];
    return NULL;
}

/* What is around it: without the tag or digest, without the last part, and so on, until "" or the first part. */
static struct policy_rules *enclosing(const struct policy_transport *t, const char *scope)
{
    size_t len = strlen(scope);
    struct policy_rules *found = scope_of(t, scope, len);
    const char *at = strchr(scope, '@'), *slash = strrchr(scope, '/');
    const char *colon = strrchr(at ? "" : slash ? slash : "", ':');
    if (!found && (at || colon))
        found = scope_of(t, scope, len = (size_t)((at ? at : colon) - scope));
    if (!found && at && (colon = memrchr(scope, ':', len)) && !memchr(colon, '/', len - (size_t)(colon - scope)))
        found = scope_of(t, scope, len = (size_t)(colon - scope)); /* a tag before the digest */
    while (!found && len > 0) {
        while (len > 0 && scope[len - 1] != '/')
            len--;
        len -= len > 0;
        found = len ? scope_of(t, scope, len) : NULL;
    }
    return found;
}

/* "*.example.com" for a registry a.b.example.com, or a.b.example.com:5000: no port there. */
static struct policy_rules *wildcard(const struct policy_transport *t, const char *scope)
{
    size_t host = strcspn(scope, ":/");
    for (const char *dot = memchr(scope, '.', host); dot;
         dot = memchr(dot + 1, '.', host - (size_t)(dot + 1 - scope))) {
        own_mem char *word = mem_printf("*%.*s", (int)(host - (size_t)(dot - scope)), dot);
        struct policy_rules *found = scope_of(t, word, strlen(word));
        if (found)
            return found;
    }
    return NULL;
}

struct policy_rules *policy_find(struct policy *p, const char *transport, const char *scope)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct policy_transport *t = &p->transports[i];
        if (!str_eq(t->name, transport))
            continue;
        struct policy_rules *found = *scope ? enclosing(t, scope) : NULL;
        if (!found && *scope && str_eq(transport, "docker"))
            found = wildcard(t, scope);
        if (!found)
            found = scope_of(t, "", 0);
        return found ? found : &p->fallback;
    }
    return &p->fallback;
}

bool policy_accepts_all(const struct policy_rules *rules)
{
    for (size_t i = 0; i < rules->n; i++)
        if (rules->items[i].kind != POLICY_ACCEPT)
            return false;
    return true;
}

/* ---- keys ---- */

static fallible read_keys(struct policy_rule *rule)
{
    if (rule->keys_read)
        return NULL;
    for (size_t i = 0; i < rule->key_paths.n; i++) {
        own_mem char *text = NULL;
        const char *path = rule->key_paths.items[i];
        TRY(named_missing(fs_read_at(AT_FDCWD, path, KEY_MAX, &text, NULL), "key of the signature policy", path));
        strv_add_take(&rule->keys, take(text));
    }
    rule->keys_read = true;
    return NULL;
}

fallible policy_read_keys(struct policy_rules *rules)
{
    for (size_t i = 0; i < rules->n; i++)
        TRY(read_keys(&rules->items[i]));
    return NULL;
}

void policy_read_all_keys(struct policy *p)
{
    err_ignore(policy_read_keys(&p->fallback), "read again, and said, when the rule is asked for");
    for (size_t i = 0; i < p->n; i++)
        for (size_t j = 0; j < p->transports[i].n; j++)
            err_ignore(policy_read_keys(&p->transports[i].scopes[j]), "the same");
}

/* ---- identity ---- */

static bool same_repository(const struct ref *a, const struct ref *b)
{
    return str_eq(a->registry, b->registry) && str_eq(a->repository, b->repository);
}

/* A name alone means no tag here: "latest" is nobody's word in a signature. */
static bool says_nothing_more(const char *text)
{
    const char *slash = strrchr(text, '/');
    return !strpbrk(slash ? slash : text, ":@");
}

static bool same_reference(const char *image, const struct ref *a, const char *signed_as, const struct ref *b)
{
    if (says_nothing_more(image) || says_nothing_more(signed_as))
        return false;
    return same_repository(a, b) && str_eq(a->tag, b->tag) && str_eq(a->digest, b->digest);
}

static bool repo_digest_or_exact(const char *image, const struct ref *a, const char *signed_as, const struct ref *b)
{
    return a->digest ? same_repository(a, b) && !says_nothing_more(signed_as) : same_reference(image, a, signed_as, b);
}

/* prefix is the whole, or ends where a part of the name ends. */
static char *remapped(const struct policy_rule *rule, const char *full)
{
    size_t n = strlen(rule->prefix);
    if (strncmp(full, rule->prefix, n) != 0 || (full[n] && !strchr("/:@", full[n])))
        return mem_strdup(full);
    return mem_printf("%s%s", rule->signed_prefix, full + n);
}

static bool fits(const struct policy_rule *rule, const char *image, const struct ref *a, const char *signed_as,
                 const struct ref *b)
{
    own(ref) struct ref *other = NULL;
    own_mem char *text = rule->identity == POLICY_REMAP && image ? remapped(rule, image) : mem_strdup(rule->reference);
    err_ignore(text ? ref_parse(text, &other) : NULL, "then nothing can be it");
    switch (rule->identity) {
    case POLICY_EXACT:
        return a && same_reference(image, a, signed_as, b);
    case POLICY_REPO_DIGEST_OR_EXACT:
        return a && repo_digest_or_exact(image, a, signed_as, b);
    case POLICY_REPOSITORY:
        return a && same_repository(a, b);
    case POLICY_EXACT_REFERENCE:
        return other && same_reference(text, other, signed_as, b);
    case POLICY_EXACT_REPOSITORY:
        return other && same_repository(other, b);
    case POLICY_REMAP:
        return a && other && repo_digest_or_exact(text, other, signed_as, b);
    }
    return false;
}

bool policy_identity_fits(const struct policy_rule *rule, const char *image, const char *signed_as)
{
    own(ref) struct ref *a = NULL;
    own(ref) struct ref *b = NULL;
    err_ignore(image ? ref_parse(image, &a) : NULL, "then it has no name");
    err_ignore(ref_parse(signed_as, &b), "then it is signed for nothing");
    return b && fits(rule, image, a, signed_as, b);
}

char *policy_rule_text(const struct policy_rule *rule)
{
    own_str struct str text = { 0 };
    str_printf(&text, "%d %d %s %s %s", (int)rule->kind, (int)rule->identity, rule->reference ? rule->reference : "-",
               rule->prefix ? rule->prefix : "-", rule->signed_prefix ? rule->signed_prefix : "-");
    for (size_t i = 0; i < rule->keys.n; i++)
        str_printf(&text, "\n%s", rule->keys.items[i]);
    return str_take(&text);
}
