//! Values: the indexed, typed data of an identifier.
//!
//! The shape is the Handle protocol's (RFC 3651 section 3.1): index, type, data, TTL, permissions, references,
//! timestamp. [`Values`] is the checked whole of one identifier: ascending, unique indexes, within the bounds that
//! let every front end carry it.

use core::fmt;

use super::identifier::Identifier;
use super::limits::{
    IDENTIFIER_BYTES_MAX, INDEX_MAX, REFERENCES_MAX, TTL_DEFAULT_SECONDS, TTL_MAX_SECONDS,
    VALUE_TYPE_BYTES_MAX, VALUES_BYTES_MAX, VALUES_MAX,
};

//----------- Value ----------------------------------------------------------

/// One indexed item of an identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The number of the value within its identifier.
    pub index: Index,
    /// The type, such as `URL` or `HS_ADMIN`.
    pub value_type: ValueType,
    /// The data, opaque to the node.
    pub data: Vec<u8>,
    /// How long an answer may be cached.
    pub ttl: Ttl,
    /// Who may read and write it.
    pub permissions: Permissions,
    /// Values of other identifiers that it refers to.
    pub references: Vec<Reference>,
    /// Time of the last change in seconds since 1970; set by the node, ignored in requests.
    pub timestamp: u32,
}

impl Value {
    /// Bytes of this value in Handle encoding (RFC 3651 section 3.1).
    pub fn encoded_bytes(&self) -> usize {
        let references: usize =
            self.references.iter().map(|reference| 8 + reference.identifier_bytes()).sum();
        4 + 4 + 1 + 4 + 1 + 4 + self.value_type.as_str().len() + 4 + self.data.len() + 4 + references
    }

    /// Whether both are equal except for their timestamps.
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.index == other.index
            && self.value_type == other.value_type
            && self.data == other.data
            && self.ttl == other.ttl
            && self.permissions == other.permissions
            && self.references == other.references
    }

    fn check(&self) -> Result<(), ValueError> {
        if self.references.len() > REFERENCES_MAX {
            return Err(ValueError::TooManyReferences { index: self.index, count: self.references.len() });
        }
        if self.value_type.is(ValueType::HS_SECKEY) && self.permissions.has(Permissions::PUBLIC_READ) {
            return Err(ValueError::PublicSecret { index: self.index });
        }
        Ok(())
    }
}

//----------- Values ---------------------------------------------------------

/// All values of one identifier: ascending, unique indexes, within bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(Vec<Value>);

impl Values {
    /// Checks and orders values; the order given does not matter.
    pub fn new(mut values: Vec<Value>) -> Result<Self, ValueError> {
        if values.len() > VALUES_MAX {
            return Err(ValueError::TooMany { count: values.len() });
        }
        values.sort_by_key(|value| value.index);
        let repeated =
            values.iter().zip(values.iter().skip(1)).find(|(left, right)| left.index == right.index);
        if let Some((value, _)) = repeated {
            return Err(ValueError::RepeatedIndex { index: value.index });
        }
        values.iter().try_for_each(Value::check)?;
        let bytes: usize = values.iter().map(Value::encoded_bytes).sum();
        if bytes > VALUES_BYTES_MAX {
            return Err(ValueError::TooLarge { bytes });
        }
        Ok(Self(values))
    }

    /// The values by ascending index.
    pub fn as_slice(&self) -> &[Value] {
        &self.0
    }

    /// The value at an index.
    pub fn get(&self, index: Index) -> Option<&Value> {
        let position = self.0.binary_search_by_key(&index, |value| value.index).ok()?;
        self.0.get(position)
    }

    /// Converts into the values, by ascending index.
    pub fn into_vec(self) -> Vec<Value> {
        self.0
    }

    /// Bytes of all values in Handle encoding.
    pub fn encoded_bytes(&self) -> usize {
        self.0.iter().map(Value::encoded_bytes).sum()
    }

    /// Whether both have equal values, except for timestamps.
    pub fn say_the_same(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(|(left, right)| left.says_the_same(right))
    }
}

//----------- Index ----------------------------------------------------------

/// The number of a value within its identifier: 1 to 2^31-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Index(u32);

