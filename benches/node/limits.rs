//! Limits of this machine, measured in the same run: durable appends, and datagrams over the loopback.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;

use crate::dns::{self, Language, Target};
use crate::stats::Line;
use crate::{Error, line};

/// Appends of 4 KiB, each made durable.
pub(crate) fn appends(time: Duration) -> Result<Line, Error> {
    let directory = tempfile::tempdir()?;
    let mut file = OpenOptions::new().create(true).append(true).open(directory.path().join("appends"))?;
    let block = [7; 4_096];
    let mut latencies = Vec::new();
    let start = Instant::now();
    while start.elapsed() < time {
        let begun = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        latencies.push(begun.elapsed());
    }
    Ok(line("limit: 4 KiB appends, each durable", latencies.len() as u64, start.elapsed(), &mut latencies))
}

/// Datagrams echoed by the simplest server, with the same client as for DNS.
pub(crate) async fn echo(time: Duration) -> Result<Line, Error> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?;
    let server = tokio::spawn(async move {
        let mut buffer = [0; 2_048];
        while let Ok((bytes, from)) = socket.recv_from(&mut buffer).await {
            if let Some(datagram) = buffer.get(..bytes) {
                let _lost = socket.send_to(datagram, from).await;
            }
        }
    });
    let target = Target { address, count: 1_000, language: Language::Echo };
    let line = dns::ask("limit: UDP echo, 64 in flight", target, 64, time).await;
    server.abort();
    line
}
