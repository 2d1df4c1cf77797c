//! The records behind the question of a DNS message, as far as a server reads them: OPT (RFC 6891) and TSIG (RFC 8945).
//!
//! Only the structure is checked: where records begin and end, that each of the two stands where it may, and the lengths
//! of options. Options that are not used are skipped whatever they hold (RFC 6891 section 6.1.2), and so is the data of
//! other records. What was found before an error is returned with it, so that the error can be answered with OPT.

use crate::wire::cursor::{DecodeError, Reader};

const TYPE_OPT: u16 = 41;
const TYPE_TSIG: u16 = 250;
const CLASS_ANY: u16 = 255;
/// Option code of cookies (RFC 7873 section 4).
const OPTION_COOKIE: u16 = 10;
const HEADER_BYTES: usize = 12;
/// The two highest bits of a length: a pointer instead of a label (RFC 1035 section 4.1.4).
const POINTER_BITS: u8 = 0xc0;

//----------- Additional -------------------------------------------------------

/// What was found behind the question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Additional<'a> {
    /// The client's EDNS.
    pub opt: Option<Opt<'a>>,
    /// The signature of the message.
    pub tsig: Option<Tsig>,
}

/// An OPT record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opt<'a> {
    /// Octets that the client can receive in a datagram.
    pub payload_octets: u16,
    /// The version of EDNS.
    pub version: u8,
    /// The DO bit.
    pub dnssec_ok: bool,
    /// The data of the first cookie option.
    pub cookie: Option<&'a [u8]>,
}

/// A TSIG record, by where its names are in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tsig {
    /// Offset of the name of the key.
    pub key_at: usize,
    /// Offset of the name of the algorithm.
    pub algorithm_at: usize,
    /// Time at which the message was signed, in seconds since 1970.
    pub time_signed: u64,
    /// Seconds by which the clocks may differ.
    pub fudge: u16,
    /// The id that the message had when it was signed.
    pub original_id: u16,
}

/// How many records each section has, as the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionCounts {
    /// Questions.
    pub questions: u16,
    /// Records of the answer section.
    pub answers: u16,
    /// Records of the authority section.
    pub authorities: u16,
    /// Records of the additional section.
    pub additionals: u16,
}

impl<'a> Additional<'a> {
    /// Reads a whole message; the error is what makes it malformed.
    pub fn scan(message: &'a [u8], counts: SectionCounts) -> (Self, Result<(), DecodeError>) {
        let mut found = Self::default();
        let scanned = found.read(&mut Reader::new(message), counts);
        (found, scanned)
    }

    fn read(&mut self, reader: &mut Reader<'a>, counts: SectionCounts) -> Result<(), DecodeError> {
        reader.take("header", HEADER_BYTES)?;
        for _ in 0..counts.questions {
            skip_name(reader)?;
            reader.take("question", 4)?;
        }
        for _ in 0..u32::from(counts.answers) + u32::from(counts.authorities) {
            let record = Record::read(reader)?;
            if [TYPE_OPT, TYPE_TSIG].contains(&record.record_type) {
                return Err(reader.refuse("record outside the additional section"));
            }
        }
        for _ in 0..counts.additionals {
            let record = Record::read(reader)?;
            // RFC 8945 section 5.1: TSIG is the last record.
            if self.tsig.is_some() {
                return Err(reader.refuse("record after TSIG"));
            }
            match record.record_type {
                TYPE_OPT => self.read_opt(reader, &record)?,
                TYPE_TSIG => self.tsig = Some(Tsig::read(&record)?),
                _ => {}
            }
        }
        Ok(())
    }

    fn read_opt(&mut self, reader: &Reader<'a>, record: &Record<'a>) -> Result<(), DecodeError> {
        // RFC 6891 section 6.1.1: one OPT record, of the root.
        if self.opt.is_some() || !record.is_root {
            return Err(reader.refuse("OPT record"));
        }
        let [_, version, flags, _] = record.ttl.to_be_bytes();
        let opt = self.opt.insert(Opt {
            payload_octets: record.class,
            version,
            dnssec_ok: flags & 0x80 != 0,
            cookie: None,
        });
        let mut options = Reader::new(record.data);
        while options.remaining() > 0 {
            let code = options.u16("option code")?;
            let length = usize::from(options.u16("option length")?);
            let data = options.take("option", length)?;
            if code == OPTION_COOKIE && opt.cookie.is_none() {
                opt.cookie = Some(data);
            }
        }
        Ok(())
    }
}

impl Tsig {
    fn read(record: &Record<'_>) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(record.data);
        if record.class != CLASS_ANY || record.ttl != 0 {
            return Err(reader.refuse("TSIG record"));
        }
        skip_name(&mut reader)?;
        let high = reader.u16("time signed")?;
        let time_signed = u64::from(high) << 32 | u64::from(reader.u32("time signed")?);
        let fudge = reader.u16("fudge")?;
        let code_bytes = usize::from(reader.u16("MAC size")?);
        reader.take("MAC", code_bytes)?;
        let original_id = reader.u16("original id")?;
        reader.u16("error")?;
        let other_bytes = usize::from(reader.u16("other length")?);
        reader.take("other data", other_bytes)?;
        reader.finish("TSIG record")?;
        let (key_at, algorithm_at) = (record.name_at, record.data_at);
        Ok(Self { key_at, algorithm_at, time_signed, fudge, original_id })
    }
}

