//! What the handlers of the faces that show handles work with.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use tokio::time::Instant;

use super::denial::Denial;
use crate::authority::Authority;
use crate::authority::caller::Caller;
use crate::front::http::dependencies::{HttpDependencies, Tunnel};
use crate::front::http::transport::REQUEST_MAX;
use crate::front::http::transport::authentication::Authenticator;
use crate::front::http::transport::body::BODY_MAX;
use crate::front::http::transport::state::Transport;
use crate::front::listen::crypto_pool::CryptoPool;
use crate::key::PrivateKey;
use crate::registry::Registry;
use crate::registry::command::{Command, Single};
use crate::registry::receipt::Receipt;
use crate::resolver::Resolver;

/// How long a command may wait for its outcome.
const COMMAND_MAX: Duration = Duration::from_secs(20);
/// How long finding out who calls may take; other nodes may be asked for a key.
const CALLER_SECONDS_MAX: u64 = 5;

const _: () = assert!(
    BODY_MAX.as_secs() + CALLER_SECONDS_MAX + COMMAND_MAX.as_secs() < REQUEST_MAX.as_secs(),
    "a command learns its outcome before its request is cut off"
);

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
        caller: &Caller,
        command: Command,
    ) -> Result<Receipt, Denial> {
        let deadline = Some(Instant::now() + COMMAND_MAX);
        let single = Single { request: None, command, deadline };
        Ok(self.registry.apply_one(caller, single).await?)
    }
}
