//! What the handlers of the faces that show handles work with.

use std::sync::Arc;

use axum::extract::FromRef;

use super::caller::Commanding;
use super::denial::Denial;
use crate::authority::Authority;
use crate::front::http::dependencies::{HttpDependencies, Tunnel};
use crate::front::http::transport::authentication::Authenticator;
use crate::front::http::transport::state::Transport;
use crate::front::listen::crypto_pool::CryptoPool;
use crate::key::PrivateKey;
use crate::registry::Registry;
use crate::registry::command::{Command, Single};
use crate::registry::receipt::Receipt;
use crate::resolver::Resolver;

//----------- HandleState ------------------------------------------------------

/// What the handlers of these faces work with.
#[derive(Clone)]
pub(in crate::front::http) struct HandleState {
    pub(in crate::front::http) transport: Arc<Transport>,
    registry: Arc<Registry>,
    pub(in crate::front::http) resolver: Arc<Resolver>,
    pub(in crate::front::http) server_key: Arc<PrivateKey>,
    pub(in crate::front::http) crypto_pool: Arc<CryptoPool>,
    pub(in crate::front::http) tunnel: Option<Tunnel>,
}

impl FromRef<HandleState> for Arc<Transport> {
    fn from_ref(api: &HandleState) -> Self {
        Arc::clone(&api.transport)
    }
}

impl HandleState {
    /// The face over what a node has.
    pub(in crate::front::http) fn new(dependencies: &HttpDependencies, transport: Arc<Transport>) -> Self {
        Self {
            transport,
            registry: Arc::clone(&dependencies.registry),
            resolver: Arc::clone(&dependencies.resolver),
            server_key: Arc::clone(&dependencies.server_key),
            crypto_pool: Arc::clone(&dependencies.crypto_pool),
            tunnel: dependencies.tunnel.clone(),
        }
    }

    /// Decides who callers are.
    pub(in crate::front::http) fn authority(&self) -> &Authority {
        &self.transport.authenticator.authority
    }

    /// What finds out who calls.
    pub(in crate::front::http) fn authenticator(&self) -> &Authenticator {
        &self.transport.authenticator
    }

    /// Has a command carried out: when it returns a receipt, the change is durable.
    pub(in crate::front::http) async fn command(
        &self,
        Commanding { caller, deadline }: &Commanding,
        command: Command,
    ) -> Result<Receipt, Denial> {
        let single = Single { request: None, command, deadline: Some(deadline.begin_command()) };
        Ok(self.registry.apply_one(caller, single).await?)
    }
}
