//! The numbers of the Handle protocol: operations, response codes, flags and versions. Unknown ones are retained.

use core::cmp::Ordering;
use core::fmt;

//----------- OpCode ---------------------------------------------------------

/// The operation of a message (RFC 3652 section 2.2.2.1, and the operations that clients have added since).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpCode(pub u32);

impl OpCode {
    /// No operation: replies to what could not be read.
    pub const RESERVED: Self = Self(0);
    /// Resolve an identifier.
    pub const RESOLUTION: Self = Self(1);
    /// Ask for the server's HS_SITE.
    pub const GET_SITE_INFO: Self = Self(2);
    /// Register an identifier.
    pub const CREATE: Self = Self(100);
    /// Remove an identifier.
    pub const DELETE: Self = Self(101);
    /// Add values.
    pub const ADD_VALUE: Self = Self(102);
    /// Remove values.
    pub const REMOVE_VALUE: Self = Self(103);
    /// Replace values.
    pub const MODIFY_VALUE: Self = Self(104);
    /// List the identifiers of a prefix.
    pub const LIST_HANDLES: Self = Self(105);
    /// Answer a challenge.
    pub const CHALLENGE_RESPONSE: Self = Self(200);
    /// Ask whether another client's answer to a challenge is correct.
    pub const VERIFY_RESPONSE: Self = Self(201);
    /// Home a prefix here.
    pub const HOME_PREFIX: Self = Self(300);
    /// Unhome a prefix.
    pub const UNHOME_PREFIX: Self = Self(301);
    /// List the prefixes homed here.
    pub const LIST_HOMED_PREFIXES: Self = Self(302);
    /// Set up a session.
    pub const SESSION_SETUP: Self = Self(400);
    /// End a session.
    pub const SESSION_TERMINATE: Self = Self(401);
    /// Send the key of a session.
    pub const SESSION_EXCHANGE_KEY: Self = Self(402);
    /// Ask for the number of the next transaction.
    pub const NEXT_TRANSACTION_ID: Self = Self(1000);
    /// Retrieve the transaction log: mirrors of CNRI only.
    pub const RETRIEVE_TRANSACTIONS: Self = Self(1001);
    /// Dump all identifiers: mirrors of CNRI only.
    pub const DUMP_HANDLES: Self = Self(1002);
    /// Checkpoint the server.
    pub const BACKUP_SERVER: Self = Self(1003);
    /// Log in by password (4iot).
    pub const LOGIN_PASSWORD: Self = Self(2000);
    /// Log a connection in by key (Teleinfo, 4iot).
    pub const LOGIN_KEY: Self = Self(2001);
}

impl fmt::Display for OpCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

//----------- ResponseCode ---------------------------------------------------

/// The result of a request (RFC 3652 section 2.2.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResponseCode(pub u32);

