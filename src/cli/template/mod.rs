//! The subset of Go's text templates that scripts give to `--format`.
//!
//! - Fields, indexes, ranges, conditions, variables, pipelines, comparisons and the functions of
//!   Docker's clients; anything else is refused by its name when the template is read.
//! - Runs over what a daemon has sent, seen as one of the types of [`shape`], or as it is; a field
//!   that is not there is an error.
//! - The errors begin as Go's do: `:1:2: executing "" at <.Foo>: …`.

mod data;
mod eval;
mod function;
mod lex;
mod parse;
mod shape;

use serde_json::Value;

pub(crate) use data::{Data, Field, Kind, time_shown};
#[cfg(test)]
pub(crate) use function::KNOWN as FUNCTIONS;
use parse::Node;

/// A template that has been read.
#[derive(Debug)]
pub(crate) struct Template(Vec<Node>);

impl Template {
    /// Reads `text`.
    ///
    /// # Errors
    /// What is wrong with it, `:1: …`.
    pub(crate) fn parse(text: &str) -> Result<Template, String> {
        parse::parse(text).map(Template)
    }

    /// What it makes of `data`.
    ///
    /// # Errors
    /// A field that is not there, a function that does not take its arguments.
    pub(crate) fn run(&self, data: &Data) -> Result<String, String> {
        eval::run(&self.0, data, false)
    }

    /// What it makes of the headers of a table, which functions do not change.
    ///
    /// # Errors
    /// As [`Template::run`].
    pub(crate) fn run_on_headers(&self, headers: &Data) -> Result<String, String> {
        eval::run(&self.0, headers, true)
    }

