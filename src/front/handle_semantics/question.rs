//! Questions: what a caller is shown of an answer.
//!
//! A caller that asks for all values never gets only some of them: if one of them is hidden from it, it gets the reason
//! instead. A caller without proof can authenticate and ask again; for an authenticated caller, and for values that no
//! caller may read, the refusal is final. A caller that asks for public values only learns nothing of others.

use crate::authority::caller::Caller;
use crate::authority::visibility::Withheld;
use crate::resolver::answer::{Absence, Answer, Found, NotResponsible, Referral};

/// Which values a caller asks to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front) enum Wanted {
    /// Values that everybody may read.
    Public,
    /// Values that this caller may read.
    Permitted,
    /// All values, or a refusal.
    All,
}

/// The outcome of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::front) enum QuestionOutcome {
    /// Values to be shown.
    Values(Found),
    /// The identifier has no such values, or none that are shown to this caller.
    NoValues,
    /// The identifier is not registered.
    NoIdentifier,
    /// Values were asked for that are hidden from this caller.
    Hidden(Hidden),
    /// Another node answers for the prefix.
    Elsewhere(Elsewhere),
}

/// Why values are hidden from a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front) enum Hidden {
    /// From callers without proof: an administrator may prove who it is and read them.
    UntilProof,
    /// The values are hidden from this caller, which has proved who it is.
    FromCaller,
    /// The values are hidden from everybody.
    FromAll,
}

/// Which other node may have an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::front) enum Elsewhere {
    /// The site of a delegated prefix.
    Below(Box<Referral>),
    /// The upper node.
    Above(NotResponsible),
}

/// What this caller is shown of an answer.
pub(in crate::front) fn outcome(answer: Answer, wanted: Wanted, caller: &Caller) -> QuestionOutcome {
    let hidden = |withheld| hidden(withheld, caller).filter(|_| wanted == Wanted::All);
    match answer {
        Answer::Values(found) => match hidden(found.withheld) {
            Some(hidden) => QuestionOutcome::Hidden(hidden),
            None => QuestionOutcome::Values(found),
        },
        Answer::Absent(Absence::Values(withheld)) => match hidden(withheld) {
            Some(hidden) => QuestionOutcome::Hidden(hidden),
            None => QuestionOutcome::NoValues,
        },
        Answer::Absent(Absence::Identifier) => QuestionOutcome::NoIdentifier,
        Answer::Referral(referral) => QuestionOutcome::Elsewhere(Elsewhere::Below(Box::new(referral))),
        Answer::NotResponsible(not_responsible) => {
            QuestionOutcome::Elsewhere(Elsewhere::Above(not_responsible))
        }
    }
}

fn hidden(withheld: Withheld, caller: &Caller) -> Option<Hidden> {
    match (withheld, caller) {
        (Withheld::Nothing, _) => None,
        (Withheld::FromAll, _) => Some(Hidden::FromAll),
        (Withheld::FromPublic, Caller::Anonymous) => Some(Hidden::UntilProof),
        (Withheld::FromPublic, Caller::Node | Caller::Token(_) | Caller::Identity(_)) => {
            Some(Hidden::FromCaller)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Elsewhere, Hidden, QuestionOutcome, Wanted, outcome};
    use crate::authority::caller::Caller;
    use crate::authority::visibility::Withheld;
    use crate::model::identifier::Identifier;
    use crate::resolver::answer::{Absence, Answer, Found, NotResponsible};

    fn values(withheld: Withheld) -> Answer {
        let identifier = Identifier::parse("88.118.8/SN1").expect("an identifier");
        let (version, changed_ms) = (1, 0);
        Answer::Values(Found {
            identifier,
            version,
            values: Vec::new(),
            changed_ms,
            authoritative: true,
            withheld,
        })
    }

    /// Checks the outcome both where other values are shown and where none is left.
    fn check(withheld: Withheld, wanted: Wanted, caller: &Caller, expected: Option<Hidden>) {
        let outcomes = [values(withheld), Answer::Absent(Absence::Values(withheld))]
            .map(|answer| outcome(answer, wanted, caller));
        let Some(hidden) = expected else {
            assert!(
                matches!(outcomes, [QuestionOutcome::Values(_), QuestionOutcome::NoValues]),
                "{outcomes:?}"
            );
            return;
        };
        assert_eq!(outcomes, [QuestionOutcome::Hidden(hidden), QuestionOutcome::Hidden(hidden)]);
    }

    #[test]
    fn a_caller_that_wants_all_values_learns_why_it_does_not_get_them() {
        let (unproved, proved) = (&Caller::Anonymous, &Caller::Node);
        for caller in [unproved, proved] {
            check(Withheld::Nothing, Wanted::All, caller, None);
            check(Withheld::FromAll, Wanted::All, caller, Some(Hidden::FromAll));
        }
        check(Withheld::FromPublic, Wanted::All, unproved, Some(Hidden::UntilProof));
        check(Withheld::FromPublic, Wanted::All, proved, Some(Hidden::FromCaller));
    }

    #[test]
    fn hidden_values_are_left_out_for_a_caller_that_takes_what_it_may_read() {
        for withheld in [Withheld::Nothing, Withheld::FromPublic, Withheld::FromAll] {
            check(withheld, Wanted::Public, &Caller::Anonymous, None);
            check(withheld, Wanted::Permitted, &Caller::Node, None);
        }
    }

    #[test]
    fn answers_without_values_do_not_depend_on_the_caller() {
        let upper = NotResponsible { upper: Some("https://above:2643".to_owned()) };
        for (caller, wanted) in [(Caller::Anonymous, Wanted::Public), (Caller::Node, Wanted::All)] {
            let absent = outcome(Answer::Absent(Absence::Identifier), wanted, &caller);
            assert_eq!(absent, QuestionOutcome::NoIdentifier);
            let above = outcome(Answer::NotResponsible(upper.clone()), wanted, &caller);
            assert_eq!(above, QuestionOutcome::Elsewhere(Elsewhere::Above(upper.clone())));
        }
    }
}
