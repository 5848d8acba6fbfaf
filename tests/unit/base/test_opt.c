// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/opt.h"

#include "test.h"

struct opts {
    bool interactive, tty, detach, rm;
    const char *name, *pull;
    struct strv env;
    struct opt_i64 memory, limit;
    struct opt_u64 timeout;
};
static const char *const pulls[] = { "always", "never", NULL };
#define T struct opts
static const struct opt rows[] = {
    OPT_FLAG('i', "interactive", T, interactive, "keep input open"),
    OPT_FLAG('t', "tty", T, tty, "a terminal"),
    OPT_FLAG('d', "detach", T, detach, "in the background", .exclusive = "end"),
    OPT_FLAG(0, "rm", T, rm, "remove at the end", .exclusive = "end"),
    OPT_STR(0, "name", T, name, "NAME", "its name"),
    OPT_STR(0, "pull", T, pull, "WHEN", "when to pull", .words = pulls),
    OPT_STRS('e', "env", T, env, "KEY=VALUE", "a variable"),
    OPT_BYTES('m', "memory", T, memory, "BYTES", "at most"),
    OPT_I64(0, "limit", T, limit, "N", "how many"),
    OPT_DURATION(0, "timeout", T, timeout, "TIME", "how long"),
    OPT_END,
};
#undef T
static const struct command command = {
    .name = "run",
    .args = "IMAGE [COMMAND]",
    .opts = rows,
    .opts_size = sizeof(struct opts),
    .min_args = 1,
    .max_args = -1,
    .stop_at_arg = true,
};

static err *parse(struct opts *o, struct args *args, const char *line)
{
    static struct strv words; /* the options point into it */
    static char *argv[64];    /* opt_parse() moves the arguments together, as getopt does */
    bool help = false;
    strv_free(&words);
    strv_split(&words, line, ' ');
    CHECK(words.n <= ARRAY_SIZE(argv));
    memset(argv, 0, sizeof argv);
    memcpy(argv, words.items, words.n * sizeof *argv);
    memset(o, 0, sizeof *o);
    return opt_parse(&command, (int)words.n, argv, o, args, &help);
}

TEST(all_forms_of_an_option_are_read)
{
    struct opts o;
    struct args args = { 0 };
    CHECK_OK(parse(&o, &args, "-it --name=x -e A=1 -eB=2 --env C=3 -m 64m --limit -5 --timeout 2s image -x --name no"));
    CHECK(o.interactive && o.tty && !o.detach);
    assert_string_equal(o.name, "x");
    assert_int_equal(o.env.n, 3);
    assert_string_equal(o.env.items[1], "B=2");
    assert_int_equal(o.memory.v, 64 << 20);
    assert_int_equal(o.limit.v, -5);
    assert_int_equal(o.timeout.v, 2000000000);
    assert_int_equal(args.n, 4);
    assert_string_equal(args.v[0], "image");
    assert_string_equal(args.v[1], "-x");
    assert_null(args.v[4]); /* for exec, whatever options came before */
    opt_clear(&command, &o);
}

TEST(wrong_options_are_said_clearly)
{
    static const struct {
        const char *line, *says;
    } wrong[] = {
        { "--xyzzy x", "unknown option '--xyzzy'" },
        { "--nmae x", "unknown option '--nmae': did you mean '--name'?" },
        { "-q x", "unknown option '-q'" },
        { "--name", "--name needs a value: --name NAME" },
        { "-m 12q x", "--memory: '12q' has an unknown unit 'q': use b, k, m, g or t" },
        { "--detach --rm x", "--detach and --rm exclude each other" },
        { "--pull maybe x", "--pull: 'maybe' is not one of always, never" },
        { "--tty=7 x", "--tty: '7' is neither true nor false" },
        { "--rm", "needs IMAGE [COMMAND]: see '--help'" },
    };
    struct opts o;
    struct args args = { 0 };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        CHECK_SAYS(parse(&o, &args, wrong[i].line), wrong[i].says);
        opt_clear(&command, &o);
    }
}
