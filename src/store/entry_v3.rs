//! The stored form of a prefix that an administrator of this node has suspended over a filing, version 3. It is frozen once
//! released.
//!
//! ```text
//!   prefix entry   as in versions 1 and 2, with status = 3 (1) in place of status = 1 (1), and with a filing
//! ```
//! Only such an entry is written in this form, so that all others stay readable for programs that know the versions before.
//! Those refuse the status 3 and read nothing else from the entry. In their form a suspension by an administrator has no
//! filing, so that nothing tells who filed the prefix.

/// The code of a prefix that an administrator of this node has suspended, while it stays that of the lower node of its filing.
pub(super) const STATUS: u8 = 3;

#[cfg(test)]
mod tests {
    use crate::model::identifier::Prefix;
    use crate::model::position::{Incarnation, Position, Stream};
    use crate::model::prefix::{FilingMark, Homing, PrefixEntry, PrefixStatus};
    use crate::model::site::{Ports, Site};
    use crate::model::token::TokenId;
    use crate::store::entry_v1::{read_prefix, write_prefix};
    use crate::wire::cursor::{Reader, Writer};

    fn entry(status: PrefixStatus, is_overruled: bool) -> PrefixEntry {
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
            (entry(PrefixStatus::Active, false), "00"),
            (entry(PrefixStatus::Suspended, false), "01"),
            (entry(PrefixStatus::Revoked, false), "02"),
            (entry(PrefixStatus::Suspended, true), "03"),
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
        let bytes = written(&entry(PrefixStatus::Suspended, true));
        let hex = data_encoding::HEXLOWER.encode(&bytes);
        let (before, _) = hex.rsplit_once("010101010101010101").expect("the filing");
        let bytes = data_encoding::HEXLOWER.decode(format!("{before}00").as_bytes()).expect("hex");
        let error = read_prefix(&mut Reader::new(&bytes)).expect_err("no filing");
        assert_eq!(error.what, "filing");
    }
}
