// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <stdio.h>

#include "image/policy.h"
#include "image/sigstore.h"

#define ACCEPT "[{\"type\":\"insecureAcceptAnything\"}]"
#define REJECT "[{\"type\":\"reject\"}]"

static const char scopes_text[] =
    "{\"default\":" REJECT ",\"transports\":{\"docker\":{"
    "\"\":" ACCEPT ",\"x.io\":" ACCEPT ",\"x.io/a\":" ACCEPT ",\"x.io/a/b\":" ACCEPT ",\"x.io/a/b:1\":" ACCEPT ","
    "\"*.example.com\":" ACCEPT ",\"*.b.example.com\":" ACCEPT ",\"h:5000\":" ACCEPT "},"
    "\"dir\":{\"/a\":" ACCEPT ",\"/a/b\":" ACCEPT "}}}";

static const struct {
    const char *transport, *scope, *found;
} scopes[] = {
    { "docker", "x.io/a/b:1", "x.io/a/b:1" },
    { "docker", "x.io/a/b:2", "x.io/a/b" },
    { "docker", "x.io/a/b@sha256:00", "x.io/a/b" },
    { "docker", "x.io/a/b:2@sha256:00", "x.io/a/b" },
    { "docker", "x.io/a/bb:1", "x.io/a" },
    { "docker", "x.io/aa:1", "x.io" },
    { "docker", "x.io.evil/a:1", "" },
    { "docker", "h:5000/q:1", "h:5000" },
    { "docker", "h:5001/q:1", "" },
    { "docker", "r.example.com/q:1", "*.example.com" },
    { "docker", "a.b.example.com/q:1", "*.b.example.com" },
    { "docker", "r.example.com:5000/q:1", "*.example.com" },
    { "docker", "example.com/q:1", "" },
    { "docker", "q.io/x.example.com/q:1", "" },
    { "dir", "/a/b/c", "/a/b" },
    { "dir", "/a/bc", "/a" },
};

TEST(the_most_specific_scope_holds)
{
    own(policy) struct policy *p = NULL;
    CHECK_OK(policy_parse("p", scopes_text, sizeof scopes_text - 1, &p));
    for (size_t i = 0; i < ARRAY_SIZE(scopes); i++) {
        struct policy_rules *r = policy_find(p, scopes[i].transport, scopes[i].scope);
        if (!str_eq(r->scope, scopes[i].found))
            printf("%s: '%s' instead of '%s'\n", scopes[i].scope, r->scope, scopes[i].found);
        assert_true(str_eq(r->scope, scopes[i].found));
        assert_true(policy_accepts_all(r));
    }
    assert_false(policy_accepts_all(policy_find(p, "oci", "/a")));
    assert_false(policy_accepts_all(policy_find(p, "dir", "/b")));
}

#define KEYED(more)    "{\"default\":[{\"type\":\"sigstoreSigned\"," more "}]}"
#define IDENTITY(text) KEYED("\"keyData\":\"YQ==\",\"signedIdentity\":{" text "}")

static const struct {
    const char *text, *message;
} wrong[] = {
    { "", "'p'" },
    { "[]", "expected an object" },
    { "{}", "default: missing" },
    { "{\"default\":[]}", "at least one requirement" },
    { "{\"default\":{}}", "expected an array" },
    { "{\"default\":[{}]}", "default: [0]: type: missing" },
    { "{\"default\":[{\"type\":\"accept\"}]}", "none of insecureAcceptAnything" },
    { "{\"default\":[{\"type\":\"reject\",\"x\":1}]}", "unknown key 'x'" },
    { "{\"default\":" REJECT ",\"default\":" ACCEPT "}", "duplicate" },
    { "{\"default\":" REJECT ",\"x\":1}", "unknown key 'x'" },
    { "{\"default\":" REJECT ",\"transports\":[]}", "transports: expected an object" },
    { "{\"default\":" REJECT ",\"transports\":{\"docker\":{\"a\":[]}}}", "'docker': 'a'" },
    { KEYED("\"keyPath\":1"), "keyPath: expected a string" },
    { KEYED("\"keyPaths\":[]"), "keyPaths: expected an array" },
    { KEYED("\"keyPath\":\"/a\",\"keyData\":\"YQ==\""), "exactly one" },
    { KEYED("\"signedIdentity\":{\"type\":\"matchExact\"}"), "exactly one" },
    { KEYED("\"keyData\":\"?\""), "keyData: not base64" },
    { KEYED("\"fulcio\":{}"), "offline" },
    { KEYED("\"rekorPublicKeyPath\":\"/a\",\"keyPath\":\"/a\""), "offline" },
    { IDENTITY("\"type\":\"any\""), "signedIdentity: type: 'any'" },
    { IDENTITY("\"type\":\"matchExact\",\"prefix\":\"a\""), "unknown key 'prefix'" },
    { IDENTITY("\"type\":\"exactReference\""), "dockerReference: missing" },
    { IDENTITY("\"type\":\"remapIdentity\",\"prefix\":\"a\""), "signedPrefix: missing" },
};

