//! Replies: the records and the response code of each answer, refusal and failure.
//!
//! | Outcome | Code | AA | Sections |
//! |---|---|---|---|
//! | values of the type asked for | NOERROR | yes | the record set |
//! | the name exists, without that type | NOERROR | yes | SOA |
//! | the name does not exist | NXDOMAIN | yes | SOA |
//! | beyond a zone cut | NOERROR | no | NS of the delegated site, its addresses |
//! | below a prefix whose site has no DNS | SERVFAIL, error 22 | no | |
//! | that prefix itself | NOERROR | yes | its values, and the site |
//! | prefix suspended or revoked | REFUSED, error 18 | no | |
//! | in no zone of this node | REFUSED, error 20 | no | |
//! | failure of this node | SERVFAIL | no | |
//!
//! The SOA of a negative answer has the least of its TTL and its minimum (RFC 2308 section 5).

use std::net::IpAddr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, AAAA, HINFO, NS, SOA};
use hickory_proto::rr::{Name, RData, RecordType};

use super::message::{Extended, Line, LineOwner, Reply};
use super::request::Unserved;
use super::zone::{Zone, octets_before};
use crate::model::identifier::{Identifier, Prefix};
use crate::model::prefix::PrefixStatus;
use crate::model::refusal::{Failure, Refusal};
use crate::model::site::Site;
use crate::model::value::{Index, Value};
use crate::wire::dns::name::{NameError, Naming, Owner};
use crate::wire::dns::record::{Names, RecordKind, record_set, site_data};

/// TTL in seconds of zone data: SOA, NS, addresses.
const ZONE_TTL_SECONDS: u32 = 300;
/// Timers of secondary servers in the SOA; this node offers no zone transfers, so that they have no effect.
const SOA_REFRESH_SECONDS: i32 = 3_600;
const SOA_RETRY_SECONDS: i32 = 600;
const SOA_EXPIRE_SECONDS: i32 = 604_800;
/// The mailbox in the SOA, left of the server's name.
const MAILBOX: &[u8] = b"hostmaster";
/// The HINFO record that answers ANY (RFC 8482 section 4.2).
const ANY_CPU: &str = "RFC8482";
const ANY_TTL_SECONDS: u32 = 3_600;

const PROHIBITED: u16 = 18;
const NOT_AUTHORITATIVE: u16 = 20;
const NO_REACHABLE_AUTHORITY: u16 = 22;
const OTHER: u16 = 0;
const NOT_READY: u16 = 14;

//----------- Facts ----------------------------------------------------------

/// What every reply depends on, besides the answer.
pub(super) struct Facts<'a> {
    pub(super) naming: &'a Naming,
    pub(super) serial: u32,
    pub(super) minimum_seconds: u32,
    /// The announced site of this node.
    pub(super) site: Option<&'a Site>,
    pub(super) now_seconds: u64,
}

/// A question for a name in a zone of this node.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) name: Name,
    pub(super) record_type: RecordType,
    pub(super) owner: Owner,
    pub(super) zone: Zone,
    /// The site without DNS to which the prefix of this name is delegated.
    pub(super) delegate: Option<Site>,
}

impl Subject {
    fn is_apex(&self) -> bool {
        self.zone.is_apex(&self.owner)
    }
}

