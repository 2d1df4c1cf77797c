//! A gRPC front end to test, and the calls to test it with.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use idnode::authority::caller::Caller;
use idnode::authority::{Authority, AuthorityOptions};
use idnode::backup::{Backups, CHUNK_BYTES_DEFAULT, Options};
use idnode::front::grpc::{GrpcCounters, GrpcDependencies, GrpcError, GrpcOptions, GrpcServer};
use idnode::front::listen::tls::TlsIdentity;
use idnode::model::identifier::Folding;
use idnode::model::token::Scope;
use idnode::registry::{Registry, RegistryOptions, TokenDraft};
use idnode::resolver::{Resolver, ResolverOptions};
use idnode::store::open::{self, Opened, StoreOptions};
use idnode::store::{EngineKind, Store};
use idnode::wire::proto;
use idnode::wire::proto::prefix_service_client::PrefixServiceClient;
use idnode::wire::proto::registration_service_client::RegistrationServiceClient;
use idnode::wire::proto::resolution_service_client::ResolutionServiceClient;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_types::StatusExt;

/// The prefix that every front end under test homes.
pub(crate) const PREFIX: &str = "88.118.8";

//----------- FrontEnd -------------------------------------------------------

/// A running front end with everything behind it.
pub(crate) struct FrontEnd {
    pub(crate) address: std::net::SocketAddr,
    pub(crate) registry: Arc<Registry>,
    pub(crate) admin: Bearer,
    pub(crate) counters: Arc<GrpcCounters>,
    drain: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), GrpcError>>,
    _directory: TempDir,
}

/// What a test may want otherwise.
#[derive(Default)]
pub(crate) struct Wishes {
    pub(crate) tls: Option<Arc<TlsIdentity>>,
    /// Directories of backups.
    pub(crate) backup_directories: Vec<PathBuf>,
}

impl FrontEnd {
    /// Opens one that speaks plain text and homes [`PREFIX`].
    pub(crate) async fn open() -> Self {
        let front_end = Self::open_with(Wishes::default()).await;
        let mut prefixes =
            PrefixServiceClient::with_interceptor(front_end.channel().await, front_end.admin.clone());
        let request = proto::HomePrefixRequest { prefix: PREFIX.to_owned(), ..Default::default() };
        prefixes.home_prefix(request).await.expect("the prefix is homed");
        front_end
    }

    /// Opens one with wishes; nothing is homed.
    pub(crate) async fn open_with(wishes: Wishes) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let Opened { store, writer, .. } = open::open(store_options(&directory)).await.expect("a new store");
        let options =
            RegistryOptions { request_window: Duration::from_secs(7 * 86_400), ..RegistryOptions::default() };
        let authority = Authority::new(store.clone(), AuthorityOptions::default());
        let (registry, _committer) = Registry::start(store.clone(), writer, authority.clone(), options);
        let registry = Arc::new(registry);
        let dependencies = GrpcDependencies {
            registry: Arc::clone(&registry),
            authority: authority.clone(),
            resolver: Arc::new(Resolver::new(store.clone(), authority, ResolverOptions::default())),
            filing: None,
            backups: backups(store, wishes.backup_directories),
            started: Instant::now(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (drain, drained) = oneshot::channel::<()>();
        let front_end =
            GrpcServer::new(&GrpcOptions::default(), dependencies, wishes.tls).expect("a front end");
        let counters = front_end.counters();
        let serving = tokio::spawn(front_end.serve(listener, async move {
            let _gone = drained.await;
        }));
        let admin = token(&registry, vec![Scope::Admin]).await;
        Self { address, registry, admin, counters, drain, serving, _directory: directory }
    }

    /// A connection to it.
    pub(crate) async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).expect("a URL");
        endpoint.connect().await.expect("connected")
    }

    /// Registers and amends as administrator.
    pub(crate) async fn registration(
        &self,
    ) -> RegistrationServiceClient<InterceptedService<Channel, Bearer>> {
        RegistrationServiceClient::with_interceptor(self.channel().await, self.admin.clone())
    }

    /// Asks as nobody in particular.
    pub(crate) async fn resolution(&self) -> ResolutionServiceClient<Channel> {
        ResolutionServiceClient::new(self.channel().await)
    }

    /// Asks as administrator.
    pub(crate) async fn resolution_as_admin(
        &self,
    ) -> ResolutionServiceClient<InterceptedService<Channel, Bearer>> {
        ResolutionServiceClient::with_interceptor(self.channel().await, self.admin.clone())
    }

    /// A token with a scope.
    pub(crate) async fn token(&self, scope: Scope) -> Bearer {
        token(&self.registry, vec![scope]).await
    }

    /// Tells it to close and waits until it has.
    pub(crate) async fn close(self) {
        self.drain.send(()).expect("the front end is open");
        let closed = tokio::time::timeout(Duration::from_secs(60), self.serving).await;
        closed.expect("the front end closes").expect("no panic").expect("no error");
    }
}

