//! Answering batches of messages: decode, locate the names, ask the resolver once for all, reply.
//!
//! ```text
//!   bytes ─ request::decode ─▶ question ─ Naming::read ─ Zones::locate ─▶ location
//!       without data  ─────────────────────────────────────────────▶ reply
//!       inside a zone ─ resolver.answer_many, once for the batch ─▶ reply
//!   reply ─ message::encode ─▶ bytes
//! ```
//!
//! Every client is anonymous: values that the public may not read are answered as if they did not exist.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use hickory_proto::op::Query;
use hickory_proto::rr::RecordType;

use super::cookie::{self, Cookie};
use super::counters::DnsCounters;
use super::message::{Encoded, Reply, encode, encode_truncated};
use super::reply::{self, Facts, Subject};
use super::request::{Asked, Request, Transport, decode};
use super::zone::{Location, Side, Zones, serial};
use crate::authority::caller::Caller;
use crate::front::listen::answers::Turns;
use crate::front::listen::udp_rate_limit::{AddressProof, Exchanged, UdpDecision, UdpRateLimit};
use crate::model::identifier::{Identifier, Prefix};
use crate::model::limits::SUFFIX_DIGEST_BYTES;
use crate::model::refusal::{Failure, Refusal};
use crate::model::value::Index;
use crate::resolver::Resolver;
use crate::resolver::answer::{Absence, Answer, Question};
use crate::telemetry::{bug, count};
use crate::wire::dns::name::{Naming, Part, is_above_server};

//----------- Responder -------------------------------------------------------

/// Answers DNS messages of both transports.
pub(super) struct Responder {
    pub(super) resolver: Arc<Resolver>,
    pub(super) naming: Naming,
    pub(super) is_top: bool,
    pub(super) minimum_seconds: u32,
    pub(super) cookie_secret: [u8; 16],
    pub(super) rate_limit: UdpRateLimit,
    pub(super) counters: Arc<DnsCounters>,
}

/// A message, and the address of its client.
#[derive(Clone, Copy)]
pub(super) struct Received<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) client: IpAddr,
}

/// What is needed to answer a question.
enum Step {
    /// Nothing more.
    Done(Reply),
    /// The values of an identifier.
    Values(Box<Subject>, Identifier),
    /// The identifier that has a digest, then its values.
    Digest(Box<Subject>, Prefix, [u8; SUFFIX_DIGEST_BYTES]),
}

impl Responder {
    /// The counters of the front end.
    pub(super) fn counters(&self) -> &DnsCounters {
        &self.counters
    }

