//! Columns: the meaning of cells, from the header of a CSV file and `--map`.
//!
//! A column named `identifier` (or `suffix`) names the rows; every other name is a value type or `INDEX:TYPE`. Columns
//! without an index take the numbers from 1 in column order, leaving out those that other columns claim, whether or
//! not a row fills their cell: a column has the same index in every row. In a file of changes the names say what is
//! done: `add INDEX:TYPE`, `replace INDEX:TYPE`, `remove INDEX`.

use std::collections::BTreeSet;

use super::super::error::Reason;
use super::super::value_argument::{CommonOfValues, split_index};
use super::accident::Accident;
use super::mapping::{Meaning, check_types, listed, permissions_of};
use super::reading::{Naming, Purpose, Reading, is_identifier, is_suffix};
use super::row::{Changes, Content, malformed};
use crate::model::value::{Index, ValueType};
use crate::wire::proto;

/// Columns that a result file puts before those of the input; they are not read.
pub(super) const RESULT_COLUMNS: [&str; 3] = ["refused_reason", "refused_code", "refused_row"];

/// Names that are settings of values elsewhere, and would be public values here.
const SETTINGS: &[&str] = &["ttl", "ttl_until", "permission", "permissions"];

//----------- Columns --------------------------------------------------------

/// The meaning of the cells of a row, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Columns(Vec<Column>);

/// The meaning of the cells of one column.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Column {
    /// The identifier of the row.
    Name,
    /// The data of one value.
    Value(ValueColumn),
    /// A mark that the value at this index is removed.
    Removal(u32),
    /// Nothing that is read.
    Skipped,
    /// Nothing that is read, added by an earlier result file.
    Result,
    /// None: the column has no name, and its cells must be empty.
    Nameless,
}

/// A column of values.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ValueColumn {
    action: Action,
    /// Index of the values.
    index: u32,
    /// Type of the values.
    value_type: String,
    /// Bits of the permissions of the values; none for those of the type.
    permissions: Option<u32>,
    /// Name of the column in the header.
    name: String,
}

/// What is done with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// The identifier is registered with it.
    Register,
    /// It is added.
    Add,
    /// It replaces the one at its index.
    Replace,
}

impl Columns {
    /// Reads a header.
    pub(super) fn of_header(header: &[String], reading: &Reading) -> Result<Self, String> {
        let header: Vec<String> = header.iter().map(|name| reading.text(name).to_owned()).collect();
        reading.mapping.check_columns(&header)?;
        let mut columns = Vec::new();
        for (position, name) in header.iter().enumerate() {
            columns.push(Column::new(position, name, reading)?);
        }
        match columns.iter().filter(|column| **column == Column::Name).count() {
            0 => return Err(no_name(&header, &reading.naming)),
            1 => {}
            _ => {
                let noun = reading.naming.noun();
                return Err(format!("two columns are named {noun:?}; a row has one name"));
            }
        }
        let mut columns = Self(columns);
        columns.number();
        if let Purpose::Register = reading.purpose {
            check_types(&reading.permissions, columns.types())?;
        }
        Ok(columns)
    }

    /// Number of columns.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The name of a column in the header.
    pub(super) fn name(&self, position: usize) -> String {
        match self.0.get(position) {
            Some(Column::Value(column)) => column.name.clone(),
            Some(Column::Name) => "identifier".into(),
            _ => (position + 1).to_string(),
        }
    }

    /// The place of the cell that names a row.
    pub(super) fn name_position(&self) -> usize {
        self.0.iter().position(|column| *column == Column::Name).unwrap_or_default()
    }

