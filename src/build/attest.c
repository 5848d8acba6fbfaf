// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/attest.h"

#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "base/parse.h"
#include "build/build_parts.h"
#include "build/git.h"
#include "codec/digest.h"
#include "image/blob.h"
#include "image/ref.h"
#include "layers/packages_view.h"
#include "os/fs.h"

#define TYPE_STATEMENT  "application/vnd.in-toto+json"
#define TYPE_PROVENANCE "https://slsa.dev/provenance/v0.2"
#define TYPE_SPDX       "https://spdx.dev/Document"
#define TYPE_CYCLONEDX  "https://cyclonedx.org/bom"
enum { RELEASE_MAX = 64 << 10 };

/* ---- words ---- */

static fallible set_provenance(const char *text, struct attest *a)
{
    own_strv struct strv parts = { 0 };
    strv_split(&parts, text, ',');
    a->provenance = true;
    for (size_t i = 0; i < parts.n; i++) {
        const char *p = parts.items[i];
        if (strcmp(p, "mode=max") == 0 || strcmp(p, "mode=min") == 0)
            a->max = p[6] == 'a';
        else if (strcmp(p, "false") == 0 || strcmp(p, "disabled=true") == 0)
            a->provenance = false;
        else if (strcmp(p, "true") != 0 && strcmp(p, "type=provenance") != 0)
            return err_new(ERR_INVALID, "--provenance '%s': expected true, false, mode=min or mode=max", text);
    }
    return NULL;
}

static fallible set_sbom(const char *text, struct attest *a)
{
    static const char *const words[] = { "false", "true", "cyclonedx", "spdx" };
    static const enum attest_sbom means[] = { SBOM_NONE, SBOM_SPDX, SBOM_CYCLONEDX, SBOM_SPDX };
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (strcmp(text, words[i]) == 0) {
            a->sbom = means[i];
            return NULL;
        }
    return err_new(ERR_INVALID,
                   "--sbom '%s': expected true, false, spdx or cyclonedx: husk reads the package databases itself and "
                   "runs no generator",
                   text);
}

fallible attest_parse(const char *provenance, const char *sbom, const struct strv *attests, struct attest *ret)
{
    for (size_t i = 0; i < attests->n; i++) {
        const char *text = attests->items[i];
        if (str_starts(text, "type=provenance"))
            TRY(set_provenance(text, ret));
        else if (strcmp(text, "type=sbom") == 0)
            ret->sbom = SBOM_SPDX;
        else
            return err_new(ERR_INVALID, "--attest '%s': expected type=sbom or type=provenance[,mode=max]", text);
    }
    if (provenance)
        TRY(set_provenance(provenance, ret));
    return sbom ? set_sbom(sbom, ret) : NULL;
}

bool attest_is_wanted(const struct attest *a)
{
    return a->provenance || a->sbom != SBOM_NONE;
}

/* ---- package URLs ---- */

/* Source: purl-spec "Rules for each purl component": all but letters, digits and ".-_~:" is %XX. */
static void add_encoded(struct str *out, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_~:", *c))
            str_add_char(out, (char)*c);
        else
            str_printf(out, "%%%02X", *c);
    }
}

static char *purl_of_image(const char *name, const char *platform)
{
    own_str struct str out = { 0 };
    own(ref) struct ref *ref = NULL;
    own(err) err *e = ref_parse(name, &ref);
    own_mem char *familiar = e ? mem_strdup(name) : ref_familiar(ref);
    char *slash = strrchr(familiar, '/'), *colon = strchr(slash ? slash : familiar, ':'), *at = strchr(familiar, '@');
    const char *tag = colon && (!at || colon < at) ? colon + 1 : NULL;
    if (at)
        *at = '\0';
    if (tag)
        *colon = '\0';
    str_add(&out, "pkg:docker/");
    own_strv struct strv parts = { 0 };
    strv_split(&parts, familiar, '/');
    for (size_t i = 0; i < parts.n; i++) {
        str_add(&out, i ? "/" : "");
        add_encoded(&out, parts.items[i]);
    }
    if (tag) {
        str_add_char(&out, '@');
        add_encoded(&out, tag);
    }
    str_add(&out, "?platform=");
    add_encoded(&out, platform);
    return str_take(&out);
}

