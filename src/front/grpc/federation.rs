//! FederationService: the upper node's side of announcing and filing.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::Shared;
use super::counters::Service;
use super::inbound::{Announcement, Draft, FilingStream, Message, Taken};
use super::stream::{Answers, Converse, GroupBounds, converse};
use super::{inbound, reply, request, response};
use crate::model::limits::{GROUP_ITEMS_MAX, INCARNATIONS_ANNOUNCED_MAX, MESSAGE_BYTES_MAX};
use crate::model::position::Incarnation;
use crate::model::refusal::Refusal;
use crate::wire::proto;
use crate::wire::proto::federation_service_server::FederationService;
use crate::wire::proto::file_request;

/// What one group of a stream holds: as much as one group commit.
const GROUP: GroupBounds = GroupBounds { messages: GROUP_ITEMS_MAX, bytes: MESSAGE_BYTES_MAX };

//----------- FederationApi --------------------------------------------------

/// The service.
pub(super) struct FederationApi(pub(super) Arc<Shared>);

#[tonic::async_trait]
impl FederationService for FederationApi {
    type FileStream = BoxStream<'static, Result<proto::FileResponse, Status>>;

    async fn announce(
        &self,
        request: Request<proto::AnnounceRequest>,
    ) -> Result<Response<proto::AnnounceResponse>, Status> {
        let call = self.0.admit(&request, Service::Federation)?;
        let (announcement, lineage) =
            announcement(request.into_inner()).map_err(|refusal| reply::refused(&refusal, None))?;
        let confirmed = self.0.inbound.announce(&call, announcement, &lineage).await?;
        let scope = inbound::scope(&call.caller).map(ToString::to_string).collect();
        Ok(Response::new(proto::AnnounceResponse {
            incarnation: self.0.resolver.head().incarnation.0.to_vec(),
            bookmark: confirmed.map(proto::Position::from).into_iter().collect(),
            resynchronize: confirmed.is_none(),
            scope,
        }))
    }

    async fn file(
        &self,
        request: Request<Streaming<proto::FileRequest>>,
    ) -> Result<Response<Self::FileStream>, Status> {
        let call = self.0.admit(&request, Service::Federation)?;
        let filings = self.0.inbound.begin(call)?;
        let filer = StreamFiler { shared: Arc::clone(&self.0), filings };
        let answers = converse(request.into_inner(), filer, GROUP, self.0.closing.clone());
        Ok(Response::new(answers))
    }
}

//----------- StreamFiler ----------------------------------------------------

/// Answers the groups of one stream, each with one acknowledgement.
struct StreamFiler {
    shared: Arc<Shared>,
    filings: FilingStream,
}

impl Converse for StreamFiler {
    type Asked = proto::FileRequest;
    type Answered = proto::FileResponse;

    fn answer(&mut self, group: Vec<proto::FileRequest>) -> BoxFuture<'_, Answers<proto::FileResponse>> {
        self.acknowledge(group).map(Answers::from).boxed()
    }

    fn release(&mut self) {
        self.filings.call().release_memory();
    }
}

impl StreamFiler {
    async fn acknowledge(
        &mut self,
        group: Vec<proto::FileRequest>,
    ) -> Result<Vec<proto::FileResponse>, Status> {
        let messages = group.into_iter().map(message).collect::<Result<_, _>>();
        let messages = messages.map_err(|refusal| reply::refused(&refusal, None))?;
        let taken = self.filings.take(messages).await?;
        if taken.position.is_none() && taken.refused.is_empty() {
            return Ok(Vec::new());
        }
        let own = self.shared.resolver.head().incarnation;
        Ok(vec![acknowledgement(taken, own.0.to_vec())])
    }
}

fn acknowledgement(taken: Taken, incarnation: Vec<u8>) -> proto::FileResponse {
    let refused =
        (0..).zip(taken.refused).map(|(number, (prefix, position, refusal))| proto::RefusedFiling {
            prefix: prefix.to_string(),
            position: Some(position.into()),
            refusal: Some(response::refusal_message(&refusal, number)),
        });
    proto::FileResponse {
        position: taken.position.map(proto::Position::from),
        incarnation,
        refused: refused.collect(),
    }
}

//----------- Messages -------------------------------------------------------

fn announcement(message: proto::AnnounceRequest) -> Result<(Announcement, Vec<Incarnation>), Refusal> {
    let incarnation = request::incarnation(&message.incarnation)?;
    let lineage = lineage(&message.lineage, incarnation)?;
    let site = request::site(message.site)?;
    Ok((Announcement { site, incarnation, has_lineage: !lineage.is_empty() }, lineage))
}

/// The incarnations that a lower node's store has had, the announced one last; none from releases that do not send them.
fn lineage(messages: &[Vec<u8>], present: Incarnation) -> Result<Vec<Incarnation>, Refusal> {
    let count = messages.len();
    if count > INCARNATIONS_ANNOUNCED_MAX {
        let reason =
            format!("{count} incarnations in lineage; the last {INCARNATIONS_ANNOUNCED_MAX} are enough");
        return Err(request::invalid(&reason));
    }
    let lineage: Vec<Incarnation> =
        messages.iter().map(|bytes| request::incarnation(bytes)).collect::<Result<_, _>>()?;
    if lineage.last().is_some_and(|last| *last != present) {
        return Err(request::invalid("the last incarnation in lineage is not the announced one"));
    }
    Ok(lineage)
}

fn message(message: proto::FileRequest) -> Result<Message, Refusal> {
    match message.message {
        Some(file_request::Message::BeginResynchronization(begin)) => {
            Ok(Message::Begin { incarnation: request::incarnation(&begin.incarnation)? })
        }
        Some(file_request::Message::Filing(filing)) => Ok(Message::Filing(Draft {
            prefix: request::prefix(&filing.prefix)?,
            status: request::prefix_status(filing.standing())?,
            registrant: request::registrant(filing.registrant)?,
            position: request::position(filing.position)?,
        })),
        Some(file_request::Message::EndResynchronization(end)) => {
            Ok(Message::End { as_of: request::position(end.as_of)? })
        }
        Some(file_request::Message::Progress(progress)) => {
            Ok(Message::Progress { position: request::position(progress.position)? })
        }
        None => Err(request::missing("message")),
    }
}
