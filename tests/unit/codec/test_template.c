// SPDX-License-Identifier: GPL-2.0-or-later
#include "codec/template.h"

#include "test.h"

static const char document[] =
    "{\"ID\":\"0123456789ab\",\"Name\":\"/"
    "web\",\"Pid\":42,\"Load\":0.5,\"Running\":true,\"Dead\":false,\"Health\":null,"
    "\"Args\":[\"-c\",\"echo hi\"],\"None\":[],\"State\":{\"Status\":\"running\",\"Pid\":7},"
    "\"Labels\":{\"b\":\"2\",\"a.c\":\"1\"},\"Mounts\":[{\"Source\":\"/"
    "s1\",\"RW\":true},{\"Source\":\"/s2\",\"RW\":false}],"
    "\"Ports\":{\"80/tcp\":[{\"HostPort\":\"8080\"}]},\"\":{\"Label\":{\"key\":\"value\"},\"Quiet\":7}}";

static const struct {
    const char *template, *want;
} rows[] = {
    { "", "" },
    { "plain } text { here", "plain } text { here" },
    { "{{.ID}}", "0123456789ab" },
    { "{{ .Pid }} {{.Load}} {{.Running}} {{.State.Status}}", "42 0.5 true running" },
    { "{{.Args}} {{.None}} {{.Labels}} {{.Health}}", "[-c echo hi] [] map[a.c:1 b:2] <no value>" },
    { "a\\tb\\nc", "a\tb\nc" },
    { "{{json .Args}} {{json .Labels}} {{json .Health}}", "[\"-c\",\"echo hi\"] {\"b\":\"2\",\"a.c\":\"1\"} null" },
    { "{{index .Labels \"a.c\"}}{{index .Labels \"none\"}}|{{index .Args 1}}", "1|echo hi" },
    { "{{.Labels.b}} {{.Labels.none}}", "2 <no value>" },
    { "{{(index (index .Ports \"80/tcp\") 0).HostPort}}", "8080" },
    { "{{.Label \"key\"}}{{.Label \"none\"}}", "value" },
    { "{{.Quiet}} {{if eq .Quiet 7}}yes{{end}} {{$.Quiet}}", "7 yes 7" }, /* asked for by name */
    { "{{len .Args}} {{len .Name}} {{len .Labels}} {{len .None}}", "2 4 2 0" },
    { "{{upper .Name}} {{lower \"ABC\"}} {{title \"hello big world\"}}", "/WEB abc Hello Big World" },
    { "{{join .Args \",\"}} {{split \"a/b/c\" \"/\"}} {{index (split \"a/b/c\" \"/\") 1}}", "-c,echo hi [a b c] b" },
    { "{{truncate .ID 4}} {{slice .ID 2 4}} {{pad \"x\" 1 2}}|", "0123 23  x  |" },
    { "{{.Name | upper | printf \"%s!\"}}", "/WEB!" },
    { "{{printf \"%5s|%-5s|%05d|%x|%.2f|%q|%v|%t|%%\" \"ab\" \"cd\" 42 255 0.5 \"q\" .Args true}}",
      "   ab|cd   |00042|ff|0.50|\"q\"|[-c echo hi]|true|%" },
    { "{{print 1 2 \"a\" \"b\"}}{{println \"x\" 3}}", "1 2ab"
                                                      "x 3\n" },
    { "{{print 1 2}}", "1 2" },
    { "{{html \"<a href='x?y&z'>\\\"\"}} {{.Name | html}} {{html 1 2}}",
      "&lt;a href=&#39;x?y&amp;z&#39;&gt;&#34; /web 1 2" },
    { "{{js \"it's <b> a=\\\"b\\\" & \\\\\"}}{{js \"\xe2\x80\xa8\\n\xc3\xa9\"}}",
      "it\\'s \\u003Cb\\u003E a\\u003D\\\"b\\\" \\u0026 \\\\\\u2028\\u000A\xc3\xa9" },
    { "{{urlquery \"a b/c?d=\xc3\xa9&-_.~\"}} {{urlquery .ID 1}}", "a+b%2Fc%3Fd%3D%C3%A9%26-_.~ 0123456789ab1" },
    { "{{if .Running}}yes{{else}}no{{end}}", "yes" },
    { "{{if .Dead}}yes{{else if .Health}}sick{{else}}no{{end}}", "no" },
    { "{{if .Missing}}a{{end}}{{if .State.Missing.More}}b{{end}}c", "c" },
    { "{{if and .Running (eq .State.Status \"running\")}}up{{end}}", "up" },
    { "{{if or .Dead .Health .Missing}}x{{else}}y{{end}}{{if not .Dead}}z{{end}}", "yz" },
    { "{{eq 1 2 1}} {{ne .Name \"/web\"}} {{lt 1 2}} {{le 2.5 2}} {{gt \"b\" \"a\"}} {{ge 1 1}}",
      "true false true false true true" },
    { "{{range .Mounts}}{{.Source}}:{{.RW}} {{end}}", "/s1:true /s2:false " },
    { "{{range $i, $m := .Mounts}}{{$i}}={{$m.Source}},{{end}}", "0=/s1,1=/s2," },
    { "{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}", "a.c=1;b=2;" },
    { "{{range .None}}x{{else}}empty{{end}}", "empty" },
    { "{{range .Args}}x{{else}}empty{{end}}", "xx" },
    { "{{range $p, $conf := .Ports}}{{$p}} -> {{(index $conf 0).HostPort}}{{end}}", "80/tcp -> 8080" },
    { "{{range .Mounts}}{{if .RW}}{{continue}}{{end}}{{.Source}}{{end}}", "/s2" },
    { "{{range .Mounts}}{{.Source}}{{if .RW}}{{break}}{{else}}n{{end}}m{{end}}.", "/s1." },
    { "{{range 3}}{{.}}{{end}}", "012" },
    { "{{with .State}}{{.Status}} {{$.ID}}{{end}}{{with .Missing}}x{{else}}y{{end}}", "running 0123456789aby" },
    { "{{with $s := .State}}{{$s.Pid}}{{end}}", "7" },
    { "{{$x := 1}}{{range .Args}}{{$x = 5}}{{end}}{{$x}}", "5" },
    { "{{$x := \"a\"}}{{if true}}{{$x := \"b\"}}{{$x}}{{end}}{{$x}}", "ba" },
    { "a {{- .Pid -}} \n b", "a42b" },
    { "{{range .Args -}}\n  [{{.}}]\n{{- end}}", "[-c][echo hi]" },
    { "{{/* nothing */}}{{- /* here */ -}} x", "x" },
    { "{{\"quo\\\"te\\n\"}}{{`raw\\n`}}{{'a'}}{{-3}}{{1.50}}{{nil}}", "quo\"te\nraw\\n97-31.5<no value>" },
    { "{{range .Mounts}}{{range $.Args}}{{.}} {{end}}{{end}}", "-c echo hi -c echo hi " },
};

