// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include "build/dockerfile.h"

/* An instruction as text: WORD --flag=value {args} json heredocs @line */
static void show(struct str *out, const struct df_instruction *i)
{
    str_printf(out, "%s", df_kind_name(i->kind));
    for (size_t k = 0; k < i->flags_n; k++)
        str_printf(out, " --%s%s%s", i->flags[k].name, i->flags[k].value ? "=" : "",
                   i->flags[k].value ? i->flags[k].value : "");
    for (size_t k = 0; k < i->args.n; k++)
        str_printf(out, " {%s}", i->args.items[k]);
    if (i->json)
        str_add(out, " json");
    for (size_t k = 0; k < i->heredocs_n; k++)
        str_printf(out, " <<%s%s(%s)", i->heredocs[k].name, i->heredocs[k].expand ? "" : "!", i->heredocs[k].text);
    if (i->trigger) {
        str_add(out, " [");
        show(out, i->trigger);
        str_add(out, "]");
    }
}

static const struct {
    const char *text, *shown;
} right[] = {
    { "FROM a", "FROM {a};" },
    { "from a as b\nrun x", "FROM {a} {as} {b};RUN {x};" },
    { "  FROM a\n\t# c\n   RUN  x  y ", "FROM {a};RUN {x  y};" },
    { "ARG V=1\nFROM --platform=linux/arm64 a:$V AS x", "ARG {V=1};FROM --platform=linux/arm64 {a:$V} {AS} {x};" },
    { "FROM a\nRUN a \\\n  # gone\n  b \\\n\n  c", "FROM {a};RUN {a   b   c};" },
    { "FROM a\nRUN a \\  \nb", "FROM {a};RUN {a b};" },
    { "FROM a\nRUN a \\\\\nRUN b", "FROM {a};RUN {a \\\\};RUN {b};" },
    { "FROM a\r\nRUN b \\\r\n c\r\n", "FROM {a};RUN {b  c};" },
    { "# escape=`\nFROM a\nRUN x `\n y\nCOPY a c:\\", "FROM {a};RUN {x  y};COPY {a} {c:\\};" },
    { "#syntax = docker/dockerfile:1\n# check=skip=all\n\nFROM a", "FROM {a};" },
    { "# a comment\n# escape=`\nFROM a\nRUN x \\\n y", "FROM {a};RUN {x  y};" },
    { "\xef\xbb\xbf# escape=`\nFROM a\nRUN x `\ny", "FROM {a};RUN {x y};" },
    { "FROM a\nRUN [\"a\", \"b c\"]", "FROM {a};RUN {a} {b c} json;" },
    { "FROM a\nRUN [\"a\", 'b']", "FROM {a};RUN {[\"a\", 'b']};" },
    { "FROM a\nCMD []", "FROM {a};CMD json;" },
    { "FROM a\nENTRYPOINT", "FROM {a};ENTRYPOINT;" },
    { "FROM a\nCOPY --from=b --chown=1:2 --link --exclude=*.c --exclude=x a b /c/",
      "FROM {a};COPY --from=b --chown=1:2 --link --exclude=*.c --exclude=x {a} {b} {/c/};" },
    { "FROM a\nCOPY [\"a b\", \"/c d\"]", "FROM {a};COPY {a b} {/c d} json;" },
    { "FROM a\nENV A=1 B=\"two words\" C=x\\ y", "FROM {a};ENV {A} {1} {B} {\"two words\"} {C} {x\\ y};" },
    { "FROM a\nENV A all of it ", "FROM {a};ENV {A} {all of it};" },
    { "FROM a\nLABEL \"a b\"=c d='e f'", "FROM {a};LABEL {\"a b\"} {c} {d} {'e f'};" },
    { "FROM a\nARG A B=2 C=\"3 4\"", "FROM {a};ARG {A} {B=2} {C=\"3 4\"};" },
    { "FROM a\nEXPOSE 80 53/udp $P", "FROM {a};EXPOSE {80} {53/udp} {$P};" },
    { "FROM a\nVOLUME [\"/a\", \"/b c\"]\nVOLUME /d /e", "FROM {a};VOLUME {/a} {/b c} json;VOLUME {/d} {/e};" },
    { "FROM a\nHEALTHCHECK NONE", "FROM {a};HEALTHCHECK {NONE};" },
    { "FROM a\nHEALTHCHECK --interval=5s --retries=3 CMD curl x",
      "FROM {a};HEALTHCHECK --interval=5s --retries=3 {CMD} {curl x};" },
    { "FROM a\nHEALTHCHECK CMD [\"a\"]", "FROM {a};HEALTHCHECK {CMD} {a} json;" },
    { "FROM a\nONBUILD RUN --network=none x", "FROM {a};ONBUILD [RUN --network=none {x}];" },
    { "FROM a\nSHELL [\"/bin/bash\", \"-c\"]\nUSER a:b\nWORKDIR /a b\nSTOPSIGNAL 9\nMAINTAINER x y",
      "FROM {a};SHELL {/bin/bash} {-c} json;USER {a:b};WORKDIR {/a b};STOPSIGNAL {9};MAINTAINER {x y};" },
    { "FROM a\nRUN --mount=type=cache,target=/x --mount=type=tmpfs,target=/y z",
      "FROM {a};RUN --mount=type=cache,target=/x --mount=type=tmpfs,target=/y {z};" },
    { "FROM a\nRUN --mount=type=bind,source=\"a b\",target=/x z",
      "FROM {a};RUN --mount=type=bind,source=a b,target=/x {z};" },
    { "FROM a\nRUN -- --x", "FROM {a};RUN {--x};" },
    { "FROM a\nRUN <<EOF\necho a\n # kept\\\nEOF\nRUN b", "FROM {a};RUN {<<EOF} <<EOF(echo a\n # kept\\\n);RUN {b};" },
    { "FROM a\nRUN <<-'E F' cat\n\ta\n\t\tE F\n", "FROM {a};RUN {<<-'E F' cat} <<E F!(a\n);" },
    { "FROM a\nCOPY <<A <<\"B\" /d/\n1\nA\n2\nB\n", "FROM {a};COPY {<<A} {<<\"B\"} {/d/} <<A(1\n) <<B!(2\n);" },
    { "FROM a\nRUN cat 3<<X <<<word && echo '<<NO'\n1\nX", "FROM {a};RUN {cat 3<<X <<<word && echo '<<NO'} <<X(1\n);" },
    { "FROM a\nRUN x=$((1<<EOF))", "FROM {a};RUN {x=$((1<<EOF))};" },
    { "FROM a\nONBUILD RUN <<E\nx\nE", "FROM {a};ONBUILD [RUN {<<E} <<E(x\n)];" },
};

