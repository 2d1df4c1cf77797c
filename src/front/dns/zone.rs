//! Zones: which of this node's zones a name is in, or which zone cut it is beyond. Pure.
//!
//! A node has one zone for each topmost prefix that it homes, and the root zone if it has no upper node. A prefix that is
//! delegated to a site with DNS is a cut in its zone. One that is delegated to a site without DNS stays in the zone, but
//! only its own name can be answered. A homed prefix below a cut, or directly in the root zone, begins a new zone:
//!
//! ```text
//!   root zone ──┬── 88 delegated ──────── 88.118 homed     cut at 88; zone 88.118
//!   (no upper)  └── 99 homed ──┬── 99.1 homed              zone 99, which holds 99.1
//!                              └── 99.2 delegated          cut at 99.2
//! ```

use hickory_proto::rr::Name;

use crate::model::identifier::Prefix;
use crate::model::prefix::{Homing, PrefixEntry, PrefixStatus};
use crate::model::site::Site;
use crate::wire::dns::name::{Owner, Part};

/// The only port at which name servers are found through NS records.
const DNS_PORT: u16 = 53;

//----------- Zones ----------------------------------------------------------

/// The prefixes of which this node's zones are made.
pub(super) struct Zones<'a> {
    /// Looks up the entry of exactly this prefix.
    pub(super) entry: &'a dyn Fn(&Prefix) -> Option<&'a PrefixEntry>,
    /// Whether this node serves the root zone.
    pub(super) is_top: bool,
}

/// A zone of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Zone {
    /// Topmost prefix of the zone; none for the root zone.
    pub(super) apex: Option<Prefix>,
}

impl Zone {
    /// Whether a name is the apex of the zone.
    pub(super) fn is_apex(&self, owner: &Owner) -> bool {
        owner.part == Part::Own && owner.index.is_none() && owner.prefix == self.apex
    }
}

/// The location of a name among zones.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Location<'a> {
    /// The name is in no zone of this node.
    Elsewhere,
    /// The name is in a zone of this node.
    Inside(Zone),
    /// The name is at or below a zone cut: the prefix and the site to refer to.
    Cut(Prefix, &'a Site),
    /// The name is at or below a prefix that is delegated to a site without DNS.
    WithoutDns(Zone, Prefix, &'a Site),
    /// The name is under a prefix that is suspended or revoked.
    Withdrawn(PrefixStatus),
}

/// Whether a question is for the parent's side of a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// A question for any type but DS.
    Child,
    /// DS, which belongs to the zone above the cut (RFC 4035 section 3.1.4.1).
    Parent,
}

impl<'a> Zones<'a> {
    /// Locates a name, from the root down.
    pub(super) fn locate(&self, owner: &Owner, side: Side) -> Location<'a> {
        let mut zone = self.is_top.then_some(Zone { apex: None });
        let mut without_dns: Option<(Prefix, &'a Site)> = None;
        let mut cut: Option<(Prefix, &'a Site)> = None;
        let mut status = PrefixStatus::Active;
        let ancestry: Vec<Prefix> = owner.prefix.iter().flat_map(Prefix::ancestry).collect();
        for prefix in ancestry.into_iter().rev() {
            let Some(entry) = (self.entry)(&prefix) else { continue };
            let asks_here = side == Side::Parent && is_own_name(owner, &prefix);
            status = entry.status;
            match &entry.homing {
                Homing::Here => {
                    let within = zone.as_ref().is_some_and(|zone| zone.apex.is_some());
                    let begins = !within || cut.is_some() || without_dns.is_some();
                    if begins && !(asks_here && zone.is_some() && cut.is_none()) {
                        zone = Some(Zone { apex: Some(prefix) });
                    }
                    (cut, without_dns) = (None, None);
                }
                Homing::Delegated(_) if zone.is_none() || cut.is_some() => {}
                Homing::Delegated(site) => {
                    let has_dns = site.ports().dns == Some(DNS_PORT);
                    if has_dns && entry.status == PrefixStatus::Active {
                        without_dns = None;
                        cut = (!asks_here).then_some((prefix, site));
                    } else {
                        without_dns = Some((prefix, site));
                    }
                }
            }
        }
        match (zone, cut, without_dns) {
            (None, _, _) => Location::Elsewhere,
            (Some(_), Some((prefix, site)), _) => Location::Cut(prefix, site),
            (Some(_), None, _) if status != PrefixStatus::Active => Location::Withdrawn(status),
            (Some(zone), None, Some((prefix, site))) => Location::WithoutDns(zone, prefix, site),
            (Some(zone), None, None) => Location::Inside(zone),
        }
    }
}

fn is_own_name(owner: &Owner, prefix: &Prefix) -> bool {
    owner.part == Part::Own && owner.index.is_none() && owner.prefix.as_ref() == Some(prefix)
}

/// Octets of a name before its last `labels`: the offset of the zone's name within it.
pub(super) fn octets_before(name: &Name, labels: usize) -> u16 {
    let left = name.iter().len().saturating_sub(labels);
    let octets: usize = name.iter().take(left).map(|label| 1 + label.len()).sum();
    // A name has at most 255 octets.
    u16::try_from(octets).unwrap_or(u16::MAX)
}

/// The serial of every SOA: the number of journal entries, in the ring of RFC 1982 without zero.
pub(super) fn serial(journal_entries: u64) -> u32 {
    let ring = u64::from(u32::MAX);
    let serial = journal_entries.saturating_sub(1) % ring + 1;
    u32::try_from(serial).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{DNS_PORT, Location, Side, Zone, Zones, octets_before, serial};
    use crate::model::identifier::{Folding, Prefix};
    use crate::model::prefix::{Homing, PrefixEntry, PrefixStatus};
    use crate::model::site::{Ports, Site};
    use crate::wire::dns::name::Naming;
    use hickory_proto::rr::Name;

    fn prefix(text: &str) -> Prefix {
        Prefix::parse(text).expect("a prefix")
    }

    fn site(dns: Option<u16>) -> Site {
        let ports = Ports { grpc: Some(7_000), dns, ..Ports::default() };
        Site::new(vec!["192.0.2.1".parse().expect("an address")], None, ports).expect("a site")
    }

    fn entry(text: &str, homing: Homing, status: PrefixStatus) -> PrefixEntry {
        let prefix = prefix(text);
        PrefixEntry { prefix, homing, status, registrant: None, filing: None, version: 1, changed_ms: 0 }
    }

    /// The drawing of the module doc, with 99.3 without DNS, 99.3.1 homed and 99.4 suspended.
    fn entries() -> BTreeMap<Prefix, PrefixEntry> {
        let away = |dns| Homing::Delegated(site(dns));
        [
            entry("88", away(Some(DNS_PORT)), PrefixStatus::Active),
            entry("88.118", Homing::Here, PrefixStatus::Active),
            entry("99", Homing::Here, PrefixStatus::Active),
            entry("99.1", Homing::Here, PrefixStatus::Active),
            entry("99.2", away(Some(DNS_PORT)), PrefixStatus::Active),
            entry("99.3", away(Some(5_300)), PrefixStatus::Active),
            entry("99.3.1", Homing::Here, PrefixStatus::Active),
            entry("99.4", Homing::Here, PrefixStatus::Suspended),
            entry("99.5", away(Some(DNS_PORT)), PrefixStatus::Revoked),
        ]
        .into_iter()
        .map(|entry| (entry.prefix.clone(), entry))
        .collect()
    }

    fn check(labels: &str, is_top: bool, side: Side, expected: Location<'_>) {
        let entries = entries();
        let lookup = |prefix: &Prefix| entries.get(prefix);
        let zones = Zones { entry: &lookup, is_top };
        let naming = Naming::new("id.internal", Folding::Insensitive).expect("a root");
        let name = Name::from_ascii(format!("{labels}id.internal.")).expect("a name");
        let owner = naming.read(&name).expect("under the root");
        assert_eq!(zones.locate(&owner, side), expected, "{labels} {is_top}");
    }

    fn inside(apex: Option<&str>) -> Location<'static> {
        Location::Inside(Zone { apex: apex.map(prefix) })
    }

