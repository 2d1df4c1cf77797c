//! Table: identifiers as the rows of a CSV file (RFC 4180), and a check for what such a file cannot carry.

use std::collections::BTreeSet;

use super::super::display::escape;
use super::super::error::Error;
use super::super::value_form::has_default_permissions;
use super::Formulas;
use crate::model::limits::TTL_DEFAULT_SECONDS;
use crate::wire::proto;

/// Maximum number of columns of a file; spreadsheets do not open more.
const COLUMNS_MAX: usize = 2_048;

//----------- SheetColumns ---------------------------------------------------

/// The columns that the identifiers seen so far need.
pub(super) struct SheetColumns {
    columns: BTreeSet<(u32, String)>,
    formulas: Formulas,
    formula_cells: FormulaCells,
}

/// Cells that a spreadsheet would run as a formula, and that are written as they are.
#[derive(Clone, Debug, Default)]
pub(super) struct FormulaCells {
    /// Number of the cells.
    pub(super) count: u64,
    /// Identifier of the first.
    pub(super) first: String,
}

impl SheetColumns {
    /// No columns yet.
    pub(super) fn new(formulas: Formulas) -> Self {
        Self { columns: BTreeSet::new(), formulas, formula_cells: FormulaCells::default() }
    }

    /// Adds the columns that an identifier needs, or returns why CSV cannot carry it.
    pub(super) fn see(&mut self, found: &proto::Found) -> Result<(), Error> {
        self.check_cell(found, "its name", &found.identifier)?;
        for value in &found.values {
            let text = carried(value).map_err(|cause| refused(found, value, cause))?;
            self.check_cell(found, &format!("index {}", value.index), text)?;
            if !self.columns.contains(&(value.index, value.r#type.clone())) {
                self.columns.insert((value.index, value.r#type.clone()));
            }
        }
        if self.columns.len() > COLUMNS_MAX {
            return Err(Error::Incomplete(format!(
                "more than {COLUMNS_MAX} columns are needed; use --format jsonl"
            )));
        }
        Ok(())
    }

    /// The formulas among the cells seen so far.
    pub(super) fn formula_cells(&self) -> &FormulaCells {
        &self.formula_cells
    }

    fn check_cell(&mut self, found: &proto::Found, location: &str, text: &str) -> Result<(), Error> {
        if !text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
            return Ok(());
        }
        if self.formulas == Formulas::Keep {
            if self.formula_cells.count == 0 {
                self.formula_cells.first.clone_from(&found.identifier);
            }
            self.formula_cells.count += 1;
            return Ok(());
        }
        Err(Error::Incomplete(format!(
            "{}: {location} begins with {:?}, which a spreadsheet may run as a formula; use --formulas keep to \
             write it anyway, or --format jsonl",
            escape(&found.identifier),
            text.chars().next().unwrap_or_default()
        )))
    }
}

/// The text of a value that CSV can carry, or why it cannot.
fn carried(value: &proto::Value) -> Result<&str, &'static str> {
    let text = core::str::from_utf8(&value.data).map_err(|_| "its data is not text")?;
    if text.is_empty() {
        return Err("its data is empty, and an empty cell means no value");
    }
    if !value.references.is_empty() {
        return Err("it has references");
    }
    if !has_default_permissions(value) {
        return Err("its permissions are not those of its type");
    }
    match value.ttl {
        None | Some(proto::value::Ttl::RelativeSeconds(TTL_DEFAULT_SECONDS)) => Ok(text),
        Some(_) => Err("its TTL is not 86400 s"),
    }
}

fn refused(found: &proto::Found, value: &proto::Value, cause: &str) -> Error {
    Error::Incomplete(format!(
        "{}: CSV cannot carry index {} ({}): {cause}; use --format jsonl",
        found.identifier, value.index, value.r#type
    ))
}

//----------- Sheet ----------------------------------------------------------

/// The rows of a file whose columns are known.
pub(super) struct Sheet {
    columns: SheetColumns,
    order: Vec<(u32, String)>,
}

impl Sheet {
    /// A file with these columns, by index and type.
    pub(super) fn new(columns: SheetColumns) -> Self {
        let order = columns.columns.iter().cloned().collect();
        Self { columns, order }
    }