impl Index {
    /// Accepts 1 to 2^31-1.
    pub fn new(number: u32) -> Result<Self, ValueError> {
        if number == 0 || number > INDEX_MAX {
            Err(ValueError::Index { found: number })
        } else {
            Ok(Self(number))
        }
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

//----------- ValueType ------------------------------------------------------

/// What a value's data is; compared without ASCII case, stored as spelled.
#[derive(Clone, Debug)]
pub struct ValueType(Box<str>);

impl ValueType {
    /// A secret key of the Handle protocol: never publicly readable.
    pub const HS_SECKEY: &'static str = "HS_SECKEY";
    /// A public key of the Handle protocol.
    pub const HS_PUBKEY: &'static str = "HS_PUBKEY";
    /// A list of identities (RFC 3651 section 3.2.7).
    pub const HS_VLIST: &'static str = "HS_VLIST";
    /// An administrator (RFC 3651 section 3.2.1).
    pub const HS_ADMIN: &'static str = "HS_ADMIN";
    /// A site (RFC 3651 section 3.2.2).
    pub const HS_SITE: &'static str = "HS_SITE";
    /// A web address.
    pub const URL: &'static str = "URL";

    /// Accepts 1 to 255 bytes of UTF-8.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() || text.len() > VALUE_TYPE_BYTES_MAX {
            return Err(ValueError::Type { bytes: text.len() });
        }
        Ok(Self(text.into()))
    }

    /// The type as spelled.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the named type.
    pub fn is(&self, name: &str) -> bool {
        self.0.eq_ignore_ascii_case(name)
    }

    /// Whether a question for `asked` selects it: the type itself, or all its subtypes when `asked` ends in a dot.
    pub fn is_selected_by(&self, asked: &Self) -> bool {
        let Some(family) = asked.0.strip_suffix('.') else {
            return self == asked;
        };
        match self.0.split_at_checked(family.len()) {
            Some((head, rest)) => {
                head.eq_ignore_ascii_case(family) && (rest.is_empty() || rest.starts_with('.'))
            }
            None => false,
        }
    }
}

impl PartialEq for ValueType {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for ValueType {}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

//----------- Ttl ------------------------------------------------------------

/// How long an answer may be cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// Seconds from the answer on, at most 2^31-1.
    Relative(u32),
    /// Until this second since 1970.
    Absolute(u32),
}

impl Ttl {
    /// Seconds that remain at `now_seconds`.
    pub fn remaining_seconds(self, now_seconds: u64) -> u32 {
        match self {
            Self::Relative(seconds) => seconds.min(TTL_MAX_SECONDS),
            Self::Absolute(until) => {
                let left = u64::from(until).saturating_sub(now_seconds);
                u32::try_from(left).unwrap_or(TTL_MAX_SECONDS).min(TTL_MAX_SECONDS)
            }
        }
    }
}

impl Default for Ttl {
    fn default() -> Self {
        Self::Relative(TTL_DEFAULT_SECONDS)
    }
}

//----------- Permissions ----------------------------------------------------

/// Who may read and write a value: administrators and the public (RFC 3651 section 3.1).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Permissions(u8);

impl Permissions {
    /// Administrators may read.
    pub const ADMIN_READ: Self = Self(0x8);
    /// Administrators may write.
    pub const ADMIN_WRITE: Self = Self(0x4);
    /// Anybody may read.
    pub const PUBLIC_READ: Self = Self(0x2);
    /// Anybody may write.
    pub const PUBLIC_WRITE: Self = Self(0x1);
    /// `1110`: administrators read and write, the public reads.
    pub const DEFAULT: Self = Self(0xe);
    /// `1100`: administrators read and write; what an HS_SECKEY has.
    pub const SECRET: Self = Self(0xc);

    /// The permissions a value of this type has when none are stated.
    pub fn default_of(value_type: &ValueType) -> Self {
        if value_type.is(ValueType::HS_SECKEY) { Self::SECRET } else { Self::DEFAULT }
    }

    /// Creates permissions from the four low bits.
    pub fn from_bits(bits: u8) -> Self {
        Self(bits & 0xf)
    }

    /// The four bits: admin read, admin write, public read, public write.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Whether every permission of `other` is given.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Parses four binary digits such as `1110`.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let well_formed = text.len() == 4 && text.bytes().all(|byte| matches!(byte, b'0' | b'1'));
        match u8::from_str_radix(text, 2) {
            Ok(bits) if well_formed => Ok(Self(bits)),
            _ => Err(ValueError::Permissions { found: text.chars().take(16).collect() }),
        }
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04b}", self.0)
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04b}", self.0)
    }
}

//----------- Reference ------------------------------------------------------

/// A reference to a value of another identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The identifier referred to.
    pub identifier: Identifier,
    /// The index there; 0 means the whole identifier.
    pub index: u32,
}

impl Reference {
    fn identifier_bytes(&self) -> usize {
        self.identifier.prefix().as_str().len() + 1 + self.identifier.suffix().len()
    }
}

//----------- ValueError -----------------------------------------------------

