//! Resolving over gRPC: selections, batches, lists, histories.

use idnode::model::identifier::Prefix;
use idnode::model::token::Scope;
use idnode::wire::proto;
use idnode::wire::proto::answer::Answer;
use idnode::wire::proto::resolution_service_client::ResolutionServiceClient;
use tonic::Code;

use super::front_end::{FrontEnd, PREFIX, answer, question, reason, registration, url};

async fn register(front_end: &FrontEnd, registration: proto::Registration) {
    let request = proto::RegisterRequest { registration: Some(registration), ..Default::default() };
    front_end.registration().await.register(request).await.expect("registered");
}

fn typed(index: u32, value_type: &str, permissions: u32) -> proto::Value {
    proto::Value { r#type: value_type.to_owned(), permissions: Some(permissions), ..url(index, "data") }
}

/// Indexes and types select; values that the public may not read are for those whose token covers the prefix.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_selects_what_the_caller_may_see() {
    let front_end = FrontEnd::open().await;
    let values = vec![typed(1, "URL", 0b1110), typed(2, "PRICE", 0b1100), typed(3, "SITE.A", 0b1110)];
    register(&front_end, proto::Registration { values, ..registration("a") }).await;
    let ask = |indexes: &[u32], types: &[&str]| {
        let types = types.iter().map(|text| (*text).to_owned()).collect();
        let question = proto::Question { indexes: indexes.to_vec(), types, ..question("a") };
        proto::ResolveRequest { question: Some(question), recursion: None }
    };
    let indexes = |response: proto::ResolveResponse| match answer(response) {
        Answer::Values(found) => found.values.iter().map(|value| value.index).collect(),
        _ => Vec::new(),
    };
    let mut public = front_end.resolution().await;
    let mut admin = front_end.resolution_as_admin().await;
    let response = public.resolve(ask(&[], &[])).await.expect("answered").into_inner();
    assert_eq!(indexes(response), [1, 3]);
    let response = admin.resolve(ask(&[], &[])).await.expect("answered").into_inner();
    assert_eq!(indexes(response), [1, 2, 3]);
    let response = public.resolve(ask(&[1], &["site."])).await.expect("answered").into_inner();
    assert_eq!(indexes(response), [1, 3]);
    let response = public.resolve(ask(&[2], &[])).await.expect("answered").into_inner();
    assert_eq!(answer(response), Answer::Absent(proto::Absence::Values.into()));
    front_end.close().await;
}

/// Every question of a batch has its outcome in its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_answers_every_question_in_its_place() {
    let front_end = FrontEnd::open().await;
    register(&front_end, registration("a")).await;
    let malformed = proto::Question { identifier: "no slash".to_owned(), ..Default::default() };
    let questions = vec![question("b"), malformed, question("a")];
    let request = proto::ResolveBatchRequest { questions };
    let response = front_end.resolution().await.resolve_batch(request).await.expect("answered").into_inner();
    let numbers: Vec<u32> = response.outcomes.iter().map(|outcome| outcome.number).collect();
    assert_eq!(numbers, [0, 1, 2]);
    let results: Vec<&str> = response.outcomes.iter().map(outcome_name).collect();
    assert_eq!(results, ["absent", "IDENTIFIER_MALFORMED", "values"]);
    front_end.close().await;
}

fn outcome_name(outcome: &proto::ResolveOutcome) -> &str {
    match outcome.result.as_ref().expect("a result") {
        proto::resolve_outcome::Result::Refusal(refusal) => &refusal.code,
        proto::resolve_outcome::Result::Answer(answer) => match &answer.answer {
            Some(Answer::Values(_)) => "values",
            Some(Answer::Absent(_)) => "absent",
            Some(Answer::Referral(_)) => "referral",
            Some(Answer::NotResponsible(_)) => "not responsible",
            None => "nothing",
        },
    }
}

/// A stream of questions is answered in order.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_questions_is_answered_in_order() {
    let front_end = FrontEnd::open().await;
    register(&front_end, registration("a")).await;
    let asked = (0..500).map(|number| proto::ResolveStreamRequest {
        number,
        question: Some(question(if number % 2 == 0 { "a" } else { "b" })),
    });
    let answers =
        front_end.resolution().await.resolve_stream(tokio_stream::iter(asked)).await.expect("a stream");
    let mut answers = answers.into_inner();
    for number in 0..500 {
        let outcome = answers.message().await.expect("a message").and_then(|answer| answer.outcome);
        let outcome = outcome.expect("an outcome");
        assert_eq!(
            (outcome.number, outcome_name(&outcome)),
            (number, if number % 2 == 0 { "values" } else { "absent" })
        );
    }
    assert!(answers.message().await.expect("a clean end").is_none());
    front_end.close().await;
}