impl ResponseCode {
    /// The code in requests.
    pub const NONE: Self = Self(0);
    /// Success.
    pub const SUCCESS: Self = Self(1);
    /// A failure of the server.
    pub const ERROR: Self = Self(2);
    /// Too busy.
    pub const SERVER_BUSY: Self = Self(3);
    /// The message cannot be read.
    pub const PROTOCOL_ERROR: Self = Self(4);
    /// The operation is not offered.
    pub const OPERATION_NOT_SUPPORTED: Self = Self(5);
    /// Forwarded by too many servers.
    pub const RECURSION_COUNT_TOO_HIGH: Self = Self(6);
    /// The server accepts no changes.
    pub const SERVER_READ_ONLY: Self = Self(7);
    /// The identifier is not registered.
    pub const HANDLE_NOT_FOUND: Self = Self(100);
    /// The identifier is registered already.
    pub const HANDLE_ALREADY_EXISTS: Self = Self(101);
    /// The identifier is malformed.
    pub const INVALID_HANDLE: Self = Self(102);
    /// The identifier has no such values.
    pub const VALUES_NOT_FOUND: Self = Self(200);
    /// The identifier has such a value already.
    pub const VALUE_ALREADY_EXISTS: Self = Self(201);
    /// The value is malformed.
    pub const INVALID_VALUE: Self = Self(202);
    /// The client's HS_SITE is out of date.
    pub const OUT_OF_DATE_SITE_INFO: Self = Self(300);
    /// The prefix is not served here.
    pub const SERVER_NOT_RESPONSIBLE: Self = Self(301);
    /// Referral to another service.
    pub const SERVICE_REFERRAL: Self = Self(302);
    /// Referral to the service of this prefix.
    pub const PREFIX_REFERRAL: Self = Self(303);
    /// The caller is not an administrator of the identifier.
    pub const INVALID_ADMIN: Self = Self(400);
    /// The caller's permissions do not suffice.
    pub const INSUFFICIENT_PERMISSIONS: Self = Self(401);
    /// A challenge follows.
    pub const AUTHENTICATION_NEEDED: Self = Self(402);
    /// The answer to the challenge is wrong.
    pub const AUTHENTICATION_FAILED: Self = Self(403);
    /// The kind of credential is unknown.
    pub const INVALID_CREDENTIAL: Self = Self(404);
    /// The challenge has expired.
    pub const AUTHENTICATION_TIMEOUT: Self = Self(405);
    /// The answer could not be checked.
    pub const UNABLE_TO_AUTHENTICATE: Self = Self(406);
    /// The session is unknown or over.
    pub const SESSION_TIMEOUT: Self = Self(500);
    /// The session cannot be set up.
    pub const SESSION_FAILED: Self = Self(501);
    /// The session's key is wrong.
    pub const INVALID_SESSION_KEY: Self = Self(502);
    /// The setup needs an RSA key.
    pub const NEED_RSA_KEY: Self = Self(503);
    /// The setup cannot be read.
    pub const INVALID_SESSION_SETUP: Self = Self(504);
    /// A message of the session was repeated.
    pub const SESSION_MESSAGE_REJECTED: Self = Self(505);

    /// The number in a protocol version: before 2.5, read-only servers and bad values had other numbers.
    #[must_use]
    pub fn spoken_in(self, version: Version) -> Self {
        match self {
            Self::SERVER_READ_ONLY if version < Version::V2_5 => Self(303),
            Self::INVALID_VALUE if version < Version::V2_5 => Self(201),
            other => other,
        }
    }
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

//----------- OpFlags --------------------------------------------------------

/// The flags of a message's header (RFC 3652 section 2.2.2.3).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct OpFlags(pub u32);

impl OpFlags {
    /// No flags.
    pub const NONE: Self = Self(0);
    /// AUTH: only primary sites may answer.
    pub const AUTHORITATIVE: Self = Self(0x8000_0000);
    /// CERT: the reply shall be signed.
    pub const CERTIFY: Self = Self(0x4000_0000);
    /// ENCR: the reply shall be encrypted.
    pub const ENCRYPT: Self = Self(0x2000_0000);
    /// RECU: the server may ask others.
    pub const RECURSIVE: Self = Self(0x1000_0000);
    /// CACR: replies from caches shall be certified.
    pub const CACHE_CERTIFY: Self = Self(0x0800_0000);
    /// CONT: more messages follow.
    pub const CONTINUOUS: Self = Self(0x0400_0000);
    /// KPAL: keep the connection open.
    pub const KEEP_ALIVE: Self = Self(0x0200_0000);
    /// PUBL: only what the public may read.
    pub const PUBLIC_ONLY: Self = Self(0x0100_0000);
    /// RRDG: the digest of the request stands before the body.
    pub const REQUEST_DIGEST: Self = Self(0x0080_0000);
    /// OVRW: overwrite existing values; in a reply: values were overwritten.
    pub const OVERWRITE: Self = Self(0x0040_0000);
    /// MINT: generate the rest of the suffix.
    pub const MINT: Self = Self(0x0020_0000);
    /// DNRF: do not refer.
    pub const NO_REFERRAL: Self = Self(0x0010_0000);
    /// Recursion with the caller's identity (Teleinfo).
    pub const RECURSIVE_IDENTITY: Self = Self(0x4);
    /// Trusted resolution is asked for (4iot).
    pub const TRUSTED_QUERY: Self = Self(0x2);
    /// Resolution was trusted (4iot).
    pub const TRUSTED_RESULT: Self = Self(0x1);

