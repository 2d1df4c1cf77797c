//! PrefixService: who answers for which prefix.

use std::sync::Arc;

use prost::Message;
use tonic::{Request, Response, Status};

use super::Shared;
use super::call::Call;
use super::counters::Service;
use super::page::{self, Page, PageMemory};
use super::{reply, request, response};
use crate::model::identifier::Prefix;
use crate::model::prefix::PrefixEntry;
use crate::model::refusal::Refusal;
use crate::registry::command::{Command, PrefixCommand};
use crate::registry::filing::LostFilings;
use crate::wire::proto;
use crate::wire::proto::prefix_service_server::PrefixService;

//----------- PrefixApi ------------------------------------------------------

/// The service.
pub(super) struct PrefixApi(pub(super) Arc<Shared>);

#[tonic::async_trait]
impl PrefixService for PrefixApi {
    async fn home_prefix(
        &self,
        request: Request<proto::HomePrefixRequest>,
    ) -> Result<Response<proto::HomePrefixResponse>, Status> {
        let call = self.0.admit(&request, Service::Prefix)?;
        let message = request.into_inner();
        let request_id = message.request_id.clone();
        let receipt = self.0.change_prefix(&call, &request_id, request::home(message)).await?;
        Ok(Response::new(proto::HomePrefixResponse { receipt: Some(receipt) }))
    }

    async fn delegate_prefix(
        &self,
        request: Request<proto::DelegatePrefixRequest>,
    ) -> Result<Response<proto::DelegatePrefixResponse>, Status> {
        let call = self.0.admit(&request, Service::Prefix)?;
        let message = request.into_inner();
        let request_id = message.request_id.clone();
        let receipt = self.0.change_prefix(&call, &request_id, request::delegate(message)).await?;
        Ok(Response::new(proto::DelegatePrefixResponse { receipt: Some(receipt) }))
    }

    async fn suspend_prefix(
        &self,
        request: Request<proto::SuspendPrefixRequest>,
    ) -> Result<Response<proto::SuspendPrefixResponse>, Status> {
        let call = self.0.admit(&request, Service::Prefix)?;
        let message = request.into_inner();
        let command = request::prefix(&message.prefix).map(|prefix| PrefixCommand::Suspend { prefix });
        let receipt = self.0.change_prefix(&call, &message.request_id, command).await?;
        Ok(Response::new(proto::SuspendPrefixResponse { receipt: Some(receipt) }))
    }

    async fn resume_prefix(
        &self,
        request: Request<proto::ResumePrefixRequest>,
    ) -> Result<Response<proto::ResumePrefixResponse>, Status> {
        let call = self.0.admit(&request, Service::Prefix)?;
        let message = request.into_inner();
        let command = request::prefix(&message.prefix).map(|prefix| PrefixCommand::Resume { prefix });
        let receipt = self.0.change_prefix(&call, &message.request_id, command).await?;
        Ok(Response::new(proto::ResumePrefixResponse { receipt: Some(receipt) }))
    }

    async fn end_delegation(
        &self,
        request: Request<proto::EndDelegationRequest>,
    ) -> Result<Response<proto::EndDelegationResponse>, Status> {
        let call = self.0.admit(&request, Service::Prefix)?;
        let message = request.into_inner();
        let version = message.version;
        let command =
            request::prefix(&message.prefix).map(|prefix| PrefixCommand::EndDelegation { prefix, version });
        let receipt = self.0.change_prefix(&call, &message.request_id, command).await?;
        Ok(Response::new(proto::EndDelegationResponse { receipt: Some(receipt) }))
    }

    async fn revoke_prefix(
        &self,
        request: Request<proto::RevokePrefixRequest>,
    ) -> Result<Response<proto::RevokePrefixResponse>, Status> {
        let call = self.0.admit(&request, Service::Prefix)?;
        let message = request.into_inner();
        let command = request::prefix(&message.prefix).map(|prefix| PrefixCommand::Revoke { prefix });
        let receipt = self.0.change_prefix(&call, &message.request_id, command).await?;
        Ok(Response::new(proto::RevokePrefixResponse { receipt: Some(receipt) }))
    }

