//! ResolutionService: single questions, batches, streams, lists, histories.
//!
//! No reply exceeds the size of a message. A batch is answered in portions, and once the answers fill a message the rest is
//! refused as ANSWER_TOO_LARGE without being looked up. A page ends early, also where no memory is to spare, and its token
//! continues from there.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use prost::Message;
use tokio::sync::SemaphorePermit;
use tokio::task;
use tonic::{Request, Response, Status, Streaming};

use super::Shared;
use super::call::Call;
use super::counters::Service;
use super::page::{self, MessageSpace, Page, PageMemory};
use super::stream::{Answers, Converse, GroupBounds, converse};
use super::{memory, reply, request, response};
use crate::model::identifier::Identifier;
use crate::model::limits::{BATCH_ITEMS_MAX, MESSAGE_BYTES_MAX, VALUES_BYTES_MAX};
use crate::model::position::Position;
use crate::model::refusal::Refusal;
use crate::resolver::Cursor;
use crate::resolver::answer::Question;
use crate::resolver::recursion::Recursion;
use crate::telemetry::{bug, bug_shown_by};
use crate::wire::proto;
use crate::wire::proto::resolution_service_server::ResolutionService;
use crate::wire::proto::{answer, resolve_outcome};

/// Questions that are passed to the resolver at a time, so that their answers together stay small.
const PORTION: usize = 32;
/// Bounds of one group of a stream.
const GROUP: GroupBounds = GroupBounds { messages: PORTION, bytes: MESSAGE_BYTES_MAX };

const _: () =
    assert!(PORTION * VALUES_BYTES_MAX <= 2 * MESSAGE_BYTES_MAX, "a portion of answers stays small");

//----------- ResolutionApi --------------------------------------------------

/// The service.
pub(super) struct ResolutionApi(pub(super) Arc<Shared>);

#[tonic::async_trait]
impl ResolutionService for ResolutionApi {
    type ResolveStreamStream = BoxStream<'static, Result<proto::ResolveStreamResponse, Status>>;

    async fn resolve(
        &self,
        request: Request<proto::ResolveRequest>,
    ) -> Result<Response<proto::ResolveResponse>, Status> {
        let call = self.0.admit(&request, Service::Resolution)?;
        let message = request.into_inner();
        let question =
            request::question(message.question).map_err(|refusal| reply::refused(&refusal, None))?;
        let recursion = message.recursion.filter(|recursion| recursion.desired);
        let answer = match recursion {
            Some(recursion) => {
                let path =
                    request::path(&recursion.path).map_err(|refusal| reply::refused(&refusal, None))?;
                let recursion = Recursion { deadline: call.deadline, path, unnamed: 0 };
                let answer = self.0.resolver.recurse(&call.caller, &question, recursion);
                call.ask(answer).await?.map_err(|unanswered| reply::unanswered_onward(&unanswered))?
            }
            None => {
                let answer = self.0.resolver.answer(&call.caller, &question);
                call.ask(answer).await?.map_err(|problem| reply::problem(&problem))?
            }
        };
        Ok(Response::new(proto::ResolveResponse { answer: Some(response::answer(answer)) }))
    }

    async fn resolve_batch(
        &self,
        request: Request<proto::ResolveBatchRequest>,
    ) -> Result<Response<proto::ResolveBatchResponse>, Status> {
        let call = self.0.admit(&request, Service::Resolution)?;
        let questions = request.into_inner().questions;
        if questions.len() > BATCH_ITEMS_MAX {
            return Err(reply::refused(&Refusal::TooManyItems { count: questions.len() }, None));
        }
        let numbered = (0..).zip(questions.into_iter().map(|question| request::question(Some(question))));
        let outcomes = self.0.resolve_portions(&call, numbered.collect()).await?;
        Ok(Response::new(proto::ResolveBatchResponse { outcomes }))
    }

    async fn resolve_stream(
        &self,
        request: Request<Streaming<proto::ResolveStreamRequest>>,
    ) -> Result<Response<Self::ResolveStreamStream>, Status> {
        let call = self.0.admit(&request, Service::Resolution)?;
        let resolver = StreamResolver { shared: Arc::clone(&self.0), call };
        let answers = converse(request.into_inner(), resolver, GROUP, self.0.closing.clone());
        Ok(Response::new(answers))
    }

