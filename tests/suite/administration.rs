//! Identities of the Handle protocol across nodes: keys and lists count where they are stored, seen from anywhere.
//!
//! ```text
//!                    top
//!            88.118 |
//!         secondary          keeps 88.118/x, administered by a list of the enterprise
//!       88.118.8 |
//!        enterprise          keeps the list, and the key of its member
//! ```

use idnode::authority::caller::{Caller, KeyHolder};
use idnode::authority::credential::{Proof, Unproven};
use idnode::key::PrivateKey;
use idnode::model::identifier::Identifier;
use idnode::model::identity::{AdminPermissions, Administrator, Identity};
use idnode::model::refusal::{Problem, Refusal};
use idnode::model::value::{Index, Permissions, Ttl, Value, ValueType, Values};
use idnode::registry::command::{Amend, Command, Existing, Precondition, Register, Remove, Target};
use idnode::wire::handle::administrator::{encode_administrator, encode_identities};

use crate::support::tree::Tier;

const MEMBER: &str = "300:88.118.8/member";
const CHALLENGE: &[u8] = b"a nonce and a digest";

fn identifier(text: &str) -> Identifier {
    Identifier::parse(text).expect("an identifier")
}

fn identity(text: &str) -> Identity {
    Identity::parse(text).expect("an identity")
}

fn value(index: u32, value_type: &str, data: Vec<u8>) -> Value {
    let value_type = ValueType::new(value_type).expect("a type");
    Value {
        index: Index::new(index).expect("an index"),
        permissions: Permissions::default_of(&value_type),
        value_type,
        data,
        ttl: Ttl::Relative(0),
        references: Vec::new(),
        timestamp: 0,
    }
}

fn registration(text: &str, values: Vec<Value>) -> Command {
    Command::Register(Register {
        target: Target::Named(identifier(text)),
        values: Values::new(values).expect("values"),
        existing: Existing::Overwrite,
        precondition: Precondition::None,
    })
}

fn list_of(whom: &str) -> Command {
    registration("88.118.8/list", vec![value(200, ValueType::HS_VLIST, encode_identities(&[identity(whom)]))])
}

fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the system has randomness");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_lists_count_where_they_are_stored() {
    let top = Tier::top().await;
    let secondary = Tier::below(&top, &["88.118"]).await;
    let enterprise = Tier::below(&secondary, &["88.118.8"]).await;
    secondary.home("88.118").await;
    enterprise.home("88.118.8").await;
    for tier in [&enterprise, &secondary] {
        tier.settled();
    }
    let (key, other) = (PrivateKey::generate_sm2(&fill), PrivateKey::generate_sm2(&fill));
    let keys = vec![
        value(300, ValueType::HS_PUBKEY, key.public().encode_blob()),
        value(301, ValueType::HS_SECKEY, b"a secret of ours".to_vec()),
    ];
    enterprise.apply(vec![registration("88.118.8/member", keys), list_of(MEMBER)]).await;
    let by_list =
        Administrator { permissions: AdminPermissions::ALL, identity: identity("200:88.118.8/list") };
    let administered = vec![value(100, ValueType::HS_ADMIN, encode_administrator(&by_list))];
    secondary.apply(vec![registration("88.118/x", administered)]).await;

    for tier in [&top, &secondary, &enterprise] {
        let authority = tier.node().authority();
        let prove = async |whom: &str, key: &PrivateKey| {
            let answer = key.answer("88.118.8/member", CHALLENGE, &fill).expect("an answer");
            let proof =
                Proof::PublicKey { hash: answer.hash.as_bytes().to_vec(), signature: answer.signature };
            let candidates = authority.candidates(&identity(whom), &proof).await?;
            candidates.judge(&proof, CHALLENGE).map(|caller| caller.name().is_some())
        };
        assert_eq!(prove(MEMBER, &key).await, Ok(true));
        assert_eq!(prove("0:88.118.8/member", &key).await, Ok(true));
        assert_eq!(prove(MEMBER, &other).await, Err(Unproven::Wrong { identity: identity(MEMBER) }));
        let none = "300:88.118.8/nobody";
        assert_eq!(prove(none, &key).await, Err(Unproven::NoKey { identity: identity(none) }));
        let password = Proof::Password(b"a secret of ours".to_vec());
        let by_password = match authority.candidates(&identity("301:88.118.8/member"), &password).await {
            Ok(candidates) => candidates.judge(&password, b""),
            Err(unproven) => Err(unproven),
        };
        // The node that holds the secret sees it; the others learn nothing.
        let held_here = std::ptr::eq(tier, &enterprise);
        assert_eq!(by_password.is_ok(), held_here, "{by_password:?}");
    }

    let registry = secondary.node().registry();
    let add = |index: u32| {
        Command::Amend(Amend {
            identifier: identifier("88.118/x"),
            add: vec![value(index, "URL", b"added".to_vec())],
            replace: Vec::new(),
            set: Vec::new(),
            remove: Vec::new(),
            precondition: Precondition::None,
        })
    };
    let member = Caller::Identity(KeyHolder::supposed(identity(MEMBER)));
    registry.apply_one(&member, add(1)).await.expect("a member of the list may");
    let other_party = Caller::Identity(KeyHolder::supposed(identity("301:88.118.8/member")));
    let refused = registry.apply_one(&other_party, add(2)).await;
    let expected =
        Refusal::NotAdministrator { identity: identity("301:88.118.8/member"), of: "88.118/x".into() };
    assert_eq!(refused, Err(Problem::Refused(expected)));

    enterprise.apply(vec![list_of("300:88.118.8/another")]).await;
    let remove = Remove { identifier: identifier("88.118/x"), precondition: Precondition::None };
    let refused = registry.apply_one(&member, Command::Remove(remove)).await;
    let expected = Refusal::NotAdministrator { identity: identity(MEMBER), of: "88.118/x".into() };
    assert_eq!(refused, Err(Problem::Refused(expected)), "struck off the list");
}
