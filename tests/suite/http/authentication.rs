//! Proof of identities: secret keys, challenges, sessions and certificates; right, wrong and missing.

use data_encoding::BASE64;
use rcgen::string::PrintableString;
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::{Value as Json, json};
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::front_end::Client;
use super::identity::{
    Challenge, NOBODY, PASSWORD, RSA, SECRET, SM2, USER, header, open, open_with, part, rsa_key, sm2_key,
};

const PATH: &str = "/api/handles/88.118.8/SN1";

fn url(data: &str) -> Json {
    json!([{"index": 1, "type": "URL", "data": data}])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_key_is_taken_under_tls_only() {
    let front_end = open().await;
    let own = front_end.tls().basic(SECRET, PASSWORD);
    assert_eq!(own.put(PATH, url("a")).await.verdict(), (201, 1));
    assert_eq!(own.get(PATH).await.verdict(), (200, 1));

    let wrong = front_end.tls().basic(SECRET, "password");
    let refused = wrong.put(PATH, url("b")).await;
    assert_eq!(refused.verdict(), (401, 403));
    let handle =
        refused.all("www-authenticate").find(|scheme| scheme.starts_with("Handle")).expect("a challenge");
    assert_eq!(part(handle, "error"), "Identity not verified");
    assert_eq!(wrong.get(PATH).await.verdict(), (401, 403), "a wrong proof is no proof of nothing");
    for index in [7, RSA] {
        assert_eq!(front_end.tls().basic(index, PASSWORD).put(PATH, url("b")).await.verdict(), (401, 403));
    }
    let garbled = front_end.tls().with("Authorization", "Basic ???");
    assert_eq!(garbled.put(PATH, url("b")).await.verdict(), (401, 402));

    let overheard = front_end.plain().basic(SECRET, PASSWORD);
    let refused = overheard.put(PATH, url("b")).await;
    assert_eq!(refused.verdict(), (401, 402));
    assert!(refused.text().contains("over TLS only: send them to https://"), "{refused:?}");
    assert_eq!(overheard.get(PATH).await.verdict(), (200, 1));
    front_end.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proved_caller_that_is_no_administrator_learns_so() {
    let front_end = open().await;
    let nobody = front_end.tls().basic(NOBODY, PASSWORD);
    assert_eq!(nobody.put(PATH, url("a")).await.verdict(), (403, 400));
    assert_eq!(nobody.delete(&format!("/api/handles/{USER}")).await.verdict(), (403, 400));
    let own = front_end.tls().basic(SECRET, PASSWORD);
    assert_eq!(own.put(PATH, url("a")).await.verdict(), (201, 1));
    assert_eq!(
        own.delete(&format!("{PATH}?index=1")).await.verdict(),
        (403, 400),
        "no HS_ADMIN names it there"
    );
    let named = json!([{"index": 100, "type": "HS_ADMIN", "data": {"format": "admin", "value":
        {"handle": USER, "index": SECRET, "permissions": "000001000000"}}}]);
    assert_eq!(own.put("/api/handles/88.118.8/SN2", named).await.verdict(), (201, 1));
    assert_eq!(own.put("/api/handles/88.118.8/SN2?index=1", url("b")).await.verdict(), (201, 1));
    assert_eq!(
        own.delete("/api/handles/88.118.8/SN2?index=1").await.verdict(),
        (403, 401),
        "it may only add"
    );
    front_end.close().await;
}

/// Whoever proves itself means all values; others see the public ones.
#[tokio::test(flavor = "multi_thread")]
async fn hidden_values_are_shown_to_administrators_alone() {
    let front_end = open().await;
    let secret = json!([{"index": 1, "type": "NOTE", "data": "n", "permissions": "1100"},
        {"index": 100, "type": "HS_ADMIN", "data": {"format": "admin", "value":
            {"handle": USER, "index": SECRET, "permissions": "*"}}}]);
    assert_eq!(front_end.tls().basic(SECRET, PASSWORD).put(PATH, secret).await.verdict(), (201, 1));
    let count = |reply: &Json| reply.get("values").and_then(Json::as_array).map(Vec::len);
    assert_eq!(count(&front_end.tls().get(PATH).await.json()), Some(1));
    assert_eq!(count(&front_end.tls().basic(SECRET, PASSWORD).get(PATH).await.json()), Some(2));
    // A page of another origin reads what a script brings, and the browser shows the password unasked.
    let script = front_end.tls().basic(SECRET, PASSWORD).get(&format!("{PATH}?callback=f")).await;
    let text = script.text();
    assert!(text.starts_with("f({\"responseCode\":1,") && !text.contains("NOTE"), "{text}");
    assert_eq!(front_end.tls().basic(NOBODY, PASSWORD).get(PATH).await.verdict(), (403, 400));
    let public = front_end.tls().basic(NOBODY, PASSWORD).get(&format!("{PATH}?publicOnly=true")).await;
    assert_eq!(count(&public.json()), Some(1));
    front_end.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_answered_by_each_kind_of_key() {
    let front_end = open().await;
    for (number, kind) in ["RSA", "SM2", "derived"].into_iter().enumerate() {
        let path = format!("{PATH}{number}");
        let asked = front_end.tls().put(&path, url("a")).await;
        assert_eq!(asked.verdict(), (401, 402), "{kind}");
        let challenge = Challenge::of(&asked);
        let answer = match kind {
            "RSA" => challenge.answer(RSA, rsa_key()),
            "SM2" => challenge.answer(SM2, sm2_key()),
            _ => challenge.answer_derived(SECRET, PASSWORD),
        };
        let client = front_end.tls().with("Authorization", &header(&answer));
        assert_eq!(client.put(&path, url("a")).await.verdict(), (201, 1), "{kind}");
        let session = format!("Handle sessionId=\"{}\"", challenge.session);
        let later = front_end.tls().with("Authorization", &session);
        assert_eq!(
            later.put(&path, url("b")).await.verdict(),
            (403, 400),
            "the record names no administrator"
        );
        assert_eq!(later.put(&format!("{path}x"), url("b")).await.verdict(), (201, 1), "{kind}");
        let overheard = front_end.plain().with("Authorization", &session);
        assert_eq!(overheard.put(&format!("{path}y"), url("b")).await.verdict(), (401, 402), "{kind}");
    }
    front_end.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_answer_opens_nothing() {
    let front_end = open().await;
    let challenge = Challenge::of(&front_end.tls().put(PATH, url("a")).await);
    let other = Challenge::of(&front_end.tls().put(PATH, url("a")).await);
    let right = challenge.answer(RSA, rsa_key());
    let with = |name: &str, value: &str| {
        let mut answer = right.clone();
        answer[name] = json!(value);
        answer
    };
    for (what, answer, code) in [
        ("another challenge", with("sessionId", &other.session), 403),
        ("no session of ours", with("sessionId", "AAAA"), 402),
        ("another nonce", with("cnonce", &BASE64.encode(&[8; 16])), 403),
        ("another key", with("id", &format!("{SM2}:{USER}")), 403),
        ("a key that is not there", with("id", "300:88.118.8/none"), 403),
        ("no identity", with("id", "none"), 402),
        ("another kind", with("type", "HS_SECKEY"), 403),
        ("no kind", with("type", "HS_NONE"), 404),
        ("another digest", with("alg", "SHA1"), 403),
        ("no digest", with("alg", "none"), 404),
        ("another version", with("version", "1"), 402),
        ("another password", challenge.answer_derived(SECRET, "password"), 403),
    ] {
        let refused = front_end.tls().with("Authorization", &header(&answer)).put(PATH, url("a")).await;
        assert_eq!(refused.verdict(), (401, code), "{what}");
        let session = format!("Handle sessionId=\"{}\"", challenge.session);
        let later = front_end.tls().with("Authorization", &session).put(PATH, url("a")).await;
        assert_eq!(later.verdict(), (401, 402), "{what}");
    }
    front_end.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_begun_proved_and_ended() {
    let front_end = open().await;
    assert_eq!(front_end.plain().post("/api/sessions", None).await.status, 403);
    let begun = front_end.tls().post("/api/sessions", None).await;
    assert_eq!((begun.status, begun.header("location")), (201, Some("/api/sessions/this")));
    let challenge = Challenge::of_json(&begun.json());
    let session = format!("Handle sessionId=\"{}\"", challenge.session);
    let client = front_end.tls().with("Authorization", &session);
    assert_eq!(client.post("/api/sessions", None).await.status, 400, "it names a session");
    let pending = client.get("/api/sessions/this").await;
    assert_eq!((pending.status, pending.json()), (200, begun.json()));

    let wrong = challenge.answer_derived(SECRET, "password");
    let refused = front_end.tls().post("/api/sessions/this", Some(wrong)).await;
    assert_eq!((refused.status, &refused.json()["error"]), (401, &json!("Identity not verified")));
    let proved = front_end.tls().put("/api/sessions/this", challenge.answer(RSA, rsa_key())).await.json();
    assert_eq!((&proved["authenticated"], &proved["id"]), (&json!(true), &json!(format!("{RSA}:{USER}"))));
    let signature =
        BASE64.decode(proved["serverSignature"].as_str().expect("text").as_bytes()).expect("base64");
    assert!(signature.len() > 64, "{proved}");
    let shown = client.get("/api/sessions/this").await.json();
    assert_eq!((&shown["authenticated"], &shown["id"]), (&proved["authenticated"], &proved["id"]));
    assert_eq!(client.put(PATH, url("a")).await.verdict(), (201, 1));

    assert_eq!(client.delete("/api/sessions/this").await.status, 204);
    assert_eq!(client.get("/api/sessions/this").await.status, 403);
    assert_eq!(client.put(PATH, url("a")).await.verdict(), (401, 402));
    assert_eq!(client.get("/api/sessions/other").await.status, 403);
    let none = front_end.tls().get("/api/sessions/this").await;
    assert_eq!((none.status, none.json()), (200, json!({"authenticated": false})));
    assert_eq!(front_end.tls().get("/api/sessions").await.status, 405);
    front_end.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_over_once_its_key_is_withdrawn() {
    let front_end = open().await;
    let begin = async |index: u32, key: &idnode::key::PrivateKey| {
        let challenge = Challenge::of_json(&front_end.tls().post("/api/sessions", None).await.json());
        let proved = front_end.tls().put("/api/sessions/this", challenge.answer(index, key)).await.json();
        assert_eq!(proved["authenticated"], json!(true));
        front_end.tls().with("Authorization", &format!("Handle sessionId=\"{}\"", challenge.session))
    };
    let (stolen, other) = (begin(SM2, sm2_key()).await, begin(RSA, rsa_key()).await);
    assert_eq!(stolen.put(PATH, url("a")).await.verdict(), (201, 1));

    let client = front_end.tls().bearer(&front_end.token());
    let withdrawn = client.delete(&format!("/api/handles/{USER}?index={SM2}")).await;
    assert_eq!(withdrawn.verdict(), (200, 1));
    let refused = stolen.put("/api/handles/88.118.8/SN2", url("b")).await;
    assert_eq!(refused.verdict(), (401, 402));
    assert!(refused.text().contains("withdrawn"), "{}", refused.text());
    let challenge = Challenge::of(&refused);
    assert_eq!(stolen.get("/api/sessions/this").await.status, 403, "it is over");
    let created = other.put("/api/handles/88.118.8/SN2", url("c")).await;
    assert_eq!(created.verdict(), (201, 1), "another key still stands");

    let answer = header(&challenge.answer(RSA, rsa_key()));
    let proved = front_end.tls().with("Authorization", &answer);
    assert_eq!(proved.put("/api/handles/88.118.8/SN3", url("d")).await.verdict(), (201, 1));
    assert_eq!(client.delete(&format!("/api/handles/{USER}")).await.verdict(), (200, 1));
    assert_eq!(other.get("/api/sessions/this").await.status, 403);
    front_end.close().await;
}

/// A certificate of this subject for the RSA key, signed by itself.
fn certificate(kind: DnType, name: &str) -> (CertificateDer<'static>, KeyPair) {
    let key = KeyPair::from_pem(&rsa_key().to_pem()).expect("a key");
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(kind, name);
    (params.self_signed(&key).expect("a certificate").der().clone(), key)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_proves_the_identity_that_it_names() {
    let front_end = open().await;
    let user_id = || DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 1]);
    let identity = format!("{RSA}:{USER}");
    let client = |(certificate, key): (CertificateDer<'static>, KeyPair)| -> Client {
        front_end.tls_with(Some((certificate, &key)))
    };
    let wish = |client: &Client| client.with("Authorization", "Handle clientCert=\"true\"");
    for (number, kind) in [user_id(), DnType::CommonName].into_iter().enumerate() {
        let own = client(certificate(kind, &identity));
        assert_eq!(own.put(&format!("{PATH}{number}"), url("a")).await.verdict(), (201, 1));
        assert_eq!(wish(&own).put(&format!("{PATH}{number}x"), url("a")).await.verdict(), (201, 1));
    }
    let other = client(certificate(DnType::CommonName, &format!("{SM2}:{USER}")));
    assert_eq!(other.put(PATH, url("a")).await.verdict(), (401, 402), "another's name");
    assert_eq!(wish(&other).get(PATH).await.verdict(), (401, 403));
    let nobody = client(certificate(DnType::CommonName, "nobody"));
    assert_eq!(nobody.get(&format!("{PATH}0")).await.verdict(), (200, 1), "browsers show theirs unasked");
    assert_eq!(wish(&nobody).get(&format!("{PATH}0")).await.verdict(), (401, 402));
    assert_eq!(
        wish(&front_end.tls()).get(&format!("{PATH}0")).await.verdict(),
        (401, 402),
        "no certificate at all"
    );
    let printable = PrintableString::try_from("300:88.118.8/USER").expect("printable");
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, rcgen::DnValue::PrintableString(printable));
    let key = KeyPair::from_pem(&rsa_key().to_pem()).expect("a key");
    let spelled = params.self_signed(&key).expect("a certificate").der().clone();
    assert_eq!(client((spelled, key)).put(PATH, url("a")).await.verdict(), (201, 1));
    front_end.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_verified_for_others() {
    let front_end = open().await;
    let challenge = Challenge { session: String::new(), nonce: vec![3; 16] };
    let answer = challenge.answer_derived(SECRET, PASSWORD);
    let encode = |text: &str| text.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let query = |answer: &Json| {
        let names = ["cnonce", "alg", "signature", "salt", "iterations", "length"];
        let text = |name: &str| {
            let value = answer.get(name).expect("a part");
            value.as_str().map_or_else(|| value.to_string(), str::to_owned)
        };
        let parts: Vec<String> = names.iter().map(|name| format!("{name}={}", encode(&text(name)))).collect();
        format!("nonce={}&{}", encode(&BASE64.encode(&challenge.nonce)), parts.join("&"))
    };
    let ask = async |identity: &str, query: String| {
        front_end.plain().get(&format!("/api/verifications/{identity}?{query}")).await
    };
    let right = ask("301:88.118.8/USER", query(&answer)).await;
    assert_eq!(right.json(), json!({"responseCode": 1, "handle": USER, "isValid": true}));
    let by_index = ask(USER, format!("{}&index=301", query(&answer))).await;
    assert_eq!(by_index.json()["isValid"], json!(true));
    let wrong = ask("301:88.118.8/USER", query(&challenge.answer_derived(SECRET, "password"))).await;
    assert_eq!(wrong.json()["isValid"], json!(false));
    assert_eq!(ask("301:88.118.8/none", query(&answer)).await.json()["isValid"], json!(false));
    assert_eq!(ask(USER, query(&answer)).await.verdict(), (400, 4), "no index");
    assert_eq!(ask("301:88.118.8/USER", "nonce=AAAA".into()).await.verdict(), (400, 4));
    assert_eq!(ask("x", query(&answer)).await.verdict(), (400, 4));
    let costly = query(&answer).replace("iterations=10000", "iterations=100000000");
    assert_eq!(ask("301:88.118.8/USER", costly).await.verdict(), (400, 404), "a proof that nobody judges");
    front_end.close().await;
}

/// A prefix is homed and unhomed by those whom the configuration names, and listed by them.
#[tokio::test(flavor = "multi_thread")]
async fn prefixes_are_homed_by_administrators_of_the_node() {
    let named = |config: &mut idnode::config::Config| {
        let identity = idnode::model::identity::Identity::parse(&format!("{SECRET}:{USER}"));
        config.handle.administrators = vec![identity.expect("an identity")];
    };
    let front_end = open_with(named).await;
    let own = front_end.tls().basic(SECRET, PASSWORD);
    let homed = own.post("/api/prefixes/0.NA/88.119", None).await;
    assert_eq!((homed.status, homed.json()), (200, json!({"responseCode": 1, "handle": "0.NA/88.119"})));
    let all = json!({"responseCode": 1, "totalCount": "2", "prefixes": ["0.NA/88.118.8", "0.NA/88.119"]});
    assert_eq!(own.get("/api/prefixes").await.json(), all);
    let second = own.get("/api/prefixes?page=1&pageSize=1").await.json();
    let expected =
        json!({"responseCode": 1, "totalCount": "2", "page": 1, "pageSize": 1, "prefixes": ["0.NA/88.119"]});
    assert_eq!(second, expected);
    let rsa = Challenge::of(&front_end.tls().post("/api/prefixes/88.120", None).await).answer(RSA, rsa_key());
    let other = front_end.tls().with("Authorization", &header(&rsa));
    assert_eq!(other.post("/api/prefixes/88.120", None).await.verdict(), (403, 400));
    assert_eq!(other.get("/api/prefixes").await.verdict(), (403, 400));
    assert_eq!(front_end.tls().get("/api/prefixes").await.verdict(), (401, 402));
    assert_eq!(front_end.plain().get("/api/prefixes").await.verdict(), (401, 402));
    assert_eq!(own.post("/api/prefixes/8..8", None).await.verdict(), (400, 102));

    assert_eq!(own.delete("/api/prefixes/88.119").await.verdict(), (200, 1));
    assert_eq!(own.get("/api/prefixes").await.json()["totalCount"], json!("1"));
    assert_eq!(own.delete("/api/prefixes/88.121").await.verdict(), (400, 301));
    front_end.close().await;
}

/// A browser shows its password and certificate with requests of any page; tokens and sessions it does not know.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_commands_nothing_by_what_a_browser_shows() {
    let named = |config: &mut idnode::config::Config| {
        let identity = |index: u32| idnode::model::identity::Identity::parse(&format!("{index}:{USER}"));
        config.handle.administrators =
            [RSA, SECRET].map(|index| identity(index).expect("an identity")).into();
    };
    let front_end = open_with(named).await;
    let (by_rsa, key) = certificate(DnType::CommonName, &format!("{RSA}:{USER}"));
    let browsers = [front_end.tls().basic(SECRET, PASSWORD), front_end.tls_with(Some((by_rsa, &key)))];
    let foreign = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Origin", "https://elsewhere.example"),
        ("Origin", "null"),
    ];
    for browser in &browsers {
        for (name, value) in foreign {
            let page = browser.with(name, value);
            let refused = page.post("/api/prefixes/88.119", None).await;
            assert_eq!(refused.verdict(), (403, 404), "{name}: {value}");
            assert!(refused.text().contains("page of another origin"), "{}", refused.text());
            assert_eq!(page.put(PATH, url("a")).await.verdict(), (403, 404), "{name}: {value}");
            assert_eq!(page.delete("/api/prefixes/88.118.8").await.verdict(), (403, 404), "{name}: {value}");
            assert_eq!(page.get("/api/prefixes").await.status, 200, "reading changes nothing");
        }
        for (name, value) in
            [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "none"), ("Origin", "https://localhost")]
        {
            let own = browser.with(name, value);
            assert_eq!(own.post("/api/prefixes/88.120", None).await.verdict(), (200, 1), "{name}: {value}");
        }
    }
    let page = front_end.tls().with("Sec-Fetch-Site", "cross-site");
    assert_eq!(page.post("/api/prefixes/88.119", None).await.verdict(), (401, 402), "nothing is shown");
    let token = page.bearer(&front_end.token());
    let homed = token.get("/api/prefixes").await.json()["prefixes"].clone();
    assert_eq!(homed, json!(["0.NA/88.118.8", "0.NA/88.120"]));
    assert_eq!(token.post("/api/prefixes/88.121", None).await.verdict(), (200, 1));
    let challenge = Challenge::of(&page.post("/api/prefixes/88.122", None).await);
    let answered = page.with("Authorization", &header(&challenge.answer(RSA, rsa_key())));
    assert_eq!(answered.post("/api/prefixes/88.122", None).await.verdict(), (200, 1));
    let session = page.with("Authorization", &format!("Handle sessionId=\"{}\"", challenge.session));
    assert_eq!(session.post("/api/prefixes/88.123", None).await.verdict(), (200, 1));
    front_end.close().await;
}

/// Every signature made or verified for a client is a piece of bounded work, whichever request asks for it.
#[tokio::test(flavor = "multi_thread")]
async fn signatures_are_made_and_verified_in_the_bounded_pool() {
    let front_end = open().await;
    let client = front_end.tls();
    let work = async || {
        let page = front_end.plain().get("/metrics").await;
        let line =
            page.text().lines().find(|line| line.starts_with("idnode_crypto_work_total{outcome=\"done\"}"));
        let count = line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        count.expect("a count of pieces of work")
    };
    let before = work().await;
    let nonce = json!({"cnonce": BASE64.encode(&[9; 16])});
    let begun = client.post("/api/sessions", Some(nonce.clone())).await;
    assert_eq!(begun.status, 201);
    assert!(begun.json()["serverSignature"].is_string(), "{begun:?}");
    assert_eq!(work().await, before + 1, "our signature of a client's nonce");

    let mut proof = Challenge::of_json(&begun.json()).answer(RSA, rsa_key());
    proof["signature"] = json!(BASE64.encode(&[1; 256]));
    assert_eq!(client.put("/api/sessions/this", proof).await.status, 401);
    // The refusal shows the session again, signed with the client's nonce.
    assert_eq!(work().await, before + 3, "a client's RSA signature, and ours");
    assert_eq!(client.post("/api/sessions", None).await.status, 201);
    assert_eq!(work().await, before + 3, "nothing was to be signed");
    front_end.close().await;
}
