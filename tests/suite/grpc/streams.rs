//! The registration stream: order, refusals in their place, back-pressure.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use idnode::wire::proto;

use super::front_end::{FrontEnd, item, receipt, refused, registration, request_id};

fn message(item: proto::Item) -> proto::ApplyStreamRequest {
    proto::ApplyStreamRequest { request_id: String::new(), item: Some(item) }
}

/// Outcomes come in the order of the items, whatever becomes of each.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_answers_in_order() {
    let front_end = FrontEnd::open().await;
    let items = (0..3_000).map(|number| match number % 3 {
        0 => message(item(number, &format!("s{number}"))),
        1 => message(item(number, &format!("s{}", number - 1))),
        _ => message(proto::Item { number, command: None }),
    });
    let outcomes =
        front_end.registration().await.apply_stream(tokio_stream::iter(items)).await.expect("a stream");
    let mut outcomes = outcomes.into_inner();
    for number in 0..3_000 {
        let answer = outcomes.message().await.expect("a message").expect("an answer");
        let outcome = answer.outcome.expect("an outcome");
        assert_eq!(outcome.number, number);
        let code = refused(&outcome).map(|refusal| refusal.code.as_str());
        let expected = [None, Some("ALREADY_EXISTS"), Some("COMMAND_INVALID")];
        assert_eq!(code, expected[(number % 3) as usize], "item {number}");
    }
    assert!(outcomes.message().await.expect("a clean end").is_none());
    front_end.close().await;
}

/// Items of several requests may follow each other; repeating a stream does nothing twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_stream_gets_the_first_receipts() {
    let front_end = FrontEnd::open().await;
    let ids = [request_id(), request_id()];
    let messages: Vec<proto::ApplyStreamRequest> = (0..6)
        .map(|number| proto::ApplyStreamRequest {
            request_id: ids[(number / 3) as usize].clone(),
            item: Some(item(number, &format!("s{number}"))),
        })
        .collect();
    let mut receipts = Vec::new();
    for _ in 0..2 {
        let answers = front_end.registration().await.apply_stream(tokio_stream::iter(messages.clone())).await;
        let mut answers = answers.expect("a stream").into_inner();
        while let Some(answer) = answers.message().await.expect("a message") {
            let outcome = answer.outcome.expect("an outcome");
            let receipt = receipt(&outcome).expect("a receipt");
            receipts.push((outcome.number, receipt.version, receipt.position.clone(), receipt.repeated));
        }
    }
    let (first, second) = receipts.split_at(6);
    assert!(first.iter().all(|(.., repeated)| !repeated));
    assert!(second.iter().all(|(.., repeated)| *repeated));
    let without = |receipts: &[(u32, u64, Option<proto::Position>, bool)]| {
        receipts
            .iter()
            .map(|(number, version, position, _)| (*number, *version, position.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(without(first), without(second));
    front_end.close().await;
}

/// As long as outcomes are not taken, the node stops reading; once they are, everything goes on.
///
/// While nothing is taken, another connection registers a hundred times, each on disk: time enough for a node without
/// back-pressure to read the whole stream.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_outcomes_are_not_taken_is_not_read() {
    const ITEMS: u32 = 100_000;
    let front_end = FrontEnd::open().await;
    let sent = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&sent);
    let items = (0..ITEMS).map(move |number| {
        counted.store(number + 1, Ordering::Relaxed);
        // No identifier, and long enough that the connection's windows hold few of them.
        let target = proto::registration::Target::Identifier("x".repeat(200));
        let malformed = proto::Registration { target: Some(target), ..Default::default() };
        message(proto::Item { number, command: Some(proto::item::Command::Register(malformed)) })
    });
    let outcomes =
        front_end.registration().await.apply_stream(tokio_stream::iter(items)).await.expect("a stream");
    let mut client = front_end.registration().await;
    for number in 0..100 {
        let registration = Some(registration(&number.to_string()));
        let request = proto::RegisterRequest { request_id: String::new(), registration };
        client.register(request).await.expect("registered");
    }
    let read_ahead = sent.load(Ordering::Relaxed);
    assert!(read_ahead < ITEMS / 2, "{read_ahead} items were read although no outcome was taken");
    let mut outcomes = outcomes.into_inner();
    let mut taken = 0;
    while let Some(answer) = outcomes.message().await.expect("a message") {
        assert_eq!(answer.outcome.expect("an outcome").number, taken);
        taken += 1;
    }
    assert_eq!(taken, ITEMS);
    front_end.close().await;
}

/// A front end that closes ends an idle stream with a status that says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_closing_front_end_ends_an_idle_stream() {
    let front_end = FrontEnd::open().await;
    let (send, received) = tokio::sync::mpsc::channel(4);
    let messages = tokio_stream::wrappers::ReceiverStream::new(received);
    send.send(message(item(1, "a"))).await.expect("capacity");
    let outcomes = front_end.registration().await.apply_stream(messages).await.expect("a stream");
    let mut outcomes = outcomes.into_inner();
    let first = outcomes.message().await.expect("a message").expect("an answer").outcome.expect("an outcome");
    assert!(receipt(&first).is_some());
    front_end.close().await;
    let status = outcomes.message().await.expect_err("the front end closed");
    assert_eq!(
        (status.code(), super::front_end::reason(&status).as_str()),
        (tonic::Code::Unavailable, "STOPPING")
    );
    drop(send);
}