    /// What it makes of `sent` as one of `kind`; where that lacks a field, of `sent` as it is.
    ///
    /// # Errors
    /// A field that is in neither.
    pub(crate) fn run_on_object(&self, kind: Kind, sent: &Value) -> Result<String, String> {
        self.run(&Data::typed(kind, sent)).or_else(|_| self.run(&Data::raw(sent)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn data() -> Value {
        json!({
            "Id": "abc", "Name": "/web", "N": 3, "F": 1.5, "On": true, "Off": false, "Nil": null,
            "Args": ["a", "b"], "None": [], "State": {"Pid": 7, "Status": "running"},
            "Labels": {"b": "2", "a": "1", "com.x": "y"},
            "Ports": {"80/tcp": [{"HostPort": "8080"}], "9/udp": null},
        })
    }

    fn raw() -> Data {
        Data::raw(&data())
    }

    fn check(template: &str, expected: &str) {
        let run = Template::parse(template).and_then(|template| template.run(&raw()));
        assert_eq!(run.as_deref(), Ok(expected), "{template}");
    }

    fn fails(template: &str, expected: &str) {
        let run = Template::parse(template).and_then(|template| template.run(&raw()));
        let error = run.expect_err(template);
        assert!(error.contains(expected), "{template}: {error}");
    }

    #[test]
    fn fields_and_literals() {
        check("x{{.Id}}y", "xabcy");
        check("{{.State.Pid}} {{ .State.Status }}", "7 running");
        check(
            "{{.N}} {{.F}} {{.On}} {{.Args}} {{.None}} {{.Labels}}",
            "3 1.5 true [a b] [] map[a:1 b:2 com.x:y]",
        );
        check("{{\"te\\\"xt\"}}{{`raw`}}{{1}}{{-2}}{{true}}{{'a'}}", "te\"xtraw1-2true97");
        check("{{/* comment */}}z", "z");
        check("a {{- .N -}} b", "a3b");
        check("{{$.Id}}", "abc");
        fails("{{.Foo}}", ":1:2: executing \"\" at <.Foo>: map has no entry for key \"Foo\"");
        fails("{{.Id.X}}", "can't evaluate field X");
        fails("{{.Nil.X}}", "nil");
    }

    #[test]
    fn an_object_is_of_its_type_first_and_then_what_was_sent() {
        let sent = json!({
            "Id": "abc", "State": {"Status": "exited", "ExitCode": 3}, "Odd": {"b": 1, "a": null},
            "Config": {"Labels": {"x": "y"}}, "HostConfig": {"RestartPolicy": {"Name": "no"}},
            "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "::", "HostPort": "1"}]}},
        });
        let check = |template: &str, expected: &str| {
            let run = Template::parse(template)
                .and_then(|template| template.run_on_object("Container", &sent));
            assert_eq!(run.as_deref(), Ok(expected), "{template}");
        };
        check("{{.ID}}", "abc");
        check("{{.Id}}", "abc");
        check("{{.State.Health}} {{if .State.Health}}x{{end}}", "<nil> ");
        check(
            "{{.HostConfig.RestartPolicy}} {{json .HostConfig.RestartPolicy}}",
            "{no 0} {\"Name\":\"no\",\"MaximumRetryCount\":0}",
        );
        check("{{.NetworkSettings.Ports}}", "map[80/tcp:[{:: 1}]]");
        check("{{(index .NetworkSettings.Ports \"80/tcp\" 0).HostIP}}", "::");
        check("{{(index .NetworkSettings.Ports \"80/tcp\" 0).HostIp}}", "::");
        check(
            "{{.Config.Labels}} {{.Config.Labels.x}} {{.Config.Labels.no}}",
            "map[x:y] y <no value>",
        );
        check(
            "{{index .Config.Labels \"no\"}}|{{.Config.ExposedPorts}}|{{.Config.Env}}",
            "|map[]|[]",
        );
        check("{{json .Config.Env}} {{len .Config.Env}} {{.HostConfig.PidsLimit}}", "null 0 <nil>");
        check("{{.Odd}} {{.State}}", "map[a:<nil> b:1] map[ExitCode:3 Status:exited]");
        check("{{range .Config.Env}}x{{else}}none{{end}}", "none");
        check("{{.NetworkSettings.Networks.no.IPAddress}}", "<no value>");
        let fails = Template::parse("{{.State.Foo}}").unwrap();
        assert_eq!(
            fails.run_on_object("Container", &sent).unwrap_err(),
            ":1:8: executing \"\" at <.State.Foo>: map has no entry for key \"Foo\""
        );
    }

    #[test]
    fn pipelines_and_functions() {
        check("{{json .State}}", r#"{"Pid":7,"Status":"running"}"#);
        check("{{.Id | json}}", "\"abc\"");
        check(
            "{{index .Labels \"com.x\"}}{{index .Args 1}}{{index .Labels \"no\"}}",
            "yb<no value>",
        );
        check("{{(index (index .Ports \"80/tcp\") 0).HostPort}}", "8080");
        check("{{len .Args}}{{len .Id}}{{len .Labels}}", "233");
        check("{{slice .Id 1}} {{slice .Id 0 2}}", "bc ab");
        check("{{join .Args \",\"}} {{join (split \"x:y\" \":\") \"-\"}}", "a,b x-y");
        check("{{upper .Id}}{{title \"ab cd\"}}{{lower \"X\"}}{{truncate .Id 2}}", "ABCAb Cdxab");
        check("{{pad .Id 1 2}}|", " abc  |");
        check(
            "{{printf \"%s-%05d|%-4s|%q|%x|%.2f|%v|%%\" .Id .N .Id .Id 255 .F .On}}",
            "abc-00003|abc |\"abc\"|ff|1.50|true|%",
        );
        check("{{print 1 2 \"a\" 3}}{{println \"x\"}}", "1 2a3x\n");
        check("{{html \"<a>\"}} {{urlquery \"a b\"}} {{js \"'\"}}", "&lt;a&gt; a+b \\'");
        check("{{\"a\" | printf \"%s%s\" \"b\"}}", "ba");
        fails("{{foo .Id}}", "function \"foo\" not defined");
        fails(
            "{{ index .Args 9 }}",
            ":1:3: executing \"\" at <index .Args 9>: error calling index: index out of range: 9",
        );
        fails("{{printf \"%Z\" 1}}", "%Z");
        fails("{{index .Args 9}}", "index out of range: 9");
    }

    #[test]
    fn conditions_and_loops() {
        check("{{if .On}}a{{else}}b{{end}}{{if .Off}}a{{else}}b{{end}}", "ab");
        check("{{if .Off}}a{{else if eq .N 3}}b{{else}}c{{end}}", "b");
        check("{{if and .On (not .Off)}}x{{end}}{{if or .Off .Nil}}y{{end}}", "x");
        check("{{and .Off 1}}{{or 0 \"z\"}}", "falsez");
        check(
            "{{eq .Id \"x\" \"abc\"}} {{ne 1 2}} {{lt 1 2}} {{ge .N 3}} {{gt \"b\" \"a\"}} {{le 3 2}}",
            "true true true true true false",
        );
        check("{{range .Args}}<{{.}}>{{end}}{{range .None}}x{{else}}none{{end}}", "<a><b>none");
        check("{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}", "a=1;b=2;com.x=y;");
        check("{{range $i, $v := .Args}}{{$i}}{{$v}}{{end}}", "0a1b");
        check(
            "{{range $p, $c := .Ports}}{{$p}} {{(index $c 0).HostPort}}{{break}}{{end}}",
            "80/tcp 8080",
        );
        check("{{range .Args}}{{if eq . \"a\"}}{{continue}}{{end}}{{.}}{{end}}", "b");
        check("{{with .State}}{{.Pid}}{{end}}{{with .Nil}}x{{else}}n{{end}}", "7n");
        check("{{$x := .Id}}{{range .Args}}{{$x}}{{$.N}}{{end}}", "abc3abc3");
        check("{{$x := 1}}{{if .On}}{{$x = 2}}{{end}}{{$x}}", "2");
        check("{{with $y := .Id}}{{$y}}{{end}}", "abc");
        fails("{{eq .Id 1}}", "incompatible types for comparison");
    }

    #[test]
    fn what_does_not_parse_says_why() {
        fails("{{.Foo", ":1: unclosed action");
        fails("{{if .On}}x", ":1: unexpected EOF");
        fails("{{end}}", "unexpected {{end}}");
        fails("{{}}", "missing value for command");
        fails("{{$x}}", "undefined variable \"$x\"");
        fails("{{\"x}}", "unterminated quoted string");
        fails("{{(.Id}}", "unclosed left paren");
        fails("{{.Id |}}", "missing value for command");
        fails("{{define \"x\"}}{{end}}", "define");
        fails("x\n{{foo}}", ":2:");
        fails("{{.Id}} {{else}}", "unexpected {{else}}");
        for bad in [
            "{{range}}",
            "{{if}}x{{end}}",
            "{{. .}}",
            "{{1 2}}",
            "{{)}}",
            "{{.A..B}}",
            "{{|}}",
            "{{:=}}",
            "{{$x :=}}",
            "{{!}}",
        ] {
            let run = Template::parse(bad).and_then(|template| template.run(&raw()));
            assert!(run.is_err(), "{bad}");
        }
    }

    #[test]
    fn damaged_templates_never_panic() {
        let good = "{{range $k, $v := .Ports}}{{$k}}={{(index $v 0).X | json}}{{else}}-{{end}}\
                    {{- if and .On (eq .N 3 4)}}{{printf \"%5d|%-3s\" .N `é`}}{{end -}}{{/* c */}}";
        let mut state = 0x9e37_79b9_u32;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as usize
        };
        for _ in 0..20_000 {
            let mut chars: Vec<char> = good.chars().collect();
            for _ in 0..=random() % 5 {
                if chars.len() < 3 {
                    break;
                }
                let at = random() % chars.len();
                match random() % 3 {
                    0 => {
                        chars[at] =
                            ['{', '}', '(', ')', '.', '$', '"', '|', '-', ' ', 'é'][random() % 11]
                    }
                    1 => drop(chars.remove(at)),
                    _ => chars.truncate(at.max(2)),
                }
            }
            let text: String = chars.into_iter().collect();
            if let Ok(template) = Template::parse(&text) {
                drop(template.run(&raw()));
            }
        }
        let deep = "{{if 1}}".repeat(50_000) + &"(".repeat(50_000);
        assert!(Template::parse(&deep).is_err());
        assert!(Template::parse(&format!("{{{{{}", "(".repeat(100_000))).is_err());
    }
}
