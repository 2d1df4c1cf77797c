//! DNS cookies (RFC 7873) in the interoperable form (RFC 9018): they let an asker tell our answers from forged ones.
//!
//! A server cookie is made anew for each answer, from the asker's cookie and address, the time and a secret of this
//! run. Nothing is asked of askers without cookies, so none is ever checked.

use std::net::IpAddr;

/// The option's code (RFC 7873 section 4).
pub(super) const COOKIE: u16 = 10;
/// Octets of the asker's part.
const CLIENT_BYTES: usize = 8;
/// The form of RFC 9018 section 4.1 and its reserved octets.
const VERSION: [u8; 4] = [1, 0, 0, 0];

/// The asker's part of a cookie option; none when the option is malformed (RFC 7873 section 5.2.2).
pub(super) fn client_part(option: &[u8]) -> Option<[u8; CLIENT_BYTES]> {
    let (client, server) = option.split_first_chunk()?;
    matches!(server.len(), 0 | 8..=32).then_some(*client)
}

/// The cookie option of an answer: the asker's part and ours.
pub(super) fn make(client: [u8; CLIENT_BYTES], asker: IpAddr, now_seconds: u64, secret: [u8; 16]) -> Vec<u8> {
    let mut cookie = client.to_vec();
    cookie.extend_from_slice(&VERSION);
    // Serial arithmetic: the time wraps around (RFC 9018 section 4.3).
    let [_, _, _, _, time @ ..] = now_seconds.to_be_bytes();
    cookie.extend_from_slice(&time);
    let mut hashed = cookie.clone();
    match asker {
        IpAddr::V4(address) => hashed.extend_from_slice(&address.octets()),
        IpAddr::V6(address) => hashed.extend_from_slice(&address.octets()),
    }
    cookie.extend_from_slice(&sip_hash_2_4(secret, &hashed));
    cookie
}

#[expect(deprecated, reason = "the standard library's SipHash-2-4; what replaces it promises no algorithm")]
fn sip_hash_2_4(secret: [u8; 16], bytes: &[u8]) -> [u8; 8] {
    use core::hash::{Hasher as _, SipHasher};

    let [low @ .., _, _, _, _, _, _, _, _] = secret;
    let [_, _, _, _, _, _, _, _, high @ ..] = secret;
    let mut hasher = SipHasher::new_with_keys(u64::from_le_bytes(low), u64::from_le_bytes(high));
    hasher.write(bytes);
    hasher.finish().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::{client_part, make};

    fn hex(text: &str) -> Vec<u8> {
        data_encoding::HEXLOWER.decode(text.as_bytes()).expect("hexadecimal")
    }

    /// The cookie of RFC 9018 appendix A.1.
    #[test]
    fn a_cookie_is_made_as_other_servers_make_it() {
        let client = hex("2464c4abcf10c957").try_into().expect("8 octets");
        let secret = hex("e5e973e5a6b2a43f48e7dc849e37bfcf").try_into().expect("16 octets");
        let asker = "198.51.100.100".parse().expect("an address");
        let cookie = make(client, asker, 1_559_731_985, secret);
        assert_eq!(cookie, hex("2464c4abcf10c957010000005cf79f111f8130c3eee29480"));
        assert_eq!(client_part(&cookie), Some(client));
    }

    #[test]
    fn a_malformed_cookie_is_none() {
        for length in 0..64 {
            let expected = matches!(length, 8 | 16..=40);
            assert_eq!(client_part(&vec![7; length]).is_some(), expected, "{length} octets");
        }
    }
}
