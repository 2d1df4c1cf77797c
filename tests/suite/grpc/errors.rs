//! Errors over gRPC: the status, the stable reason, the facts.

use std::sync::atomic::Ordering;

use idnode::model::identifier::Prefix;
use idnode::model::token::Scope;
use idnode::wire::proto;
use idnode::wire::proto::registration_service_client::RegistrationServiceClient;
use idnode::wire::proto::resolution_service_client::ResolutionServiceClient;
use tonic::Code;

use super::front_end::{Bearer, FrontEnd, PREFIX, fact, reason, registration, url};

fn register(suffix: &str) -> proto::RegisterRequest {
    proto::RegisterRequest { registration: Some(registration(suffix)), ..Default::default() }
}

/// A caller without permission learns which one is needed; a missing or wrong token is reported as such.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_registrar_registers() {
    let front_end = FrontEnd::open().await;
    let mut anonymous = RegistrationServiceClient::new(front_end.channel().await);
    let status = anonymous.register(register("a")).await.expect_err("nobody may");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "UNAUTHENTICATED"));

    let wrong = Bearer("idn_0000000000000000_00".to_owned());
    let mut unknown = RegistrationServiceClient::with_interceptor(front_end.channel().await, wrong);
    let status = unknown.register(register("a")).await.expect_err("no such token");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "TOKEN_UNKNOWN"));
    assert_eq!(front_end.counters.tokens_refused.load(Ordering::Relaxed), 1);

    let reader = front_end.token(Scope::Reader(vec![Prefix::parse(PREFIX).expect("a prefix")])).await;
    let mut reader = RegistrationServiceClient::with_interceptor(front_end.channel().await, reader);
    let status = reader.register(register("a")).await.expect_err("a reader may not");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "PERMISSION_DENIED"));
    assert!(fact(&status, "needed").is_some_and(|needed| needed.contains("registrar")), "{status:?}");
    front_end.close().await;
}

/// A refusal of one command carries its facts.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_carries_its_facts() {
    let front_end = FrontEnd::open().await;
    let mut client = front_end.registration().await;
    client.register(register("a")).await.expect("registered");
    let status = client.register(register("a")).await.expect_err("it exists");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "ALREADY_EXISTS"));
    assert_eq!(fact(&status, "version").as_deref(), Some("1"));
    assert_eq!(fact(&status, "same").as_deref(), Some("true"));
    assert!(status.message().contains("version 1"), "{}", status.message());

    let twice = proto::Registration { values: vec![url(1, "a"), url(1, "b")], ..registration("b") };
    let request = proto::RegisterRequest { registration: Some(twice), ..Default::default() };
    let status = client.register(request).await.expect_err("an index stands once");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "VALUE_INVALID"));

    let status = client.register(proto::RegisterRequest::default()).await.expect_err("nothing to register");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "COMMAND_INVALID"));

    let request =
        proto::RegisterRequest { request_id: "7".to_owned(), registration: Some(registration("b")) };
    let status = client.register(request).await.expect_err("no UUIDv7");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "REQUEST_ID_INVALID"));
    front_end.close().await;
}

/// Absent, elsewhere and not ours are answers, not errors; a malformed identifier is an error.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_never_an_error() {
    let front_end = FrontEnd::open().await;
    let mut client = ResolutionServiceClient::new(front_end.channel().await);
    let ask = |identifier: &str| proto::ResolveRequest {
        question: Some(proto::Question { identifier: identifier.to_owned(), ..Default::default() }),
        recursion: None,
    };
    let response = client.resolve(ask("99/x")).await.expect("an answer").into_inner();
    let expected = proto::NotResponsible { upper: String::new() };
    assert_eq!(super::front_end::answer(response), proto::answer::Answer::NotResponsible(expected));
    let status = client.resolve(ask("99")).await.expect_err("no identifier");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "IDENTIFIER_MALFORMED"));
    front_end.close().await;
}
