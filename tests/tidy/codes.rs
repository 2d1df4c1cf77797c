//! Which files know the codes of a protocol: the core speaks reasons, and one file of each front end, or of each face of
//! HTTP, turns them into RCODEs, response codes and statuses.

use crate::Rule;
use crate::source::{Complaint, Source, Tree};

/// Texts by which front ends name a code.
const CODES: &[&str] = &["ResponseCode::", "StatusCode::", "Code::", "Status::"];
/// No outcome: the code of a message that is a request.
const NO_OUTCOME: &str = "ResponseCode::NONE";
/// Files of front ends that know codes, beside those called `reply.rs`.
const HOMES: &[&str] = &[
    // The codes that the binary form of the Handle protocol and its JSON API have in common.
    "src/front/handle_semantics/response_code.rs",
    // What the HTTP transport itself rejects, before a face sees it.
    "src/front/http/transport/rejection.rs",
    // The answer to OPTIONS, which has no content.
    "src/front/http/transport/cors.rs",
    // The label of each RCODE in the metrics.
    "src/front/dns/counters.rs",
];

/// The rules of this file.
pub(crate) const RULES: &[Rule] = &[Rule {
    asks: "only the reply.rs of a front end or face knows response codes and statuses",
    check: codes,
    broken: &[
        &[("src/front/dns/answer.rs", "fn f() { Reply::of(ResponseCode::Refused) }\n")],
        &[("src/front/http/pages/mod.rs", "fn f() { StatusCode::FOUND.into_response() }\n")],
        &[("src/front/grpc/call.rs", "fn f() { Err(tonic::Status::internal(text)) }\n")],
    ],
    clean: &[
        ("src/front/dns/reply.rs", "fn f() { Reply::of(ResponseCode::Refused) }\n"),
        ("src/front/handle/answer.rs", "fn f() { header.response == ResponseCode::NONE }\n"),
        ("src/front/handle/change.rs", "fn f(op: OpCode) { op == OpCode::CREATE }\n"),
        ("src/front/grpc/call.rs", "#[cfg(test)]\nmod t { fn f() { assert_eq!(code, Code::Internal) } }\n"),
        ("src/cli/error.rs", "fn f() { Code::Unavailable }\n"),
    ],
}];

fn codes(tree: &Tree) -> Vec<Complaint> {
    let sources = tree.rust().filter(|source| source.path.starts_with("src/front/") && !is_home(source));
    let advice = "state the reason, and let the reply.rs of this front end or face choose its code";
    sources
        .flat_map(|source| offsets(&source.production).map(|offset| source.complain(offset, advice)))
        .collect()
}

fn is_home(source: &Source) -> bool {
    source.path.ends_with("/reply.rs") || HOMES.contains(&source.path.as_str())
}

/// Where production code names a code.
fn offsets(code: &str) -> impl Iterator<Item = usize> {
    let named = CODES.iter().flat_map(|name| code.match_indices(*name)).map(|(at, _)| at);
    named.filter(|at| {
        let (before, rest) = code.split_at_checked(*at).unwrap_or_default();
        let is_longer = before.ends_with(|last: char| last.is_alphanumeric() || last == '_');
        !is_longer && !rest.starts_with(NO_OUTCOME)
    })
}
