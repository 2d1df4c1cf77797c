//! Referrals: leading a client to the service that answers for a prefix.
//!
//! A referral names the record of the delegated prefix, `0.NA/<prefix>`, and carries the HS_SITE values of it, by which
//! Handle clients reach the service. They cannot reach a delegate without a Handle
//! site: to them, this node then answers that it is not responsible and knows no other service. Where this node has asked
//! the site without success, a client that cannot be referred gets the reason.

use crate::authority::caller::Caller;
use crate::model::identifier::Identifier;
use crate::model::refusal::Problem;
use crate::model::value::{Value, ValueType};
use crate::resolver::Resolver;
use crate::resolver::answer::{Answer, Question};
use crate::resolver::recursion::Unanswered;

use super::question::Elsewhere;

/// Whether a client can use a referral.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front) enum ReferralWish {
    /// The client follows referrals.
    Follow,
    /// The client asked for no referrals.
    Decline,
}

/// Where a client is referred when another node answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::front) enum Direction {
    /// To the service of a delegated prefix.
    Service(Service),
    /// No direction; the address of the upper node, if one is known, may help a person.
    NotResponsible {
        /// The upper node's address.
        upper: Option<String>,
    },
    /// No direction: the site gave no answer, and the client cannot be referred to it.
    Unanswered(Unanswered),
}

/// The service of a delegated prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::front) struct Service {
    /// The record of the delegated prefix.
    pub(in crate::front) identifier: Identifier,
    /// HS_SITE values of the delegated prefix.
    pub(in crate::front) sites: Vec<Value>,
}

/// Where a client is referred when another node answers.
pub(in crate::front) async fn direct(
    resolver: &Resolver,
    elsewhere: Elsewhere,
    wish: ReferralWish,
) -> Result<Direction, Problem> {
    let referral = match elsewhere {
        Elsewhere::Above(above) => return Ok(Direction::NotResponsible { upper: above.upper }),
        Elsewhere::Below(referral) => *referral,
    };
    let nowhere = match referral.unanswered {
        Some(unanswered) => Direction::Unanswered(*unanswered),
        None => Direction::NotResponsible { upper: None },
    };
    if wish == ReferralWish::Decline {
        return Ok(nowhere);
    }
    let identifier = Identifier::of_prefix(&referral.prefix);
    let types = ValueType::new(ValueType::HS_SITE).into_iter().collect();
    let question = Question { identifier: identifier.clone(), indexes: Vec::new(), types };
    match resolver.answer(&Caller::Anonymous, &question).await? {
        Answer::Values(found) => Ok(Direction::Service(Service { identifier, sites: found.values })),
        Answer::Absent(_) | Answer::Referral(_) | Answer::NotResponsible(_) => Ok(nowhere),
    }
}
