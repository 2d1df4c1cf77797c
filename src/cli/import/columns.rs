//! Columns: the meaning of cells, from the header of a CSV file.
//!
//! A column named `identifier` (or `suffix`) names the rows; every other name is a value type or `INDEX:TYPE`. Columns
//! without an index take the numbers from 1 in column order, leaving out those that other columns claim, whether or
//! not a row fills their cell: a column has the same index in every row.

use std::collections::BTreeSet;

use super::super::value_argument::split_index;
use super::row::Naming;
use crate::model::value::ValueType;
use crate::wire::proto;

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
    Value {
        /// Index of the value.
        index: u32,
        /// Type of the value.
        value_type: String,
        /// Name of the column in the header.
        name: String,
    },
    /// None: the column has no name, and its cells must be empty.
    Nameless,
}

impl Columns {
    /// Reads a header.
    pub(super) fn of_header<'a>(
        header: impl Iterator<Item = &'a str> + Clone,
        naming: &Naming,
    ) -> Result<Self, String> {
        let mut columns = Vec::new();
        for name in header.clone() {
            columns.push(Column::of_name(name, naming)?);
        }
        match columns.iter().filter(|column| **column == Column::Name).count() {
            0 => return Err(no_name(header, naming)),
            1 => {}
            _ => return Err(format!("two columns are named {:?}; a row has one name", naming.noun())),
        }
        let mut columns = Self(columns);
        columns.number();
        Ok(columns)
    }

    /// Number of columns.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The name of a column in the header.
    pub(super) fn name(&self, position: usize) -> String {
        match self.0.get(position) {
            Some(Column::Value { name, .. }) => name.clone(),
            Some(Column::Name) => "identifier".into(),
            Some(Column::Nameless) | None => (position + 1).to_string(),
        }
    }

    /// The cell that names a row.
    pub(super) fn name_cell<'a>(&self, cells: impl Iterator<Item = &'a str>) -> &'a str {
        let named = self.0.iter().zip(cells).find(|(column, _)| **column == Column::Name);
        named.map_or("", |(_, cell)| cell)
    }

    /// The values of a row; an empty cell is no value.
    pub(super) fn values<'a>(
        &self,
        cells: impl Iterator<Item = &'a str>,
    ) -> Result<Vec<proto::Value>, String> {
        let mut values = Vec::with_capacity(self.0.len());
        for (position, (column, cell)) in self.0.iter().zip(cells).enumerate() {
            match column {
                Column::Value { index, value_type, .. } if !cell.is_empty() => values.push(proto::Value {
                    index: *index,
                    r#type: value_type.clone(),
                    data: cell.as_bytes().to_vec(),
                    ..proto::Value::default()
                }),
                Column::Nameless if !cell.is_empty() => {
                    let number = position + 1;
                    return Err(format!("column {number} has no name in the header, but a cell here"));
                }
                Column::Name | Column::Value { .. } | Column::Nameless => {}
            }
        }
        Ok(values)
    }

    /// Gives columns without an index the next number from 1 that no other column has.
    fn number(&mut self) {
        let claimed: BTreeSet<u32> = self.0.iter().map(Column::index).collect();
        let mut free = (1_u32..).filter(|index| !claimed.contains(index));
        for column in &mut self.0 {
            if let Column::Value { index, .. } = column
                && *index == 0
            {
                *index = free.next().unwrap_or_default();
            }
        }
    }
}

impl Column {
    fn of_name(name: &str, naming: &Naming) -> Result<Self, String> {
        if name.is_empty() {
            return Ok(Self::Nameless);
        }
        if name.eq_ignore_ascii_case(naming.noun()) {
            return Ok(Self::Name);
        }
        let is_identifier = name.eq_ignore_ascii_case("identifier");
        if is_identifier {
            return Err("the file has complete identifiers; leave --prefix out".into());
        }
        let (index, value_type) = split_index(name).map_err(|wrong| format!("column {name:?}: {wrong}"))?;
        ValueType::new(value_type).map_err(|wrong| format!("column {name:?}: {wrong}"))?;
        let index = index.map_or(0, crate::model::value::Index::get);
        Ok(Self::Value { index, value_type: value_type.to_owned(), name: name.to_owned() })
    }

