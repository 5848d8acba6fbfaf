// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "image/auth.h"
#include "image/http.h"
#include "image/registry.h"

/* file, registry, repository -> "user:password", "token T", "helper H" or "" */
static const struct {
    const char *text, *registry, *repository, *answer;
} files[] = {
    { "{}", "x.io", "a", "" },
    { "{\"auths\":{}}", "x.io", "a", "" },
    { "{\"auths\":{\"x.io\":{\"auth\":\"dTpwOnc=\"}}}", "x.io", "a", "u:p:w" },
    { "{\"auths\":{\"x.io\":{\"auth\":\"dTpw\"}}}", "y.io", "a", "" },
    { "{\"auths\":{\"x.io\":{\"auth\":\"dTpw\"}}}", "x.io.evil", "a", "" },
    { "{\"auths\":{\"x.io:5000\":{\"auth\":\"dTpw\"}}}", "x.io", "a", "" },
    { "{\"auths\":{\"https://x.io/v1/\":{\"auth\":\"dTpw\"}}}", "x.io", "a", "u:p" },
    { "{\"auths\":{\"x.io/v2/\":{\"auth\":\"dTpw\"}}}", "x.io", "a", "u:p" },
    { "{\"auths\":{\"https://index.docker.io/v1/\":{\"auth\":\"dTpw\"}}}", "docker.io", "library/a", "u:p" },
    { "{\"auths\":{\"x.io\":{\"auth\":\"dTpw\"},\"x.io/a\":{\"auth\":\"djpx\"}}}", "x.io", "a/b", "v:q" },
    { "{\"auths\":{\"x.io\":{\"auth\":\"dTpw\"},\"x.io/a\":{\"auth\":\"djpx\"}}}", "x.io", "ab", "u:p" },
    { "{\"auths\":{\"x.io\":{\"username\":\"n\",\"password\":\"m\"}}}", "x.io", "a", "n:m" },
    { "{\"auths\":{\"x.io\":{\"identitytoken\":\"tok\"}}}", "x.io", "a", "token tok" },
    { "{\"auths\":{\"x.io\":{}},\"credsStore\":\"pass\"}", "x.io", "a", "helper pass" },
    { "{\"credsStore\":\"pass\"}", "x.io", "a", "helper pass" },
    { "{\"credHelpers\":{\"x.io\":\"ecr\"},\"credsStore\":\"pass\"}", "x.io", "a", "helper ecr" },
    { "{\"credHelpers\":{\"x.io\":\"ecr\"},\"auths\":{\"y.io\":{\"auth\":\"dTpw\"}}}", "y.io", "a", "u:p" },
};

TEST(a_registry_finds_its_own_credentials_and_no_others)
{
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        own(credentials) struct credentials *c = NULL;
        own_mem char *helper = NULL;
        CHECK_OK(credentials_in_file(files[i].text, strlen(files[i].text), files[i].registry, files[i].repository, &c,
                                     &helper));
        own_mem char *answer = helper              ? mem_printf("helper %s", helper)
                               : !c                ? mem_strdup("")
                               : c->identity_token ? mem_printf("token %s", c->identity_token)
                                                   : mem_printf("%s:%s", c->user, c->password);
        assert_string_equal(answer, files[i].answer);
    }
}

TEST(broken_credential_files_say_what_is_wrong)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        { "{\"auths\":{\"x.io\":{\"auth\":\"!\"}}}", "auths: 'x.io': not base64: the length is wrong" },
        { "{\"auths\":{\"x.io\":{\"auth\":\"dTp!\"}}}", "auths: 'x.io': not base64: character 4" },
        { "{\"auths\":{\"x.io\":{\"auth\":\"dXA=\"}}}",
          "auths: 'x.io': credentials are not of the form USER:PASSWORD" },
        { "{\"credsStore\":\"../../tmp/evil\"}", "'../../tmp/evil' is not the name of a credential helper" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct credentials *c = NULL;
        char *helper = NULL;
        CHECK_SAYS(credentials_in_file(rows[i].text, strlen(rows[i].text), "x.io", "a", &c, &helper), rows[i].message);
        CHECK(!c && !helper);
    }
}

TEST(a_credential_helper_is_asked_by_dockers_protocol)
{
    static const char script[] = "#!/bin/sh\nread -r server\n[ \"$1\" = get ] || exit 2\n"
                                 "[ \"$server\" = x.io ] || { echo 'credentials not found'; exit 1; }\n"
                                 "printf '{\"ServerURL\":\"%s\",\"Username\":\"me\",\"Secret\":\"s3\"}' \"$server\"\n";
    char dir[] = "/tmp/husk-auth-XXXXXX";
    CHECK(mkdtemp(dir) != NULL);
    own_mem char *program = mem_printf("%s/docker-credential-test", dir);
    own_mem char *config = mem_printf("%s/config.json", dir);
    own_mem char *old_path = mem_strdup(getenv("PATH"));
    own_mem char *path = mem_printf("%s:%s", dir, old_path);
    FILE *f = fopen(program, "we");
    CHECK(f && fputs(script, f) >= 0 && fclose(f) == 0 && chmod(program, 0755) == 0);
    f = fopen(config, "we");
    CHECK(f && fputs("{\"credsStore\":\"test\"}", f) >= 0 && fclose(f) == 0);
    setenv("PATH", path, 1);
    setenv("REGISTRY_AUTH_FILE", config, 1);

    own(credentials) struct credentials *known = NULL;
    own(credentials) struct credentials *unknown = NULL;
    err *e = credentials_find(NULL, "x.io", "a", 0, &known);
    err *e2 = credentials_find(NULL, "y.io", "a", 0, &unknown);
    setenv("PATH", old_path, 1);
    unsetenv("REGISTRY_AUTH_FILE");
    unlink(program);
    unlink(config);
    rmdir(dir);
    CHECK_OK(e);
    CHECK_OK(e2);
    CHECK(known && !unknown);
    assert_string_equal(known->user, "me");
    assert_string_equal(known->password, "s3");
}