TEST(a_policy_that_is_not_understood_is_refused_whole)
{
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct policy *p = NULL;
        own(err) err *e = policy_parse("p", wrong[i].text, strlen(wrong[i].text), &p);
        if (!e || !strstr(err_text(e), wrong[i].message))
            printf("'%s': %s\n", wrong[i].text, e ? err_text(e) : "no error");
        assert_true(e && strstr(err_text(e), wrong[i].message));
    }
}

#define DIGEST "sha256:0123456789012345678901234567890123456789012345678901234567890123"

static const struct {
    const char *identity, *image, *signed_as;
    bool fits;
} identities[] = {
    { "\"type\":\"matchExact\"", "x.io/a:1", "x.io/a:1", true },
    { "\"type\":\"matchExact\"", "x.io/a:1", "x.io/a:2", false },
    { "\"type\":\"matchExact\"", "x.io/a:1", "y.io/a:1", false },
    { "\"type\":\"matchExact\"", "x.io/a:latest", "x.io/a", false },
    { "\"type\":\"matchExact\"", "x.io/a@" DIGEST, "x.io/a:1", false },
    { "\"type\":\"matchExact\"", NULL, "x.io/a:1", false },
    { "\"type\":\"matchRepoDigestOrExact\"", "x.io/a:1", "x.io/a:1", true },
    { "\"type\":\"matchRepoDigestOrExact\"", "x.io/a:1", "x.io/a:2", false },
    { "\"type\":\"matchRepoDigestOrExact\"", "x.io/a@" DIGEST, "x.io/a:1", true },
    { "\"type\":\"matchRepoDigestOrExact\"", "x.io/a@" DIGEST, "x.io/b:1", false },
    { "\"type\":\"matchRepository\"", "x.io/a:1", "x.io/a:2", true },
    { "\"type\":\"matchRepository\"", "x.io/a:1", "x.io/a", true },
    { "\"type\":\"matchRepository\"", "x.io/a:1", "x.io/ab:1", false },
    { "\"type\":\"exactReference\",\"dockerReference\":\"x.io/a:1\"", NULL, "x.io/a:1", true },
    { "\"type\":\"exactReference\",\"dockerReference\":\"x.io/a:1\"", "x.io/a:1", "x.io/a:2", false },
    { "\"type\":\"exactRepository\",\"dockerRepository\":\"x.io/a\"", NULL, "x.io/a:7", true },
    { "\"type\":\"exactRepository\",\"dockerRepository\":\"x.io/a\"", "q/r", "x.io/b:7", false },
    { "\"type\":\"remapIdentity\",\"prefix\":\"m.io\",\"signedPrefix\":\"x.io/v\"", "m.io/a:1", "x.io/v/a:1", true },
    { "\"type\":\"remapIdentity\",\"prefix\":\"m.io\",\"signedPrefix\":\"x.io/v\"", "m.io/a:1", "m.io/a:1", false },
    { "\"type\":\"remapIdentity\",\"prefix\":\"m.io\",\"signedPrefix\":\"x.io\"", "m.ion/a:1", "x.ion/a:1", false },
    { "\"type\":\"remapIdentity\",\"prefix\":\"m.io\",\"signedPrefix\":\"x.io\"", "q.io/a:1", "q.io/a:1", true },
};

