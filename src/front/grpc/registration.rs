//! RegistrationService: single commands, batches, streams.
//!
//! A malformed item is refused at its position, and the others are carried out, as with any other refusal. The well-formed
//! items of a call are one batch for the registry; in a stream, each run of items with one request id is a batch. What is
//! settled has its outcome, whatever fails after it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, Stream};
use tonic::{Request, Response, Status, Streaming};

use super::Shared;
use super::call::Call;
use super::counters::Service;
use super::stream::{Answers, Converse, GroupBounds, converse};
use super::{memory, reply, request, response};
use crate::model::limits::{
    BATCH_ITEMS_MAX, BATCH_WARNINGS_MAX, GROUP_BYTES_MAX, GROUP_ITEMS_MAX, MESSAGE_BYTES_MAX,
    STREAM_UNACKNOWLEDGED_MAX,
};
use crate::model::refusal::{Problem, Refusal};
use crate::model::request::RequestId;
use crate::registry::command::{Batch, Command, Single};
use crate::registry::failure_of;
use crate::registry::receipt::Receipt;
use crate::telemetry::lost_outcome;
use crate::wire::proto;
use crate::wire::proto::registration_service_server::RegistrationService;

/// Bounds of one group of a stream: those of one group commit.
const GROUP: GroupBounds = GroupBounds { messages: GROUP_ITEMS_MAX, bytes: MESSAGE_BYTES_MAX };

const _: () =
    assert!(GROUP_ITEMS_MAX <= STREAM_UNACKNOWLEDGED_MAX, "one group is all that is unacknowledged");
const _: () = assert!(MESSAGE_BYTES_MAX <= GROUP_BYTES_MAX, "one group fits one group commit");

//----------- RegistrationApi ------------------------------------------------

/// The service.
pub(super) struct RegistrationApi(pub(super) Arc<Shared>);

#[tonic::async_trait]
impl RegistrationService for RegistrationApi {
    type ApplyStreamStream = BoxStream<'static, Result<proto::ApplyStreamResponse, Status>>;

    async fn register(
        &self,
        request: Request<proto::RegisterRequest>,
    ) -> Result<Response<proto::RegisterResponse>, Status> {
        let call = self.0.admit(&request, Service::Registration)?;
        let message = request.into_inner();
        let command = request::registration(message.registration);
        let receipt = self.0.apply_one(&call, &message.request_id, command).await?;
        Ok(Response::new(proto::RegisterResponse { receipt: Some(response::receipt(receipt)) }))
    }

    async fn amend(
        &self,
        request: Request<proto::AmendRequest>,
    ) -> Result<Response<proto::AmendResponse>, Status> {
        let call = self.0.admit(&request, Service::Registration)?;
        let message = request.into_inner();
        let command = request::amendment(message.amendment);
        let receipt = self.0.apply_one(&call, &message.request_id, command).await?;
        Ok(Response::new(proto::AmendResponse { receipt: Some(response::receipt(receipt)) }))
    }

    async fn remove(
        &self,
        request: Request<proto::RemoveRequest>,
    ) -> Result<Response<proto::RemoveResponse>, Status> {
        let call = self.0.admit(&request, Service::Registration)?;
        let message = request.into_inner();
        let command = request::removal(message.removal);
        let receipt = self.0.apply_one(&call, &message.request_id, command).await?;
        Ok(Response::new(proto::RemoveResponse { receipt: Some(response::receipt(receipt)) }))
    }

