//! Digests: the algorithms that clients of each age name, by code and by word.

use md5::Md5;
use sha1::Sha1;
use sha2::Sha256;
use sm3::Sm3;

use super::KeyError;

/// A digest algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DigestAlgorithm {
    /// MD5: the oldest clients.
    Md5,
    /// SHA-1: clients before 2.7, and DSA before 2.11.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SM3 (GB/T 32905-2016): used with SM2 only.
    Sm3,
}

impl DigestAlgorithm {
    /// The algorithm that a client names, in any of the usual spellings.
    pub fn parse(name: &str) -> Option<Self> {
        let plain: String = name.chars().filter(|c| *c != '-').collect::<String>().to_ascii_uppercase();
        match plain.as_str() {
            "MD5" => Some(Self::Md5),
            "SHA" | "SHA1" => Some(Self::Sha1),
            "SHA256" => Some(Self::Sha256),
            "SM3" => Some(Self::Sm3),
            _ => None,
        }
    }

    /// The algorithm of a one-byte code.
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Md5),
            2 => Some(Self::Sha1),
            3 => Some(Self::Sha256),
            _ => None,
        }
    }

    /// The algorithm that bytes of a message name, by word or by one-byte code.
    pub fn decode_name(name: &[u8]) -> Result<Self, KeyError> {
        let found = match name {
            [code] => Self::from_code(*code),
            word => core::str::from_utf8(word).ok().and_then(Self::parse),
        };
        let unknown = || String::from_utf8_lossy(name).chars().take(32).collect();
        found.ok_or_else(|| KeyError::Unknown { what: "digest algorithm", found: unknown() })
    }

    /// The usual name of the algorithm.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
            Self::Sm3 => "SM3",
        }
    }

    /// The one-byte code; SM3 has none.
    pub fn code(self) -> Option<u8> {
        match self {
            Self::Md5 => Some(1),
            Self::Sha1 => Some(2),
            Self::Sha256 => Some(3),
            Self::Sm3 => None,
        }
    }

    /// Bytes of a digest.
    pub fn bytes(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 | Self::Sm3 => 32,
        }
    }

    /// The digest of concatenated parts.
    pub fn digest(self, parts: &[&[u8]]) -> Vec<u8> {
        fn over<D: md5::Digest>(parts: &[&[u8]]) -> Vec<u8> {
            let mut digest = D::new();
            parts.iter().for_each(|part| digest.update(part));
            digest.finalize().to_vec()
        }
        match self {
            Self::Md5 => over::<Md5>(parts),
            Self::Sha1 => over::<Sha1>(parts),
            Self::Sha256 => over::<Sha256>(parts),
            Self::Sm3 => over::<Sm3>(parts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::DigestAlgorithm;

    #[test]
    fn every_algorithm_digests_as_its_standard_says() {
        let hex =
            |algorithm: DigestAlgorithm| data_encoding::HEXLOWER.encode(&algorithm.digest(&[b"a", b"bc"]));
        assert_eq!(hex(DigestAlgorithm::Md5), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(hex(DigestAlgorithm::Sha1), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert!(hex(DigestAlgorithm::Sha256).starts_with("ba7816bf8f01cfea"));
        assert_eq!(
            hex(DigestAlgorithm::Sm3),
            "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
        );
    }

    #[test]
    fn clients_spell_algorithms_in_many_ways() {
        for name in ["SHA-256", "sha256", "SHA256"] {
            assert_eq!(DigestAlgorithm::parse(name), Some(DigestAlgorithm::Sha256), "{name}");
        }
        assert_eq!(DigestAlgorithm::parse("SHA-1"), Some(DigestAlgorithm::Sha1));
        assert_eq!(DigestAlgorithm::parse("SHA-512"), None);
    }
}