    /// Answers messages in their order; `None` for a message without an answer.
    pub(super) async fn answer_batch(
        &self,
        messages: &[Received<'_>],
        transport: Transport,
    ) -> Vec<Option<Vec<u8>>> {
        let facts = self.facts();
        let counter = match transport {
            Transport::Udp => &self.counters.udp_messages,
            Transport::Tcp => &self.counters.tcp_messages,
        };
        let mut all_asked = Vec::with_capacity(messages.len());
        let mut steps = Vec::with_capacity(messages.len());
        for message in messages {
            count(counter);
            let (asked, step) = match decode(message.bytes, transport) {
                Request::Silence => {
                    count(&self.counters.dropped);
                    all_asked.push(None);
                    continue;
                }
                Request::Refused(asked, unserved) => (asked, Step::Done(reply::unserved(unserved))),
                Request::Question(asked, query) => {
                    let step = self.plan(&facts, query);
                    (asked, step)
                }
            };
            all_asked.push(Some(asked));
            steps.push(step);
        }
        let mut replies = self.ask(&facts, steps).await.into_iter();
        let mut answers = Vec::with_capacity(messages.len());
        let mut turns = Turns::default();
        for (asked, message) in all_asked.into_iter().zip(messages) {
            let reply = asked.as_ref().and_then(|_| replies.next());
            let encode = |(asked, reply)| self.encode(&facts, &asked, &reply, message, transport);
            let answer: Option<Vec<u8>> = asked.zip(reply).and_then(encode);
            turns.made(answer.as_ref().map_or(0, Vec::len)).await;
            answers.push(answer);
        }
        answers
    }

    /// The answer in place of one for which there is no memory; empty for a message without an answer.
    pub(super) fn refuse_busy(&self, message: &Received<'_>) -> Vec<u8> {
        let (Request::Refused(asked, _) | Request::Question(asked, _)) =
            decode(message.bytes, Transport::Tcp)
        else {
            return Vec::new();
        };
        let busy = reply::failure(&Failure::Overloaded);
        self.encode(&self.facts(), &asked, &busy, message, Transport::Tcp).unwrap_or_default()
    }

    /// The bytes of an answer; none if its client is over the limit for datagrams.
    fn encode(
        &self,
        facts: &Facts<'_>,
        asked: &Asked,
        reply: &Reply,
        message: &Received<'_>,
        transport: Transport,
    ) -> Option<Vec<u8>> {
        let cookie = asked.edns.and_then(|edns| edns.cookie);
        let complete = |cookie: Cookie| {
            cookie::make(cookie.client, message.client, facts.now_seconds, self.cookie_secret)
        };
        let completed = cookie.map(complete);
        let encoded = encode(asked, reply, completed.as_deref());
        let encoded = match transport {
            Transport::Tcp => encoded,
            Transport::Udp => match self.judge(facts, cookie, message, &encoded) {
                UdpDecision::Send => encoded,
                UdpDecision::Slip => encode_truncated(asked, completed.as_deref()),
                UdpDecision::Drop => return None,
            },
        };
        self.counters.count_answer(encoded.code);
        if encoded.truncated {
            count(&self.counters.truncated);
        }
        Some(encoded.bytes)
    }

    /// Whether a datagram is sent. A cookie of ours proves the address of the client that returns it.
    fn judge(
        &self,
        facts: &Facts<'_>,
        cookie: Option<Cookie>,
        message: &Received<'_>,
        encoded: &Encoded,
    ) -> UdpDecision {
        let (client, now) = (message.client, Instant::now());
        let is_proof = |cookie: Cookie| cookie.is_proof(client, facts.now_seconds, self.cookie_secret);
        let proof = if cookie.is_some_and(is_proof) { AddressProof::Given } else { AddressProof::Missing };
        let exchanged = Exchanged { request: message.bytes.len(), answer: encoded.bytes.len() };
        self.rate_limit.decide(client, proof, exchanged, now)
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            naming: &self.naming,
            serial: serial(self.resolver.journal_entries()),
            minimum_seconds: self.minimum_seconds,
            site: self.resolver.site(),
            now_seconds: self.resolver.now_ms() / 1_000,
        }
    }

    //------- Planning: what a question needs

    fn plan(&self, facts: &Facts<'_>, query: Query) -> Step {
        let Some(owner) = self.naming.read(query.name()) else { return Step::Done(reply::elsewhere()) };
        let record_type = query.query_type();
        let side = if record_type == RecordType::DS { Side::Parent } else { Side::Child };
        let directory = self.resolver.directory();
        let entry = |prefix: &Prefix| directory.get(prefix).map(AsRef::as_ref);
        let zones = Zones { entry: &entry, is_top: self.is_top };
        match zones.locate(&owner, side) {
            Location::Elsewhere => Step::Done(reply::elsewhere()),
            Location::Withdrawn(status) => Step::Done(reply::withdrawn(status)),
            Location::Cut(cut, site) => Step::Done(facts.referral(query.name(), &cut, site)),
            Location::WithoutDns(zone, prefix, site) => {
                let is_own = owner.part == Part::Own && owner.prefix.as_ref() == Some(&prefix);
                if !is_own {
                    return Step::Done(reply::without_dns());
                }
                let delegate = Some(site.clone());
                let subject = Subject { name: query.name, record_type, owner, zone, delegate };
                Step::Values(Box::new(subject), Identifier::of_prefix(&prefix))
            }
            Location::Inside(zone) => {
                let subject = Subject { name: query.name, record_type, owner, zone, delegate: None };
                self.plan_inside(facts, subject)
            }
        }
    }

    fn plan_inside(&self, facts: &Facts<'_>, subject: Subject) -> Step {
        match (&subject.owner.prefix, &subject.owner.part) {
            (Some(prefix), Part::Own) => {
                let identifier = Identifier::of_prefix(prefix);
                Step::Values(Box::new(subject), identifier)
            }
            (Some(prefix), Part::Digest(digest)) => {
                let (prefix, digest) = (prefix.clone(), *digest);
                Step::Digest(Box::new(subject), prefix, digest)
            }
            (_, Part::Suffix(identifier)) => {
                let identifier = identifier.clone();
                Step::Values(Box::new(subject), identifier)
            }
            (prefix, Part::Mark) => {
                let exists = prefix.as_ref().is_none_or(|prefix| self.exists(prefix));
                Step::Done(if exists { facts.no_data(&subject) } else { facts.no_name(&subject) })
            }
            (prefix, Part::Server) if *prefix == subject.zone.apex => Step::Done(facts.server(&subject)),
            (None, Part::Own) => Step::Done(facts.no_data(&subject)),
            (_, Part::Server | Part::Nobody) | (None, Part::Digest(_)) => Step::Done(facts.no_name(&subject)),
        }
    }

