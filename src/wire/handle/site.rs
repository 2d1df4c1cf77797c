//! HS_SITE: where the service of a prefix lives, as Handle clients read it (RFC 3651 section 3.2.2).
//!
//! ```text
//!   version 1 (2) · protocol 2.11 (2) · serial (2) · primary (1) · hash by whole handle (1) · filter (string)
//!   attributes (count; name, value) · servers (count; id (4) · address (16) · key (string) · interfaces)
//!   interface: admin and query (1) · protocol: 0 UDP, 1 TCP, 2 HTTP (1) · port (4)
//! ```

use core::net::IpAddr;

use crate::model::site::Site;
use crate::wire::cursor::Writer;

const ADMIN_AND_QUERY: u8 = 3;
const UDP: u8 = 0;
const TCP: u8 = 1;
const HTTP: u8 = 2;

/// Encodes a site, or none when it offers neither Handle nor HTTP, so that no Handle client could use it.
///
/// The first address is the server's; the others are `alt_addr` attributes. TCP stands first: some clients take the
/// first interface as it comes.
pub fn encode_site(site: &Site, serial: u16) -> Option<Vec<u8>> {
    let ports = site.ports();
    let handle = ports.handle.map(|port| [(TCP, port), (UDP, port)]);
    let http = ports.http.map(|port| (HTTP, port));
    let interfaces: Vec<(u8, u16)> = handle.into_iter().flatten().chain(http).collect();
    let (first, others) = site.addresses().split_first()?;
    if interfaces.is_empty() {
        return None;
    }
    let mut writer = Writer::with_capacity(96);
    writer.u16(1).u8(2).u8(11).u16(serial).u8(0x80).u8(2).text("");
    writer.count(others.len());
    for (number, address) in others.iter().enumerate() {
        let name = if number == 0 { "alt_addr".to_owned() } else { format!("alt_addr.{number}") };
        writer.text(&name).text(&address.to_string());
    }
    writer.u32(1).u32(1).raw(&sixteen_bytes(*first)).text("");
    writer.count(interfaces.len());
    for (protocol, port) in interfaces {
        writer.u8(ADMIN_AND_QUERY).u8(protocol).u32(u32::from(port));
    }
    Some(writer.into_vec())
}

/// IPv4 stands in the last four bytes, behind zeros.
fn sixteen_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]
        }
        IpAddr::V6(address) => address.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::encode_site;
    use crate::model::site::{Ports, Site};

    #[test]
    fn a_site_is_laid_out_as_clients_read_it() {
        let addresses = vec!["127.0.0.9".parse().expect("an address")];
        let ports = Ports { handle: Some(2641), ..Ports::default() };
        let site = Site::new(addresses.clone(), None, ports).expect("a site");
        let expected = "0001020b0007800200000000000000000000000100000001\
                        0000000000000000000000007f00000900000000\
                        00000002030100000a51030000000a51";
        let encoded = encode_site(&site, 7).map(|bytes| data_encoding::HEXLOWER.encode(&bytes));
        assert_eq!(encoded.as_deref(), Some(expected));
        let grpc_only = Ports { grpc: Some(1), ..Ports::default() };
        let site = Site::new(addresses, None, grpc_only).expect("a site");
        assert_eq!(encode_site(&site, 7), None);
    }
}