    /// The cell that names a row.
    pub(super) fn name_cell<'a>(&self, cells: &'a [String]) -> &'a str {
        let named = self.0.iter().zip(cells).find(|(column, _)| **column == Column::Name);
        named.map_or("", |(_, cell)| cell)
    }

    /// The cells without those of an earlier result file.
    pub(super) fn original(&self, cells: Vec<String>) -> Vec<String> {
        if !self.0.contains(&Column::Result) {
            return cells;
        }
        let is_result = |position: usize| self.0.get(position) == Some(&Column::Result);
        let own = cells.into_iter().enumerate().filter(|(position, _)| !is_result(*position));
        own.map(|(_, cell)| cell).collect()
    }

    /// What a row asks for; an empty cell asks for nothing.
    pub(super) fn content(&self, cells: &[String], reading: &Reading) -> Result<Content, Reason> {
        let mut values = Vec::with_capacity(self.0.len());
        let mut changes = Changes::default();
        for (position, (column, cell)) in self.0.iter().zip(cells).enumerate() {
            let cell = reading.text(cell);
            match column {
                _ if cell.is_empty() => {}
                Column::Value(column) => {
                    let list = match column.action {
                        Action::Register => &mut values,
                        Action::Add => &mut changes.add,
                        Action::Replace => &mut changes.replace,
                    };
                    list.push(column.value(cell, reading)?);
                }
                Column::Removal(index) if cell.trim().is_empty() => {
                    return Err(malformed(format!(
                        "the cell in column \"remove {index}\" holds only blanks; write a mark such as x, or leave it empty"
                    )));
                }
                Column::Removal(index) => changes.remove.push(*index),
                Column::Nameless => {
                    let number = position + 1;
                    return Err(malformed(format!(
                        "column {number} has no name in the header, but a cell here"
                    )));
                }
                Column::Name | Column::Skipped | Column::Result => {}
            }
        }
        match &reading.purpose {
            Purpose::Register => Ok(Content::Values(values)),
            Purpose::Remove => Ok(Content::Removal),
            Purpose::Amend(_) if changes == Changes::default() => {
                Err(malformed("the row changes nothing: all cells of changes are empty"))
            }
            Purpose::Amend(common) => Ok(Content::Changes(changes.with(common))),
        }
    }

    /// The types of the values.
    fn types(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.iter().filter_map(|column| match column {
            Column::Value(column) => Some(column.value_type.as_str()),
            _ => None,
        })
    }

    /// Gives columns without an index the next number from 1 that no other column has.
    fn number(&mut self) {
        let claimed: BTreeSet<u32> = self.0.iter().map(Column::index).collect();
        let mut free = (1_u32..).filter(|index| !claimed.contains(index));
        for column in &mut self.0 {
            if let Column::Value(column) = column
                && column.index == 0
            {
                column.index = free.next().unwrap_or_default();
            }
        }
    }
}

impl ValueColumn {
    fn value(&self, cell: &str, reading: &Reading) -> Result<proto::Value, Reason> {
        let noun = || format!("the cell in column {:?}", self.name);
        if let Some(found) = reading.tolerance.check_value(&noun(), cell) {
            return Err(found.reason());
        }
        Ok(proto::Value {
            index: self.index,
            r#type: self.value_type.clone(),
            data: cell.as_bytes().to_vec(),
            permissions: self.permissions,
            ..proto::Value::default()
        })
    }
}

impl Changes {
    /// Gives all values what the command line says of them.
    pub(super) fn with(mut self, common: &CommonOfValues) -> Self {
        self.add.iter_mut().chain(&mut self.replace).for_each(|value| common.apply(value));
        self
    }
}

//----------- Column ---------------------------------------------------------

impl Column {
    fn new(position: usize, name: &str, reading: &Reading) -> Result<Self, String> {
        if RESULT_COLUMNS.contains(&name) {
            return Ok(Self::Result);
        }
        match reading.mapping.of(name) {
            Some(Meaning::Skip) => return Ok(Self::Skipped),
            Some(Meaning::Identifier) if reading.naming == Naming::Whole => return Ok(Self::Name),
            Some(Meaning::Identifier) => return Err(whole_under_prefix()),
            Some(Meaning::Suffix) if reading.naming != Naming::Whole => return Ok(Self::Name),
            Some(Meaning::Suffix) => return Err("give --prefix PREFIX for the suffixes of the file".into()),
            Some(Meaning::Named(meaning)) => return Self::of_meaning(name, meaning, reading),
            None => {}
        }
        if name.is_empty() {
            return Ok(Self::Nameless);
        }
        if let Some(found) =
            reading.tolerance.check_name(&format!("the header of column {}", position + 1), name)
        {
            return Err(format!("{name:?}: {}", found.sentence()));
        }
        if reading.naming.is_noun(name) {
            return Ok(Self::Name);
        }
        match reading.purpose {
            // Only the names matter: a file that was imported is taken as it is.
            Purpose::Remove => Ok(Self::Skipped),
            _ if is_identifier(name) => Err(whole_under_prefix()),
            _ => {
                check_setting(split_index(name).map_or(name, |(_, value_type)| value_type), reading)?;
                Self::of_meaning(name, name, reading)
            }
        }
    }