    async fn apply_batch(
        &self,
        request: Request<proto::ApplyBatchRequest>,
    ) -> Result<Response<proto::ApplyBatchResponse>, Status> {
        let call = self.0.admit(&request, Service::Registration)?;
        let message = request.into_inner();
        if message.items.len() > BATCH_ITEMS_MAX {
            return Err(reply::refused(&Refusal::TooManyItems { count: message.items.len() }, None));
        }
        let request_id =
            request::request_id(&message.request_id).map_err(|refusal| reply::refused(&refusal, None))?;
        let numbers: Vec<u32> = message.items.iter().map(|item| item.number).collect();
        let minted: Vec<bool> = message.items.iter().map(|item| mint_of(item).is_some()).collect();
        let bytes: usize =
            message.items.iter().filter_map(mint_of).map(|mint| mint.prefix.len() + mint.start.len()).sum();
        if bytes > response::MINTED_BYTES_MAX {
            let reason = format!(
                "the prefixes and beginnings of the identifiers to mint have {bytes} bytes in all, and {} are \
                 allowed in one batch; send it in parts",
                response::MINTED_BYTES_MAX
            );
            return Err(reply::refused(&Refusal::CommandInvalid { reason }, request_id));
        }
        let applied = self.0.apply_items(&call, request_id, message.items).await;
        if applied.iter().all(has_failed)
            && let Some(failure) = failure_of(&applied)
        {
            return Err(reply::failed(&failure, request_id));
        }
        let outcomes = numbers.into_iter().zip(applied);
        let outcomes = outcomes.map(|(number, result)| response::outcome(number, result, request_id));
        let mut response = proto::ApplyBatchResponse { outcomes: outcomes.collect() };
        response::fit(&mut response, &minted);
        Ok(Response::new(response))
    }

    async fn apply_stream(
        &self,
        request: Request<Streaming<proto::ApplyStreamRequest>>,
    ) -> Result<Response<Self::ApplyStreamStream>, Status> {
        let call = self.0.admit(&request, Service::Registration)?;
        Ok(Response::new(self.converse(request.into_inner(), call)))
    }
}

/// What the node makes the identifier of an item of, where it chooses it.
fn mint_of(item: &proto::Item) -> Option<&proto::Mint> {
    match &item.command {
        Some(proto::item::Command::Register(registration)) => match &registration.target {
            Some(proto::registration::Target::Mint(mint)) => Some(mint),
            _ => None,
        },
        _ => None,
    }
}

impl RegistrationApi {
    /// The outcomes of a stream of items.
    pub(super) fn converse(
        &self,
        messages: impl Stream<Item = Result<proto::ApplyStreamRequest, Status>> + Send + 'static,
        call: Call,
    ) -> BoxStream<'static, Result<proto::ApplyStreamResponse, Status>> {
        let registrar = StreamRegistrar { shared: Arc::clone(&self.0), call };
        converse(messages, registrar, GROUP, self.0.closing.clone())
    }
}

//----------- StreamRegistrar ------------------------------------------------

/// Answers the groups of one stream.
struct StreamRegistrar {
    shared: Arc<Shared>,
    call: Call,
}

impl Converse for StreamRegistrar {
    type Asked = proto::ApplyStreamRequest;
    type Answered = proto::ApplyStreamResponse;

    fn answer(
        &mut self,
        group: Vec<proto::ApplyStreamRequest>,
    ) -> BoxFuture<'_, Answers<proto::ApplyStreamResponse>> {
        self.answer_runs(group).boxed()
    }

    fn release(&mut self) {
        self.call.release_memory();
    }
}

impl StreamRegistrar {
    /// Applies each run of messages with one request id as one batch, up to an item that fails.
    async fn answer_runs(
        &self,
        group: Vec<proto::ApplyStreamRequest>,
    ) -> Answers<proto::ApplyStreamResponse> {
        let mut answers = Answers { ready: Vec::with_capacity(group.len()), end: None };
        let mut warnings_left = BATCH_WARNINGS_MAX;
        let mut messages = group.into_iter().peekable();
        while answers.end.is_none()
            && let Some(first) = messages.next()
        {
            let id = first.request_id;
            let mut items = vec![first.item.unwrap_or_default()];
            while let Some(next) = messages.next_if(|next| next.request_id == id) {
                items.push(next.item.unwrap_or_default());
            }
            let (mut outcomes, end) = self.answer_run(&id, items).await;
            warnings_left = response::leave_out_warnings(&mut outcomes, warnings_left);
            answers.ready.extend(outcomes.into_iter().map(stream_answer));
            answers.end = end;
        }
        self.call.force_memory(memory::reported_bytes(answers.ready.len()));
        answers
    }

