//! What others rely on by name: metrics.

use std::collections::BTreeSet;

use idnode::store::EngineKind;

use crate::support::clients::http_get;
use crate::support::node::TestNode;

/// The metrics a node shows, one `name type` a line. Dashboards and alerts use these names: a line may be added,
/// never changed.
const METRICS: &str = include_str!("../data/contract/metrics.txt");

#[tokio::test(flavor = "multi_thread")]
async fn the_names_of_metrics_are_a_contract() {
    let node = TestNode::start(EngineKind::Fjall).await;
    let (status, page) = http_get(node.http(), "/metrics");
    assert_eq!(status, 200);
    let found: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let expected: BTreeSet<&str> = METRICS.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(found, expected);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_metrics_is_as_promtool_wants_it() {
    let node = TestNode::start(EngineKind::Fjall).await;
    let (_, page) = http_get(node.http(), "/metrics");
    let mut helped: Option<&str> = None;
    let mut family: Option<(&str, &str)> = None;
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help text");
            assert!(name.starts_with("idnode_") && help.ends_with('.'), "{line}");
            helped = Some(name);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert_eq!(helped, Some(name), "help stands before the type");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            let named = |unit: &str| name.contains(unit);
            assert!(!["_ms", "_us", "_millis", "_kb", "_mb", "_percent"].into_iter().any(named), "{line}");
            assert!(
                name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
            );
            family = Some((name, kind));
        } else {
            let (name, kind) = family.expect("a sample after its type");
            let rest = line.strip_prefix(name).unwrap_or_else(|| panic!("{line} stands under {name}"));
            let parts = ["_bucket{", "_sum ", "_count "];
            let fits = rest.starts_with([' ', '{'])
                || (kind == "histogram" && parts.into_iter().any(|part| rest.starts_with(part)));
            assert!(fits, "{line}");
            let number = line.rsplit(' ').next().and_then(|number| number.parse::<f64>().ok());
            assert!(number.is_some_and(f64::is_finite), "{line}");
        }
    }
    node.stop().await;
}
