//! Conversion between the model and the messages that are exchanged with other nodes.
//!
//! A message that cannot be understood is reported as a sentence; the caller adds the name of the peer.

use crate::model::identifier::{Folding, Identifier, Prefix};
use crate::model::position::{Incarnation, Position, Stream};
use crate::model::prefix::Homing;
use crate::model::site::Site;
use crate::model::value::{Value, Values};
use crate::wire::proto::answer::Answer;
use crate::wire::proto::{file_request, filing};
use crate::wire::{message, proto};

use super::filing_message::{Acknowledged, Announced, FiledPrefix, FilingMessage, RefusedFiling};
use super::question::{PeerAnswer, PeerQuestion, PeerValues};

//----------- Questions ------------------------------------------------------

/// Encodes a question, with recursion desired.
pub(super) fn resolve(asked: &PeerQuestion) -> proto::ResolveRequest {
    let question = proto::Question {
        identifier: asked.identifier.to_string(),
        indexes: asked.indexes.iter().map(|index| index.get()).collect(),
        types: asked.types.iter().map(|asked| asked.as_str().to_owned()).collect(),
    };
    let path = asked.path.iter().map(|node| node.0.to_vec()).collect();
    let recursion = proto::Recursion { desired: true, path };
    proto::ResolveRequest { question: Some(question), recursion: Some(recursion) }
}

/// Decodes the answer to a question. An answer about another identifier is an error.
pub(super) fn parse_answer(
    answer: Option<proto::Answer>,
    asked: &PeerQuestion,
) -> Result<PeerAnswer, String> {
    match answer.and_then(|answer| answer.answer).ok_or("it has no answer")? {
        Answer::Values(found) => parse_values(found, asked).map(PeerAnswer::Values),
        Answer::Absent(absence) => match proto::Absence::try_from(absence) {
            Ok(proto::Absence::Identifier) => Ok(PeerAnswer::NoIdentifier),
            Ok(proto::Absence::Values) => Ok(PeerAnswer::NoValues),
            Ok(proto::Absence::Unspecified) | Err(_) => Err(format!("absence {absence}")),
        },
        Answer::Referral(referral) => elsewhere(&referral, asked),
        Answer::NotResponsible(_) => Ok(PeerAnswer::Unknown),
    }
}

fn parse_values(found: proto::Found, asked: &PeerQuestion) -> Result<PeerValues, String> {
    let identifier = Identifier::parse(&found.identifier).map_err(|error| error.to_string())?;
    let name = |identifier: &Identifier| identifier.canonical(Folding::Insensitive);
    if name(&identifier) != name(&asked.identifier) {
        return Err(format!("it is about {identifier}"));
    }
    let values = found.values.into_iter().map(Value::try_from).collect::<Result<Vec<_>, _>>()?;
    let values = Values::new(values).map_err(|error| error.to_string())?;
    Ok(PeerValues {
        identifier,
        version: found.version,
        values: values.into_vec(),
        changed_ms: found.changed_ms,
    })
}

fn elsewhere(referral: &proto::Referral, asked: &PeerQuestion) -> Result<PeerAnswer, String> {
    let prefix = Prefix::parse(&referral.prefix).map_err(|error| error.to_string())?;
    if !prefix.covers(&asked.identifier.governing_prefix()) {
        return Err(format!("it refers for prefix {prefix}, which is not the one asked about"));
    }
    let site = Site::try_from(referral.site.as_ref().ok_or("it refers to no site")?)?;
    Ok(PeerAnswer::Elsewhere { prefix, site })
}

//----------- Filing ---------------------------------------------------------

/// Encodes an announcement.
pub(super) fn announce(
    site: &Site,
    incarnation: Incarnation,
    lineage: &[Incarnation],
) -> proto::AnnounceRequest {
    proto::AnnounceRequest {
        site: Some(site.into()),
        incarnation: incarnation.0.to_vec(),
        lineage: lineage.iter().map(|incarnation| incarnation.0.to_vec()).collect(),
    }
}

/// Decodes the upper node's answer to an announcement.
pub(super) fn announced(message: proto::AnnounceResponse) -> Result<Announced, String> {
    let bookmark = message.bookmark.iter().map(Position::try_from).collect::<Result<Vec<_>, _>>()?;
    let scope = message.scope.iter().map(|text| Prefix::parse(text).map_err(|error| error.to_string()));
    Ok(Announced {
        incarnation: message::incarnation(&message.incarnation)?,
        bookmark: bookmark.into_iter().find(|place| place.stream == Stream::ONLY),
        resynchronize: message.resynchronize,
        scope: scope.collect::<Result<_, _>>()?,
    })
}

