//! A registry over a real store in a directory of its own, and the small language that its tests are written in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::authority::caller::{Caller, KeyHolder};
use crate::authority::{Authority, AuthorityOptions};
use crate::model::identifier::{Folding, Identifier, Prefix};
use crate::model::identity::{AdminPermissions, Administrator, Identity};
use crate::model::limits::COMMANDS_WAITING_MAX;
use crate::model::position::Position;
use crate::model::refusal::{Failure, Problem, Refusal};
use crate::model::request::RequestId;
use crate::model::site::{Ports, Site};
use crate::model::token::Scope;
use crate::model::value::{Index, Permissions, Ttl, Value, ValueType, Values};
use crate::registry::command::{
    Amend, Batch, Command, Existing, Item, Precondition, PrefixCommand, Register, Remove, Target,
};
use crate::registry::receipt::{Outcome, Receipt};
use crate::registry::{Registry, RegistryOptions, TokenDraft};
use crate::store::entry::IdentifierEntry;
use crate::store::open::{Opened, StoreOptions, open};
use crate::store::writer::JournalWriter;
use crate::store::{EngineKind, Store};
use crate::wire::handle::administrator::{encode_administrator, encode_identities};

/// When every test begins, in milliseconds since 1970.
pub(crate) const START_MS: u64 = 1_800_000_000_000;
/// How long request ids are remembered.
pub(crate) const WINDOW: Duration = Duration::from_secs(7 * 86_400);

//----------- Fixture --------------------------------------------------------

/// A registry over a store, with a clock that the test moves.
pub(crate) struct Fixture {
    pub(crate) directory: TempDir,
    pub(crate) engine: EngineKind,
    pub(crate) store: Store,
    pub(crate) authority: Authority,
    pub(crate) registry: Arc<Registry>,
    clock: Arc<AtomicU64>,
    running: JoinHandle<JournalWriter>,
}

/// Outcomes of a batch.
pub(crate) type Outcomes = Vec<Result<Receipt, Refusal>>;

