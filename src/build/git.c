// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/git.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/parse.h"
#include "os/fs.h"
#include "os/proc.h"
#include "os/root.h"

/* ---- words ---- */

static bool is_url(const char *word)
{
    return str_starts(word, "http://") || str_starts(word, "https://");
}

bool git_is(const char *word)
{
    if (str_starts(word, "git@") || str_starts(word, "git://") || str_starts(word, "ssh://"))
        return true;
    own_mem char *bare = mem_strndup(word, strcspn(word, "#?"));
    return is_url(word) && str_ends(bare, ".git");
}

void git_source_clear(struct git_source *g)
{
    free(g->url);
    free(g->ref);
    free(g->below);
    free(g->commit);
    if (g->header)
        explicit_bzero(g->header, strlen(g->header));
    free(g->header);
    *g = (struct git_source){ 0 };
}

static void set(char **slot, const char *value)
{
    free(*slot);
    *slot = mem_strdup(value);
}

static fallible set_submodules(struct git_source *g, const char *word, const char *value)
{
    bool on = true;
    TRY_AS(parse_bool(*value ? value : "true", &on), "'%s'", word);
    g->no_submodules = !on;
    return NULL;
}

static fallible set_key(struct git_source *g, const char *word, const char *key, const char *value)
{
    if (strcmp(key, "ref") == 0 || strcmp(key, "branch") == 0 || strcmp(key, "tag") == 0)
        set(&g->ref, value);
    else if (strcmp(key, "commit") == 0 || strcmp(key, "checksum") == 0)
        set(&g->commit, value);
    else if (strcmp(key, "subdir") == 0)
        set(&g->below, value);
    else if (strcmp(key, "keep-git-dir") == 0)
        TRY_AS(parse_bool(*value ? value : "true", &g->keep_git_dir), "'%s'", word);
    else if (strcmp(key, "submodules") == 0)
        TRY(set_submodules(g, word, value));
    else
        return err_new(ERR_INVALID,
                       "'%s': unknown key '%s': expected ref, branch, tag, commit, checksum, subdir, keep-git-dir or "
                       "submodules",
                       word, key);
    return NULL;
}

static fallible read_query(struct git_source *g, const char *word, const char *query)
{
    own_strv struct strv parts = { 0 };
    strv_split(&parts, query, '&');
    for (size_t i = 0; i < parts.n; i++) {
        own_mem char *key = mem_strndup(parts.items[i], strcspn(parts.items[i], "="));
        const char *value = parts.items[i] + strlen(key);
        TRY(set_key(g, word, key, *value ? value + 1 : ""));
    }
    return NULL;
}

static fallible read_words(const char *word, struct git_source *g)
{
    size_t url = strcspn(word, "?#"), all = strcspn(word, "#");
    g->url = mem_strndup(word, url);
    own_mem char *query = url < all ? mem_strndup(word + url + 1, all - url - 1) : NULL;
    if (word[all]) {
        const char *fragment = word + all + 1;
        g->ref = mem_strndup(fragment, strcspn(fragment, ":"));
        g->below = fragment[strlen(g->ref)] ? mem_strdup(fragment + strlen(g->ref) + 1) : NULL;
    }
    if (query)
        TRY(read_query(g, word, query));
    if (g->commit && (!g->ref || !*g->ref))
        set(&g->ref, g->commit);
    if (!g->ref || !*g->ref)
        set(&g->ref, "HEAD");
    if (!g->below)
        g->below = mem_strdup("");
    if (g->url[0] == '-' || g->ref[0] == '-')
        return err_new(ERR_INVALID, "'%s' is no address of a repository", word);
    if (g->commit && (strlen(g->commit) < 7 || strspn(g->commit, "0123456789abcdef") != strlen(g->commit)))
        return err_new(ERR_INVALID, "'%s': expected a commit of at least 7 hex digits, not '%s'", word, g->commit);
    return NULL;
}

fallible git_source_parse(const char *word, struct git_source *ret)
{
    struct git_source g = { 0 };
    err *e = read_words(word, &g);
    if (e)
        git_source_clear(&g);
    else
        *ret = g;
    return e;
}

/* ---- whom the server knows ---- */

