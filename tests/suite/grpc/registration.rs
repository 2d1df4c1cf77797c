//! Registering over gRPC: single commands, batches, repetition.

use idnode::wire::proto;
use idnode::wire::proto::OutcomeKind;
use idnode::wire::proto::answer::Answer;

use super::front_end::{
    FrontEnd, PREFIX, answer, fact, item, question, reason, receipt, refused, registration, request_id, url,
};

/// What is registered is answered at once, exactly, and with what was left to the node filled in.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_registered_resolves() {
    let front_end = FrontEnd::open().await;
    let mut registered = registration("SN000123");
    registered.values.push(proto::Value {
        index: 7,
        r#type: "NOTE".to_owned(),
        data: "零件".as_bytes().to_vec(),
        ttl: Some(proto::value::Ttl::AbsoluteSeconds(2_000_000_000)),
        permissions: Some(0b1110),
        references: vec![proto::Reference { identifier: "88.118.8/other".to_owned(), index: 3 }],
        timestamp_seconds: 1,
    });
    let request = proto::RegisterRequest { registration: Some(registered), ..Default::default() };
    let response = front_end.registration().await.register(request).await.expect("registered").into_inner();
    let receipt = response.receipt.expect("a receipt");
    assert_eq!((receipt.identifier.as_str(), receipt.version), ("88.118.8/SN000123", 1));
    assert_eq!((receipt.kind(), receipt.repeated), (OutcomeKind::Registered, false));
    let position = receipt.position.expect("a position");
    assert_eq!(position.incarnation.len(), 16);

    let request = proto::ResolveRequest { question: Some(question("sn000123")), recursion: None };
    let response = front_end.resolution().await.resolve(request).await.expect("answered").into_inner();
    let Answer::Values(found) = answer(response) else { panic!("values were registered") };
    assert_eq!(
        (found.identifier.as_str(), found.version, found.authoritative),
        ("88.118.8/SN000123", 1, true)
    );
    let [url, note] = found.values.as_slice() else { panic!("two values: {:?}", found.values) };
    assert_eq!((url.index, url.r#type.as_str(), url.permissions), (1, "URL", Some(0b1110)));
    assert_eq!(url.ttl, Some(proto::value::Ttl::RelativeSeconds(86_400)));
    assert_eq!(note.data, "零件".as_bytes());
    assert_eq!(note.ttl, Some(proto::value::Ttl::AbsoluteSeconds(2_000_000_000)));
    assert_eq!(note.references, [proto::Reference { identifier: "88.118.8/other".to_owned(), index: 3 }]);
    assert!(note.timestamp_seconds > 1, "the node's own time, not the caller's");
    front_end.close().await;
}

/// Amend adds, replaces and removes; remove leaves an absent identifier; versions count on.
#[tokio::test(flavor = "multi_thread")]
async fn an_identifier_is_amended_and_removed() {
    let front_end = FrontEnd::open().await;
    let mut client = front_end.registration().await;
    let request = proto::RegisterRequest { registration: Some(registration("a")), ..Default::default() };
    client.register(request).await.expect("registered");
    let amendment = proto::Amendment {
        identifier: format!("{PREFIX}/a"),
        add: vec![url(2, "https://example.com/2")],
        replace: vec![url(1, "https://example.com/1")],
        remove: Vec::new(),
        precondition: Some(proto::amendment::Precondition::Version(1)),
    };
    let request = proto::AmendRequest { amendment: Some(amendment), ..Default::default() };
    let response = client.amend(request.clone()).await.expect("amended").into_inner();
    let receipt = response.receipt.expect("a receipt");
    assert_eq!((receipt.kind(), receipt.version), (OutcomeKind::Amended, 2));

    let status = client.amend(request).await.expect_err("the version moved on");
    assert_eq!((status.code(), reason(&status).as_str()), (tonic::Code::Aborted, "VERSION_MISMATCH"));
    assert_eq!(fact(&status, "expected").as_deref(), Some("1"));
    assert_eq!(fact(&status, "found").as_deref(), Some("2"));

    let removal = proto::Removal { identifier: format!("{PREFIX}/A"), precondition: None };
    let request = proto::RemoveRequest { removal: Some(removal), ..Default::default() };
    let response = client.remove(request).await.expect("removed").into_inner();
    let receipt = response.receipt.expect("a receipt");
    assert_eq!((receipt.kind(), receipt.version), (OutcomeKind::Removed, 3));
    let request = proto::ResolveRequest { question: Some(question("a")), recursion: None };
    let response = front_end.resolution().await.resolve(request).await.expect("answered").into_inner();
    assert_eq!(answer(response), Answer::Absent(proto::Absence::Identifier.into()));
    front_end.close().await;
}

/// Each item of a batch has its own outcome under its own number; what cannot be understood is refused in its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_answers_every_item_in_its_place() {
    let front_end = FrontEnd::open().await;
    let amend = proto::Amendment {
        identifier: format!("{PREFIX}/a"),
        add: vec![url(2, "https://example.com/2")],
        ..Default::default()
    };
    let items = vec![
        item(10, "a"),
        proto::Item { number: 20, command: None },
        proto::Item { number: 30, command: Some(proto::item::Command::Amend(amend)) },
        item(40, "a"),
        item(50, ""),
        item(60, "b"),
    ];
    let request = proto::ApplyBatchRequest { request_id: request_id(), items };
    let response = front_end.registration().await.apply_batch(request).await.expect("applied").into_inner();
    let numbers: Vec<u32> = response.outcomes.iter().map(|outcome| outcome.number).collect();
    assert_eq!(numbers, [10, 20, 30, 40, 50, 60]);
    let code = |outcome| refused(outcome).map(|refusal| refusal.code.as_str());
    let codes: Vec<Option<&str>> = response.outcomes.iter().map(code).collect();
    assert_eq!(
        codes,
        [None, Some("COMMAND_INVALID"), None, Some("ALREADY_EXISTS"), Some("IDENTIFIER_MALFORMED"), None]
    );
    let exists = refused(&response.outcomes[3]).expect("refused");
    assert_eq!(exists.facts.get("item").map(String::as_str), Some("40"));
    assert_eq!(exists.facts.get("version").map(String::as_str), Some("2"));
    let amended = receipt(&response.outcomes[2]).expect("a receipt");
    assert_eq!((amended.version, amended.kind()), (2, OutcomeKind::Amended));
    front_end.close().await;
}

