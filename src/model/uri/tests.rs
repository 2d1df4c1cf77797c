//! What is a URI and what is a web address, what is appended, which location is chosen, and what is warned of.

use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};
use url::Url;

use super::{LocationChoice, Uri, UriWarning, has_host, is_valid, uris_of, web_address};
use crate::model::value::{Index, Permissions, Ttl, Value, ValueType};

fn value(index: u32, value_type: &str, data: &str) -> Value {
    Value {
        index: Index::new(index).expect("an index"),
        value_type: ValueType::new(value_type).expect("a type"),
        data: data.as_bytes().to_vec(),
        ttl: Ttl::default(),
        permissions: Permissions::DEFAULT,
        references: Vec::new(),
        timestamp: 0,
    }
}

fn parse(text: &str) -> Option<String> {
    Uri::parse(text).map(|uri| uri.to_string())
}

//----------- Parsing --------------------------------------------------------

#[test]
fn a_valid_uri_stays_as_it_is() {
    for text in [
        "http://a",
        "HTTPS://Example.COM:8443/a/../b?x=%c3%A4&y=a/b?c#d",
        "https://user:pa%20ss@example.com/",
        "http://[2001:db8::1]:80/x",
        "http://0x7f.1/",
        "https://example.com/a!b$c&d'e(f)*g+h,i;j=k",
        "urn:oid:1.2.156.3088",
        "mailto:a@example.com",
        "ftp://example.com/x",
        "x:y",
        "foo://[::1]/",
    ] {
        assert_eq!(parse(text).as_deref(), Some(text));
    }
}

#[test]
fn what_a_browser_understands_becomes_a_uri() {
    for (text, expected) in [
        ("http://例子.测试/x", "http://xn--fsqu00a.xn--0zwm56d/x"),
        ("http://%E4%BE%8B%E5%AD%90.%E6%B5%8B%E8%AF%95/x", "http://xn--fsqu00a.xn--0zwm56d/x"),
        ("http://Bücher.example:8080/", "http://xn--bcher-kva.example:8080/"),
        (
            "https://e.example/零件/a b?q=轴 承#节",
            "https://e.example/%E9%9B%B6%E4%BB%B6/a%20b?q=%E8%BD%B4%20%E6%89%BF#%E8%8A%82",
        ),
        ("https://e.example/100%", "https://e.example/100%25"),
        ("https://e.example/?a[]=1|2", "https://e.example/?a%5B%5D=1%7C2"),
        ("https://e.example/#a#b", "https://e.example/#a%23b"),
        ("https://e.example\\@evil.example/", "https://e.example/@evil.example/"),
        (" https://e.example/x\r\n", "https://e.example/x"),
        ("urn:例", "urn:%E4%BE%8B"),
        ("mailto:a b@example.com", "mailto:a%20b@example.com"),
    ] {
        assert_eq!(parse(text).as_deref(), Some(expected), "{text:?}");
    }
}

