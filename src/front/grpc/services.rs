//! The services of this front end, and which of them answers a call.
//!
//! ```text
//!   /idnode.v1.ResolutionService/Resolve ─▶ a service of proto/idnode/v1, by its name
//!   /grpc.health.v1.Health/Check         ─▶ the router of tonic: health, reflection, and refusals of all other paths
//! ```
//!
//! The router copies a service to the heap for each call and boxes the bodies of requests and answers once more. Calls of
//! `proto/idnode/v1`, which are nearly all, go past it.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either};
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::codegen::Service;
use tonic::codegen::http::{Request, Response};
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::HealthReporter;

use super::Shared;
use super::administration::AdministrationApi;
use super::backup::BackupApi;
use super::federation::FederationApi;
use super::prefixes::PrefixApi;
use super::registration::RegistrationApi;
use super::resolution::ResolutionApi;
use crate::model::limits::MESSAGE_BYTES_MAX;
use crate::wire::proto::DESCRIPTOR_SET;
use crate::wire::proto::administration_service_server::{self, AdministrationServiceServer};
use crate::wire::proto::backup_service_server::{self, BackupServiceServer};
use crate::wire::proto::federation_service_server::{self, FederationServiceServer};
use crate::wire::proto::prefix_service_server::{self, PrefixServiceServer};
use crate::wire::proto::registration_service_server::{self, RegistrationServiceServer};
use crate::wire::proto::resolution_service_server::{self, ResolutionServiceServer};

//----------- Services -------------------------------------------------------

/// All services. Clones share them.
#[derive(Clone)]
pub(super) struct Services(Arc<All>);

struct All {
    registration: RegistrationServiceServer<RegistrationApi>,
    resolution: ResolutionServiceServer<ResolutionApi>,
    prefix: PrefixServiceServer<PrefixApi>,
    backup: BackupServiceServer<BackupApi>,
    federation: FederationServiceServer<FederationApi>,
    administration: AdministrationServiceServer<AdministrationApi>,
    others: Routes,
}

/// Makes a generated server with the bounds that all share.
macro_rules! bounded {
    ($server:ident, $api:ident, $shared:expr) => {
        $server::new($api(Arc::clone($shared)))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
            .accept_compressed(CompressionEncoding::Gzip)
    };
}

impl Services {
    /// The services of this node, with health and reflection.
    pub(super) fn new(
        shared: &Arc<Shared>,
        health: HealthServer<impl Health>,
    ) -> Result<Self, tonic_reflection::server::Error> {
        Ok(Self(Arc::new(All {
            registration: bounded!(RegistrationServiceServer, RegistrationApi, shared),
            resolution: bounded!(ResolutionServiceServer, ResolutionApi, shared),
            prefix: bounded!(PrefixServiceServer, PrefixApi, shared),
            backup: bounded!(BackupServiceServer, BackupApi, shared),
            federation: bounded!(FederationServiceServer, FederationApi, shared),
            administration: bounded!(AdministrationServiceServer, AdministrationApi, shared),
            others: reflection(Routes::new(health))?.prepare(),
        })))
    }
}

impl Service<Request<Body>> for Services {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<
        BoxFuture<'static, Result<Response<Body>, Infallible>>,
        <Routes as Service<Request<Body>>>::Future,
    >;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let all = &self.0;
        match service_of(request.uri().path()) {
            resolution_service_server::SERVICE_NAME => all.resolution.clone().call(request).left_future(),
            registration_service_server::SERVICE_NAME => all.registration.clone().call(request).left_future(),
            prefix_service_server::SERVICE_NAME => all.prefix.clone().call(request).left_future(),
            backup_service_server::SERVICE_NAME => all.backup.clone().call(request).left_future(),
            federation_service_server::SERVICE_NAME => all.federation.clone().call(request).left_future(),
            administration_service_server::SERVICE_NAME => {
                all.administration.clone().call(request).left_future()
            }
            _ => all.others.clone().call(request).right_future(),
        }
    }
}

/// The name of the service in the path of a call: `/service/method`.
fn service_of(path: &str) -> &str {
    let name = path.strip_prefix('/').and_then(|path| path.split_once('/'));
    name.map(|(service, _)| service).unwrap_or_default()
}

/// Adds reflection of all services, in the present version and in the older one that many clients use.
fn reflection(routes: Routes) -> Result<Routes, tonic_reflection::server::Error> {
    let descriptors = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTOR_SET)
            // The details of statuses: google.rpc.Status and google.rpc.ErrorInfo.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(routes.add_service(descriptors().build_v1()?).add_service(descriptors().build_v1alpha()?))
}

//----------- Health ---------------------------------------------------------

/// The names of the services of `proto/idnode/v1`, for health checks.
const NAMES: [&str; 6] = [
    registration_service_server::SERVICE_NAME,
    resolution_service_server::SERVICE_NAME,
    prefix_service_server::SERVICE_NAME,
    backup_service_server::SERVICE_NAME,
    federation_service_server::SERVICE_NAME,
    administration_service_server::SERVICE_NAME,
];

/// Reports that every service is served.
pub(super) async fn tell_serving(health: &HealthReporter) {
    for service in NAMES {
        health.set_service_status(service, ServingStatus::Serving).await;
    }
}

/// Reports to watchers that the server stops, and ends their streams, which would delay it.
pub(super) async fn tell_closing(mut health: HealthReporter) {
    for service in NAMES.into_iter().chain([""]) {
        health.set_service_status(service, ServingStatus::NotServing).await;
        health.clear_service_status(service).await;
    }
}

#[cfg(test)]
mod tests {
    use super::service_of;

    #[test]
    fn a_call_names_its_service() {
        assert_eq!(service_of("/idnode.v1.ResolutionService/Resolve"), "idnode.v1.ResolutionService");
        for path in ["", "/", "idnode.v1.ResolutionService/Resolve", "/idnode.v1.ResolutionService", "//x"] {
            assert_eq!(service_of(path), "", "{path:?}");
        }
    }
}