/* "EPOCH:VERSION" is two things in an RPM's URL. Source: purl-spec, "rpm". */
static char *purl_of_package(const struct package *p, const char *kind, const char *distro)
{
    own_str struct str out = { 0 };
    const char *colon = strcmp(kind, "rpm") == 0 ? strchr(p->version, ':') : NULL;
    str_printf(&out, "pkg:%s/%s/", kind, distro);
    add_encoded(&out, p->name);
    str_add_char(&out, '@');
    add_encoded(&out, colon ? colon + 1 : p->version);
    if (*p->architecture) {
        str_add(&out, "?arch=");
        add_encoded(&out, p->architecture);
    }
    if (colon)
        str_printf(&out, "%cepoch=%.*s", *p->architecture ? '&' : '?', (int)(colon - p->version), p->version);
    return str_take(&out);
}

/* ---- what is in it ---- */

struct found {
    struct packages packages;
    struct strv purls; /* parallel */
};

static char *system_of(const char *release)
{
    const char *at = str_starts(release, "ID=") ? release : strstr(release, "\nID=");
    if (!at)
        return NULL;
    at += *at == '\n' ? 4 : 3;
    at += *at == '"';
    size_t n = strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789._-");
    return n ? mem_strndup(at, n) : NULL;
}

static fallible find_form(struct view *v, enum packages_form form, struct found *f)
{
    static const char *const kinds[] = { [PACKAGES_DPKG] = "deb", [PACKAGES_APK] = "apk", [PACKAGES_RPM] = "rpm" };
    static const char *const distros[] = {
        [PACKAGES_DPKG] = "debian", [PACKAGES_APK] = "alpine", [PACKAGES_RPM] = "fedora"
    };
    own_mem char *release = NULL, *distro = NULL;
    size_t len = 0, before = f->packages.n;
    TRY(view_read_text(v, "/etc/os-release", RELEASE_MAX, &release, &len));
    distro = release ? system_of(release) : NULL;
    TRY(packages_of_view(v, form, &f->packages));
    for (size_t i = before; i < f->packages.n; i++)
        strv_add_take(&f->purls, purl_of_package(&f->packages.items[i], kinds[form], distro ? distro : distros[form]));
    return NULL;
}

static fallible find_packages(struct build *b, const struct build_made *m, struct found *f)
{
    own(view) struct view *v = NULL;
    struct image image = { .name = m->id, .id = m->id, .config = m->state->config };
    TRY(view_open(b->layout, &image, &v));
    TRY(find_form(v, PACKAGES_DPKG, f));
    TRY(find_form(v, PACKAGES_APK, f));
    TRY_AS(find_form(v, PACKAGES_RPM, f), "--sbom");
    if (packages_has_old_rpm(v))
        progress_note(b->progress, "warning: --sbom: the image has an RPM database of an old form, which is not read: "
                                   "its packages are missing");
    return NULL;
}

static json_t *spdx(const struct build *b, const struct build_made *m, const struct found *f)
{
    char time[40];
    json_t *packages = json_array(), *relations = json_array();
    own_mem char *space = mem_printf("https://husk.invalid/spdx/%s", digest_hex(m->digest));
    for (size_t i = 0; i < f->packages.n; i++) {
        const struct package *p = &f->packages.items[i];
        own_mem char *id = mem_printf("SPDXRef-Package-%zu", i + 1);
        json_array_append_new(packages, json_pack("{s:s,s:s,s:s,s:s,s:b,s:s,s:s,s:s,s:[{s:s,s:s,s:s}]}", "SPDXID", id,
                                                  "name", p->name, "versionInfo", p->version, "downloadLocation",
                                                  "NOASSERTION", "filesAnalyzed", 0, "licenseConcluded", "NOASSERTION",
                                                  "licenseDeclared", "NOASSERTION", "copyrightText", "NOASSERTION",
                                                  "externalRefs", "referenceCategory", "PACKAGE-MANAGER",
                                                  "referenceType", "purl", "referenceLocator", f->purls.items[i]));
        json_array_append_new(relations, json_pack("{s:s,s:s,s:s}", "spdxElementId", "SPDXRef-DOCUMENT",
                                                   "relationshipType", "DESCRIBES", "relatedSpdxElement", id));
    }
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:{s:s,s:[s]},s:o,s:o}", "spdxVersion", "SPDX-2.3", "dataLicense", "CC0-1.0",
                     "SPDXID", "SPDXRef-DOCUMENT", "name", m->id, "documentNamespace", space, "creationInfo", "created",
                     build_time(build_newest(b, m->state), time), "creators", "Tool: husk-" HUSK_VERSION, "packages",
                     packages, "relationships", relations);
}

