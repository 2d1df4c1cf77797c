//! Announcing and filing over gRPC, as a lower node does it.

use idnode::authority::caller::Caller;
use idnode::model::identifier::Prefix;
use idnode::model::token::{Scope, TokenEntry};
use idnode::wire::proto;
use idnode::wire::proto::Standing;
use idnode::wire::proto::administration_service_client::AdministrationServiceClient;
use idnode::wire::proto::federation_service_client::FederationServiceClient;
use idnode::wire::proto::file_request::Message;
use idnode::wire::proto::prefix_entry::Homing;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use super::front_end::{Bearer, FrontEnd, reason};

const LIFE: u8 = 5;

type Client = FederationServiceClient<InterceptedService<Channel, Bearer>>;

async fn peer(front_end: &FrontEnd) -> Client {
    let scope = Scope::Peer(vec![Prefix::parse("88.200").expect("a prefix")]);
    let token = front_end.token(scope).await;
    FederationServiceClient::with_interceptor(front_end.channel().await, token)
}

fn site() -> proto::Site {
    proto::Site {
        addresses: vec!["192.0.2.9".to_owned()],
        host_name: String::new(),
        ports: Some(proto::Ports { grpc: Some(7373), ..Default::default() }),
        public_key: Vec::new(),
    }
}

/// An incarnation that began in 2005; of two, the later has the greater number.
fn incarnation(life: u8) -> Vec<u8> {
    [vec![1], vec![life; 15]].concat()
}

fn announcement(life: u8) -> proto::AnnounceRequest {
    proto::AnnounceRequest { site: Some(site()), incarnation: incarnation(life), lineage: Vec::new() }
}

fn place(life: u8, sequence: u64) -> proto::Position {
    proto::Position { incarnation: incarnation(life), stream: 0, sequence }
}

fn filing(prefix: &str, sequence: u64) -> Message {
    Message::Filing(proto::Filing {
        prefix: prefix.to_owned(),
        registrant: Some(proto::Registrant { name: "A factory".to_owned(), ..Default::default() }),
        standing: Standing::Active.into(),
        position: Some(place(LIFE, sequence)),
        homing: Some(proto::filing::Homing::Homed(proto::Homed {})),
    })
}

fn begin() -> Message {
    Message::BeginResynchronization(proto::BeginResynchronization {
        incarnation: incarnation(LIFE),
        as_of: Some(place(LIFE, 10)),
    })
}

fn end(sequence: u64) -> Message {
    Message::EndResynchronization(proto::EndResynchronization { as_of: Some(place(LIFE, sequence)) })
}

/// One File stream, spoken to message by message.
struct Filing {
    send: mpsc::Sender<proto::FileRequest>,
    answers: Streaming<proto::FileResponse>,
}

impl Filing {
    async fn open(client: &mut Client) -> Result<Self, Status> {
        let (send, received) = mpsc::channel(16);
        let answers = client.file(ReceiverStream::new(received)).await?.into_inner();
        Ok(Self { send, answers })
    }

    async fn say(&self, message: Message) {
        self.send.send(proto::FileRequest { message: Some(message) }).await.expect("the stream is open");
    }

    /// Reads acknowledgements until one confirms this sequence; the prefixes refused on the way.
    async fn until(&mut self, sequence: u64) -> Vec<(String, String)> {
        let mut refused = Vec::new();
        loop {
            let answer = self.answers.message().await.expect("a message").expect("an acknowledgement");
            refused.extend(
                answer.refused.into_iter().map(|one| (one.prefix, one.refusal.unwrap_or_default().code)),
            );
            if answer.position == Some(place(LIFE, sequence)) {
                return refused;
            }
        }
    }
}

fn entry(front_end: &FrontEnd, prefix: &str) -> Option<idnode::model::prefix::PrefixEntry> {
    front_end.registry.prefix(&Prefix::parse(prefix).expect("a prefix"))
}