    async fn note_prefix(
        &self,
        request: Request<proto::NotePrefixRequest>,
    ) -> Result<Response<proto::NotePrefixResponse>, Status> {
        let call = self.0.admit(&request, Service::Prefix)?;
        let message = request.into_inner();
        let receipt = self.0.apply_one(&call, &message.request_id, request::note(&message)).await?;
        Ok(Response::new(proto::NotePrefixResponse { receipt: Some(response::receipt(receipt)) }))
    }

    async fn get_prefix(
        &self,
        request: Request<proto::GetPrefixRequest>,
    ) -> Result<Response<proto::GetPrefixResponse>, Status> {
        let call = self.0.admit(&request, Service::Prefix)?;
        let prefix = parse(&request.get_ref().prefix)?;
        match self.0.registry.prefix(&prefix) {
            Some(entry) => {
                let lost = self.0.lost_filings(&call, std::slice::from_ref(&entry)).await?;
                let entry = Some(self.0.prefix_entry(&call, &entry, &lost));
                Ok(Response::new(proto::GetPrefixResponse { entry }))
            }
            None => Err(reply::refused(&Refusal::PrefixAbsent { prefix }, None)),
        }
    }

    async fn list_prefixes(
        &self,
        request: Request<proto::ListPrefixesRequest>,
    ) -> Result<Response<proto::ListPrefixesResponse>, Status> {
        let call = self.0.admit(&request, Service::Prefix)?;
        let _turn = self.0.producing_turn(&call).await?;
        Ok(Response::new(self.0.list_prefixes(&call, request.get_ref()).await?))
    }
}

fn parse(text: &str) -> Result<Prefix, Status> {
    request::prefix(text).map_err(|refusal| reply::refused(&refusal, None))
}

impl Shared {
    async fn change_prefix(
        &self,
        call: &Call,
        request_id: &str,
        command: Result<PrefixCommand, Refusal>,
    ) -> Result<proto::Receipt, Status> {
        let receipt = self.apply_one(call, request_id, command.map(Command::Prefix)).await?;
        Ok(response::receipt(receipt))
    }

    async fn lost_filings(&self, call: &Call, entries: &[PrefixEntry]) -> Result<LostFilings, Status> {
        let lost = call.ask(self.registry.lost_filings(&call.caller, entries)).await?;
        lost.map_err(|failure| reply::failed(&failure, None))
    }

    fn prefix_entry(&self, call: &Call, entry: &PrefixEntry, lost: &LostFilings) -> proto::PrefixEntry {
        let note = self.registry.note(&call.caller, &entry.prefix);
        response::prefix_entry(entry, note.as_deref(), lost, &call.caller)
    }

    async fn list_prefixes(
        &self,
        call: &Call,
        message: &proto::ListPrefixesRequest,
    ) -> Result<proto::ListPrefixesResponse, Status> {
        let under = match message.under.as_str() {
            "" => None,
            text => Some(parse(text)?),
        };
        if message.lost {
            call.must_run_the_node()?;
        }
        let after = page::prefix_after(&message.page_token)?;
        let mut entries = self.registry.prefixes();
        entries.sort_by(|left, right| left.prefix.cmp(&right.prefix));
        entries.retain(|entry| {
            under.as_ref().is_none_or(|under| under.covers(&entry.prefix))
                && after.as_ref().is_none_or(|after| entry.prefix > *after)
        });
        let lost = self.lost_filings(call, &entries).await?;
        entries.retain(|entry| !message.lost || lost.contains(entry));
        let mut page = Page::new(message.page_size);
        let mut memory = PageMemory::new(call);
        let mut last = None;
        for entry in &entries {
            let message = self.prefix_entry(call, entry, &lost);
            if !memory.take(message.encoded_len(), 0)? || !page.take(message) {
                let next_page_token = last.map(page::token_after).unwrap_or_default();
                return Ok(proto::ListPrefixesResponse { entries: page.into_items(), next_page_token });
            }
            last = Some(entry.prefix.as_str());
        }
        Ok(proto::ListPrefixesResponse { entries: page.into_items(), next_page_token: String::new() })
    }
}
