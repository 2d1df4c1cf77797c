//! Prefixes over gRPC: home, delegate, suspend, revoke, note, get, list.

use idnode::model::identifier::Prefix;
use idnode::model::token::Scope;
use idnode::wire::proto;
use idnode::wire::proto::prefix_entry::Homing;
use idnode::wire::proto::prefix_service_client::PrefixServiceClient;
use idnode::wire::proto::{OutcomeKind, Standing};
use tonic::service::Interceptor;
use tonic::{Code, Request};

use super::front_end::{FrontEnd, PREFIX, answer, fact, question, reason, registration};

fn site() -> proto::Site {
    proto::Site {
        addresses: vec!["192.0.2.7".to_owned(), "2001:db8::7".to_owned()],
        host_name: "node.example".to_owned(),
        ports: Some(proto::Ports { grpc: Some(7373), dns: Some(53), ..Default::default() }),
        public_key: Vec::new(),
    }
}

fn registrant() -> proto::Registrant {
    proto::Registrant {
        name: "某某制造有限公司".to_owned(),
        credit_code: "91350100M000100Y43".to_owned(),
        contact: "ids@example.com".to_owned(),
    }
}

/// A delegated prefix refers, a suspended one refuses, homing lifts both.
#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_changes_hands() {
    let front_end = FrontEnd::open().await;
    let mut client =
        PrefixServiceClient::with_interceptor(front_end.channel().await, front_end.admin.clone());
    let request = proto::DelegatePrefixRequest {
        prefix: "88.118.9".to_owned(),
        site: Some(site()),
        registrant: Some(registrant()),
        ..Default::default()
    };
    let receipt = client.delegate_prefix(request).await.expect("delegated").into_inner().receipt;
    assert_eq!(receipt.expect("a receipt").kind(), OutcomeKind::PrefixChanged);
    let request = proto::GetPrefixRequest { prefix: "88.118.9".to_owned() };
    let entry = client.get_prefix(request).await.expect("an entry").into_inner().entry.expect("an entry");
    assert_eq!(entry.homing, Some(Homing::Delegated(site())));
    assert_eq!((entry.standing(), entry.registrant.clone()), (Standing::Active, Some(registrant())));

    let ask = proto::ResolveRequest {
        question: Some(proto::Question { identifier: "88.118.9/x".to_owned(), ..Default::default() }),
        recursion: None,
    };
    let response = front_end.resolution().await.resolve(ask).await.expect("answered").into_inner();
    let referral = proto::Referral { prefix: "88.118.9".to_owned(), site: Some(site()), unanswered: None };
    assert_eq!(answer(response), proto::answer::Answer::Referral(referral));

    let request = proto::SuspendPrefixRequest { prefix: PREFIX.to_owned(), ..Default::default() };
    client.suspend_prefix(request).await.expect("suspended");
    let request = proto::RegisterRequest { registration: Some(registration("a")), ..Default::default() };
    let status = front_end.registration().await.register(request.clone()).await.expect_err("suspended");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "PREFIX_SUSPENDED"));
    assert_eq!(fact(&status, "prefix").as_deref(), Some(PREFIX));
    let ask = proto::ResolveRequest { question: Some(question("a")), recursion: None };
    let status = front_end.resolution().await.resolve(ask).await.expect_err("suspended");
    assert_eq!(reason(&status), "PREFIX_SUSPENDED");
    let resume = proto::ResumePrefixRequest { prefix: PREFIX.to_owned(), ..Default::default() };
    client.resume_prefix(resume).await.expect("resumed");
    front_end.registration().await.register(request).await.expect("registered");

    let home = proto::HomePrefixRequest { prefix: "88.118.9".to_owned(), ..Default::default() };
    let status = client.home_prefix(home).await.expect_err("delegated");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "DELEGATION_STANDS"));
    let end = |version| proto::EndDelegationRequest {
        prefix: "88.118.9".to_owned(),
        version,
        ..Default::default()
    };
    let status = client.end_delegation(end(entry.version + 1)).await.expect_err("another version");
    assert_eq!(reason(&status), "VERSION_MISMATCH");
    client.end_delegation(end(entry.version)).await.expect("ended");
    let request = proto::GetPrefixRequest { prefix: "88.118.9".to_owned() };
    let ended = client.get_prefix(request).await.expect("an entry").into_inner().entry.expect("an entry");
    assert_eq!(ended.homing, Some(Homing::Homed(proto::Homed {})));
    front_end.close().await;
}

/// Entries are listed in order, by pages, below a prefix; an absent one is named.
#[tokio::test(flavor = "multi_thread")]
async fn prefixes_are_listed() {
    let front_end = FrontEnd::open().await;
    let mut client =
        PrefixServiceClient::with_interceptor(front_end.channel().await, front_end.admin.clone());
    for prefix in ["88.118.9", "88.119", "77"] {
        let request = proto::HomePrefixRequest { prefix: prefix.to_owned(), ..Default::default() };
        client.home_prefix(request).await.expect("homed");
    }
    let mut pages = Vec::new();
    let mut page_token = String::new();
    loop {
        let request =
            proto::ListPrefixesRequest { under: "88".to_owned(), page_size: 2, page_token, lost: false };
        let page = client.list_prefixes(request).await.expect("a page").into_inner();
        pages.push(page.entries.into_iter().map(|entry| entry.prefix).collect::<Vec<_>>());
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(pages, [vec!["88.118.8", "88.118.9"], vec!["88.119"]]);
    let request = proto::GetPrefixRequest { prefix: "66".to_owned() };
    let status = client.get_prefix(request).await.expect_err("no entry");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "PREFIX_ABSENT"));
    let request = proto::DelegatePrefixRequest { prefix: "66".to_owned(), ..Default::default() };
    let status = client.delegate_prefix(request).await.expect_err("no site");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "COMMAND_INVALID"));
    front_end.close().await;
}

