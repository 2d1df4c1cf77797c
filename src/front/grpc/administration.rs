//! AdministrationService: tokens and status.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::Shared;
use super::counters::Service;
use super::response::NodeStatus;
use super::{reply, request, response};
use crate::backup::Summary;
use crate::filing::status::FilingWatch;
use crate::registry::command::{Command, TokenCommand};
use crate::telemetry::Chain;
use crate::wire::proto;
use crate::wire::proto::administration_service_server::AdministrationService;

//----------- AdministrationApi ----------------------------------------------

/// The service.
pub(super) struct AdministrationApi(pub(super) Arc<Shared>);

#[tonic::async_trait]
impl AdministrationService for AdministrationApi {
    async fn create_token(
        &self,
        request: Request<proto::CreateTokenRequest>,
    ) -> Result<Response<proto::CreateTokenResponse>, Status> {
        let call = self.0.admit(&request, Service::Administration)?;
        let draft = request::token_draft(request.into_inner());
        let draft = draft.map_err(|refusal| reply::refused(&refusal, None))?;
        let (text, entry) = call.change(self.0.registry.create_token(&call.caller, draft)).await?;
        Ok(Response::new(proto::CreateTokenResponse { text, token: Some(response::token(entry)) }))
    }

    async fn revoke_token(
        &self,
        request: Request<proto::RevokeTokenRequest>,
    ) -> Result<Response<proto::RevokeTokenResponse>, Status> {
        let call = self.0.admit(&request, Service::Administration)?;
        let message = request.into_inner();
        let command = request::token_id(&message.id).map(|id| Command::Token(TokenCommand::Revoke { id }));
        let receipt = self.0.apply_one(&call, &message.request_id, command).await?;
        Ok(Response::new(proto::RevokeTokenResponse { receipt: Some(response::receipt(receipt)) }))
    }

    async fn reset_peer(
        &self,
        request: Request<proto::ResetPeerRequest>,
    ) -> Result<Response<proto::ResetPeerResponse>, Status> {
        let call = self.0.admit(&request, Service::Administration)?;
        let message = request.into_inner();
        let id = request::token_id(&message.id);
        let command = id.clone().map(|id| Command::Token(TokenCommand::ResetPeer { id }));
        let receipt = self.0.apply_one(&call, &message.request_id, command).await?;
        if let Ok(id) = id {
            self.0.inbound.forget(id);
        }
        Ok(Response::new(proto::ResetPeerResponse { receipt: Some(response::receipt(receipt)) }))
    }

    async fn list_tokens(
        &self,
        request: Request<proto::ListTokensRequest>,
    ) -> Result<Response<proto::ListTokensResponse>, Status> {
        let call = self.0.admit(&request, Service::Administration)?;
        let entries =
            self.0.registry.tokens(&call.caller).map_err(|refusal| reply::refused(&refusal, None))?;
        let tokens = entries.into_iter().map(response::token).collect();
        Ok(Response::new(proto::ListTokensResponse { tokens }))
    }

    async fn get_status(
        &self,
        request: Request<proto::GetStatusRequest>,
    ) -> Result<Response<proto::GetStatusResponse>, Status> {
        let call = self.0.admit(&request, Service::Administration)?;
        call.must_be_known()?;
        let status = call.ask(self.0.node_status()).await?;
        Ok(Response::new(proto::GetStatusResponse { status: Some(response::node_status(status)) }))
    }
}

impl Shared {
    async fn node_status(&self) -> NodeStatus {
        NodeStatus {
            store: self.registry.store_status().await,
            filing: self.filing.as_ref().map(FilingWatch::status),
            uptime: self.started.elapsed(),
            newest_backup: self.newest_backup().await,
        }
    }

    /// The newest backup; none when there is none, or the backups cannot be listed.
    async fn newest_backup(&self) -> Option<Summary> {
        let newest = self.backups.newest().await;
        newest
            .inspect_err(|error| tracing::warn!(error = %Chain(error), "the backups cannot be listed"))
            .ok()
            .flatten()
    }
}
