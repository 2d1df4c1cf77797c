//! The form of the catalog, version 1. Frozen once released; a new form gets a file of its own.

use serde::{Deserialize, Serialize};

use super::catalog::{Catalog, Listed};
use crate::model::position::Position;

const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CatalogV1 {
    format: u32,
    backups: Vec<ListedV1>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListedV1 {
    name: String,
    to: String,
}

impl From<&Catalog> for CatalogV1 {
    fn from(catalog: &Catalog) -> Self {
        let listed = catalog.listed.iter();
        let backups = listed.map(|one| ListedV1 { name: one.name.clone(), to: one.to.to_string() });
        Self { format: FORMAT, backups: backups.collect() }
    }
}

impl TryFrom<CatalogV1> for Catalog {
    type Error = String;

    fn try_from(mirror: CatalogV1) -> Result<Self, String> {
        if mirror.format != FORMAT {
            return Err(format!("format {} is not known to this version of idnode", mirror.format));
        }
        let listed = mirror.backups.into_iter().map(|one| {
            let to = Position::parse(&one.to).ok_or("its field to has an unknown value")?;
            Ok(Listed { name: one.name, to })
        });
        Ok(Self { listed: listed.collect::<Result<_, String>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::{Catalog, CatalogV1, FORMAT, Listed};
    use crate::model::position::{Incarnation, Position, Stream};

    /// A catalog as version 1 writes it: it stays readable.
    const WRITTEN: &str = r#"{
  "format": 1,
  "backups": [
    {
      "name": "2026-11-23T203243Z-full",
      "to": "01a22bae23e1739397579a7230d078f7:0:19"
    }
  ]
}"#;

    #[test]
    fn the_form_of_version_1_is_read_and_written() {
        let incarnation = Incarnation::parse("01a22bae23e1739397579a7230d078f7").expect("an incarnation");
        let to = Position { incarnation, stream: Stream::ONLY, sequence: 19 };
        let catalog = Catalog { listed: vec![Listed { name: "2026-11-23T203243Z-full".into(), to }] };
        let read: CatalogV1 = serde_json::from_str(WRITTEN).expect("it is read");
        assert_eq!(Catalog::try_from(read), Ok(catalog.clone()));
        let written = serde_json::to_string_pretty(&CatalogV1::from(&catalog)).expect("it is written");
        assert_eq!(written, WRITTEN);
        let later = WRITTEN.replace("\"format\": 1", &format!("\"format\": {}", FORMAT + 1));
        let later: CatalogV1 = serde_json::from_str(&later).expect("it is read");
        let refused = Catalog::try_from(later).expect_err("it is refused");
        assert!(refused.contains("format 2 is not known"), "{refused}");
    }
}