/// First contact resynchronizes; then filings are confirmed in order, and a return goes on from the bookmark.
#[tokio::test(flavor = "multi_thread")]
async fn a_lower_node_files_and_goes_on_where_it_was() {
    let front_end = FrontEnd::open().await;
    let mut client = peer(&front_end).await;
    let welcome = client.announce(announcement(LIFE)).await.expect("welcome").into_inner();
    assert!(welcome.resynchronize && welcome.bookmark.is_empty());
    assert_eq!(welcome.incarnation.len(), 16);
    assert_eq!(welcome.scope, ["88.200"], "what the token covers");

    let mut filings = Filing::open(&mut client).await.expect("a stream");
    for message in [begin(), filing("88.200.1", 3), filing("88.200.2", 7), end(10)] {
        filings.say(message).await;
    }
    assert_eq!(filings.until(10).await, []);
    filings.say(filing("88.200.3", 12)).await;
    filings.say(filing("88.201", 13)).await;
    let progress = proto::FilingProgress { position: Some(place(LIFE, 20)), identifier_changes: 7 };
    filings.say(Message::Progress(progress)).await;
    let refused = filings.until(20).await;
    assert_eq!(refused, [("88.201".to_owned(), "PERMISSION_DENIED".to_owned())]);

    let filed = entry(&front_end, "88.200.3").expect("it was filed");
    assert_eq!(filed.registrant.map(|registrant| registrant.name().to_owned()).as_deref(), Some("A factory"));
    assert!(entry(&front_end, "88.201").is_none(), "beyond the peer's prefixes");
    let mut prefixes = proto::prefix_service_client::PrefixServiceClient::new(front_end.channel().await);
    let request = proto::GetPrefixRequest { prefix: "88.200.1".to_owned() };
    let seen = prefixes.get_prefix(request).await.expect("an entry").into_inner().entry.expect("an entry");
    assert_eq!(seen.homing, Some(Homing::Delegated(site())));
    assert_eq!(seen.filing.and_then(|mark| mark.position), Some(place(LIFE, 3)));

    let welcome = client.announce(announcement(LIFE)).await.expect("welcome").into_inner();
    assert!(!welcome.resynchronize);
    assert_eq!(welcome.bookmark, [place(LIFE, 20)]);
    drop(filings);
    front_end.close().await;
}

/// What is not filed again by a resynchronization is revoked; one that is not ended is asked for anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_resynchronization_revokes_what_is_gone() {
    let front_end = FrontEnd::open().await;
    let mut client = peer(&front_end).await;
    client.announce(announcement(LIFE)).await.expect("welcome");
    let mut filings = Filing::open(&mut client).await.expect("a stream");
    for message in [begin(), filing("88.200.1", 3), filing("88.200.2", 7), end(10)] {
        filings.say(message).await;
    }
    filings.until(10).await;
    for message in [begin(), filing("88.200.2", 7), end(30)] {
        filings.say(message).await;
    }
    filings.until(30).await;
    let status = |prefix| entry(&front_end, prefix).map(|entry| entry.status);
    use idnode::model::prefix::PrefixStatus;
    assert_eq!(status("88.200.1"), Some(PrefixStatus::Revoked));
    assert_eq!(status("88.200.2"), Some(PrefixStatus::Active));
    drop(filings);
    front_end.close().await;
}

/// A later life resynchronizes and shuts out the earlier one, on the stream it has open as well.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_incarnation_is_refused() {
    let front_end = FrontEnd::open().await;
    let mut client = peer(&front_end).await;
    client.announce(announcement(LIFE)).await.expect("welcome");
    let mut filings = Filing::open(&mut client).await.expect("a stream");
    for message in [begin(), end(10)] {
        filings.say(message).await;
    }
    filings.until(10).await;
    let welcome = client.announce(announcement(LIFE + 1)).await.expect("welcome").into_inner();
    assert!(welcome.resynchronize);
    let status = client.announce(announcement(LIFE)).await.expect_err("an older life");
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "INCARNATION_SUPERSEDED")
    );
    filings.say(filing("88.200.1", 12)).await;
    let status = filings.answers.message().await.expect_err("an older life");
    assert_eq!(reason(&status), "INCARNATION_SUPERSEDED");
    assert!(entry(&front_end, "88.200.1").is_none());
    front_end.close().await;
}