/// The same request id gets the first receipts again, on another connection too; other content is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_gets_the_first_receipt() {
    let front_end = FrontEnd::open().await;
    let id = request_id();
    let register = |suffix: &str| proto::RegisterRequest {
        request_id: id.clone(),
        registration: Some(registration(suffix)),
    };
    let first =
        front_end.registration().await.register(register("a")).await.expect("registered").into_inner();
    let second = front_end.registration().await.register(register("a")).await.expect("repeated").into_inner();
    let (first, second) = (first.receipt.expect("a receipt"), second.receipt.expect("a receipt"));
    assert!(!first.repeated && second.repeated);
    assert_eq!((first.version, first.position), (second.version, second.position));

    let status = front_end.registration().await.register(register("b")).await.expect_err("other content");
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (tonic::Code::FailedPrecondition, "REQUEST_CONFLICT")
    );
    assert_eq!(fact(&status, "request_id"), Some(id));
    front_end.close().await;
}

/// A minted identifier is learned from the receipt and resolves.
#[tokio::test(flavor = "multi_thread")]
async fn a_suffix_is_minted() {
    let front_end = FrontEnd::open().await;
    let mint = proto::Mint { prefix: PREFIX.to_owned(), start: "LOT7-".to_owned() };
    let registration = proto::Registration {
        target: Some(proto::registration::Target::Mint(mint)),
        values: vec![url(1, "https://example.com/")],
        ..Default::default()
    };
    let request = proto::RegisterRequest { registration: Some(registration), ..Default::default() };
    let response = front_end.registration().await.register(request).await.expect("registered").into_inner();
    let identifier = response.receipt.expect("a receipt").identifier;
    assert!(
        identifier.starts_with("88.118.8/LOT7-") && identifier.len() > "88.118.8/LOT7-".len(),
        "{identifier}"
    );
    let question = proto::Question { identifier: identifier.clone(), ..Default::default() };
    let request = proto::ResolveRequest { question: Some(question), recursion: None };
    let response = front_end.resolution().await.resolve(request).await.expect("answered").into_inner();
    let Answer::Values(found) = answer(response) else { panic!("it was registered") };
    assert_eq!(found.identifier, identifier);
    front_end.close().await;
}
