//! Lists as the user wants them: a table, a template, JSON, or ids alone.

use serde_json::Value;

use super::fail::Failure;
use super::output::Table;
use super::template::Template;

/// A field that rows have and the header of its column.
pub(crate) type Field = (&'static str, &'static str);

/// What a list can show.
pub(crate) struct List<'a> {
    /// All fields.
    pub(crate) fields: &'a [Field],
    /// Those of the default table, in order.
    pub(crate) columns: &'a [&'a str],
    /// What errors of a template begin with: when it is read, and when it is carried out.
    pub(crate) complaint: [&'static str; 2],
}

impl List<'_> {
    /// The rows by `format`: empty or `table`, `table TEMPLATE`, `json`, or a template per row.
    ///
    /// # Errors
    /// A template that does not parse or names a field that rows do not have.
    pub(crate) fn render(&self, format: &str, rows: &[Value]) -> Result<String, Failure> {
        let format = format.trim();
        let unescaped = format.replace("\\t", "\t").replace("\\n", "\n");
        let mut table = Table::new(10);
        match unescaped.strip_prefix("table") {
            Some("") => self.default_table(rows, &mut table),
            None if format.is_empty() => self.default_table(rows, &mut table),
            None if format == "json" => return Ok(rows.iter().map(json_line).collect()),
            Some(columns) if columns.starts_with(char::is_whitespace) => {
                let template = self.template(columns.trim_start())?;
                table.line(&self.run(&template, &self.header())?);
                for row in rows {
                    table.line(&self.run(&template, row)?);
                }
            }
            _ => {
                let template = self.template(&unescaped)?;
                let mut out = String::new();
                for row in rows {
                    out.push_str(&self.run(&template, row)?);
                    out.push('\n');
                }
                return Ok(out);
            }
        }
        Ok(table.render())
    }

    fn default_table(&self, rows: &[Value], table: &mut Table) {
        let header = self.header();
        for row in std::iter::once(&header).chain(rows) {
            let cell = |name: &&str| row.get(*name).and_then(Value::as_str).unwrap_or_default();
            table.row(&self.columns.iter().map(cell).collect::<Vec<_>>());
        }
    }

    fn header(&self) -> Value {
        let cells = self.fields.iter().map(|(name, header)| ((*name).to_owned(), (*header).into()));
        Value::Object(cells.collect())
    }

    fn template(&self, text: &str) -> Result<Template, Failure> {
        Template::parse(text)
            .map_err(|error| Failure::new(format!("{}: template: {error}", self.complaint[0])))
    }

    fn run(&self, template: &Template, row: &Value) -> Result<String, Failure> {
        template
            .run(row)
            .map_err(|error| Failure::new(format!("{}: template: {error}", self.complaint[1])))
    }
}

/// One row as JSON; `Label` is a function of templates and no field.
fn json_line(row: &Value) -> String {
    let mut row = row.clone();
    if let Some(fields) = row.as_object_mut() {
        fields.remove("Label");
    }
    format!("{row}\n")
}

/// Labels as a list shows them: `k=v,k=v`, sorted.
pub(crate) fn labels(labels: Option<&Value>) -> String {
    let pairs = labels.and_then(Value::as_object).into_iter().flatten();
    let pairs = pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    pairs.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LIST: List<'static> = List {
        fields: &[("ID", "CONTAINER ID"), ("Names", "NAMES"), ("Label", "LABEL")],
        columns: &["ID", "Names"],
        complaint: ["failed to parse template", "failed to execute template"],
    };

    #[test]
    fn rows_in_every_format() {
        let rows = [json!({"ID": "0123456789ab", "Names": "web", "Label": {"a.b": "x"}})];
        let render = |format: &str| LIST.render(format, &rows).unwrap();
        let table = "CONTAINER ID   NAMES\n0123456789ab   web\n";
        assert_eq!(render(""), table);
        assert_eq!(render("table"), table);
        assert_eq!(
            render("table {{.Names}}\\t{{.ID}}"),
            "NAMES     CONTAINER ID\nweb       0123456789ab\n"
        );
        assert_eq!(render("{{.Names}}\\n{{.Label \"a.b\"}}"), "web\nx\n");
        assert_eq!(render("table {{.Label \"a.b\"}}"), "b\nx\n");
        assert_eq!(render("json"), "{\"ID\":\"0123456789ab\",\"Names\":\"web\"}\n");
        assert_eq!(LIST.render("", &[]).unwrap(), "CONTAINER ID   NAMES\n");
        assert_eq!(LIST.render("{{.ID}}", &[]).unwrap(), "");
        assert_eq!(
            LIST.render("{{.Foo", &rows).unwrap_err().text,
            "failed to parse template: template: :1: unclosed action"
        );
        assert!(LIST.render("{{.Foo}}", &rows).is_err());
    }

    #[test]
    fn labels_are_joined() {
        assert_eq!(labels(Some(&json!({"b": "2", "a": ""}))), "a=,b=2");
        assert_eq!(labels(Some(&Value::Null)), "");
    }
}
