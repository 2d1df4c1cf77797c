//! Bounds that several modules depend on, with the relations between them asserted at compile time.
//!
//! A bound that comes from a protocol names it; any other is chosen here and states its reason. A bound of one module
//! alone is a constant of that module, next to the code that enforces it, or an option with a documented default:
//!
//! | Bound | Defined in |
//! |---|---|
//! | connections and datagrams: slots, quotas per source, handshakes, cryptography, memory, answers over UDP | `front::listen`, with defaults in the options of each front end |
//! | DNS: octets of an answer | `front::dns` |
//! | gRPC: HTTP/2 windows, calls of a connection, headers, silence | `front::grpc` |
//! | Handle: sessions, challenges, repeated replies, reassembly, logins, messages in flight | `front::handle` |
//! | HTTP: headers, bodies, time of a request | `front::http` |
//! | lengths within encoded names, records, keys, packets and messages | `wire`, each beside its codec |
//! | sizes of keys, groups and signatures | `key` |
//! | other nodes: connections, time-outs, attempts, cached answers | `federation`, `filing` |
//! | attempts and waiting of commands and authorizations | `registry` |
//! | engine reads at a time, batches, tables | `store` |

/// Bytes of a whole identifier (prefix, `/`, suffix): the bound of Handle clients.
pub const IDENTIFIER_BYTES_MAX: usize = 2_048;
/// Bytes of one prefix segment: a DNS label must hold it (RFC 1035 section 2.3.4).
pub const PREFIX_SEGMENT_BYTES_MAX: usize = 63;
/// Bytes of a whole prefix; leaves space for a root and a suffix in a DNS name of 255 octets.
pub const PREFIX_BYTES_MAX: usize = 180;
/// Bytes of the longest suffix that DNS names hold literally, escaped if necessary; a longer one is found by its digest.
pub const SUFFIX_LITERAL_BYTES_MAX: usize = 64;
/// Bytes of a suffix digest: SHA-256 of the canonical suffix, cut.
pub const SUFFIX_DIGEST_BYTES: usize = 20;
/// Values of one identifier: the bound of Handle clients.
pub const VALUES_MAX: usize = 2_048;
/// Bytes of all values of one identifier in Handle encoding, so that every front end can carry them.
pub const VALUES_BYTES_MAX: usize = 240_000;
/// Bytes of a Handle message after its envelope: the bound of Handle clients.
pub const HANDLE_MESSAGE_BYTES_MAX: usize = 262_144;
/// Bytes of a value's type.
pub const VALUE_TYPE_BYTES_MAX: usize = 255;
/// References of one value.
pub const REFERENCES_MAX: usize = 64;
/// Largest index of a value: Handle integers are signed.
pub const INDEX_MAX: u32 = 2_147_483_647;
/// TTL in seconds of a value that states none: one day.
pub const TTL_DEFAULT_SECONDS: u32 = 86_400;
/// Largest relative TTL in seconds (RFC 2181 section 8).
pub const TTL_MAX_SECONDS: u32 = 2_147_483_647;
/// Items of one batch of commands or questions.
pub const BATCH_ITEMS_MAX: usize = 10_000;
/// Bytes of one unary message at any front end.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of memory that one message takes when it is decoded: eight times what it has encoded.
pub const MESSAGE_MEMORY_MAX: usize = 8 * MESSAGE_BYTES_MAX;
/// Messages of one TCP connection, DNS or Handle, that are answered at a time.
pub const CONNECTION_MESSAGES_MAX: usize = 16;
/// Commands of one group commit.
pub const GROUP_ITEMS_MAX: usize = 2_000;
/// Commands of one group commit on sled, which blocks readers while it applies them.
pub const GROUP_ITEMS_SLED_MAX: usize = 200;
/// Commands that are read and decided in one step: bounds by how much a group can exceed its bytes.
pub const STEP_ITEMS_MAX: usize = 128;
/// Bytes of states and bodies of one group commit, at which it is closed early.
pub const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Slots for commands that wait for the committer; beyond them callers wait, or are refused as overloaded.
pub const COMMANDS_WAITING_MAX: usize = 40_000;
/// Bytes of a waiting command that one slot holds; a larger command takes several slots.
pub const COMMAND_SLOT_BYTES: usize = 4 * 1024;
/// Commands of one registration stream that may be unacknowledged.
pub const STREAM_UNACKNOWLEDGED_MAX: usize = 10_000;
/// Bytes of one stored piece; larger states and bodies are divided.
pub const PIECE_BYTES_MAX: usize = 16 * 1024;
/// Seconds until a change that has not reached the disk counts as failed, with an unknown outcome.
pub const WRITE_SECONDS_MAX: u64 = 30;
/// Seconds until a read from the store counts as failed.
pub const READ_SECONDS_MAX: u64 = 30;
/// Seconds that closing the storage engine may take.
pub const CLOSE_SECONDS_MAX: u64 = 60;
/// Seconds beyond the grace period of a stop that followers and the store have to end.
pub const STOP_SECONDS_MAX: u64 = 10;
/// Journal entries of one sealed segment.
pub const SEGMENT_ENTRIES: u64 = if cfg!(test) { 64 } else { 65_536 };
/// Journal entries of the tail that are compared with the store when it opens.
pub const TAIL_ENTRIES_MAX: u64 = 20_000;
/// Entries of one page of a list or history.
pub const PAGE_ITEMS_MAX: usize = 10_000;
/// Entries of a page when the caller states no number.
pub const PAGE_ITEMS_DEFAULT: usize = 1_000;
/// Bytes of a registrant's name or contact, or of a token's label.
pub const TEXT_BYTES_MAX: usize = 512;
/// Bytes of an operator's note on a prefix: a few lines.
pub const NOTE_BYTES_MAX: usize = 1_024;
/// Addresses of one site.
pub const SITE_ADDRESSES_MAX: usize = 16;
/// Bytes of the public key of a site: more than the largest RSA or DSA key has in any encoding.
pub const SITE_KEY_BYTES_MAX: usize = 4_096;
/// Scopes of one token, and prefixes of one scope.
pub const SCOPES_MAX: usize = 64;
/// Prefixes that one scope names at most.
pub const SCOPE_PREFIXES_MAX: usize = 1_024;
/// Nodes that may pass a question on, over gRPC and over the Handle protocol.
pub const RECURSION_DEPTH_MAX: u32 = 10;
/// Other nodes to which connections are held open for recursion.
pub const PEERS_MAX: usize = 256;
/// Lists of administrators that are read to find out whether they hold an identity.
pub const LISTS_MAX: usize = 64;
/// Values that are read because they may be such lists: every identity on a list may be a list itself.
pub const LISTS_SOUGHT_MAX: usize = 256;
/// Lists within lists that are followed.
pub const LISTS_DEPTH_MAX: usize = 8;
/// Records of other nodes that are read for one authorization.
pub const RECORDS_ELSEWHERE_MAX: usize = 16;
/// Keys of one identifier that a proof is tried against, when it names none.
pub const KEYS_TRIED_MAX: usize = 8;
/// Journal entries that filing reads in one step.
pub const FILING_STEP_ENTRIES: usize = 10_000;
/// Warnings that one receipt lists; more are only counted.
pub const RECEIPT_WARNINGS_MAX: usize = 8;
/// Warnings that the receipts of one batch list together, or those of one group of a stream.
pub const BATCH_WARNINGS_MAX: usize = 256;
/// Bytes of one warning at any front end, as text in JSON.
pub const WARNING_BYTES_MAX: usize = 640;
/// Prefixes set aside by filing that are named in the status; more are only counted.
pub const SET_ASIDE_MAX: usize = 100;
/// Days for which a request id is remembered, unless configured otherwise.
pub const REQUEST_WINDOW_DAYS_DEFAULT: u32 = 7;
/// Seconds by which the time within a request id may be ahead of this node's clock.
pub const REQUEST_AHEAD_SECONDS_MAX: u64 = 300;

