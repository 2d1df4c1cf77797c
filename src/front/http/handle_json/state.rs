//! What the handlers of the faces that show handles work with.

use core::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRef;

use super::caller::Commanding;
use super::denial::Denial;
use crate::authority::Authority;
use crate::front::http::dependencies::{HttpDependencies, Tunnel};
use crate::front::http::transport::authentication::Authenticator;
use crate::front::listen::crypto_pool::CryptoPool;
use crate::key::PrivateKey;
use crate::registry::Registry;
use crate::registry::command::{Command, Single};
use crate::registry::receipt::Receipt;
use crate::resolver::Resolver;

//----------- HandleState ------------------------------------------------------

/// What the handlers of these faces work with. Every request takes clones, which share one whole.
#[derive(Clone)]
pub(in crate::front::http) struct HandleState(Arc<HandleParts>);

/// What the clones of a [`HandleState`] share.
pub(in crate::front::http) struct HandleParts {
    registry: Arc<Registry>,
    pub(in crate::front::http) authenticator: Arc<Authenticator>,
    pub(in crate::front::http) resolver: Arc<Resolver>,
    pub(in crate::front::http) server_key: Arc<PrivateKey>,
    pub(in crate::front::http) crypto_pool: Arc<CryptoPool>,
    pub(in crate::front::http) tunnel: Option<Tunnel>,
}

impl Deref for HandleState {
    type Target = HandleParts;

    fn deref(&self) -> &HandleParts {
        &self.0
    }
}

impl FromRef<HandleState> for Arc<Authenticator> {
    fn from_ref(api: &HandleState) -> Self {
        Arc::clone(&api.authenticator)
    }
}

impl HandleState {
    /// The state over what a node has.
    pub(in crate::front::http) fn new(
        dependencies: &HttpDependencies,
        authenticator: Arc<Authenticator>,
    ) -> Self {
        Self(Arc::new(HandleParts {
            registry: Arc::clone(&dependencies.registry),
            authenticator,
            resolver: Arc::clone(&dependencies.resolver),
            server_key: Arc::clone(&dependencies.server_key),
            crypto_pool: Arc::clone(&dependencies.crypto_pool),
            tunnel: dependencies.tunnel.clone(),
        }))
    }

    /// Decides who callers are.
    pub(in crate::front::http) fn authority(&self) -> &Authority {
        &self.authenticator.authority
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
