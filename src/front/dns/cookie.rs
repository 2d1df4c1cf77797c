//! DNS cookies (RFC 7873) in the interoperable form (RFC 9018): they let a client tell our answers from forged ones, and
//! let us tell a client that receives our answers from one that forges its address.
//!
//! A new server cookie is made for each answer, from the client's cookie and address, the time and a secret of this run.
//! None is demanded. One that comes back and is right proves the source address of the message that carries it.

use std::net::IpAddr;

use subtle::ConstantTimeEq as _;

/// The option's code (RFC 7873 section 4).
pub(super) const COOKIE: u16 = 10;
/// Octets of the client cookie.
const CLIENT_BYTES: usize = 8;
/// Octets of the server cookie.
const SERVER_BYTES: usize = 16;
/// The form of RFC 9018 section 4.1 and its reserved octets.
const VERSION: [u8; 4] = [1, 0, 0, 0];

/// For how many seconds a server cookie is valid, and how far ahead of our clock it may be (RFC 9018 section 4.3).
const VALID_SECONDS: u32 = 3_600;
const AHEAD_SECONDS: u32 = 300;

/// A cookie option as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cookie {
    /// The client's part.
    pub(super) client: [u8; CLIENT_BYTES],
    /// The server's part, when it has the form of ours.
    pub(super) server: Option<[u8; SERVER_BYTES]>,
}

/// Reads a cookie option; none when it is malformed (RFC 7873 section 5.2.2).
pub(super) fn decode(option: &[u8]) -> Option<Cookie> {
    let (client, server) = option.split_first_chunk()?;
    matches!(server.len(), 0 | 8..=32).then_some(Cookie { client: *client, server: server.try_into().ok() })
}

impl Cookie {
    /// Whether its server part was made by this server for this client's address, not too long ago.
    pub(super) fn is_proof(&self, client: IpAddr, now_seconds: u64, secret: [u8; 16]) -> bool {
        let Some([1, 0, 0, 0, t0, t1, t2, t3, ..]) = self.server else { return false };
        let time = u32::from_be_bytes([t0, t1, t2, t3]);
        let [_, _, _, _, now @ ..] = now_seconds.to_be_bytes();
        // Serial arithmetic (RFC 1982): the difference is right across a wrap.
        let age = u32::from_be_bytes(now).wrapping_sub(time);
        let is_current = age <= VALID_SECONDS || age.wrapping_neg() <= AHEAD_SECONDS;
        let whole = [&self.client[..], &self.server.unwrap_or_default()].concat();
        is_current && bool::from(make(self.client, client, u64::from(time), secret).ct_eq(&whole))
    }
}

/// The cookie option of an answer: the client's part and ours.
pub(super) fn make(
    client: [u8; CLIENT_BYTES],
    client_address: IpAddr,
    now_seconds: u64,
    secret: [u8; 16],
) -> Vec<u8> {
    let mut cookie = client.to_vec();
    cookie.extend_from_slice(&VERSION);
    // Serial arithmetic: the time wraps around (RFC 9018 section 4.3).
    let [_, _, _, _, time @ ..] = now_seconds.to_be_bytes();
    cookie.extend_from_slice(&time);
    let mut hashed = cookie.clone();
    match client_address {
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
    use std::net::IpAddr;

    use super::{Cookie, decode, make};

    fn hex(text: &str) -> Vec<u8> {
        data_encoding::HEXLOWER.decode(text.as_bytes()).expect("hexadecimal")
    }

    /// The cookie of RFC 9018 appendix A.1.
    #[test]
    fn a_cookie_is_made_as_other_servers_make_it() {
        let client = hex("2464c4abcf10c957").try_into().expect("8 octets");
        let secret = hex("e5e973e5a6b2a43f48e7dc849e37bfcf").try_into().expect("16 octets");
        let client_address = "198.51.100.100".parse().expect("an address");
        let cookie = make(client, client_address, 1_559_731_985, secret);
        assert_eq!(cookie, hex("2464c4abcf10c957010000005cf79f111f8130c3eee29480"));
        assert_eq!(decode(&cookie).map(|cookie| cookie.client), Some(client));
    }

    #[test]
    fn a_malformed_cookie_is_none() {
        for length in 0..64 {
            let expected = matches!(length, 8 | 16..=40);
            assert_eq!(decode(&vec![7; length]).is_some(), expected, "{length} octets");
        }
    }
    const SECRET: [u8; 16] = [3; 16];
    const NOW: u64 = 1_559_731_985;

    fn made(client: IpAddr, now_seconds: u64) -> Cookie {
        decode(&make([7; 8], client, now_seconds, SECRET)).expect("well formed")
    }

    #[test]
    fn only_our_cookie_for_the_same_address_proves_it() {
        let client: IpAddr = "198.51.100.100".parse().expect("an address");
        let other: IpAddr = "198.51.100.101".parse().expect("an address");
        let cookie = made(client, NOW);
        assert!(cookie.is_proof(client, NOW, SECRET));
        assert!(!cookie.is_proof(other, NOW, SECRET), "taken over to another address");
        assert!(!cookie.is_proof(client, NOW, [4; 16]), "of another secret");
        assert!(
            !Cookie { client: [8; 8], ..cookie }.is_proof(client, NOW, SECRET),
            "of another client cookie"
        );
        assert!(!Cookie { server: None, ..cookie }.is_proof(client, NOW, SECRET), "the client's part alone");
        for position in 0..16 {
            let mut server = cookie.server.expect("ours");
            server[position] ^= 1;
            assert!(!Cookie { server: Some(server), ..cookie }.is_proof(client, NOW, SECRET), "{position}");
        }
    }

    #[test]
    fn a_cookie_is_valid_for_an_hour_and_across_the_wrap_of_its_clock() {
        let client: IpAddr = "2001:db8::7".parse().expect("an address");
        for made_at in [NOW, u64::from(u32::MAX) - 10] {
            let valid = |at: u64| made(client, made_at).is_proof(client, at, SECRET);
            assert!(valid(made_at + 3_600) && !valid(made_at + 3_601), "{made_at}");
            assert!(valid(made_at - 300) && !valid(made_at - 301), "{made_at}");
        }
    }
}