/// A prefix that is refused while the present state is filed is part of it: it is not revoked at the end, whatever was decided since.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_while_the_present_state_is_filed_is_not_revoked() {
    let front_end = FrontEnd::open().await;
    let mut client = peer(&front_end).await;
    client.announce(announcement(LIFE)).await.expect("welcome");
    let mut filings = Filing::open(&mut client).await.expect("a stream");
    for message in [begin(), filing("88.200.1", 3), end(10)] {
        filings.say(message).await;
    }
    filings.until(10).await;
    let prefix = "88.200.1".to_owned();
    let mut admin = proto::prefix_service_client::PrefixServiceClient::with_interceptor(
        front_end.channel().await,
        front_end.admin.clone(),
    );
    let suspend = proto::SuspendPrefixRequest { request_id: String::new(), prefix: prefix.clone() };
    admin.suspend_prefix(suspend).await.expect("suspended");
    for message in [begin(), filing("88.200.1", 3)] {
        filings.say(message).await;
    }
    let refused = filings.answers.message().await.expect("a message").expect("an answer").refused;
    assert_eq!(refused.iter().map(|one| one.prefix.as_str()).collect::<Vec<_>>(), ["88.200.1"]);
    admin
        .resume_prefix(proto::ResumePrefixRequest { request_id: String::new(), prefix })
        .await
        .expect("resumed");
    filings.say(end(11)).await;
    filings.until(11).await;
    let status = entry(&front_end, "88.200.1").map(|entry| entry.status);
    assert_eq!(status, Some(idnode::model::prefix::PrefixStatus::Active));
}

/// A store that does not continue the one which filed last is refused, however late it began. What one that does has lost is shown
/// to administrators.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_continues_another_one_does_not_announce_itself() {
    let front_end = FrontEnd::open().await;
    let mut client = peer(&front_end).await;
    let with = |life, lineage: &[u8]| proto::AnnounceRequest {
        lineage: lineage.iter().map(|life| incarnation(*life)).collect(),
        ..announcement(life)
    };
    client.announce(with(LIFE, &[LIFE])).await.expect("welcome");
    let mut filings = Filing::open(&mut client).await.expect("a stream");
    for message in [begin(), filing("88.200.1", 3), end(10)] {
        filings.say(message).await;
    }
    filings.until(10).await;
    let status = client.announce(with(LIFE + 1, &[LIFE + 1])).await.expect_err("another store");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "INCARNATION_FORKED"));
    for (lineage, words) in [
        (vec![LIFE; 1_001], "1001 incarnations in lineage; the last 1000 are enough"),
        (vec![LIFE, LIFE - 1], "the last incarnation in lineage is not the announced one"),
    ] {
        let status = client.announce(with(LIFE, &lineage)).await.expect_err("no lineage of this store");
        assert_eq!(reason(&status), "COMMAND_INVALID");
        assert!(status.message().contains(words), "{status:?}");
    }
    let welcome = client.announce(with(LIFE + 1, &[LIFE, LIFE + 1])).await.expect("welcome").into_inner();
    assert!(welcome.resynchronize, "its present state comes first");
    let mut filings = Filing::open(&mut client).await.expect("a stream");
    let as_of = proto::Position { incarnation: incarnation(LIFE + 1), stream: 0, sequence: 11 };
    let begin =
        proto::BeginResynchronization { incarnation: incarnation(LIFE + 1), as_of: Some(as_of.clone()) };
    filings.say(Message::BeginResynchronization(begin)).await;
    filings
        .say(Message::EndResynchronization(proto::EndResynchronization { as_of: Some(as_of.clone()) }))
        .await;
    let confirmed = filings.answers.message().await.expect("a message").expect("an acknowledgement");
    assert_eq!(confirmed.position, Some(as_of));

    let mut anonymous = proto::prefix_service_client::PrefixServiceClient::new(front_end.channel().await);
    let lost = proto::ListPrefixesRequest { lost: true, ..Default::default() };
    let status = anonymous.list_prefixes(lost.clone()).await.expect_err("not for everybody");
    assert_eq!(reason(&status), "UNAUTHENTICATED");
    let request = proto::GetPrefixRequest { prefix: "88.200.1".to_owned() };
    let seen = anonymous.get_prefix(request.clone()).await.expect("an entry").into_inner().entry;
    assert_eq!(seen.and_then(|entry| entry.filing).map(|mark| mark.lost), Some(false));
    let mut admin = proto::prefix_service_client::PrefixServiceClient::with_interceptor(
        front_end.channel().await,
        front_end.admin.clone(),
    );
    let page = admin.list_prefixes(lost).await.expect("a page").into_inner();
    assert_eq!(page.entries.iter().map(|entry| entry.prefix.as_str()).collect::<Vec<_>>(), ["88.200.1"]);
    let seen = admin.get_prefix(request).await.expect("an entry").into_inner().entry.expect("an entry");
    assert_eq!((seen.standing(), seen.filing.map(|mark| mark.lost)), (Standing::Active, Some(true)));
}