    /// The outcomes of the items before one that fails, and the status for those from it on.
    async fn answer_run(&self, id: &str, items: Vec<proto::Item>) -> (Vec<proto::Outcome>, Option<Status>) {
        let request = match request::request_id(id) {
            Ok(request) => request,
            Err(refusal) => return (refuse_all(&refusal, &items), None),
        };
        let numbers: Vec<u32> = items.iter().map(|item| item.number).collect();
        let mut applied = self.shared.apply_items(&self.call, request, items).await;
        let settled = applied.iter().position(has_failed).unwrap_or(applied.len());
        let failure = failure_of(&applied.split_off(settled));
        let outcomes = numbers.into_iter().zip(applied);
        let outcomes = outcomes.map(|(number, result)| response::outcome(number, result, request)).collect();
        (outcomes, failure.map(|failure| reply::failed(&failure, request)))
    }
}

fn has_failed(outcome: &Result<Receipt, Problem>) -> bool {
    matches!(outcome, Err(Problem::Failed(_)))
}

fn stream_answer(outcome: proto::Outcome) -> proto::ApplyStreamResponse {
    proto::ApplyStreamResponse { outcome: Some(outcome) }
}

fn refuse_all(refusal: &Refusal, items: &[proto::Item]) -> Vec<proto::Outcome> {
    let refused = || Err(Problem::Refused(refusal.clone()));
    items.iter().map(|item| response::outcome(item.number, refused(), None)).collect()
}

//----------- Applying -------------------------------------------------------

impl Shared {
    /// Applies one command.
    pub(super) async fn apply_one(
        &self,
        call: &Call,
        request_id: &str,
        command: Result<Command, Refusal>,
    ) -> Result<Receipt, Status> {
        let request = request::request_id(request_id).map_err(|refusal| reply::refused(&refusal, None))?;
        let command = command.map_err(|refusal| reply::refused(&refusal, request))?;
        let single = Single { request, command, deadline: call.deadline };
        let applied = call.command(self.registry.apply_one(&call.caller, single)).await;
        applied.map_err(|problem| match problem {
            Problem::Refused(refusal) => reply::refused(&refusal, request),
            Problem::Failed(failure) => reply::failed(&failure, request),
        })
    }

    /// Applies items in order; each has its own outcome, in the same order.
    async fn apply_items(
        &self,
        call: &Call,
        request: Option<RequestId>,
        messages: Vec<proto::Item>,
    ) -> Vec<Result<Receipt, Problem>> {
        let mut items = Vec::with_capacity(messages.len());
        let mut refused: Vec<Option<Refusal>> = Vec::with_capacity(messages.len());
        for message in messages {
            match request::item(message) {
                Ok(item) => {
                    items.push(item);
                    refused.push(None);
                }
                Err(refusal) => refused.push(Some(refusal)),
            }
        }
        let batch = Batch { request, items, deadline: call.deadline };
        // The registry ends at the deadline itself, with the outcomes that it has by then.
        let applied = self.registry.apply_items(&call.caller, batch).map(Ok);
        let (mut applied, lost) = match call.command(applied).await {
            Ok(applied) => (applied.into_iter(), None),
            Err(failure) => (Vec::new().into_iter(), Some(failure)),
        };
        let lost = || lost.clone().unwrap_or_else(lost_outcome);
        let outcome = |refused: Option<Refusal>| match refused {
            Some(refusal) => Err(refusal.into()),
            None => applied.next().unwrap_or_else(|| Err(lost().into())),
        };
        refused.into_iter().map(outcome).collect()
    }
}
