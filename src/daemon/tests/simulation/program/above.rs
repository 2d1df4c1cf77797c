//! The upper node: it goes away, comes back, and has everything once.

use std::time::{Duration, Instant};

use crate::authority::caller::Caller;
use crate::filing::status::FilingState;
use crate::model::identifier::Prefix;
use crate::model::prefix::{Homing, PrefixStatus};
use crate::model::token::Scope;
use crate::registry::TokenDraft;
use crate::registry::command::{Command, TokenCommand};
use crate::store::EngineKind;

use super::super::chance::{Chance, PREFIXES};
use super::super::machine::{End, Machine};
use super::Program;

/// How long the upper node may take to have everything.
const SETTLE_MAX: Duration = Duration::from_secs(60);

/// Starts an upper node, and configures the lower one to file there.
pub(super) fn upper_of(lower: &mut Machine, chance: &mut Chance) -> Machine {
    let mut upper = Machine::new(EngineKind::Simulated, chance);
    let any = vec!["127.0.0.1:0".parse().expect("an address")];
    upper.config.grpc.listen.clone_from(&any);
    upper.config.dns.listen.clone_from(&any);
    upper.config.handle.listen.clone_from(&any);
    upper.config.http.listen = any;
    upper.start_whole();
    let scopes = vec![Scope::Peer(vec![Prefix::parse(PREFIXES[0]).expect("a prefix")])];
    let draft = TokenDraft { label: "the lower node".into(), scopes, expires_ms: None };
    let token = upper.run(upper.core().registry.create_token(&Caller::Node, draft));
    let token_file = lower.folder().join("upper-token");
    std::fs::write(&token_file, token.expect("a token").0).expect("space on disk");
    let address = upper.config.grpc.listen.first().expect("an address");
    lower.config.upper.address = Some(format!("http://{address}"));
    lower.config.upper.token_file = Some(token_file);
    lower.announce();
    upper
}

/// The operator of the upper node lets the lower node file whatever it continues.
fn reset_peer(upper: &mut Machine) {
    let tokens = upper.core().registry.tokens(&Caller::Node).expect("tokens");
    let id = tokens.iter().find(|token| token.label == "the lower node").expect("a peer").id;
    let reset = Command::Token(TokenCommand::ResetPeer { id });
    upper.run(upper.core().registry.apply_one(&Caller::Node, reset)).expect("reset");
}

impl Program {
    /// The upper node goes away, comes back, or has everything.
    pub(super) fn trouble_above(&mut self) {
        let end = match self.chance.below(3) {
            0 => End::Stop,
            1 => End::Kill,
            _ => End::PowerCut { survivors: 0 },
        };
        let settles = self.chance.one_in(2);
        self.note(format!("above: {end:?}, or settles: {settles}"));
        let Some(upper) = &mut self.upper else { return };
        if upper.is_running() && !settles {
            upper.end(end);
        } else {
            self.settle();
        }
    }

    /// Waits until the upper node has everything that was filed, and compares.
    pub(super) fn settle(&mut self) {
        let Some(upper) = &mut self.upper else { return };
        if !upper.is_running() {
            upper.start_whole();
        }
        let filing = self.lower.core().filing.as_ref().expect("the node files").watch.clone();
        let deadline = Instant::now() + SETTLE_MAX;
        let mut is_decided = false;
        let status = loop {
            let status = filing.status();
            if status.lag_entries == 0 && status.state == FilingState::Filing {
                break status;
            }
            assert!(Instant::now() < deadline, "{}: not settled: {status:?}", self.label);
            // The node was restored to before the incarnation that filed last: the operator above decides for it.
            let is_new = self.resynchronizations.is_none();
            if status.last_error.is_some_and(|error| error.contains("INCARNATION_FORKED")) && !is_decided {
                assert!(is_new, "{}: no restore since it filed last", self.label);
                reset_peer(self.upper.as_mut().expect("an upper node"));
                is_decided = true;
            }
            self.lower.run(tokio::task::yield_now());
            std::thread::yield_now();
        };
        let allowed = *self.resynchronizations.get_or_insert(status.counts.resynchronizations);
        assert_eq!(status.counts.resynchronizations, allowed, "{}: filed again: {status:?}", self.label);
        let directory = self.upper.as_ref().expect("an upper node").core().store.directory();
        let expected = [false, self.model.present.is_suspended];
        for (text, is_suspended) in PREFIXES.iter().zip(expected) {
            let prefix = Prefix::parse(text).expect("a prefix");
            let entry =
                directory.get(&prefix).unwrap_or_else(|| panic!("{}: {prefix} is not filed", self.label));
            let status = if is_suspended { PrefixStatus::Suspended } else { PrefixStatus::Active };
            assert_eq!(entry.status, status, "{}: {prefix} at the upper node", self.label);
            assert!(matches!(entry.homing, Homing::Delegated(_)), "{}: {entry:?}", self.label);
        }
    }
}
