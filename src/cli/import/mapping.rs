//! Mapping: what columns and keys mean whose names do not say it, as `--map` and `--permissions` give it.

use super::super::value_argument::split_index;
use crate::model::nearest::nearest;
use crate::model::value::{Permissions, ValueType};

//----------- ColumnMapping --------------------------------------------------

/// The meaning of one column of a CSV file, or key of JSON lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct ColumnMapping {
    column: String,
    meaning: Meaning,
}

/// What a column or key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Identifiers.
    Identifier,
    /// Suffixes, for the prefix of `--prefix`.
    Suffix,
    /// Nothing that is read.
    Skip,
    /// What a column with this name holds.
    Named(String),
}

/// Parses `COLUMN=TYPE`, `COLUMN=identifier`, `COLUMN=suffix` or `COLUMN=skip`; the last `=` divides them.
pub(in super::super) fn parse_mapping(text: &str) -> Result<ColumnMapping, String> {
    let split = text.rsplit_once('=').filter(|(column, meaning)| !column.is_empty() && !meaning.is_empty());
    let (column, meaning) = split.ok_or(
        "write COLUMN=TYPE, COLUMN=INDEX:TYPE, COLUMN=identifier, COLUMN=suffix or COLUMN=skip, such as 网址=URL",
    )?;
    let meaning = match meaning {
        "identifier" => Meaning::Identifier,
        "suffix" => Meaning::Suffix,
        "skip" => Meaning::Skip,
        name => Meaning::Named(name.to_owned()),
    };
    Ok(ColumnMapping { column: column.to_owned(), meaning })
}

/// All meanings that the command line gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mapping(Vec<ColumnMapping>);

impl Mapping {
    /// Takes the arguments; a column has one meaning.
    pub(super) fn new(given: &[ColumnMapping]) -> Result<Self, String> {
        for (position, mapping) in given.iter().enumerate() {
            if given.iter().skip(position + 1).any(|other| other.column == mapping.column) {
                return Err(format!("--map gives column {:?} two meanings", mapping.column));
            }
        }
        Ok(Self(given.to_vec()))
    }

    /// The meaning of a column or key, if one is given.
    pub(super) fn of(&self, column: &str) -> Option<&Meaning> {
        self.0.iter().find(|mapping| mapping.column == column).map(|mapping| &mapping.meaning)
    }

    /// Refuses a mapping of a column that a header does not have.
    pub(super) fn check_columns(&self, header: &[String]) -> Result<(), String> {
        let absent = self.0.iter().find(|mapping| !header.contains(&mapping.column));
        let Some(ColumnMapping { column, .. }) = absent else { return Ok(()) };
        let advice = match nearest(column, header.iter().cloned()) {
            Some(name) => format!("did you mean {name:?}?"),
            None => format!("it has {}", listed(header)),
        };
        Err(format!("--map names column {column:?}, which the header does not have; {advice}"))
    }
}

/// The first names of a header.
pub(super) fn listed(header: &[String]) -> String {
    let names: Vec<String> = header.iter().take(8).map(|name| format!("{name:?}")).collect();
    names.join(", ")
}

//----------- TypePermissions ------------------------------------------------

/// The permissions of all values of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct TypePermissions {
    value_type: ValueType,
    permissions: Permissions,
}

/// Parses `TYPE=DIGITS`.
pub(in super::super) fn parse_permissions(text: &str) -> Result<TypePermissions, String> {
    let (name, digits) = text
        .rsplit_once('=')
        .ok_or("write TYPE=DIGITS, such as PRICE=1100 for values that only administrators read")?;
    let (_, value_type) = split_index(name)?;
    let value_type = ValueType::new(value_type).map_err(|error| error.to_string())?;
    let permissions = Permissions::parse(digits).map_err(|error| error.to_string())?;
    Ok(TypePermissions { value_type, permissions })
}