    /// Index in the header; 0 for none.
    fn index(&self) -> u32 {
        match self {
            Self::Value { index, .. } => *index,
            Self::Name | Self::Nameless => 0,
        }
    }
}

/// The message when no column holds identifiers.
fn no_name<'a>(header: impl Iterator<Item = &'a str> + Clone, naming: &Naming) -> String {
    let found: Vec<String> = header.clone().take(8).map(|name| format!("{name:?}")).collect();
    let noun = naming.noun();
    let advice = if header.clone().any(|name| name.eq_ignore_ascii_case("suffix")) {
        "give --prefix PREFIX for the suffixes of the file".to_owned()
    } else if header.clone().any(|name| name.contains(';') || name.contains('\t')) {
        "if its columns are not separated by commas, use --delimiter".to_owned()
    } else {
        format!("name the column of the {noun}s {noun:?}")
    };
    format!("the header (row 1) has no column {noun:?}, only {}; {advice}", found.join(", "))
}

#[cfg(test)]
mod tests {
    use super::{Columns, Naming};

    fn columns(header: &[&str]) -> Result<Columns, String> {
        Columns::of_header(header.iter().copied(), &Naming::Whole)
    }

    fn values(header: &[&str], cells: &[&str]) -> Vec<(u32, String, String)> {
        let columns = columns(header).expect("a header");
        let values = columns.values(cells.iter().copied()).expect("a row");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        values.into_iter().map(|value| (value.index, value.r#type, text(value.data))).collect()
    }

    #[test]
    fn columns_without_an_index_are_numbered_in_their_order() {
        let found = values(&["URL", "identifier", "2:EMAIL", "URL", "NAME"], &["a", "88/x", "b", "", "d"]);
        let expected = [(1, "URL", "a"), (2, "EMAIL", "b"), (4, "NAME", "d")];
        let expected = expected.map(|(index, name, data)| (index, name.to_owned(), data.to_owned()));
        assert_eq!(found, expected);
    }

    #[test]
    fn an_index_may_have_another_type_in_another_row() {
        let header = ["identifier", "1:URL", "1:EMAIL", "NAME"];
        assert_eq!(values(&header, &["88/x", "", "m", "n"])[0].1, "EMAIL");
        assert_eq!(values(&header, &["88/y", "u", "", "n"])[1], (2, "NAME".to_owned(), "n".to_owned()));
    }

    #[test]
    fn cells_stay_text() {
        let found = values(&["Identifier", "SIZE"], &["88/x", " 007.50 "]);
        assert_eq!(found, [(1, "SIZE".to_owned(), " 007.50 ".to_owned())]);
    }

    #[test]
    fn a_header_without_a_name_for_its_rows_is_explained() {
        let refused = |header: &[&str]| columns(header).expect_err("no header");
        assert!(refused(&["id", "URL"]).contains("\"id\", \"URL\""));
        assert!(refused(&["suffix", "URL"]).contains("--prefix"));
        assert!(refused(&["identifier;URL"]).contains("--delimiter"));
        assert!(refused(&["identifier", "identifier"]).contains("two columns"));
        assert!(refused(&["identifier", "0:A"]).contains("index 0"));
        let under = Naming::Under { prefix: "88".into() };
        let both = Columns::of_header(["identifier", "suffix"].into_iter(), &under);
        assert!(both.expect_err("both").contains("leave --prefix out"));
    }

    #[test]
    fn a_cell_without_a_column_name_is_refused() {
        let columns = columns(&["identifier", ""]).expect("a header");
        assert_eq!(columns.values(["88/x", ""].into_iter()).expect("a row"), []);
        let refused = columns.values(["88/x", "y"].into_iter()).expect_err("a cell without a name");
        assert!(refused.contains("column 2"), "{refused}");
    }
}
