//! RFC 8482: ANY is answered with little.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::zone::{Zone, lines};

/// §4.2: a name that is there answers ANY with one HINFO record of its own making.
#[tokio::test]
async fn s4_2_any_is_one_hinfo_record() {
    let zone = Zone::start().await;
    for asked in ["sn000123.8.118.88.id.internal.", "8.118.88.id.internal.", "wide.8.118.88.id.internal."] {
        let found = zone.ask(asked, RecordType::ANY).await;
        assert_eq!(lines(&found.answers), [format!("{asked} 3600 13 RFC8482 ")], "{asked}");
        assert!(found.authoritative && !found.truncation);
    }
}

/// §4.4: absence is still absence.
#[tokio::test]
async fn s4_4_absence_is_not_hidden() {
    let zone = Zone::start().await;
    let found = zone.ask("sn9.8.118.88.id.internal.", RecordType::ANY).await;
    assert_eq!((found.response_code, found.answers.len()), (ResponseCode::NXDomain, 0));
    let found = zone.ask("__x.8.118.88.id.internal.", RecordType::ANY).await;
    assert_eq!((found.response_code, found.answers.len()), (ResponseCode::NoError, 0));
}