/// After an administrator has reset the peer, the earlier incarnation files again, and open streams have to announce anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_reset_lets_an_earlier_incarnation_file() {
    let front_end = FrontEnd::open().await;
    let mut client = peer(&front_end).await;
    client.announce(announcement(LIFE + 1)).await.expect("welcome");
    let mut later = Filing::open(&mut client).await.expect("a stream");
    let status = client.announce(announcement(LIFE)).await.expect_err("an earlier incarnation");
    assert_eq!(reason(&status), "INCARNATION_SUPERSEDED");
    let mut ahead = announcement(LIFE);
    ahead.incarnation = vec![0xff; 16];
    let status = client.announce(ahead).await.expect_err("far ahead of the clock");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "INCARNATION_AHEAD"));

    let tokens = front_end.registry.tokens(&Caller::Node).expect("tokens");
    let is_peer = |token: &&TokenEntry| matches!(token.scopes.as_slice(), [Scope::Peer(_)]);
    let id = tokens.iter().find(is_peer).expect("a peer").id.to_string();
    let mut admin =
        AdministrationServiceClient::with_interceptor(front_end.channel().await, front_end.admin.clone());
    let request = proto::ResetPeerRequest { request_id: String::new(), id };
    let receipt = admin.reset_peer(request).await.expect("reset").into_inner().receipt.expect("a receipt");
    assert_eq!(receipt.kind(), proto::OutcomeKind::PeerReset);

    later
        .say(Message::Progress(proto::FilingProgress {
            position: Some(place(LIFE + 1, 20)),
            identifier_changes: 0,
        }))
        .await;
    let status = later.answers.message().await.expect_err("it has to announce itself");
    assert_eq!(reason(&status), "NOT_ANNOUNCED");
    let welcome = client.announce(announcement(LIFE)).await.expect("welcome").into_inner();
    assert!(welcome.resynchronize);
    let mut filings = Filing::open(&mut client).await.expect("a stream");
    for message in [begin(), filing("88.200.1", 3), end(10)] {
        filings.say(message).await;
    }
    assert_eq!(filings.until(10).await, []);
    assert!(entry(&front_end, "88.200.1").is_some());
    drop(filings);
    front_end.close().await;
}

/// Only a peer announces, and it announces before it files.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_peer_files() {
    let front_end = FrontEnd::open().await;
    let mut client = peer(&front_end).await;
    let status = Filing::open(&mut client).await.err().expect("not announced");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "NOT_ANNOUNCED"));
    let mut admin =
        FederationServiceClient::with_interceptor(front_end.channel().await, front_end.admin.clone());
    let status = admin.announce(announcement(LIFE)).await.expect_err("no peer");
    assert_eq!(reason(&status), "PERMISSION_DENIED");
    let mut anonymous = FederationServiceClient::new(front_end.channel().await);
    let status = anonymous.announce(announcement(LIFE)).await.expect_err("nobody");
    assert_eq!(reason(&status), "UNAUTHENTICATED");
    front_end.close().await;
}