impl Facts<'_> {
    /// The records of an identifier's values, or of a single value.
    pub(super) fn values(&self, subject: &Subject, identifier: &Identifier, values: &[Value]) -> Reply {
        if subject.record_type == RecordType::ANY {
            return any();
        }
        if let Some(reply) = self.apex(subject) {
            return reply;
        }
        let of_value = |index: Index| self.naming.value_name(identifier, index).ok();
        let names = Names { asked: &subject.name, of_value: &of_value };
        let Some(kind) = RecordKind::asked_by(subject.record_type) else { return self.no_data(subject) };
        let set = record_set(kind, values, names, self.now_seconds);
        let site = subject.delegate.as_ref().filter(|_| subject.owner.index.is_none());
        match (set, site.and_then(|site| site_data(kind, site))) {
            (None, None) => self.no_data(subject),
            (None, Some(site)) => positive(ZONE_TTL_SECONDS, vec![site]),
            (Some(set), None) => positive(set.ttl, set.data),
            (Some(mut set), Some(site)) => {
                set.data.push(site);
                positive(set.ttl.min(ZONE_TTL_SECONDS), set.data)
            }
        }
    }

    /// The name exists, or there are names below it, but not with the type asked for.
    pub(super) fn no_data(&self, subject: &Subject) -> Reply {
        match self.apex(subject) {
            Some(reply) => reply,
            None => self.negative(subject, ResponseCode::NoError),
        }
    }

    /// Neither the name nor any name below it exists.
    pub(super) fn no_name(&self, subject: &Subject) -> Reply {
        if subject.is_apex() { self.no_data(subject) } else { self.negative(subject, ResponseCode::NXDomain) }
    }

    /// The addresses of this node's server name.
    pub(super) fn server(&self, subject: &Subject) -> Reply {
        let addresses = self.site.map(Site::addresses).unwrap_or_default();
        let of_type = addresses.iter().map(|address| address_data(*address));
        let data: Vec<RData> = of_type.filter(|data| data.record_type() == subject.record_type).collect();
        match subject.record_type {
            RecordType::ANY => any(),
            _ if data.is_empty() => self.negative(subject, ResponseCode::NoError),
            _ => positive(ZONE_TTL_SECONDS, data),
        }
    }

    /// The delegate beyond a zone cut, with the addresses of its server.
    pub(super) fn referral(&self, asked: &Name, cut: &Prefix, site: &Site) -> Reply {
        let names = self.naming.server_name(Some(cut)).and_then(|server| {
            let labels = self.naming.prefix_name(cut)?.iter().len();
            Ok((server, labels))
        });
        let Ok((server, labels)) = names else { return unnameable() };
        let owner = LineOwner::Asked(octets_before(asked, labels));
        let data = RData::NS(NS(server.clone()));
        Reply {
            authorities: vec![Line { owner, ttl: ZONE_TTL_SECONDS, data }],
            additionals: address_lines(&server, site),
            ..Reply::default()
        }
    }

    /// The reply for SOA, NS or ANY at the apex of a zone; none for other questions.
    fn apex(&self, subject: &Subject) -> Option<Reply> {
        if !subject.is_apex() {
            return None;
        }
        match subject.record_type {
            RecordType::SOA => Some(match self.soa(&subject.zone) {
                Ok(data) => positive(ZONE_TTL_SECONDS, vec![data]),
                Err(_) => unnameable(),
            }),
            RecordType::NS => Some(match self.naming.server_name(subject.zone.apex.as_ref()) {
                Ok(server) => Reply {
                    additionals: self.site.map(|site| address_lines(&server, site)).unwrap_or_default(),
                    ..positive(ZONE_TTL_SECONDS, vec![RData::NS(NS(server))])
                },
                Err(_) => unnameable(),
            }),
            RecordType::ANY => Some(any()),
            _ => None,
        }
    }

    fn negative(&self, subject: &Subject, code: ResponseCode) -> Reply {
        let labels = match &subject.zone.apex {
            Some(apex) => self.naming.prefix_name(apex).map(|name| name.iter().len()),
            None => Ok(self.naming.root().iter().len()),
        };
        let (Ok(labels), Ok(data)) = (labels, self.soa(&subject.zone)) else { return unnameable() };
        let owner = LineOwner::Asked(octets_before(&subject.name, labels));
        let ttl = ZONE_TTL_SECONDS.min(self.minimum_seconds);
        let authorities = vec![Line { owner, ttl, data }];
        Reply { code, authoritative: true, authorities, ..Reply::default() }
    }

    fn soa(&self, zone: &Zone) -> Result<RData, NameError> {
        let server = self.naming.server_name(zone.apex.as_ref())?;
        let labels = core::iter::once(MAILBOX).chain(server.iter());
        let mailbox = Name::from_labels(labels).unwrap_or_else(|_| server.clone());
        Ok(RData::SOA(SOA::new(
            server,
            mailbox,
            self.serial,
            SOA_REFRESH_SECONDS,
            SOA_RETRY_SECONDS,
            SOA_EXPIRE_SECONDS,
            self.minimum_seconds,
        )))
    }
}

//----------- Codes ----------------------------------------------------------

/// The message is not taken as a question.
pub(super) fn unserved(unserved: Unserved) -> Reply {
    let code = match unserved {
        Unserved::Malformed => ResponseCode::FormErr,
        Unserved::UnknownKey => ResponseCode::NotAuth,
        Unserved::NotImplemented => ResponseCode::NotImp,
        Unserved::EdnsVersion => ResponseCode::BADVERS,
        Unserved::NotOffered => ResponseCode::Refused,
        Unserved::CookieAlone => ResponseCode::NoError,
    };
    Reply::of(code, None)
}

/// The name is in no zone of this node.
pub(super) fn elsewhere() -> Reply {
    Reply::of(ResponseCode::Refused, Some(Extended::new(NOT_AUTHORITATIVE, "in no zone of this node")))
}

