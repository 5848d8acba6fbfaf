/*
 * git.h: files of a git repository, by the program of that name.
 *
 * A repository is "https://host/x.git", "git://...", "ssh://...", "git@host:x", or a URL with a query that says so;
 * behind it "#REF:DIRECTORY", or, as BuildKit has it,
 * "?ref=|branch=|tag=|commit=|checksum=...&subdir=...&keep-git-dir=true&submodules=false". Files get the time of the
 * commit, so the same commit gives the same bytes whenever it is fetched. Source:
 * docs.docker.com/build/concepts/context "Git repositories"; dockerfile-reference.md "ADD".
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_GIT_H
#define HUSK_BUILD_GIT_H

#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

struct git_source {
    char *url, *ref, *below; /* below: a directory; "" for all of it */
    char *commit;            /* what the commit's hash must begin with; NULL: any */
    bool keep_git_dir, no_submodules;
    char *header; /* "Authorization: ..." for the server of the url, and for submodules that it has too; NULL: none */
};
bool git_is(const char *word);
/* INVALID says what is wrong with it. */
fallible git_source_parse(const char *word, struct git_source *ret);
void git_source_clear(struct git_source *g);
static inline void own_drop_git_source(struct git_source *g)
{
    git_source_clear(g);
}
/*
 * The --secret that is for the server: "GIT_AUTH_TOKEN.HOST", a token as HTTP's basic password of x-access-token, or
 * "GIT_AUTH_HEADER.HOST", the header's whole value; without ".HOST" for any. The header goes to git in its environment,
 * where no other user sees it, and is not in what is cloned. Source: docs.docker.com/build/building/secrets, "Git
 * authentication for remote contexts".
 */
struct build_secret;
void git_authorize(struct git_source *g, const struct build_secret *secrets, size_t n);
/**
 * git_fetch - the commit's files, with submodules.
 * @to: an absolute path that is not there yet.
 * @ret_path: where the files are: @to or the directory below it; caller frees.
 * @ret_time: the commit's, in seconds.
 * Errors: UNAVAILABLE, what git said is on stderr; CORRUPT when the commit is another; NOT_FOUND, no such directory.
 */
fallible git_fetch(const struct git_source *g, const char *to, char **ret_path, int64_t *ret_time);
/**
 * git_describe - which commit a directory of the user's is a working tree of.
 * @ret_commit: its hash, with "-dirty" behind it when a file that git knows is different; NULL: none.
 * @ret_from: where the repository was cloned from, without a password; NULL: not known.
 * No error: without git, or where git trusts the directory's owner not, nothing is known.
 */
void git_describe(const char *dir, char **ret_commit, char **ret_from);

#endif
