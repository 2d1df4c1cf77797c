//! Bounds of the gRPC front end: message size, batch size, answers that do not fit, reflection and health.

use idnode::wire::proto;
use tonic::Code;

use super::front_end::{FrontEnd, PREFIX, item, question, reason, receipt, url};

/// A message above 4 MiB is refused by its size; the connection serves on.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_above_4_mib_is_refused() {
    let front_end = FrontEnd::open().await;
    let mut client = front_end.registration().await;
    let large = |number| proto::Item {
        number,
        command: Some(proto::item::Command::Register(proto::Registration {
            target: Some(proto::registration::Target::Identifier(format!("{PREFIX}/{number}"))),
            values: vec![proto::Value { data: vec![b'x'; 230_000], ..url(1, "") }],
            ..Default::default()
        })),
    };
    let request =
        |count| proto::ApplyBatchRequest { items: (0..count).map(large).collect(), ..Default::default() };
    let status = client.apply_batch(request(19)).await.expect_err("19 times 230,000 bytes");
    assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
    let response = client.apply_batch(request(18)).await.expect("18 fit").into_inner();
    assert_eq!(response.outcomes.iter().filter_map(receipt).count(), 18);
    front_end.close().await;
}

/// More than 10,000 items are refused as a whole, and nothing is done.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_at_most_10_000_items() {
    let front_end = FrontEnd::open().await;
    let items = (0..10_001).map(|number| item(number, "a")).collect();
    let request = proto::ApplyBatchRequest { items, ..Default::default() };
    let status = front_end.registration().await.apply_batch(request).await.expect_err("one too many");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "TOO_MANY_ITEMS"));
    let request = proto::ResolveRequest { question: Some(question("a")), recursion: None };
    let response = front_end.resolution().await.resolve(request).await.expect("answered").into_inner();
    let absent = proto::answer::Answer::Absent(proto::Absence::Identifier.into());
    assert_eq!(super::front_end::answer(response), absent);
    front_end.close().await;
}

/// The names that a batch mints are reported in its answer only, so that they have to fit: a batch of longer ones is refused before anything is done.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_mints_what_its_answer_can_tell() {
    let front_end = FrontEnd::open().await;
    let minting = |start: usize| {
        let mint = proto::Mint { prefix: PREFIX.to_owned(), start: "s".repeat(start) };
        let registration = proto::Registration {
            target: Some(proto::registration::Target::Mint(mint)),
            values: vec![url(1, "https://example.com/")],
            ..Default::default()
        };
        let command = proto::item::Command::Register(registration);
        let item = |number| proto::Item { number, command: Some(command.clone()) };
        proto::ApplyBatchRequest { items: (0..10_000).map(item).collect(), ..Default::default() }
    };
    let fits = 768 * 1024 / 10_000 - PREFIX.len();
    let status = front_end.registration().await.apply_batch(minting(fits + 1)).await.expect_err("too long");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "COMMAND_INVALID"));
    assert!(status.message().contains("send it in parts"), "{}", status.message());
    assert_eq!(front_end.registry.store_status().await.identifiers, 0, "nothing was registered");
    let applied =
        front_end.registration().await.apply_batch(minting(fits)).await.expect("applied").into_inner();
    let reported = applied.outcomes.iter().filter(|outcome| match &outcome.result {
        Some(proto::outcome::Result::Receipt(receipt)) => receipt.identifier.len() > PREFIX.len() + fits,
        _ => false,
    });
    assert_eq!(reported.count(), 10_000);
    front_end.close().await;
}