    #[test]
    fn each_topmost_homed_prefix_is_a_zone() {
        for is_top in [true, false] {
            check("sn1.99.", is_top, Side::Child, inside(Some("99")));
            check("sn1.7.1.99.", is_top, Side::Child, inside(Some("99")));
            check("118.88.", is_top, Side::Child, inside(Some("88.118")));
            check("1.3.99.", is_top, Side::Child, inside(Some("99.3.1")));
        }
    }

    #[test]
    fn the_root_zone_is_served_without_an_upper_node_only() {
        check("", true, Side::Child, inside(None));
        check("77.", true, Side::Child, inside(None));
        check("", false, Side::Child, Location::Elsewhere);
        check("77.", false, Side::Child, Location::Elsewhere);
        check("7.88.", false, Side::Child, Location::Elsewhere);
    }

    #[test]
    fn a_delegated_prefix_is_a_cut() {
        let site = site(Some(DNS_PORT));
        check("sn1.5.2.99.", false, Side::Child, Location::Cut(prefix("99.2"), &site));
        check("7.88.", true, Side::Child, Location::Cut(prefix("88"), &site));
        // Below the cut the delegated site answers for DS; at the cut this node does.
        check("5.2.99.", false, Side::Parent, Location::Cut(prefix("99.2"), &site));
        check("2.99.", false, Side::Parent, inside(Some("99")));
        check("99.", true, Side::Parent, inside(None));
        check("99.", false, Side::Parent, inside(Some("99")));
    }

    #[test]
    fn a_site_without_dns_gets_no_cut() {
        let site = site(Some(5_300));
        let expected = || Location::WithoutDns(Zone { apex: Some(prefix("99")) }, prefix("99.3"), &site);
        check("3.99.", false, Side::Child, expected());
        check("sn1.3.99.", false, Side::Child, expected());
    }

    #[test]
    fn a_withdrawn_prefix_is_not_answered() {
        check("sn1.4.99.", false, Side::Child, Location::Withdrawn(PrefixStatus::Suspended));
        check("5.99.", false, Side::Child, Location::Withdrawn(PrefixStatus::Revoked));
    }

    #[test]
    fn a_serial_is_never_zero_and_always_later() {
        assert_eq!([serial(0), serial(1), serial(2)], [1, 1, 2]);
        let ring = u64::from(u32::MAX);
        assert_eq!([serial(ring), serial(ring + 1)], [u32::MAX, 1]);
        // RFC 1982 section 3.2: later is what lies less than 2^31 ahead.
        assert!(serial(ring + 1).wrapping_sub(serial(ring)) < 1 << 31);
    }

    #[test]
    fn a_zone_begins_within_the_names_under_it() {
        let name = Name::from_ascii("sn1.99.id.internal.").expect("a name");
        assert_eq!([octets_before(&name, 3), octets_before(&name, 4), octets_before(&name, 2)], [4, 0, 7]);
    }
}
