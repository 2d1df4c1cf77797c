//! The node as others see it: started, asked, stopped, killed, on real sockets and real disks.
//!
//! Run all with `cargo test --test suite`, one part with `cargo test --test suite shutdown::`.

mod support;

mod admin_token;
mod administration;
mod backup;
mod cli;
mod config;
mod conformance;
mod contract;
mod delegation;
mod exit_codes;
mod filing;
mod golden;
mod grpc;
mod handle;
mod hostile;
mod http;
mod import;
mod import_faults;
mod key;
mod loss;
mod outcome;
mod parity;
mod recovery;
mod referral;
mod released;
mod serving;
mod shutdown;
mod systemd;