/// A list is paged by tokens and needs a token that covers the prefix.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_paged() {
    let front_end = FrontEnd::open().await;
    for suffix in ["a", "b", "c", "d", "e"] {
        register(&front_end, registration(suffix)).await;
    }
    let request = |page_token: &str| proto::ListIdentifiersRequest {
        prefix: PREFIX.to_owned(),
        page_size: 2,
        page_token: page_token.to_owned(),
    };
    let status =
        front_end.resolution().await.list_identifiers(request("")).await.expect_err("a token is needed");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "UNAUTHENTICATED"));
    let reader = front_end.token(Scope::Reader(vec![Prefix::parse("88.118").expect("a prefix")])).await;
    let mut client = ResolutionServiceClient::with_interceptor(front_end.channel().await, reader);
    let (mut pages, mut tokens) = (Vec::new(), Vec::new());
    let mut page_token = String::new();
    loop {
        let page = client.list_identifiers(request(&page_token)).await.expect("a page").into_inner();
        tokens.push(page.next_page_token.clone());
        pages.push(page.identifiers.into_iter().map(|found| found.identifier).collect::<Vec<_>>().join(" "));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(pages, ["88.118.8/a 88.118.8/b", "88.118.8/c 88.118.8/d", "88.118.8/e"]);
    // Base64 of 88.118.8/b and 88.118.8/d: the tokens of the first release, which clients may hold.
    assert_eq!(tokens, ["ODguMTE4LjgvYg", "ODguMTE4LjgvZA", ""]);
    let removal = proto::Removal { identifier: format!("{PREFIX}/b"), ..Default::default() };
    let removing = proto::RemoveRequest { removal: Some(removal), ..Default::default() };
    front_end.registration().await.remove(removing).await.expect("removed");
    let page = client.list_identifiers(request("ODguMTE4LjgvYg")).await.expect("a page").into_inner();
    let names: Vec<String> = page.identifiers.into_iter().map(|found| found.identifier).collect();
    assert_eq!(names, ["88.118.8/c", "88.118.8/d"], "a token leads on after its name was removed");
    let of_another_list = "ODguMTE4LjkvYg";
    let long = "QUFB".repeat(50_000);
    for token in ["made up", "ODguMTE4Ljg", "____", of_another_list, &long] {
        let status = client.list_identifiers(request(token)).await.expect_err("no token of this list");
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "PAGE_TOKEN_INVALID"));
        assert_eq!(status.message(), "page_token was not issued by this list; start again without one");
    }
    front_end.close().await;
}

/// A history tells the changes, the newest first, by pages.
#[tokio::test(flavor = "multi_thread")]
async fn a_history_is_paged_newest_first() {
    let front_end = FrontEnd::open().await;
    register(&front_end, registration("a")).await;
    for index in 2..=3 {
        let amendment = proto::Amendment {
            identifier: format!("{PREFIX}/a"),
            add: vec![url(index, "https://example.com/")],
            ..Default::default()
        };
        let request = proto::AmendRequest { amendment: Some(amendment), ..Default::default() };
        front_end.registration().await.amend(request).await.expect("amended");
    }
    let mut client = front_end.resolution_as_admin().await;
    let request = |page_token: String| proto::GetHistoryRequest {
        identifier: format!("{PREFIX}/a"),
        page_size: 2,
        page_token,
    };
    let first = client.get_history(request(String::new())).await.expect("a page").into_inner();
    let second =
        client.get_history(request(first.next_page_token.clone())).await.expect("a page").into_inner();
    assert_eq!(second.next_page_token, "");
    let changes: Vec<(u64, &str, usize)> = first
        .changes
        .iter()
        .chain(&second.changes)
        .map(|change| (change.version, change.operation.as_str(), change.values.len()))
        .collect();
    assert_eq!(changes, [(3, "amended", 3), (2, "amended", 2), (1, "registered", 1)]);
    assert!(first.changes.iter().all(|change| change.caller.starts_with("token ") && !change.erased));
    assert_eq!(first.complete_from, None, "nothing was pruned: complete from the beginning");
    front_end.close().await;
}
