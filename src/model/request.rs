//! Request ids: they make it safe to repeat a command.

use core::fmt;

/// A caller's name for one request: a UUIDv7 (RFC 9562 section 5.7), whose time bounds how long it is remembered.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// Accepts 16 bytes that are a UUID of version 7.
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        let number = u128::from_be_bytes(bytes);
        let (version, variant) = ((number >> 76) & 0xf, (number >> 62) & 0x3);
        (version == 7 && variant == 2).then_some(Self(bytes))
    }

    /// Parses the hyphenated text form or 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let hyphens_fit = match text.len() {
            32 => true,
            36 => [8, 13, 18, 23].iter().all(|at| text.as_bytes().get(*at) == Some(&b'-')),
            _ => false,
        };
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        let well_formed =
            hyphens_fit && digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(&digits, 16).ok().filter(|_| well_formed)?;
        Self::from_bytes(number.to_be_bytes())
    }

    /// The 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Time at which the caller created it, in milliseconds since 1970.
    pub fn made_ms(&self) -> u64 {
        let [a, b, c, d, e, f, ..] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = u128::from_be_bytes(self.0);
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            number >> 96,
            (number >> 80) & 0xffff,
            (number >> 64) & 0xffff,
            (number >> 48) & 0xffff,
            number & 0xffff_ffff_ffff
        )
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::RequestId;

    #[test]
    fn only_version_7_is_a_request_id() {
        let text = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
        let id = RequestId::parse(text).expect("the example of RFC 9562 appendix A.6");
        assert_eq!(id.to_string(), text);
        assert_eq!(id.made_ms(), 1_645_557_742_000);
        assert_eq!(RequestId::parse("919108f7-52d1-4320-9bac-f847db4148a8"), None, "version 4");
        assert_eq!(RequestId::parse("017f22e279b0-7cc3-98c4-dc0c0c07398f-"), None);
    }
}