    async fn list_identifiers(
        &self,
        request: Request<proto::ListIdentifiersRequest>,
    ) -> Result<Response<proto::ListIdentifiersResponse>, Status> {
        let call = self.0.admit(&request, Service::Resolution)?;
        let response = self.0.list(&call, request.into_inner()).await?;
        Ok(Response::new(response))
    }

    async fn get_history(
        &self,
        request: Request<proto::GetHistoryRequest>,
    ) -> Result<Response<proto::GetHistoryResponse>, Status> {
        let call = self.0.admit(&request, Service::Resolution)?;
        let response = self.0.history(&call, request.into_inner()).await?;
        Ok(Response::new(response))
    }
}

//----------- StreamResolver -------------------------------------------------

/// Answers the groups of one stream.
struct StreamResolver {
    shared: Arc<Shared>,
    call: Call,
}

impl Converse for StreamResolver {
    type Asked = proto::ResolveStreamRequest;
    type Answered = proto::ResolveStreamResponse;

    fn answer(
        &mut self,
        group: Vec<proto::ResolveStreamRequest>,
    ) -> BoxFuture<'_, Answers<proto::ResolveStreamResponse>> {
        let numbered = group.into_iter().map(|message| (message.number, request::question(message.question)));
        let numbered = numbered.collect();
        async move {
            let outcomes = self.shared.resolve_portion(&self.call, numbered).await;
            let answer = |outcome| proto::ResolveStreamResponse { outcome: Some(outcome) };
            Answers::from(outcomes.map(|outcomes| outcomes.into_iter().map(answer).collect()))
        }
        .boxed()
    }

    fn release(&mut self) {
        self.call.release_memory();
    }
}

//----------- Resolving ------------------------------------------------------

/// A question or the reason why it is malformed, with the caller's number.
type Numbered = (u32, Result<Question, Refusal>);

impl Shared {
    /// Answers questions in order, as many as fit one message.
    async fn resolve_portions(
        &self,
        call: &Call,
        questions: Vec<Numbered>,
    ) -> Result<Vec<proto::ResolveOutcome>, Status> {
        let reserved = response::too_large(u32::MAX).encoded_len();
        let mut space = MessageSpace::beyond(questions.len(), reserved);
        let mut outcomes = Vec::with_capacity(questions.len());
        let mut questions = questions.into_iter().peekable();
        let mut all_fit = true;
        while all_fit && questions.peek().is_some() {
            let portion = questions.by_ref().take(PORTION).collect();
            for outcome in self.resolve_portion(call, portion).await? {
                let fits = space.take_beyond(&outcome, reserved);
                all_fit &= fits;
                outcomes.push(if fits { outcome } else { response::too_large(outcome.number) });
            }
        }
        outcomes.extend(questions.map(|(number, _)| response::too_large(number)));
        Ok(outcomes)
    }

    /// Answers a few questions in order.
    async fn resolve_portion(
        &self,
        call: &Call,
        questions: Vec<Numbered>,
    ) -> Result<Vec<proto::ResolveOutcome>, Status> {
        let _turn = self.producing_turn(call).await?;
        let understood: Vec<Question> =
            questions.iter().filter_map(|(_, question)| question.as_ref().ok().cloned()).collect();
        let answers = call.ask(self.resolver.answer_many(&call.caller, &understood)).await?;
        let mut answers = answers.map_err(|failure| reply::failed(&failure, None))?.into_iter();
        let lost = || reply::failed(&bug("one answer for each question"), None);
        let outcomes = questions.into_iter().map(|(number, question)| {
            let result = match question {
                Ok(_) => answers.next().ok_or_else(lost)?,
                Err(refusal) => Err(refusal),
            };
            Ok(response::resolve_outcome(number, result))
        });
        let outcomes: Vec<proto::ResolveOutcome> = outcomes.collect::<Result<_, Status>>()?;
        let prepaid = memory::outcomes_bytes(1);
        let beyond = |outcome: &proto::ResolveOutcome| {
            memory::item_bytes(outcome.encoded_len(), values_of(outcome)).saturating_sub(prepaid)
        };
        call.take_memory(outcomes.iter().map(beyond).sum())?;
        Ok(outcomes)
    }

