//! Identities with keys, the records that hold and name them, and the answers that they give.

use std::sync::OnceLock;

use data_encoding::BASE64;
use idnode::key::PrivateKey;
use idnode::key::secret::{self, Derivation};
use serde_json::{Value as Json, json};

use super::front_end::{Client, FrontEnd, Reply};

/// The record that holds all keys.
pub(crate) const USER: &str = "88.118.8/USER";
/// The index of its RSA key.
pub(crate) const RSA: u32 = 300;
/// The index of its secret key.
pub(crate) const SECRET: u32 = 301;
/// The index of its SM2 key.
pub(crate) const SM2: u32 = 302;
/// The index of a secret key that nothing is allowed to.
pub(crate) const NOBODY: u32 = 309;
/// The secret key.
pub(crate) const PASSWORD: &str = "pass:word 零";

fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("randomness");
}

/// The RSA key; it takes a while to make.
pub(crate) fn rsa_key() -> &'static PrivateKey {
    static KEY: OnceLock<PrivateKey> = OnceLock::new();
    KEY.get_or_init(|| PrivateKey::generate_rsa(2_048, &random).expect("a key"))
}

/// The SM2 key.
pub(crate) fn sm2_key() -> &'static PrivateKey {
    static KEY: OnceLock<PrivateKey> = OnceLock::new();
    KEY.get_or_init(|| PrivateKey::generate_sm2(&random))
}

/// Starts a front end at which the keys of [`USER`] administer 88.118.8.
pub(crate) async fn open() -> FrontEnd {
    open_with(|_| ()).await
}

/// The same, with a configuration changed beforehand.
pub(crate) async fn open_with(change: impl FnOnce(&mut idnode::config::Config)) -> FrontEnd {
    let front_end = FrontEnd::open_with(change).await;
    let client = front_end.tls().bearer(&front_end.token());
    let base64 = |data: Vec<u8>| json!({"format": "base64", "value": BASE64.encode(&data)});
    let keys = json!([
        {"index": RSA, "type": "HS_PUBKEY", "data": base64(rsa_key().public().encode_blob())},
        {"index": SECRET, "type": "HS_SECKEY", "data": PASSWORD},
        {"index": SM2, "type": "HS_PUBKEY", "data": base64(sm2_key().public().encode_blob())},
        {"index": NOBODY, "type": "HS_SECKEY", "data": PASSWORD},
    ]);
    assert_eq!(client.put(&format!("/api/handles/{USER}"), keys).await.verdict(), (201, 1));
    let admin = |index: u32, of: u32| {
        let value = json!({"handle": USER, "index": of, "permissions": "111111111111"});
        json!({"index": index, "type": "HS_ADMIN", "data": {"format": "admin", "value": value}})
    };
    let admins = json!([admin(100, RSA), admin(101, SECRET), admin(102, SM2)]);
    assert_eq!(client.put("/api/handles/0.NA/88.118.8", admins).await.verdict(), (201, 1));
    front_end
}

impl Client {
    /// With a secret key of [`USER`], as browsers and PYHANDLE show it.
    pub(crate) fn basic(&self, index: u32, password: &str) -> Self {
        let shown = BASE64.encode(format!("{index}%3A{USER}:{password}").as_bytes());
        self.with("Authorization", &format!("Basic {shown}"))
    }
}

//----------- Challenge ------------------------------------------------------

/// What a server asks to be signed.
#[derive(Clone, Debug)]
pub(crate) struct Challenge {
    /// The session.
    pub(crate) session: String,
    /// The server's nonce.
    pub(crate) nonce: Vec<u8>,
}

impl Challenge {
    /// The challenge of a reply's header.
    pub(crate) fn of(reply: &Reply) -> Self {
        let header = reply.all("www-authenticate").find(|scheme| scheme.starts_with("Handle "));
        let header = header.unwrap_or_else(|| panic!("no challenge: {reply:?}"));
        let nonce = BASE64.decode(part(header, "nonce").as_bytes()).expect("base64");
        assert_eq!(nonce.len(), 16);
        Self { session: part(header, "sessionId"), nonce }
    }

    /// The challenge of a session's JSON.
    pub(crate) fn of_json(json: &Json) -> Self {
        let text = |name: &str| json.get(name).and_then(Json::as_str).expect("a text").to_owned();
        Self { session: text("sessionId"), nonce: BASE64.decode(text("nonce").as_bytes()).expect("base64") }
    }

    /// The answer of a public key, as members of JSON.
    pub(crate) fn answer(&self, index: u32, key: &PrivateKey) -> Json {
        let cnonce = [9; 16];
        let answer =
            key.answer(USER, &[self.nonce.as_slice(), &cnonce].concat(), &random).expect("an answer");
        json!({"sessionId": self.session, "type": "HS_PUBKEY", "id": format!("{index}:{USER}"),
            "cnonce": BASE64.encode(&cnonce), "alg": answer.hash, "signature": BASE64.encode(&answer.signature)})
    }

    /// The answer of a secret key by a derived key, as members of JSON.
    pub(crate) fn answer_derived(&self, index: u32, password: &str) -> Json {
        let cnonce = [9; 16];
        let bytes = secret::answer(password.as_bytes(), &[self.nonce.as_slice(), &cnonce].concat(), &random);
        let (salt, mac) = (bytes.get(5..21).expect("a salt"), bytes.get(33..).expect("a code"));
        let derivation = Derivation { salt: salt.to_vec(), rounds: 10_000, bits: 160 };
        json!({"sessionId": self.session, "type": "HS_SECKEY", "id": format!("{index}:{USER}"),
            "cnonce": BASE64.encode(&cnonce), "alg": "PBKDF2-HMAC-SHA1", "signature": BASE64.encode(mac),
            "salt": BASE64.encode(&derivation.salt), "iterations": derivation.rounds, "length": derivation.bits})
    }
}

/// A quoted part of a header.
pub(crate) fn part(header: &str, name: &str) -> String {
    let (_, behind) =
        header.split_once(&format!("{name}=\"")).unwrap_or_else(|| panic!("no {name}: {header}"));
    behind.split('"').next().expect("a text").to_owned()
}

/// Members of JSON as the header `Authorization`.
pub(crate) fn header(answer: &Json) -> String {
    let part = |(name, value): (&String, &Json)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let text = if name == "id" { text.replace(':', "%3A") } else { text };
        format!("{name}=\"{text}\"")
    };
    let parts: Vec<String> = answer.as_object().expect("an object").iter().map(part).collect();
    format!("Handle {}", parts.join(", "))
}