    /// Whether the name of a prefix exists: the prefix has an entry, or there are names below it.
    fn exists(&self, prefix: &Prefix) -> bool {
        let directory = self.resolver.directory();
        directory.get(prefix).is_some()
            || directory.below(prefix).next().is_some()
            || self.resolver.holds_within(prefix)
    }

    //------- Asking: one read for the batch

    async fn ask(&self, facts: &Facts<'_>, steps: Vec<Step>) -> Vec<Reply> {
        let mut questions = Vec::with_capacity(steps.len());
        let mut pending = Vec::with_capacity(steps.len());
        for step in steps {
            let (subject, identifier) = match step {
                Step::Done(reply) => {
                    pending.push(Pending::Done(reply));
                    continue;
                }
                Step::Values(subject, identifier) => (subject, identifier),
                Step::Digest(subject, prefix, digest) => match self.resolver.by_digest(&prefix, digest).await
                {
                    Ok(Some(identifier)) => (subject, identifier),
                    Ok(None) => {
                        pending.push(Pending::Done(facts.no_name(&subject)));
                        continue;
                    }
                    Err(failure) => {
                        pending.push(Pending::Done(reply::failure(&failure)));
                        continue;
                    }
                },
            };
            let indexes: Vec<Index> = subject.owner.index.into_iter().collect();
            questions.push(Question { identifier, indexes, types: Vec::new() });
            pending.push(Pending::Asked(subject));
        }
        if questions.is_empty() {
            return pending.into_iter().map(|pending| pending.reply(|_| reply::elsewhere())).collect();
        }
        match self.resolver.answer_many(&Caller::Anonymous, &questions).await {
            Ok(answers) => {
                let mut answers = questions.iter().zip(answers);
                let mut next = |subject: &Subject| match answers.next() {
                    Some((question, answer)) => self.reply(facts, subject, question, answer),
                    None => reply::failure(&bug("one answer for each question")),
                };
                pending.into_iter().map(|pending| pending.reply(&mut next)).collect()
            }
            Err(failure) => {
                let failed = |_: &Subject| reply::failure(&failure);
                pending.into_iter().map(|pending| pending.reply(failed)).collect()
            }
        }
    }

    fn reply(
        &self,
        facts: &Facts<'_>,
        subject: &Subject,
        question: &Question,
        answer: Result<Answer, Refusal>,
    ) -> Reply {
        match answer {
            Ok(Answer::Values(found)) => facts.values(subject, &question.identifier, &found.values),
            Ok(Answer::Absent(_)) if subject.delegate.is_some() && subject.owner.index.is_none() => {
                facts.values(subject, &question.identifier, &[])
            }
            Ok(Answer::Absent(Absence::Identifier)) => self.absent(facts, subject),
            Ok(Answer::Absent(Absence::Values(_))) if subject.owner.index.is_some() => facts.no_name(subject),
            Ok(Answer::Absent(Absence::Values(_))) => facts.no_data(subject),
            // The prefix was delegated after the name was located.
            Ok(Answer::Referral(_)) => reply::without_dns(),
            // Within the root zone, no entry governs the prefix.
            Ok(Answer::NotResponsible(_)) => self.absent(facts, subject),
            Err(refusal) => reply::refusal(&refusal),
        }
    }

    /// The reply for an identifier that is not registered; its name may exist for other reasons.
    fn absent(&self, facts: &Facts<'_>, subject: &Subject) -> Reply {
        let owner = &subject.owner;
        let exists = owner.index.is_none()
            && match (&owner.prefix, &owner.part) {
                (Some(prefix), Part::Own) => self.exists(prefix),
                // The name of the zone's server is below the label `ns`.
                (prefix, Part::Suffix(own)) => *prefix == subject.zone.apex && is_above_server(own.suffix()),
                _ => false,
            };
        if exists { facts.no_data(subject) } else { facts.no_name(subject) }
    }
}

/// A reply, or a question that waits for its answer.
enum Pending {
    Done(Reply),
    Asked(Box<Subject>),
}

impl Pending {
    fn reply(self, ask: impl FnOnce(&Subject) -> Reply) -> Reply {
        match self {
            Self::Done(reply) => reply,
            Self::Asked(subject) => ask(&subject),
        }
    }
}