/// Answers that no longer fit one message are refused one by one, never cut; a list goes on by its token.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_do_not_fit_are_named() {
    let front_end = FrontEnd::open().await;
    let mut client = front_end.registration().await;
    for number in 0..20 {
        let registration = proto::Registration {
            target: Some(proto::registration::Target::Identifier(format!("{PREFIX}/{number:02}"))),
            values: vec![proto::Value { data: vec![b'x'; 230_000], ..url(1, "") }],
            ..Default::default()
        };
        let request = proto::RegisterRequest { registration: Some(registration), ..Default::default() };
        client.register(request).await.expect("registered");
    }
    let questions = (0..20).map(|number| question(&format!("{number:02}"))).collect();
    let request = proto::ResolveBatchRequest { questions };
    let response = front_end.resolution().await.resolve_batch(request).await.expect("answered").into_inner();
    let numbers: Vec<u32> = response.outcomes.iter().map(|outcome| outcome.number).collect();
    assert_eq!(numbers, (0..20).collect::<Vec<u32>>());
    let is_too_large = |outcome: &&proto::ResolveOutcome| match &outcome.result {
        Some(proto::resolve_outcome::Result::Refusal(refusal)) => refusal.code == "ANSWER_TOO_LARGE",
        _ => false,
    };
    assert_eq!(
        response.outcomes.iter().filter(is_too_large).count(),
        3,
        "17 answers of 230,000 bytes fit 4 MiB"
    );

    let mut client = front_end.resolution_as_admin().await;
    let mut listed = Vec::new();
    let mut page_token = String::new();
    loop {
        let request =
            proto::ListIdentifiersRequest { prefix: PREFIX.to_owned(), page_token, ..Default::default() };
        let page = client.list_identifiers(request).await.expect("a page").into_inner();
        listed.extend(page.identifiers.into_iter().map(|found| found.identifier));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let expected: Vec<String> = (0..20).map(|number| format!("{PREFIX}/{number:02}")).collect();
    assert_eq!(listed, expected);
    front_end.close().await;
}

/// Health reports on the whole and on every service; it ends its watchers when the front end closes.
#[tokio::test(flavor = "multi_thread")]
async fn health_tells_of_every_service() {
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    let front_end = FrontEnd::open().await;
    let mut client = HealthClient::new(front_end.channel().await);
    let services =
        ["", "idnode.v1.RegistrationService", "idnode.v1.ResolutionService", "idnode.v1.PrefixService"];
    let more = ["idnode.v1.BackupService", "idnode.v1.FederationService", "idnode.v1.AdministrationService"];
    for service in services.into_iter().chain(more) {
        let request = HealthCheckRequest { service: service.to_owned() };
        let response = client.check(request).await.expect("a status").into_inner();
        assert_eq!(response.status(), ServingStatus::Serving, "{service}");
    }
    let request = HealthCheckRequest { service: "idnode.v1.NoService".to_owned() };
    assert_eq!(client.check(request).await.expect_err("no such service").code(), Code::NotFound);
    let mut watched = client.watch(HealthCheckRequest::default()).await.expect("watched").into_inner();
    let first = watched.message().await.expect("a message").expect("a status");
    assert_eq!(first.status(), ServingStatus::Serving);
    front_end.close().await;
    let next = watched.message().await.expect("a message").expect("a status");
    assert_eq!(next.status(), ServingStatus::NotServing);
    assert!(watched.message().await.expect("a clean end").is_none());
}

/// Reflection lists every service, in the present and the older form.
#[tokio::test(flavor = "multi_thread")]
async fn reflection_lists_every_service() {
    let front_end = FrontEnd::open().await;
    let expected = [
        "grpc.health.v1.Health",
        "idnode.v1.AdministrationService",
        "idnode.v1.BackupService",
        "idnode.v1.FederationService",
        "idnode.v1.PrefixService",
        "idnode.v1.RegistrationService",
        "idnode.v1.ResolutionService",
    ];
    for found in [services_v1(&front_end).await, services_v1alpha(&front_end).await] {
        for service in expected {
            assert!(found.iter().any(|found| found == service), "{service} is not in {found:?}");
        }
    }
    front_end.close().await;
}