//----------- Record -----------------------------------------------------------

/// A record, its data not looked at.
struct Record<'a> {
    name_at: usize,
    is_root: bool,
    record_type: u16,
    class: u16,
    ttl: u32,
    data_at: usize,
    data: &'a [u8],
}

impl<'a> Record<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let name_at = reader.position();
        skip_name(reader)?;
        let is_root = reader.position() == name_at + 1;
        let record_type = reader.u16("record type")?;
        let class = reader.u16("record class")?;
        let ttl = reader.u32("TTL")?;
        let length = usize::from(reader.u16("record length")?);
        let data_at = reader.position();
        let data = reader.take("record data", length)?;
        Ok(Self { name_at, is_root, record_type, class, ttl, data_at, data })
    }
}

/// Skips a name; where a pointer leads is not looked at, so that the whole message is read in linear time.
fn skip_name(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    loop {
        match reader.u8("label length")? {
            0 => return Ok(()),
            length if length & POINTER_BITS == 0 => {
                reader.take("label", usize::from(length))?;
            }
            length if length & POINTER_BITS == POINTER_BITS => {
                reader.u8("pointer")?;
                return Ok(());
            }
            _ => return Err(reader.refuse("label length")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop, proptest};

    use super::{Additional, SectionCounts};

    const NONE: SectionCounts = SectionCounts { questions: 0, answers: 0, authorities: 0, additionals: 0 };

    fn message(records: &[&[u8]]) -> Vec<u8> {
        [&[0; 12][..], &records.concat()].concat()
    }

    fn opt(options: &[u8]) -> Vec<u8> {
        let length = u8::try_from(options.len()).expect("short");
        [&[0, 0, 41, 0x04, 0xd0, 0, 0, 0x80, 0, 0, length], options].concat()
    }

    /// Key `k.`, algorithm `a.`, MAC of two bytes.
    const TSIG: [u8; 36] = [
        1, b'k', 0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 23, 1, b'a', 0, 0, 1, 0, 0, 0, 2, 1, 44, 0, 2, 9, 9, 0x12,
        0x34, 0, 0, 0, 2, 7, 7,
    ];

    #[test]
    fn options_are_skipped_whatever_they_hold() {
        // A client subnet of family 0 without an address, an empty option, and a cookie behind them.
        let options = [0, 8, 0, 4, 0, 0, 0, 0, 0, 3, 0, 0, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
        let bytes = message(&[&opt(&options)]);
        let (found, scanned) = Additional::scan(&bytes, SectionCounts { additionals: 1, ..NONE });
        assert_eq!(scanned, Ok(()));
        let opt = found.opt.expect("an OPT record");
        assert_eq!((opt.payload_octets, opt.version, opt.dnssec_ok), (1_232, 0, true));
        assert_eq!(opt.cookie, Some(&[1, 2, 3, 4, 5, 6, 7, 8][..]));
    }

    #[test]
    fn an_error_behind_opt_still_shows_opt() {
        for broken in [&[0, 8, 0, 5, 0, 0, 0][..], &[0][..]] {
            let bytes = message(&[&opt(broken)]);
            let (found, scanned) = Additional::scan(&bytes, SectionCounts { additionals: 1, ..NONE });
            assert!(found.opt.is_some() && scanned.is_err(), "{broken:?}");
        }
        let twice = message(&[&opt(&[]), &opt(&[])]);
        let (found, scanned) = Additional::scan(&twice, SectionCounts { additionals: 2, ..NONE });
        assert_eq!((found.opt.is_some(), scanned.map_err(|error| error.what)), (true, Err("OPT record")));
        let cut = message(&[&opt(&[])]);
        let (found, scanned) = Additional::scan(&cut, SectionCounts { additionals: 2, ..NONE });
        assert_eq!((found.opt.is_some(), scanned.map_err(|error| error.what)), (true, Err("label length")));
    }

    #[test]
    fn a_signature_is_found_where_it_may_stand() {
        let bytes = message(&[&opt(&[]), &TSIG]);
        let (found, scanned) = Additional::scan(&bytes, SectionCounts { additionals: 2, ..NONE });
        assert_eq!(scanned, Ok(()));
        let tsig = found.tsig.expect("a signature");
        assert_eq!((tsig.key_at, tsig.algorithm_at), (23, 36));
        assert_eq!((tsig.time_signed, tsig.fudge, tsig.original_id), (1 << 32 | 2, 300, 0x1234));
        for (records, counts) in [
            (message(&[&TSIG, &opt(&[])]), SectionCounts { additionals: 2, ..NONE }),
            (message(&[&TSIG]), SectionCounts { answers: 1, ..NONE }),
            (message(&[&TSIG[..30]]), SectionCounts { additionals: 1, ..NONE }),
        ] {
            assert!(Additional::scan(&records, counts).1.is_err(), "{counts:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn any_bytes_are_scanned(bytes in prop::collection::vec(any::<u8>(), 0..120), counts in any::<[u16; 4]>()) {
            let [questions, answers, authorities, additionals] = counts;
            let _found = Additional::scan(&bytes, SectionCounts { questions, answers, authorities, additionals });
        }
    }
}
