//! Lists as the user wants them: a table, a template, JSON, or ids alone.

use serde_json::Value;

use super::fail::Failure;
use super::output::Table;
use super::template::{Data, Field as Cell, Template};
use crate::base::order;

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

/// Rows that are worked out cell by cell, only as far as they are shown.
pub(crate) trait Rows {
    /// How many there are.
    fn count(&self) -> usize;
    /// The field called `name` of row `at`.
    fn cell(&self, at: usize, name: &str) -> Data;
}

/// Rows that are there whole, as objects.
impl Rows for &[Value] {
    fn count(&self) -> usize {
        self.len()
    }

    fn cell(&self, at: usize, name: &str) -> Data {
        Data::raw(&self[at][name])
    }
}

impl List<'_> {
    /// The rows by `format`: empty or `table`, `table TEMPLATE`, `json`, or a template per row.
    ///
    /// # Errors
    /// A template that does not parse or names a field that rows do not have.
    pub(crate) fn render(&self, format: &str, rows: &[Value]) -> Result<String, Failure> {
        self.render_rows(format, &rows)
    }

    /// The same of rows that are worked out as they are needed.
    ///
    /// # Errors
    /// As [`List::render`].
    pub(crate) fn render_rows(&self, format: &str, rows: &dyn Rows) -> Result<String, Failure> {
        let format = format.trim();
        let mut names: Vec<&'static str> = self.fields.iter().map(|(name, _)| *name).collect();
        order::sort_by(&mut names, Ord::cmp);
        let unescaped = format.replace("\\t", "\t").replace("\\n", "\n");
        let mut table = Table::new(10);
        match unescaped.strip_prefix("table") {
            Some("") => self.default_table(rows, &mut table),
            None if format.is_empty() => self.default_table(rows, &mut table),
            None if format == "json" => {
                let lines = (0..rows.count())
                    .map(|at| Self::row(&names, rows, at, "json").json(true) + "\n");
                return Ok(lines.collect());
            }
            Some(columns) if columns.starts_with(char::is_whitespace) => {
                let template = self.template(columns.trim_start())?;
                let header = template.run_on_headers(&self.header());
                table.line(&header.map_err(|error| self.failed(&error))?);
                for at in 0..rows.count() {
                    table.line(&self.run(&template, &Self::row(&names, rows, at, columns))?);
                }
            }
            _ => {
                let template = self.template(&unescaped)?;
                let mut out = String::new();
                for at in 0..rows.count() {
                    out.push_str(&self.run(&template, &Self::row(&names, rows, at, &unescaped))?);
                    out.push('\n');
                }
                return Ok(out);
            }
        }
        Ok(table.render())
    }

    fn default_table(&self, rows: &dyn Rows, table: &mut Table) {
        let header = |name: &str| self.fields.iter().find(|(n, _)| *n == name).map_or("", |f| f.1);
        table.row(&self.columns.iter().map(|name| header(name)).collect::<Vec<_>>());
        for at in 0..rows.count() {
            let cell = |name: &&str| match rows.cell(at, name) {
                Data::Text(text) => text,
                _ => String::new(),
            };
            table.row(&self.columns.iter().map(cell).collect::<Vec<_>>());
        }
    }

    /// Row `at` with the fields that `template` can ask for; all of them for JSON.
    fn row(names: &[&'static str], rows: &dyn Rows, at: usize, template: &str) -> Data {
        let whole = template.contains("json") || template.contains('$');
        let cells = names.iter().map(|&name| Cell {
            name,
            // `Label` is a function of templates and no field.
            key: if name == "Label" { "" } else { name },
            value: match whole || template.contains(name) {
                true => rows.cell(at, name),
                false => Data::text(""),
            },
        });
        Data::Row(cells.collect())
    }

    fn header(&self) -> Data {
        let cells = self.fields.iter().map(|&(name, header)| Cell {
            name,
            key: name,
            value: Data::text(header),
        });
        Data::Row(cells.collect())
    }

    fn template(&self, text: &str) -> Result<Template, Failure> {
        Template::parse(text)
            .map_err(|error| Failure::new(format!("{}: template: {error}", self.complaint[0])))
    }

    fn run(&self, template: &Template, row: &Data) -> Result<String, Failure> {
        template.run(row).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &str) -> Failure {
        Failure::new(format!("{}: template: {error}", self.complaint[1]))
    }
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
        let rows = [json!({"ID": "0123456789ab", "Names": "<web>", "Label": {"a.b": "x"}})];
        let render = |format: &str| LIST.render(format, &rows).unwrap();
        let table = "CONTAINER ID   NAMES\n0123456789ab   <web>\n";
        assert_eq!(render(""), table);
        assert_eq!(render("table"), table);
        assert_eq!(
            render("table {{.Names}}\\t{{.ID}}"),
            "NAMES     CONTAINER ID\n<web>     0123456789ab\n"
        );
        assert_eq!(render("{{.Names}}\\n{{.Label \"a.b\"}}"), "<web>\nx\n");
        assert_eq!(render("table {{.Label \"a.b\"}}"), "b\nx\n");
        assert_eq!(
            render("table {{lower .ID}} {{json .Names}}").lines().next(),
            Some("CONTAINER ID NAMES")
        );
        let json = "{\"ID\":\"0123456789ab\",\"Names\":\"\\u003cweb\\u003e\"}\n";
        assert_eq!(render("json"), json);
        assert_eq!(render("{{json .}}"), json);
        assert_eq!(render("{{json .Names}} {{$x := .}}{{$x.ID}}"), "\"<web>\" 0123456789ab\n");
        assert_eq!(LIST.render("", &[]).unwrap(), "CONTAINER ID   NAMES\n");
        assert_eq!(LIST.render("{{.ID}}", &[]).unwrap(), "");
        assert_eq!(
            LIST.render("{{.Foo", &rows).unwrap_err().text,
            "failed to parse template: template: :1: unclosed action"
        );
        assert!(LIST.render("{{.Foo}}", &rows).is_err());
    }
}