/// Encodes one message of the stream of filings.
pub(super) fn filing_message_of(filed: FilingMessage) -> proto::FileRequest {
    let message = match filed {
        FilingMessage::Begin(as_of) => {
            file_request::Message::BeginResynchronization(proto::BeginResynchronization {
                incarnation: as_of.incarnation.0.to_vec(),
                as_of: Some(as_of.into()),
            })
        }
        FilingMessage::Filed(filed) => file_request::Message::Filing(filing_message(filed)),
        FilingMessage::End(as_of) => {
            file_request::Message::EndResynchronization(proto::EndResynchronization {
                as_of: Some(as_of.into()),
            })
        }
        FilingMessage::Progress { position, identifier_changes } => {
            file_request::Message::Progress(proto::FilingProgress {
                position: Some(position.into()),
                identifier_changes,
            })
        }
    };
    proto::FileRequest { message: Some(message) }
}

fn filing_message(filed: FiledPrefix) -> proto::Filing {
    let homing = match &filed.homing {
        Homing::Here => filing::Homing::Homed(proto::Homed {}),
        Homing::Delegated(to) => filing::Homing::Delegated(to.into()),
    };
    proto::Filing {
        prefix: filed.prefix.to_string(),
        registrant: filed.registrant.as_ref().map(proto::Registrant::from),
        standing: proto::Standing::from(filed.status).into(),
        position: Some(filed.position.into()),
        homing: Some(homing),
    }
}

/// Decodes an acknowledgement of the upper node.
pub(super) fn acknowledged(message: proto::FileResponse) -> Result<Acknowledged, String> {
    let refused = message.refused.into_iter().map(|refused| {
        let refusal = refused.refusal.unwrap_or_default();
        Ok(RefusedFiling {
            prefix: Prefix::parse(&refused.prefix).map_err(|error| error.to_string())?,
            code: refusal.code,
            message: refusal.message,
        })
    });
    Ok(Acknowledged {
        position: message.position.as_ref().map(Position::try_from).transpose()?,
        incarnation: message::incarnation(&message.incarnation)?,
        refused: refused.collect::<Result<_, String>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::{parse_answer, proto};
    use crate::federation::question::{PeerAnswer, PeerQuestion};
    use crate::model::identifier::Identifier;

    fn asked() -> PeerQuestion {
        let identifier = Identifier::parse("88.1.2/SN1").expect("an identifier");
        PeerQuestion { identifier, indexes: Vec::new(), types: Vec::new(), path: Vec::new() }
    }

    fn read(answer: proto::answer::Answer) -> Result<PeerAnswer, String> {
        parse_answer(Some(proto::Answer { answer: Some(answer) }), &asked())
    }

    #[test]
    fn an_answer_about_something_else_is_not_accepted() {
        let found = |identifier: &str| proto::Found { identifier: identifier.into(), ..Default::default() };
        let own = read(proto::answer::Answer::Values(found("88.1.2/sn1")));
        assert!(
            matches!(&own, Ok(PeerAnswer::Values(found)) if found.identifier.to_string() == "88.1.2/sn1"),
            "{own:?}"
        );
        let other = read(proto::answer::Answer::Values(found("88.1.2/sn2")));
        assert_eq!(other, Err("it is about 88.1.2/sn2".into()));
    }

    #[test]
    fn a_referral_is_accepted_for_the_prefix_asked_about_only() {
        let site = || proto::Site {
            addresses: vec!["192.0.2.1".into()],
            host_name: String::new(),
            ports: Some(proto::Ports { grpc: Some(7373), ..Default::default() }),
            public_key: Vec::new(),
        };
        let referral =
            |prefix: &str| proto::Referral { prefix: prefix.into(), site: Some(site()), unanswered: None };
        let own = read(proto::answer::Answer::Referral(referral("88.1")));
        assert!(
            matches!(&own, Ok(PeerAnswer::Elsewhere { prefix, .. }) if prefix.as_str() == "88.1"),
            "{own:?}"
        );
        let other = read(proto::answer::Answer::Referral(referral("88.3")));
        assert_eq!(other, Err("it refers for prefix 88.3, which is not the one asked about".into()));
        assert_eq!(parse_answer(None, &asked()), Err("it has no answer".into()));
    }
}