/// How far the beginning of a lower node's incarnation may be ahead of this node's clock, in seconds: more than a wrong time
/// zone makes.
pub const INCARNATION_AHEAD_SECONDS_MAX: u64 = 86_400;

/// Incarnations of its store that a lower node announces, the last ones: 16 bytes each.
pub const INCARNATIONS_ANNOUNCED_MAX: usize = 1_000;

const _: () = {
    assert!(VALUES_BYTES_MAX + IDENTIFIER_BYTES_MAX + 64 <= HANDLE_MESSAGE_BYTES_MAX);
    assert!(VALUES_BYTES_MAX < MESSAGE_BYTES_MAX);
    assert!(2 * SITE_KEY_BYTES_MAX < VALUES_BYTES_MAX);
    assert!(PREFIX_BYTES_MAX < IDENTIFIER_BYTES_MAX);
    assert!(GROUP_ITEMS_MAX <= BATCH_ITEMS_MAX);
    assert!(BATCH_ITEMS_MAX <= COMMANDS_WAITING_MAX);
    assert!(VALUES_BYTES_MAX < GROUP_BYTES_MAX);
    assert!(GROUP_ITEMS_SLED_MAX <= GROUP_ITEMS_MAX);
    assert!(STEP_ITEMS_MAX <= GROUP_ITEMS_SLED_MAX);
    assert!(STEP_ITEMS_MAX * (1 + VALUES_BYTES_MAX / COMMAND_SLOT_BYTES) <= COMMANDS_WAITING_MAX);
    assert!(PAGE_ITEMS_DEFAULT <= PAGE_ITEMS_MAX);
    assert!(LISTS_MAX <= LISTS_SOUGHT_MAX);
    assert!(RECEIPT_WARNINGS_MAX <= BATCH_WARNINGS_MAX);
    assert!(BATCH_WARNINGS_MAX * WARNING_BYTES_MAX <= MESSAGE_BYTES_MAX / 16);
};