TEST(a_dockerfile_is_read_as_buildkit_reads_it)
{
    for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
        own(dockerfile) struct dockerfile *f = NULL;
        own_str struct str out = { 0 };
        CHECK_OK(dockerfile_parse(right[i].text, strlen(right[i].text), "f", &f));
        for (size_t k = 0; k < f->n; k++) {
            show(&out, &f->items[k]);
            str_add(&out, ";");
        }
        assert_string_equal(out.text, right[i].shown);
    }
}

static const struct {
    const char *text, *message;
} wrong[] = {
    { "", "f: there is no FROM: a Dockerfile begins with one" },
    { "# only\n", "f: there is no FROM: a Dockerfile begins with one" },
    { "RUN x", "f:1:1: RUN before the first FROM: expected FROM, or ARG for its line" },
    { "ARG", "f:1:1: ARG: expected NAME or NAME=VALUE" },
    { "FROM a\n RNU x", "f:2:2: unknown instruction 'RNU': did you mean RUN?" },
    { "FROM a\nxyzzyx x", "f:2:1: unknown instruction 'xyzzyx': expected one such as RUN or COPY" },
    { "FROM", "f:1:1: FROM: expected an image, a stage or scratch" },
    { "FROM a b", "f:1:8: FROM: 'b': expected AS and the stage's name, or the end of the line" },
    { "FROM a AS", "f:1:8: FROM: expected one name after AS" },
    { "FROM a AS b c", "f:1:13: FROM: expected one name after AS" },
    { "FROM a AS 1b", "f:1:11: FROM: '1b': expected a stage's name that begins with a letter" },
    { "FROM a AS b/c", "f:1:11: FROM: 'b/c': expected letters, digits, '-', '_' and '.' in a stage's name" },
    { "FROM --platfrom=x a", "f:1:6: FROM has no flag --platfrom: did you mean --platform?" },
    { "FROM a\nCOPY --form=b a b", "f:2:6: COPY has no flag --form: did you mean --from?" },
    { "FROM a\nCOPY \\\n  --chwon=1 a b", "f:3:3: COPY has no flag --chwon: did you mean --chown?" },
    { "FROM a\nCOPY --from a b", "f:2:6: COPY --from: expected --from=VALUE" },
    { "FROM a\nCOPY --link=perhaps a b", "f:2:6: COPY --link=perhaps: expected true or false" },
    { "FROM a\nCOPY --from=a --from=b a b", "f:2:15: COPY --from: it is given twice" },
    { "FROM a\nCOPY a", "f:2:1: COPY: expected sources and a destination" },
    { "FROM a\nADD", "f:2:1: ADD: expected sources and a destination" },
    { "FROM a\nENV", "f:2:1: ENV: expected NAME=VALUE" },
    { "FROM a\nENV A", "f:2:5: ENV: 'A' has no value: expected NAME=VALUE" },
    { "FROM a\nENV A=1 B", "f:2:9: ENV: 'B' has no '=': expected NAME=VALUE" },
    { "FROM a\nLABEL =1", "f:2:7: LABEL: '=1' has no name: expected NAME=VALUE" },
    { "FROM a\nARG =1", "f:2:5: ARG: '=1' has no name: expected NAME or NAME=VALUE" },
    { "FROM a\nUSER", "f:2:1: USER: expected a user" },
    { "FROM a\nUSER --x=1 a", "f:2:6: USER has no flag --x: it has none at all" },
    { "FROM a\nWORKDIR", "f:2:1: WORKDIR: expected a path" },
    { "FROM a\nRUN", "f:2:1: RUN: expected a command" },
    { "FROM a\nSHELL /bin/sh -c", "f:2:7: SHELL: expected a command as a JSON list: [\"/bin/sh\", \"-c\"]" },
    { "FROM a\nSHELL []", "f:2:1: SHELL: expected a command as a JSON list: [\"/bin/sh\", \"-c\"]" },
    { "FROM a\nEXPOSE", "f:2:1: EXPOSE: expected a port such as 80 or 53/udp" },
    { "FROM a\nHEALTHCHECK", "f:2:1: HEALTHCHECK: expected CMD and a command, or NONE" },
    { "FROM a\nHEALTHCHECK curl", "f:2:13: HEALTHCHECK: 'curl': expected CMD and a command, or NONE" },
    { "FROM a\nHEALTHCHECK CMD", "f:2:13: HEALTHCHECK CMD: expected a command" },
    { "FROM a\nHEALTHCHECK NONE x", "f:2:18: HEALTHCHECK: expected nothing after NONE" },
    { "FROM a\nONBUILD", "f:2:1: ONBUILD: expected an instruction" },
    { "FROM a\nONBUILD FROM b", "f:2:9: ONBUILD FROM: expected another instruction than ONBUILD, FROM and MAINTAINER" },
    { "FROM a\nONBUILD RNU b", "f:2:9: unknown instruction 'RNU': did you mean RUN?" },
    { "FROM a\nRUN <<EOF\nx", "f:2:5: the here-document has no end: expected a line with 'EOF' alone" },
    { "# escape=x\nFROM a", "f:1:10: escape='x': expected \\ or `" },
    { "# escape=`\n# escape=`\nFROM a", "f:2:10: this directive is there already: it may be given once" },
};

TEST(a_mistake_is_told_with_its_place_and_what_was_expected)
{
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        own(dockerfile) struct dockerfile *f = NULL;
        CHECK_SAYS(dockerfile_parse(wrong[i].text, strlen(wrong[i].text), "f", &f), wrong[i].message);
        CHECK(!f);
    }
}

TEST(directives_and_comments_are_kept)
{
    static const char text[] = "# syntax=docker/dockerfile:1\n# check=skip=A;error=true\n# about it\nFROM a\n";
    own(dockerfile) struct dockerfile *f = NULL;
    CHECK_OK(dockerfile_parse(text, strlen(text), "f", &f));
    assert_string_equal(f->syntax, "docker/dockerfile:1");
    assert_string_equal(f->check, "skip=A;error=true");
    assert_string_equal(f->items[0].comment, " about it\n");
    CHECK(f->items[0].place.line == 4);
}

TEST(a_trigger_is_one_instruction)
{
    own(dockerfile) struct dockerfile *f = NULL;
    CHECK_OK(dockerfile_parse_one("RUN x", "f", &f));
    CHECK_SAYS(dockerfile_parse_one("RUN x\nRUN y", "f", &f), "f: expected one instruction, not 2");
}
