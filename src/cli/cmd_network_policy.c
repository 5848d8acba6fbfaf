/*
 * husk network policy: which containers of a network reach which.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"
#include "cli/network.h"
#include "cli/table.h"
#include "engine/network_policy.h"

struct policy_opts {
    const char *format;
};
#define T struct policy_opts
static const struct opt policy_add_options[] = { OPT_END };
static const struct opt policy_rm_options[] = { OPT_END };
static const struct opt policy_default_options[] = { OPT_END };
static const struct opt policy_ls_options[] = {
    OPT_STR(0, "format", T, format, "FORMAT", "table, json, or a template such as '{{.Rule}}'"),
    OPT_END,
};
#undef T
#undef T

static fallible open_network(const char *name, struct engine **ret_engine, struct network **ret)
{
    TRY(engine_open(ret_engine));
    return network_find(*ret_engine, name, ret);
}

static void words_of(struct args args, struct strv *ret)
{
    for (int i = 1; i < args.n; i++)
        strv_add(ret, args.v[i]);
}

static fallible policy_ls_run(const void *opts_, struct args args)
{
    static const struct table_column rule_columns[] = { { "NUMBER", "Number" }, { "RULE", "Rule" }, { 0 } };
    const struct policy_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(network) struct network *n = NULL;
    own_json json_t *rows = json_array();
    TRY(open_network(args.v[0], &engine, &n));
    for (size_t i = 0; i < n->config->policy.n; i++)
        (void)json_array_append_new(rows, json_pack("{s:s, s:I, s:s}", "Network", n->row.name, "Number",
                                                    (json_int_t)i + 1, "Rule", n->config->policy.items[i]));
    if (!o->format)
        printf("default: %s%s\n", n->config->policy_deny ? "deny" : "allow",
               !n->config->policy_deny && n->config->policy.n ? ", so these rules change nothing" : "");
    return table_print(rule_columns, rows, o->format);
}

static fallible policy_add_run(const void *opts, struct args args)
{
    own(engine) struct engine *engine = NULL;
    own(network) struct network *n = NULL;
    own_strv struct strv words = { 0 };
    own_mem char *text = NULL;
    words_of(args, &words);
    TRY(open_network(args.v[0], &engine, &n));
    TRY(network_policy_add(engine, n, &words, &text));
    printf("%s\n", text);
    if (!n->config->policy_deny)
        fprintf(stderr,
                "husk network policy: '%s' allows everything: the rule holds once you say: husk network policy "
                "default %s deny\n",
                n->row.name, n->row.name);
    return NULL;
}

static fallible policy_rm_run(const void *opts, struct args args)
{
    own(engine) struct engine *engine = NULL;
    own(network) struct network *n = NULL;
    own_strv struct strv words = { 0 };
    words_of(args, &words);
    TRY(open_network(args.v[0], &engine, &n));
    return network_policy_remove(engine, n, &words);
}

static fallible policy_default_run(const void *opts, struct args args)
{
    own(engine) struct engine *engine = NULL;
    own(network) struct network *n = NULL;
    TRY(open_network(args.v[0], &engine, &n));
    return network_policy_default(engine, n, args.v[1]);
}

static NETWORK_COMMAND(policy_ls, struct policy_opts, "ls", "List a network's rules", "NETWORK", 1, 1, NULL);
NETWORK_COMMAND(
    policy_add, struct policy_opts, "add", "Allow some of its containers to reach others",
    "NETWORK from=WHO to=WHO [port=PORT,...]", 3, 4,
    "WHO is a container's name or alias, label=KEY[=VALUE], or * for anybody. PORT is 80, 8000-8010, 53/udp, "
    "tcp,\nudp, sctp or icmp (ping); without it everything may pass. Answers need no rule. What passes already "
    "goes on.");
static NETWORK_COMMAND(policy_rm, struct policy_opts, "rm", "Remove a rule, by its number or its words", "NETWORK RULE",
                       2, 4, NULL);
static NETWORK_COMMAND(policy_default, struct policy_opts, "default", "What holds without a rule: allow or deny",
                       "NETWORK allow|deny", 2, 2, NULL);
static const struct command *const policy_commands[] = { &cmd_network_policy_add, &cmd_network_policy_default,
                                                         &cmd_network_policy_ls, &cmd_network_policy_rm, NULL };

const struct command cmd_network_policy = {
    .name = "policy",
    .args = "COMMAND",
    .summary = "Manage who reaches whom within a network",
    .sub = policy_commands,
};
