// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/opt.h"

#include <inttypes.h>
#include <string.h>

static void *field(void *opts, const struct opt *o)
{
    return (char *)opts + o->offset;
}

static bool takes_value(const struct opt *o)
{
    return o->type != OPT_TYPE_FLAG && o->type != OPT_TYPE_SWITCH;
}

static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(b), row[64];
    if (n >= ARRAY_SIZE(row) || strlen(a) >= ARRAY_SIZE(row))
        return SIZE_MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t above = row[j];
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            if (above + 1 < best)
                best = above + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
            diagonal = above;
        }
    }
    return row[n];
}

const char *nearest_word(const char *word, const char *const *words, size_t n)
{
    const char *best = NULL;
    size_t len = strlen(word), best_distance = len < 5 ? 2 : 3;
    for (size_t i = 0; i < n; i++) {
        size_t d = distance(word, words[i]);
        bool begins = best && d == best_distance + 1 && strncmp(words[i], word, len) == 0 &&
                      strncmp(best, word, len) != 0; /* "stat" is rather "stats" than "start" */
        /* Half of a short word is all of it: two letters may differ where the first, which is seldom wrong, is right */
        bool far = d > 1 && len < 5 && words[i][0] != word[0];
        if (((d <= best_distance && d < len) || begins) && !far) {
            best_distance = d ? d - 1 : 0;
            best = words[i];
        }
    }
    return best;
}

static const struct opt *find_long(const struct command *c, const char *name, size_t len)
{
    for (const struct opt *o = c->opts; o && o->type != OPT_TYPE_END; o++)
        if (o->name && strlen(o->name) == len && memcmp(o->name, name, len) == 0)
            return o;
    return NULL;
}

static const struct opt *find_letter(const struct command *c, char letter)
{
    for (const struct opt *o = c->opts; o && o->type != OPT_TYPE_END; o++)
        if (o->letter == letter)
            return o;
    return NULL;
}

static fallible unknown_long(const struct command *c, const char *name, size_t len)
{
    const char *names[128];
    size_t n = 0;
    own_mem char *word = mem_strndup(name, len);
    for (const struct opt *o = c->opts; o && o->type != OPT_TYPE_END; o++)
        if (o->name && n < ARRAY_SIZE(names))
            names[n++] = o->name;
    const char *near = nearest_word(word, names, n);
    if (near)
        return err_new(ERR_INVALID, "unknown option '--%s': did you mean '--%s'?", word, near);
    return err_new(ERR_INVALID, "unknown option '--%s'", word);
}

static fallible set_words(const struct opt *o, const char *value)
{
    own_str struct str list = { 0 };
    for (size_t i = 0; o->words[i]; i++) {
        if (strcmp(o->words[i], value) == 0)
            return NULL;
        str_printf(&list, "%s%s", i ? ", " : "", o->words[i]);
    }
    return err_new(ERR_INVALID, "'%s' is not one of %s", value, list.text);
}

static fallible set_value(const struct opt *o, void *opts, const char *value)
{
    void *f = field(opts, o);
    switch (o->type) {
    case OPT_TYPE_FLAG:
        return parse_bool(value, f);
    case OPT_TYPE_SWITCH: {
        struct opt_bool v = { .set = true };
        TRY(parse_bool(value, &v.v));
        *(struct opt_bool *)f = v;
        return NULL;
    }
    case OPT_TYPE_STR:
        if (o->words)
            TRY(set_words(o, value));
        *(const char **)f = value;
        return NULL;
    case OPT_TYPE_STRS:
        if (o->words)
            TRY(set_words(o, value));
        strv_add(f, value);
        return NULL;
    case OPT_TYPE_I64: {
        struct opt_i64 v = { .set = true };
        TRY(parse_i64(value, INT64_MIN, INT64_MAX, &v.v));
        *(struct opt_i64 *)f = v;
        return NULL;
    }
    case OPT_TYPE_BYTES: {
        struct opt_i64 v = { .set = true, .v = -1 };
        if (strcmp(value, "-1") != 0)
            TRY(parse_bytes(value, &v.v));
        *(struct opt_i64 *)f = v;
        return NULL;
    }
    case OPT_TYPE_DURATION: {
        struct opt_u64 v = { .set = true };
        TRY(parse_duration_ns(value, &v.v));
        *(struct opt_u64 *)f = v;
        return NULL;
    }
    case OPT_TYPE_END:
    case OPT_TYPE_GROUP:
        break;
    }
    return err_new(ERR_INTERNAL, "option row without a value type");
}

/* Which options were given, for the exclusive groups: one bit per row. */
struct seen {
    bool row[256];
};