/// The contact of a registrant is for callers with a scope on the prefix; everybody sees the rest of the entry.
#[tokio::test(flavor = "multi_thread")]
async fn contacts_are_for_those_who_read_or_file_the_prefix() {
    let front_end = FrontEnd::open().await;
    let mut admin = PrefixServiceClient::with_interceptor(front_end.channel().await, front_end.admin.clone());
    for prefix in ["88.118.9", "99"] {
        let request = proto::HomePrefixRequest {
            prefix: prefix.to_owned(),
            registrant: Some(registrant()),
            ..Default::default()
        };
        admin.home_prefix(request).await.expect("homed");
    }
    let hidden = Some(proto::Registrant { contact: String::new(), ..registrant() });
    let scopes = |text: &str| vec![Prefix::parse(text).expect("a prefix")];
    let callers = [
        (Some(front_end.admin.clone()), [true, true]),
        (Some(front_end.token(Scope::Registrar(scopes("88.118"))).await), [true, false]),
        (Some(front_end.token(Scope::Reader(scopes("88.118.9"))).await), [true, false]),
        (Some(front_end.token(Scope::Peer(scopes("99"))).await), [false, true]),
        (None, [false, false]),
    ];
    for (token, seen) in callers {
        let show_token = move |request: Request<()>| match token.clone() {
            Some(mut token) => token.call(request),
            None => Ok(request),
        };
        let mut client = PrefixServiceClient::with_interceptor(front_end.channel().await, show_token);
        let expected = seen.map(|seen| if seen { Some(registrant()) } else { hidden.clone() });
        for (prefix, expected) in ["88.118.9", "99"].into_iter().zip(&expected) {
            let request = proto::GetPrefixRequest { prefix: prefix.to_owned() };
            let entry = client.get_prefix(request).await.expect("an entry").into_inner().entry;
            assert_eq!(&entry.expect("an entry").registrant, expected, "{prefix} {seen:?}");
        }
        let page =
            client.list_prefixes(proto::ListPrefixesRequest::default()).await.expect("a page").into_inner();
        let listed: Vec<_> = page
            .entries
            .into_iter()
            .filter(|entry| entry.prefix != PREFIX)
            .map(|entry| entry.registrant)
            .collect();
        assert_eq!(listed, expected, "{seen:?}");
    }
    front_end.close().await;
}

/// A note is set, shown to administrators alone, and removed; the entry stays at its version.
#[tokio::test(flavor = "multi_thread")]
async fn notes_are_for_administrators() {
    let front_end = FrontEnd::open().await;
    let mut admin = PrefixServiceClient::with_interceptor(front_end.channel().await, front_end.admin.clone());
    let registrar = front_end.token(Scope::Registrar(vec![Prefix::parse(PREFIX).expect("a prefix")])).await;
    let mut registrar = PrefixServiceClient::with_interceptor(front_end.channel().await, registrar);
    let mut nobody = PrefixServiceClient::new(front_end.channel().await);
    let request = |prefix: &str, text: &str| proto::NotePrefixRequest {
        prefix: prefix.to_owned(),
        text: text.to_owned(),
        ..Default::default()
    };
    let text = "contract 2026-117, contact Mrs Li\n李女士";
    let receipt = admin.note_prefix(request(PREFIX, text)).await.expect("noted").into_inner().receipt;
    let receipt = receipt.expect("a receipt");
    assert_eq!((receipt.kind(), receipt.version), (OutcomeKind::PrefixNoted, 1));

    let get = proto::GetPrefixRequest { prefix: PREFIX.to_owned() };
    let list = proto::ListPrefixesRequest::default();
    let entry = admin.get_prefix(get.clone()).await.expect("an entry").into_inner().entry.expect("an entry");
    let note = entry.note.expect("a note");
    assert_eq!((note.text.as_str(), note.version, entry.version), (text, 1, 1));
    let listed = admin.list_prefixes(list.clone()).await.expect("a page").into_inner().entries;
    assert_eq!(listed.into_iter().map(|entry| entry.note).collect::<Vec<_>>(), [Some(note)]);
    let entry = registrar.get_prefix(get.clone()).await.expect("an entry").into_inner().entry;
    assert_eq!(entry.expect("an entry").note, None);
    let entry = nobody.get_prefix(get.clone()).await.expect("an entry").into_inner().entry;
    assert_eq!(entry.expect("an entry").note, None);
    let listed = nobody.list_prefixes(list).await.expect("a page").into_inner().entries;
    assert_eq!(listed.into_iter().map(|entry| entry.note).collect::<Vec<_>>(), [None]);

    let status = registrar.note_prefix(request(PREFIX, "x")).await.expect_err("no administrator");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "PERMISSION_DENIED"));
    let status = nobody.note_prefix(request(PREFIX, "x")).await.expect_err("no token");
    assert_eq!(status.code(), Code::Unauthenticated);
    let status = admin.note_prefix(request("66", "x")).await.expect_err("no entry");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "PREFIX_ABSENT"));
    let status = admin.note_prefix(request(PREFIX, &"x".repeat(1_025))).await.expect_err("too long");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "COMMAND_INVALID"));
    assert_eq!(status.message(), "note has 1025 bytes; at most 1024 are allowed");

    let receipt = admin.note_prefix(request(PREFIX, "")).await.expect("removed").into_inner().receipt;
    assert_eq!(receipt.expect("a receipt").version, 2);
    let entry = admin.get_prefix(get).await.expect("an entry").into_inner().entry.expect("an entry");
    assert_eq!((entry.note, entry.version), (None, 1));
    front_end.close().await;
}