TEST(templates_say_what_go_says)
{
    own_json json_t *doc = NULL;
    CHECK_OK(json_parse("document", document, strlen(document), &doc));
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        own_str struct str out = { 0 };
        own(err) err *e = template_render(rows[i].template, doc, TEMPLATE_VALUES, &out);
        if (e)
            fail_msg("%s: %s", rows[i].template, err_text(e));
        assert_string_equal(out.text ? out.text : "", rows[i].want);
    }
}

TEST(the_document_as_json_has_no_methods)
{
    own_json json_t *doc = NULL;
    own_str struct str out = { 0 };
    const char *text = "{\"A\":1,\"\":{\"Label\":{}}}";
    CHECK_OK(json_parse("document", text, strlen(text), &doc));
    CHECK_OK(template_render("{{json .}} {{.}} {{len .}}", doc, TEMPLATE_VALUES, &out));
    assert_string_equal(out.text, "{\"A\":1} map[A:1] 1");
}

static const struct {
    const char *template, *message;
} wrong[] = {
    { "{{.Nmae}}", "there is no field 'Nmae'" },
    { "{{.State.Sttus}}", "there is no field 'Sttus' in State" },
    { "{{.ID.x}}", "'x' is asked of what has no fields" },
    { "{{.ID", "'{{' without '}}'" },
    { "{{", "a field or a function is expected" },
    { "{{.ID}} {{end}}", "{{end}} without a block that it belongs to" },
    { "{{else}}", "{{else}} without a block that it belongs to" },
    { "{{if .ID}}x", "a block is not closed with {{end}}" },
    { "{{range .Args}}x", "a block is not closed with {{end}}" },
    { "{{if .ID}}{{else}}{{else}}{{end}}", "{{else}} twice" },
    { "{{nope .ID}}", "'nope' is no function" },
    { "{{\"abc}}", "a quote is not closed at '\"abc'" },
    { "{{$x}}", "an unknown variable at '$x'" },
    { "{{$x = 1}}", "'$x' was not declared with :=" },
    { "{{break}}", "belong into a {{range}}" },
    { "{{define \"x\"}}{{end}}", "{{define}} is not understood by husk" },
    { "{{index .Args 5}}", "index: 5 is beyond the list's 2" },
    { "{{index .Args \"x\"}}", "index: a whole number is expected" },
    { "{{lt 1 \"x\"}}", "lt: these two cannot be compared" },
    { "{{len 3}}", "len: numbers have no length" },
    { "{{len}}", "len: wrong number of arguments" },
    { "{{printf \"%d\" \"x\"}}", "printf: a whole number is expected" },
    { "{{printf \"%d\"}}", "printf: a value for '%d' is missing" },
    { "{{printf \"x\" 1}}", "more values than the text has places for" },
    { "{{printf \"%y\" 1}}", "'%y' is not understood" },
    { "{{range .ID}}{{end}}", "range: it goes over lists, maps and numbers" },
    { "{{range 99999999}}{{end}}", "range: more than" },
    { "{{.ID .Name}}", "not understood at '.Name'" },
    { "{{(.ID}}", "')' is expected" },
    { "{{1 | .ID}}", "a value cannot be given on to this" },
    { "{{/* x", "a comment is not closed" },
};

