//! Keys as JSON (RFC 7517): the form of the HTTP interface and of certificates.
//!
//! RSA is the standard's. DSA is CNRI's own: `kty` DSA with y, p, q, g. Of SM2, Teleinfo's clients read and write the
//! public key as `kty` SM2 with its X.509 DER under `d`; private keys, which those clients do not write, stand here as
//! an elliptic curve named SM2, with x, y and d. The HTTP interface knows neither, so that its front end gives clients the
//! data of the value as it is.

use data_encoding::BASE64URL_NOPAD;
use rsa::traits::PrivateKeyParts;
use serde_json::{Value, json};

use super::integer::unsigned_bytes;
use super::public::{self, PublicKey};
use super::{KeyError, PrivateKey, private_file};

impl PublicKey {
    /// The key as a JSON Web Key.
    pub fn to_jwk(&self) -> Value {
        let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        match self {
            Self::Rsa(key) => {
                let [exponent, modulus] =
                    public::rsa_numbers(key).map(|number| text(&unsigned_bytes(&number)));
                json!({"kty": "RSA", "n": modulus, "e": exponent})
            }
            Self::Dsa(key) => {
                let domain = key.components();
                let [y, p, q, g] =
                    [key.y().as_ref(), domain.p().as_ref(), domain.q().as_ref(), domain.g().as_ref()]
                        .map(|number| text(&unsigned_bytes(number)));
                json!({"kty": "DSA", "y": y, "p": p, "q": q, "g": g})
            }
            Self::Sm2(_) => json!({"kty": "SM2", "d": text(&self.to_der())}),
        }
    }

    /// Reads a JSON Web Key.
    pub fn from_jwk(jwk: &Value) -> Result<Self, KeyError> {
        let kind =
            jwk.get("kty").and_then(Value::as_str).ok_or(KeyError::Malformed { wanted: "a JSON Web Key" })?;
        let field = |name: &str| number(jwk, name);
        match kind {
            "RSA" => public::rsa(&field("n")?, &field("e")?),
            "DSA" => public::dsa(&field("p")?, &field("q")?, &field("g")?, &field("y")?),
            "SM2" => match public::decode_der(&field("d")?)? {
                key @ Self::Sm2(_) => Ok(key),
                Self::Rsa(_) | Self::Dsa(_) => Err(KeyError::Malformed { wanted: "an SM2 key" }),
            },
            "EC" if jwk.get("crv").and_then(Value::as_str) == Some("SM2") => {
                let point = [&[4], field("x")?.as_slice(), field("y")?.as_slice()].concat();
                let key = sm2::PublicKey::from_sec1_bytes(&point);
                key.map(Self::Sm2).map_err(|_| KeyError::Malformed { wanted: "a point of the SM2 curve" })
            }
            other => Err(KeyError::Unknown { what: "kind of JSON Web Key", found: other.to_owned() }),
        }
    }
}

impl PrivateKey {
    /// The key as a JSON Web Key, its secret numbers included.
    pub fn to_jwk(&self) -> Result<Value, KeyError> {
        let mut jwk = self.public().to_jwk();
        let secret: Vec<(&str, Vec<u8>)> = match self {
            Self::Rsa(key) => {
                let wrong = KeyError::Malformed { wanted: "an RSA key of two primes" };
                let [p, q] = key.primes() else { return Err(wrong) };
                let (dp, dq) = key.dp().zip(key.dq()).ok_or(wrong.clone())?;
                let coefficient = key.crt_coefficient().ok_or(wrong)?;
                let numbers = [key.d(), p.as_ref(), q.as_ref(), dp, dq, &coefficient].map(unsigned_bytes);
                ["d", "p", "q", "dp", "dq", "qi"].into_iter().zip(numbers).collect()
            }
            Self::Dsa(key) => vec![("x", unsigned_bytes(key.x()))],
            Self::Sm2(key) => {
                let point = key.public_key().to_sec1_bytes();
                let (x, y) = point.get(1..).and_then(|both| both.split_at_checked(32)).unwrap_or_default();
                jwk = json!({"kty": "EC", "crv": "SM2"});
                vec![("x", x.to_vec()), ("y", y.to_vec()), ("d", key.to_bytes().to_vec())]
            }
        };
        if let Some(fields) = jwk.as_object_mut() {
            for (name, number) in secret {
                fields.insert(name.to_owned(), BASE64URL_NOPAD.encode(&number).into());
            }
        }
        Ok(jwk)
    }

    /// Reads a JSON Web Key with its secret numbers.
    pub fn from_jwk(jwk: &Value) -> Result<Self, KeyError> {
        let field = |name: &str| number(jwk, name);
        let wrong = KeyError::Malformed { wanted: "a private JSON Web Key whose numbers fit each other" };
        match PublicKey::from_jwk(jwk)? {
            PublicKey::Rsa(_) => {
                let [n, e, d, p, q] = [field("n")?, field("e")?, field("d")?, field("p")?, field("q")?];
                private_file::rsa([&n, &e, &d, &p, &q])
            }
            PublicKey::Dsa(_) => {
                let [x, p, q, g] = [field("x")?, field("p")?, field("q")?, field("g")?];
                private_file::dsa(&x, &p, &q, &g)
            }
            PublicKey::Sm2(public) => {
                let key = sm2::SecretKey::from_slice(&field("d")?).map_err(|_| wrong.clone())?;
                if key.public_key() == public { Ok(Self::Sm2(key)) } else { Err(wrong) }
            }
        }
    }

    /// Whether a JSON Web Key holds secret numbers.
    pub fn is_in_jwk(jwk: &Value) -> bool {
        match jwk.get("kty").and_then(Value::as_str) {
            Some("DSA") => jwk.get("x").is_some(),
            Some("SM2") => false,
            _ => jwk.get("d").is_some(),
        }
    }
}

/// A number in base64url; padding is tolerated.
fn number(jwk: &Value, name: &str) -> Result<Vec<u8>, KeyError> {
    let text = jwk.get(name).and_then(Value::as_str).unwrap_or_default().trim_end_matches('=');
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).unwrap_or_default();
    if bytes.is_empty() || bytes.len() > public::KEY_BYTES_MAX {
        return Err(KeyError::Malformed { wanted: "a JSON Web Key with all its numbers in base64url" });
    }
    Ok(bytes)
}