static json_t *cyclonedx(const struct build *b, const struct build_made *m, const struct found *f)
{
    char time[40];
    json_t *components = json_array();
    for (size_t i = 0; i < f->packages.n; i++)
        json_array_append_new(components, json_pack("{s:s,s:s,s:s,s:s,s:s}", "type", "library", "bom-ref",
                                                    f->purls.items[i], "name", f->packages.items[i].name, "version",
                                                    f->packages.items[i].version, "purl", f->purls.items[i]));
    return json_pack("{s:s,s:s,s:i,s:{s:s,s:{s:s,s:s,s:s}},s:o}", "bomFormat", "CycloneDX", "specVersion", "1.5",
                     "version", 1, "metadata", "timestamp", build_time(build_newest(b, m->state), time), "component",
                     "type", "container", "name", m->id, "bom-ref", m->digest, "components", components);
}

/* ---- where it came from ---- */

/* As docker buildx has it of a directory that it builds. */
static void add_source(const struct build *b, json_t *metadata)
{
    own_mem char *commit = NULL, *from = NULL;
    if (!b->context.path || b->context.temporary)
        return;
    git_describe(b->context.path, &commit, &from);
    if (!commit)
        return;
    json_t *vcs = json_pack("{s:s}", "revision", commit);
    if (from)
        json_object_set_new(vcs, "source", json_string(from));
    json_object_set_new(metadata, "https://mobyproject.org/buildkit@v1#metadata", json_pack("{s:o}", "vcs", vcs));
}

static json_t *provenance(const struct build *b)
{
    json_t *materials = json_array(), *args = json_object();
    const struct strv *from = &b->attest.materials;
    for (size_t i = 0; i + 2 < from->n; i += 3) {
        own_mem char *purl = purl_of_image(from->items[i], from->items[i + 2]);
        json_array_append_new(
            materials, json_pack("{s:s,s:{s:s}}", "uri", purl, "digest", "sha256", digest_hex(from->items[i + 1])));
    }
    for (size_t i = 0; b->attest.max && i < b->build_args.n; i++) {
        own_mem char *name = mem_strndup(b->build_args.items[i], strcspn(b->build_args.items[i], "="));
        own_mem char *key = mem_printf("build-arg:%s", name);
        json_object_set_new(args, key, json_string(b->build_args.items[i] + strlen(name) + 1));
    }
    if (b->o->target)
        json_object_set_new(args, "target", json_string(b->o->target));
    json_t *metadata = json_pack("{s:{s:b,s:b,s:b},s:b}", "completeness", "parameters", (int)b->attest.max,
                                 "environment", 1, "materials", 0, "reproducible", 1);
    add_source(b, metadata);
    return json_pack("{s:{s:s},s:s,s:o,s:{s:{s:s},s:{s:s,s:o},s:{s:s}},s:o}", "builder", "id", "", "buildType",
                     "urn:husk:build:v1", "materials", materials, "invocation", "configSource", "entryPoint",
                     b->file->name, "parameters", "frontend", "dockerfile.v0", "args", args, "environment", "platform",
                     platform_of_host(), "metadata", metadata);
}

/* ---- the manifest ---- */

static json_t *subjects(const struct build *b, const struct build_made *m)
{
    json_t *all = json_array();
    const char *hex = digest_hex(m->digest);
    for (size_t i = 0; i < b->o->tags.n; i++) {
        own_mem char *purl = purl_of_image(b->o->tags.items[i], m->platform);
        json_array_append_new(all, json_pack("{s:s,s:{s:s}}", "name", purl, "digest", "sha256", hex));
    }
    if (!b->o->tags.n)
        json_array_append_new(all, json_pack("{s:s,s:{s:s}}", "name", "_", "digest", "sha256", hex));
    return all;
}

static fallible add_statement(struct build *b, const struct build_made *m, struct oci_manifest *to, struct strv *ids,
                              const char *type, json_t *take_predicate)
{
    own_json json_t *doc = json_pack("{s:s,s:s,s:o,s:o}", "_type", "https://in-toto.io/Statement/v0.1", "predicateType",
                                     type, "subject", subjects(b, m), "predicate", take_predicate);
    own_mem char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL, *digest = NULL;
    if (!text)
        return err_new(ERR_INVALID, "a statement about the image: a name in it is no UTF-8");
    TRY(blob_put(b->layout, text, strlen(text), &digest));
    to->layers = mem_array(to->layers, to->layers_n + 1, sizeof *to->layers);
    to->layers[to->layers_n] = (struct oci_descriptor){ .media_type = mem_strdup(TYPE_STATEMENT),
                                                        .digest = mem_strdup(digest),
                                                        .size = (int64_t)strlen(text) };
    strmap_set(&to->layers[to->layers_n++].annotations, "in-toto.io/predicate-type", type);
    strv_add(ids, digest);
    return NULL;
}