/// Why values are not valid: which index, what was found, what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueError {
    /// An index outside 1 to 2^31-1.
    Index {
        /// The number found.
        found: u32,
    },
    /// A type that is empty or too long.
    Type {
        /// Bytes found.
        bytes: usize,
    },
    /// Permissions that are not four binary digits.
    Permissions {
        /// The beginning of what was found.
        found: String,
    },
    /// One index occurs twice.
    RepeatedIndex {
        /// The index.
        index: Index,
    },
    /// A secret key that the public could read.
    PublicSecret {
        /// Its index.
        index: Index,
    },
    /// A value refers to too many others.
    TooManyReferences {
        /// Its index.
        index: Index,
        /// References found.
        count: usize,
    },
    /// The identifier has too many values.
    TooMany {
        /// Values found.
        count: usize,
    },
    /// The values together are too large for a Handle message.
    TooLarge {
        /// Bytes found, in Handle encoding.
        bytes: usize,
    },
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index { found } => write!(f, "index {found} is not from 1 to {INDEX_MAX}"),
            Self::Type { bytes } => {
                write!(f, "value type has {bytes} bytes; 1 to {VALUE_TYPE_BYTES_MAX} are allowed")
            }
            Self::Permissions { found } => {
                write!(f, "permissions {found:?} are not four binary digits; write them such as 1110")
            }
            Self::RepeatedIndex { index } => {
                write!(f, "index {index} stands twice; each index holds one value")
            }
            Self::PublicSecret { index } => {
                write!(f, "index {index} is an HS_SECKEY that the public could read; use permissions 1100")
            }
            Self::TooManyReferences { index, count } => {
                write!(f, "index {index} has {count} references; at most {REFERENCES_MAX} are allowed")
            }
            Self::TooMany { count } => write!(f, "{count} values; an identifier holds at most {VALUES_MAX}"),
            Self::TooLarge { bytes } => write!(
                f,
                "values take {bytes} bytes in Handle encoding; at most {VALUES_BYTES_MAX} are allowed"
            ),
        }
    }
}

impl core::error::Error for ValueError {}

const _: () = assert!(IDENTIFIER_BYTES_MAX < VALUES_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::{Index, Permissions, Ttl, Value, ValueError, ValueType, Values};

    fn value(index: u32, value_type: &str, permissions: Permissions) -> Value {
        Value {
            index: Index::new(index).expect("a valid index"),
            value_type: ValueType::new(value_type).expect("a valid type"),
            data: b"x".to_vec(),
            ttl: Ttl::default(),
            permissions,
            references: Vec::new(),
            timestamp: 0,
        }
    }

    #[test]
    fn values_are_listed_by_ascending_index() {
        let given = vec![value(9, "A", Permissions::DEFAULT), value(2, "B", Permissions::DEFAULT)];
        let values = Values::new(given).expect("two values");
        let order: Vec<u32> = values.as_slice().iter().map(|value| value.index.get()).collect();
        assert_eq!(order, [2, 9]);
    }

    #[test]
    fn an_index_stands_once() {
        let given = vec![value(2, "A", Permissions::DEFAULT), value(2, "B", Permissions::DEFAULT)];
        let index = Index::new(2).expect("a valid index");
        assert_eq!(Values::new(given), Err(ValueError::RepeatedIndex { index }));
    }

    #[test]
    fn a_secret_key_is_never_public() {
        let index = Index::new(3).expect("a valid index");
        let given = vec![value(3, "hs_seckey", Permissions::DEFAULT)];
        assert_eq!(Values::new(given), Err(ValueError::PublicSecret { index }));
    }

    #[test]
    fn an_identifier_has_a_bounded_size() {
        let mut large = value(1, "A", Permissions::DEFAULT);
        large.data = vec![0; 240_000];
        assert_eq!(Values::new(vec![large]), Err(ValueError::TooLarge { bytes: 240_027 }));
    }

    #[test]
    fn a_type_with_a_final_dot_asks_for_the_family() {
        let is = |own: &str, asked: &str| {
            let own = ValueType::new(own).expect("a valid type");
            own.is_selected_by(&ValueType::new(asked).expect("a valid type"))
        };
        assert!(is("HS_SITE.6", "hs_site."));
        assert!(is("HS_SITE", "HS_SITE."));
        assert!(!is("HS_SITES", "HS_SITE."));
        assert!(is("url", "URL"));
    }

    #[test]
    fn permissions_are_four_binary_digits() {
        assert_eq!(Permissions::parse("1110"), Ok(Permissions::DEFAULT));
        assert_eq!(Permissions::parse("+110"), Err(ValueError::Permissions { found: "+110".into() }));
    }

    #[test]
    fn an_absolute_ttl_runs_out() {
        assert_eq!(Ttl::Absolute(100).remaining_seconds(40), 60);
        assert_eq!(Ttl::Absolute(100).remaining_seconds(400), 0);
    }
}