#[test]
fn what_leads_nowhere_is_no_uri() {
    for text in [
        "",
        "no uri",
        "www.example.com/x",
        "www.例子.测试",
        "//evil.example/x",
        "/x",
        ":x",
        "x:",
        "1x:y",
        "http:",
        "http://",
        "http:example.com",
        "http:/example.com",
        "http:///example.com",
        "http:\\\\example.com",
        "http://?x",
        "http://@/",
        "http://a b/",
        "http://example.com:99999/",
        "http://[::1/",
        "http://xn--a/",
        "java\nscript:alert(1)",
        "https://e.example/a\r\nSet-Cookie: x",
        "https://e.example/a\tb",
        "https://e.example/\u{0}",
        "https://e.example/\u{85}",
    ] {
        assert_eq!(parse(text), None, "{text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_uri_is_valid_and_reads_as_itself(
        scheme in "https?|HTTP|[a-z][a-z+.-]{0,3}", text in r#"(//)?[a-z例\\ %@:\[\]/?#"<>|^`{}.0-9\PC]{0,24}"#
    ) {
        if let Some(uri) = Uri::parse(&format!("{scheme}:{text}")) {
            prop_assert!(is_valid(uri.as_str()), "{uri}");
            prop_assert!(uri.as_str().bytes().all(|byte| byte.is_ascii_graphic()), "{uri}");
            let again = Uri::parse(uri.as_str());
            prop_assert_eq!(again, Some(uri));
        }
    }

    #[test]
    fn what_is_appended_never_leads_to_another_site(
        base in prop::sample::select(vec![
            "http://e.example", "https://u:p@e.example:81", "http://e.example/", "http://e.example?x", "https://e.example/a#b",
        ]),
        text in any::<String>(), odd in r"[./\\@:#?%a-z0-9]{0,12}",
    ) {
        for text in [text, odd] {
            let Some(appended) = Uri::parse(base).and_then(|uri| uri.append(&text)) else { continue };
            let (before, after) = (Url::parse(base).expect("a URL"), Url::parse(appended.as_str()).expect("a URL"));
            let site = |url: &Url| (
                url.scheme().to_owned(), url.username().to_owned(), url.password().map(str::to_owned),
                url.host_str().map(str::to_owned), url.port(),
            );
            prop_assert_eq!(site(&before), site(&after), "{} and {:?}", base, text);
        }
    }
}

//----------- Appending ------------------------------------------------------

#[test]
fn text_is_appended_behind_the_host() {
    for (base, text, expected) in [
        ("https://e.example/a", "?x=1", Some("https://e.example/a?x=1")),
        ("https://e.example/a?x=1", "&y=2", Some("https://e.example/a?x=1&y=2")),
        ("https://e.example", "?x=1", Some("https://e.example?x=1")),
        ("https://e.example", ".evil.example/", Some("https://e.example/.evil.example/")),
        ("https://e.example", "@evil.example/", Some("https://e.example/@evil.example/")),
        ("https://e.example", ":81/", Some("https://e.example/:81/")),
        ("https://e.example", "\\@evil.example", Some("https://e.example//@evil.example")),
        ("https://e.example/", "零 件", Some("https://e.example/%E9%9B%B6%20%E4%BB%B6")),
        ("https://e.example/", "\r\nX: y", None),
        ("urn:a", "b", None),
    ] {
        let appended = Uri::parse(base).and_then(|uri| uri.append(text)).map(|uri| uri.to_string());
        assert_eq!(appended.as_deref(), expected, "{base} and {text:?}");
    }
}

//----------- Values ---------------------------------------------------------

fn address(values: &[Value]) -> Option<String> {
    web_address(values, &LocationChoice::default()).map(|uri| uri.to_string())
}

#[test]
fn the_lowest_index_that_holds_a_web_address_is_led_to() {
    let web = |index, value_type| value(index, value_type, &format!("https://e.example/{index}"));
    for value_type in ["URL", "url", "URL.MIRROR", "URI", "Uri.a.b"] {
        assert_eq!(address(&[web(7, value_type)]).as_deref(), Some("https://e.example/7"), "{value_type}");
    }
    for value_type in ["URLS", "URL-MIRROR", "HOMEPAGE", "EMAIL", "HS_URL"] {
        assert_eq!(address(&[web(7, value_type)]), None, "{value_type}");
    }
    let wrong =
        [value(1, "URL", "www.e.example"), value(2, "URI", "urn:x"), value(3, "URL", "javascript:alert(1)")];
    assert_eq!(address(&wrong), None);
    let mixed: Vec<Value> = wrong.into_iter().chain([web(4, "URL.MIRROR"), web(5, "URL")]).collect();
    assert_eq!(address(&mixed).as_deref(), Some("https://e.example/4"));
}

//----------- Locations ------------------------------------------------------

const LOCATIONS: &str = "<?xml version=\"1.0\"?>\n<locations>\n\
    <location id=\"0\" href=\"https://gb.example/\" country=\"gb\" weight=\"0\" />\n\
    <location id=\"1\" href=\"https://one.example/?a=1&amp;b\" weight=\"1\" />\n\
    <location id=\"2\" href=\"https://two.example/\" weight=\"3\" />\n\
    <location id=\"3\" href=\"javascript:alert(1)\" weight=\"9\" />\n</locations>";

fn choose(xml: &str, locatt: &[(&str, &str)], random: u64) -> Option<String> {
    let attributes = locatt.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let values = [value(1, "URL", "https://url.example/"), value(2, "10320/loc", xml)];
    web_address(&values, &LocationChoice { attributes, random }).map(|uri| uri.to_string())
}

#[test]
fn a_location_is_chosen_by_attribute_then_by_country_then_by_weight() {
    for (locatt, random, expected) in [
        (&[][..], 0, "https://one.example/?a=1&b"),
        (&[], u64::MAX / 4 - 1, "https://one.example/?a=1&b"),
        (&[], u64::MAX / 4 + 2, "https://two.example/"),
        (&[], u64::MAX, "https://two.example/"),
        (&[("id", "0")], 0, "https://gb.example/"),
        (&[("country", "GB")], u64::MAX, "https://gb.example/"),
        (&[("id", "2"), ("weight", "3")], 0, "https://two.example/"),
        (&[("id", "3")], 0, "https://one.example/?a=1&b"),
        (&[("id", "none")], 0, "https://one.example/?a=1&b"),
    ] {
        assert_eq!(choose(LOCATIONS, locatt, random).as_deref(), Some(expected), "{locatt:?} {random}");
    }
    let by_weight = LOCATIONS.replace("<locations>", "<locations chooseby=\"weighted\">");
    assert_eq!(choose(&by_weight, &[("id", "0")], 0).as_deref(), Some("https://one.example/?a=1&b"));
    let weightless =
        LOCATIONS.replace("weight=\"1\"", "weight=\"0\"").replace("weight=\"3\"", "weight=\"0.0\"");
    assert_eq!(choose(&weightless, &[], u64::MAX).as_deref(), Some("https://two.example/"));
}

#[test]
fn xml_that_is_not_a_list_of_locations_counts_for_nothing() {
    let bomb = "<!DOCTYPE l [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><locations><location href=\"https://e/&b;\"/></locations>";
    let outside = "<!DOCTYPE l [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><locations><location href=\"https://e/\">&a;</location></locations>";
    let deep = format!("<locations>{}{}</locations>", "<a>".repeat(5_000), "</a>".repeat(5_000));
    let many = format!("<locations>{}</locations>", "<location href=\"http://a\"/>".repeat(600));
    let large = format!("<locations><location href=\"https://e/{}\"/></locations>", "x".repeat(16_384));
    let empty = "<locations/>";
    let other = "<places><location href=\"https://e/\"/></places>";
    for xml in [bomb, outside, &deep, &many, &large, empty, other, "", "https://e/", "<locations>"] {
        let start: String = xml.chars().take(60).collect();
        assert_eq!(choose(xml, &[], 0).as_deref(), Some("https://url.example/"), "{start}");
        let value = value(2, "10320/LOC", xml);
        assert!(uris_of(std::slice::from_ref(&value)).all(|(_, leads)| leads.is_empty()), "{start}");
        assert_eq!(UriWarning::about(&value).map(|warning| warning.code()), Some("NO_LOCATION"), "{start}");
    }
}

/// Two letters for each number below 2,704.
fn name(number: usize) -> String {
    let letters: Vec<char> = ('a'..='z').chain('A'..='Z').collect();
    [number / 52, number % 52].map(|at| letters.get(at).copied().expect("a letter")).iter().collect()
}

/// XML whose parsing takes more than linear time is refused before it is parsed: attributes are compared with each other, and
/// namespaces with those around them.
#[test]
fn xml_that_takes_long_to_parse_is_not_read() {
    let attributes =
        |count: usize| (0..count).map(|number| format!(" {}=\"\"", name(number))).collect::<String>();
    let namespaces =
        |count: usize| (0..count).map(|number| format!(" xmlns:{}=\"x\"", name(number))).collect::<String>();
    let location = "<location href=\"https://e.example/\"/>";
    let with_attributes = |count| {
        format!("<locations><location href=\"https://e.example/\"{}/></locations>", attributes(count))
    };
    let with_namespaces =
        |count| format!("<locations{}>{location}<b xmlns:q=\"y\"/></locations>", namespaces(count));
    let many = "<b xmlns:q=\"y\"/>".repeat(480);
    let cubic = format!("<locations{}>{location}{many}</locations>", namespaces(600));
    for (xml, is_read) in [
        (with_attributes(2_600), false),
        (with_attributes(128), false),
        (with_attributes(127), true),
        (cubic, false),
        (with_namespaces(8), false),
        (with_namespaces(7), true),
        (format!("<locations xmlns=\"http://www.handle.net/\">{location}</locations>"), true),
        (format!("<locations>{}</locations>", location.repeat(400)), true),
    ] {
        let start: String = xml.chars().take(60).collect();
        let expected = if is_read { "https://e.example/" } else { "https://url.example/" };
        assert_eq!(choose(&xml, &[], 0).as_deref(), Some(expected), "{} bytes, {start}", xml.len());
        let warning = UriWarning::about(&value(2, "10320/loc", &xml));
        assert_eq!(warning.is_none(), is_read, "{} bytes, {start}", xml.len());
    }
}

#[test]
fn of_one_record_the_first_16_kib_of_locations_are_read() {
    let padded = |index: u32, location: &str, bytes: usize| {
        let xml = format!("<locations>{location}</locations>");
        value(index, "10320/loc", &format!("{xml}{}", " ".repeat(bytes - xml.len())))
    };
    let location = "<location href=\"https://e.example/\"/>";
    let url = || value(9, "URL", "https://url.example/");
    let within = [padded(1, "", 10_000), padded(2, "", 5_000), padded(3, location, 1_384), url()];
    let beyond = [padded(1, "", 10_000), padded(2, "", 5_000), padded(3, location, 1_385), url()];
    let too_long = [padded(1, "", 16_385), padded(2, location, 100), url()];
    let led = |values: &[Value]| -> Vec<String> {
        uris_of(values).flat_map(|(_, leads)| leads).map(|lead| lead.uri.to_string()).collect()
    };
    assert_eq!(address(&within).as_deref(), Some("https://e.example/"));
    assert_eq!(led(&within), ["https://e.example/", "https://url.example/"]);
    assert_eq!(address(&beyond).as_deref(), Some("https://url.example/"));
    assert_eq!(led(&beyond), ["https://url.example/"]);
    assert_eq!(
        address(&too_long).as_deref(),
        Some("https://e.example/"),
        "one that is not parsed takes nothing"
    );
    let many = |count: u32| -> Vec<Value> {
        let empty = (1..count).map(|index| value(index, "10320/loc", "<locations/>"));
        empty.chain([value(count, "10320/loc", &format!("<locations>{location}</locations>"))]).collect()
    };
    assert_eq!(address(&many(64)).as_deref(), Some("https://e.example/"));
    assert_eq!(address(&many(65)), None, "small ones count for 256 bytes");
}

/// A host is accepted where the parser of the whole URL accepts it.
#[test]
fn a_host_is_judged_as_in_the_whole_url() {
    let hosts = [
        "e.example",
        "E.Example.",
        "e..example",
        "-e.example",
        "e_1.example",
        "xn--fiq228c.example",
        "xn--.example",
        "ab--c.example",
        "1.2.3.4",
        "1.2.3.4.5",
        "1.2.3.256",
        "0x7f.1",
        "e.0x1",
        "e.1",
        "localhost",
        "[::1]",
        "[::1",
        "::1",
        "[1]",
        "a[b",
        "e!$&'()*+,;=.example",
        "a~b",
    ];
    let ports = ["", ":", ":80", ":65535", ":65536", ":080", ":99999999999", ":8a", ":-1", ":80:80"];
    let users = ["", "u@", "u:p@", "@", "u:80@"];
    let (mut accepted, mut refused) = (0, 0);
    for host in hosts {
        for (port, user) in ports.iter().flat_map(|port| users.map(|user| (port, user))) {
            let authority = format!("{user}{host}{port}");
            let whole = Url::parse(&format!("https://{authority}/x")).is_ok();
            assert_eq!(has_host(&authority), whole, "{authority}");
            if whole { accepted += 1 } else { refused += 1 }
        }
    }
    assert!(accepted > 100 && refused > 100, "{accepted}, {refused}");
}

#[test]
fn a_url_has_a_bound_before_it_is_parsed() {
    for start in ["https://e.example/", "https://零.example/", "x:零"] {
        let of = |bytes: usize| format!("{start}{}", "a".repeat(bytes - start.len()));
        assert!(parse(&of(8_192)).is_some(), "{start}");
        assert_eq!(parse(&of(8_193)), None, "{start}");
        assert!(parse(&format!(" {} ", of(8_192))).is_some(), "{start} between blanks");
    }
    assert_eq!(parse(&format!("https://{}/", "零".repeat(70_000))), None);
    let valid = format!("data:,{}", "a".repeat(60_000));
    assert_eq!(parse(&valid), Some(valid));
    let long = format!("https://e.example/{}", "a".repeat(8_192));
    for value_type in ["URL", "URI"] {
        let warning = UriWarning::about(&value(3, value_type, &long)).expect("a warning");
        assert_eq!((warning.code(), warning.index().get()), ("URI_TOO_LONG", 3));
        assert!(warning.to_string().starts_with("the URI at index 3 has 8210 bytes; "), "{warning}");
    }
}

//----------- Warnings -------------------------------------------------------

#[test]
fn a_value_without_a_usable_uri_is_warned_of() {
    for (value_type, data, expected) in [
        ("URL", "https://e.example/", None),
        ("URL", "http://例子.测试/", None),
        ("URL", "www.e.example", Some("NO_WEB_ADDRESS")),
        ("URL.MIRROR", "ftp://e.example/", Some("NO_WEB_ADDRESS")),
        ("URL", "", Some("NO_WEB_ADDRESS")),
        ("URI", "urn:oid:1.2", None),
        ("URI", "1.2.156", Some("NO_URI")),
        ("10320/loc", LOCATIONS, None),
        ("NAME", "www.e.example", None),
    ] {
        let warning = UriWarning::about(&value(3, value_type, data));
        assert_eq!(warning.as_ref().map(UriWarning::code), expected, "{value_type} {data}");
        assert!(warning.is_none_or(|warning| warning.index().get() == 3));
    }
    let warning = UriWarning::about(&value(3, "URL", &"零\n".repeat(100))).expect("a warning").to_string();
    assert!(
        warning.starts_with("the URL at index 3 is not a web address: \"零\\n零") && warning.len() < 600,
        "{warning}"
    );
}
