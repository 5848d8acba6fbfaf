/*
 * build_parts.h: what the files of a running build share.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_BUILD_PARTS_H
#define HUSK_BUILD_BUILD_PARTS_H

#include "build/attest.h"
#include "build/build.h"
#include "build/cache.h"
#include "build/copy.h"
#include "build/deliver.h"
#include "build/dockerfile.h"
#include "build/emulate.h"
#include "build/expand.h"
#include "build/hashes.h"
#include "build/layer.h"
#include "build/progress.h"
#include "build/run.h"
#include "build/share.h"
#include "build/stages.h"
#include "engine/container.h"

struct build_context {
    char *path; /* absolute */
    int fd;
    struct ignore *ignore;
    struct hashes *hashes;
    char *temporary; /* "tmp/...": to be removed, or NULL */
};

/* --build-context NAME=...: a directory, in place or fetched; or an image. Nothing is fetched before it is asked for.
 */
struct build_named {
    char *name, *value;
    char *image;               /* the image's name; NULL: it is a directory, or a layout that was not loaded yet */
    bool loaded;               /* by that name for this build alone */
    struct build_context tree; /* fd -1: not opened yet */
};

enum run_status { STAGE_WAITS, STAGE_READY, STAGE_WORKS, STAGE_DONE };
/* A stage on its way. */
struct stage_run {
    enum run_status status;
    const struct df_instruction **items; /* triggers of its base, then its own */
    size_t n, next, first_layer;         /* the first that is not its base's */
    struct dockerfile **triggers;        /* parsed; owned */
    size_t triggers_n;
    struct build_state *state; /* NULL before FROM */
    bool cmd_set;
    /* the step at work, or who fetches the base image: fetching says which */
    char *fetching;
    pid_t pid;
    int result_fd, out_fd;
    struct str result;
    int number;
    char *key, *created_by, *slot;
    struct step_parts parts;
    const struct stage_run *behind; /* it does the same step now; NULL: none does */
};
/* What is built for one platform. */
struct build_plan {
    const char *platform; /* borrowed */
    struct stages *stages;
    struct stage_run *runs; /* parallel to the stages */
};
struct build {
    const struct build_options *o;
    struct engine *engine;
    bool ordinary; /* the user is no root outside of the namespace that we enter */
    bool no_netns; /* nor may network namespaces be made: we are in a container, whose own is the default network */
    struct layout *layout;
    struct build_cache cache;
    struct dockerfile *file;
    char *file_path;
    struct build_plan *plans; /* those that are walked side by side */
    size_t plans_n;
    struct stages *stages; /* of the plan at hand, as runs, platform and platform_args are: build_use_plan() */
    struct stage_run *runs;
    struct build_context context;
    struct build_named *named;
    size_t named_n;
    char *adding; /* the session: image/layout.h */
    int adding_fd;
    char *dir_name; /* "build-..." in the store's tmp; the descriptor is its lock */
    int dir_fd;
    struct strv platform_args, build_args;
    struct strv used_args;   /* build args that some ARG took */
    struct strv platforms;   /* those that were asked for; none: this machine's alone */
    const char *platform;    /* of the images that are made now */
    struct build_made *made; /* one for each platform that is done */
    size_t made_n;
    struct opt_i64 epoch; /* SOURCE_DATE_EPOCH */
    struct build_secret *secrets;
    size_t secrets_n;
    struct strv ssh;          /* "id=socket" */
    struct ssh_agent *agents; /* those that we started */
    size_t agents_n;
    struct deliver *delivers; /* --output */
    size_t delivers_n;
    struct build_packing packing;
    struct share *imports, *exports; /* --cache-from, --cache-to */
    size_t imports_n, exports_n;
    json_t *records;             /* build/share.h: of all steps so far */
    struct share_record *shared; /* what registries have */
    size_t shared_n;
    struct progress_out *progress;
    struct attest attest;            /* --provenance, --sbom */
    int kept_out[2];                 /* log.c: standard output and error as they were; -1: as they are */
    struct debug *debug;             /* debug.c; NULL: not asked for */
    bool keep_git_dir, always_index; /* BUILDKIT_CONTEXT_KEEP_GIT_DIR, BUILDKIT_MULTI_PLATFORM */
    bool debugged;                   /* the shell of --debug=STEP has been: nothing more is to be built */
    int steps;
    struct strv done;        /* keys of steps that were done: within one build none is done twice */
    size_t working, fetches; /* children; those of them that fetch */
    size_t squashed;
    struct strv fetched;     /* base_fetch.c: asked for in this build, and not again */
    struct strv unset;       /* variables that were asked for and not there, since the last look */
    struct strv skip_checks; /* rules that are not told; "all" */
    size_t warned;
};

/* Where an instruction is, in front of an error. NULL stays NULL. */
err *build_at(const struct build *b, const struct df_instruction *i, err *e);
/* The variables that an instruction sees. */
struct expand build_expand(struct build *b, const struct stage_run *r);
fallible build_expand_arg(struct build *b, const struct stage_run *r, const struct df_instruction *i, size_t arg,
                          char **ret);
