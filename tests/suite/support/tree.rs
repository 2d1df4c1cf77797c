//! Nodes that stand above and below each other, each on a loopback address of its own, so that ports stay the same over
//! restarts.
//!
//! ```text
//!   Tier::top() ◀── files ── Tier::below(&top, …) ◀── files ── Tier::below(&secondary, …)
//! ```

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use idnode::authority::caller::Caller;
use idnode::backup::{Backups, CHUNK_BYTES_DEFAULT, Damage, Kind, Options, RestoreRequest, Until, restore};
use idnode::config::Config;
use idnode::daemon::{Node, RunningNode, store_options};
use idnode::filing::status::{FilingState, FilingStatus};
use idnode::model::identifier::{Identifier, Prefix};
use idnode::model::position::Position;
use idnode::model::prefix::{PrefixEntry, PrefixStatus, Registrant};
use idnode::model::token::Scope;
use idnode::model::value::{Index, Permissions, Ttl, Value, ValueType, Values};
use idnode::registry::TokenDraft;
use idnode::registry::command::{
    Batch, Command, Existing, Item, Precondition, PrefixCommand, Register, Target, TokenCommand,
};
use idnode::store::EngineKind;
use idnode::store::entry::Change;
use idnode::store::journal::{JournalEntry, Subject};
use idnode::store::open::loss;
use tempfile::TempDir;

use super::clients::GrpcClient;
use super::eventually::eventually;
use super::node::{config, give_server_key};

/// A node of a tree.
pub(crate) struct Tier {
    running: Option<RunningNode>,
    config: Config,
    directory: TempDir,
}

/// One change of a prefix, as the journals of both sides tell it: prefix, status, registrant, place at the lower node.
pub(crate) type FiledChange = (String, PrefixStatus, Option<String>, u64);

/// A loopback address that no other node of these tests has.
pub(crate) fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let process = process::id();
    let part = |number: u32| u8::try_from(number % 250 + 1).expect("below 256");
    Ipv4Addr::new(127, part(process), part(process / 250), NEXT.fetch_add(1, Ordering::SeqCst))
}

impl Tier {
    /// A node without another above it.
    pub(crate) async fn top() -> Self {
        Self::start(|_| {}).await
    }

    /// A node that files to another, with a token for these prefixes.
    pub(crate) async fn below(upper: &Self, scope: &[&str]) -> Self {
        let token = upper.peer_token(scope).await;
        Self::below_with(upper, &token, |_| {}).await
    }

    /// The same with this token and a changed configuration.
    pub(crate) async fn below_with(upper: &Self, token: &str, tell: impl FnOnce(&mut Config)) -> Self {
        let address = format!("http://{}", upper.grpc());
        Self::start(|config| {
            let token_file = config.store.directory.with_file_name("upper-token");
            fs::write(&token_file, token).expect("a token file");
            config.upper.address = Some(address);
            config.upper.token_file = Some(token_file);
            tell(config);
        })
        .await
    }

    /// A node on an address of its own, with its configuration changed by `tell`.
    pub(crate) async fn start(tell: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut config = config(&directory.path().join("data"), EngineKind::Fjall);
        let own = own_address();
        config.grpc.listen = vec![SocketAddr::new(own.into(), 0)];
        config.dns.listen = vec![SocketAddr::new(own.into(), 0)];
        config.handle.listen = vec![SocketAddr::new(own.into(), 0)];
        config.site.addresses = vec![IpAddr::V4(own)];
        // Ports as others see them; those bound change with each start.
        config.site.dns_port = Some(53);
        config.site.handle_port = Some(2641);
        config.site.http_port = Some(80);
        config.recursion.allowed = true;
        // No test is about being late.
        config.recursion.deadline = Duration::from_secs(60);
        tell(&mut config);
        give_server_key(&config.store.directory);
        let running = Node::start(config.clone()).await.expect("the node starts");
        config.grpc.listen = vec![running.grpc_addr().expect("a gRPC address")];
        Self { running: Some(running), config, directory }
    }

    /// Stops it; its port and its data stay.
    pub(crate) async fn stop(&mut self) {
        let running = self.running.take().expect("it runs");
        running.stop().await.expect("the node stops");
    }

    /// Starts it again.
    pub(crate) async fn go_on(&mut self) {
        let running = Node::start(self.config.clone()).await.expect("the node starts");
        self.running = Some(running);
    }