TEST(what_is_wrong_is_named)
{
    own_json json_t *doc = NULL;
    CHECK_OK(json_parse("document", document, strlen(document), &doc));
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        own_str struct str out = { 0 };
        own(err) err *e = template_render(wrong[i].template, doc, TEMPLATE_VALUES, &out);
        if (!e || !strstr(err_text(e), wrong[i].message))
            fail_msg("%s: %s", wrong[i].template, e ? err_text(e) : "no error");
    }
}

TEST(fields_that_are_left_out_have_their_zeros)
{
    static const struct {
        const char *template, *want; /* NULL: an error */
    } left_out[] = {
        { "{{.Top}}|{{.State.Error}}|{{.State.Status}}", "[]||running" },
        { "{{len .State.More}} {{range .Top}}x{{end}}{{json .State}}", "0 {\"Status\":\"running\",\"Pid\":7}" },
        { "{{range .Mounts}}{{.Top}}{{end}}", NULL }, /* of the document itself alone */
        { "{{.State.Top}}", NULL },
        { "{{.Error}}", NULL },
    };
    own_json json_t *doc = json_loads(document, 0, NULL);
    own_json json_t *zeros =
        json_loads("{\"\":{\"Top\":[]},\"State\":{\"Error\":\"\",\"Status\":\"\",\"More\":{}}}", 0, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(left_out); i++) {
        own_str struct str out = { 0 };
        err *e = template_render_with(left_out[i].template, doc, zeros, TEMPLATE_VALUES, &out);
        assert_int_equal(e != NULL, left_out[i].want == NULL);
        if (!e)
            assert_string_equal(out.text, left_out[i].want);
        err_free(e);
    }
}

TEST(headers_are_the_fields_names)
{
    own_json json_t *headers = json_pack("{s:s}", "RunningFor", "CREATED");
    own_str struct str out = { 0 };
    CHECK_OK(template_render("{{.ID}}\\t{{.RunningFor}}\\t{{upper .Names}}\\t{{.Label \"k\"}}{{if .X}}{{end}}", headers,
                             TEMPLATE_HEADERS, &out));
    assert_string_equal(out.text, "ID\tCREATED\tNAMES\tk");
}
