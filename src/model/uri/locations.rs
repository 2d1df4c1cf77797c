//! Locations: the value type `10320/loc` of CNRI's proxies, XML that lists URIs and how one of them is chosen.
//!
//! ```text
//!   <locations chooseby="locatt,country,weighted">
//!     <location id="0" href="https://uk.example.com/" country="gb" weight="0"/>
//!     <location id="1" href="https://example.com/" weight="1"/>
//!   </locations>
//! ```
//! The steps of `chooseby` narrow the choice one after the other; a step that would leave no location is skipped:
//!
//! - `locatt`: the locations that have the attributes which the client names, such as `id:1` or `country:gb`;
//! - `country`: the locations without `country`, because the country of the client is not known;
//! - `weighted`: one by chance, in proportion to its weight (1 where none is stated); one of weight 0 only where all are.
//!
//! Locations that are no http or https URI do not count. A document type declaration is refused, so that there are no
//! entities; bytes and nodes, and so the depth, are bounded, and the parser does not recurse. It compares each attribute with
//! those before it in its element, and each namespace with those of its parent: both are bounded before it sees them.

use roxmltree::{Document, Node, ParsingOptions};

use super::{Uri, WeightedUri};
use crate::model::value::Value;

/// Bytes of XML that are read.
const LOCATIONS_BYTES_MAX: usize = 16 * 1024;
/// Nodes of XML that are read: elements, and the text between them.
const LOCATIONS_NODES_MAX: u32 = 512;
/// Equals signs between one `<` and the next in XML that is read, and so attributes of one element.
const EQUALS_MAX: usize = 128;
/// Times that `xmlns` occurs in XML that is read, and so declarations of namespaces: the format has none.
const NAMESPACES_MAX: usize = 8;
/// Thousandths of a weight of 1.
const WEIGHT_ONE: u64 = 1_000;
/// Thousandths of the greatest weight: a hundredth of it is a weight in DNS.
const WEIGHT_MAX: u64 = 655_350;

//----------- LocationChoice -------------------------------------------------

/// What is known of a client, by which one of several locations is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocationChoice {
    /// Names and values of attributes that the client asks for.
    pub attributes: Vec<(String, String)>,
    /// A random number.
    pub random: u64,
}

//----------- Locations ------------------------------------------------------

/// The locations of one value; at least one.
pub(super) struct Locations {
    ways: Vec<Way>,
    locations: Vec<Location>,
}

/// One URI, and the attributes by which it is chosen.
pub(super) struct Location {
    uri: Uri,
    attributes: Vec<(String, String)>,
    /// Thousandths.
    weight: u64,
}

/// A way to narrow the choice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Attributes,
    Country,
    Weighted,
}

impl Way {
    const USUAL: [Self; 3] = [Self::Attributes, Self::Country, Self::Weighted];

    fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "locatt" => Some(Self::Attributes),
            "country" => Some(Self::Country),
            "weighted" => Some(Self::Weighted),
            _ => None,
        }
    }
}

impl Locations {
    /// The locations of a value; none when its data is not readable, or holds no web address.
    pub(super) fn of_value(value: &Value) -> Option<Self> {
        let text = core::str::from_utf8(&value.data).ok().filter(|text| is_cheap(text))?;
        let options = ParsingOptions {
            allow_dtd: false,
            nodes_limit: LOCATIONS_NODES_MAX,
            ..ParsingOptions::default()
        };
        let document = Document::parse_with_options(text, options).ok()?;
        let root = document.root_element();
        if root.tag_name().name() != "locations" {
            return None;
        }
        let ways = match root.attribute("chooseby") {
            Some(text) => text.split(',').filter_map(Way::parse).collect(),
            None => Way::USUAL.to_vec(),
        };
        let elements = root.children().filter(|node| node.tag_name().name() == "location");
        let locations: Vec<Location> = elements.filter_map(Location::of_element).collect();
        (!locations.is_empty()).then_some(Self { ways, locations })
    }

    /// The locations that are left before one is taken by chance, in the order of the document.
    pub(super) fn candidates(&self, choice: &LocationChoice) -> Vec<&Location> {
        let mut left: Vec<&Location> = self.locations.iter().collect();
        for way in self.ways.iter().take_while(|way| **way != Way::Weighted) {
            let narrowed: Vec<&Location> = match way {
                Way::Attributes if choice.attributes.is_empty() => continue,
                Way::Attributes => {
                    left.iter().copied().filter(|one| one.has_all(&choice.attributes)).collect()
                }
                Way::Country => {
                    left.iter().copied().filter(|one| one.attribute("country").is_none()).collect()
                }
                Way::Weighted => continue,
            };
            if !narrowed.is_empty() {
                left = narrowed;
            }
        }
        // A location of weight 0 is for those who ask for it, unless there are no others.
        if left.iter().any(|one| one.weight > 0) {
            left.retain(|one| one.weight > 0);
        }
        left
    }

    /// The location for a client.
    pub(super) fn choose(&self, choice: &LocationChoice) -> Option<Uri> {
        let left = self.candidates(choice);
        let weight = |one: &&Location| one.weight.max(1);
        let total: u64 = left.iter().map(weight).sum();
        // The high half of the product is evenly distributed below the total.
        let product = u128::from(choice.random) * u128::from(total);
        let mut ahead = u64::try_from(product >> 64).unwrap_or(0);
        for one in &left {
            match ahead.checked_sub(weight(one)) {
                Some(rest) => ahead = rest,
                None => return Some(one.uri.clone()),
            }
        }
        None
    }
}

impl Location {
    fn of_element(element: Node<'_, '_>) -> Option<Self> {
        let uri = Uri::parse(element.attribute("href")?).filter(Uri::is_web)?;
        let attributes = element.attributes();
        let attributes = attributes.map(|one| (one.name().to_owned(), one.value().to_owned())).collect();
        let weight = element.attribute("weight").and_then(parse_weight).unwrap_or(WEIGHT_ONE);
        Some(Self { uri, attributes, weight })
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    fn has_all(&self, asked: &[(String, String)]) -> bool {
        asked
            .iter()
            .all(|(name, value)| self.attribute(name).is_some_and(|own| own.eq_ignore_ascii_case(value)))
    }
}

impl From<&Location> for WeightedUri {
    fn from(location: &Location) -> Self {
        let hundredths = location.weight / (WEIGHT_ONE / 100);
        Self { uri: location.uri.clone(), weight: u16::try_from(hundredths).unwrap_or(u16::MAX) }
    }
}

/// Whether text is parsed in little time, whatever it says.
fn is_cheap(text: &str) -> bool {
    // An attribute has an equals sign, and the value of none has a `<` (XML 1.0 section 3.1).
    text.len() <= LOCATIONS_BYTES_MAX
        && text.matches("xmlns").count() <= NAMESPACES_MAX
        && text.split('<').all(|element| element.matches('=').count() <= EQUALS_MAX)
}

/// A decimal number as thousandths, such as 0.25; more digits are cut.
fn parse_weight(text: &str) -> Option<u64> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    let thousandths = digits.parse::<u64>().ok()?;
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().unwrap_or(WEIGHT_MAX) };
    Some(whole.saturating_mul(WEIGHT_ONE).saturating_add(thousandths).min(WEIGHT_MAX))
}