    /// Whether all of these are set.
    pub fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// These flags and others.
    #[must_use]
    pub fn with(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }

    /// These flags without others.
    #[must_use]
    pub fn without(self, flags: Self) -> Self {
        Self(self.0 & !flags.0)
    }
}

impl fmt::Debug for OpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

//----------- Version --------------------------------------------------------

/// A version of the protocol, as spelled: "5.0" is retained in messages and compares as 2.0.
#[derive(Clone, Copy, Debug)]
pub struct Version {
    /// The major number.
    pub major: u8,
    /// The minor number.
    pub minor: u8,
}

impl Version {
    /// The first version: MD5, no code before digests.
    pub const V2_0: Self = Self::new(2, 0);
    /// Digests carry their code.
    pub const V2_1: Self = Self::new(2, 1);
    /// A session's key carries its algorithm.
    pub const V2_2: Self = Self::new(2, 2);
    /// Sessions chain their cipher blocks.
    pub const V2_4: Self = Self::new(2, 4);
    /// Sessions count their messages.
    pub const V2_5: Self = Self::new(2, 5);
    /// SHA-256, HMAC, PBKDF2.
    pub const V2_7: Self = Self::new(2, 7);
    /// The suggested version is signed too.
    pub const V2_8: Self = Self::new(2, 8);
    /// Referrals by prefix are followed.
    pub const V2_10: Self = Self::new(2, 10);
    /// SHA-256 with DSA: the newest that is in use.
    pub const V2_11: Self = Self::new(2, 11);
    /// The highest version that this node speaks.
    pub const OURS: Self = Self::V2_11;

    /// A version by its numbers.
    pub const fn new(major: u8, minor: u8) -> Self {
        Self { major, minor }
    }

    /// The version to reply in to a peer that suggests this one.
    #[must_use]
    pub fn to_reply_in(self) -> Self {
        self.min(Self::OURS).max(Self::V2_0)
    }

    /// Whether replies of this version may begin with the digest of the request, which a flag announces. Before 2.1 only a
    /// challenge has a digest, behind its nonce, and its reader takes the flag for another digest in front.
    pub fn has_digest_flag(self) -> bool {
        self >= Self::V2_1
    }

    fn meaning(self) -> (u8, u8) {
        match (self.major, self.minor) {
            (5, 0) => (2, 0),
            numbers => numbers,
        }
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.meaning() == other.meaning()
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.meaning().cmp(&other.meaning())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::{OpFlags, ResponseCode, Version};

    #[test]
    fn a_peer_is_answered_in_a_version_it_can_read() {
        assert_eq!(Version::new(5, 0), Version::V2_0);
        assert!(Version::new(5, 0) < Version::V2_1);
        let replied = |major, minor| Version::new(major, minor).to_reply_in().to_string();
        assert_eq!(replied(2, 3), "2.3");
        assert_eq!(replied(2, 11), "2.11");
        assert_eq!(replied(2, 200), "2.11");
        assert_eq!(replied(3, 0), "2.11");
        assert_eq!(replied(1, 9), "2.0");
    }

    #[test]
    fn old_peers_hear_the_codes_they_know() {
        let spoken = |code: ResponseCode, version| code.spoken_in(version).0;
        assert_eq!(spoken(ResponseCode::INVALID_VALUE, Version::V2_4), 201);
        assert_eq!(spoken(ResponseCode::SERVER_READ_ONLY, Version::V2_4), 303);
        assert_eq!(spoken(ResponseCode::INVALID_VALUE, Version::V2_5), 202);
    }

    #[test]
    fn unknown_flags_survive() {
        let flags = OpFlags(0x0000_1000).with(OpFlags::CERTIFY).with(OpFlags::MINT);
        assert!(flags.has(OpFlags::CERTIFY) && !flags.has(OpFlags::OVERWRITE));
        assert_eq!(flags.without(OpFlags::MINT), OpFlags(0x4000_1000));
    }
}