    /// Starts it again with a changed configuration.
    pub(crate) async fn go_on_with(&mut self, tell: impl FnOnce(&mut Config)) {
        tell(&mut self.config);
        self.go_on().await;
    }

    /// Copies the data of a stopped node, to come back to it.
    pub(crate) fn copy(&self) -> TempDir {
        let copy = tempfile::tempdir().expect("a directory");
        copy_folder(&self.config.store.directory, &copy.path().join("data"));
        copy
    }

    /// Puts a copy in the place of a stopped node's data, and begins a new life with it, as restoring a backup does.
    pub(crate) async fn restore(&mut self, copy: &TempDir) {
        self.put_back(copy);
        let data = &self.config.store.directory;
        let options = store_options(&self.config.store, data);
        loss::accept_loss(options).await.expect("a new life");
    }

    /// Puts a copy in the place of a stopped node's data, as it is.
    pub(crate) fn put_back(&self, copy: &TempDir) {
        let data = &self.config.store.directory;
        fs::remove_dir_all(data).expect("removed");
        copy_folder(&copy.path().join("data"), data);
    }

    /// Backs the running node up, into a folder beside its data.
    pub(crate) async fn back_up(&self, kind: Kind) {
        let options = Options {
            directories: vec![self.backups()],
            key_file: None,
            keep_count: 0,
            keep_days: 0,
            chunk_bytes: CHUNK_BYTES_DEFAULT,
            files: Vec::new(),
            node_version: "test".into(),
        };
        fs::create_dir_all(self.backups()).expect("a directory");
        let backups = Backups::new(self.node().store().clone(), options).expect("no key file");
        backups.create(None, kind, &|_| {}).await.expect("a backup");
    }

    /// Replaces the data of a stopped node with its newest backup.
    pub(crate) async fn restore_backup(&self) {
        let data = self.config.store.directory.clone();
        fs::remove_dir_all(&data).expect("removed");
        let request = RestoreRequest {
            from: self.backups(),
            data,
            engine: None,
            until: Until::End,
            damage: Damage::Refuse,
            key_file: None,
            cache_bytes: 16 * 1024 * 1024,
            clock: idnode::daemon::clock(),
            entropy: idnode::daemon::entropy(),
        };
        restore(request, &|_| {}).await.expect("it restores");
    }

    fn backups(&self) -> PathBuf {
        self.directory.path().join("backups")
    }

    /// The node itself.
    pub(crate) fn node(&self) -> &RunningNode {
        self.running.as_ref().expect("it runs")
    }

    /// The address of its gRPC front end.
    pub(crate) fn grpc(&self) -> SocketAddr {
        self.node().grpc_addr().expect("a gRPC address")
    }

    /// The address of its DNS front end.
    pub(crate) fn dns(&self) -> SocketAddr {
        self.node().dns_addr().expect("a DNS address")
    }

    /// A client that shows no token.
    pub(crate) async fn client(&self) -> GrpcClient {
        GrpcClient::connect(&format!("http://{}", self.grpc()), None).await
    }

    /// The file that holds the token for the upper node.
    pub(crate) fn token_file(&self) -> PathBuf {
        self.directory.path().join("upper-token")
    }
}

//----------- Changing -------------------------------------------------------

impl Tier {
    /// Makes a token with which a lower node files these prefixes.
    pub(crate) async fn peer_token(&self, scope: &[&str]) -> String {
        let scopes = vec![Scope::Peer(scope.iter().map(|text| prefix(text)).collect())];
        let draft = TokenDraft { label: "lower node".into(), scopes, expires_ms: None };
        let (text, _) = self.node().registry().create_token(&Caller::Node, draft).await.expect("a token");
        text
    }

    /// Carries out commands, all of which must succeed.
    pub(crate) async fn apply(&self, commands: Vec<Command>) {
        for portion in commands.chunks(5_000) {
            let items = (0..).zip(portion).map(|(number, command)| Item { number, command: command.clone() });
            let batch = Batch { request: None, items: items.collect(), deadline: None };
            let outcomes = self.node().registry().apply(&Caller::Node, batch).await.expect("it is committed");
            for outcome in outcomes {
                outcome.expect("it is done");
            }
        }
    }

    /// Homes a prefix here.
    pub(crate) async fn home(&self, text: &str) {
        self.apply(vec![home(text, None)]).await;
    }

