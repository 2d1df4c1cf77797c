//! RFC 7553: the URI record, byte by byte; RFC 3597: types the codec does not know.

use hickory_proto::op::Message;

use super::zone::{MACHINE, URI, Zone, question};
use idnode::wire::dns::machine::{Machine, decode};

/// §4.5: two octets of priority, two of weight, then the target without a length.
#[tokio::test]
async fn s4_5_the_wire_form_is_exact() {
    let zone = Zone::start().await;
    let asked = question("sn000123.8.118.88.id.internal.", URI).to_vec().expect("it encodes");
    let answer = zone.exchange_bytes(&asked).await;
    // The question again, then: a pointer to its name, type 256, class IN, TTL 86,400, 32 octets.
    let record =
        b"\xc0\x0c\x01\x00\x00\x01\x00\x01\x51\x80\x00\x20\x00\x01\x00\x01https://example.com/sn000123";
    assert_eq!(&answer[12..asked.len()], &asked[12..]);
    assert_eq!(&answer[asked.len()..], record);
}

/// RFC 3597 §3: the machine form carries each value exactly, as opaque data.
#[tokio::test]
async fn s3_the_machine_form_carries_values_exactly() {
    let zone = Zone::start().await;
    let mut values = vec![super::zone::value(5, "a type", b"\0\xff"), super::zone::value(9, "URL", b"x:y")];
    values[1].references.push(idnode::model::value::Reference {
        identifier: idnode::model::identifier::Identifier::parse("88.118.9/other").expect("an identifier"),
        index: 3,
    });
    zone.register("88.118.8/exact", values.clone()).await;
    let found: Message = zone.ask("exact.8.118.88.id.internal.", MACHINE).await;
    let mut carried = Vec::new();
    for record in &found.answers {
        let hickory_proto::rr::RData::Unknown { rdata, .. } = &record.data else {
            panic!("opaque: {record}")
        };
        let Ok(Machine::Value(value)) = decode(&rdata.anything) else { panic!("a value: {record}") };
        assert!(value.timestamp > 0, "the node sets the time");
        carried.push(idnode::model::value::Value { timestamp: 0, ..value });
    }
    assert_eq!(carried, values);
}
