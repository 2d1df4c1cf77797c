//! How the bytes of a connection travel: plain text or TLS.

use std::net::SocketAddr;

/// How bytes travel between this node and a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Plain text.
    Plain,
    /// TLS.
    Tls,
}

impl Channel {
    /// Whether others can read on the way what a client at this address sends: plain text from beyond this machine.
    pub(in crate::front) fn is_overheard(self, client: SocketAddr) -> bool {
        self == Self::Plain && !client.ip().to_canonical().is_loopback()
    }
}

#[cfg(test)]
mod tests {
    use super::Channel;

    #[test]
    fn plain_text_beyond_this_machine_is_overheard() {
        let overheard =
            |address: &str, channel: Channel| channel.is_overheard(address.parse().expect("an address"));
        assert!(overheard("192.0.2.7:9000", Channel::Plain));
        assert!(overheard("[2001:db8::7]:9000", Channel::Plain));
        assert!(!overheard("192.0.2.7:9000", Channel::Tls));
        assert!(!overheard("127.0.0.1:9000", Channel::Plain));
        assert!(!overheard("[::ffff:127.0.0.1]:9000", Channel::Plain));
    }
}
