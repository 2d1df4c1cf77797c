//! Requests: each operation of the protocol is performed as its caller.

use crate::front::handle_semantics::own_site::{AskedAt, encode_own_site};
use crate::registry::caller::Caller;
use crate::registry::command::Command;
use crate::wire::handle::body::TransactionId;
use crate::wire::handle::code::{OpCode, ResponseCode};
use crate::wire::handle::message::Message;

use super::answerer::Answerer;
use super::change;
use super::list::Listing;
use super::opened::Exchange;
use super::origin::{Origin, Way};
use super::outcome::{Done, Stage};
use super::reply::{self, Reply};

impl Answerer {
    /// Does what a request asks for, as its caller.
    pub(super) async fn perform(
        &self,
        origin: &Origin,
        exchange: &Exchange,
        message: &Message<'_>,
        stage: Stage,
    ) -> Done {
        let version = exchange.envelope.to_reply().version;
        let reply = match message.header.op {
            OpCode::RESOLUTION => return self.resolve(exchange, message).await,
            OpCode::LIST_HANDLES => return self.list(&exchange.caller, message).await,
            OpCode::LIST_HOMED_PREFIXES => return self.list_homed(&exchange.caller).await,
            OpCode::LOGIN_KEY => return self.log_in(origin, exchange, message, stage),
            OpCode::LOGIN_PASSWORD => self.log_in_by_password(origin, exchange, message).await,
            OpCode::GET_SITE_INFO => self.site_info(origin),
            OpCode::NEXT_TRANSACTION_ID => {
                Reply::success(TransactionId(self.resolver.head().sequence).encode())
            }
            OpCode::VERIFY_RESPONSE => self.verify(message).await,
            OpCode::SESSION_SETUP => self.set_up(origin, version, message).await,
            OpCode::SESSION_EXCHANGE_KEY => self.exchange_key(origin, exchange, message).await,
            OpCode::SESSION_TERMINATE => self.terminate(exchange),
            OpCode(other) => match change::command(message, &self.resolver) {
                Some(Ok(command)) => return self.change(&exchange.caller, message.header.op, command).await,
                Some(Err(reply)) => reply,
                None => reply::not_offered(&format!("operation {other} is not offered here")),
            },
        };
        Done::Reply(reply)
    }

    async fn change(&self, caller: &Caller, op: OpCode, command: Command) -> Done {
        if matches!(caller, Caller::Anonymous)
            && let Err(problem) = self.registry.check(caller, &command).await
        {
            return Done::refused(caller, &problem);
        }
        match self.registry.apply_one(caller, command).await {
            Ok(receipt) => Done::Reply(change::done(op, &receipt)),
            Err(problem) => Done::refused(caller, &problem),
        }
    }

    async fn list(&self, caller: &Caller, message: &Message<'_>) -> Done {
        let prefix = match change::named_prefix(message.body) {
            Ok(prefix) => prefix,
            Err(reply) => return Done::Reply(reply),
        };
        if matches!(caller, Caller::Anonymous) {
            return match change::responsible(&self.resolver, &prefix) {
                Ok(()) => Done::Prove,
                Err(reply) => Done::Reply(reply),
            };
        }
        match Listing::of_prefix(self, caller.clone(), prefix).await {
            Ok(listing) => Done::Listing(listing),
            Err(problem) => Done::refused(caller, &problem),
        }
    }

    async fn list_homed(&self, caller: &Caller) -> Done {
        match self.resolver.homed_prefixes(caller).await {
            Ok(prefixes) => Done::Listing(Listing::of_prefixes(&prefixes)),
            Err(problem) => Done::refused(caller, &problem),
        }
    }

    /// The site of this node: what it announces, or else the address that was asked.
    fn site_info(&self, origin: &Origin) -> Reply {
        let asked_at = origin.own.map(|own| match origin.way {
            Way::Datagrams(_) | Way::Connection(_) => AskedAt::Handle(own),
            Way::Tunnel => AskedAt::Http(own),
        });
        match encode_own_site(&self.resolver, &self.public_key, asked_at) {
            Some(site) => Reply::success(site),
            None => Reply::refuse(ResponseCode::ERROR, "this node announces no site"),
        }
    }
}