    /// The first row.
    pub(super) fn header(&self) -> Result<Vec<u8>, Error> {
        let names = self.order.iter().map(|(index, value_type)| format!("{index}:{value_type}"));
        encode(core::iter::once("identifier".to_owned()).chain(names))
    }

    /// The row of an identifier.
    pub(super) fn row(&mut self, found: &proto::Found) -> Result<Vec<u8>, Error> {
        self.columns.see(found)?;
        if self.columns.columns.len() > self.order.len() {
            return Err(Error::Incomplete(format!(
                "{} was changed during the export and needs another column; export again",
                found.identifier
            )));
        }
        let cell = |(index, value_type): &(u32, String)| {
            let held = found.values.iter().find(|value| value.index == *index && value.r#type == *value_type);
            held.and_then(|value| carried(value).ok()).unwrap_or_default()
        };
        encode(core::iter::once(found.identifier.as_str()).chain(self.order.iter().map(cell)))
    }
}

fn encode(cells: impl Iterator<Item = impl AsRef<[u8]>>) -> Result<Vec<u8>, Error> {
    let failed = |cause: String| Error::File { path: "CSV".into(), cause };
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::with_capacity(256));
    writer.write_record(cells).map_err(|error| failed(error.to_string()))?;
    writer.into_inner().map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::{Formulas, Sheet, SheetColumns};
    use crate::wire::proto;

    fn value(index: u32, value_type: &str, data: &[u8]) -> proto::Value {
        proto::Value { index, r#type: value_type.into(), data: data.into(), ..proto::Value::default() }
    }

    fn found(identifier: &str, values: Vec<proto::Value>) -> proto::Found {
        proto::Found { identifier: identifier.into(), values, ..proto::Found::default() }
    }

    fn refusal(formulas: Formulas, value: proto::Value) -> String {
        let seen = SheetColumns::new(formulas).see(&found("88/x", vec![value]));
        seen.expect_err("not carried").to_string()
    }

    #[test]
    fn columns_are_those_that_any_identifier_needs() {
        let first = found("88/a", vec![value(1, "URL", b"u"), value(10, "NOTE", b"two\nlines, \"q\"")]);
        let second = found("88/b", vec![value(1, "URL", b"v"), value(2, "URL", "零".as_bytes())]);
        let mut columns = SheetColumns::new(Formulas::Keep);
        columns.see(&first).expect("carried");
        columns.see(&second).expect("carried");
        let mut sheet = Sheet::new(columns);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        assert_eq!(text(sheet.header().expect("written")), "identifier,1:URL,2:URL,10:NOTE\r\n");
        let row = text(sheet.row(&first).expect("written"));
        assert_eq!(row, "88/a,u,,\"two\nlines, \"\"q\"\"\"\r\n");
        assert_eq!(text(sheet.row(&second).expect("written")), "88/b,v,零,\r\n");
        let late = found("88/c", vec![value(3, "NEW", b"x")]);
        let refused = sheet.row(&late).expect_err("a new column").to_string();
        assert!(refused.contains("export again"), "{refused}");
    }

    #[test]
    fn what_csv_cannot_carry_is_refused_by_name() {
        let check = |value: proto::Value, cause: &str| {
            let refused = refusal(Formulas::Keep, value);
            assert!(refused.contains("88/x: CSV cannot carry index 1"), "{refused}");
            assert!(refused.contains(cause) && refused.contains("--format jsonl"), "{refused}");
        };
        check(value(1, "A", b"\xff"), "not text");
        check(value(1, "A", b""), "empty");
        let plain = value(1, "A", b"x");
        let ttl = Some(proto::value::Ttl::RelativeSeconds(60));
        check(proto::Value { ttl, ..plain.clone() }, "TTL");
        check(proto::Value { permissions: Some(0b1100), ..plain.clone() }, "permissions");
        let references = vec![proto::Reference { identifier: "88/y".into(), index: 1 }];
        check(proto::Value { references, ..plain }, "references");
    }

    #[test]
    fn formulas_are_written_or_refused() {
        let formula = value(1, "A", b"=1+1");
        let refused = refusal(Formulas::Refuse, formula.clone());
        assert!(refused.contains("index 1 begins with '='"), "{refused}");
        SheetColumns::new(Formulas::Keep).see(&found("88/x", vec![formula])).expect("written");
    }
}