async fn services_v1(front_end: &FrontEnd) -> Vec<String> {
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    let message_request = Some(MessageRequest::ListServices(String::new()));
    let request = tonic_reflection::pb::v1::ServerReflectionRequest { host: String::new(), message_request };
    let mut client = ServerReflectionClient::new(front_end.channel().await);
    let answers = client.server_reflection_info(tokio_stream::once(request)).await.expect("a stream");
    let answer = answers.into_inner().message().await.expect("a message").expect("an answer");
    match answer.message_response {
        Some(MessageResponse::ListServicesResponse(list)) => {
            list.service.into_iter().map(|one| one.name).collect()
        }
        other => panic!("{other:?}"),
    }
}

async fn services_v1alpha(front_end: &FrontEnd) -> Vec<String> {
    use tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1alpha::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1alpha::server_reflection_response::MessageResponse;
    let message_request = Some(MessageRequest::ListServices(String::new()));
    let request =
        tonic_reflection::pb::v1alpha::ServerReflectionRequest { host: String::new(), message_request };
    let mut client = ServerReflectionClient::new(front_end.channel().await);
    let answers = client.server_reflection_info(tokio_stream::once(request)).await.expect("a stream");
    let answer = answers.into_inner().message().await.expect("a message").expect("an answer");
    match answer.message_response {
        Some(MessageResponse::ListServicesResponse(list)) => {
            list.service.into_iter().map(|one| one.name).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// A generic client finds the messages of our statuses' details by reflection, in the present and the older form.
#[tokio::test(flavor = "multi_thread")]
async fn reflection_describes_the_details_of_statuses() {
    let front_end = FrontEnd::open().await;
    for symbol in ["google.rpc.Status", "google.rpc.ErrorInfo", "google.rpc.RetryInfo"] {
        for descriptors in [describe_v1(&front_end, symbol).await, describe_v1alpha(&front_end, symbol).await]
        {
            let files = descriptors.unwrap_or_else(|error| panic!("{symbol}: {error}"));
            let name = symbol.rsplit('.').next().expect("a name").as_bytes();
            let is_described = files.iter().any(|file| file.windows(name.len()).any(|window| window == name));
            assert!(is_described, "{symbol} is in no file of the answer");
        }
    }
    front_end.close().await;
}

async fn describe_v1(front_end: &FrontEnd, symbol: &str) -> Result<Vec<Vec<u8>>, String> {
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    let message_request = Some(MessageRequest::FileContainingSymbol(symbol.to_owned()));
    let request = tonic_reflection::pb::v1::ServerReflectionRequest { host: String::new(), message_request };
    let mut client = ServerReflectionClient::new(front_end.channel().await);
    let answers = client.server_reflection_info(tokio_stream::once(request)).await.expect("a stream");
    let answer = answers.into_inner().message().await.map_err(|status| status.to_string())?;
    match answer.and_then(|answer| answer.message_response) {
        Some(MessageResponse::FileDescriptorResponse(files)) => Ok(files.file_descriptor_proto),
        other => Err(format!("{other:?}")),
    }
}

async fn describe_v1alpha(front_end: &FrontEnd, symbol: &str) -> Result<Vec<Vec<u8>>, String> {
    use tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1alpha::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1alpha::server_reflection_response::MessageResponse;
    let message_request = Some(MessageRequest::FileContainingSymbol(symbol.to_owned()));
    let request =
        tonic_reflection::pb::v1alpha::ServerReflectionRequest { host: String::new(), message_request };
    let mut client = ServerReflectionClient::new(front_end.channel().await);
    let answers = client.server_reflection_info(tokio_stream::once(request)).await.expect("a stream");
    let answer = answers.into_inner().message().await.map_err(|status| status.to_string())?;
    match answer.and_then(|answer| answer.message_response) {
        Some(MessageResponse::FileDescriptorResponse(files)) => Ok(files.file_descriptor_proto),
        other => Err(format!("{other:?}")),
    }
}