impl Fixture {
    /// An empty store, with prefix 88.118 homed.
    pub(crate) async fn open(engine: EngineKind) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let fixture = Self::open_in(directory, engine, Arc::new(AtomicU64::new(START_MS))).await;
        fixture.node(home("88.118")).await.expect("the prefix is homed");
        fixture
    }

    /// An empty store under an authority with these options, with prefix 88.118 homed.
    pub(crate) async fn open_with(options: AuthorityOptions) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let clock = Arc::new(AtomicU64::new(START_MS));
        let fixture =
            Self::start(directory, EngineKind::Fjall, clock, options, RegistryOptions::default()).await;
        fixture.node(home("88.118")).await.expect("the prefix is homed");
        fixture
    }

    async fn open_in(directory: TempDir, engine: EngineKind, clock: Arc<AtomicU64>) -> Self {
        let options = RegistryOptions { request_window: WINDOW, prefix_rule: Arc::new(forbid) };
        Self::start(directory, engine, clock, AuthorityOptions::default(), options).await
    }

    async fn start(
        directory: TempDir,
        engine: EngineKind,
        clock: Arc<AtomicU64>,
        authority_options: AuthorityOptions,
        registry_options: RegistryOptions,
    ) -> Self {
        let options = options_of(&directory, engine, &clock);
        let Opened { store, writer, .. } = open(options).await.expect("the store opens");
        let authority = Authority::new(store.clone(), authority_options);
        let (registry, running) = Registry::start(store.clone(), writer, authority.clone(), registry_options);
        Self { directory, engine, store, authority, registry: Arc::new(registry), clock, running }
    }

    /// Stops the registry, closes the store, opens both again.
    pub(crate) async fn reopen(self) -> Self {
        let Self { directory, engine, store, authority, registry, clock, running } = self;
        registry.stop();
        let writer = running.await.expect("the committer ends");
        // After a write that failed, closing fails, too.
        let _broken = store.close(writer).await;
        drop((store, authority, registry));
        Self::open_in(directory, engine, clock).await
    }

    /// Stops the registry and waits until it has ended.
    pub(crate) async fn stop(self) -> (Store, JournalWriter, TempDir) {
        self.registry.stop();
        (self.store, self.running.await.expect("the committer ends"), self.directory)
    }

    /// Lets time pass.
    pub(crate) fn advance(&self, by: Duration) {
        let by_ms = u64::try_from(by.as_millis()).expect("a short time");
        self.clock.fetch_add(by_ms, Ordering::Relaxed);
    }

    /// Sets the clock back.
    pub(crate) fn set_back(&self, by: Duration) {
        let by_ms = u64::try_from(by.as_millis()).expect("a short time");
        self.clock.fetch_sub(by_ms, Ordering::Relaxed);
    }

    /// Applies one command as the node itself.
    pub(crate) async fn node(&self, command: Command) -> Result<Receipt, Refusal> {
        self.one(&Caller::Node, command).await
    }

    /// Applies one command.
    pub(crate) async fn one(&self, caller: &Caller, command: Command) -> Result<Receipt, Refusal> {
        match self.registry.apply_one(caller, command).await {
            Ok(receipt) => Ok(receipt),
            Err(Problem::Refused(refusal)) => Err(refusal),
            Err(Problem::Failed(failure)) => panic!("not a failure: {failure}"),
        }
    }

    /// Applies a batch as the node itself, items numbered from 0.
    pub(crate) async fn batch(&self, commands: Vec<Command>) -> Outcomes {
        self.request(&Caller::Node, None, commands).await
    }

    /// Applies a batch under a request id.
    pub(crate) async fn request(
        &self,
        caller: &Caller,
        request: Option<RequestId>,
        commands: Vec<Command>,
    ) -> Outcomes {
        self.try_request(caller, request, commands).await.expect("the batch is applied")
    }

    /// Applies a batch under a request id; it may fail.
    pub(crate) async fn try_request(
        &self,
        caller: &Caller,
        request: Option<RequestId>,
        commands: Vec<Command>,
    ) -> Result<Outcomes, Failure> {
        self.registry.apply(caller, batch(request, commands)).await
    }

    /// Makes a token and shows it.
    pub(crate) async fn caller(&self, scope: Scope) -> Caller {
        let draft = TokenDraft { label: "a test".into(), scopes: vec![scope], expires_ms: None };
        let (text, _) = self.registry.create_token(&Caller::Node, draft).await.expect("a token");
        self.authority.authenticate(&text).expect("the token opens")
    }

    /// The state of an identifier, tombstones included.
    pub(crate) async fn state(&self, text: &str) -> Option<IdentifierEntry> {
        let name = identifier(text).canonical(self.store.folding());
        let found = self.store.identifiers(&[name]).await.expect("the store reads");
        found.into_iter().next().expect("one answer a question")
    }

    /// The data of an identifier's values, in order.
    pub(crate) async fn data(&self, text: &str) -> Option<Vec<String>> {
        let values = self.state(text).await?.values?;
        let text = |value: &Value| String::from_utf8_lossy(&value.data).into_owned();
        Some(values.as_slice().iter().map(text).collect())
    }

    /// A request id made now.
    pub(crate) fn request_id(&self, number: u8) -> RequestId {
        request_id(self.store.now_ms(), number)
    }

    /// The end of the journal.
    pub(crate) fn end(&self) -> u64 {
        self.store.head().sequence
    }

    /// The position of a sequence of its journal.
    pub(crate) fn position(&self, sequence: u64) -> Option<Position> {
        self.store.lineage().position_of(sequence)
    }

    /// How many groups have committed.
    pub(crate) fn groups(&self) -> u64 {
        self.registry.counters().groups.load(Ordering::Relaxed)
    }
}

fn options_of(directory: &TempDir, engine: EngineKind, clock: &Arc<AtomicU64>) -> StoreOptions {
    let time = Arc::clone(clock);
    StoreOptions {
        directory: directory.path().to_owned(),
        engine,
        cache_bytes: 16 * 1024 * 1024,
        folding: Folding::Insensitive,
        clock: Arc::new(move || time.load(Ordering::Relaxed)),
        entropy: Arc::new(|bytes| getrandom::fill(bytes).expect("the system has randomness")),
    }
}