fn store_options(directory: &TempDir) -> StoreOptions {
    StoreOptions {
        directory: directory.path().to_owned(),
        engine: EngineKind::Fjall,
        cache_bytes: 16 * 1024 * 1024,
        folding: Folding::Insensitive,
        clock: Arc::new(now_ms),
        entropy: Arc::new(|bytes| getrandom::fill(bytes).expect("randomness")),
    }
}

fn backups(store: Store, directories: Vec<PathBuf>) -> Backups {
    let options = Options {
        directories,
        key_file: None,
        keep_count: 0,
        keep_days: 0,
        chunk_bytes: CHUNK_BYTES_DEFAULT,
        files: Vec::new(),
        node_version: "0.0.0-test".to_owned(),
    };
    Backups::new(store, options).expect("no key file is needed")
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("before the year 584942417")
}

async fn token(registry: &Registry, scopes: Vec<Scope>) -> Bearer {
    let draft = TokenDraft { label: "test".to_owned(), scopes, expires_ms: None };
    let (text, _) = registry.create_token(&Caller::Node, draft).await.expect("a token");
    Bearer(text)
}

//----------- Words ----------------------------------------------------------

/// Shows a token with every call.
#[derive(Clone)]
pub(crate) struct Bearer(pub(crate) String);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let text = format!("Bearer {}", self.0).parse().expect("ASCII");
        request.metadata_mut().insert("authorization", text);
        Ok(request)
    }
}

/// A new request id.
pub(crate) fn request_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// A value of type URL at an index.
pub(crate) fn url(index: u32, data: &str) -> proto::Value {
    proto::Value { index, r#type: "URL".to_owned(), data: data.as_bytes().to_vec(), ..Default::default() }
}

/// An identifier under [`PREFIX`] to be registered with one URL.
pub(crate) fn registration(suffix: &str) -> proto::Registration {
    proto::Registration {
        target: Some(proto::registration::Target::Identifier(format!("{PREFIX}/{suffix}"))),
        values: vec![url(1, &format!("https://example.com/{suffix}"))],
        ..Default::default()
    }
}

/// An item that registers an identifier.
pub(crate) fn item(number: u32, suffix: &str) -> proto::Item {
    proto::Item { number, command: Some(proto::item::Command::Register(registration(suffix))) }
}

/// A question for all values of an identifier under [`PREFIX`].
pub(crate) fn question(suffix: &str) -> proto::Question {
    proto::Question { identifier: format!("{PREFIX}/{suffix}"), ..Default::default() }
}

/// The stable reason of a status; its domain must be ours.
pub(crate) fn reason(status: &Status) -> String {
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    assert_eq!(info.domain, "idnode");
    info.reason
}

/// A fact of a status.
pub(crate) fn fact(status: &Status, name: &str) -> Option<String> {
    status.get_details_error_info()?.metadata.get(name).cloned()
}

/// The refusal's code, when an outcome is one.
pub(crate) fn refused(outcome: &proto::Outcome) -> Option<&proto::Refusal> {
    match outcome.result.as_ref()? {
        proto::outcome::Result::Refusal(refusal) => Some(refusal),
        proto::outcome::Result::Receipt(_) | proto::outcome::Result::Failure(_) => None,
    }
}

/// The receipt, when an outcome is one.
pub(crate) fn receipt(outcome: &proto::Outcome) -> Option<&proto::Receipt> {
    match outcome.result.as_ref()? {
        proto::outcome::Result::Receipt(receipt) => Some(receipt),
        proto::outcome::Result::Refusal(_) | proto::outcome::Result::Failure(_) => None,
    }
}

/// The answer of a response, which must have one.
pub(crate) fn answer(response: proto::ResolveResponse) -> proto::answer::Answer {
    response.answer.and_then(|answer| answer.answer).expect("an answer")
}