    /// Waits for a permit to produce a part of a large answer.
    pub(super) async fn producing_turn(&self, call: &Call) -> Result<Option<SemaphorePermit<'_>>, Status> {
        // The semaphore is never closed.
        let turn = call.ask(self.producing.acquire()).await?.ok();
        // The runtime looks at its sockets before it comes back here. Without this, 24 readers of long histories used
        // its threads for 60 ms at a time, and small calls waited as long.
        task::yield_now().await;
        Ok(turn)
    }

    async fn list(
        &self,
        call: &Call,
        message: proto::ListIdentifiersRequest,
    ) -> Result<proto::ListIdentifiersResponse, Status> {
        let prefix = request::prefix(&message.prefix).map_err(|refusal| reply::refused(&refusal, None))?;
        let mut after = page::cursor(&message.page_token, |bytes| self.resolver.cursor(&prefix, bytes))?;
        let mut page = Page::new(message.page_size);
        let mut memory = PageMemory::new(call);
        loop {
            let portion = page.wanted().min(PORTION);
            let turn = self.producing_turn(call).await?;
            if !memory.take_ahead(portion)? {
                return Ok(listed(page, after.as_ref()));
            }
            let found = self.resolver.list(&call.caller, &prefix, after.as_ref(), portion);
            let found = call.ask(found).await?.map_err(|problem| reply::problem(&problem))?;
            for (position, found) in found.items.into_iter().enumerate() {
                let found = response::found(found);
                if !memory.take(found.encoded_len(), found.values.len())? || !page.take(found) {
                    if position > 0 {
                        after = self.cursor_behind(call, &page).await?;
                    }
                    return Ok(listed(page, after.as_ref()));
                }
            }
            drop(turn);
            after = found.next;
            if after.is_none() || page.wanted() == 0 {
                return Ok(listed(page, after.as_ref()));
            }
        }
    }

    /// The cursor behind the last identifier of a page that ends within a portion.
    async fn cursor_behind(&self, call: &Call, page: &Page<proto::Found>) -> Result<Option<Cursor>, Status> {
        let Some(last) = page.last() else { return Ok(None) };
        let last = Identifier::parse(&last.identifier)
            .map_err(|error| reply::failed(&bug_shown_by("a listed identifier parses", &error), None))?;
        let cursor = call.ask(self.resolver.cursor_after(&last)).await?;
        Ok(Some(cursor.map_err(|failure| reply::failed(&failure, None))?))
    }

    async fn history(
        &self,
        call: &Call,
        message: proto::GetHistoryRequest,
    ) -> Result<proto::GetHistoryResponse, Status> {
        let identifier =
            request::identifier(&message.identifier).map_err(|refusal| reply::refused(&refusal, None))?;
        let position_of = |sequence| self.resolver.position_of(sequence);
        let mut before = page::change_before(&message.page_token, position_of)?;
        let mut page = Page::new(message.page_size);
        let mut memory = PageMemory::new(call);
        let mut complete_from = None;
        loop {
            let portion = page.wanted().min(PORTION);
            let turn = self.producing_turn(call).await?;
            if !memory.take_ahead(portion)? {
                return Ok(recounted(page, before, complete_from));
            }
            let history = self.resolver.history(&call.caller, &identifier, before, portion);
            let history = call.ask(history).await?.map_err(|problem| reply::problem(&problem))?;
            complete_from = history.complete_from.map(proto::Position::from);
            for change in history.changes {
                let position = change.position;
                let change = response::change(change);
                if !memory.take(change.encoded_len(), change.values.len())? || !page.take(change) {
                    return Ok(recounted(page, before, complete_from));
                }
                before = Some(position);
            }
            drop(turn);
            if history.next.is_none() {
                return Ok(recounted(page, None, complete_from));
            }
            if page.wanted() == 0 {
                return Ok(recounted(page, before, complete_from));
            }
        }
    }
}

/// The values of an outcome.
fn values_of(outcome: &proto::ResolveOutcome) -> usize {
    match &outcome.result {
        Some(resolve_outcome::Result::Answer(proto::Answer {
            answer: Some(answer::Answer::Values(found)),
        })) => found.values.len(),
        _ => 0,
    }
}

fn recounted(
    page: Page<proto::Change>,
    before: Option<Position>,
    complete_from: Option<proto::Position>,
) -> proto::GetHistoryResponse {
    let next_page_token = before.map(page::token_before).unwrap_or_default();
    proto::GetHistoryResponse { changes: page.into_items(), next_page_token, complete_from }
}

fn listed(page: Page<proto::Found>, after: Option<&Cursor>) -> proto::ListIdentifiersResponse {
    let next_page_token = after.map(page::token_of).unwrap_or_default();
    proto::ListIdentifiersResponse { identifiers: page.into_items(), next_page_token }
}