static fallible add_statements(struct build *b, const struct build_made *m, struct oci_manifest *to, struct strv *ids)
{
    struct found f = { 0 };
    err *e = b->attest.sbom != SBOM_NONE ? find_packages(b, m, &f) : NULL;
    if (!e && b->attest.sbom == SBOM_SPDX)
        e = add_statement(b, m, to, ids, TYPE_SPDX, spdx(b, m, &f));
    if (!e && b->attest.sbom == SBOM_CYCLONEDX)
        e = add_statement(b, m, to, ids, TYPE_CYCLONEDX, cyclonedx(b, m, &f));
    packages_clear(&f.packages);
    strv_free(&f.purls);
    if (!e && b->attest.provenance)
        e = add_statement(b, m, to, ids, TYPE_PROVENANCE, provenance(b));
    return e;
}

static fallible write_json(const char *option, const char *path, json_t *take_doc)
{
    own_json json_t *doc = take_doc;
    own_mem char *text = doc ? json_dumps(doc, JSON_INDENT(2)) : NULL;
    if (!text)
        return err_new(ERR_INVALID, "%s: a name in it is no UTF-8", option);
    return err_wrap(fs_write_out(AT_FDCWD, path, text, strlen(text)), "%s", option);
}

fallible attest_files(struct build *b)
{
    const struct build_made *m = &b->made[0];
    struct found f = { 0 };
    if (!b->o->sbom_file && !b->o->purl_file)
        return NULL;
    err *e = find_packages(b, m, &f);
    if (!e && b->o->sbom_file)
        e = write_json("--sbom-output", b->o->sbom_file,
                       b->attest.sbom == SBOM_CYCLONEDX ? cyclonedx(b, m, &f) : spdx(b, m, &f));
    if (!e && b->o->purl_file) {
        json_t *list = json_array();
        for (size_t i = 0; i < f.purls.n; i++)
            json_array_append_new(list, json_string(f.purls.items[i]));
        e = write_json("--sbom-purl-output", b->o->purl_file, list);
    }
    packages_clear(&f.packages);
    strv_free(&f.purls);
    return e;
}

static fallible put_config(struct build *b, const struct strv *ids, struct oci_descriptor *ret)
{
    json_t *list = json_array();
    own_mem char *digest = NULL;
    for (size_t i = 0; i < ids->n; i++)
        json_array_append_new(list, json_string(ids->items[i]));
    own_json json_t *doc = json_pack("{s:s,s:s,s:{},s:{s:s,s:o}}", "architecture", "unknown", "os", "unknown", "config",
                                     "rootfs", "type", "layers", "diff_ids", list);
    own_mem char *text = json_dumps(doc, JSON_COMPACT);
    TRY(blob_put(b->layout, text, strlen(text), &digest));
    *ret = (struct oci_descriptor){ .media_type = mem_strdup(MEDIA_OCI_CONFIG),
                                    .digest = take(digest),
                                    .size = (int64_t)strlen(text) };
    return NULL;
}

fallible attest_put(struct build *b, const struct build_made *m, struct oci_descriptor *ret)
{
    own(oci_manifest) struct oci_manifest *doc = mem_zalloc(sizeof *doc);
    own_strv struct strv ids = { 0 };
    own_mem char *digest = NULL;
    doc->schema_version = 2;
    doc->media_type = mem_strdup(MEDIA_OCI_MANIFEST);
    doc->config = mem_zalloc(sizeof *doc->config);
    TRY(add_statements(b, m, doc, &ids));
    TRY(put_config(b, &ids, doc->config));
    own_mem char *text = bind_write(&oci_manifest_type, doc, BIND_COMPACT);
    TRY(blob_put(b->layout, text, strlen(text), &digest));
    *ret = (struct oci_descriptor){ .media_type = mem_strdup(MEDIA_OCI_MANIFEST),
                                    .digest = take(digest),
                                    .size = (int64_t)strlen(text) };
    ret->platform = mem_zalloc(sizeof *ret->platform);
    ret->platform->os = mem_strdup("unknown");
    ret->platform->architecture = mem_strdup("unknown");
    strmap_set(&ret->annotations, "vnd.docker.reference.digest", m->digest);
    strmap_set(&ret->annotations, "vnd.docker.reference.type", "attestation-manifest");
    return NULL;
}