static const struct {
    const char *header;
    enum challenge_scheme scheme;
    const char *realm, *service;
} challenges[] = {
    { "Basic realm=\"x\"", CHALLENGE_BASIC, "x", NULL },
    { "basic realm=x", CHALLENGE_BASIC, "x", NULL },
    { "Basic", CHALLENGE_BASIC, NULL, NULL },
    { "Bearer realm=\"https://a/t\",service=\"reg\",scope=\"repository:a/b:pull,push\"", CHALLENGE_BEARER,
      "https://a/t", "reg" },
    { "BEARER  realm = \"https://a/t\" , service = \"r\\\"q\"", CHALLENGE_BEARER, "https://a/t", "r\"q" },
    { "Basic realm=\"x\", Bearer realm=\"y\"", CHALLENGE_BEARER, "y", NULL },
    { "Bearer realm=\"y\", Basic realm=\"x\"", CHALLENGE_BEARER, "y", NULL },
    { "Negotiate abc==, Basic realm=\"x\"", CHALLENGE_BASIC, "x", NULL },
    { "Digest realm=\"d\", nonce=\"n\"", CHALLENGE_NONE, NULL, NULL },
    { "Bearer realm=\"first\",realm=\"second\"", CHALLENGE_BEARER, "first", NULL },
    { "", CHALLENGE_NONE, NULL, NULL },
    { " , ,", CHALLENGE_NONE, NULL, NULL },
};

TEST(the_strongest_known_challenge_is_taken)
{
    for (size_t i = 0; i < ARRAY_SIZE(challenges); i++) {
        own(challenge) struct challenge *c = NULL;
        CHECK_OK(challenge_parse(challenges[i].header, &c));
        assert_int_equal(c->scheme, challenges[i].scheme);
        CHECK(str_eq(c->realm, challenges[i].realm));
        CHECK(str_eq(c->service, challenges[i].service));
    }
}

TEST(a_malformed_challenge_is_an_error)
{
    struct challenge *c = NULL;
    CHECK_ERR(challenge_parse("Bearer realm=\"open", &c), ERR_INVALID);
    CHECK_ERR(challenge_parse("\"quoted\"", &c), ERR_INVALID);
    CHECK_ERR(challenge_parse("(", &c), ERR_INVALID);
}

TEST(base64_goes_both_ways)
{
    static const char *const texts[] = { "", "a", "ab", "abc", "user:p\xc3\xa4ss~?>" };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        own_mem char *encoded = base64_encode(texts[i], strlen(texts[i]));
        own_mem char *decoded = NULL;
        CHECK_OK(base64_decode(encoded, &decoded));
        assert_string_equal(decoded, texts[i]);
    }
    char *none = NULL;
    CHECK_ERR(base64_decode("AAAA", &none), ERR_INVALID); /* a NUL */
    CHECK_ERR(base64_decode("YQ===", &none), ERR_INVALID);
    CHECK_ERR(base64_decode("YQ==YQ==", &none), ERR_INVALID);
}

TEST(an_origin_is_scheme_host_and_port)
{
    CHECK(http_same_origin("https://x.io/a", "https://X.io:443/b"));
    CHECK(!http_same_origin("https://x.io/a", "http://x.io/a"));
    CHECK(!http_same_origin("https://x.io/a", "https://x.io:444/a"));
    CHECK(!http_same_origin("https://x.io/a", "https://y.io/a"));
    CHECK(!http_same_origin("https://x.io@y.io/a", "https://x.io/a"));
    CHECK(!http_same_origin("not a url", "not a url"));
}

TEST(what_a_peer_says_is_shown_printable_and_short)
{
    own_mem char *a = http_printable("a\033[31m\nb", 100);
    own_mem char *b = http_printable("0123456789", 4);
    assert_string_equal(a, "a [31m b");
    assert_string_equal(b, "0123...");
}

TEST(insecure_registries_are_named_by_host_or_host_and_port)
{
    setenv("HUSK_INSECURE_REGISTRIES", "a.io, b.io:5000", 1);
    CHECK(registry_named_insecure("a.io"));
    CHECK(registry_named_insecure("a.io:77"));
    CHECK(registry_named_insecure("b.io:5000"));
    CHECK(!registry_named_insecure("b.io"));
    CHECK(!registry_named_insecure("b.io:5001"));
    CHECK(!registry_named_insecure("xa.io"));
    unsetenv("HUSK_INSECURE_REGISTRIES");
    CHECK(!registry_named_insecure("a.io"));
}