/// The prefix rule of tests: everything but `forbidden`.
fn forbid(prefix: &Prefix) -> Result<(), String> {
    if prefix.as_str() == "forbidden" { Err("the root is too long".to_owned()) } else { Ok(()) }
}

//----------- Words ----------------------------------------------------------

pub(crate) fn identifier(text: &str) -> Identifier {
    Identifier::parse(text).expect("a valid identifier")
}

pub(crate) fn prefix(text: &str) -> Prefix {
    Prefix::parse(text).expect("a valid prefix")
}

/// A value of type URL.
pub(crate) fn value(index: u32, data: &str) -> Value {
    typed(index, "URL", data)
}

/// A value of any type.
pub(crate) fn typed(index: u32, value_type: &str, data: &str) -> Value {
    Value {
        index: Index::new(index).expect("a valid index"),
        value_type: ValueType::new(value_type).expect("a valid type"),
        data: data.as_bytes().to_vec(),
        ttl: Ttl::default(),
        permissions: Permissions::DEFAULT,
        references: Vec::new(),
        timestamp: 0,
    }
}

/// One URL at index 1.
pub(crate) fn values(data: &str) -> Values {
    Values::new(vec![value(1, data)]).expect("one value")
}

/// Registers an identifier with these values, over what there is.
pub(crate) fn registration(text: &str, values: Vec<Value>) -> Command {
    Command::Register(Register {
        target: Target::Named(identifier(text)),
        values: Values::new(values).expect("valid values"),
        existing: Existing::Overwrite,
        precondition: Precondition::None,
    })
}

/// A caller that is taken for this identity.
pub(crate) fn proved(text: &str) -> Caller {
    Caller::Identity(KeyHolder::supposed(identity(text)))
}

pub(crate) fn identity(text: &str) -> Identity {
    Identity::parse(text).expect("a valid identity")
}

/// An HS_ADMIN that allows this to an identity.
pub(crate) fn admin(index: u32, permissions: AdminPermissions, whom: &str) -> Value {
    let data = encode_administrator(&Administrator { permissions, identity: identity(whom) });
    Value { data, ..typed(index, ValueType::HS_ADMIN, "") }
}

/// An HS_VLIST of these identities.
pub(crate) fn list(index: u32, whom: &[&str]) -> Value {
    let identities: Vec<Identity> = whom.iter().map(|text| identity(text)).collect();
    Value { data: encode_identities(&identities), ..typed(index, ValueType::HS_VLIST, "") }
}

/// The value with other permissions.
pub(crate) fn with(permissions: &str, value: Value) -> Value {
    Value { permissions: Permissions::parse(permissions).expect("valid permissions"), ..value }
}

/// Registers an identifier with one URL.
pub(crate) fn register(text: &str, data: &str) -> Command {
    Command::Register(Register {
        target: Target::Named(identifier(text)),
        values: values(data),
        existing: Existing::Refuse,
        precondition: Precondition::None,
    })
}

/// Registers an identifier with one URL, over what there is.
pub(crate) fn overwrite(text: &str, data: &str) -> Command {
    Command::Register(Register {
        target: Target::Named(identifier(text)),
        values: values(data),
        existing: Existing::Overwrite,
        precondition: Precondition::None,
    })
}

/// Registers an identifier whose suffix begins so and is minted.
pub(crate) fn mint(under: &str, start: &str) -> Command {
    Command::Register(Register {
        target: Target::Minted { prefix: prefix(under), start: start.into() },
        values: values("minted"),
        existing: Existing::Refuse,
        precondition: Precondition::None,
    })
}

/// Adds a URL at an index.
pub(crate) fn add(text: &str, index: u32, data: &str) -> Command {
    Command::Amend(Amend { add: vec![value(index, data)], ..amend(text) })
}

/// An amend that names nothing yet.
pub(crate) fn amend(text: &str) -> Amend {
    Amend {
        identifier: identifier(text),
        add: Vec::new(),
        replace: Vec::new(),
        set: Vec::new(),
        remove: Vec::new(),
        precondition: Precondition::None,
    }
}