static fallible apply(const struct command *c, const struct opt *o, struct seen *seen, void *opts, const char *value)
{
    if (o->name)
        TRY_AS(set_value(o, opts, value), "--%s", o->name);
    else
        TRY_AS(set_value(o, opts, value), "-%c", o->letter);
    seen->row[o - c->opts] = true;
    for (const struct opt *other = c->opts; o->exclusive && other->type != OPT_TYPE_END; other++)
        if (other != o && seen->row[other - c->opts] && str_eq(o->exclusive, other->exclusive))
            return err_new(ERR_INVALID, "--%s and --%s exclude each other", other->name, o->name);
    return NULL;
}

static fallible parse_long(const struct command *c, struct seen *seen, char **argv, int argc, int *i, void *opts)
{
    const char *name = argv[*i] + 2;
    size_t len = (size_t)(strchrnul(name, '=') - name);
    const struct opt *o = find_long(c, name, len);
    if (!o)
        return unknown_long(c, name, len);
    if (name[len] == '=')
        return apply(c, o, seen, opts, name + len + 1);
    if (!takes_value(o))
        return apply(c, o, seen, opts, "true");
    if (o->bare)
        return apply(c, o, seen, opts, o->bare);
    if (*i + 1 >= argc)
        return err_new(ERR_INVALID, "--%s needs a value: --%s %s", o->name, o->name, o->value_name);
    return apply(c, o, seen, opts, argv[++*i]);
}

static fallible parse_letters(const struct command *c, struct seen *seen, char **argv, int argc, int *i, void *opts)
{
    for (const char *p = argv[*i] + 1; *p; p++) {
        const struct opt *o = find_letter(c, *p);
        if (!o)
            return err_new(ERR_INVALID, "unknown option '-%c'", *p);
        if (!takes_value(o)) {
            if (p[1] == '=')
                return apply(c, o, seen, opts, p + 2);
            TRY(apply(c, o, seen, opts, "true"));
            continue;
        }
        if (p[1])
            return apply(c, o, seen, opts, p[1] == '=' ? p + 2 : p + 1);
        if (*i + 1 >= argc)
            return err_new(ERR_INVALID, "-%c needs a value: -%c %s", o->letter, o->letter, o->value_name);
        return apply(c, o, seen, opts, argv[++*i]);
    }
    return NULL;
}

/* *ret_n: the arguments that are no options are the first ones of argv now. */
static fallible parse_options(const struct command *command, int argc, char **argv, void *opts, int *ret_n,
                              bool *ret_help)
{
    struct seen seen = { 0 };
    int n = 0;
    *ret_help = false;
    for (int i = 0; i < argc; i++) {
        const char *a = argv[i];
        if (strcmp(a, "--") == 0) {
            while (++i < argc)
                argv[n++] = argv[i];
        } else if (strcmp(a, "--help") == 0 || (strcmp(a, "-h") == 0 && !find_letter(command, 'h'))) {
            *ret_help = true;
            return NULL;
        } else if (a[0] == '-' && a[1] == '-') {
            TRY(parse_long(command, &seen, argv, argc, &i, opts));
        } else if (a[0] == '-' && a[1]) {
            TRY(parse_letters(command, &seen, argv, argc, &i, opts));
        } else {
            argv[n++] = argv[i];
            while (command->stop_at_arg && ++i < argc)
                argv[n++] = argv[i];
        }
    }
    if (n < argc)
        argv[n] = NULL;
    *ret_n = n;
    return NULL;
}

static fallible check_args(const struct command *command, char **argv, int n, struct args *ret)
{
    if (n < command->min_args)
        return err_new(ERR_INVALID, "needs %s: see '--help'", command->args);
    if (command->max_args >= 0 && n > command->max_args)
        return err_new(ERR_INVALID, "unexpected argument '%s'", argv[command->max_args]);
    *ret = (struct args){ argv, n };
    return NULL;
}

fallible opt_parse(const struct command *command, int argc, char **argv, void *opts, struct args *ret_args,
                   bool *ret_help)
{
    int n = 0;
    TRY(parse_options(command, argc, argv, opts, &n, ret_help));
    return *ret_help ? NULL : check_args(command, argv, n, ret_args);
}

void opt_clear(const struct command *command, void *opts)
{
    for (const struct opt *o = command->opts; o && o->type != OPT_TYPE_END; o++)
        if (o->type == OPT_TYPE_STRS)
            strv_free(field(opts, o));
}

