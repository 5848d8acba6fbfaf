/*
 * attest.h: what is said about an image beside it: where it came from (--provenance) and what is in it (--sbom).
 *
 * As BuildKit has it: an index names the image and a second manifest, whose layers are in-toto statements about the
 * image's manifest. Nothing in them depends on when or where the build ran, so the same input gives the same
 * statements.
 *
 *   --provenance          https://slsa.dev/provenance/v0.2; mode=max: with the build's arguments, else without
 *   --sbom                https://spdx.dev/Document (SPDX 2.3), or with cyclonedx https://cyclonedx.org/bom (1.5):
 *                         the packages that dpkg's and apk's databases in the image list
 *
 * Source: docs.docker.com/build/metadata/attestations; in-toto attestation spec v0.1; slsa.dev/spec/v0.2/provenance;
 * spdx.github.io/spdx-spec/v2.3; cyclonedx.org/docs/1.5/json; github.com/package-url/purl-spec.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_ATTEST_H
#define HUSK_BUILD_ATTEST_H

#include "base/err.h"
#include "base/mem.h"

struct build;
struct build_made;
struct oci_descriptor;
enum attest_sbom { SBOM_NONE, SBOM_SPDX, SBOM_CYCLONEDX };
struct attest {
    bool provenance, max;
    enum attest_sbom sbom;
    struct strv materials; /* of all images that were taken: name, digest, ... */
};
/* The words of --provenance, --sbom and --attest; NULL: not given. INVALID. */
fallible attest_parse(const char *provenance, const char *sbom, const struct strv *attests, struct attest *ret);
bool attest_is_wanted(const struct attest *a);
/* --sbom-output, --sbom-purl-output: what is in the one image that was made, as files of the caller's. */
fallible attest_files(struct build *b);
/* Writes the statements about an image, and their manifest. ret: for the index; its strings are the caller's. */
fallible attest_put(struct build *b, const struct build_made *m, struct oci_descriptor *ret);

#endif
