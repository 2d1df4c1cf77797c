//! The stored forms of prefixes, byte by byte.

use super::{read_prefix, write_prefix};
use crate::model::identifier::Prefix;
use crate::model::position::{Incarnation, Position, Stream};
use crate::model::prefix::{FilingMark, Homing, PrefixEntry, PrefixStatus};
use crate::model::site::{Ports, Site};
use crate::model::token::TokenId;
use crate::wire::cursor::{Reader, Writer};

fn delegated(site: Site) -> PrefixEntry {
    PrefixEntry {
        prefix: Prefix::parse("88.118").expect("a prefix"),
        homing: Homing::Delegated(site),
        status: PrefixStatus::Active,
        registrant: None,
        filing: None,
        version: 3,
        changed_ms: 4,
    }
}

#[test]
fn a_site_with_a_key_has_its_own_form_and_one_without_that_of_version_1() {
    let ports = Ports { handle: Some(2_641), ..Ports::default() };
    let site = Site::new(vec!["192.0.2.1".parse().expect("an address")], None, ports).expect("a site");
    let plain = delegated(site.clone());
    let keyed = delegated(site.with_public_key(b"key").expect("a key"));
    let hex = |entry: &PrefixEntry| data_encoding::HEXLOWER.encode(&written(entry));
    let begin = "000000000000000300000000000000040000000638382e31313800";
    let site = "0000000100000009 3139322e302e322e31 00000000 0000 0000 0a51 0000".replace(' ', "");
    assert_eq!(hex(&plain), format!("{begin}01{site}0000"));
    assert_eq!(hex(&keyed), format!("{begin}02{site}000000036b65790000"));
    for entry in [plain, keyed] {
        let bytes = written(&entry);
        assert_eq!(read_prefix(&mut Reader::new(&bytes)), Ok(entry));
        for length in 0..bytes.len() {
            assert!(read_prefix(&mut Reader::new(&bytes[..length])).is_err(), "{length} bytes");
        }
    }
}

#[test]
fn an_empty_key_is_refused() {
    let ports = Ports { handle: Some(2_641), ..Ports::default() };
    let site = Site::new(vec!["192.0.2.1".parse().expect("an address")], None, ports).expect("a site");
    let bytes = written(&delegated(site.with_public_key(b"k").expect("a key")));
    let hex = data_encoding::HEXLOWER.encode(&bytes).replace("000000016b0000", "000000000000");
    let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).expect("hex");
    let error = read_prefix(&mut Reader::new(&bytes)).expect_err("no key");
    assert_eq!(error.what, "site key");
}

fn filed(status: PrefixStatus, is_overruled: bool) -> PrefixEntry {
    let ports = Ports { handle: Some(2_641), ..Ports::default() };
    let site = Site::new(vec!["192.0.2.1".parse().expect("an address")], None, ports).expect("a site");
    let position = Position { incarnation: Incarnation([2; 16]), stream: Stream::ONLY, sequence: 5 };
    PrefixEntry {
        prefix: Prefix::parse("88.118").expect("a prefix"),
        homing: Homing::Delegated(site),
        status,
        registrant: None,
        filing: Some(FilingMark { peer: TokenId([1; 8]), position, is_overruled }),
        version: 3,
        changed_ms: 4,
    }
}

fn written(entry: &PrefixEntry) -> Vec<u8> {
    let mut writer = Writer::with_capacity(128);
    write_prefix(&mut writer, entry);
    writer.into_vec()
}

#[test]
fn a_suspension_over_a_filing_has_its_own_form_and_all_else_that_of_version_1() {
    let forms = [
        (filed(PrefixStatus::Active, false), "00"),
        (filed(PrefixStatus::Suspended, false), "01"),
        (filed(PrefixStatus::Revoked, false), "02"),
        (filed(PrefixStatus::Suspended, true), "03"),
    ];
    let site = "01 0000000100000009 3139322e302e322e31 00000000 0000 0000 0a51 0000";
    let mark = "01 0101010101010101 02020202020202020202020202020202 0000 0000000000000005";
    for (entry, status) in forms {
        let begin = format!("0000000000000003 0000000000000004 00000006 38382e313138 {status}");
        let bytes = written(&entry);
        let hex = data_encoding::HEXLOWER.encode(&bytes);
        assert_eq!(hex, format!("{begin} {site} 00 {mark}").replace(' ', ""));
        assert_eq!(read_prefix(&mut Reader::new(&bytes)), Ok(entry));
        for length in 0..bytes.len() {
            assert!(read_prefix(&mut Reader::new(&bytes[..length])).is_err(), "{length} bytes");
        }
    }
}

#[test]
fn a_suspension_over_a_filing_without_a_filing_is_refused() {
    let bytes = written(&filed(PrefixStatus::Suspended, true));
    let hex = data_encoding::HEXLOWER.encode(&bytes);
    let (before, _) = hex.rsplit_once("010101010101010101").expect("the filing");
    let bytes = data_encoding::HEXLOWER.decode(format!("{before}00").as_bytes()).expect("hex");
    let error = read_prefix(&mut Reader::new(&bytes)).expect_err("no filing");
    assert_eq!(error.what, "filing");
}
