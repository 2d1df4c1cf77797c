//! Who may read and write a value.

use core::fmt;

use super::error::ValueError;
use super::value_type::ValueType;

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