    /// Suspends a prefix.
    pub(crate) async fn suspend(&self, text: &str) {
        self.apply(vec![Command::Prefix(PrefixCommand::Suspend { prefix: prefix(text) })]).await;
    }

    /// Registers an identifier with a URL of this TTL.
    pub(crate) async fn register(&self, identifier: &str, url: &str, ttl_seconds: u32) {
        self.apply(vec![register(identifier, url, ttl_seconds)]).await;
    }
}

/// The command that homes a prefix, for somebody.
pub(crate) fn home(text: &str, name: Option<&str>) -> Command {
    let registrant = name.map(|name| Registrant::new(name, None, "").expect("a registrant"));
    Command::Prefix(PrefixCommand::Home { prefix: prefix(text), registrant })
}

/// The command that registers an identifier with a URL.
pub(crate) fn register(identifier: &str, url: &str, ttl_seconds: u32) -> Command {
    let value = Value {
        index: Index::new(1).expect("an index"),
        value_type: ValueType::new("URL").expect("a type"),
        data: url.as_bytes().to_vec(),
        ttl: Ttl::Relative(ttl_seconds),
        permissions: Permissions::DEFAULT,
        references: Vec::new(),
        timestamp: 0,
    };
    Command::Register(Register {
        target: Target::Named(Identifier::parse(identifier).expect("an identifier")),
        values: Values::new(vec![value]).expect("values"),
        existing: Existing::Overwrite,
        precondition: Precondition::None,
    })
}

/// A prefix.
pub(crate) fn prefix(text: &str) -> Prefix {
    Prefix::parse(text).expect("a prefix")
}

//----------- Looking --------------------------------------------------------

impl Tier {
    /// What it knows of a prefix.
    pub(crate) fn entry(&self, text: &str) -> Option<PrefixEntry> {
        self.node().registry().prefix(&prefix(text))
    }

    /// The prefixes whose filing the lower nodes have lost, as its administrators see them.
    pub(crate) async fn lost(&self) -> Vec<String> {
        let registry = self.node().registry();
        let entries = registry.prefixes();
        let lost = registry.lost_filings(&Caller::Node, &entries).await.expect("read");
        entries.iter().filter(|entry| lost.contains(entry)).map(|entry| entry.prefix.to_string()).collect()
    }

    /// Resets the lower node that files with the token of that label.
    pub(crate) async fn reset_peer(&self) {
        let tokens = self.node().registry().tokens(&Caller::Node).expect("tokens");
        let id = tokens.iter().find(|token| token.label == "lower node").expect("a peer").id;
        self.apply(vec![Command::Token(TokenCommand::ResetPeer { id })]).await;
    }

    /// How its filing stands.
    pub(crate) fn filing(&self) -> FilingStatus {
        self.node().filing().expect("there is an upper node")
    }

    /// Waits until the upper node has confirmed all of its journal.
    pub(crate) fn settled(&self) -> FilingStatus {
        eventually("the upper node has confirmed everything", || {
            let status = self.filing();
            (status.lag_entries == 0 && status.state == FilingState::Filing).then_some(status)
        })
    }

    /// Waits until the filing has trouble that a sentence names.
    pub(crate) fn troubled(&self, words: &str) -> FilingStatus {
        let mut last = None;
        eventually(&format!("filing says {words:?}"), || {
            let status = self.filing();
            last.clone_from(&status.last_error);
            status.last_error.as_ref().is_some_and(|error| error.contains(words)).then_some(status)
        })
    }

    /// The changes of prefixes in its journal after an entry, with their places.
    pub(crate) async fn prefix_changes(&self, after: Option<Position>) -> Vec<FiledChange> {
        let store = self.node().store();
        let mut found = Vec::new();
        let mut read_to = after;
        loop {
            let mut headers = store.headers_after(read_to, 10_000).await.expect("headers");
            let Some(last) = headers.last() else { return found };
            read_to = Some(last.position);
            headers.retain(|header| matches!(header.subject, Subject::Prefix(_)));
            for JournalEntry { header, body } in store.with_bodies(headers).await.expect("bodies") {
                let body = body.expect("a body");
                let Change::Prefix(changed) = &body.change else { panic!("{body:?}") };
                // What was filed names its place in the journal of the lower node.
                let place = changed.filing.map_or(header.position.sequence, |mark| mark.position.sequence);
                let name = changed.registrant.as_ref().map(|registrant| registrant.name().to_owned());
                found.push((changed.prefix.to_string(), changed.status, name, place));
            }
        }
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}