    /// The column of a header name whose meaning is written as `meaning`.
    fn of_meaning(name: &str, meaning: &str, reading: &Reading) -> Result<Self, String> {
        let wrong = |wrong: String| format!("column {name:?}: {wrong}");
        let (action, meaning) = match reading.purpose {
            Purpose::Register => (Action::Register, meaning),
            Purpose::Remove => return Ok(Self::Skipped),
            Purpose::Amend(_) => match meaning.split_once(' ') {
                Some(("add", rest)) => (Action::Add, rest),
                Some(("replace", rest)) => (Action::Replace, rest),
                Some(("remove", rest)) => {
                    let index = super::super::change::parse_index(rest).map_err(wrong)?;
                    return Ok(Self::Removal(index.get()));
                }
                _ => {
                    return Err(wrong(format!(
                        "name it \"add INDEX:TYPE\", \"replace INDEX:TYPE\" or \"remove INDEX\", or leave it out with \
                         --map {name}=skip"
                    )));
                }
            },
        };
        let (index, value_type) = split_index(meaning).map_err(wrong)?;
        let value_type = reading.text(value_type);
        check_type(value_type, reading).map_err(wrong)?;
        ValueType::new(value_type).map_err(|error| wrong(error.to_string()))?;
        if action != Action::Register && index.is_none() {
            return Err(wrong("the index is missing: write INDEX:TYPE, such as 3:EMAIL".into()));
        }
        Ok(Self::Value(ValueColumn {
            action,
            index: index.map_or(0, Index::get),
            value_type: value_type.to_owned(),
            permissions: permissions_of(&reading.permissions, value_type),
            name: name.to_owned(),
        }))
    }

    /// Index in the header; 0 for none.
    fn index(&self) -> u32 {
        match self {
            Self::Value(column) => column.index,
            Self::Removal(_) | Self::Name | Self::Skipped | Self::Result | Self::Nameless => 0,
        }
    }
}

/// Refuses a type behind an index that is not what it looks like.
pub(super) fn check_type(value_type: &str, reading: &Reading) -> Result<(), String> {
    let found = reading.tolerance.check_name(&format!("the type {value_type:?}"), value_type);
    found.map_or(Ok(()), |found| Err(found.sentence()))
}