int64_t build_newest(const struct build *b, const struct build_state *s);
/* How a registry is spoken to, as options of husk-image; at most 10 words, borrowed. Answers how many. */
size_t build_registry_words(const struct build *b, const char **argv);
/* "[name 2/5] RUN x"; caller frees. */
char *build_title(const struct build *b, const struct stage_run *r);

/* annotation.c: what --annotation says of one of the documents; platform: of the image that it is about, or NULL. */
enum annotation_place {
    ANNOTATION_MANIFEST,
    ANNOTATION_INDEX,
    ANNOTATION_MANIFEST_DESCRIPTOR,
    ANNOTATION_INDEX_DESCRIPTOR
};
void annotation_add(const struct build *b, enum annotation_place place, const char *platform, struct strmap *to);
/* INVALID, UNSUPPORTED */
fallible annotations_check(const struct build *b);

/* builtin_args.c: BUILDKIT_...; NULL: not given, or empty. */
const char *builtin_arg(const struct build *b, const char *name);
/* Those that are true or false; cache_to: all that --cache-to says. INVALID. */
fallible builtin_args_read(struct build *b, struct strv *cache_to);

/* A rule of build/check.h, with the place in front. */
void build_warn(struct build *b, struct df_place place, const char *rule, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* context.c */
fallible build_context_open(struct build *b);
void build_context_close(struct build *b);
/* contexts.c: contexts that have a name, and those from elsewhere. INVALID, NOT_FOUND for a directory that is not
 * there. */
fallible contexts_read(struct build *b);
void contexts_close(struct build *b);
/* The directory that a name means; *ret NULL: none does. It is fetched at need, and stays the build's. */
fallible context_named(struct build *b, const char *name, struct build_context **ret);
/* The image that a name stands for, or the name itself. Borrowed. */
fallible context_image(struct build *b, const char *name, const char **ret);
bool context_is_remote(const char *word);
/* Repository, archive or Dockerfile (in *ret_text alone) at an address. dir: its name in the build's directory. */
fallible context_fetch(struct build *b, const char *word, const char *dir, struct build_context *c,
                       struct str *ret_text);
void context_clear(struct build_context *c);

/* ssh.c: --ssh "default", "ID=SOCKET", "ID=KEY[,KEY...]": keys are given to an ssh-agent of the build's own. */
struct ssh_agent;
fallible ssh_read(struct build *b, const char *text);
void ssh_close(struct build *b);

/* base.c: FROM, --from=IMAGE */
fallible build_from(struct build *b, size_t stage);
fallible build_find_image(struct build *b, const char *name, const char *platform, struct image **ret);
struct image_wish build_image_wish(const struct build *b, const char *name, const char *platform);
/* base_fetch.c: *ret_waits: the stage's image is on its way, by a child of the stage's (STAGE_WORKS) or of another's.
 */
fallible base_fetch_begin(struct build *b, size_t stage, bool *ret_waits);
/* It ended; the stage may begin, or says why not. */
fallible base_fetch_end(struct build *b, size_t stage);
/* Tells the child and whom it started to end; nothing where none fetches. */
void base_fetch_stop(const struct stage_run *r);
bool base_is_fetched(const struct build *b, const char *name, const char *platform);
/* instruct.c: what changes the config alone. *ret_done false: it is none of them. */
fallible instruct(struct build *b, struct stage_run *r, const struct df_instruction *i, bool *ret_done);
/* The command of a shell form: the shell and the text. */
void instruct_shell(const struct build_state *s, const char *text, struct strv *ret);
/* "[\"a\" \"b\"]" */
char *instruct_quoted(const struct strv *words);

/*
 * step.c: an instruction that makes a layer. Looks it up, or forks: then *ret_works, and the stage works until its
 * result_fd ends. step_end() takes what came.
 */
fallible step_begin(struct build *b, size_t stage, const struct df_instruction *i, bool *ret_works);
fallible step_end(struct build *b, size_t stage, int wait_status);
/* step_run.c, step_copy.c: the parts that go into it, and the work in the child. */
struct build_step {
    struct build *b;
    size_t stage;
    struct stage_run *run;
    const struct df_instruction *i;
    int64_t newest_s; /* after it */
    struct run_step exec;
    char *network; /* exec's */
    struct sources sources;
    struct strv patterns;
    int source_fd;
    struct stat store; /* a context may have the store in it: a copy of it would be in the copy */
    struct strv from;  /* diffIDs that it copies from */
    bool from_layers;
    struct build_context *tree; /* or from a named context; borrowed */
    struct strv texts;          /* here-documents: name, text, ... */
    char *checksum;             /* of what is fetched; NULL: any */
    struct strv remotes;        /* ADD: addresses of files and git repositories */
    size_t unpacked;            /* archives so far */
    char *dest;
    bool dest_is_dir;
    char *chown;
    struct copy_mode mode;
    struct copy_owner owner;
    struct ignore *exclude;
    struct settle *settle;             /* in the child */
    bool files_in_time;                /* what the work made is not newer than layer_newest(), but for directories */
    struct diff_stream *stream;        /* the layer's tar, if it is made already */
    const struct share_record *shared; /* a registry's cache has it; NULL: none has */
};
/* The newest time of a step's layer. */
int64_t layer_newest(const struct build_step *s);
void step_clear(struct build_step *s);
fallible step_run_plan(struct build_step *s, struct step_parts *parts, char **ret_created_by);
fallible step_run_work(struct build_step *s, const char *dir);
fallible step_copy_plan(struct build_step *s, struct step_parts *parts, char **ret_created_by);
fallible step_copy_work(struct build_step *s, const char *dir, int upper_fd);
fallible step_workdir_plan(struct build_step *s, struct step_parts *parts, char **ret_created_by);
fallible step_workdir_work(struct build_step *s, int upper_fd);
/* The here-documents as files: the destination, or files in it. */
fallible step_put_texts(struct build_step *s, struct copy_target *t, bool into_dir);
/* The layers of a stage or an image that --from or from= names, or *ret_tree: a named context. */
fallible step_from(struct build_step *s, const char *word, struct strv *ret_layers, struct build_context **ret_tree);

/* The image of one platform: config and manifest are in the store. */
struct build_made {
    const char *platform; /* borrowed */
    struct build_state *state;
    char *id, *digest; /* of the config and of the manifest */
    int64_t size;      /* the manifest's */
};
/* The platform that was asked for, or NULL: none was. */
const char *build_wanted_platform(const struct build *b);
void build_choose_platform(struct build *b, const char *platform);
/* options.c: what was asked for, into b; INVALID names the option. Afterwards: --build-arg that no instruction took. */
fallible build_read_options(struct build *b);
void build_warn_unused(struct build *b);
/* build.c */
void build_use_plan(struct build *b, size_t plan);
/* walk.c: all steps that the wanted stages of all plans need. */
fallible build_walk(struct build *b);

/* final.c: what the options say of the image that comes out. INVALID, UNSUPPORTED. */
fallible final_check(const struct build_options *o);
void final_config(const struct build *b, struct oci_image_config *c);
/* Once its layers are listed. */
void final_manifest(const struct build *b, const struct build_state *s, struct oci_manifest *m);
/* What an index says of it beside os, architecture and variant. */
void final_platform(const struct build *b, const struct oci_image_config *c, struct oci_platform *p);
/* The media type of an OCI document in the image's form. Borrowed. */
const char *final_type(const struct build *b, const char *oci);
bool final_is_docker(const struct build *b);
/* pack.c: a layer for a manifest, of the final image packed as its form asks for. ret: its strings are the caller's. */
fallible pack_layer(struct build *b, const struct build_layer *layer, bool final, struct oci_descriptor *ret);

/* output.c: config and manifest of a state in the store, without a name. ret_id may be NULL. */
enum output_kind { OUTPUT_IMAGE, OUTPUT_CACHE, OUTPUT_SHELL };
fallible build_put_image(struct build *b, const struct build_state *s, enum output_kind kind, char **ret_id,
                         char **ret_digest, int64_t *ret_size);
/*
 * debug.c: a shell in a step, by `husk run` of what the step left. It is run by a process that was forked before we
 * entered a user namespace, so it is the user's own.
 */
struct debug;
fallible debug_open(struct build *b);
/* What shells of killed builds left. */
void debug_sweep(const struct build *b);
void debug_close(struct build *b);
/* In the step's child: keeps what a failed RUN left for debug_failed(). */
void debug_keep(struct build_step *s, const char *dir);
/* After a failure. */
void debug_failed(struct build *b);
/* The number of steps behind which a stage waits for its shell; SIZE_MAX: none. */
size_t debug_stop(const struct build *b, size_t stage);
/* Has a stage reached the step that was named? Then a shell in it, and b->debugged. */
fallible debug_reached(struct build *b, size_t stage);

/* log.c: --logfile. Opens it; moves to that of a platform with --logsplit, NULL: back; gives the output back. */
fallible build_log_open(struct build *b);
fallible build_log_platform(struct build *b, const char *platform);
void build_log_close(struct build *b);

/* platforms.c: --all-platforms: fills b->platforms. NOT_FOUND, INVALID. */
fallible build_all_platforms(struct build *b, const struct stages_input *in);

/* manifest.c: --manifest; nothing without. */
fallible manifest_add(struct build *b, const struct oci_descriptor *image);

/* squash.c: a state's layers, or those that are not the base image's, become one. */
fallible build_squash(struct build *b, struct build_state *s);
/* The same of a stage that is done, from its own first layer on: --layers=false. */
fallible build_squash_stage(struct build *b, struct stage_run *r);
/* how.c: what the options say of how it is built. INVALID, UNSUPPORTED. */
fallible how_check(const struct build *b);
/* Makes an image of a state, for b->platform. */
fallible build_make_image(struct build *b, struct build_state *take_state);
/* What was made gets its names, and goes where it shall. *ret_id: the image's, or of several the index's digest. */
fallible build_output(struct build *b, char **ret_id);

#endif