static void print_option(FILE *out, const struct opt *o)
{
    own_str struct str left = { 0 };
    if (o->letter)
        str_printf(&left, "  -%c%s", o->letter, o->name ? ", " : "");
    else
        str_add(&left, "      ");
    if (o->name)
        str_printf(&left, "--%s", o->name);
    if (o->value_name)
        str_printf(&left, o->bare ? "[=%s]" : " %s", o->value_name);
    if (left.len > 30)
        fprintf(out, "%s\n%-32s%s\n", left.text, "", o->help);
    else
        fprintf(out, "%-32s%s\n", left.text, o->help);
}

static void print_help(FILE *out, const char *program, const struct command *c)
{
    fprintf(out, "Usage: %s %s%s%s%s\n\n%s\n", program, c->name, c->opts ? " [OPTIONS]" : "", c->args ? " " : "",
            c->args ? c->args : "", c->summary);
    if (c->detail)
        fprintf(out, "\n%s\n", c->detail);
    if (c->sub) {
        fprintf(out, "\nCommands:\n");
        for (size_t i = 0; c->sub[i]; i++)
            if (!c->sub[i]->hidden)
                fprintf(out, "  %-14s%s\n", c->sub[i]->name, c->sub[i]->summary);
    }
    if (c->opts && c->opts->type != OPT_TYPE_GROUP && c->opts->type != OPT_TYPE_END)
        fprintf(out, "\nOptions:\n");
    for (const struct opt *o = c->opts; o && o->type != OPT_TYPE_END; o++) {
        if (o->type == OPT_TYPE_GROUP)
            fprintf(out, "\n%s:\n", o->help);
        else
            print_option(out, o);
    }
}

static void print_program_help(FILE *out, const char *program, const char *summary,
                               const struct command *const *commands)
{
    fprintf(out, "Usage: %s COMMAND [OPTIONS] [ARGUMENTS]\n\n%s\n", program, summary);
    if (!commands[0]->heading)
        fprintf(out, "\nCommands:\n");
    for (size_t i = 0; commands[i]; i++)
        if (commands[i]->heading)
            fprintf(out, "\n%s:\n", commands[i]->heading);
        else if (!commands[i]->hidden)
            fprintf(out, "  %-14s%s\n", commands[i]->name, commands[i]->summary);
    fprintf(out, "\n'%s COMMAND --help' says more.\n", program);
}

static void json_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (const char *p = text ? text : ""; *p; p++) {
        if (*p == '"' || *p == '\\')
            fputc('\\', out);
        if (*p == '\n')
            fputs("\\n", out);
        else
            fputc(*p, out);
    }
    fputc('"', out);
}

static void introspect(FILE *out, const struct command *const *commands)
{
    static const char *const types[] = {
        "", "flag", "flag", "string", "strings", "number", "bytes", "duration", "group"
    };
    static const char *const completes[] = { "none", "container", "running", "stopped", "paused",
                                             "copy", "image",     "volume",  "object",  "file" };
    const char *between = "";
    fputc('[', out);
    for (size_t i = 0; commands[i]; i++) {
        const struct command *c = commands[i];
        if (c->elsewhere || c->heading)
            continue;
        fprintf(out, "%s{\"name\":", between);
        between = ",\n";
        json_text(out, c->name);
        fputs(",\"args\":", out);
        json_text(out, c->args);
        fputs(",\"summary\":", out);
        json_text(out, c->summary);
        fputs(",\"detail\":", out);
        json_text(out, c->detail);
        fprintf(out, ",\"hidden\":%s,\"stop_at_arg\":%s,\"complete\":\"%s\",\"options\":[",
                c->hidden ? "true" : "false", c->stop_at_arg ? "true" : "false", completes[c->complete_args]);
        for (const struct opt *o = c->opts; o && o->type != OPT_TYPE_END; o++) {
            fprintf(out, "%s{\"type\":\"%s\",\"letter\":\"%.1s\",\"name\":", o == c->opts ? "" : ",", types[o->type],
                    o->letter ? &o->letter : "");
            json_text(out, o->name);
            fputs(",\"value\":", out);
            json_text(out, o->bare ? NULL : o->value_name);
            fputs(",\"help\":", out);
            json_text(out, o->help);
            fputs(",\"words\":[", out);
            for (size_t w = 0; o->words && o->words[w]; w++) {
                fputs(w ? "," : "", out);
                json_text(out, o->words[w]);
            }
            fputs("]}", out);
        }
        fputs("],\"commands\":", out);
        if (c->sub)
            introspect(out, c->sub);
        else
            fputs("[]", out);
        fputc('}', out);
    }
    fputc(']', out);
}

static int report(const char *program, const struct command *c, err *take_e, int fail_exit)
{
    own(err) err *e = take_e;
    if (e && *err_text(e))
        fprintf(stderr, "%s %s: %s\n", program, c->name, err_text(e));
    return err_exit_status(e, fail_exit);
}