/// The bits of the permissions that are given for a type.
pub(super) fn permissions_of(given: &[TypePermissions], value_type: &str) -> Option<u32> {
    let found = given.iter().find(|one| one.value_type.is(value_type))?;
    Some(u32::from(found.permissions.bits()))
}

//----------- Unused ---------------------------------------------------------

/// What the command line gives a meaning to and nothing in a file has had so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unused {
    columns: Vec<String>,
    types: Vec<ValueType>,
}

impl Unused {
    /// All that the command line names.
    pub(super) fn new(mapping: &Mapping, permissions: &[TypePermissions]) -> Self {
        Self {
            columns: mapping.0.iter().map(|one| one.column.clone()).collect(),
            types: permissions.iter().map(|one| one.value_type.clone()).collect(),
        }
    }

    /// Takes note of a key.
    pub(super) fn see_column(&mut self, key: &str) {
        self.columns.retain(|column| column != key);
    }

    /// Takes note of the type of a value.
    pub(super) fn see_type(&mut self, value_type: &str) {
        self.types.retain(|one| !one.is(value_type));
    }

    /// What is left, in sentences.
    pub(super) fn sentences(&self) -> Vec<String> {
        let columns = self.columns.iter().map(|column| format!("--map names {column:?}, which no line has"));
        let types = self.types.iter().map(|value_type| {
            format!("--permissions names the type {:?}, but no value has it", value_type.to_string())
        });
        columns.chain(types).collect()
    }
}

/// Refuses permissions for a type of which a header has no column.
pub(super) fn check_types<'a>(
    given: &[TypePermissions],
    types: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), String> {
    let absent = given.iter().find(|one| !types.clone().any(|found| one.value_type.is(found)));
    absent.map_or(Ok(()), |one| {
        let name = one.value_type.to_string();
        Err(format!("--permissions names the type {name:?}, but no column has it"))
    })
}

#[cfg(test)]
mod tests {
    use super::{Mapping, Meaning, check_types, parse_mapping, parse_permissions, permissions_of};

    fn mapping(given: &[&str]) -> Result<Mapping, String> {
        let given: Vec<_> = given.iter().map(|text| parse_mapping(text).expect("a mapping")).collect();
        Mapping::new(&given)
    }

    #[test]
    fn a_column_gets_the_meaning_that_is_given() {
        let mapping = mapping(&["编码=identifier", "网址=2:URL", "a=b=skip"]).expect("mappings");
        assert_eq!(mapping.of("编码"), Some(&Meaning::Identifier));
        assert_eq!(mapping.of("网址"), Some(&Meaning::Named("2:URL".into())));
        assert_eq!(mapping.of("a=b"), Some(&Meaning::Skip));
        assert_eq!(mapping.of("名称"), None);
    }

    #[test]
    fn what_is_no_mapping_is_refused() {
        for text in ["编码", "=URL", "编码="] {
            assert!(parse_mapping(text).expect_err(text).contains("COLUMN=TYPE"));
        }
        assert!(mapping(&["A=skip", "A=URL"]).expect_err("twice").contains("two meanings"));
        let header = ["identifer".to_owned(), "URL".to_owned()];
        let refused = mapping(&["identifier=skip"]).expect("one").check_columns(&header);
        assert!(refused.expect_err("absent").contains("did you mean \"identifer\"?"));
    }

    #[test]
    fn permissions_are_of_a_type() {
        let given = [parse_permissions("PRICE=1100").expect("permissions")];
        assert_eq!(permissions_of(&given, "PRICE"), Some(0b1100));
        assert_eq!(permissions_of(&given, "URL"), None);
        check_types(&given, ["PRICE"].into_iter()).expect("a column");
        assert!(check_types(&given, ["URL"].into_iter()).expect_err("none").contains("\"PRICE\""));
        assert!(parse_permissions("PRICE").expect_err("no digits").contains("TYPE=DIGITS"));
        parse_permissions("PRICE=2").expect_err("no permissions");
    }
}
