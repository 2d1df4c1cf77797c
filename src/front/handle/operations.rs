//! Operations of the protocol, each performed as the caller of its request.

use crate::authority::caller::Caller;
use crate::front::handle_semantics::own_site::{AskedAt, encode_own_site};
use crate::registry::command::{Command, Single};
use crate::wire::handle::body::TransactionId;
use crate::wire::handle::code::OpCode;
use crate::wire::handle::message::Message;

use super::change;
use super::list::Listing;
use super::opened_message::OpenedMessage;
use super::origin::{Origin, Transport};
use super::outcome::{RequestOutcome, Stage};
use super::reply::{self, Reply};
use super::responder::Responder;

impl Responder {
    /// Performs a request as its caller.
    pub(super) async fn perform(
        &self,
        origin: &Origin,
        opened: &OpenedMessage,
        message: &Message<'_>,
        stage: Stage,
    ) -> RequestOutcome {
        let version = opened.envelope.to_reply().version;
        let reply = match message.header.op {
            OpCode::RESOLUTION => return self.resolve(origin, opened, message).await,
            OpCode::LIST_HANDLES => return self.list(&opened.caller, message).await,
            OpCode::LIST_HOMED_PREFIXES => return self.list_homed(&opened.caller).await,
            OpCode::LOGIN_KEY => return self.log_in(origin, opened, message, stage),
            OpCode::LOGIN_PASSWORD => self.log_in_by_password(origin, opened, message).await,
            OpCode::GET_SITE_INFO => self.site_info(origin),
            OpCode::NEXT_TRANSACTION_ID => {
                Reply::success(TransactionId(self.resolver.journal_entries()).encode())
            }
            OpCode::VERIFY_RESPONSE => self.verify(message).await,
            OpCode::SESSION_SETUP => self.set_up(origin, version, message).await,
            OpCode::SESSION_EXCHANGE_KEY => self.exchange_key(origin, opened, message).await,
            OpCode::SESSION_TERMINATE => self.terminate(opened),
            OpCode(other) => match change::command(message, &self.resolver) {
                Some(Ok(command)) => {
                    return self.change(origin, &opened.caller, message.header.op, command).await;
                }
                Some(Err(reply)) => reply,
                None => reply::not_offered(&format!("this node does not support operation {other}")),
            },
        };
        RequestOutcome::Reply(reply)
    }

    async fn change(&self, origin: &Origin, caller: &Caller, op: OpCode, command: Command) -> RequestOutcome {
        let single = Single { request: None, command, deadline: origin.deadline() };
        match self.registry.apply_one(caller, single).await {
            Ok(receipt) => RequestOutcome::Reply(change::done(op, &receipt)),
            Err(problem) => RequestOutcome::refused(caller, &problem),
        }
    }

    async fn list(&self, caller: &Caller, message: &Message<'_>) -> RequestOutcome {
        let prefix = match change::named_prefix(message.body) {
            Ok(prefix) => prefix,
            Err(reply) => return RequestOutcome::Reply(reply),
        };
        match Listing::of_prefix(self, caller.clone(), prefix).await {
            Ok(listing) => RequestOutcome::Listing(listing),
            Err(problem) => RequestOutcome::refused(caller, &problem),
        }
    }

    async fn list_homed(&self, caller: &Caller) -> RequestOutcome {
        match self.resolver.homed_prefixes(caller).await {
            Ok(prefixes) => RequestOutcome::Listing(Listing::of_prefixes(&prefixes)),
            Err(problem) => RequestOutcome::refused(caller, &problem),
        }
    }

    /// The HS_SITE of this node.
    fn site_info(&self, origin: &Origin) -> Reply {
        let asked_at = origin.own.map(|own| match origin.transport {
            Transport::Datagrams(_) | Transport::Connection(_) => AskedAt::Handle(own),
            Transport::Tunnel(_) => AskedAt::Http(own),
        });
        match encode_own_site(&self.resolver, &self.public_key, asked_at) {
            Some(site) => Reply::success(site),
            None => reply::no_site(),
        }
    }
}