/// The name is below a prefix that is delegated to a site without DNS.
pub(super) fn without_dns() -> Reply {
    let extended =
        Extended::new(NO_REACHABLE_AUTHORITY, "the prefix is delegated to a site without DNS on port 53");
    Reply::of(ResponseCode::ServFail, Some(extended))
}

/// The name is under a prefix that is suspended or revoked.
pub(super) fn withdrawn(status: PrefixStatus) -> Reply {
    let text = match status {
        PrefixStatus::Active => "the prefix was withdrawn a moment ago",
        PrefixStatus::Suspended => "the prefix is suspended",
        PrefixStatus::Revoked => "the prefix is revoked",
    };
    Reply::of(ResponseCode::Refused, Some(Extended::new(PROHIBITED, text)))
}

/// The core refused. Few refusals can happen to questions, but each has its code.
pub(super) fn refusal(refusal: &Refusal) -> Reply {
    match refusal {
        Refusal::PrefixSuspended { .. } => withdrawn(PrefixStatus::Suspended),
        Refusal::PrefixRevoked { .. } => withdrawn(PrefixStatus::Revoked),
        Refusal::PrefixDelegated { .. } => without_dns(),
        Refusal::NotResponsible { .. } | Refusal::PrefixAbsent { .. } => elsewhere(),
        Refusal::Unauthenticated
        | Refusal::TokenUnknown
        | Refusal::TokenExpired
        | Refusal::TokenRevoked
        | Refusal::TokenAbsent { .. }
        | Refusal::PermissionDenied { .. }
        | Refusal::NotAdministrator { .. }
        | Refusal::ValueProtected { .. } => {
            Reply::of(ResponseCode::Refused, Some(Extended::new(PROHIBITED, "the values are not public")))
        }
        Refusal::IdentifierMalformed(_)
        | Refusal::ValueInvalid(_)
        | Refusal::SiteInvalid(_)
        | Refusal::RegistrantInvalid(_)
        | Refusal::CommandInvalid { .. }
        | Refusal::PrefixHomedHere { .. }
        | Refusal::PrefixFiled { .. }
        | Refusal::AdministratorMissing { .. }
        | Refusal::DelegationStands { .. }
        | Refusal::AlreadyExists { .. }
        | Refusal::Absent
        | Refusal::IndexExists { .. }
        | Refusal::IndexAbsent { .. }
        | Refusal::VersionMismatch { .. }
        | Refusal::RequestConflict
        | Refusal::RequestExpired { .. }
        | Refusal::RequestIdInvalid
        | Refusal::RequestAhead { .. }
        | Refusal::TooManyItems { .. }
        | Refusal::IncarnationSuperseded
        | Refusal::IncarnationForked { .. }
        | Refusal::PeerReset
        | Refusal::IncarnationAhead { .. } => Reply::of(
            ResponseCode::ServFail,
            Some(Extended::new(OTHER, "a question was taken for a command")),
        ),
    }
}

/// This node failed.
pub(super) fn failure(failure: &Failure) -> Reply {
    let extended = match failure {
        Failure::Store { .. } => Extended::new(OTHER, "the store could not be read"),
        Failure::Bug { .. } => Extended::new(OTHER, "the node has a bug"),
        Failure::Overloaded => Extended::new(OTHER, "the node is too busy"),
        Failure::Stopping => Extended::new(NOT_READY, "the node is stopping"),
        Failure::ReadOnly { .. }
        | Failure::OutcomeUnknown { .. }
        | Failure::Contended
        | Failure::AdministratorsUnread { .. } => Extended::new(OTHER, "the node could not answer"),
    };
    Reply::of(ResponseCode::ServFail, Some(extended))
}

/// A name would exceed 255 octets; such prefixes cannot be homed.
fn unnameable() -> Reply {
    Reply::of(ResponseCode::ServFail, Some(Extended::new(OTHER, "a name would exceed 255 octets")))
}

fn positive(ttl: u32, data: Vec<RData>) -> Reply {
    let line = |data| Line { owner: LineOwner::Asked(0), ttl, data };
    Reply { authoritative: true, answers: data.into_iter().map(line).collect(), ..Reply::default() }
}

fn any() -> Reply {
    let data = RData::HINFO(HINFO::new(ANY_CPU.to_owned(), String::new()));
    positive(ANY_TTL_SECONDS, vec![data])
}

fn address_lines(server: &Name, site: &Site) -> Vec<Line> {
    let data = site.addresses().iter().map(|address| address_data(*address));
    data.map(|data| Line { owner: LineOwner::Name(server.clone()), ttl: ZONE_TTL_SECONDS, data }).collect()
}

fn address_data(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    }
}