TEST(an_identity_fits_as_the_policy_says)
{
    for (size_t i = 0; i < ARRAY_SIZE(identities); i++) {
        own(policy) struct policy *p = NULL;
        own_mem char *text = mem_printf(IDENTITY("%s"), identities[i].identity);
        CHECK_OK(policy_parse("p", text, strlen(text), &p));
        bool fits = policy_identity_fits(&p->fallback.items[0], identities[i].image, identities[i].signed_as);
        if (fits != identities[i].fits)
            printf("row %zu: %s\n", i, text);
        assert_int_equal(fits, identities[i].fits);
    }
}

TEST(a_signature_is_good_for_its_text_and_its_key_alone)
{
    own(sigstore_key) struct sigstore_key *key = NULL;
    own(sigstore_key) struct sigstore_key *again = NULL;
    own(sigstore_key) struct sigstore_key *other = NULL;
    own_mem char *pem = NULL, *public = NULL, *wrong_public = NULL, *signature = NULL;
    CHECK_OK(sigstore_key_generate(&key));
    CHECK_OK(sigstore_key_generate(&other));
    CHECK_OK(sigstore_key_encrypt(key, "a password", &pem));
    CHECK_OK(sigstore_key_public(key, &public));
    CHECK_OK(sigstore_key_public(other, &wrong_public));
    CHECK_ERR(sigstore_key_read(pem, "another", &again), ERR_DENIED);
    CHECK_OK(sigstore_key_read(pem, "a password", &again));
    own_mem char *text = sigstore_payload_write("x.io/a:1", DIGEST, 1);
    CHECK_OK(sigstore_sign(again, text, strlen(text), &signature));
    CHECK_OK(sigstore_verify(public, text, strlen(text), signature));
    CHECK_ERR(sigstore_verify(wrong_public, text, strlen(text), signature), ERR_DENIED);
    CHECK_ERR(sigstore_verify(public, text, strlen(text) - 1, signature), ERR_DENIED);
    CHECK_ERR(sigstore_verify(public, text, strlen(text), "AAAA"), ERR_DENIED);
    CHECK_ERR(sigstore_verify(public, text, strlen(text), "?"), ERR_INVALID);
    CHECK_ERR(sigstore_verify("no key", text, strlen(text), signature), ERR_INVALID);
    own(sigstore_payload) struct sigstore_payload *p = NULL;
    CHECK_OK(sigstore_payload_read(text, strlen(text), &p));
    assert_string_equal(p->reference, "x.io/a:1");
    assert_string_equal(p->digest, DIGEST);
}

#define PAYLOAD(type, image, identity, more)                                                                           \
    "{\"critical\":{\"type\":" type ",\"image\":" image ",\"identity\":" identity "}" more "}"
#define TYPE     "\"cosign container image signature\""
#define IMAGE    "{\"docker-manifest-digest\":\"" DIGEST "\"}"
#define REF      "{\"docker-reference\":\"x.io/a\"}"
#define OPTIONAL ",\"optional\":null"

TEST(only_a_document_of_the_right_form_is_a_signature)
{
    static const char good[] = PAYLOAD(TYPE, IMAGE, REF, OPTIONAL);
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        PAYLOAD(TYPE, IMAGE, REF, ""),
        PAYLOAD(TYPE, IMAGE, REF, OPTIONAL ",\"x\":1"),
        PAYLOAD(TYPE, IMAGE, REF, ",\"optional\":1"),
        PAYLOAD("\"atomic container signature\"", IMAGE, REF, OPTIONAL),
        PAYLOAD(TYPE, "{\"docker-manifest-digest\":\"sha256:0\"}", REF, OPTIONAL),
        PAYLOAD(TYPE, "{\"docker-manifest-digest\":1}", REF, OPTIONAL),
        PAYLOAD(TYPE, IMAGE, "{\"docker-reference\":1}", OPTIONAL),
        PAYLOAD(TYPE, IMAGE, REF ",\"x\":1", OPTIONAL),
    };
    own(sigstore_payload) struct sigstore_payload *p = NULL;
    CHECK_OK(sigstore_payload_read(good, sizeof good - 1, &p));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct sigstore_payload *none = NULL;
        CHECK_ERR(sigstore_payload_read(bad[i], strlen(bad[i]), &none), ERR_INVALID);
    }
}