/* The environment with the header in it, as a configuration of git's for this server alone; NULL: ours will do. */
static char **environment(const struct git_source *g)
{
    size_t n = 0, len = 0;
    if (!g->header)
        return NULL;
    while (environ[n])
        n++;
    const char *host = strstr(g->url, "://") + 3;
    len = (size_t)(host - g->url) + strcspn(host, "/");
    char **env = mem_array(NULL, n + 4, sizeof *env);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (!str_starts(environ[i], "GIT_CONFIG_"))
            env[kept++] = mem_strdup(environ[i]);
    env[kept++] = mem_strdup("GIT_CONFIG_COUNT=1");
    env[kept++] = mem_printf("GIT_CONFIG_KEY_0=http.%.*s/.extraHeader", (int)len, g->url);
    env[kept++] = mem_printf("GIT_CONFIG_VALUE_0=%s", g->header);
    env[kept] = NULL;
    return env;
}

static void environment_free(char **env)
{
    for (size_t i = 0; env && env[i]; i++) {
        explicit_bzero(env[i], strlen(env[i]));
        free(env[i]);
    }
    free(env);
}

/* ---- the program ---- */

#define W(text) ((char *)(uintptr_t)(text))

static fallible git(const struct git_source *from, char *const *argv, bool quiet)
{
    int status = 0;
    char **env = environment(from);
    own_fd int null = quiet ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;
    struct spawn g = { .argv = argv, .env = env, .stdin_fd = -1, .stdout_fd = STDERR_FILENO, .stderr_fd = null };
    err *e = spawn_wait(&g, &status);
    environment_free(env);
    if (err_is(e, ERR_EXEC_MISSING) || err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return err_new(ERR_UNSUPPORTED, "git is not installed: install it, or give the files in another way");
    }
    TRY_AS(e, "git");
    return proc_exit_code(status) == 0
               ? NULL
               : err_new(ERR_UNAVAILABLE, "git %s exited with %d", argv[3], proc_exit_code(status));
}

/* The commit alone where the server can; else all that leads to it; else, for a commit that no name leads to from
 * outside, all there is. *ret_name: what to check out. */
static fallible fetch(const struct git_source *g, const char *to, const char **ret_name)
{
    bool hash = strlen(g->ref) >= 7 && strspn(g->ref, "0123456789abcdef") == strlen(g->ref);
    *ret_name = "FETCH_HEAD";
    err *e =
        git(g, (char *[]){ W("git"), W("-C"), W(to), W("fetch"), W("-q"), W("--depth=1"), g->url, g->ref, NULL }, true);
    if (!e)
        return NULL;
    err_ignore(e, "servers of plain files have no shallow history");
    e = git(g, (char *[]){ W("git"), W("-C"), W(to), W("fetch"), W("-q"), g->url, g->ref, NULL }, hash);
    if (!e || !hash)
        return e;
    err_ignore(e, "a server need not give commits by their hashes");
    *ret_name = g->ref;
    return git(g,
               (char *[]){ W("git"), W("-C"), W(to), W("fetch"), W("-q"), g->url, W("+refs/*:refs/fetched/*"), NULL },
               false);
}

static fallible ask(const char *to, const char *format, char **ret)
{
    TRY(spawn_output((char *[]){ W("git"), W("-C"), W(to), W("log"), W("-1"), W(format), NULL }, 4096, ret));
    (*ret)[strcspn(*ret, "\n")] = '\0';
    return NULL;
}

static fallible take_files(const struct git_source *g, const char *to, int64_t *ret_time)
{
    own_mem char *head = NULL, *when = NULL;
    const char *name;
    if (mkdir(to, 0755) < 0)
        return err_sys(errno, "make '%s'", to);
    TRY(git(g, (char *[]){ W("git"), W("-C"), W(to), W("init"), W("-q"), NULL }, false));
    TRY(fetch(g, to, &name));
    TRY(git(g, (char *[]){ W("git"), W("-C"), W(to), W("checkout"), W("-q"), W(name), W("--"), NULL }, false));
    if (!g->no_submodules)
        TRY(git(g,
                (char *[]){ W("git"), W("-C"), W(to), W("submodule"), W("-q"), W("update"), W("--init"),
                            W("--recursive"), NULL },
                false));
    TRY(ask(to, "--format=%H", &head));
    TRY(ask(to, "--format=%ct", &when));
    TRY_AS(parse_i64(when, INT64_MIN, INT64_MAX, ret_time), "the commit's time");
    if (g->commit && strncmp(head, g->commit, strlen(g->commit)) != 0)
        return err_new(ERR_CORRUPT, "'%s': its commit is %.40s instead of %s", g->url, head, g->commit);
    return NULL;
}

