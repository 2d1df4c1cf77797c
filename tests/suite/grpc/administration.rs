//! Tokens and status over gRPC.

use idnode::wire::proto;
use idnode::wire::proto::administration_service_client::AdministrationServiceClient;
use idnode::wire::proto::registration_service_client::RegistrationServiceClient;
use idnode::wire::proto::{OutcomeKind, ScopeKind};
use tonic::Code;

use super::front_end::{Bearer, FrontEnd, PREFIX, reason, registration};

/// A token opens what its scopes say until it is revoked.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_until_it_is_revoked() {
    let front_end = FrontEnd::open().await;
    let mut client =
        AdministrationServiceClient::with_interceptor(front_end.channel().await, front_end.admin.clone());
    let scope = proto::Scope { kind: ScopeKind::Registrar.into(), prefixes: vec![PREFIX.to_owned()] };
    let request = proto::CreateTokenRequest {
        label: "line 4".to_owned(),
        scopes: vec![scope.clone()],
        expires_ms: None,
    };
    let created = client.create_token(request).await.expect("created").into_inner();
    let token = created.token.expect("an entry");
    assert_eq!((token.label.as_str(), token.scopes.as_slice()), ("line 4", &[scope][..]));
    assert!(created.text.starts_with(&format!("idn_{}_", token.id)), "{}", token.id);

    let mut registrar =
        RegistrationServiceClient::with_interceptor(front_end.channel().await, Bearer(created.text));
    let request = proto::RegisterRequest { registration: Some(registration("a")), ..Default::default() };
    registrar.register(request).await.expect("registered");
    let revoke = proto::RevokeTokenRequest { request_id: String::new(), id: token.id.clone() };
    let receipt = client.revoke_token(revoke).await.expect("revoked").into_inner().receipt;
    assert_eq!(receipt.expect("a receipt").kind(), OutcomeKind::TokenRevoked);
    let request = proto::RegisterRequest { registration: Some(registration("b")), ..Default::default() };
    let status = registrar.register(request).await.expect_err("revoked");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "TOKEN_REVOKED"));

    let listed = client.list_tokens(proto::ListTokensRequest {}).await.expect("a list").into_inner().tokens;
    let revoked = listed.iter().find(|listed| listed.id == token.id).expect("it is listed");
    assert!(revoked.revoked_ms.is_some());
    front_end.close().await;
}

/// A malformed scope is refused; so is a list for those who do not run the node.
#[tokio::test(flavor = "multi_thread")]
async fn scopes_are_checked() {
    let front_end = FrontEnd::open().await;
    let mut client =
        AdministrationServiceClient::with_interceptor(front_end.channel().await, front_end.admin.clone());
    let request = proto::CreateTokenRequest {
        label: "x".to_owned(),
        scopes: vec![proto::Scope { kind: ScopeKind::Admin.into(), prefixes: vec!["88".to_owned()] }],
        expires_ms: None,
    };
    let status = client.create_token(request).await.expect_err("an admin scope names no prefix");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "COMMAND_INVALID"));
    let revoke = proto::RevokeTokenRequest { request_id: String::new(), id: "0123456789abcdef".to_owned() };
    let status = client.revoke_token(revoke).await.expect_err("no such token");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "TOKEN_ABSENT"));
    let mut anonymous = AdministrationServiceClient::new(front_end.channel().await);
    let status = anonymous.list_tokens(proto::ListTokensRequest {}).await.expect_err("nobody may");
    assert!(matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied), "{status:?}");
    front_end.close().await;
}

/// Status is reported to every caller with a token.
#[tokio::test(flavor = "multi_thread")]
async fn status_is_for_token_holders() {
    let front_end = FrontEnd::open().await;
    let mut anonymous = AdministrationServiceClient::new(front_end.channel().await);
    let status = anonymous.get_status(proto::GetStatusRequest {}).await.expect_err("nobody may");
    assert_eq!(reason(&status), "UNAUTHENTICATED");
    let mut client =
        AdministrationServiceClient::with_interceptor(front_end.channel().await, front_end.admin.clone());
    let response = client.get_status(proto::GetStatusRequest {}).await.expect("a status").into_inner();
    let status = response.status.expect("a status");
    assert_eq!((status.engine.as_str(), status.prefixes_homed), ("fjall", 1));
    assert!(status.disk_bytes > 0 && status.uptime_seconds < 600, "{status:?}");
    assert_eq!(status.position.expect("a position").incarnation, status.incarnation);
    front_end.close().await;
}