/// Refuses a name that is a setting of values elsewhere.
pub(super) fn check_setting(name: &str, reading: &Reading) -> Result<(), String> {
    if !SETTINGS.iter().any(|setting| setting.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    let sentence = format!(
        "{name:?} would be a value of the type {name}, which everybody may read, and not a setting of the other values \
         (permissions are given with --permissions TYPE=DIGITS, TTLs in JSON lines)"
    );
    reading.tolerance.found(Accident::ColumnNames, sentence).map_or(Ok(()), |found| Err(found.sentence()))
}

fn whole_under_prefix() -> String {
    "the file has complete identifiers; leave --prefix out".into()
}

/// The message when no column holds identifiers.
fn no_name(header: &[String], naming: &Naming) -> String {
    let noun = naming.noun();
    let advice = if header.iter().any(|name| is_suffix(name)) {
        "give --prefix PREFIX for the suffixes of the file".to_owned()
    } else if header.iter().any(|name| name.contains(';') || name.contains('\t')) {
        "if its columns are not separated by commas, use --delimiter".to_owned()
    } else {
        format!("name the column of the {noun}s {noun:?}, or use --map COLUMN={noun}")
    };
    format!("the header has no column {noun:?}, only {}; {advice}", listed(header))
}

#[cfg(test)]
mod tests {
    use super::super::accident::{Accident, Tolerance};
    use super::super::mapping::{Mapping, parse_mapping, parse_permissions};
    use super::super::reading::tests::{plain, under};
    use super::super::reading::{Ends, Purpose, Reading};
    use super::super::row::{Changes, Content};
    use super::Columns;
    use crate::cli::value_argument::CommonOfValues;

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn columns(header: &[&str], reading: &Reading) -> Result<Columns, String> {
        Columns::of_header(&texts(header), reading)
    }

    fn content(header: &[&str], cells: &[&str], reading: &Reading) -> Content {
        columns(header, reading).expect("a header").content(&texts(cells), reading).expect("a row")
    }

    fn values(header: &[&str], cells: &[&str], reading: &Reading) -> Vec<(u32, String, String)> {
        let content = content(header, cells, reading);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        content.values().map(|value| (value.index, value.r#type.clone(), text(&value.data))).collect()
    }

    fn mapped(given: &[&str]) -> Reading {
        let given: Vec<_> = given.iter().map(|text| parse_mapping(text).expect("a mapping")).collect();
        Reading { mapping: Mapping::new(&given).expect("mappings"), ..plain() }
    }

    #[test]
    fn columns_without_an_index_are_numbered_in_their_order() {
        let header = ["URL", "identifier", "2:EMAIL", "URL", "NAME"];
        let found = values(&header, &["a", "88/x", "b", "", "d"], &plain());
        let expected = [(1, "URL", "a"), (2, "EMAIL", "b"), (4, "NAME", "d")];
        let expected = expected.map(|(index, name, data)| (index, name.to_owned(), data.to_owned()));
        assert_eq!(found, expected);
    }

    #[test]
    fn an_index_may_have_another_type_in_another_row() {
        let header = ["identifier", "1:URL", "1:EMAIL", "NAME"];
        assert_eq!(values(&header, &["88/x", "", "m", "n"], &plain())[0].1, "EMAIL");
        assert_eq!(values(&header, &["88/y", "u", "", "n"], &plain())[1], (2, "NAME".into(), "n".into()));
    }

    #[test]
    fn cells_stay_text() {
        let found = values(&["Identifier", "SIZE"], &["88/x", "007.50"], &plain());
        assert_eq!(found, [(1, "SIZE".to_owned(), "007.50".to_owned())]);
    }

    #[test]
    fn a_header_without_a_name_for_its_rows_is_explained() {
        let refused = |header: &[&str]| columns(header, &plain()).expect_err("no header");
        assert!(refused(&["id", "URL"]).contains("\"id\", \"URL\""));
        assert!(refused(&["suffix", "URL"]).contains("--prefix"));
        assert!(refused(&["identifier;URL"]).contains("--delimiter"));
        assert!(refused(&["identifier", "identifier"]).contains("two columns"));
        assert!(refused(&["identifier", "0:A"]).contains("index 0"));
        let both = columns(&["identifier", "suffix"], &under("88"));
        assert!(both.expect_err("both").contains("leave --prefix out"));
    }

    #[test]
    fn a_cell_without_a_column_name_is_refused() {
        let columns = columns(&["identifier", ""], &plain()).expect("a header");
        let empty = columns.content(&texts(&["88/x", ""]), &plain());
        assert_eq!(empty.expect("a row"), Content::Values(Vec::new()));
        let refused = columns.content(&texts(&["88/x", "y"]), &plain()).expect_err("a cell without a name");
        assert!(refused.message.contains("column 2"), "{refused}");
    }

    #[test]
    fn headers_with_blanks_and_names_of_settings_are_refused() {
        let header = ["identifier", " URL"];
        let refused = columns(&header, &plain()).expect_err("a blank");
        assert!(refused.contains("column 2 begins with a space") && refused.contains("--trim"), "{refused}");
        let trimmed = Reading { ends: Ends::Trimmed, ..plain() };
        assert_eq!(values(&header, &["88/x", " u "], &trimmed), [(1, "URL".into(), "u".into())]);
        let accepted = Reading { tolerance: Tolerance::of(&[Accident::Blanks]), ..plain() };
        assert_eq!(values(&header, &["88/x", "u"], &accepted)[0].1, " URL");

        for setting in ["TTL", "Permissions"] {
            let refused = columns(&["identifier", setting], &plain()).expect_err(setting);
            assert!(refused.contains("everybody may read") && refused.contains("=skip"), "{refused}");
        }
        let accepted = Reading { tolerance: Tolerance::of(&[Accident::ColumnNames]), ..plain() };
        assert_eq!(values(&["identifier", "TTL"], &["88/x", "60"], &accepted)[0].1, "TTL");

        // Behind an index too.
        let header = ["identifier", "3: URL"];
        let refused = columns(&header, &plain()).expect_err("a blank");
        assert!(refused.contains("begins with a space") && refused.contains("--trim"), "{refused}");
        assert_eq!(values(&header, &["88/x", "u"], &trimmed), [(3, "URL".into(), "u".into())]);
        let refused = columns(&["identifier", "2:TTL"], &plain()).expect_err("a setting");
        assert!(refused.contains("everybody may read"), "{refused}");
    }

    #[test]
    fn columns_are_mapped() {
        let header = ["编码", "网址", "备注", "TTL"];
        let reading = mapped(&["编码=identifier", "网址=7:URL", "备注=skip", "TTL=skip"]);
        assert_eq!(values(&header, &["88/x", "u", "n", "60"], &reading), [(7, "URL".into(), "u".into())]);
        let absent = columns(&["identifier"], &mapped(&["网址=URL"])).expect_err("no such column");
        assert!(absent.contains("网址"), "{absent}");
    }

    #[test]
    fn a_type_has_the_permissions_that_are_given() {
        let reading =
            Reading { permissions: vec![parse_permissions("PRICE=1100").expect("some")], ..plain() };
        let content = content(&["identifier", "PRICE", "URL"], &["88/x", "7", "u"], &reading);
        let found: Vec<Option<u32>> = content.values().map(|value| value.permissions).collect();
        assert_eq!(found, [Some(0b1100), None]);
        let unused = columns(&["identifier", "URL"], &reading).expect_err("no such type");
        assert!(unused.contains("\"PRICE\""), "{unused}");
    }

    #[test]
    fn a_file_of_changes_says_what_is_done() {
        let amend = Reading { purpose: Purpose::Amend(CommonOfValues::default()), ..plain() };
        let header = ["identifier", "add 3:EMAIL", "replace 1:URL", "remove 5"];
        let Content::Changes(changes) = content(&header, &["88/x", "m", "", "x"], &amend) else {
            panic!("no changes")
        };
        assert_eq!(changes.add[0].r#type, "EMAIL");
        assert_eq!((changes.replace.len(), changes.remove), (0, vec![5]));
        let unclear = columns(&["identifier", "3:EMAIL"], &amend).expect_err("unclear");
        assert!(unclear.contains("add INDEX:TYPE"), "{unclear}");
        let numberless = columns(&["identifier", "add EMAIL"], &amend).expect_err("no index");
        assert!(numberless.contains("the index is missing"), "{numberless}");
        let columns = columns(&header, &amend).expect("a header");
        let empty = columns.content(&texts(&["88/x", "", "", ""]), &amend).expect_err("nothing");
        assert!(empty.message.contains("changes nothing"), "{empty}");
        assert_eq!(Changes::default().with(&CommonOfValues::default()), Changes::default());
    }

    #[test]
    fn a_file_of_removals_needs_only_the_names() {
        let remove = Reading { purpose: Purpose::Remove, ..plain() };
        assert_eq!(content(&["标识", "URL", "TTL"], &["88/x", "u", "6"], &remove), Content::Removal);
    }

    #[test]
    fn columns_of_a_result_file_are_not_read() {
        let header = ["refused_reason", "refused_code", "refused_row", "identifier", "URL"];
        let cells = ["why", "BLANKS", "7", "88/x", "u"];
        assert_eq!(values(&header, &cells, &plain()), [(1, "URL".into(), "u".into())]);
        let columns = columns(&header, &plain()).expect("a header");
        assert_eq!(columns.original(texts(&cells)), ["88/x", "u"]);
    }
}