/* Files of a repository have the modes 644 and 755, whatever our own mask is at the moment. */
static fallible checkout(const struct git_source *g, const char *to, int64_t *ret_time)
{
    mode_t before = umask(022);
    err *e = take_files(g, to, ret_time);
    (void)umask(before);
    return e;
}

/* ---- the files ---- */

static fallible set_times(int at, const char *name, int64_t time_s)
{
    own_fd int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    own_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = time_s } };
    if (!dir)
        return err_sys(errno, "list '%s'", name);
    (void)take_fd(&fd);
    for (const struct dirent *e; (e = readdir(dir));) {
        if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
            continue;
        if (e->d_type == DT_DIR)
            TRY(set_times(dirfd(dir), e->d_name, time_s));
        else if (utimensat(dirfd(dir), e->d_name, times, AT_SYMLINK_NOFOLLOW) < 0)
            return err_sys(errno, "set the time of '%s'", e->d_name);
    }
    return futimens(dirfd(dir), times) < 0 ? err_sys(errno, "set the time of '%s'", name) : NULL;
}

/* ".git" of the repository and of each submodule. */
static fallible drop_git(int at, const char *name)
{
    own_fd int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    own_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return err_sys(errno, "list '%s'", name);
    (void)take_fd(&fd);
    for (const struct dirent *e; (e = readdir(dir));) {
        if (str_eq(e->d_name, ".git"))
            TRY(fs_remove_tree_at(dirfd(dir), e->d_name));
        else if (e->d_type == DT_DIR && !str_eq(e->d_name, ".") && !str_eq(e->d_name, ".."))
            TRY(drop_git(dirfd(dir), e->d_name));
    }
    return NULL;
}

fallible git_fetch(const struct git_source *g, const char *to, char **ret_path, int64_t *ret_time)
{
    TRY(checkout(g, to, ret_time));
    own_fd int root = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC), at = -1;
    if (root < 0)
        return err_sys(errno, "open '%s'", to);
    if (!g->keep_git_dir)
        TRY(drop_git(AT_FDCWD, to));
    TRY(set_times(AT_FDCWD, to, *ret_time));
    TRY_AS(root_open(root, *g->below ? g->below : "/", O_PATH | O_DIRECTORY, &at), "'%s': '%s'", g->url, g->below);
    *ret_path = fs_fd_path(at);
    return NULL;
}

/* ---- where a directory comes from ---- */

/* Nothing is written to the repository, and no program of its configuration runs. */
static char *say(const char *dir, const char *const *words)
{
    char *argv[16] = { W("git"), W("--no-optional-locks"), W("-c"), W("core.fsmonitor=false"), W("-C"), W(dir) };
    char *text = NULL;
    for (size_t n = 6; *words && n < ARRAY_SIZE(argv) - 1; n++)
        argv[n] = W(*words++);
    err *e = spawn_output(argv, 4096, &text);
    if (e) {
        err_ignore(e, "then it is not known");
        return NULL;
    }
    text[strcspn(text, "\n")] = '\0';
    return text;
}

/* "https://user:token@host/x" -> "https://host/x" */
static void drop_password(char *url)
{
    char *begin = strstr(url, "://");
    if (!begin)
        return;
    begin += strlen("://");
    char *end = begin + strcspn(begin, "/?#"), *at = memrchr(begin, '@', (size_t)(end - begin));
    if (at)
        memmove(begin, at + 1, strlen(at + 1) + 1);
}

void git_describe(const char *dir, char **ret_commit, char **ret_from)
{
    *ret_from = NULL;
    *ret_commit =
        say(dir, (const char *const[]){ "describe", "--always", "--dirty", "--abbrev=64", "--exclude=*", NULL });
    if (*ret_commit)
        *ret_from = say(dir, (const char *const[]){ "config", "--get", "remote.origin.url", NULL });
    if (*ret_from)
        drop_password(*ret_from);
}