static int fail_exit_of(const struct command *c)
{
    return c->fail_exit ? c->fail_exit : 1;
}

static int run_command(const struct command_program *program, const char *name, const struct command *c, int argc,
                       char **argv)
{
    struct args args = { 0 };
    bool help = false;
    int n = 0, status = 0;
    void *opts = mem_zalloc(c->opts_size);
    err *e = parse_options(c, argc, argv, opts, &n, &help);
    if (e) {
        status = report(name, c, e, program->wrong_option_exit ? program->wrong_option_exit : fail_exit_of(c));
    } else if (help) {
        print_help(stdout, name, c);
    } else {
        e = check_args(c, argv, n, &args);
        status = report(name, c, e ? e : c->run(opts, args), fail_exit_of(c));
    }
    opt_clear(c, opts);
    free(opts);
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == 0) {
        fprintf(stderr, "%s %s: cannot write to standard output\n", name, c->name);
        status = fail_exit_of(c);
    }
    return status;
}

static const struct command *find_command(const struct command *const *commands, const char *name)
{
    for (size_t i = 0; commands[i]; i++)
        if (!commands[i]->heading && strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

/* docker's and podman's other words for the commands below one, such as `container list`. */
static const struct command *find_below(const struct command *const *commands, const char *name)
{
    static const char *const same[][2] = { { "list", "ls" }, { "ps", "ls" }, { "remove", "rm" } };
    const struct command *c = find_command(commands, name);
    for (size_t i = 0; !c && i < ARRAY_SIZE(same); i++)
        if (strcmp(name, same[i][0]) == 0)
            c = find_command(commands, same[i][1]);
    return c;
}

/* "husk: there is no 'kube' here: ..." */
static int say_elsewhere(const char *program, const struct command *c)
{
    fprintf(stderr, "%s: there is no command '%s': %s\n", program, c->name, c->elsewhere);
    return 125;
}

static int unknown_command(const char *program, const struct command *const *commands, const char *word)
{
    const char *names[128];
    size_t n = 0;
    for (size_t i = 0; commands[i] && n < ARRAY_SIZE(names); i++)
        if (!commands[i]->hidden)
            names[n++] = commands[i]->name;
    const char *near = nearest_word(word, names, n);
    if (near)
        fprintf(stderr, "%s: '%s' is not a command: did you mean '%s'?\n", program, word, near);
    else
        fprintf(stderr, "%s: '%s' is not a command: see '%s --help'\n", program, word, program);
    return 125;
}

/* argv: after the command's own word. Commands below commands, as deep as they go. */
static int run_or_descend(const struct command_program *program, const char *name, const struct command *c, int argc,
                          char **argv)
{
    if (c->elsewhere)
        return say_elsewhere(name, c);
    if (!c->sub)
        return run_command(program, name, c, argc, argv);
    own_mem char *longer = mem_printf("%s %s", name, c->name);
    if (argc < 1 || strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
        print_help(argc < 1 ? stderr : stdout, name, c);
        return argc < 1 ? 125 : 0;
    }
    const struct command *sub = find_below(c->sub, argv[0]);
    return sub ? run_or_descend(program, longer, sub, argc - 1, argv + 1) : unknown_command(longer, c->sub, argv[0]);
}

int command_main(const struct command_program *program, int argc, char **argv)
{
    if (argc < 2) {
        print_program_help(stderr, program->name, program->summary, program->commands);
        return 125;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || (strcmp(word, "help") == 0 && argc == 2)) {
        print_program_help(stdout, program->name, program->summary, program->commands);
        return 0;
    }
    if (strcmp(word, "--introspect") == 0) {
        introspect(stdout, program->commands);
        fputc('\n', stdout);
        return 0;
    }
    const struct command *c = find_command(program->commands, word);
    if ((!c || c->elsewhere) && program->fallback && program->fallback(argc - 1, argv + 1))
        return 0;
    if (!c)
        return unknown_command(program->name, program->commands, word);
    return run_or_descend(program, program->name, c, argc - 2, argv + 2);
}

fallible command_each(const char *program_and_command, struct args args, err *(*each)(const char *arg, void *ctx),
                      void *ctx)
{
    err *first = NULL;
    for (int i = 0; i < args.n; i++) {
        err *e = each(args.v[i], ctx);
        if (!e)
            continue;
        if (first) { /* the first is reported by the caller; the others here, in their order */
            fprintf(stderr, "%s: %s\n", program_and_command, err_text(e));
            err_free(e);
        } else {
            first = e;
        }
    }
    return first;
}