pub(crate) fn remove(text: &str) -> Command {
    Command::Remove(Remove { identifier: identifier(text), precondition: Precondition::None })
}

/// The same command with a precondition.
pub(crate) fn given(precondition: Precondition, command: Command) -> Command {
    match command {
        Command::Register(register) => Command::Register(Register { precondition, ..register }),
        Command::Amend(amend) => Command::Amend(Amend { precondition, ..amend }),
        Command::Remove(remove) => Command::Remove(Remove { precondition, ..remove }),
        other => other,
    }
}

pub(crate) fn home(text: &str) -> Command {
    Command::Prefix(PrefixCommand::Home { prefix: prefix(text), registrant: None })
}

pub(crate) fn delegate(text: &str, last_octet: u8) -> Command {
    let (prefix, site) = (prefix(text), site(last_octet));
    Command::Prefix(PrefixCommand::Delegate { prefix, site, registrant: None })
}

pub(crate) fn suspend(text: &str) -> Command {
    Command::Prefix(PrefixCommand::Suspend { prefix: prefix(text) })
}

pub(crate) fn revoke(text: &str) -> Command {
    Command::Prefix(PrefixCommand::Revoke { prefix: prefix(text) })
}

/// A site at 192.0.2.x that speaks gRPC.
pub(crate) fn site(last_octet: u8) -> Site {
    let ports = Ports { grpc: Some(7_000), ..Ports::default() };
    Site::new(vec![[192, 0, 2, last_octet].into()], None, ports).expect("a valid site")
}

/// A request id made at a time.
pub(crate) fn request_id(made_ms: u64, number: u8) -> RequestId {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&made_ms.to_be_bytes()[2..]);
    (bytes[6], bytes[8], bytes[15]) = (0x70, 0x80, number);
    RequestId::from_bytes(bytes).expect("a UUIDv7")
}

/// A deadline that has passed: what is not there at once is not waited for.
pub(crate) fn passed() -> Instant {
    Instant::now().checked_sub(Duration::from_secs(1)).expect("the machine runs longer than that")
}

/// Items numbered from 0.
pub(crate) fn batch(request: Option<RequestId>, commands: Vec<Command>) -> Batch {
    let item = |(number, command)| Item { number, command };
    Batch { request, items: (0..).zip(commands).map(item).collect(), deadline: None }
}

//----------- Slots ----------------------------------------------------------

impl Registry {
    /// Takes all slots but so many.
    pub(crate) fn take_slots_but(&self, left: usize) -> OwnedSemaphorePermit {
        let slots = u32::try_from(COMMANDS_WAITING_MAX - left).expect("a small number");
        Arc::clone(&self.slots).try_acquire_many_owned(slots).expect("nothing waits")
    }

    /// Waits until so many identifiers have been registered, then refuses whoever waits for slots, as at a stop.
    pub(crate) async fn close_slots_after(&self, registered: u64) {
        let counters = self.counters();
        let enough = async {
            while counters.registered.load(Ordering::Relaxed) < registered {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), enough).await.expect("they are registered");
        self.slots.close();
    }
}

//----------- Receipts -------------------------------------------------------

impl Receipt {
    /// Outcome, version and sequence at once.
    pub(crate) fn brief(&self) -> (Outcome, u64, u64) {
        (self.outcome, self.version, self.position.sequence)
    }

    /// The identifier as text.
    pub(crate) fn spelled(&self) -> String {
        self.identifier.as_ref().expect("an identifier").to_string()
    }

    /// The same receipt, as a repeated request gets it.
    pub(crate) fn again(&self) -> Self {
        Self { repeated: true, ..self.clone() }
    }
}

/// A position in another store.
pub(crate) fn elsewhere(incarnation: u8, sequence: u64) -> Position {
    use crate::model::position::{Incarnation, Stream};
    let mut name = [incarnation; 16];
    let began = (START_MS + u64::from(incarnation)).to_be_bytes();
    name.iter_mut().zip(began.into_iter().skip(2)).for_each(|(to, from)| *to = from);
    Position { incarnation: Incarnation(name), stream: Stream::ONLY, sequence }
}
